"""Do probabilities mean what they say, and how many labels are wrong, between which classes?

It never sees the truth: everything is estimated from given labels and out-of-fold probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.checks import check_labels, check_pred_probs, check_same_length
from ferclean.evidence.compat import pruning
from ferclean.evidence.constants import STANDARD, Constants

SMALLEST = 1e-12
_TEMPERATURES = (0.05, 20.0)


def fit_temperature(pred_probs: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that makes `pred_probs` most likely given `labels`: above 1 means they were over-confident.

    Minimises the log loss of softmax(log P / T) over T in [0.05, 20]; 1.0 for an empty set. The labels are the given
    ones, so what is calibrated is the chance of the *given* label, errors included. Source: Guo et al., ICML 2017.

    >>> probs = np.array([[0.99, 0.01]] * 10)
    >>> fit_temperature(probs, np.array([0] * 7 + [1] * 3)) > 1
    True
    """
    from scipy.optimize import minimize_scalar

    probs, labels = _checked(pred_probs, labels)
    if not len(labels) or probs.shape[1] < 2:
        return 1.0
    logits = np.log(np.maximum(probs, SMALLEST))
    logits -= logits.max(1, keepdims=True)
    own = logits[np.arange(len(labels)), labels]

    def loss(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        return float(np.mean(np.log(np.exp(logits * inverse).sum(1)) - own * inverse))

    low, high = np.log(_TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def apply_temperature(pred_probs: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(log P / T): (N, K) float64, rows sum to 1; T > 1 flattens, T < 1 sharpens, the argmax stays.

    >>> apply_temperature(np.array([[0.8, 0.2]]), 1.0).round(6).tolist()
    [[0.8, 0.2]]
    """
    if not temperature > 0:
        raise UsageError(f"a temperature must be above 0, got {temperature}")
    logits = np.log(np.maximum(check_pred_probs(pred_probs), SMALLEST)) / temperature
    logits -= logits.max(1, keepdims=True)
    powers = np.exp(logits)
    return powers / powers.sum(1, keepdims=True)


def confident_joint(labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray:
    """Confident counts of (given, true) labels, calibrated to shares: (K, K) float64 that sums to 1.

    A sample counts for the class whose threshold it reaches, the mean P_k over samples given k, and for its argmax
    where it reaches several; samples that reach none do not count. Rows are scaled to the shares of the given labels. A
    class counts as correctly labelled at least once (`compat.pruning`, which counts as cleanlab does). Source:
    Northcutt et al., JAIR 2021.

    >>> labels = np.array([0, 0, 0, 1]); probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.05, 0.95], [0.1, 0.9]])
    >>> confident_joint(labels, probs).round(2).tolist()
    [[0.5, 0.25], [0.0, 0.25]]
    """
    probs, labels = _checked(pred_probs, labels)
    if not len(labels):
        raise BadDataError("the confident joint of an empty set is undefined")
    classes = probs.shape[1]
    own = pruning.own_probabilities(labels, probs)
    joint = pruning.count_confident(labels, probs, pruning.class_thresholds(labels, own, classes)).counts.astype(float)
    joint *= (np.bincount(labels, minlength=classes) / joint.sum(1))[:, None]
    return joint / joint.sum()


class ErrorRate(NamedTuple):
    """Share of wrong given labels, in [0, 1]: `estimate` and an interval from `low` to `high`."""

    estimate: float
    low: float
    high: float


def error_rate_interval(labels: np.ndarray, pred_probs: np.ndarray, *, by: Constants = STANDARD) -> ErrorRate:
    """How many given labels are wrong, with an interval as wide as what the recognizer cannot know about itself.

    Where it prefers another class than the given one, either may be wrong. Two things tell them apart a little: wrong
    labels are found everywhere, the recognizer's own errors where it is unsure. So it counts how much more often it
    contradicts labels altogether than among the `by.confident` share of each predicted class: that difference over the
    share that it does not contradict is the excess. A strong recognizer has little of it, however many labels are
    wrong; a weak one much, and then the interval says that little can be told.

    Its own errors are labels that are right: of as many as it does not contradict they are at most `by.own` * excess **
    `by.own_power` and at least `by.least_own` * excess ** 2. The lower end is all contradictions less the most of its
    own, and no higher than the confident ones less a standard error, for errors that are as frequent everywhere. The
    upper end is all contradictions less the least of its own, or the confident ones where those are more, and
    `by.repeated` of all contradictions more for errors that it has learned and repeats, with 1.96 standard errors of
    those alone: contradictions are counted, not estimated. The estimate lies in the middle of what need not be its own,
    within the interval. Ours, not a paper's. Only ranks within predicted classes are read, so calibration does not
    matter. O(N log N).

    What ranks leave open is most of the width: one of the drawn sets, 16 % wrong, and the subsets of CIFAR-10N's worst
    labels, 40 % wrong, have the same contradictions and the same excess.

    >>> labels = np.repeat([0, 1], 50); probs = np.where(np.eye(2)[labels] > 0, 0.9, 0.1)
    >>> error_rate_interval(labels, probs).estimate
    0.0
    """
    probs, labels = _checked(pred_probs, labels)
    count = len(labels)
    if count < 2 or len(np.unique(labels)) < 2:
        return ErrorRate(estimate=0.0, low=0.0, high=0.0 if not count else 1.0)
    predicted = probs.argmax(1)
    differs = predicted != labels
    surest = _surest(predicted, probs.max(1), by.confident)
    share = float(differs.mean())
    confident = min(float(differs[surest].mean()), share)
    excess = (share - confident) / max(1 - share, SMALLEST)
    heard = min(max((by.no_witness - share) / (by.no_witness - by.doubted), 0.0), 1.0)
    own = min(by.own * (1 - share) * excess**by.own_power, share)
    least = heard * (share - own)
    low = min(least, confident - standard_error(confident, int(surest.sum())))
    repeated = by.repeated * share
    most = max(share - (1 - share) * by.least_own * excess**2, confident)
    high = min(most + repeated + 1.96 * standard_error(repeated, count), 1.0)
    return ErrorRate(estimate=min((least + share) / 2, high), low=max(low, 0.0), high=high)


def standard_error(share: float, count: int) -> float:
    """Of a `share` seen in `count` samples; none of a hundred may still be one.

    >>> standard_error(0.5, 100), standard_error(0.0, 100)
    (0.05, 0.01)
    """
    return float((max(share * (1 - share), 1 / count) / count) ** 0.5)


def _surest(predicted: np.ndarray, confidence: np.ndarray, part: float) -> np.ndarray:
    """The `part` of each predicted class with the highest `confidence`, equals together: (N,) bool."""
    order = np.lexsort((-confidence, predicted))
    first = np.searchsorted(predicted[order], predicted, side="left")
    size = np.bincount(predicted)[predicted]
    place = np.empty(len(order), dtype=np.int64)
    starts = np.r_[True, (np.diff(predicted[order]) != 0) | (np.diff(confidence[order]) != 0)]
    place[order] = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))  # equals share the first place
    return np.asarray(place - first < part * size)


def estimated_error_rate(labels: np.ndarray, pred_probs: np.ndarray) -> float:
    """The middle of `error_rate_interval`, in [0, 1].

    >>> labels = np.repeat([0, 1], 50); probs = np.where(np.eye(2)[labels] > 0, 0.9, 0.1)
    >>> estimated_error_rate(labels, probs)
    0.0
    """
    return error_rate_interval(labels, pred_probs).estimate


def noise_transitions(labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray:
    """Estimated P(given label | true label): (K, K), row = true class, column = given class, rows sum to 1.

    From the confident joint. A class that is never the estimated truth keeps its labels (a row of the identity).

    >>> labels = np.array([0, 0, 0, 1]); probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.05, 0.95], [0.1, 0.9]])
    >>> noise_transitions(labels, probs).round(2).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    joint = confident_joint(labels, pred_probs).T  # (true, given)
    empty = joint.sum(1) == 0
    joint[empty, empty.nonzero()[0]] = 1.0
    return joint / joint.sum(1, keepdims=True)


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Of the samples that truly are `true`, about `share` were given `given`; two estimates lie at `low` and `high`."""

    true: int
    given: int
    share: float
    low: float
    high: float


def noise_flows(first: np.ndarray, second: np.ndarray, size: np.ndarray, *, most: int = 5) -> list[Flow]:
    """The most frequent ways in which labels go wrong, at most `most`, from two estimates of P(given | true), (K, K).

    Ordered by number of samples according to `first`, `size` (K,) being the samples of each true class. The two
    estimates bound each flow; the recognizers' own confusions enter both, so the truth may lie outside.

    >>> first = np.array([[0.9, 0.1], [0.0, 1.0]]); second = np.array([[0.8, 0.2], [0.1, 0.9]])
    >>> flow, = noise_flows(first, second, np.array([10, 10]))
    >>> flow.true, flow.given, flow.low, flow.high
    (0, 1, 0.1, 0.2)
    """
    number = first * np.asarray(size, dtype=np.float64)[:, None]
    cells = [(int(t), int(g)) for t, g in zip(*np.nonzero(number), strict=True) if g != t]
    return [
        Flow(
            true=true,
            given=given,
            share=float(first[true, given]),
            low=float(min(first[true, given], second[true, given])),
            high=float(max(first[true, given], second[true, given])),
        )
        for true, given in sorted(cells, key=lambda cell: (-number[cell], cell))[:most]
    ]


def log_odds(probability: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) in nats, within about +-13.8: probabilities count as at least 1e-6 from 0 and from 1.

    >>> log_odds(np.array([0.5])).tolist()
    [0.0]
    """
    safe = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(safe / (1 - safe)))


