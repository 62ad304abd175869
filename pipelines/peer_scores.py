"""What published label-error detectors say from the same features: neighbours, relations, training dynamics.

Written from the papers, for comparison in pipelines only; never part of a verdict. Low = likely mislabelled. Neighbours
come from `evidence.neighbours`, within a fold's space: out-of-fold embeddings of two folds have nothing in common.
SEMD (Srikanth et al. 2023, arXiv 2312.02200) is not among them: no text of its definition was at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.stats import rankdata

from ferclean.evidence.signals import neighbours

VOTERS = 10
"""SimiFeat: faces that say what a label should be, the face itself among them."""
LEAST_FLAGGED, MOST_FLAGGED = 0.05, 0.95
"""SimiFeat: shares of a class that are flagged where its estimated noise is none or all."""
RELATED = 250
"""Relation graph: nearest faces of the same space whose relations are added up, instead of all."""
SHARPNESS, SMALL_EDGE, NOISY = 4, 0.03, 0.05
"""Relation graph: exponent of the kernel, relations that count as none, share of the largest score below zero from
which a face is taken to be mislabelled. The paper's values for images."""
_CHUNK = 65_536


@dataclass(frozen=True, kw_only=True)
class Space:
    """One recognizer's out-of-fold embedding (N, D), and the fold (N,) whose network made each row."""

    embedding: np.ndarray
    fold: np.ndarray


def peer_scores(
    labels: np.ndarray,
    pred_probs: np.ndarray,
    spaces: Sequence[Space],
    dynamics: Sequence[Mapping[str, np.ndarray]] = (),
) -> dict[str, np.ndarray]:
    """All of them by name, (N,) each. `dynamics`: per recognizer `aum` and `mean_confidence` (N,), in-sample by nature.

    Of several recognizers, votes and relations are averaged, and dynamics by their ranks.
    """
    count = pred_probs.shape[1]
    found = simifeat(labels, spaces, num_classes=count)
    found["relation_graph"] = relation_graph(labels, pred_probs, spaces)
    for name in ("aum", "mean_confidence"):
        members = [np.asarray(member[name]) for member in dynamics]
        if members:
            ranked = np.mean([rankdata(values) / len(values) for values in members], axis=0)
            found[f"epoch_{name}"] = members[0] if len(members) == 1 else ranked
    return found


def flagged(quality: np.ndarray) -> np.ndarray:
    """(N,) bool: which labels `simifeat` calls wrong, from one of its scores."""
    return np.asarray(quality) < 0.5


def simifeat(
    labels: np.ndarray, spaces: Sequence[Space], *, num_classes: int, voters: int = VOTERS
) -> dict[str, np.ndarray]:
    """SimiFeat's voting and ranking: `simifeat_vote` and `simifeat_rank`, (N,) in [0, 1], below 0.5 = flagged.

    A face and its nearest ones, `voters` (at least 3) in all, vote with 1 - cosine distance, the face itself with the
    distance that the first two extrapolate to; the score is the votes for the given label over the length of all.
    Voting flags where another class leads; ranking flags the lowest of each class, as many as `transitions` expects to
    be wrong in it. Both order by the score what they flag, and after it the others. A single pass: the paper repeats it
    over augmented images and lets the passes vote. Source: Zhu, Dong and Liu, Detecting Corrupted Labels Without
    Training a Model to Predict, ICML 2022.
    """
    labels = np.asarray(labels)
    rows = np.arange(len(labels))
    votes = np.zeros((len(labels), num_classes))
    pairs, triples = np.zeros((num_classes,) * 2), np.zeros((num_classes,) * 3)
    for space in spaces:
        index, cosine = nearest(space, voters - 1)
        of_label = np.eye(num_classes)[labels[index]] * (index >= 0)[:, :, None]
        votes += (of_label * cosine[:, :, None]).sum(1)
        two = index[:, 1] >= 0
        votes[rows, labels] += np.where(two, 2 * cosine[:, 0] - cosine[:, 1], 1.0)  # 1 - (2 d1 - d2)
        np.add.at(pairs, (labels[two], labels[index[two, 0]]), 1.0)
        np.add.at(triples, (labels[two], labels[index[two, 0]], labels[index[two, 1]]), 1.0)
    score = votes[rows, labels] / np.linalg.norm(votes, axis=1)
    by_vote = votes.argmax(1) != labels
    shares = np.bincount(labels, minlength=num_classes) / len(labels)
    seen = max(pairs.sum(), 1.0)
    matrix, prior = transitions(shares, pairs / seen, triples / seen)
    by_rank = np.zeros(len(labels), dtype=bool)
    for k in np.unique(labels):
        expected = 1 - matrix[k, k] * prior[k] / shares[k]
        expected = MOST_FLAGGED if expected >= 1 else LEAST_FLAGGED if expected <= 0 else expected
        mine = labels == k
        by_rank[mine] = score[mine] <= np.quantile(score[mine], expected)
    return {name: (score + ~flag) / 2 for name, flag in (("simifeat_vote", by_vote), ("simifeat_rank", by_rank))}


