"""Linear probes: out-of-fold probabilities from an embedding that somebody else trained.

It trains nothing but the linear layer, and never lets a probe judge a row, or a copy of it, that it was fitted on.
"""

from __future__ import annotations

import numpy as np

from ferclean.errors import BadDataError
from ferclean.evidence.checks import check_labels, check_same_length

STRENGTHS = (0.001, 0.01, 0.1)
"""Inverse ridge penalties that are tried on standardised features; the one of least log loss is taken."""


def linear_probe(
    labels: np.ndarray, embedding: np.ndarray, fold: np.ndarray, *, num_classes: int, seed: int = 0
) -> np.ndarray:
    """Out-of-fold probabilities (N, K) float64, rows sum to 1, of multinomial logistic regressions on an embedding.

    `labels` (N,), `embedding` (N, D) in one space for all rows, `fold` (N,) the fold in which a row is left out (copies
    must share it). For each fold the others are fitted, with the ridge penalty that predicts a further fifth of them
    best, so that the rows to be judged choose nothing. A class that the other folds lack gets no probability.

    >>> rng = np.random.default_rng(0); labels = np.arange(60) % 2
    >>> embedding = np.eye(2)[labels] + 0.1 * rng.normal(size=(60, 2))
    >>> probs = linear_probe(labels, embedding, np.arange(60) // 20, num_classes=2)
    >>> bool((probs.argmax(1) == labels).all())
    True
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    labels = check_labels(labels, num_classes)
    embedding = np.asarray(embedding, dtype=np.float64)
    if embedding.ndim != 2 or not np.isfinite(embedding).all():
        raise BadDataError(f"embedding must be (N, D) without NaN or infinite values, got shape {embedding.shape}")
    fold = np.asarray(fold)
    count = check_same_length(labels=labels, embedding=embedding, fold=fold)
    if len(np.unique(fold)) < 2:
        raise BadDataError("a probe needs at least two folds")
    probs = np.zeros((count, num_classes))
    rng = np.random.default_rng(seed)
    for name in np.unique(fold):
        held_out = fold == name
        rows = rng.permutation(np.flatnonzero(~held_out))
        middle = embedding[rows].mean(0)
        spread = np.maximum(embedding[rows].std(0), 1e-6)
        present = np.unique(labels[rows])
        if len(present) == 1:
            probs[held_out, present[0]] = 1.0
            continue

        def fitted(chosen: np.ndarray, strength: float, middle: np.ndarray, spread: np.ndarray) -> LogisticRegression:
            scaled = (embedding[chosen] - middle) / spread
            return LogisticRegression(C=strength, max_iter=300).fit(scaled, labels[chosen])

        check, rest = rows[: len(rows) // 5], rows[len(rows) // 5 :]
        best = STRENGTHS[1]
        if set(labels[check]) <= set(labels[rest]) and len(np.unique(labels[rest])) > 1 and len(check):
            losses = []
            for strength in STRENGTHS:
                model = fitted(rest, strength, middle, spread)
                found = model.predict_proba((embedding[check] - middle) / spread)
                losses.append(log_loss(labels[check], found, labels=model.classes_))
            best = STRENGTHS[int(np.argmin(losses))]
        model = fitted(rows, best, middle, spread)
        probs[np.ix_(held_out, model.classes_)] = model.predict_proba((embedding[held_out] - middle) / spread)
    return probs
