"""What a panel of people would call each face: the recognizer, the neighbours and the set's own noise taken together.

It never asks a sample's own label what the face shows; only `posterior` does that, and says so.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ferclean.errors import BadDataError
from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.verdict import calibration


def transitions(labels: np.ndarray, pred_probs: np.ndarray, *, by: Constants = STANDARD) -> np.ndarray:
    """P(given label | true label): (K, K), row = true class, rows sum to 1, no cell that occurs is 0.

    The confident joint of `labels` (N,) and out-of-fold `pred_probs` (N, K), `by.spare_noise` of it spread over every
    label that occurs.

    >>> labels = np.array([0, 0, 0, 1]); probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.05, 0.95], [0.1, 0.9]])
    >>> transitions(labels, probs).round(2).tolist()
    [[0.98, 0.02], [0.52, 0.48]]
    """
    classes = np.asarray(pred_probs).shape[1]
    if not len(labels):
        return np.eye(classes)
    estimated = calibration.noise_transitions(labels, pred_probs)
    prior = np.bincount(labels, minlength=classes) / len(labels)
    return (1 - by.spare_noise) * estimated + by.spare_noise * prior


def consult(
    labels: np.ndarray,
    calibrated: np.ndarray,
    noise: np.ndarray,
    *,
    around: sparse.csr_matrix | None = None,
    by: Constants = STANDARD,
) -> np.ndarray:
    """P(true label | face) without asking its own label: (N, K), rows sum to 1.

    `calibrated` (N, K) are out-of-fold probabilities, `noise` (K, K) from `transitions`, `around` (N, N) sparse the
    weights of each sample's neighbours (rows sum to 1; an empty row has no say). The neighbours' given labels are noisy
    too, so they do not vote with those but with what their labels most likely stand for: the posterior under their own
    panel and the noise. That changes their panels in turn, for `by.neighbour_rounds` rounds (expectation-maximisation
    with the noise held fixed). Ours; from the second round on a sample's own label comes back through its neighbours
    with about 1/k of 1/k of the weight.

    >>> near = sparse.csr_matrix((np.ones((4, 4)) - np.eye(4)) / 3)
    >>> noise = np.array([[0.9, 0.1], [0.1, 0.9]])
    >>> panel = consult(np.array([0, 0, 0, 1]), np.full((4, 2), 0.5), noise, around=near)
    >>> bool(panel[3, 0] > 0.8), panel.sum(1).round(6).tolist()
    (True, [1.0, 1.0, 1.0, 1.0])
    """
    if around is None:
        return calibrated
    if around.shape != (len(labels), len(labels)):
        raise BadDataError(f"around must be a weight per pair of samples, {len(labels)} x {len(labels)}")
    has = np.asarray(around.sum(1)).ravel()[:, None] > 0
    told = np.eye(calibrated.shape[1])

    def heard(votes: np.ndarray, share: float) -> np.ndarray:
        return np.where(has, (1 - share) * calibrated + share * (around @ votes), calibrated)

    panel = heard(told[labels], by.first_share)
    for _ in range(by.neighbour_rounds):
        panel = heard(posterior(labels, panel, noise), by.neighbours_share)
    return panel


def hedged(labels: np.ndarray, panel: np.ndarray, noise: np.ndarray, *, by: Constants = STANDARD) -> np.ndarray:
    """P(true label | face, given label), (N, K), that leans towards plain self-confidence where sets are small.

    The transitions `noise` are mixed with the shares of the `labels`, and those are divided out of the `panel` to a
    power, both as far as the number of samples per class says (`by.trust`). At no trust P(given label right) is the
    panel's own probability of it: then a label is also wrong where no other label is right and none is likelier to have
    become it, as of faces that fit no class. Ours.

    >>> panel, noise = np.array([[0.75, 0.25], [0.6, 0.4]]), np.array([[0.9, 0.1], [0.1, 0.9]])
    >>> hedged(np.array([0, 1]), panel, noise).round(2).tolist()  # two samples are next to no trust
    [[0.75, 0.25], [0.6, 0.4]]
    """
    members = np.bincount(labels, minlength=panel.shape[1])
    per_class = len(labels) / panel.shape[1]
    trust = by.trust * per_class / (per_class + by.trust_at)
    shrunk = trust * noise + (1 - trust) * members / max(len(labels), 1)
    return posterior(labels, levelled(labels, panel, power=trust), shrunk)


def at_true_shares(labels: np.ndarray, panel: np.ndarray, noise: np.ndarray, *, by: Constants = STANDARD) -> np.ndarray:
    """The `panel` (N, K) with the true share of each class in place of its share among the noisy labels; rows sum to 1.

    Recognizers learn how often each label is *given*. How often each class is the true one, the posteriors under the
    `noise` (K, K) say; each class's probabilities are multiplied by what its share grew by, and the posteriors are
    taken again (Saerens, Latinne and Decaestecker, 2002; `by.share_rounds` of it). On the even half of FER2013's
    development rows AUPRC rises from .719 to .740, on drawn sets it stays (.649 to .651, .591 to .588).

    >>> noise = np.array([[0.9, 0.1], [0.4, 0.6]])
    >>> at_true_shares(np.array([0, 0, 1]), np.array([[0.6, 0.4], [0.6, 0.4], [0.4, 0.6]]), noise).round(2).tolist()
    [[0.62, 0.38], [0.62, 0.38], [0.42, 0.58]]
    """
    start = panel.mean(0)
    moved = panel
    for _ in range(by.share_rounds):
        share = posterior(labels, moved, noise).mean(0)
        moved = normalised(panel * share / np.maximum(start, 1e-9), panel)
    return moved


def levelled(labels: np.ndarray, panel: np.ndarray, *, power: float) -> np.ndarray:
    """The `panel` (N, K) with each class's share among the `labels` (N,) divided out to a `power`; rows sum to 1.

    >>> levelled(np.array([0, 0, 0, 1]), np.full((1, 2), 0.5), power=0.5).round(2).tolist()
    [[0.37, 0.63]]
    """
    members = np.bincount(labels, minlength=panel.shape[1])
    level = panel / np.maximum(members / max(len(labels), 1), 1e-9) ** power * (members > 0)
    return normalised(level, panel)


def posterior(labels: np.ndarray, panel: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """P(true label | face, given label): (N, K), rows sum to 1; one minus its entry at the given label is P(wrong).

    >>> posterior(np.array([1]), np.array([[0.5, 0.5]]), np.array([[0.75, 0.25], [0.25, 0.75]])).tolist()
    [[0.25, 0.75]]
    """
    joint = panel * noise[:, labels].T  # P(true k | face) P(given y | true k)
    # a label that cannot be given to such a face says nothing about it
    return normalised(joint, panel)


def normalised(rows: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """`rows` (N, K), each divided by its sum; those that sum to 0 are taken from `otherwise` (N, K).

    >>> normalised(np.array([[1.0, 3.0], [0.0, 0.0]]), np.full((2, 2), 0.5)).tolist()
    [[0.25, 0.75], [0.5, 0.5]]
    """
    total = rows.sum(1, keepdims=True)
    return np.where(total > 0, rows / np.where(total > 0, total, 1.0), otherwise)
