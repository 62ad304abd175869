"""An independent judge is told from one that learned the very labels, and where nothing can tell, that is said."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.optimize import minimize

from ferclean.errors import BadDataError
from ferclean.evidence.verdict import independence as independence_room
from ferclean.evidence.verdict.independence import FEWEST, Independence, independence

CLASSES = 5


def faces(count: int, seed: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    """A generator, true and given labels; every fifth given label is drawn at random."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, CLASSES, count)
    return rng, truth, np.where(rng.random(count) < 0.2, rng.integers(0, CLASSES, count), truth)


def look(rng: np.random.Generator, at: np.ndarray, strength: float) -> np.ndarray:
    """Log scores (N, K) of somebody who sees `at` through noise."""
    return strength * np.eye(CLASSES)[at] + rng.normal(size=(len(at), CLASSES))


def shares(scores: np.ndarray) -> np.ndarray:
    found = np.exp(scores - scores.max(1, keepdims=True))
    return found / found.sum(1, keepdims=True)


def asked(count: int, seed: int, *, memory: float) -> Independence:
    """A judge of the recognizers' strength; with memory it has their look, and leans to the given label."""
    rng, truth, given = faces(count, seed)
    ours = look(rng, truth, 2)
    judge = ours + 0.3 * look(rng, truth, 0) + memory * np.eye(CLASSES)[given] if memory else look(rng, truth, 2)
    return independence(given, shares(ours), shares(judge))


def test_draws_of_300_rows_tell_independent_from_contaminated_judges() -> None:
    for memory, right, wrong in ((0.0, "independent", "contaminated"), (1.0, "contaminated", "independent")):
        found = [asked(300, seed, memory=memory).verdict for seed in range(20)]
        assert found.count(wrong) == 0
        assert found.count(right) >= 18


def test_the_recognizers_keep_their_weight_beside_an_independent_judge_only() -> None:
    apart, learned = asked(2000, 0, memory=0.0), asked(2000, 0, memory=1.0)
    assert apart.left.low > 0.25
    assert learned.left.high < 0
    assert apart.news < learned.news


def test_a_judge_trained_on_the_training_split_alone_is_told_by_the_gap_to_test_images() -> None:
    rng, truth, given = faces(1500, 3)
    # it remembers a third of the training labels whatever the face shows, and its own look is another one
    scores = look(rng, truth, 2)
    scores[::3] += 3 * np.eye(CLASSES)[given[::3]]
    _, test_truth, test_given = faces(800, 4)
    found = independence(
        given, shares(look(rng, truth, 2)), shares(scores), test=(test_given, shares(look(rng, test_truth, 2)))
    )
    assert found.verdict == "contaminated"
    assert found.gap.low > 0
    assert "test images" in found.sentence


def test_a_memory_is_contaminated_and_few_rows_or_blind_recognizers_cannot_tell() -> None:
    rng, truth, given = faces(300, 5)
    ours = shares(look(rng, truth, 2))
    memory = independence(given, ours, 0.9 * np.eye(CLASSES)[given] + 0.1 / CLASSES)
    assert memory.verdict == "contaminated"
    assert "contradicts 0 of 300" in memory.sentence
    few = slice(FEWEST - 1)
    assert independence(given[few], ours[few], ours[few]).verdict == "cannot tell"
    blind = independence(given, shares(rng.normal(size=ours.shape)), shares(look(rng, truth, 2)))
    assert blind.verdict == "cannot tell"
    nobody = independence(given, np.full(ours.shape, 1 / CLASSES), ours)
    assert nobody.verdict == "cannot tell"
    assert "nan" not in nobody.sentence


def test_a_judge_of_other_classes_is_refused() -> None:
    with pytest.raises(BadDataError, match="the judge has 2 classes and the recognizers 3"):
        independence(np.zeros(3, int), np.full((3, 3), 1 / 3), np.full((3, 2), 0.5))


def test_many_classes_need_no_more_than_a_few_copies_of_the_probabilities() -> None:
    rng, many = np.random.default_rng(0), 30
    given = rng.integers(0, many, 3000)
    ours, judge = (np.exp(2 * np.eye(many)[given] + rng.normal(size=(3000, many))) for _ in range(2))
    tracemalloc.start()
    try:
        found = independence(given, ours / ours.sum(1, keepdims=True), judge / judge.sum(1, keepdims=True))
        assert tracemalloc.get_traced_memory()[1] < 20 * ours.nbytes
    finally:
        tracemalloc.stop()
    assert found.left.low > 0.25


def test_the_interval_of_what_is_left_is_that_of_a_numeric_second_derivative() -> None:
    rng, truth, given = faces(400, 8)
    logs = np.log(np.stack([shares(look(rng, truth, 2)), shares(look(rng, truth, 1))]))
    weights, covariance, _ = independence_room._pool(logs, given, 0.01)
    parameters = np.eye(2 + CLASSES)

    def loss(at: np.ndarray) -> float:
        scores = np.tensordot(at[:2], logs, 1) + at[2:]
        own = scores[np.arange(400), given]
        return float((np.log(np.exp(scores).sum(1)) - own).sum() + 0.005 * at @ at)

    # the intercepts at the optimum, from the weights that are given
    best = minimize(lambda b: loss(np.r_[weights, b]), np.zeros(CLASSES)).x
    at, step = np.r_[weights, best], 1e-3
    second = np.array(
        [
            [
                sum(i * j * loss(at + step * (i * a + j * b)) for i in (1, -1) for j in (1, -1)) / (4 * step**2)
                for b in parameters
            ]
            for a in parameters
        ]
    )
    np.testing.assert_allclose(covariance[:2, :2], np.linalg.inv(second)[:2, :2], rtol=0.01)
