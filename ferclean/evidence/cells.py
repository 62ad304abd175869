"""Cells: rows that point the same way lie together, so that a search looks at few of them instead of all.

An inverted file over unit vectors (Sivic and Zisserman 2003). It knows no label and no similarity but the cosine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_ROUNDS = 8  # of k-means: later ones move next to nothing
_SAMPLE = 32  # rows per centre that k-means learns from
_CHUNK = 32_000_000  # similarities held at once: 128 MB of float32


@dataclass(frozen=True, kw_only=True)
class Cells:
    """N rows in C cells. `home` (N,): each row's cell; `rows` (N,): all rows, cell by cell, `start` (C + 1,): where
    each cell begins there; `near` (C, C): all cells, nearest first, beginning with the cell itself.
    """

    home: np.ndarray
    rows: np.ndarray
    start: np.ndarray
    near: np.ndarray

    def members(self, cell: int) -> np.ndarray:
        """The rows of a cell, ascending."""
        return self.rows[self.start[cell] : self.start[cell + 1]]

    def reach(self, asking: np.ndarray, found: np.ndarray, *, share: float) -> int:
        """How many rows, nearest cells first, must be looked at so that those asking meet `share` of those found.

        `asking` (L,) and `found` (L,): rows, and which others are nearest to them in truth. 0 where nobody is.
        """
        if not len(asking):
            return 0
        size = np.diff(self.start)
        needed = np.empty(len(asking), dtype=np.int64)
        order = np.argsort(self.home[asking], kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(self.home[asking][order])) + 1):
            near = self.near[self.home[asking[part[0]]]]
            until = np.empty(len(near), dtype=np.int64)
            until[near] = np.cumsum(size[near])
            needed[part] = until[self.home[found[part]]]
        return int(np.quantile(needed, share, method="higher"))

    def around(self, reach: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Of each cell that is not empty: its rows, and `reach` rows or more of the nearest cells, both ascending."""
        size = np.diff(self.start)
        for cell in np.flatnonzero(size).tolist():
            near = self.near[cell]
            enough = int(np.searchsorted(np.cumsum(size[near]), reach)) + 1
            yield self.members(cell), np.sort(np.concatenate([self.members(other) for other in near[:enough].tolist()]))


def cells_of(vectors: np.ndarray, *, seed: int = 0) -> Cells:
    """The rows of `vectors` (N, D), float32 of length 1, in `number_of_cells` cells around centres of k-means."""
    number = number_of_cells(len(vectors))
    rng = np.random.default_rng(seed)
    sample = vectors[np.sort(rng.choice(len(vectors), min(_SAMPLE * number, len(vectors)), replace=False))]
    centre = sample[np.sort(rng.choice(len(sample), number, replace=False))]
    for _ in range(_ROUNDS):
        rows, start = in_order_of(_home(sample, centre), number)
        full = np.flatnonzero(np.diff(start))
        mean = np.add.reduceat(sample[rows], start[full], axis=0)
        length = np.linalg.norm(mean, axis=1, keepdims=True)
        centre[full] = mean / np.where(length > 0, length, 1)
    home = _home(vectors, centre)
    rows, start = in_order_of(home, number)
    near = centre @ centre.T
    near[np.arange(number), np.arange(number)] = np.inf  # whatever rounding says
    order = np.argsort(-near, axis=1, kind="stable").astype(np.int32)
    return Cells(home=home, rows=rows, start=start, near=order)


def number_of_cells(rows: int) -> int:
    """4 sqrt(N): then finding a row's cell costs less than looking into those around it."""
    return min(round(4 * np.sqrt(rows)), rows)


def in_order_of(cell: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (L,) of the entries of `cell` (L,), cell by cell, and where each of `number` begins (number + 1,).

    >>> rows, start = in_order_of(np.array([1, 0, 1]), 2)
    >>> rows.tolist(), start.tolist()
    ([1, 0, 2], [0, 1, 3])
    """
    rows = np.argsort(cell, kind="stable")
    return rows, np.searchsorted(cell[rows], np.arange(number + 1))


def _home(vectors: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The nearest centre of each row: (N,) int32."""
    home = np.empty(len(vectors), dtype=np.int32)
    step = max(1, _CHUNK // len(centre))
    for start in range(0, len(vectors), step):
        home[start : start + step] = (vectors[start : start + step] @ centre.T).argmax(1)
    return home
