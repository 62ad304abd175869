"""Which images are copies of one another, and folds that never part them.

It never looks at a file: thumbnails, hashes and labels come in, indices go out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.cells import in_order_of, number_of_cells

NEAR_DUPLICATE = 0.98
"""Thumbnail similarity from which two images count as near-duplicates; set beforehand, then looked at. On 7,500 FER2013
faces it finds 233 of 237 pairs and adds 44; 0.95 finds all and adds 119, 0.99 finds 229 and adds 5."""
MAX_PARTNERS = 100
ONE_CELL = 16_384
"""Rows up to which every pair is looked at: two seconds on two cores."""
PROBES = 8
"""Cells in which the partners of a row are sought; see `near_duplicate_pairs` for what that finds."""
_CHUNK_CELLS = 32_000_000  # similarities held at once: 128 MB of float32


def near_duplicate_pairs(
    thumbnails: np.ndarray, *, threshold: float = NEAR_DUPLICATE, mirrored: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows that look alike: (M, 2) int64 with first < second, in order, and (M,) float32 similarity.

    `thumbnails` is (N, D), any numeric type; the similarity is the cosine in [-1, 1], high = alike, and a pair
    reaches `threshold` or more. All-zero rows (flat images) resemble nothing. With `mirrored` (N, D), the thumbnails of
    the mirrored images, a pair is two rows of which one looks like the other mirrored. A row keeps its MAX_PARTNERS
    most similar later rows, so that ten thousand copies of one placeholder image do not become fifty million pairs,
    and they still hang together as one group.

    Up to ONE_CELL rows it is exhaustive. Beyond that every row lives in the cell of the nearest of 4 sqrt(N) centres,
    which are rows drawn once and for all, and asks in the PROBES cells whose centres are nearest to it; either of a
    pair may find the other. Equal rows always meet. Multiplications: 2e10 at 12,000 rows, 3e11 at 300,000
    (every pair: 1e13), 5e13 at 10 million, where the thumbnails take 10 GB. `mirrored` costs that once more.

    >>> pairs, similarity = near_duplicate_pairs(np.array([[3.0, 0.0], [0.0, 1.0], [5.0, 0.1]]), threshold=0.9)
    >>> pairs.tolist(), [round(float(value), 3) for value in similarity]
    ([[0, 2]], [1.0])
    """
    if not -1 <= threshold <= 1:
        raise UsageError(f"the threshold of near-duplicates is a cosine in [-1, 1], got {threshold}")
    vectors, filled = _unit_rows(thumbnails)
    asking = vectors
    if mirrored is not None:
        if np.shape(mirrored) != np.shape(thumbnails):
            raise BadDataError(f"{np.shape(mirrored)} mirrored thumbnails for {np.shape(thumbnails)}")
        asking = _unit_rows(np.asarray(mirrored)[filled])[0]
    count = len(vectors)
    keys: list[np.ndarray] = [np.empty(0, dtype=np.int64)]
    similarities: list[np.ndarray] = [np.empty(0, dtype=np.float32)]
    for askers, members, whole in _cells(asking, vectors):
        step = max(1, _CHUNK_CELLS // max(len(members), 1))
        for start in range(0, len(askers), step):
            own = askers[start : start + step]
            # where all rows are one cell the later ones are enough: (b, N - start)
            others = members[start:] if whole else members
            block = asking[own] @ vectors[others].T
            at, by = np.nonzero(block >= threshold)
            one, other, values = own[at], others[by], block[at, by]
            right = one < other if whole else one != other
            one, other, values = one[right], other[right], np.clip(values[right], -1.0, 1.0)
            first, second = np.minimum(one, other), np.maximum(one, other)
            kept = _strongest(first, second, values)
            keys.append(first[kept].astype(np.int64) * count + second[kept])
            similarities.append(values[kept])
    key, once = np.unique(np.concatenate(keys), return_index=True)
    values = np.concatenate(similarities)[once]
    first, second = np.divmod(key, max(count, 1))
    kept = _strongest(first, second, values)
    return filled[np.stack([first[kept], second[kept]], axis=1)].astype(np.int64), values[kept]


def group_ids(n: int, pairs: np.ndarray, hashes: Sequence[object] | None = None) -> np.ndarray:
    """Groups of copies: (N,) int64, equal for rows joined by `pairs`, directly or through others, or by equal hash.

    `pairs` is (M, 2); `hashes` has one entry per row, None for unknown. Groups count from 0 by first appearance.

    >>> group_ids(5, np.array([[0, 3], [3, 4]]), ["a", "b", "b", "c", None]).tolist()
    [0, 1, 1, 0, 0]
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    if len(links) and (links.min() < 0 or links.max() >= n):
        raise BadDataError(f"pairs name rows outside 0..{n - 1}")
    if hashes is not None:
        if len(hashes) != n:
            raise BadDataError(f"{len(hashes)} hashes for {n} rows")
        first: dict[object, int] = {}
        same = [(first.setdefault(value, row), row) for row, value in enumerate(hashes) if value is not None]
        links = np.concatenate([links, np.asarray(same, dtype=np.int64).reshape(-1, 2)])
    if n == 0:
        return np.empty(0, dtype=np.int64)
    graph = coo_matrix((np.ones(len(links), dtype=bool), (links[:, 0], links[:, 1])), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    _, first_row, inverse = np.unique(component, return_index=True, return_inverse=True)
    by_appearance = np.empty(len(first_row), dtype=np.int64)
    by_appearance[np.argsort(first_row)] = np.arange(len(first_row))
    return by_appearance[inverse]


def grouped_folds(labels: np.ndarray, groups: np.ndarray, *, folds: int, seed: int) -> np.ndarray:
    """The fold of each sample: (N,) int64 in 0..folds-1, stratified by label, a group never parted.

    Large groups are placed first, then single samples class by class, rarest first; each goes where its class is
    scarcest, then where the fold is smallest. No fold is empty when there are at least `folds` groups; with fewer
    groups some are. A class in fewer groups than folds is missing from some folds, which cannot be helped.
    Deterministic by `seed`, and it depends on the values of `labels` and `groups`, not on the order of the rows.

    >>> fold = grouped_folds(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 2, 3, 3]), folds=2, seed=0)
    >>> bool(fold[0] == fold[1]), bool(fold[4] == fold[5]), sorted(set(fold.tolist()))
    (True, True, [0, 1])
    """
    if folds < 1:
        raise UsageError(f"folds must be at least 1, got {folds}")
    labels, groups = np.asarray(labels), np.asarray(groups)
    if labels.shape != groups.shape or labels.ndim != 1:
        raise BadDataError(f"labels and groups must be equal (N,) arrays, got {labels.shape} and {groups.shape}")
    if not len(labels):
        return np.empty(0, dtype=np.int64)
    _, label = np.unique(labels, return_inverse=True)
    _, group = np.unique(groups, return_inverse=True)
    content = np.zeros((group.max() + 1, label.max() + 1), dtype=np.int64)  # (groups, classes)
    np.add.at(content, (group, label), 1)
    size = content.sum(1)
    total = content.sum(0)
    rarest = np.where(content > 0, total, total.sum() + 1).min(1)
    shuffled = np.random.default_rng(seed).permutation(len(size))
    # np.lexsort: last key first; big groups while there is still room to balance, then rare classes
    order = shuffled[np.lexsort((rarest[shuffled], -size[shuffled]))]

    held = np.zeros((folds, len(total)), dtype=np.float64)  # share of each class already in each fold
    filled = np.zeros(folds, dtype=np.int64)
    placed = np.empty(len(size), dtype=np.int64)
    for index in order:
        row = content[index]
        crowding = held @ row
        best = np.flatnonzero(crowding <= crowding.min() + 1e-12)
        choice = best[np.argmin(filled[best])]
        held[choice] += row / total
        filled[choice] += size[index]
        placed[index] = choice
    return placed[group]


def _unit_rows(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are not all zero, of length 1: (n, D) float32; and which they are: (n,) int64."""
    vectors = np.array(thumbnails, dtype=np.float32)  # a copy: it is normalised in place
    if vectors.ndim != 2:
        raise BadDataError(f"thumbnails must be (N, D), got {vectors.shape}")
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(norm > 0, norm, 1.0)
    filled = np.flatnonzero(norm[:, 0] > 0)
    return (vectors if len(filled) == len(vectors) else vectors[filled]), filled


