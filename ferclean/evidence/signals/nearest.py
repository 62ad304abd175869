"""Who is nearest to each sample by cosine: found once, and read by everything that asks about neighbours.

It reads no label and makes nothing up where nobody is near; what it draws it draws the same each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.cells import cells_of
from ferclean.evidence.checks import check_same_length

CROWD = 8
"""A sample with more than this times k equally near others has a shapeless surrounding; they are not listed."""
EXACT = 50_000
"""Rows of one space up to which every pair is compared: 15 s of one core; cells begin to win at half of that."""
_MET = 0.99  # share of the drawn rows' neighbours that lie in the cells looked into
_DRAWN = 1000
_CHUNK_CELLS = 16_000_000
_BUNDLE = 16  # columns of which `_candidates` looks at the best first
_DIGITS = 5  # similarities closer than float32 can tell count as ties
_LEAST = np.finfo(np.float32).min  # less is nobody
_Found: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Who asked (b,), and what `_best` says of them: row there, the other's number, value (L,), and crowd (b,)."""


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The nearest others of N samples.

    `at` (N, k) int32: their row numbers, nearest first, equally near ones by row; -1 where there are fewer than k.
    `cosine` (N, k) float32: how near they are, rounded to 5 digits; NaN where nobody is. `tied` (M, 2) int32: a sample
    and one more that is as near as the last of its k. `crowd` (N,): too many are, so `tied` has none of them.
    """

    at: np.ndarray
    cosine: np.ndarray
    tied: np.ndarray
    crowd: np.ndarray

    @classmethod
    def of_nobody(cls) -> Nearest:
        """Of no samples."""
        nobody = np.empty((0, 1), dtype=np.int32)
        return cls(
            at=nobody, cosine=nobody.astype(np.float32), tied=np.empty((0, 2), dtype=np.int32),
            crowd=np.empty(0, dtype=bool),
        )  # fmt: skip

    @property
    def k(self) -> int:
        """How many are known of each sample."""
        return int(self.at.shape[1])

    def listed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All that is known as three columns (L,): sample, its neighbour, their cosine."""
        there = self.at >= 0
        near = np.flatnonzero(there.ravel()) // max(self.k, 1)
        last = self.cosine[self.tied[:, 0], -1] if len(self.tied) else np.empty(0, dtype=np.float32)
        return (
            np.concatenate([near, self.tied[:, 0]]).astype(np.int64),
            np.concatenate([self.at[there], self.tied[:, 1]]).astype(np.int64),
            np.concatenate([self.cosine[there], last]),
        )

    def in_order(self, order: np.ndarray) -> Nearest:
        """The same of the same samples in another order; `order` (N,): the present row of each new row."""
        place = np.empty(len(order) + 1, dtype=np.int32)
        place[order] = np.arange(len(order))
        place[-1] = -1  # nobody stays nobody
        return Nearest(
            at=place[self.at[order]], cosine=self.cosine[order], tied=place[self.tied].reshape(-1, 2),
            crowd=self.crowd[order],
        )  # fmt: skip


