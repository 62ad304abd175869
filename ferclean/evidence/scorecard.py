"""How good are a recognizer's probabilities on test images? One number per question.

It chooses nothing, and knows neither arms nor seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ferclean.evidence.verdict.calibration import expected_calibration_error

LEAST = 1e-7
"""What a probability counts as at least, so that one bold mistake is not infinite."""


def scorecard(
    pred_probs: np.ndarray, labels: np.ndarray, classes: Sequence[str], *, votes: np.ndarray | None = None
) -> dict[str, float]:
    """Measures of (M, K) probabilities against (M,) labels: name -> value.

    `accuracy`; `macro_f1`, the mean over the classes that occur; `recall:CLASS` of each of them (all in [0, 1], high =
    good); `calibration_error` of the highest probability over ten bins of equal size (low = good). With `votes` (M, K)
    counts, on the images that somebody voted on: `cross_entropy_votes`, the mean surprise at one vote, in nats (low =
    good), and `accuracy_votes`, where one class has the most votes.

    >>> probs = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> scorecard(probs, np.array([0, 0]), ["joy", "fear"])["recall:joy"]
    0.5
    """
    predicted = pred_probs.argmax(1)
    hit = predicted == labels
    found = {
        "accuracy": float(hit.mean()),
        "macro_f1": float(np.mean([_f1(predicted, labels, k) for k in np.unique(labels)])),
        "calibration_error": expected_calibration_error(pred_probs.max(1), hit),
    }
    found |= {f"recall:{classes[k]}": float(hit[labels == k].mean()) for k in np.unique(labels)}
    total = np.zeros(len(labels)) if votes is None else votes.sum(1)
    if votes is not None and total.any():
        voted = total > 0
        shares = votes[voted] / total[voted, None]
        surprise = -(shares * np.log(np.maximum(pred_probs[voted], LEAST))).sum(1)
        found["cross_entropy_votes"] = float(surprise.mean())
        majority = majorities(votes)
        if (majority >= 0).any():
            found["accuracy_votes"] = float((predicted == majority)[majority >= 0].mean())
    return found


def majorities(votes: np.ndarray) -> np.ndarray:
    """(N, K) counts -> (N,) the class with the most votes; -1 where nobody voted or several lead."""
    most = votes.max(1)
    alone = (votes == most[:, None]).sum(1) == 1
    return np.where(alone & (most > 0), votes.argmax(1), -1)


def slices(attributes: Sequence[Mapping[str, object]], *, least: int, most: int) -> dict[tuple[str, str], np.ndarray]:
    """Rows by what their attributes say: (attribute, value) -> (M,) bool, for values that `least` rows or more share.

    An attribute with more than `most` values, such as a number or a name, makes none.
    """
    found: dict[tuple[str, str], np.ndarray] = {}
    for name in dict.fromkeys(name for row in attributes for name in row):
        said = [row.get(name) for row in attributes]
        values = {str(value) for value in said if isinstance(value, str | int | bool)}
        if len(values) > most or any(isinstance(value, float | list | dict) for value in said):
            continue
        for value in sorted(values):
            rows = np.array([known is not None and str(known) == value for known in said])
            if rows.sum() >= least:
                found[name, value] = rows
    return found


def _f1(predicted: np.ndarray, labels: np.ndarray, k: int) -> float:
    both = int(((predicted == k) & (labels == k)).sum())
    return 2 * both / (int((predicted == k).sum()) + int((labels == k).sum()))
