"""Which faces would a panel of people not agree on?

It never reads a vote, and says nothing about whether the given label is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ferclean.evidence import calibration
from ferclean.evidence.ranks import fuse_by_rank, unit_ranks

TORN_SIGNALS = {"neighbour_entropy": 1.0, "mean_confidence": -1.0, "confidence_spread": -1.0}
"""What orders faces by ambiguity beside the panel's top share, with the direction: mixed surroundings, a label that
training hardly learned, steadily so. A face's place is moved halfway to the mean of its given class: an expression
that recognizers hardly learn is one that people hardly agree on."""
CLEAR_PANEL = 0.55
"""The top share from which a panel clearly agrees."""
SEPARATION = 0.85
"""How far apart torn and other faces lie in the order, in standard deviations: which faces are torn is known far less
well than how many. 0.85 is an AUROC of 0.73, as on the even half of FER2013's development rows."""
AMBIGUOUS_SHARE = 0.1
"""The share of faces without a clear majority that is assumed before anyone has looked (FERPlus: 0.11)."""


def probability_torn(labels: np.ndarray, panel: np.ndarray, signals: Mapping[str, np.ndarray]) -> np.ndarray:
    """P(no clear majority of people would agree on the face): (N,) in [0, 1].

    From `labels` (N,), the `panel` (N, K) = P(true label | face) and the `signals` (N,) each, of which TORN_SIGNALS are
    read. The panel says how many faces are how torn: P falls with its top share, sharpened until AMBIGUOUS_SHARE of the
    set lies below CLEAR_PANEL, so that a weak recognizer's ignorance does not pass for ambiguity. All signals and the
    given class together say which ones, as well as SEPARATION says; without signals the panel is taken at its word.
    Ours.

    >>> panel = np.array([[0.97, 0.03]] * 19 + [[0.52, 0.48]])
    >>> probability_torn(np.zeros(20, dtype=int), panel, {}).round(1)[[0, -1]].tolist()
    [0.0, 0.6]
    """
    if panel.shape[1] < 2 or not len(panel):
        return np.zeros(len(panel))
    from scipy.special import ndtri

    sharp = _sharpened(panel)
    torn = 1 / (1 + np.exp((sharp.max(1) - CLEAR_PANEL) / 0.06))
    present = {name: sign * np.asarray(signals[name]) for name, sign in TORN_SIGNALS.items() if name in signals}
    if not present:
        return torn
    # the panel says how many are torn, all signals and the class together which ones
    order = fuse_by_rank({"panel": torn} | present)
    hard = fuse_by_rank({"mean_confidence": present["mean_confidence"]}) if "mean_confidence" in present else order
    members = np.bincount(labels, minlength=panel.shape[1])
    order = order + (np.bincount(labels, weights=hard, minlength=panel.shape[1]) / np.maximum(members, 1))[labels]
    # average ranks, rounded, so that equal faces stay equal in whichever order they come
    place = np.round(unit_ranks(np.round(order, 9)), 9) * (1 - 1 / len(order)) + 0.5 / len(order)
    # two bells of equal width, SEPARATION apart: log-odds are linear in the place's normal quantile
    return calibration.shifted(1 / (1 + np.exp(-SEPARATION * ndtri(place))), float(torn.mean()))


def _sharpened(blend: np.ndarray) -> np.ndarray:
    """Raise to a power (at least 1) until only AMBIGUOUS_SHARE of the rows lie below CLEAR_PANEL."""
    if blend.shape[1] < 2 or not len(blend):
        return blend

    def powered(power: float) -> np.ndarray:
        logits = power * np.log(np.maximum(blend, calibration.SMALLEST))
        logits -= logits.max(1, keepdims=True)
        exp = np.exp(logits)
        return exp / exp.sum(1, keepdims=True)

    low, high = 0.0, np.log(30.0)
    if (blend.max(1) < CLEAR_PANEL).mean() <= AMBIGUOUS_SHARE:
        return blend
    for _ in range(25):
        middle = (low + high) / 2
        if (powered(np.exp(middle)).max(1) < CLEAR_PANEL).mean() > AMBIGUOUS_SHARE:
            low = middle
        else:
            high = middle
    return powered(np.exp(high))