def find(embedding: np.ndarray, *, k: int, fold: np.ndarray | None = None, groups: np.ndarray | None = None) -> Nearest:
    """The `k` nearest other rows of `embedding` (N, D) by cosine, and all that tie with the last of them.

    With `fold` (N,), among rows of the same fold only: out-of-fold embeddings of two folds come from two networks,
    whose axes have nothing to do with each other. With `groups` (N,), copies (the same group) are not each other's
    neighbours.

    Up to EXACT rows in a space every pair is compared. Beyond that a row asks in the cells nearest to its own
    (`cells`): in so many that 1,000 rows drawn beforehand, which ask everybody, would meet 99 % of their neighbours.
    Who finds too few others there asks everybody, and all do where that many cells hold half of all rows, as they do
    where no direction is more frequent than another. What is listed is as near as it says; a row at the edge of its
    cell may miss some. One core, 128 dimensions, seven classes of which a row looks at one: 1 s at 12,000 rows,
    50 s at 300,000 in four folds (92 if every pair were compared); extrapolated, 4 hours at 10 million in five (22).
    In bounded memory. Raises BadDataError for NaN or infinite values.

    >>> found = find(np.array([[1.0, 0], [1, 1], [0, 1]]), k=1)
    >>> found.at.tolist(), found.tied.tolist(), round(float(found.cosine[0, 0]), 3)
    ([[1], [0], [1]], [[1, 2]], 0.707)
    """
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k}")
    embedding = np.asarray(embedding)
    if embedding.ndim != 2:
        raise BadDataError(f"embedding must be (N, D), got {embedding.shape}")
    count = check_same_length(embedding=embedding, fold=fold, groups=groups)
    bad = ~np.isfinite(embedding).all(1)
    if bad.any():
        raise BadDataError(f"embedding holds NaN or infinite values in {int(bad.sum())} rows, first {bad.argmax()}")
    spaces = np.zeros(count, dtype=np.int64) if fold is None else np.asarray(fold)
    group = np.arange(count) if groups is None else np.asarray(groups)
    at = np.full((count, k), -1, dtype=np.int32)
    cosine = np.full((count, k), np.nan, dtype=np.float32)
    crowd = np.zeros(count, dtype=bool)
    tied = [np.empty((0, 2), dtype=np.int32)]
    for space in np.unique(spaces):
        rows = np.flatnonzero(spaces == space)
        for part, own, other, value, many in _Space(unit(embedding[rows]), group[rows]).nearest(k):
            crowd[rows[part]] = many
            place = np.arange(len(own)) - np.searchsorted(own, own)
            within = place < k
            asking = rows[part[own]]
            at[asking[within], place[within]] = rows[other[within]]
            cosine[asking[within], place[within]] = value[within]
            tied.append(np.stack([asking[~within], rows[other[~within]]], axis=1).astype(np.int32))
    return Nearest(at=at, cosine=cosine, tied=np.concatenate(tied), crowd=crowd)


class _Space:
    """Rows whose cosines mean something: `vectors` (n, D) of length 1, and which are copies of one another: (n,)."""

    def __init__(self, vectors: np.ndarray, group: np.ndarray) -> None:
        self.vectors = vectors
        _, self.group, self.size = np.unique(group, return_inverse=True, return_counts=True)
        self.by_group, self.begin = np.argsort(self.group, kind="stable"), np.cumsum(self.size) - self.size
        self.held = np.empty(max(_CHUNK_CELLS, len(vectors)), dtype=np.float32)

    def nearest(self, k: int) -> Iterator[_Found]:
        """The `k` nearest of every row, a part of the rows at a time."""
        count = len(self.vectors)
        everybody = np.arange(count)
        if count <= EXACT:
            yield from self.ask(everybody, everybody, k)
            return
        cells = cells_of(self.vectors)
        drawn = np.sort(np.random.default_rng(0).choice(count, _DRAWN, replace=False))
        true = [(part[own], other) for part, own, other, _, _ in self.ask(drawn, everybody, k)]
        asking, found = (np.concatenate(column) for column in zip(*true, strict=True))
        reach = cells.reach(asking, found, share=_MET)
        if reach > count // 2:
            yield from self.ask(everybody, everybody, k)
            return
        left = []
        for members, others in cells.around(reach):
            for part, own, other, value, many in self.ask(members, others, k):
                # whose own copies fill all the cells around it has to ask everybody
                short = np.bincount(own, minlength=len(part)) < np.minimum(k, count - self.size[self.group[part]])
                left.append(part[short])
                yield part, own, other, value, many
        yield from self.ask(np.concatenate(left), everybody, k)

    def ask(self, askers: np.ndarray, others: np.ndarray, k: int) -> Iterator[_Found]:
        """The `k` nearest of `askers` (a,) among `others` (m,), ascending: row numbers."""
        everybody = len(others) == len(self.vectors)
        answering = self.vectors if everybody else self.vectors[others]
        place = np.full(len(self.vectors), -1, dtype=np.int64)
        place[others] = np.arange(len(others))
        step = max(1, _CHUNK_CELLS // len(others))
        for start in range(0, len(askers), step):
            part = askers[start : start + step]
            # into the same memory: asking the system for more at each block would cost a quarter of the time
            near = self.held[: len(part) * len(others)].reshape(len(part), len(others))
            np.matmul(self.vectors[part], answering.T, out=near)
            there = np.flatnonzero(place[part] >= 0)
            near[there, place[part[there]]] = -np.inf
            copies = self.group[part]
            for row in np.flatnonzero(self.size[copies] > 1):
                column = place[self.by_group[self.begin[copies[row]] :][: self.size[copies[row]]]]
                near[row, column[column >= 0]] = -np.inf
            own, other, value, many = _best(near, k)
            yield part, own, others[other], value, many


def unit(vectors: np.ndarray) -> np.ndarray:
    """(N, D) float32 rows of length 1; a row of zeros stays one."""
    vectors = vectors.astype(np.float32)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norm > 0, norm, 1.0)


