"""One number per sample from one idea each: how well does the given label stand up, how unsure is the model?

Pure functions and the dict that lists them. No signal is a verdict, and a label-blind one is never an error score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict, Unpack

import numpy as np

from ferclean.errors import BadDataError
from ferclean.evidence.checks import check_labels, check_pred_probs, check_same_length
from ferclean.evidence.compat import pruning
from ferclean.evidence.signals import neighbours
from ferclean.evidence.signals.dynamics import aum, confidence_spread, forgetting_events, learned_share, mean_confidence
from ferclean.evidence.signals.nearest import Nearest

SMALLEST = 1e-12
"""Probabilities below this count as this before a logarithm."""
WIDE = 50
"""Neighbours of the wide signals."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One entry of SIGNALS.

    `function` takes the arguments in `needs` and, when they are at hand, those in `uses`, all by keyword. A
    `label_aware` signal is low where the given label is likely wrong; the others are high where the face is ambiguous
    or the model unsure. `summary` is one line for people.
    """

    function: Callable[..., np.ndarray]
    needs: tuple[str, ...]
    label_aware: bool
    summary: str
    uses: tuple[str, ...] = ()


class Within(TypedDict, total=False):
    """Where the neighbours of a face are looked for: see `neighbours.neighbourhood`."""

    fold: np.ndarray | None
    groups: np.ndarray | None
    nearest: Nearest | None


def self_confidence(*, labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray:
    """Probability of the given label, P_y: (N,) in [0, 1], low = likely mislabelled. Source: confident learning, 2021.

    >>> self_confidence(labels=np.array([1]), pred_probs=np.array([[0.75, 0.25]])).tolist()
    [0.25]
    """
    labels, probs = _checked(labels, pred_probs)
    return probs[np.arange(len(labels)), labels]


def probability_margin(*, labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray:
    """P_y minus the best other probability: (N,) in [-1, 1], low = likely mislabelled; below 0 another class leads.

    cleanlab's normalized margin is this, mapped to [0, 1] by (1 + margin) / 2: the same ranking.

    >>> probability_margin(labels=np.array([1]), pred_probs=np.array([[0.75, 0.25]])).tolist()
    [-0.5]
    """
    labels, probs = _checked(labels, pred_probs)
    return _margin(probs, labels, floor=0.0)


def logit_margin(*, labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray:
    """log P_y minus the best other log P, which equals the difference of logits: (N,), low = likely mislabelled.

    Nats, in about [-28, 28] because probabilities are kept above SMALLEST. It goes on telling samples apart where
    probabilities saturate. Source: AUM, 2020; recommended by the label-error detection benchmark of 2022.

    >>> round(float(logit_margin(labels=np.array([0]), pred_probs=np.array([[0.75, 0.25]]))[0]), 4)
    1.0986
    """
    labels, probs = _checked(labels, pred_probs)
    return _margin(np.log(np.maximum(probs, SMALLEST)), labels, floor=float(np.log(SMALLEST)))


def class_adjusted_self_confidence(*, labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray:
    """Self-confidence that forgives classes the model is rarely sure of: (N,) in [0, 1], low = likely mislabelled.

    Subtract t_k = mean P_k over samples given k, add max t, renormalise, read off y. A class without samples gets
    t_k = 2, as in cleanlab's adjusted scores. Source: Kuan and Mueller 2022.

    >>> probs = np.array([[0.75, 0.25], [0.5, 0.5]])
    >>> class_adjusted_self_confidence(labels=np.array([0, 1]), pred_probs=probs).round(3).tolist()
    [0.6, 0.6]
    """
    labels, probs = _checked(labels, pred_probs)
    threshold = pruning.class_thresholds(labels, pruning.own_probabilities(labels, probs), probs.shape[1])
    adjusted = probs - threshold + threshold.max(initial=0.0)
    return adjusted[np.arange(len(labels)), labels] / adjusted.sum(1)


def confident_joint_membership(*, labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray:
    """0 where confident learning calls the label an issue, else 1: (N,) in {0, 1}, low = likely mislabelled.

    High precision rather than best recall; a two-valued signal only splits a ranking. All 1 where fewer than two
    classes occur, since there is nothing to confuse, and in a class of one sample, which is not judged.
    Source: confident learning, 2021, prune by noise rate; the flags of cleanlab's filter.

    >>> labels = np.repeat([0, 1], 20); probs = np.eye(2)[labels] * 0.9 + 0.05
    >>> probs[0] = [0.02, 0.98]
    >>> confident_joint_membership(labels=labels, pred_probs=probs).argmin()
    np.int64(0)
    """
    labels, probs = _checked(labels, pred_probs)
    present = np.unique(labels)
    if len(present) < 2:
        return np.ones(len(labels))
    # only classes that occur can be confused
    narrow = np.maximum(probs[:, present], SMALLEST)
    narrow /= narrow.sum(1, keepdims=True)
    issues = pruning.noise_rate_issues(np.searchsorted(present, labels), narrow)
    return 1.0 - issues.astype(np.float64)


def knn_agreement(*, labels: np.ndarray, embedding: np.ndarray, k: int = 10, **within: Unpack[Within]) -> np.ndarray:
    """Weighted share of the k nearest other faces that carry the given label: (N,) in [0, 1], low = likely mislabelled.

    Weights are 1 - cosine distance. NaN without neighbours.

    >>> knn_agreement(labels=np.array([0, 0, 1]), embedding=np.eye(2)[[0, 0, 0]], k=2).tolist()
    [0.5, 0.5, 0.0]
    """
    shares = _shares(labels, embedding, k, within)
    return shares[np.arange(len(shares)), np.asarray(labels, dtype=np.int64)]


def knn_agreement_wide(*, labels: np.ndarray, embedding: np.ndarray, **within: Unpack[Within]) -> np.ndarray:
    """`knn_agreement` of the WIDE nearest faces: (N,) in [0, 1], low = likely mislabelled.

    Within one fold's space, where neighbours are fewer and farther, it ranks errors better than ten neighbours do:
    AUROC 0.743 against 0.695 on half of the FER2013 development rows.

    >>> knn_agreement_wide(labels=np.array([0, 0, 1]), embedding=np.eye(2)[[0, 0, 0]]).tolist()
    [0.5, 0.5, 0.0]
    """
    return knn_agreement(labels=labels, embedding=embedding, k=WIDE, **within)


def neighbour_entropy(*, labels: np.ndarray, embedding: np.ndarray, **within: Unpack[Within]) -> np.ndarray:
    """Entropy of the labels among the WIDE nearest faces over log K: (N,) in [0, 1], high = ambiguous surroundings.

    Blind to the sample's own label. NaN without neighbours.

    >>> neighbour_entropy(labels=np.array([0, 0, 1]), embedding=np.eye(2)[[0, 0, 0]]).tolist()
    [1.0, 1.0, 0.0]
    """
    return _entropy(_shares(labels, embedding, WIDE, within))


def class_centre_gap(*, labels: np.ndarray, embedding: np.ndarray, fold: np.ndarray | None = None) -> np.ndarray:
    """Nearest other class centre's distance minus the own one's: (N,) in [-2, 2], low = likely mislabelled.

    See `neighbours.class_centre_gap`; NaN where a centre is missing.

    >>> class_centre_gap(labels=np.array([0, 0, 1]), embedding=np.eye(2)[[0, 0, 1]]).round(3).tolist()[:2]
    [1.414, 1.414]
    """
    labels = np.asarray(labels)
    if not len(labels):
        return np.empty(0)
    return neighbours.class_centre_gap(labels, embedding, num_classes=int(labels.max()) + 1, fold=fold)


def entropy(*, pred_probs: np.ndarray) -> np.ndarray:
    """Entropy of P over log K: (N,) in [0, 1], high = the model is unsure.

    Label-blind: on human noise it ranks wrong labels barely above chance. 0 for a single class.

    >>> entropy(pred_probs=np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    return _entropy(check_pred_probs(pred_probs))


def mutual_information(*, member_probs: np.ndarray) -> np.ndarray:
    """What the members of an ensemble disagree about, over log K: (N,) in [0, 1], high = unlike anything learned.

    `member_probs` is (M, N, K). Entropy of the mean minus mean entropy (BALD, 2011). Label-blind.

    >>> mutual_information(member_probs=np.array([[[1.0, 0.0]], [[0.0, 1.0]]])).tolist()
    [1.0]
    """
    member_probs = np.asarray(member_probs)
    if member_probs.ndim != 3 or not len(member_probs):
        raise BadDataError(f"member_probs must be (members, N, K), got {member_probs.shape}")
    members = np.stack([check_pred_probs(member) for member in member_probs])
    apart = _entropy(members.mean(0)) - np.mean([_entropy(member) for member in members], axis=0)
    return np.clip(apart, 0.0, 1.0)


_JUDGED = ("labels", "pred_probs")
_PLACED = ("labels", "embedding")
_WITHIN = tuple(Within.__annotations__)

_aware = partial(Signal, label_aware=True)
"""Low where the given label is likely wrong."""
_unaware = partial(Signal, label_aware=False)
"""High where the face is ambiguous or the model unsure."""

SIGNALS: dict[str, Signal] = {
    signal.function.__name__: signal
    for signal in (
        _aware(function=self_confidence, needs=_JUDGED, summary="probability of the given label"),
        _aware(
            function=probability_margin, needs=_JUDGED, summary="probability of the given label minus the best other"
        ),
        _aware(function=logit_margin, needs=_JUDGED, summary="logit of the given label minus the best other"),
        _aware(
            function=class_adjusted_self_confidence,
            needs=_JUDGED,
            summary="probability of the given label, allowing for classes the model is rarely sure of",
        ),
        _aware(
            function=confident_joint_membership,
            needs=_JUDGED,
            summary="0 where cleanlab's filter calls the label an issue",
        ),
        _aware(
            function=knn_agreement,
            needs=_PLACED,
            uses=_WITHIN,
            summary="share of the nearest faces that carry the given label",
        ),
        _aware(
            function=knn_agreement_wide,
            needs=_PLACED,
            uses=_WITHIN,
            summary="share of the 50 nearest faces that carry the given label",
        ),
        _aware(
            function=class_centre_gap,
            needs=_PLACED,
            uses=("fold",),
            summary="how much nearer the own class's centre is than any other",
        ),
        _aware(function=aum, needs=("margin",), summary="mean training margin of the given label over epochs"),
        _aware(
            function=mean_confidence,
            needs=("given_prob",),
            summary="mean training probability of the given label over epochs",
        ),
        _aware(
            function=learned_share,
            needs=("margin",),
            summary="share of epochs in which training predicted the given label",
        ),
        _unaware(
            function=confidence_spread,
            needs=("given_prob",),
            summary="spread of the given label's training probability over epochs",
        ),
        _unaware(function=forgetting_events, needs=("margin",), summary="times a label was learned and lost again"),
        _unaware(function=entropy, needs=("pred_probs",), summary="how spread out the predicted probabilities are"),
        _unaware(
            function=neighbour_entropy,
            needs=_PLACED,
            uses=_WITHIN,
            summary="how mixed the labels of the 50 nearest faces are",
        ),
        _unaware(
            function=mutual_information,
            needs=("member_probs",),
            summary="what the members of an ensemble disagree about",
        ),
    )
}
"""Every signal by name, the label-aware ones first. A new one: its function, one row here, and the contract test finds
it."""


def compute_signals(available: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Every signal whose needs are in `available` (None counts as absent): name -> (N,) float64.

    Known arguments: labels (N,), pred_probs (N, K), embedding (N, D), fold (N,), groups (N,), nearest (a `Nearest`),
    given_prob (E, N), margin (E, N), member_probs (M, N, K). Others are ignored. Raises BadDataError as the signals do.

    >>> sorted(compute_signals({"pred_probs": np.array([[0.5, 0.5]])}))
    ['entropy']
    """
    at_hand = {name: value for name, value in available.items() if value is not None}
    return {
        name: signal.function(
            **{key: at_hand[key] for key in signal.needs},
            **{key: at_hand[key] for key in signal.uses if key in at_hand},
        )
        for name, signal in SIGNALS.items()
        if all(key in at_hand for key in signal.needs)
    }


def _checked(labels: np.ndarray, pred_probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probs = check_pred_probs(pred_probs)
    labels = check_labels(labels, probs.shape[1])
    check_same_length(labels=labels, pred_probs=probs)
    return labels, probs


def _shares(labels: np.ndarray, embedding: np.ndarray, k: int, within: Within) -> np.ndarray:
    """What part of each face's k nearest carries which label: (N, K)."""
    if not len(labels):
        return np.empty((0, 1))
    return neighbours.neighbourhood(
        np.asarray(labels), embedding, num_classes=int(np.max(labels)) + 1, k=k, **within
    ).shares


def _margin(scores: np.ndarray, labels: np.ndarray, *, floor: float) -> np.ndarray:
    rows = np.arange(len(labels))
    others = scores.copy()
    others[rows, labels] = floor  # with one class, a rival of probability 0
    return scores[rows, labels] - others.max(1)


def _entropy(probs: np.ndarray) -> np.ndarray:
    if probs.shape[1] < 2:
        return np.zeros(len(probs))
    return np.abs((probs * np.log(np.maximum(probs, SMALLEST))).sum(1)) / np.log(probs.shape[1])
