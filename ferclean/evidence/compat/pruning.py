"""Confident learning as cleanlab counts and prunes it: the same flags, in parts of the rows and one class at a time.

It never holds a second (N, K) array, starts no process and checks nothing: its callers have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CLOSE = 1e-6
"""Probabilities no further apart than this count as equal, in favour of the given label."""
LEAST_THRESHOLD = 2e-6
ABSENT = 2
"""The threshold of a class that nobody was given: no probability reaches it."""
_TINY = 1e-100
_PART_CELLS = 1 << 19  # 4 MB of float64: a part and what is made of it stay in the cache


@dataclass(frozen=True, kw_only=True)
class Confident:
    """What one pass over the probabilities finds out.

    `counts` (K, K) int64: rows by (given, confidently true) class, every diagonal at least 1, not calibrated.
    `off_diagonal` (N,) bool: counted into another class than the given one. `close` (N,) bool: the given label is the
    prediction, or within CLOSE of it. `differs` (N,) bool: the argmax is another class.
    """

    counts: np.ndarray
    off_diagonal: np.ndarray
    close: np.ndarray
    differs: np.ndarray


def row_parts(pred_probs: np.ndarray) -> Iterator[slice]:
    """Slices that cover all rows, each of a size that fits a cache.

    >>> [part.stop for part in row_parts(np.zeros((3, 2)))]
    [3]
    """
    step = max(1, _PART_CELLS // max(1, pred_probs.shape[1]))
    for start in range(0, len(pred_probs), step):
        yield slice(start, min(start + step, len(pred_probs)))


def class_thresholds(labels: np.ndarray, own: np.ndarray, classes: int) -> np.ndarray:
    """Mean probability of the given label per class, (K,), in the precision of `own` (N,); ABSENT without samples.

    Source: Northcutt et al., JAIR 2021.

    >>> class_thresholds(np.array([0, 0]), np.array([0.5, 1.0]), 2).tolist()
    [0.75, 2.0]
    """
    # a plain list, so that float32 means stay float32 unless a class is missing: cleanlab's thresholds, to the bit
    means = [own[labels == k] for k in range(classes)]
    thresholds = [np.mean(values) if len(values) else ABSENT for values in means]
    return np.asarray(np.clip(thresholds, LEAST_THRESHOLD, None))


def own_probabilities(labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray:
    """Probability of the given label: (N,) in the precision of `pred_probs`, low = likely mislabelled.

    >>> own_probabilities(np.array([1]), np.array([[0.75, 0.25]])).tolist()
    [0.25]
    """
    own = np.empty(len(labels), dtype=pred_probs.dtype)
    for part in row_parts(pred_probs):
        own[part] = pred_probs[part][np.arange(part.stop - part.start), labels[part]]
    return own


def count_confident(labels: np.ndarray, pred_probs: np.ndarray, thresholds: np.ndarray) -> Confident:
    """Count every row into the class it confidently belongs to, if any.

    A row belongs to the one class whose threshold it reaches, and to its argmax where it reaches several.

    >>> probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7]])
    >>> count_confident(np.array([0, 0, 0, 1]), probs, np.array([0.6, 0.7])).counts.tolist()
    [[2, 1], [0, 1]]
    """
    count, classes = pred_probs.shape
    reach = thresholds - 1e-6
    counts = np.zeros(classes * classes, dtype=np.int64)
    off_diagonal, close, differs = (np.zeros(count, dtype=bool) for _ in range(3))
    for part in row_parts(pred_probs):
        probs, given = pred_probs[part], labels[part].astype(np.intp)
        rows = np.arange(len(probs))
        top = probs.argmax(1)
        best = probs[rows, top]
        lifted = probs[rows, given] + CLOSE
        differs[part] = top != given
        close[part] = (lifted > best) | ((lifted == best) & (given <= top))
        # a row that reaches its argmax's threshold belongs there, alone or not; only the others need all columns
        guess, confident = top.copy(), best >= reach[top]
        rest = np.flatnonzero(~confident)
        reached = probs[rest] >= reach
        times = reached.sum(1)
        guess[rest] = np.where(times > 1, top[rest], reached.argmax(1))
        confident[rest] = times > 0
        off_diagonal[part] = confident & (guess != given)
        counts += np.bincount((given * classes + guess)[confident], minlength=classes * classes)
    joint = counts.reshape(classes, classes)
    np.fill_diagonal(joint, joint.diagonal().clip(min=1))
    return Confident(counts=joint, off_diagonal=off_diagonal, close=close, differs=differs)


def noise_rate_issues(labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray:
    """The flags of cleanlab's default filter, prune by noise rate: (N,) bool, True = probably wrong.

    >>> labels = np.repeat([0, 1], 20); probs = np.eye(2)[labels] * 0.9 + 0.05
    >>> probs[3] = [0.02, 0.98]
    >>> noise_rate_issues(labels, probs).nonzero()[0].tolist()
    [3]
    """
    members = np.bincount(labels, minlength=pred_probs.shape[1])
    own = own_probabilities(labels, pred_probs)
    found = count_confident(labels, pred_probs, class_thresholds(labels, own, pred_probs.shape[1]))
    counts = prune_counts(calibrated(found.counts, members), members)
    return ~found.close & prune_by_noise_rate(labels, pred_probs, own, counts, least=1)


def calibrated(counts: np.ndarray, members: np.ndarray) -> np.ndarray:
    """The confident joint (given, true), (K, K) int64: `counts` with each row scaled to its class's `members` (K,).

    >>> calibrated(np.array([[3, 1], [0, 2]]), np.array([8, 2])).tolist()
    [[6, 2], [0, 2]]
    """
    by_true = np.ascontiguousarray(counts.T)
    by_true = by_true / np.maximum(by_true.sum(0), _TINY) * members
    by_true = by_true / np.maximum(by_true.sum(), _TINY) * members.sum()
    return rounded(by_true.T)


def prune_counts(
    joint: np.ndarray,
    members: np.ndarray,
    *,
    least: int = 1,
    share: float = 1.0,
    to_remove: np.ndarray | None = None,
) -> np.ndarray:
    """How many rows to prune: (true, given), (K, K) int64; the diagonal says how many to keep.

    `joint` (given, true); `least` rows of each class stay, taken evenly from its errors; only `share` of the errors
    is pruned; `to_remove` (K,) sets how many go per given class (cleanlab's arithmetic, rounding included).

    >>> prune_counts(np.array([[6, 2], [0, 2]]), np.array([8, 2])).tolist()
    [[6, 0], [2, 2]]
    """
    before = joint.T
    kept = np.maximum(before.diagonal(), least)
    errors = np.maximum(np.count_nonzero(before, axis=0) - 1.0, 1.0)  # kinds of error per given class
    whole = before - (kept - before.diagonal()) / errors
    whole[whole < 0] = 0
    np.fill_diagonal(whole, kept)
    fewer = whole * share
    np.fill_diagonal(fewer, kept)
    np.fill_diagonal(fewer, kept + (whole - fewer).sum(0))
    pruned = np.asarray(fewer.astype(np.int64))
    if to_remove is None:
        return pruned
    with np.errstate(invalid="ignore", divide="ignore"):
        portions = pruned / pruned.sum(1)
        wanted = (portions.T * to_remove / (portions.sum(1) - portions.diagonal())).T
    np.fill_diagonal(wanted, members - to_remove)
    return rounded(wanted)


def rounded(matrix: np.ndarray) -> np.ndarray:
    """Whole numbers near `matrix` (K, K), int64, whose rows sum to what the rows of `matrix` sum to, rounded.

    What is infinite or NaN becomes 0, and its row is rounded one by one.

    >>> rounded(np.array([[1.4, 1.3, 1.3]])).tolist()
    [[2, 1, 1]]
    """
    whole = matrix.round()
    for exact, row in zip(matrix, whole, strict=True):
        target = exact.sum().round()
        while abs(target - row.sum()) > CLOSE:  # false for NaN, too
            missing = target - row.sum()
            by_remainder = np.argsort(exact - row)
            row[(by_remainder[::-1] if missing > 0 else by_remainder)[: int(abs(missing))]] += np.sign(missing)
    return np.ascontiguousarray(np.where(np.isfinite(whole), whole, 0).astype(np.int64))


def prune_by_noise_rate(
    labels: np.ndarray, pred_probs: np.ndarray, own: np.ndarray, counts: np.ndarray, *, least: int = 1
) -> np.ndarray:
    """For each pair (true, given), the `counts` rows whose other class leads by most: (N,) bool.

    Classes of at most `least` rows, and of one row, are left alone.

    >>> probs = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    >>> own = own_probabilities(np.array([0, 0, 0]), probs)
    >>> prune_by_noise_rate(np.array([0, 0, 0]), probs, own, np.array([[2, 0], [1, 0]])).tolist()
    [False, False, True]
    """
    flagged = np.zeros(len(labels), dtype=bool)
    for given, rows in _classes(labels, pred_probs.shape[1], least):
        own_here = own[rows]
        for other in np.flatnonzero(counts[:, given] > 0):
            if other != given:
                lead = pred_probs[:, other][rows]
                lead -= own_here
                np.negative(lead, out=lead)
                flagged[rows[lowest(lead, int(counts[other, given]))]] = True
    return flagged


def prune_by_class(labels: np.ndarray, own: np.ndarray, counts: np.ndarray, *, least: int = 1) -> np.ndarray:
    """Of each given class, the rows of least own probability beyond the `counts` on the diagonal: (N,) bool.

    >>> prune_by_class(np.array([0, 0, 0]), np.array([0.9, 0.2, 0.1]), np.array([[2, 0], [1, 0]])).tolist()
    [False, False, True]
    """
    flagged = np.zeros(len(labels), dtype=bool)
    for given, rows in _classes(labels, len(counts), least):
        flagged[rows[lowest(own[rows], len(rows) - int(counts[given, given]))]] = True
    return flagged


def lowest(values: np.ndarray, number: int) -> np.ndarray:
    """Mask of the `number` lowest `values`, (N,) bool.

    Where equal values lie on both sides of the cut, numpy's default argsort picks among them, as in cleanlab: there,
    and only there, the order of the rows matters.

    >>> lowest(np.array([3.0, 1.0, 2.0]), 2).tolist()
    [False, True, True]
    """
    if number <= 0:
        return np.zeros(len(values), dtype=bool)
    if number >= len(values):
        return np.ones(len(values), dtype=bool)
    chosen = np.asarray(values <= np.partition(values, number - 1)[number - 1])
    if np.count_nonzero(chosen) > number:
        chosen[:] = False
        chosen[np.argsort(values)[:number]] = True
    return chosen


def _classes(labels: np.ndarray, classes: int, least: int) -> Iterator[tuple[int, np.ndarray]]:
    for given in range(classes):
        rows = np.flatnonzero(labels == given)
        if len(rows) > max(least, 1):
            yield given, rows