def transitions(shares: np.ndarray, pairs: np.ndarray, triples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P(given | true) (K, K), rows sum to 1, and P(true) (K,), from how often labels stand beside each other.

    `shares` (K,), `pairs` (K, K) and `triples` (K, K, K): how often a face's label, its nearest face's and the second
    nearest one's are these; each sums to 1. If the three share one true class and err independently, these are its
    moments; least squares finds the matrix whose moments they are. Source: Zhu, Song and Liu, Clusterability as an
    alternative to anchor points (HOC), ICML 2021.
    """
    count = len(shares)

    def unpacked(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits = values.reshape(count + 1, count)
        soft = np.exp(logits - logits.max(1, keepdims=True))
        soft /= soft.sum(1, keepdims=True)
        return soft[:count], soft[count]

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        t, p = unpacked(values)
        one = p @ t - shares
        two = np.einsum("i,ia,ib->ab", p, t, t) - pairs
        three = np.einsum("i,ia,ib,ic->abc", p, t, t, t, optimize=True) - triples
        two_, three_ = two + two.T, three + three.transpose(1, 0, 2) + three.transpose(2, 0, 1)
        to_t = p[:, None] * (one + t @ two_.T + np.einsum("dxy,ix,iy->id", three_, t, t, optimize=True))
        to_p = t @ one + np.einsum("ab,ia,ib->i", two, t, t) + np.einsum(
            "abc,ia,ib,ic->i", three, t, t, t, optimize=True
        )  # fmt: skip
        slope = np.vstack([t * (to_t - (to_t * t).sum(1, keepdims=True)), p * (to_p - to_p @ p)])
        return float((one**2).sum() + (two**2).sum() + (three**2).sum()), 2 * slope.ravel()

    # labels are right more often than wrong: without that start classes could change places
    start = np.vstack([np.eye(count) * 3, np.log(np.maximum(shares, 1e-6))])
    return unpacked(minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x)


def relation_graph(
    labels: np.ndarray, pred_probs: np.ndarray, spaces: Sequence[Space], *, related: int = RELATED
) -> np.ndarray:
    """Neural Relation Graph's label score: (N,) in [-1, 1], low = likely mislabelled.

    Two faces are related by (max(0, cosine) * p.p')^4, positive where they carry the same label and negative where not;
    a face's score is the sum of its relations, and once more with those to faces that the first sum calls mislabelled
    turned round. The paper adds over all faces; here over the `related` nearest of the same space, and not with itself.
    Scaled to a largest absolute score of 1 in each space, then averaged. Source: Kim, Yun and Song, Neural Relation
    Graph, NeurIPS 2023.
    """
    labels, probs = np.asarray(labels), np.asarray(pred_probs, dtype=np.float64)
    total = np.zeros(len(labels))
    for space in spaces:
        index, cosine = nearest(space, related)
        kernel = np.maximum(cosine, 0.0)
        for start in range(0, len(labels), step := max(1, _CHUNK // index.shape[1])):
            part = slice(start, start + step)
            kernel[part] *= np.einsum("nk,nmk->nm", probs[part], probs[index[part]])
        kernel[(index < 0) | (kernel <= SMALL_EDGE)] = 0.0
        relation = kernel**SHARPNESS * np.where(labels[index] == labels[:, None], 1.0, -1.0)
        score = relation.sum(1)
        noisy = _to_unit(score) < -NOISY
        total += _to_unit(score - 2 * (relation * noisy[index]).sum(1))
    return total / max(len(spaces), 1)


def nearest(space: Space, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the `k` nearest others in the same fold, nearest first, and their cosines: (N, k) each.

    Row -1 and cosine 0 where there is none, none whose cosine is positive, or where hundreds are equally near.
    """
    count = len(space.embedding)
    found = neighbours.neighbourhood(
        np.zeros(count, dtype=np.int64), space.embedding, num_classes=1, k=k, fold=space.fold
    ).weights.tocoo()
    vectors = np.asarray(space.embedding, dtype=np.float64)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    near, far = found.row.astype(np.int64), found.col.astype(np.int64)
    cosine = np.concatenate(
        [
            (vectors[near[start : start + _CHUNK]] * vectors[far[start : start + _CHUNK]]).sum(1)
            for start in range(0, len(near), _CHUNK)
        ]
        or [np.empty(0)]
    )
    order = np.lexsort((far, -cosine, near))
    near, far, cosine = near[order], far[order], cosine[order]
    place = np.arange(len(near)) - np.searchsorted(near, near)
    kept = (place < k) & (cosine > 0)
    index, value = np.full((count, k), -1), np.zeros((count, k))
    index[near[kept], place[kept]], value[near[kept], place[kept]] = far[kept], cosine[kept]
    return index, value


def _to_unit(score: np.ndarray) -> np.ndarray:
    return score / max(float(np.abs(score).max(initial=0.0)), 1e-12)
