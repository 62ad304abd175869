"""How well does a ranking by label quality find errors? Needs the truth, so only measuring code calls it.

It never chooses a threshold and never looks at images.
"""

from __future__ import annotations

import numpy as np

from ferclean.errors import BadDataError, UsageError


def auroc(label_quality: np.ndarray, is_error: np.ndarray) -> float:
    """Chance that a random error has lower quality than a random correct label, ties counting half: in [0, 1].

    `label_quality` (N,) low = likely mislabelled, `is_error` (N,) bool. 0.5 is chance, 1 is perfect; NaN when there
    is no error or nothing but errors.

    >>> auroc(np.array([0.1, 0.9, 0.5]), np.array([True, False, False]))
    1.0
    """
    from scipy.stats import rankdata

    quality, error = _checked(label_quality, is_error)
    errors, clean = int(error.sum()), int((~error).sum())
    if not errors or not clean:
        return float("nan")
    ranks = rankdata(quality)
    return float((ranks[~error].sum() - clean * (clean + 1) / 2) / (errors * clean))


def auprc(label_quality: np.ndarray, is_error: np.ndarray) -> float:
    """Average precision of finding errors from the lowest quality upwards: in [0, 1], the base rate is chance.

    Tied samples enter together. NaN when there is no error. Arguments as for `auroc`.

    >>> auprc(np.array([0.1, 0.2, 0.3]), np.array([True, False, True])) == (1 + 2 / 3) / 2
    True
    """
    quality, error = _checked(label_quality, is_error)
    if not error.any():
        return float("nan")
    order = np.argsort(quality, kind="stable")
    hits = np.cumsum(error[order])
    ends = np.append(np.flatnonzero(np.diff(quality[order])), len(order) - 1)  # the last sample of each tie
    found = hits[ends]
    return float(np.sum(np.diff(found, prepend=0) * found / (ends + 1)) / found[-1])


def precision_at(
    label_quality: np.ndarray, is_error: np.ndarray, *, k: int | None = None, share: float | None = None
) -> float:
    """Share of errors among the `k` (or the `share` of all, rounded, at least 1) samples of lowest quality: in [0, 1].

    Samples tied at the border are taken in proportion, so the order of the rows does not matter.

    >>> precision_at(np.array([0.1, 0.2, 0.2]), np.array([True, True, False]), k=2)
    0.75
    """
    quality, error = _checked(label_quality, is_error)
    if (k is None) == (share is None):
        raise UsageError("give either k or share")
    if share is not None:
        if not 0 < share <= 1:
            raise UsageError(f"share must be in (0, 1], got {share}")
        k = max(1, round(share * len(quality)))
    assert k is not None
    if not 1 <= k <= len(quality):
        raise UsageError(f"k must be in 1..{len(quality)}, got {k}")
    border = np.partition(quality, k - 1)[k - 1]
    below, tied = quality < border, quality == border
    return float((error[below].sum() + (k - below.sum()) * error[tied].mean()) / k)


def _checked(label_quality: np.ndarray, is_error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    quality, error = np.asarray(label_quality, dtype=np.float64), np.asarray(is_error).astype(bool)
    if quality.ndim != 1 or quality.shape != error.shape:
        raise BadDataError(
            f"label_quality and is_error must be equal (N,) arrays, got {quality.shape} and {error.shape}"
        )
    if np.isnan(quality).any():
        raise BadDataError(f"label_quality is NaN in {int(np.isnan(quality).sum())} rows")
    return quality, error
