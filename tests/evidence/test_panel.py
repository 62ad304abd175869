"""The panel: noise that leans towards people, corrected neighbours, posteriors that mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ferclean.errors import BadDataError
from ferclean.evidence.constants import STANDARD
from ferclean.evidence.measures import auprc, auroc
from ferclean.evidence.signals.neighbours import Neighbourhood, neighbourhood
from ferclean.evidence.verdict import calibration
from ferclean.evidence.verdict.panel import (
    at_true_shares,
    consult,
    hedged,
    posterior,
    transitions,
)

CLASSES = 4
MIXED_UP = 0.7 * np.eye(CLASSES) + 0.3 * np.roll(np.eye(CLASSES), 1, axis=1)  # every class passes for the next one


def drawn(chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(len(chances))[:, None] > chances.cumsum(1)).sum(1).clip(max=CLASSES - 1)


def made(n: int = 1200, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, Neighbourhood]:
    """True labels, labels drawn by MIXED_UP, calibrated probabilities and the neighbours."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, CLASSES, n)
    labels = drawn(MIXED_UP[true], rng)
    logits = 2 * rng.normal(size=(n, CLASSES))
    logits[np.arange(n), true] += 4
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) @ MIXED_UP  # what the given labels teach
    embedding = 0.6 * rng.normal(size=(n, 8))
    embedding[np.arange(n), true] += 1
    return true, labels, probs, neighbourhood(labels, embedding, num_classes=CLASSES)


TRUE, LABELS, PROBS, AROUND = made()
NOISE, ROWS = transitions(LABELS, PROBS), np.arange(len(LABELS))
PANEL = consult(LABELS, PROBS, NOISE, around=AROUND.weights)
UNCORRECTED = (1 - STANDARD.neighbours_share) * PROBS + STANDARD.neighbours_share * AROUND.shares


def test_transitions_say_which_class_passes_for_which() -> None:
    np.testing.assert_allclose(NOISE.sum(1), 1)
    np.testing.assert_array_equal((NOISE * (1 - np.eye(CLASSES))).argmax(1), [1, 2, 3, 0])
    assert (NOISE > 0).all()  # a posterior divides by them
    assert np.abs(NOISE - calibration.noise_transitions(LABELS, PROBS)).max() < 0.1


def test_corrected_neighbours_rank_systematic_errors_better_than_their_given_labels() -> None:
    error = TRUE != LABELS
    found = posterior(LABELS, PANEL, NOISE)[ROWS, LABELS]
    half = (1 - STANDARD.first_share) * PROBS + STANDARD.first_share * AROUND.shares
    for rival in (AROUND.shares, PROBS, posterior(LABELS, half, NOISE), posterior(LABELS, UNCORRECTED, NOISE)):
        assert auroc(found, error) > auroc(rival[ROWS, LABELS], error) + 0.005
        assert auprc(found, error) > auprc(rival[ROWS, LABELS], error) + 0.015


def test_a_panel_is_a_distribution_and_follows_rows_and_classes() -> None:
    np.testing.assert_allclose(PANEL.sum(1), 1)
    rows = np.random.default_rng(1).permutation(len(LABELS))
    moved = consult(LABELS[rows], PROBS[rows], NOISE, around=AROUND.weights[rows][:, rows])
    np.testing.assert_allclose(moved, PANEL[rows])
    order = np.array([2, 0, 3, 1])
    noise = transitions(np.argsort(order)[LABELS], PROBS[:, order])
    np.testing.assert_allclose(noise, NOISE[np.ix_(order, order)])
    renamed = consult(np.argsort(order)[LABELS], PROBS[:, order], noise, around=AROUND.weights)
    np.testing.assert_allclose(renamed, PANEL[:, order])


def test_a_face_without_neighbours_keeps_its_calibrated_probabilities() -> None:
    keep = sparse.diags((ROWS % 3 > 0).astype(float))
    panel = consult(LABELS, PROBS, NOISE, around=(keep @ AROUND.weights).tocsr())
    np.testing.assert_array_equal(panel[::3], PROBS[::3])
    assert (np.abs(panel - PROBS)[ROWS % 3 > 0].max(1) > 0).all()
    np.testing.assert_array_equal(consult(LABELS, PROBS, NOISE), PROBS)


def test_posteriors_of_drawn_truths_are_calibrated() -> None:
    rng, rows = np.random.default_rng(0), np.arange(8000)
    panel = rng.dirichlet(np.full(CLASSES, 0.3), size=8000)
    true = drawn(panel, rng)
    labels = drawn(MIXED_UP[true], rng)
    stays = posterior(labels, panel, MIXED_UP)
    np.testing.assert_allclose(stays.sum(1), 1)
    assert calibration.expected_calibration_error(stays[rows, labels], true == labels) < 0.02
    assert calibration.expected_calibration_error(panel[rows, labels], true == labels) > 0.05


