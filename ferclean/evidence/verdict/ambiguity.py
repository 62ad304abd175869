"""Which faces would a panel of people not agree on?

It judges no face by its own votes (verdicts.py does), and says nothing about whether the given label is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.signals.ranks import fuse_by_rank, unit_ranks
from ferclean.evidence.verdict import calibration

TORN_SIGNALS = {"neighbour_entropy": 1.0, "mean_confidence": -1.0, "confidence_spread": -1.0}
"""What orders faces by ambiguity beside the panel's top share, with the direction: mixed surroundings, a label that
training hardly learned, steadily so. A face's place is moved halfway to the mean of its given class: an expression
that recognizers hardly learn is one that people hardly agree on."""


def probability_torn(
    labels: np.ndarray, panel: np.ndarray, signals: Mapping[str, np.ndarray], *, by: Constants = STANDARD
) -> np.ndarray:
    """P(no clear majority of people would agree on the face): (N,) in [0, 1].

    From `labels` (N,), the `panel` (N, K) = P(true label | face) and the `signals` (N,) each, of which TORN_SIGNALS are
    read. The panel says how many faces are how torn: P falls with its top share, sharpened until `by.ambiguous_share`
    of the set lies below `by.clear_panel`, so that a weak recognizer's ignorance does not pass for ambiguity. All
    signals and the given class together say which ones, as well as `by.separation` says; without signals the panel is
    taken at its word. Ours.

    >>> panel = np.array([[0.97, 0.03]] * 19 + [[0.52, 0.48]])
    >>> probability_torn(np.zeros(20, dtype=int), panel, {}).round(1)[[0, -1]].tolist()
    [0.0, 0.6]
    """
    if panel.shape[1] < 2 or not len(panel):
        return np.zeros(len(panel))
    from scipy.special import ndtri

    sharp = _sharpened(panel, by)
    torn = 1 / (1 + np.exp((sharp.max(1) - by.clear_panel) / by.torn_width))
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
    # two bells of equal width, `separation` apart: log-odds are linear in the place's normal quantile
    return calibration.shifted(1 / (1 + np.exp(-by.separation * ndtri(place))), float(torn.mean()))


def learned_from_votes(
    torn: np.ndarray, rows: np.ndarray, share: np.ndarray, *, by: Constants = STANDARD
) -> np.ndarray:
    """`torn` (N,) = P(ambiguous) with the level and the separation that the voted `rows` (V,) show: (N,) in [0, 1].

    `share` (V,): P(a very large panel would give no label half of its votes), from those rows' votes. All log-odds are
    multiplied by one factor (not below 0) and shifted by one amount: a penalised logistic regression of the shares
    (after Platt, 1999), which takes the faces without votes to be like those with some. The order stays.

    >>> torn = np.linspace(0.02, 0.2, 1000)
    >>> learned_from_votes(torn, np.arange(500), np.full(500, 0.4)).mean().round(1)
    np.float64(0.4)
    """
    from scipy.optimize import minimize

    odds = calibration.log_odds(torn)
    middle = float(odds.mean()) if len(odds) else 0.0
    x, share = odds[rows] - middle, np.asarray(share, dtype=np.float64)

    def cost(beta: np.ndarray) -> tuple[float, np.ndarray]:
        scores = beta[0] + beta[1] * x
        excess = 1 / (1 + np.exp(-scores)) - share
        away = beta - start
        loss = float((np.logaddexp(0, scores) - share * scores).sum() + 0.5 * ridge @ away**2)
        return loss, np.array([excess.sum(), excess @ x]) + ridge * away

    start, ridge = np.array([middle, 1.0]), np.array([by.torn_level_ridge, by.torn_slope_ridge])
    level, slope = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=[(None, None), (0.0, None)]).x
    return np.asarray(1 / (1 + np.exp(-(level + slope * (odds - middle)))))


def _sharpened(blend: np.ndarray, by: Constants) -> np.ndarray:
    """Raise to a power (at least 1) until only `ambiguous_share` of the rows lie below `clear_panel`."""
    if blend.shape[1] < 2 or not len(blend):
        return blend

    def powered(power: float) -> np.ndarray:
        logits = power * np.log(np.maximum(blend, calibration.SMALLEST))
        logits -= logits.max(1, keepdims=True)
        exp = np.exp(logits)
        return exp / exp.sum(1, keepdims=True)

    low, high = 0.0, np.log(30.0)
    if (blend.max(1) < by.clear_panel).mean() <= by.ambiguous_share:
        return blend
    for _ in range(25):
        middle = (low + high) / 2
        if (powered(np.exp(middle)).max(1) < by.clear_panel).mean() > by.ambiguous_share:
            low = middle
        else:
            high = middle
    return powered(np.exp(high))
