"""Ranks within a set: what signals of different kinds have in common.

It knows no signal by name and gives no probability.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ferclean.errors import UsageError
from ferclean.evidence.checks import check_same_length


def fuse_by_rank(
    signals: Mapping[str, np.ndarray], labels: np.ndarray | None = None, *, weights: Mapping[str, float] | None = None
) -> np.ndarray:
    """Weighted mean of the signals' ranks within the set: (N,) in [0, 1], low = likely mislabelled.

    Every signal must be low = bad; ties get their average rank; a NaN has no say for that sample, and a sample
    without any signal gets 0.5. With `labels`, ranks are taken within each class (a per-class ranking). `weights`
    defaults to 1 for each signal; signals without a weight in it are left out.

    >>> fuse_by_rank({"a": np.array([0.1, 0.5, 0.9]), "b": np.array([3, 1, 9])}).tolist()
    [0.25, 0.25, 1.0]
    """
    chosen = {name: 1.0 for name in signals} if weights is None else dict(weights)
    used = {name: float(weight) for name, weight in chosen.items() if name in signals and weight > 0}
    if not used:
        raise UsageError(
            f"no signal to fuse: weights name {', '.join(chosen) or 'none'}, given are {', '.join(signals) or 'none'}"
        )
    arrays = {name: np.asarray(signals[name], dtype=np.float64) for name in used}
    count = check_same_length(labels=labels, **arrays)
    parts = np.zeros(count, dtype=np.int64) if labels is None else np.asarray(labels)
    total, weight_of = np.zeros(count), np.zeros(count)
    for name, weight in used.items():
        for part in np.unique(parts):
            rows = np.flatnonzero((parts == part) & ~np.isnan(arrays[name]))
            total[rows] += weight * unit_ranks(arrays[name][rows])
            weight_of[rows] += weight
    return np.where(weight_of > 0, total / np.where(weight_of > 0, weight_of, 1.0), 0.5)


def unit_ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks scaled to [0, 1]; 0.5 for a single value."""
    from scipy.stats import rankdata

    if len(values) < 2:
        return np.full(len(values), 0.5)
    return (rankdata(values) - 1) / (len(values) - 1)
