"""What is measured of a recognizer on test images."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score

from ferclean.evidence.scorecard import majorities, scorecard, slices

CLASSES = ("joy", "fear", "anger")


def test_measures_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 200)
    labels = rng.integers(0, 3, 200)
    found = scorecard(probs, labels, CLASSES)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, probs.argmax(1)))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, probs.argmax(1), average="macro"))
    recalls = recall_score(labels, probs.argmax(1), average=None)
    assert [found[f"recall:{name}"] for name in CLASSES] == pytest.approx(recalls)
    assert "cross_entropy_votes" not in found
    one_each = np.eye(3)[labels]
    voted = scorecard(probs, labels, CLASSES, votes=one_each)
    assert voted["cross_entropy_votes"] == pytest.approx(log_loss(labels, probs))
    assert voted["accuracy_votes"] == found["accuracy"]


def test_a_class_without_test_images_has_no_recall_and_does_not_lower_the_mean() -> None:
    probs = np.eye(3)[[0, 1, 1]]
    found = scorecard(probs, np.array([0, 1, 1]), CLASSES)
    assert found["macro_f1"] == 1
    assert "recall:anger" not in found


def test_images_that_nobody_voted_on_are_no_measure_of_votes() -> None:
    probs = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    found = scorecard(probs, np.array([0, 0]), CLASSES, votes=np.array([[2, 2, 0], [0, 0, 0]]))
    assert found["cross_entropy_votes"] == pytest.approx(np.log(2))
    assert "accuracy_votes" not in found  # two classes lead
    assert majorities(np.array([[2, 2, 0], [0, 0, 0], [1, 0, 0]])).tolist() == [-1, -1, 0]


def test_slices_are_values_that_enough_images_share() -> None:
    attributes = [{"age": "young" if n % 3 else "old", "landmark": n / 7, "name": f"n{n}"} for n in range(30)]
    found = slices(attributes, least=10, most=5)
    assert {key: int(rows.sum()) for key, rows in found.items()} == {("age", "old"): 10, ("age", "young"): 20}
    assert slices(attributes, least=11, most=5).keys() == {("age", "young")}
