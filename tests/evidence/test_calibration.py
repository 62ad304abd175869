"""Temperature, confident joint, error rate and calibration error, by hand, by simulation and against cleanlab."""

from __future__ import annotations

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint, estimate_latent
from evidence_data import planted
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.verdict import calibration

AVAILABLE, ERROR = planted(3000)
LABELS, PROBS = AVAILABLE["labels"], AVAILABLE["pred_probs"]


def simulated(n: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the probabilities themselves: calibrated by construction."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(4, 0.5), size=n)
    labels = (rng.random(n)[:, None] > probs.cumsum(1)).sum(1)
    return np.minimum(labels, 3), probs


def test_the_temperature_that_was_applied_is_found_again() -> None:
    labels, probs = simulated()
    assert calibration.fit_temperature(probs, labels) == pytest.approx(1.0, abs=0.05)
    sharpened = calibration.apply_temperature(probs, 0.5)
    assert calibration.fit_temperature(sharpened, labels) == pytest.approx(2.0, rel=0.05)


def test_a_temperature_keeps_the_ranking_of_classes_and_the_input() -> None:
    _, probs = simulated(50)
    probs.flags.writeable = False
    flat = calibration.apply_temperature(probs, 3.0)
    np.testing.assert_allclose(flat.sum(1), 1)
    np.testing.assert_array_equal(flat.argsort(1), probs.argsort(1))
    assert (flat.max(1) <= probs.max(1) + 1e-12).all()


def test_saturated_probabilities_have_a_finite_temperature() -> None:
    probs = np.array([[1.0, 0.0]] * 20)
    temperature = calibration.fit_temperature(probs, np.array([0] * 15 + [1] * 5))
    assert np.isfinite(calibration.apply_temperature(probs, temperature)).all()


def test_nothing_to_fit_leaves_probabilities_alone() -> None:
    assert calibration.fit_temperature(np.empty((0, 3)), np.empty(0, dtype=int)) == 1.0
    assert calibration.fit_temperature(np.ones((3, 1)), np.zeros(3, dtype=int)) == 1.0
    with pytest.raises(UsageError, match="above 0"):
        calibration.apply_temperature(PROBS, 0.0)


def test_the_confident_joint_is_cleanlabs() -> None:
    expected = compute_confident_joint(LABELS, PROBS, calibrate=True)
    found = calibration.confident_joint(LABELS, PROBS) * len(LABELS)
    # cleanlab rounds the calibrated counts to whole samples
    np.testing.assert_allclose(found, expected, atol=1.0)


def test_noise_transitions_are_cleanlabs_noise_matrix() -> None:
    joint = compute_confident_joint(LABELS, PROBS, calibrate=True)
    _, noise, _ = estimate_latent(joint, LABELS)  # noise[given, true]
    np.testing.assert_allclose(calibration.noise_transitions(LABELS, PROBS), noise.T, atol=0.02)


def test_transitions_are_distributions_even_for_a_class_that_nobody_has() -> None:
    wide = np.concatenate([PROBS, np.zeros((len(PROBS), 1))], axis=1)
    transitions = calibration.noise_transitions(LABELS, wide)
    np.testing.assert_allclose(transitions.sum(1), 1)
    assert transitions[-1, -1] == 1


def test_renaming_classes_renames_the_joint() -> None:
    order = np.array([3, 0, 4, 1, 2])
    renamed = calibration.confident_joint(np.argsort(order)[LABELS], PROBS[:, order])
    np.testing.assert_allclose(renamed, calibration.confident_joint(LABELS, PROBS)[np.ix_(order, order)])


@pytest.mark.parametrize("wrong", [0.0, 0.1, 0.3])
def test_the_error_rate_of_planted_errors_is_found(wrong: float) -> None:
    available, error = planted(4000, wrong=wrong, seed=2)
    found = calibration.error_rate_interval(available["labels"], available["pred_probs"])
    assert found.low - 0.02 <= error.mean() <= found.high + 0.02
    assert found.low <= found.estimate <= found.high <= found.low + 0.15


def weakened(wrong: float, skill: float, *, n: int = 4000, classes: int = 5) -> tuple[np.ndarray, np.ndarray, float]:
    """Labels, `wrong` of them another one at random; probabilities of a recognizer that never saw its own label; and
    the share of wrong ones."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, classes, n)
    labels = np.where(rng.random(n) < wrong, (true + rng.integers(1, classes, n)) % classes, true)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), true] += skill
    probs = np.exp(skill * logits) / np.exp(skill * logits).sum(1, keepdims=True)
    return labels, (1 - wrong) * probs + wrong * (1 - probs) / (classes - 1), float((labels != true).mean())


@pytest.mark.parametrize("skill", [1.5, 2.0, 3.0, 5.0])
@pytest.mark.parametrize("wrong", [0.02, 0.1, 0.2, 0.4])
def test_high_noise_and_weak_recognizers_are_told_an_interval_that_holds(wrong: float, skill: float) -> None:
    labels, probs, truth = weakened(wrong, skill)
    found = calibration.error_rate_interval(labels, probs)
    assert found.low <= truth <= found.high
    assert found.low <= found.estimate <= found.high


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("guessed", [0.3, 0.5, 0.6, 0.9, 1.0])
def test_an_estimate_lies_in_its_interval_however_much_is_guessed(guessed: float, classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, 4000)
    unsure = rng.random(len(labels)) < guessed
    preferred = np.where(unsure, rng.integers(0, classes, len(labels)), labels)
    probs = np.full((len(labels), classes), 1.0) + np.eye(classes)[preferred] * np.where(unsure, 1, 9)[:, None]
    found = calibration.error_rate_interval(labels, probs / probs.sum(1, keepdims=True))
    assert 0 <= found.low <= found.estimate <= found.high <= 1


@pytest.mark.parametrize("repeated", [0.0, 0.12])
def test_many_errors_on_hard_images_beside_a_strong_recognizer_are_told_within_a_fifth(repeated: float) -> None:
    rng = np.random.default_rng(0)
    hard, count = rng.random(2800), 10
    true = rng.integers(0, count, len(hard))
    wrong = rng.random(len(hard)) < 0.27 + 0.4 * hard**2
    labels = np.where(wrong, (true + rng.integers(1, count, len(hard))) % count, true)
    preferred = np.where(rng.random(len(hard)) < 0.06 * hard, rng.integers(0, count, len(hard)), true)
    preferred = np.where(wrong & (rng.random(len(hard)) < repeated), labels, preferred)
    probs = np.full((len(hard), count), 1.0) + np.eye(count)[preferred] * 20 * (1.1 - hard)[:, None]
    found = calibration.error_rate_interval(labels, probs / probs.sum(1, keepdims=True))
    assert found.low <= wrong.mean() <= found.high <= found.low + 0.2


def test_a_recognizer_that_contradicts_most_labels_blames_none_of_them() -> None:
    labels, probs, _ = weakened(0.0, 0.8)
    assert np.trace(calibration.confident_joint(labels, probs)) < 0.7
    found = calibration.error_rate_interval(labels, probs)
    assert found.low == 0
    assert found.high > (probs.argmax(1) != labels).mean()


def test_the_stronger_the_recognizer_the_narrower_the_interval() -> None:
    intervals = [calibration.error_rate_interval(*weakened(0.2, skill)[:2]) for skill in (1.5, 2.0, 3.0, 5.0)]
    widths = [found.high - found.low for found in intervals]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.06 < 0.2 < widths[0]


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_the_interval_follows_neither_rows_nor_names(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(3, 0.4), size=60).round(1) + 0.01  # full of ties
    probs += np.eye(3)[probs.argmax(1)] * 0.001  # but for the class that is preferred
    probs /= probs.sum(1, keepdims=True)
    labels, rows, order = rng.integers(0, 3, 60), rng.permutation(60), rng.permutation(3)
    expected = calibration.error_rate_interval(labels, probs)
    assert calibration.error_rate_interval(labels[rows], probs[rows]) == expected
    assert calibration.error_rate_interval(np.argsort(order)[labels], probs[:, order]) == expected


def test_one_class_and_one_sample_have_no_errors() -> None:
    assert calibration.estimated_error_rate(np.zeros(5, dtype=int), np.full((5, 2), 0.5)) == 0.0
    assert calibration.estimated_error_rate(np.array([1]), np.array([[0.9, 0.1]])) == 0.0
    with pytest.raises(BadDataError, match="empty"):
        calibration.confident_joint(np.empty(0, dtype=int), np.empty((0, 3)))


def test_calibration_error_is_small_for_honest_and_large_for_boastful_probabilities() -> None:
    labels, probs = simulated()
    right = probs.argmax(1) == labels
    assert calibration.expected_calibration_error(probs.max(1), right) < 0.03
    boast = calibration.apply_temperature(probs, 0.2).max(1)
    assert calibration.expected_calibration_error(boast, right) > 0.15


def test_calibration_error_of_tied_probabilities_does_not_depend_on_the_order() -> None:
    rng = np.random.default_rng(0)
    probability, happened = rng.integers(0, 4, 101) / 3, rng.random(101) < 0.4
    order = rng.permutation(101)
    assert calibration.expected_calibration_error(probability[order], happened[order]) == pytest.approx(
        calibration.expected_calibration_error(probability, happened)
    )


def test_brier_is_scikit_learns() -> None:
    probability, happened = np.array([0.1, 0.8, 0.5]), np.array([False, True, False])
    assert calibration.brier(probability, happened) == pytest.approx(brier_score_loss(happened, probability))


@pytest.mark.parametrize("probability", [np.array([1.2, 0.0]), np.array([np.nan, 0.0]), np.array([]), np.zeros(3)])
def test_what_is_no_event_probability_is_refused(probability: np.ndarray) -> None:
    with pytest.raises(BadDataError):
        calibration.brier(probability, np.zeros(len(probability) if len(probability) != 3 else 2))
