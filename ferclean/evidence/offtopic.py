"""Images that lie far from all others: perhaps no face at all.

It never looks at a pixel or a label; blank and broken files are found where images are read.
"""

from __future__ import annotations

import numpy as np

from ferclean.evidence.checks import check_same_length

FAR = 2.6
"""How far, in robust standard deviations of log distance, an image lies whose chance of being unusable is one half. Of
FER2013's 6,000 development faces 9 lie further, of which most people called 7 no face; of 6,000 drawn ones one does."""
SLOPE = 0.25
MOST = 0.01
"""Largest share of a set that distance alone calls unusable: more of them are another kind of faces."""


def probability_offtopic(similarity: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """P(no face, judged by distance): (N,) in [0, 1].

    `similarity` (M, N): each member's mean cosine to the sample's neighbours (`neighbours.Neighbourhood.similarity`;
    NaN has no say), `fold` (M, N): the space that it was measured in. Distances (1 - cosine) are compared in
    logarithms, within each space, to the median in units of the median absolute deviation; members are averaged. Ours.

    >>> alike = np.full((1, 100), 0.9) + 0.01 * np.sin(np.arange(100)); alike[0, 7] = -0.5
    >>> found = probability_offtopic(alike, np.zeros((1, 100)))
    >>> int(found.argmax()), bool(found[7] > 0.9), bool(np.delete(found, 7).max() < 0.1)
    (7, True, True)
    """
    similarity, fold = np.atleast_2d(similarity).astype(np.float64), np.atleast_2d(fold)
    count = check_same_length(similarity=similarity.T, fold=fold.T)
    far, known = np.zeros(count), np.zeros(count)
    for own, spaces in zip(similarity, fold, strict=True):
        distance = np.log(np.maximum(1 - own, 1e-6))
        for space in np.unique(spaces):
            rows = np.flatnonzero((spaces == space) & np.isfinite(distance))
            if not len(rows):
                continue
            middle = np.median(distance[rows])
            spread = 1.4826 * np.median(np.abs(distance[rows] - middle))
            if spread > 1e-6:  # otherwise all lie alike, and nothing stands out
                far[rows] += (distance[rows] - middle) / spread
            known[rows] += 1
    far = np.divide(far, known, out=np.zeros(count), where=known > 0)
    # what more than MOST of a set have in common is a part of it, not an accident
    limit = max(FAR, float(np.quantile(far, 1 - MOST))) if count else FAR
    return np.asarray(1 / (1 + np.exp(-(far - limit) / SLOPE)))
