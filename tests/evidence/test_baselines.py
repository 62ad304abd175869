"""The other tools' scores are theirs: compared with their own code."""

from __future__ import annotations

import numpy as np
import pytest
from cleanlab.rank import get_self_confidence_for_each_label

from ferclean.evidence.compat.baselines import baseline_scores, fiftyone_mistakenness

RNG = np.random.default_rng(0)
PROBS = RNG.dirichlet(np.ones(5), size=60)
LABELS = RNG.integers(0, 5, size=60)


def test_self_confidence_is_cleanlabs() -> None:
    expected = get_self_confidence_for_each_label(LABELS, PROBS)
    np.testing.assert_allclose(baseline_scores(LABELS, PROBS)["cleanlab_self_confidence"], expected)


def test_mistakenness_follows_its_published_formula() -> None:
    # s = -1 where the prediction equals the label: confident agreement is little mistaken, confident dissent very much
    logits = np.log(PROBS)
    exp = np.exp(logits - logits.max(1, keepdims=True))
    softmax = exp / exp.sum(1, keepdims=True)
    entropy = -(softmax * np.log(softmax)).sum(1)
    sign = np.where(PROBS.argmax(1) == LABELS, -1.0, 1.0)
    expected = (sign * np.exp(-entropy) + 1) / 2
    np.testing.assert_allclose(1 - fiftyone_mistakenness(LABELS, PROBS, use_logits=True), expected)


@pytest.mark.parametrize("name", ["cleanlab_self_confidence", "cleanlab_normalized_margin", "fiftyone_mistakenness"])
def test_every_baseline_points_down_for_a_wrong_label(name: str) -> None:
    probs = np.array([[0.9, 0.05, 0.05], [0.9, 0.05, 0.05]])
    scores = baseline_scores(np.array([0, 2]), np.vstack([probs]))[name]
    assert scores[1] < scores[0]
