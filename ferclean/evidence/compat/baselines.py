"""What other tools would say about the same probabilities, under their own names, for comparison.

Never part of a verdict. FiftyOne's direction (high = bad) is turned at the door: here low = likely mislabelled.
"""

from __future__ import annotations

import numpy as np


def cleanlab_scores(labels: np.ndarray, pred_probs: np.ndarray) -> dict[str, np.ndarray]:
    """cleanlab's three label quality scores, (N,) each in [0, 1], low = likely mislabelled."""
    from cleanlab.rank import get_label_quality_scores

    return {
        f"cleanlab_{method}": np.asarray(get_label_quality_scores(labels, pred_probs, method=method))
        for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
    }


def fiftyone_mistakenness(labels: np.ndarray, pred_probs: np.ndarray, *, use_logits: bool) -> np.ndarray:
    """One minus FiftyOne's mistakenness of a classification, (N,) in [0, 1], low = likely mislabelled.

    Mistakenness is (1 + s c) / 2 with s = +1 for a prediction that differs from the label and -1 for one that equals
    it; c is the top probability, or exp(-entropy) when logits are given. Source: FiftyOne Brain's documented method.

    >>> fiftyone_mistakenness(np.array([0, 1]), np.array([[0.75, 0.25], [0.75, 0.25]]), use_logits=False).tolist()
    [0.875, 0.125]
    """
    pred_probs = np.asarray(pred_probs, dtype=np.float64)
    if use_logits:
        safe = np.where(pred_probs > 0, pred_probs, 1.0)
        certainty = np.exp((pred_probs * np.log(safe)).sum(1))
    else:
        certainty = pred_probs.max(1)
    sign = np.where(pred_probs.argmax(1) == np.asarray(labels), -1.0, 1.0)
    return 1.0 - (1.0 + sign * certainty) / 2.0


def baseline_scores(labels: np.ndarray, pred_probs: np.ndarray) -> dict[str, np.ndarray]:
    """All of them by name, low = likely mislabelled."""
    return cleanlab_scores(labels, pred_probs) | {
        "fiftyone_mistakenness": fiftyone_mistakenness(labels, pred_probs, use_logits=False),
        "fiftyone_mistakenness_logits": fiftyone_mistakenness(labels, pred_probs, use_logits=True),
    }
