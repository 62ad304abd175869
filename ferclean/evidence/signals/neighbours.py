"""Nearest neighbours in an embedding: which labels stand around a sample, and how close they are.

Brute force in bounded memory; no index, no approximation, no randomness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.checks import check_labels, check_same_length

_CHUNK_CELLS = 16_000_000
_DIGITS = 5  # similarities closer than float32 can tell count as ties
_CROWD = 8  # a face with more than this times k equally near neighbours has a shapeless surrounding


@dataclass(frozen=True, kw_only=True)
class Neighbourhood:
    """What surrounds each sample.

    `shares` (N, K) float64: the weight of each class among the neighbours, rows sum to 1; the argmax is a proposal.
    `similarity` (N,) float64 in [-1, 1]: mean cosine to the neighbours, low = far from everything.
    Both are NaN where a sample has no neighbour in its space. `weights` (N, N) sparse float64: who the neighbours are
    and how much each counts, rows sum to 1, so that `weights @ X` asks them about anything else than their given
    labels; a row is empty where there is no neighbour, or where hundreds are equally near and none stands out.
    """

    shares: np.ndarray
    similarity: np.ndarray
    weights: sparse.csr_matrix


def neighbourhood(
    labels: np.ndarray,
    embedding: np.ndarray,
    *,
    num_classes: int,
    k: int = 10,
    fold: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Neighbourhood:
    """The labels of the `k` nearest other samples by cosine, weighted 1 - cosine distance (negative cosines weigh 0).

    `labels` (N,), `embedding` (N, D). With `fold` (N,), neighbours are sought among samples of the same fold only:
    out-of-fold embeddings of two folds come from two networks, whose axes have nothing to do with each other. With
    `groups` (N,), copies of a sample (the same group) have no say about it. Samples tied at rank k share the
    remaining places, so the order of the rows does not matter. Where all weights are 0, neighbours count alike.

    >>> around = neighbourhood(np.array([0, 0, 1]), np.eye(3)[[0, 0, 1]], num_classes=2, k=1)
    >>> around.shares[0].tolist(), float(around.similarity[0])
    ([1.0, 0.0], 1.0)
    """
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k}")
    labels = check_labels(labels, num_classes)
    embedding = np.asarray(embedding)
    if embedding.ndim != 2:
        raise BadDataError(f"embedding must be (N, D), got {embedding.shape}")
    count = check_same_length(labels=labels, embedding=embedding, fold=fold, groups=groups)
    bad = ~np.isfinite(embedding).all(1)
    if bad.any():
        raise BadDataError(f"embedding holds NaN or infinite values in {int(bad.sum())} rows, first {bad.argmax()}")
    shares = np.full((count, num_classes), np.nan)
    similarity = np.full(count, np.nan)
    spaces = np.zeros(count, dtype=np.int64) if fold is None else np.asarray(fold)
    group = np.arange(count) if groups is None else np.asarray(groups)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for space in np.unique(spaces):
        rows = np.flatnonzero(spaces == space)
        vectors = _unit(embedding[rows])
        one_hot = np.eye(num_classes)[labels[rows]]  # (n, K)
        step = max(1, _CHUNK_CELLS // len(rows))
        wide = min(_CROWD * k + 1, len(rows))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            cosine = np.round(vectors[start : start + step] @ vectors.T, _DIGITS)
            cosine[group[part][:, None] == group[rows][None, :]] = -np.inf  # itself and its copies
            # only the nearest can vote; whom a tie at rank k carries beyond them is asked in full below
            at = np.argpartition(cosine, -wide, axis=1)[:, -wide:] if wide < len(rows) else None
            nearest = cosine if at is None else np.take_along_axis(cosine, at, axis=1)
            votes, similarity[part], last = _vote(nearest, k)
            crowded = (votes > 0).sum(1) > _CROWD * k
            if at is None:
                shares[part] = votes @ one_hot
                at = np.broadcast_to(np.arange(len(rows)), votes.shape)
            else:
                shares[part] = (votes[:, :, None] * one_hot[at]).sum(1)
                beyond = np.flatnonzero(np.isfinite(last) & (nearest.min(1) >= last))
                if len(beyond):
                    votes_of, similarity[part[beyond]], _ = _vote(cosine[beyond], k)
                    shares[part[beyond]] = votes_of @ one_hot
                    crowded[beyond] = True
            near_at, far_at = np.nonzero((votes > 0) & ~crowded[:, None])
            found.append((part[near_at], rows[at[near_at, far_at]], votes[near_at, far_at]))
    near, far, weight = (np.concatenate(column) for column in zip(*found, strict=True)) if found else ([], [], [])
    weights = sparse.csr_matrix((weight, (near, far)), shape=(count, count), dtype=np.float64)
    return Neighbourhood(shares=shares, similarity=similarity, weights=weights)


def class_centre_gap(
    labels: np.ndarray, embedding: np.ndarray, *, num_classes: int, fold: np.ndarray | None = None
) -> np.ndarray:
    """Distance to the nearest other class centre minus distance to the own one: (N,) in [-2, 2], low = misplaced.

    Embeddings are scaled to length 1; centres are means within the fold's space, without the sample itself. NaN
    where no other sample of the class, or no other class, is in the space. Source: triplet-center loss, as a score.

    >>> gap = class_centre_gap(np.array([0, 0, 0, 1, 1]), np.eye(2)[[0, 0, 1, 1, 1]], num_classes=2)
    >>> bool(gap[2] < 0 < gap[0])
    True
    """
    labels = check_labels(labels, num_classes)
    embedding = np.asarray(embedding)
    count = check_same_length(labels=labels, embedding=embedding, fold=fold)
    gap = np.full(count, np.nan)
    spaces = np.zeros(count, dtype=np.int64) if fold is None else np.asarray(fold)
    for space in np.unique(spaces):
        rows = np.flatnonzero(spaces == space)
        vectors = _unit(embedding[rows]).astype(np.float64)
        own = labels[rows]
        members = np.bincount(own, minlength=num_classes)
        sums = np.eye(num_classes)[own].T @ vectors  # (K, D)
        centres = sums / np.maximum(members, 1)[:, None]
        squared = (vectors**2).sum(1)[:, None] - 2 * vectors @ centres.T + (centres**2).sum(1)
        distance = np.sqrt(np.maximum(squared, 0))  # (n, K)
        distance[:, members == 0] = np.inf
        rest = (sums[own] - vectors) / np.maximum(members[own] - 1, 1)[:, None]
        to_own = np.where(members[own] > 1, np.linalg.norm(vectors - rest, axis=1), np.nan)
        distance[np.arange(len(rows)), own] = np.inf
        nearest = distance.min(1)
        gap[rows] = np.where(np.isfinite(nearest), nearest, np.nan) - to_own
    return gap


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float32)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norm > 0, norm, 1.0)


def _vote(cosine: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each neighbour's weight (b, n), rows sum to 1 or are NaN, mean cosine (b,) and the k-th one (b,).

    -inf in `cosine` (b, n) means no neighbour.
    """
    allowed = np.isfinite(cosine)
    places = np.minimum(k, allowed.sum(1))  # (b,)
    take = min(k, cosine.shape[1])
    ranked = -np.sort(-np.partition(cosine, -take, axis=1)[:, -take:], axis=1)
    last = np.take_along_axis(ranked, np.maximum(places - 1, 0)[:, None], axis=1)  # (b, 1): the k-th cosine
    above, tied = cosine > last, (cosine == last) & allowed
    left = places - above.sum(1)
    seats = above + tied * (left / np.maximum(tied.sum(1), 1))[:, None]  # sums to `places`
    weight = seats * np.maximum(np.where(allowed, cosine, 0.0), 0.0)
    silent = weight.sum(1) <= 0
    weight[silent] = seats[silent]
    lone = places == 0
    mean = (seats * np.where(allowed, cosine, 0.0)).sum(1) / np.where(lone, np.nan, places)
    return weight / np.where(lone, np.nan, weight.sum(1))[:, None], mean, last[:, 0]