def _cells(asking: np.ndarray, vectors: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """Of each cell: the rows that ask in it, the rows that live in it, and whether that is everybody in both."""
    count = len(vectors)
    if count <= ONE_CELL:
        everybody = np.arange(count)
        yield everybody, everybody, True
        return
    number = number_of_cells(count)
    centres = vectors[np.random.default_rng(0).choice(count, number, replace=False)]
    probes = min(PROBES, number)
    home = np.empty(count, dtype=np.int32)
    asked = np.empty((count, probes), dtype=np.int32)
    step = max(1, _CHUNK_CELLS // number)
    for start in range(0, count, step):
        rows = slice(start, start + step)
        near = vectors[rows] @ centres.T
        home[rows] = near.argmax(1)
        if asking is not vectors:
            near = asking[rows] @ centres.T
        asked[rows] = np.argpartition(near, -probes, axis=1)[:, -probes:]
    living, lives_from = in_order_of(home, number)
    asks, asks_from = in_order_of(asked.ravel(), number)
    for cell in range(number):
        members = living[lives_from[cell] : lives_from[cell + 1]]
        if len(members):
            yield asks[asks_from[cell] : asks_from[cell + 1]] // probes, members, False


def _strongest(rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Indices of the MAX_PARTNERS most similar entries of each row, in (row, column) order."""
    if not len(rows):
        return np.empty(0, dtype=np.int64)
    order = np.lexsort((columns, -values, rows))
    starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
    position = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return np.sort(order[position < MAX_PARTNERS])
