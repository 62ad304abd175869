"""What a reviewer can expect of a queue: precision and recall at each depth, with intervals, before anyone has looked.

It only reads probabilities; how far they may be off is told by the interval of the error rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ferclean.errors import BadDataError
from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.verdict.calibration import ErrorRate, log_odds, shift_to
from ferclean.summary import Summary

_STEPS = np.linspace(-2.5, 2.5, 11)  # in standard deviations, of the level and of the slope
_FEW = 2000


@dataclass(frozen=True, kw_only=True)
class Expected(Summary):
    """After looking at the first `depth` samples: `found` wrong labels are expected among them.

    `precision` and `recall` in [0, 1] are the share of wrong labels among those looked at and the share of all wrong
    labels that they hold; `_low` and `_high` bound 95 % of what may come.
    """

    depth: int
    found: float
    precision: float
    precision_low: float
    precision_high: float
    recall: float
    recall_low: float
    recall_high: float


def expected_at(
    p_mislabelled: np.ndarray,
    order: np.ndarray,
    depths: list[int],
    *,
    rate: ErrorRate,
    seed: int = 0,
    by: Constants = STANDARD,
) -> list[Expected]:
    """Expected precision and recall after each of `depths` samples of a queue.

    `p_mislabelled` (N,) in [0, 1], calibrated; `order` (N,) the rows, first to look at first; `rate` the estimated
    error rate, whose interval says by which factor the number of errors may be off. Three things are uncertain and
    drawn `by.queue_draws` times: the level (all log-odds shifted alike so that the mean is multiplied by a factor from
    the interval, normal in logarithms), the slope (all log-odds times a factor, `by.queue_slope` +-
    `by.queue_slope_spread`, `by.queue_tilt` more where the level is lower), and then which of the labels are wrong,
    independently. Precision and recall are means over slopes and levels, the intervals hold 95 % of the draws. Ours.

    >>> p = np.array([0.9, 0.9, 0.1, 0.1]); sure = ErrorRate(estimate=0.5, low=0.5, high=0.5)
    >>> found = expected_at(p, np.arange(4), [2], rate=sure)[0]
    >>> round(found.precision, 2), round(found.recall, 2), found.recall_high
    (0.91, 0.91, 1.0)
    """
    p = np.asarray(p_mislabelled, dtype=np.float64)
    order = np.asarray(order)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise BadDataError("p_mislabelled must be (N,) probabilities in [0, 1]")
    if not np.array_equal(np.sort(order), np.arange(len(p))):
        raise BadDataError(f"an order names each of {len(p)} rows once")
    if not all(1 <= depth <= len(p) for depth in depths):
        raise BadDataError(f"depths lie between 1 and {len(p)}, got {depths}")
    if not depths:
        return []
    p = p[order]
    rng = np.random.default_rng(seed)
    ends = np.array(depths) - 1
    # for every slope and level: expected wrong labels and their variance up to each depth and altogether
    mean, spread = _grid(p, ends, rate, by)
    slope, level = (np.digitize(rng.normal(size=by.queue_draws), (_STEPS[1:] + _STEPS[:-1]) / 2) for _ in range(2))
    size = np.array(depths)
    before, variance = mean[slope, level, :-1], spread[slope, level, :-1]
    whole = mean[slope, level, -1:]
    inside = _counts(rng, before, variance, size)
    after = _counts(rng, whole - before, spread[slope, level, -1:] - variance, len(p) - size)
    total = inside + after
    drawn_recall = np.divide(inside, total, out=np.ones_like(inside), where=total > 0)
    recall = np.divide(before, whole, out=np.ones_like(before), where=whole > 0).mean(0)
    found = before.mean(0)
    return [
        Expected(
            depth=depth,
            found=float(found[i]),
            precision=float(found[i] / depth),
            # where hardly a label is wrong, nearly all draws have none, and the mean lies beside them
            precision_low=min(float(np.quantile(inside[:, i], 0.025)), float(found[i])) / depth,
            precision_high=max(float(np.quantile(inside[:, i], 0.975)), float(found[i])) / depth,
            recall=float(recall[i]),
            recall_low=min(float(np.quantile(drawn_recall[:, i], 0.025)), float(recall[i])),
            recall_high=max(float(np.quantile(drawn_recall[:, i], 0.975)), float(recall[i])),
        )
        for i, depth in enumerate(depths)
    ]


def _counts(rng: np.random.Generator, mean: np.ndarray, variance: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Numbers of wrong labels among `rows` independent ones with this mean and variance, by the nearest binomial."""
    mean = np.maximum(mean, 0.0)
    less = np.maximum(mean - variance, 1e-12)  # the sum of squared probabilities
    trials = np.clip(np.rint(mean**2 / less), 1, np.maximum(rows, 1)).astype(np.int64)
    return rng.binomial(trials, np.clip(mean / trials, 0.0, 1.0)).astype(np.float64)


def _grid(p: np.ndarray, ends: np.ndarray, rate: ErrorRate, by: Constants) -> tuple[np.ndarray, np.ndarray]:
    """Expected wrong labels and their variance, (slopes, levels, depths + 1), the last entry over all rows."""
    base = log_odds(p)
    few = base[np.linspace(0, len(base) - 1, min(_FEW, len(base))).astype(int)]
    estimate = max(rate.estimate, 0.5 / len(p))  # where nothing speaks for errors, half a case is still possible
    down = float(np.log(estimate / max(rate.low, estimate / 10)) / 1.96)
    up = float(np.log(max(rate.high, estimate) / estimate) / 1.96)
    at = np.append(ends, len(p) - 1)
    mean, spread = np.empty((2, len(_STEPS), len(_STEPS), len(at)))
    for j, step in enumerate(_STEPS):
        factor = step * (up if step > 0 else down)  # in logarithms
        wanted = min(float(p.mean()) * np.exp(factor), 1.0)
        for i, spread_by in enumerate(by.queue_slope_spread * _STEPS):
            steep = max(by.queue_slope - by.queue_tilt * factor + spread_by, 0.1)
            chance = 1 / (1 + np.exp(-steep * base - shift_to(steep * few, wanted)))
            mean[i, j], spread[i, j] = np.cumsum(chance)[at], np.cumsum(chance * (1 - chance))[at]
    return mean, spread