def cosine_to(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cosine of the vector `one` (D,) to each of `others` (M, D): (M,) float32, rounded as `Nearest.cosine` is."""
    return np.round(unit(others) @ unit(one[None])[0], _DIGITS)


def _best(near: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of `near` (b, n), -inf for nobody: row, column and rounded value (L,) of each row's k best and of those that tie
    with the last, best first; and the rows (b,) where more than CROWD k tie, of which the first k are told.
    """
    rows, take = len(near), min(k, near.shape[1])
    # rounding is for the few that may be among the best, not for all
    own, other, many = _candidates(near, take, most=CROWD * k)
    crowd = np.zeros(rows, dtype=bool)
    found = [(own, other)]
    # as in a heap of equal images; listed whole they would fill the memory
    for row in np.flatnonzero(many):
        value = np.round(near[row], _DIGITS)
        best = np.flatnonzero(value >= max(np.partition(value, -take)[-take], _LEAST))
        crowd[row] = len(best) > CROWD * k
        best = best[np.argsort(-value[best], kind="stable")[:k]] if crowd[row] else best
        found.append((np.full(len(best), row), best))
    own, other = (np.concatenate(columns) for columns in zip(*found, strict=True))
    value = np.round(near[own, other], _DIGITS)
    order = np.lexsort((other, -value, own))
    own, other, value = own[order], other[order], value[order]
    first = np.searchsorted(own, np.arange(rows))
    listed = np.append(first[1:], len(own)) - first
    # all that is at least as near as the k-th, or as the last where there are fewer
    keep = value >= value[(first + np.minimum(k, listed) - 1)[own]]
    return own[keep], other[keep], value[keep], crowd


def _candidates(near: np.ndarray, take: int, *, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column (L,) of all that may be among the `take` largest of its row of `near` (b, n) once it is rounded,
    and of some more; and the rows (b,) bool that have more than `most`, of which none is listed.

    The columns of a wide row are dealt into bundles, of which only the best is looked at: at least `take` columns
    reach the `take`-th of these, and bundles below it hold nobody. So all is read once, and sorted never.
    """
    rows, columns = near.shape
    width = columns // _BUNDLE
    wide = width > most
    best = near
    if wide:
        # bundle g: columns g, g + width, g + 2 width, ...
        best, left = near[:, : width * _BUNDLE].reshape(rows, _BUNDLE, width).max(1), columns - width * _BUNDLE
        np.maximum(best[:, :left], near[:, width * _BUNDLE :], out=best[:, :left])
    last = np.partition(best, -take, axis=1)[:, -take] - np.float32(2 * 10.0**-_DIGITS)
    floor = np.maximum(last, _LEAST)
    high = best >= floor[:, None]
    many = high.sum(1) > most
    high[many] = False
    own, other = np.divmod(np.flatnonzero(high), high.shape[1])
    if wide:
        members = other[:, None] + width * np.arange(_BUNDLE + 1)
        own, other = np.repeat(own, _BUNDLE + 1), members.ravel()
        own, other = own[other < columns], other[other < columns]
        kept = near[own, other] >= floor[own]
        own, other = own[kept], other[kept]
        many |= np.bincount(own, minlength=rows) > most
        own, other = own[~many[own]], other[~many[own]]
    return own, other, many
