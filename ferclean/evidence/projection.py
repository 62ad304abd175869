"""Where faces lie on a map: two numbers each, so that alike ones lie together, also those of different folds.

It judges nothing. Given labels enter it only as the mean face of each class, by which the folds' spaces are compared.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial import cKDTree

from ferclean.evidence.signals import nearest as search
from ferclean.evidence.signals.nearest import Nearest, unit

FIT = 100_000
"""Faces that the projection is fitted on at most; further ones are placed beside those that they are most alike."""
_OWN, _ACROSS = 7, 7
"""Neighbours of its own fold, and of the others, that a face is drawn to: 14, one less than UMAP's default of 15, which
counts the face itself. On 6,000 faces of FER2013 in four folds, a third of a face's 15 nearest on the map are of its
own fold (chance is a quarter; without neighbours across, all are), and of the 15 nearest of its own fold 27 % are its
nearest in the embedding (31 % without)."""
_BESIDE = 5  # placed faces that one which was not fitted is put between
_SIDE = 10.0  # units that the start is wide, as UMAP's own


def project(
    embedding: np.ndarray, given: np.ndarray, near: Nearest, *, fold: np.ndarray, seed: int = 0, fit: int = FIT
) -> np.ndarray:
    """Positions (N, 2) float32 in [0, 1], the longer side filled, by UMAP (McInnes, Healy and Melville 2018).

    `embedding` (N, D); `given` (N,) class codes, -1 = none; `fold` (N,): rows of one fold share a space; `near`: who is
    near whom within it. Networks of different folds have nothing to do with each other, and their faces would lie on
    islands of their own. So a face is drawn to its nearest of its own fold and, as many, of the others: those that lie
    alike to the mean faces of the classes (relative representations, Moschella et al. 2023). It starts where the first
    two principal components of that put it, so that no spectral decomposition is needed.

    Same input and seed, same bytes, on one thread. Beyond `fit` faces that many, drawn at random, are projected, and
    the others put at the mean of the placed ones among their neighbours, weighted by cosine (where fewer than three
    are: among those alike to the mean faces). One core, 128 dimensions, five folds: 11 s at 12,000 faces, 50 s at
    100,000, 62 s at 300,000; extrapolated, 11 minutes at 10 million.
    """
    alike = _relative(embedding, given, fold)
    count = len(embedding)
    if count > fit:
        rows = np.sort(np.random.default_rng(seed).choice(count, fit, replace=False))
        within = search.find(embedding[rows], k=_OWN + _ACROSS, fold=fold[rows])
    else:
        rows, within = np.arange(count), near
    at = np.empty((count, 2), dtype=np.float32)
    at[rows] = _fitted(alike[rows], within, fold[rows], seed=seed)
    if len(rows) < count:
        _place(at, rows, alike, near)
    at -= at.min(axis=0, initial=np.inf)
    return at / max(float(at.max(initial=0.0)), 1e-9)


def _relative(embedding: np.ndarray, given: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """How much each face is like the mean face of each class, measured in its own fold: (N, classes), mean 0, sd 1."""
    classes = np.unique(given[given >= 0])
    alike = np.zeros((len(embedding), max(2, len(classes))), dtype=np.float32)
    for one in np.unique(fold):
        rows = np.flatnonzero(fold == one)
        vectors = unit(embedding[rows])
        vectors = unit(vectors - vectors.mean(axis=0))
        for column, code in enumerate(classes):
            members = vectors[given[rows] == code]
            if len(members):
                cosine = vectors @ unit(members.mean(axis=0)[None])[0]
                alike[rows, column] = (cosine - cosine.mean()) / max(float(cosine.std()), 1e-6)
    return alike


def _fitted(alike: np.ndarray, near: Nearest, fold: np.ndarray, *, seed: int) -> np.ndarray:
    start = _components(alike)
    at, distance = _drawn_to(alike, near, fold)
    width = at.shape[1]
    if len(at) <= width + 1:  # so few faces have no neighbourhoods
        return start
    with warnings.catch_warnings():
        # of a package that it can do without, and of code that numba may run in parallel
        warnings.simplefilter("ignore")
        from threadpoolctl import threadpool_limits
        from umap.umap_ import UMAP

        mapping = UMAP(
            n_neighbors=width, init=start, random_state=seed, n_jobs=1, force_approximation_algorithm=True,
            precomputed_knn=(at, distance),
        )  # fmt: skip
        # numba sets the threads of all that use OpenMP, torch too, whose next training would give other bytes
        with threadpool_limits(limits=1, user_api="openmp"):
            found = np.asarray(mapping.fit_transform(alike), dtype=np.float32)
    return np.where(np.isfinite(found).all(axis=1, keepdims=True), found, start)


def _components(alike: np.ndarray) -> np.ndarray:
    """The first two principal components, each with its sign fixed: (N, 2)."""
    centred = (alike - alike.mean(axis=0)).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, :-3:-1]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1, 1)
    found = centred @ axes
    return (found / max(float(np.abs(found).max(initial=0.0)), 1e-9) * _SIDE).astype(np.float32)


def _drawn_to(alike: np.ndarray, near: Nearest, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whom each face is drawn to and from how far, itself first, then by distance: (N, k) each.

    Distances in the embedding are 1 - cosine; those between folds are brought to the same median. Where there is nobody
    stands the face itself, as far as its farthest, which UMAP passes over.
    """
    count = len(alike)
    own = np.arange(count)
    spaces = np.unique(fold)
    known = near.at[:, : _OWN if len(spaces) > 1 else _OWN + _ACROSS].astype(np.int64)
    distance = np.where(known >= 0, 1 - np.nan_to_num(near.cosine[:, : known.shape[1]]), np.nan).astype(np.float32)
    if len(spaces) > 1:
        across = np.full((count, _ACROSS), -1, dtype=np.int64)
        far = np.full((count, _ACROSS), np.nan, dtype=np.float32)
        for space in spaces:
            asking, others = np.flatnonzero(fold == space), np.flatnonzero(fold != space)
            found = min(_ACROSS, len(others))
            gap, place = cKDTree(alike[others]).query(alike[asking], range(1, found + 1))
            across[asking, :found], far[asking, :found] = others[place], gap
        if np.isfinite(distance).any():
            far *= np.nanmedian(distance) / max(float(np.nanmedian(far)), 1e-9)
        known, distance = np.concatenate([known, across], axis=1), np.concatenate([distance, far], axis=1)
    farthest = np.nan_to_num(distance).max(axis=1, keepdims=True, initial=0.0)
    known = np.where(known >= 0, known, own[:, None])
    distance = np.where(np.isnan(distance), farthest, distance)
    order = np.argsort(distance, axis=1, kind="stable")
    known, distance = np.take_along_axis(known, order, 1), np.take_along_axis(distance, order, 1)
    return (
        np.concatenate([own[:, None], known], axis=1),
        np.concatenate([np.zeros((count, 1), np.float32), distance], axis=1).astype(np.float32),
    )


def _place(at: np.ndarray, rows: np.ndarray, alike: np.ndarray, near: Nearest) -> None:
    """Put the others, in `at`, between the placed `rows` that they are most alike."""
    placed = np.zeros(len(at), dtype=bool)
    placed[rows] = True
    others = np.flatnonzero(~placed)
    for part in np.array_split(others, len(others) // 100_000 + 1):
        known = near.at[part]
        weight = np.where((known >= 0) & placed[known], np.maximum(np.nan_to_num(near.cosine[part]), 1e-3), 0.0)
        weight[np.cumsum(weight > 0, axis=1) > _BESIDE] = 0.0
        lonely = (weight > 0).sum(axis=1) < 3
        total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
        at[part] = np.einsum("nk,nkd->nd", weight / total, np.where(weight[..., None] > 0, at[known], 0.0))
        gap, place = cKDTree(alike[rows]).query(alike[part[lonely]], range(1, _BESIDE + 1))
        closeness = 1 / (gap + 1e-3)
        at[part[lonely]] = np.einsum("nk,nkd->nd", closeness / closeness.sum(axis=1, keepdims=True), at[rows[place]])