def shifted(probability: np.ndarray, mean: float) -> np.ndarray:
    """Move all log-odds by the one amount that brings the mean of `probability` (N,) to `mean`; the order stays.

    >>> shifted(np.array([0.2, 0.4]), 0.5).mean().round(6)
    np.float64(0.5)
    """
    base = log_odds(probability)
    return np.asarray(1 / (1 + np.exp(-base - shift_to(base, mean))))


def shift_to(base: np.ndarray, mean: float) -> float:
    """The amount by which log-odds `base` (N,) are to be moved so that their probabilities have the mean `mean`.

    >>> round(shift_to(np.array([-1.0, -1.0]), 0.5), 6)
    1.0
    """
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-base - middle))).mean() < mean else (low, middle)
    return low


def expected_calibration_error(probability: np.ndarray, happened: np.ndarray, *, bins: int = 10) -> float:
    """Mean distance between stated probability and observed share over equal-mass bins: in [0, 1], low = honest.

    `probability` (N,) in [0, 1] of an event, `happened` (N,) bool. Bins hold equal numbers of samples in order of
    probability; equal probabilities are never parted, so the order of the rows does not matter.

    >>> expected_calibration_error(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 1, 1, 1]), bins=2)
    0.25
    """
    probability, happened = _events(probability, happened)
    if bins < 1:
        raise UsageError(f"bins must be at least 1, got {bins}")
    order = np.argsort(probability, kind="stable")
    ordered = probability[order]
    first_of_tie = np.searchsorted(ordered, ordered, side="left")
    bin_of = np.minimum(first_of_tie * bins // len(order), bins - 1)
    size = np.bincount(bin_of, minlength=bins)
    gap = np.bincount(bin_of, weights=ordered - happened[order], minlength=bins)
    return float(np.abs(gap).sum() / size.sum())


def brier(probability: np.ndarray, happened: np.ndarray) -> float:
    """Mean squared distance between stated probability and what happened: in [0, 1], low = good.

    >>> brier(np.array([0.5, 1.0]), np.array([True, True]))
    0.125
    """
    probability, happened = _events(probability, happened)
    return float(np.mean((probability - happened) ** 2))


def _checked(pred_probs: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probs = check_pred_probs(pred_probs)
    labels = check_labels(labels, probs.shape[1])
    check_same_length(labels=labels, pred_probs=probs)
    return probs, labels


def _events(probability: np.ndarray, happened: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probability = np.asarray(probability, dtype=np.float64)
    happened = np.asarray(happened).astype(np.float64)
    if probability.ndim != 1 or probability.shape != happened.shape or not len(probability):
        raise BadDataError(
            f"probability and happened must be equal, filled (N,) arrays, got {probability.shape}, {happened.shape}"
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise BadDataError("probabilities must lie in [0, 1]")
    return probability, happened
