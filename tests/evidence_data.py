"""Generated evidence with planted errors, read-only, so that writing into an input fails."""

from __future__ import annotations

from typing import Any

import numpy as np


def planted(
    n: int = 400, classes: int = 5, *, wrong: float = 0.15, skill: float = 4.0, seed: int = 0
) -> tuple[dict[str, Any], np.ndarray]:
    """Everything a signal can need, from a recognizer of some `skill` (a logit), and the error mask (N,)."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, n)
    error = rng.random(n) < wrong
    labels = np.where(error, (true + rng.integers(1, classes, n)) % classes, true)
    logits = rng.normal(size=(3, n, classes))  # three members of an ensemble
    logits[:, np.arange(n), true] += skill
    member_probs = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    embedding = 0.5 * rng.normal(size=(n, 16))
    embedding[np.arange(n), true] += 2.0
    # training learns the given label late where it is wrong
    epochs = np.arange(12)[:, None]
    margin = np.where(error, epochs / 4 - 4, epochs / 4) + rng.normal(size=(12, n))
    margin[:, ::50] = np.where(epochs < 6, np.nan, margin[:, ::50])  # not trained on for a while
    available = {
        "labels": labels,
        "pred_probs": member_probs.mean(0),
        "embedding": embedding.astype(np.float32),
        "fold": np.arange(n) % 2,
        "groups": np.arange(n),
        "given_prob": 1 / (1 + np.exp(-margin)),
        "margin": margin,
        "member_probs": member_probs,
    }
    for array in available.values():
        array.flags.writeable = False
    return available, error
