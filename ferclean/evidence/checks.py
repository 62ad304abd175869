"""Refuse arrays that cannot be what they claim to be, naming the rows, before any number is made of them.

Nothing here repairs, clips or renormalises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ferclean.errors import BadDataError

SUM_TOLERANCE = 1e-3
"""How far a row may be from 1; float16 softmax rows of a few classes stay inside."""
_SHOWN = 5
_PART_CELLS = 1 << 17


def check_labels(labels: np.ndarray, num_classes: int, *, ids: Sequence[object] | None = None) -> np.ndarray:
    """`labels` as (N,) int64 with every value in 0..num_classes-1; the input is not changed.

    Raises BadDataError for another shape or type, and for values outside, naming the rows (by `ids`, else by
    position) and saying so when the labels look as if they counted from 1.

    >>> check_labels(np.array([0, 2]), 3).tolist()
    [0, 2]
    """
    array = np.asarray(labels)
    if array.ndim != 1:
        raise BadDataError(f"labels must be one class index per row, shape (N,), got {array.shape}")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        whole = np.issubdtype(array.dtype, np.floating) and bool(np.all(array == np.floor(array)))
        if not whole:
            raise BadDataError(f"labels must be whole class indices, got {array.dtype}; encode names first")
    array = array.astype(np.int64)
    outside = (array < 0) | (array >= num_classes)
    if outside.any():
        values = sorted(set(array[outside].tolist()))
        one_based = array.min() == 1 and array.max() == num_classes
        hint = "; they look as if they counted from 1: subtract 1" if one_based else ""
        raise BadDataError(
            f"labels outside 0..{num_classes - 1} (values {_few(values)}) in {_rows(outside, ids)}{hint}"
        )
    return array


def check_pred_probs(
    pred_probs: np.ndarray,
    *,
    num_classes: int | None = None,
    ids: Sequence[object] | None = None,
    tolerance: float = SUM_TOLERANCE,
    copy: bool = True,
) -> np.ndarray:
    """`pred_probs` as (N, K) float64 whose rows are probabilities; the input is not changed.

    `copy=False` gives `pred_probs` itself, in its own dtype: for arrays too big to copy.

    Raises BadDataError, naming the rows (by `ids`, else by position), for NaN, infinite and negative values, rows
    that do not sum to 1 within `tolerance`, logits, and another number of columns than `num_classes`.

    >>> check_pred_probs(np.array([[0.25, 0.75]], dtype=np.float32)).dtype
    dtype('float64')
    """
    array = np.asarray(pred_probs)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise BadDataError(f"pred_probs must be a numeric (N, K) array, got shape {array.shape} of {array.dtype}")
    if num_classes is not None and array.shape[1] != num_classes:
        raise BadDataError(f"pred_probs has {array.shape[1]} columns for {num_classes} classes")
    if ids is not None and len(ids) != len(array):
        raise BadDataError(f"{len(ids)} ids for {len(array)} rows of pred_probs")
    for _, part in _parts(array):
        # NaN fails every comparison, so the two questions cover all that can be wrong
        if not (part.min(initial=0.0) >= 0 and (np.abs(np.einsum("ij->i", part) - 1) <= tolerance).all()):
            raise _refusal(array, ids, tolerance)
    return array.astype(np.float64) if copy else array


def check_same_length(**arrays: np.ndarray | None) -> int:
    """The common length of the given arrays (None is skipped). Raises BadDataError naming the odd ones.

    >>> check_same_length(labels=np.zeros(3), fold=None)
    3
    """
    lengths = {name: len(array) for name, array in arrays.items() if array is not None}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise BadDataError(f"these must have one entry per sample, but their lengths differ: {told}")
    return next(iter(lengths.values()), 0)


def _parts(array: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows in float64 chunks that stay in the cache, with their places."""
    step = max(1, _PART_CELLS // max(1, array.shape[1]))
    for start in range(0, len(array), step):
        place = slice(start, start + step)
        yield place, array[place].astype(np.float64, copy=False)


def _refusal(array: np.ndarray, ids: Sequence[object] | None, tolerance: float) -> BadDataError:
    """What is wrong with an array that has a bad row: the gravest fault, and where it is."""
    missing, infinite, negative = (np.zeros(len(array), dtype=bool) for _ in range(3))
    total = np.zeros(len(array))
    of_logs = 0
    with np.errstate(invalid="ignore", over="ignore"):
        for place, part in _parts(array):
            missing[place] = np.isnan(part).any(1)
            infinite[place] = np.isinf(part).any(1)
            negative[place] = (part < 0).any(1)
            total[place] = part.sum(1)
            of_logs += int((np.abs(np.exp(part).sum(1) - 1) <= tolerance).sum())
    off = ~(np.abs(total - 1) <= tolerance)
    if missing.any():
        return BadDataError(f"pred_probs is NaN in {_rows(missing, ids)}")
    if of_logs == len(array):
        return BadDataError(
            f"pred_probs is negative in {_rows(negative, ids)}; these look like log-probabilities: take np.exp first"
        )
    if infinite.any():
        return BadDataError(f"pred_probs is infinite in {_rows(infinite, ids)}")
    hint = ""
    if not negative.any() and np.allclose(total, 100, atol=0.5):
        hint = "; these look like percentages: divide by 100"
    elif off.mean() > 0.5 and (negative.any() or array.max() > 1):
        # a few odd rows among sound ones are faults, not another scale
        hint = "; these look like logits: apply a softmax first"
    if negative.any():
        return BadDataError(f"pred_probs is negative in {_rows(negative, ids)}{hint}")
    return BadDataError(f"pred_probs does not sum to 1 (but to {total[off][0]:.4g}) in {_rows(off, ids)}{hint}")


def _rows(mask: Any, ids: Sequence[object] | None) -> str:
    rows = np.flatnonzero(mask)
    shown = [str(ids[row]) if ids is not None else str(row) for row in rows[:_SHOWN]]
    more = f", ... ({len(rows):,} in all)" if len(rows) > _SHOWN else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(shown)}{more}"


def _few(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values[:_SHOWN]) + (", ..." if len(values) > _SHOWN else "")
