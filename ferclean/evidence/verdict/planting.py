"""Errors planted on paper: what the verdict would say if a label were another one, and so how many labels are wrong.

Out-of-fold probabilities of a face do not depend on its own label, so nothing has to be trained again.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.verdict.calibration import SMALLEST, ErrorRate, error_rate_interval, log_odds, standard_error


def planted_error_rate(
    labels: np.ndarray, panel: np.ndarray, noise: np.ndarray, *, by: Constants = STANDARD
) -> ErrorRate:
    """Share of wrong given labels, from how many look as wrong as planted errors do.

    Every sample is given every other label on paper, as often as `noise` (K, K), P(given | true), makes its own label
    into that one; `panel` (N, K) is P(true label | face) without its label. Half of these planted errors lie above some
    P(wrong); where e of the given labels are wrong in the same way, at least e/2 of them lie there too, and little
    else does, so that share divided by a half is the estimate. The same at the other `by.planted_masses`: low is
    too little where people's errors are less blatant than planted ones, high too much where clean labels reach that
    far. Mixture proportion estimation with the thresholds held fixed; ours.

    >>> labels = np.repeat([0, 1], 50); panel = np.where(np.eye(2)[labels] > 0, 0.99, 0.01)
    >>> panel[:5] = panel[:5, ::-1]
    >>> round(planted_error_rate(labels, panel, np.array([[0.9, 0.1], [0.1, 0.9]])).estimate, 2)
    0.05
    """
    count, classes = panel.shape
    if count < 2 or classes < 2 or len(np.unique(labels)) < 2:
        return ErrorRate(estimate=0.0, low=0.0, high=0.0 if not count else 1.0)
    wrong, drawn = _planted(labels, panel, noise)
    if not drawn.any():
        return ErrorRate(estimate=0.0, low=0.0, high=0.0)  # the noise never changes a label
    own = wrong[np.arange(count), labels]
    order = np.argsort(-wrong, axis=None)
    reached = np.cumsum(drawn.ravel()[order])
    at = [int(np.searchsorted(reached, mass * reached[-1])) for mass in by.planted_masses]
    found = []
    for place in at:
        limit = wrong.ravel()[order[place]]
        # ties go together: what is counted on both sides is everything at the limit or above
        mass = drawn[wrong >= limit].sum() / reached[-1]
        found.append(float((own >= limit).mean() / mass))
    return ErrorRate(estimate=min(found[1], 1.0), low=min(*found, 1.0), high=min(max(found), 1.0))


def planted_probability(labels: np.ndarray, panel: np.ndarray, noise: np.ndarray, rate: float) -> np.ndarray:
    """P(given label wrong), (N,) in [0, 1], were people's errors like planted ones and `rate` of the labels wrong.

    Bayes' rule with two densities of the log-odds of P(wrong): of planted errors, and of all given labels, which
    hold errors and right labels mixed; their ratio comes from a logistic regression of planted against given. Learning
    from positive and unlabelled data with the prior put right; ours.

    >>> labels = np.repeat([0, 1], 50); panel = np.where(np.eye(2)[labels] > 0, 0.9, 0.1)
    >>> panel[:5] = panel[:5, ::-1]
    >>> bool(planted_probability(labels, panel, np.array([[0.9, 0.1], [0.1, 0.9]]), 0.05)[:5].min() > 0.5)
    True
    """
    from sklearn.linear_model import LogisticRegression

    count, classes = panel.shape
    if count < 2 or classes < 2 or len(np.unique(labels)) < 2 or rate <= 0:
        return np.full(count, float(rate))
    wrong, drawn = _planted(labels, panel, noise)
    if not drawn.any():
        return np.full(count, float(rate))
    own = log_odds(wrong[np.arange(count), labels])[:, None]
    score = np.concatenate([own, log_odds(wrong).reshape(-1, 1)])
    is_planted = np.r_[np.zeros(count), np.ones(wrong.size)]
    weight = np.r_[np.ones(count), drawn.ravel() * (count / drawn.sum())]
    model = LogisticRegression(C=1e6, max_iter=1000).fit(score, is_planted, sample_weight=weight)
    if model.coef_[0, 0] <= 0:
        return np.full(count, float(rate))  # planted errors look no worse than given labels: nothing to go by
    return np.minimum(rate * np.exp(np.minimum(model.decision_function(own), 30.0)), 1.0)


def _planted(labels: np.ndarray, panel: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P(wrong) of every sample under every label it might have been given, and how often it gets that one: (N, K)."""
    wrong = 1 - panel * np.diag(noise) / np.maximum(panel @ noise, SMALLEST)
    drawn = noise[labels].copy()
    drawn[np.arange(len(labels)), labels] = 0.0
    return wrong, drawn


def error_rate(
    labels: np.ndarray,
    pred_probs: np.ndarray,
    panel: np.ndarray,
    noise: np.ndarray,
    around: sparse.csr_matrix,
    *,
    by: Constants = STANDARD,
) -> ErrorRate:
    """Share of wrong given labels where neighbours are known, with an interval as wide as what cannot be told.

    The lower end is that of `calibration.error_rate_interval`, less twice `by.ambiguous_share` of it, so that it also
    holds for those who do not count faces on which nobody would agree: these are twice as frequent among wrong labels
    (28 % of those of FER2013, 15 to 27 % of drawn ones). Where the recognizer and a face's neighbours (`around` (N, N)
    sparse, weights) prefer different classes, one of the two errs, half of the time the recognizer: so many of its
    contradictions are certainly its own, and the upper end lies that much below all of them. Within these bounds
    planted errors may lower the upper end as far as the middle: a recognizer that separates them well has them counted
    well, a weak one has not. 1.96 binomial errors on either side; the estimate lies between the middle and where the
    planted errors point. Ours.

    None of this tells a weak recognizer from bad labels: FER2013 (23 to 32 % wrong) and drawn sets of a thousand faces
    (13 to 16 %) look alike to the small network, and both are told about 6 to 37 %.
    """
    bounds = error_rate_interval(labels, pred_probs, by=by)
    if len(labels) < 2 or len(np.unique(labels)) < 2:
        return bounds
    probs = np.asarray(pred_probs)
    heard = np.asarray(around @ np.eye(probs.shape[1])[labels])  # (N, K)
    preferred = probs.argmax(1)
    apart = float((heard[np.arange(len(labels)), preferred] < heard.max(1)).mean())
    most = max(float((preferred != labels).mean()) - apart / 2, bounds.low)
    planted = planted_error_rate(labels, panel, noise, by=by)
    high = min(max(planted.high, (bounds.low + most) / 2), most)
    inside = min(max(planted.estimate, bounds.low), high)

    return ErrorRate(
        estimate=((bounds.low + high) / 2 + inside) / 2,
        low=max(0.0, (1 - 2 * by.ambiguous_share) * bounds.low - 1.96 * standard_error(bounds.low, len(labels))),
        high=min(1.0, high + 1.96 * standard_error(high, len(labels))),
    )
