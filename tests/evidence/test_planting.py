"""Errors planted on paper: the rate of drawn errors is found, and the probabilities mean it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ferclean.evidence.measures import auroc
from ferclean.evidence.signals.neighbours import neighbourhood
from ferclean.evidence.verdict import calibration
from ferclean.evidence.verdict.panel import consult, posterior, transitions
from ferclean.evidence.verdict.planting import error_rate, planted_error_rate, planted_probability

CLASSES = 4
RATES = [0.05, 0.1, 0.2, 0.3]


@cache
def drawn(rate: float, *, skill: float = 2.0, n: int = 1500) -> tuple[Any, ...]:
    """True labels, those given, of which about `rate` pass for the next class (rarely the one after), probabilities of
    a recognizer, and the weights of the neighbours."""
    rng = np.random.default_rng(0)
    rolled = [np.roll(np.eye(CLASSES), steps, axis=1) for steps in (0, 1, 2)]
    chance = (1 - rate) * rolled[0] + 0.8 * rate * rolled[1] + 0.2 * rate * rolled[2]
    true = rng.integers(0, CLASSES, n)
    labels = (rng.random(n)[:, None] > chance[true].cumsum(1)).sum(1).clip(max=CLASSES - 1)
    logits = rng.normal(size=(n, CLASSES))
    logits[np.arange(n), true] += skill
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) @ chance
    embedding = 0.6 * rng.normal(size=(n, 8))
    embedding[np.arange(n), true] += 1
    return true, labels, probs, neighbourhood(labels, embedding, num_classes=CLASSES).weights


@cache
def made(rate: float, *, skill: float = 2.0, n: int = 1500) -> tuple[np.ndarray, ...]:
    """Labels, probabilities, panel, noise and error mask of a drawn set."""
    true, labels, probs, around = drawn(rate, skill=skill, n=n)
    noise = transitions(labels, probs)
    calibrated = calibration.apply_temperature(probs, calibration.fit_temperature(probs, labels))
    found = labels, probs, consult(labels, calibrated, noise, around=around), noise, labels != true
    for array in found:
        array.flags.writeable = False
    return found


def looks_wrong(labels: np.ndarray, panel: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return 1 - posterior(labels, panel, noise)[np.arange(len(labels)), labels]


@pytest.mark.parametrize("rate", [0.0, *RATES])
def test_the_rate_of_drawn_errors_is_found_without_any_truth(rate: float) -> None:
    labels, _, panel, noise, error = made(rate)
    found = planted_error_rate(labels, panel, noise)
    assert found.estimate == pytest.approx(error.mean(), abs=0.025)
    assert found.low - 0.02 <= error.mean() <= found.high + 0.02
    assert found.low <= found.estimate <= found.high < found.low + 0.1


def test_faces_that_look_equally_wrong_are_counted_together() -> None:
    labels = np.repeat([0, 1], 50)
    panel = np.where(np.arange(100) % 10 == 0, 0.99, 0.01)[:, None] * (1 - 2 * np.eye(2)[labels]) + np.eye(2)[labels]
    found = planted_error_rate(labels, panel, np.array([[0.9, 0.1], [0.1, 0.9]]))
    assert (found.low, found.estimate) == pytest.approx((1 / 9, 1 / 9))  # 10 such labels; 90 of 100 planted ones


def test_more_errors_are_estimated_as_more() -> None:
    found = [planted_error_rate(*(made(rate)[part] for part in (0, 2, 3))).estimate for rate in RATES]
    assert (np.diff(found) > 0.03).all()


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_neither_the_order_of_rows_nor_of_classes_matters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    panel = rng.dirichlet(np.full(3, 0.4), size=80).round(1) + 0.01  # full of ties
    panel /= panel.sum(1, keepdims=True)
    labels, noise = rng.integers(0, 3, 80), 0.7 * np.eye(3) + 0.3 * rng.dirichlet(np.ones(3), size=3)
    rows, order = rng.permutation(80), rng.permutation(3)
    renamed = np.argsort(order)[labels][rows], panel[rows][:, order], noise[np.ix_(order, order)]
    expected = planted_probability(labels, panel, noise, 0.2)
    np.testing.assert_allclose(planted_probability(*renamed, 0.2), expected[rows], atol=1e-3)
    moved, whole = planted_error_rate(labels[rows], panel[rows], noise), planted_error_rate(labels, panel, noise)
    assert moved.estimate == pytest.approx(whole.estimate)
    assert (moved.low, moved.high) == pytest.approx((whole.low, whole.high))


@pytest.mark.parametrize("rate", RATES)
def test_probabilities_keep_the_order_and_their_mean_is_the_rate(rate: float) -> None:
    labels, _, panel, noise, error = made(rate)
    wrong = looks_wrong(labels, panel, noise)
    found = planted_probability(labels, panel, noise, error.mean())
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found[np.argsort(wrong)]) >= -1e-12).all()
    assert found.mean() == pytest.approx(error.mean(), abs=0.04)
    assert calibration.expected_calibration_error(found, error) < 0.03 + rate / 5  # planted ones are more blatant
    assert auroc(-found, error) > 0.95


def test_a_higher_rate_lifts_every_probability() -> None:
    labels, _, panel, noise, _ = made(0.1)
    low, high = (planted_probability(labels, panel, noise, rate) for rate in (0.05, 0.1))
    assert (high >= low).all()
    np.testing.assert_allclose(high[high < 1], 2 * low[high < 1])
    assert not planted_probability(labels, panel, noise, 0.0).any()


def stated(rate: float, *, skill: float = 2.0) -> calibration.ErrorRate:
    labels, probs, panel, noise, _ = made(rate, skill=skill)
    return error_rate(labels, probs, panel, noise, drawn(rate, skill=skill)[3])


@pytest.mark.parametrize("skill", [2.0, 4.0])
@pytest.mark.parametrize("rate", RATES)
def test_the_interval_of_the_error_rate_holds_the_truth(rate: float, skill: float) -> None:
    found = stated(rate, skill=skill)
    assert found.low <= made(rate, skill=skill)[4].mean() <= found.high
    assert found.low <= found.estimate <= found.high


def test_the_weaker_the_recognizer_the_less_is_told() -> None:
    narrow, wide, widest = (stated(0.2, skill=skill) for skill in (4.0, 2.0, 1.0))
    assert narrow.high - narrow.low < wide.high - wide.low < widest.high - widest.low


def test_what_neighbours_contradict_is_not_all_blamed_on_the_labels() -> None:
    labels, probs, panel, noise, _ = made(0.1, skill=1.0)
    alone = calibration.error_rate_interval(labels, probs)
    agreeing = sparse.csr_matrix((np.ones(len(labels)), (np.arange(len(labels)), probs.argmax(1))))
    of_class = sparse.csr_matrix(np.eye(CLASSES)[labels] / np.bincount(labels))  # (N, K): the mean over a given class
    with_all = error_rate(labels, probs, panel, noise, agreeing @ of_class.T)
    assert stated(0.1, skill=1.0).high < with_all.high <= alone.high


def test_nothing_one_face_and_one_class_have_no_known_errors() -> None:
    none, empty = np.empty(0, dtype=int), np.empty((0, 3))
    assert planted_error_rate(none, empty, np.eye(3)).high == 0.0
    assert error_rate(none, empty, empty, np.eye(3), sparse.csr_matrix((0, 0))).high == 0.0
    assert planted_probability(none, empty, np.eye(3), 0.1).shape == (0,)
    for labels, panel in ((np.array([1]), np.array([[0.2, 0.8]])), (np.zeros(4, dtype=int), np.full((4, 2), 0.5))):
        found = planted_error_rate(labels, panel, np.full((2, 2), 0.5))
        assert (found.estimate, found.low, found.high) == (0.0, 0.0, 1.0)  # anything may be wrong
        assert planted_probability(labels, panel, np.full((2, 2), 0.5), 0.1).tolist() == [0.1] * len(labels)
