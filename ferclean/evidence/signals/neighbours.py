"""What surrounds a sample in an embedding: which labels its nearest neighbours carry, and how close they are.

It never decides who the nearest are: `nearest` finds them, once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ferclean.errors import BadDataError
from ferclean.evidence.checks import check_labels, check_same_length
from ferclean.evidence.signals import nearest as search


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
    nearest: search.Nearest | None = None,
) -> Neighbourhood:
    """The labels of the `k` nearest other samples by cosine, weighted 1 - cosine distance (negative cosines weigh 0).

    `labels` (N,), `embedding` (N, D), `fold` and `groups` (N,) as in `nearest.find`, which is asked unless what it
    found (k or more) is at hand as `nearest`. Samples tied at rank k share the remaining places, so the order of the
    rows does not matter. Where all weights are 0, neighbours count alike.

    >>> around = neighbourhood(np.array([0, 0, 1]), np.eye(3)[[0, 0, 1]], num_classes=2, k=1)
    >>> around.shares[0].tolist(), float(around.similarity[0])
    ([1.0, 0.0], 1.0)
    """
    labels = check_labels(labels, num_classes)
    count = check_same_length(labels=labels, embedding=embedding, fold=fold, groups=groups)
    if nearest is None:
        nearest = search.find(embedding, k=k, fold=fold, groups=groups)
    elif len(nearest.at) != count:
        raise BadDataError(f"the nearest of {len(nearest.at):,} samples are at hand, and {count:,} are asked about")
    weights, similarity = surroundings(nearest, k=k)
    one_hot = np.eye(num_classes)[labels]
    shares = weights @ one_hot
    shares[np.isnan(similarity)] = np.nan
    for row in np.flatnonzero((np.diff(weights.indptr) == 0) & ~np.isnan(similarity)):  # a crowd: all of it is asked
        apart = np.zeros(count, dtype=bool) if fold is None else np.asarray(fold) != fold[row]
        apart |= np.arange(count) == row if groups is None else np.asarray(groups) == groups[row]
        others = np.flatnonzero(~apart)
        cosine = search.cosine_to(embedding[row], embedding[others])
        places = min(k, len(others))
        last = np.partition(cosine, -places)[[-places]]
        _, weight = _seats(np.zeros(len(others), dtype=np.int64), cosine, np.array([places]), last)
        shares[row] = weight @ one_hot[others]
    return Neighbourhood(shares=shares, similarity=similarity, weights=weights)


def surroundings(nearest: search.Nearest, *, k: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The `weights` and the `similarity` of a `Neighbourhood` of `k`, which need no label and no embedding.

    Raises BadDataError where fewer than `k` are known of each sample.
    """
    if nearest.k < k:
        raise BadDataError(f"the {nearest.k} nearest of each sample are at hand, and {k} are asked for")
    count = len(nearest.at)
    places = np.minimum(k, (nearest.at >= 0).sum(1))
    near, far, cosine = nearest.listed()
    last = nearest.cosine[np.arange(count), np.maximum(places - 1, 0)]
    seats, weight = _seats(near, cosine, places, last)
    similarity = np.bincount(near, seats * cosine, minlength=count) / np.where(places, places, np.nan)
    heard = weight > 0
    # of a crowd only some are listed, unless it begins beyond the k-th
    crowded = (nearest.crowd & (last == nearest.cosine[:, -1])) | (
        np.bincount(near[heard], minlength=count) > search.CROWD * k
    )
    heard &= ~crowded[near]
    weights = sparse.csr_matrix((weight[heard], (near[heard], far[heard])), shape=(count, count), dtype=np.float64)
    return weights, similarity


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
        vectors = search.unit(embedding[rows]).astype(np.float64)
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


def _seats(near: np.ndarray, cosine: np.ndarray, places: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Who has which part of a sample's `places` (N,), and with what weight: (L,) each, for the columns of `listed`.

    Those as near as the `last` (N,) of the places share what those nearer leave. Weights of one sample sum to 1.
    """
    count = len(places)
    above, tied = cosine > last[near], cosine == last[near]
    left = places - np.bincount(near[above], minlength=count)
    seats = above + tied * (left / np.maximum(np.bincount(near[tied], minlength=count), 1))[near]
    weight = seats * np.maximum(cosine, 0.0)
    total = np.bincount(near, weight, minlength=count)
    silent = total <= 0
    weight = np.where(silent[near], seats, weight)
    return seats, weight / np.where(silent, np.maximum(places, 1), total)[near]
