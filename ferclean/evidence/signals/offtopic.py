"""Images in which a detector sees no face, or which lie far from all others: perhaps no face at all.

It never looks at a pixel or a label; blank and broken files are found where images are read.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from ferclean.evidence.checks import check_same_length

FAR = 2.6
"""How far, in robust standard deviations of log distance, an image lies whose chance of being unusable is one half,
where no detector has a say. Of FER2013's 6,000 development faces 9 lie further, of which most people called 7 no face;
of 6,000 drawn ones one does."""
SLOPE = 0.25
MOST = 0.01
"""Largest share of a set that distance alone calls unusable: more of them are another kind of faces."""

FACE_COUNTS, FAR_COUNTS, BASE = 0.66, 0.52, -4.4
"""How the detector's log-odds of a face and the distance make the log-odds of no face: logistic regression on FER2013's
development rows of even groups, 22 of which have at least 3 of 10 votes for "not a face". Log loss on odd groups (13 of
2,963): detector alone 32.6, both 28.9; taking the two for independent 42.2, distance alone 60.5."""
UNKNOWN_KIND, NO_FACE_BELOW = 0.1, -6.0
"""Where the detector's log-odds are below `NO_FACE_BELOW` in more than this share of a set, it does not know this kind
of picture (drawings, masks, parts of faces) and has no say."""


def how_far(similarity: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """How far each image lies from all others: (N,) robust standard deviations of log distance, 0 = like most.

    `similarity` (M, N): each member's mean cosine to the sample's neighbours (`neighbours.Neighbourhood.similarity`;
    NaN has no say), `fold` (M, N): the space that it was measured in. Distances (1 - cosine) are compared in
    logarithms, within each space, to the median in units of the median absolute deviation; members are averaged. Ours.

    >>> alike = np.full((1, 100), 0.9) + 0.01 * np.sin(np.arange(100)); alike[0, 7] = -0.5
    >>> found = how_far(alike, np.zeros((1, 100)))
    >>> int(found.argmax()), bool(found[7] > 10), bool(np.delete(found, 7).max() < 2)
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
    return np.divide(far, known, out=np.zeros(count), where=known > 0)


def probability_faceless(far: np.ndarray, log_odds: np.ndarray) -> np.ndarray:
    """P(no face): (N,) in [0, 1], from `how_far` (N,) and a detector's log-odds of a face (N,; NaN has no say).

    The detector (`recognition.faces`) counts most; distance decides alone where it has no say. See `detector_knows`.

    >>> far, seen = np.append(np.zeros(20), [0, 3, 3]), np.append(np.full(20, 6.0), [-9, -9, np.nan])
    >>> probability_faceless(far, seen)[-3:].round(2).tolist()
    [0.82, 0.96, 0.5]
    """
    far, log_odds = np.asarray(far, dtype=np.float64), np.asarray(log_odds, dtype=np.float64)
    count = check_same_length(far=far, log_odds=log_odds)
    # what more than MOST of a set have in common is a part of it, not an accident
    limit = max(FAR, float(np.quantile(far, 1 - MOST))) if count else FAR
    evidence = (far - limit) / SLOPE
    if detector_knows(log_odds):
        evidence = np.where(np.isnan(log_odds), evidence, BASE + FAR_COUNTS * far - FACE_COUNTS * log_odds)
    return np.asarray(expit(evidence))


def detector_knows(log_odds: np.ndarray) -> bool:
    """Whether the detector sees a face in most of what it looked at, so that a miss tells something.

    >>> detector_knows(np.append(np.full(20, 6.0), -9.0)), detector_knows(np.full(20, -9.0))
    (True, False)
    """
    seen = np.isfinite(log_odds)
    return bool((log_odds[seen] < NO_FACE_BELOW).sum() <= UNKNOWN_KIND * seen.sum())