def test_true_shares_replace_those_of_the_given_labels_and_order_systematic_errors_better() -> None:
    rng, n = np.random.default_rng(0), 4000
    noise = np.eye(3)
    noise[0] = [0.5, 0.5, 0.0]  # half of the first class passes for the second
    true = rng.choice(3, n, p=[0.6, 0.1, 0.3])
    labels = (rng.random(n)[:, None] > noise[true].cumsum(1)).sum(1).clip(max=2)
    logits = 1.5 * rng.normal(size=(n, 3)) + 2 * np.eye(3)[true]
    seen = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    learned = seen * np.bincount(labels, minlength=3) / np.bincount(true, minlength=3)  # the shares of given labels
    learned /= learned.sum(1, keepdims=True)
    found = at_true_shares(labels, learned, noise)
    np.testing.assert_allclose(found.sum(1), 1)
    shares = np.bincount(true, minlength=3) / n
    assert np.abs(found.mean(0) - shares).sum() < 0.7 * np.abs(learned.mean(0) - shares).sum()
    rows, wrong = np.arange(n), true != labels
    before, after = (posterior(labels, panel, noise)[rows, labels] for panel in (learned, found))
    assert auprc(after, wrong) >= auprc(before, wrong)
    error = calibration.expected_calibration_error
    assert error(1 - after, wrong) < error(1 - before, wrong)


def test_nothing_one_face_and_one_class_have_a_panel_too() -> None:
    none = np.empty(0, dtype=int)
    np.testing.assert_array_equal(transitions(none, np.empty((0, 3))), np.eye(3))
    assert consult(none, np.empty((0, 3)), np.eye(3), around=sparse.csr_matrix((0, 0))).shape == (0, 3)
    one = np.array([[0.2, 0.8]])
    np.testing.assert_array_equal(consult(np.array([1]), one, NOISE[:2, :2], around=sparse.csr_matrix((1, 1))), one)
    assert transitions(np.zeros(3, dtype=int), np.ones((3, 1))).tolist() == [[1.0]]
    assert at_true_shares(np.zeros(3, dtype=int), np.ones((3, 1)), np.eye(1)).tolist() == [[1.0]] * 3
    np.testing.assert_allclose(at_true_shares(np.array([1]), one, np.eye(2)), [[0.05, 0.95]], atol=0.05)
    with pytest.raises(BadDataError, match="around must be a weight per pair of samples, 1200 x 1200"):
        consult(LABELS, PROBS, NOISE, around=AROUND.weights[:, :9])


@settings(max_examples=25)
@given(st.integers(1, 30), st.integers(4, 8), st.integers(0, 10_000))
def test_weights_are_who_the_shares_come_from(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, groups, fold = rng.integers(0, 3, n), rng.integers(0, n, n), rng.integers(0, 2, n)
    embedding = rng.integers(-1, 2, (n, 3)).astype(float)  # full of ties
    found = neighbourhood(labels, embedding, num_classes=3, k=k, fold=fold, groups=groups)
    weights = found.weights.toarray()
    told, heard = ~np.isnan(found.shares).any(1), weights.any(1)
    assert (told == heard).all()  # no crowds among so few
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights[heard].sum(1), 1)
    np.testing.assert_allclose((weights @ np.eye(3)[labels])[heard], found.shares[heard])
    assert not weights[(groups[:, None] == groups) | (fold[:, None] != fold)].any()  # no copies, no other fold's


def test_a_crowd_of_equal_faces_names_nobody_and_a_handful_does() -> None:
    labels = np.array([0, 1] * 150 + [0, 1, 1, 1])
    found = neighbourhood(labels, np.eye(2)[[0] * 300 + [1] * 4], num_classes=2, k=3)
    assert found.weights[:300].nnz == 0
    np.testing.assert_allclose(found.shares[:300], 0.5, atol=0.01)
    np.testing.assert_allclose(found.weights[300:].toarray()[:, 300:], (1 - np.eye(4)) / 3)


def test_without_neighbours_small_sets_lean_towards_self_confidence() -> None:
    apart = []
    for count in (40, 400, 1200):
        found = hedged(LABELS[:count], PROBS[:count], NOISE)
        np.testing.assert_allclose(found.sum(1), 1)
        apart.append(np.abs(found[ROWS[:count], LABELS[:count]] - PROBS[ROWS[:count], LABELS[:count]]).mean())
    assert apart[0] < apart[1] < apart[2]


def test_a_label_is_doubted_too_where_no_other_label_is_right() -> None:
    rng, n = np.random.default_rng(0), 600
    labels, rows = rng.integers(0, CLASSES, n), np.arange(n)
    nothing = rows % 6 == 0  # a face of no class, given any label; all others are right
    logits = 1.5 * rng.normal(size=(n, CLASSES))
    logits[rows, labels] += np.where(nothing, 0, 4)
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    plain = auprc(probs[rows, labels], nothing)
    assert auprc(posterior(labels, probs, MIXED_UP)[rows, labels], nothing) < plain - 0.05
    assert auprc(hedged(labels, probs, MIXED_UP)[rows, labels], nothing) > plain - 0.005
