"""Facts about linear probes: out-of-fold to the bit, whole with missing classes, refused where they mean nothing."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from ferclean.errors import BadDataError
from ferclean.evidence.signals.probing import STRENGTHS, linear_probe
from ferclean.evidence.splits import grouped_folds

CLASSES = 3
COUNT = 180


def made(*, noise: float = 0.0, spread: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Given labels, an embedding that follows the true ones, and the true ones; read-only."""
    rng = np.random.default_rng(3)
    true = rng.integers(0, CLASSES, COUNT)
    embedding = np.eye(CLASSES, 8)[true] + spread * rng.normal(size=(COUNT, 8))
    wrong = rng.random(COUNT) < noise
    given = np.where(wrong, (true + rng.integers(1, CLASSES, COUNT)) % CLASSES, true)
    for array in (given, embedding, true):
        array.setflags(write=False)
    return given, embedding, true


@pytest.fixture(scope="module")
def folds() -> np.ndarray:
    fold = np.arange(COUNT) % 4
    fold.setflags(write=False)
    return fold


def test_rows_sum_to_one_and_the_same_seed_gives_the_same_bytes(folds: np.ndarray) -> None:
    given, embedding, _ = made()
    first, again = (linear_probe(given, embedding, folds, num_classes=CLASSES, seed=5) for _ in range(2))
    assert first.shape == (COUNT, CLASSES)
    assert first.dtype == np.float64
    assert (first >= 0).all()
    np.testing.assert_allclose(first.sum(1), 1, atol=1e-9)
    assert first.tobytes() == again.tobytes()


def test_a_rows_own_label_never_changes_its_own_probabilities_but_those_of_other_folds(folds: np.ndarray) -> None:
    given, embedding, _ = made()
    before = linear_probe(given, embedding, folds, num_classes=CLASSES)
    for row in (0, 41, 179):
        changed = given.copy()
        changed[row] = (changed[row] + 1) % CLASSES
        after = linear_probe(changed, embedding, folds, num_classes=CLASSES)
        own = folds == folds[row]
        assert after[own].tobytes() == before[own].tobytes()
        assert (after[~own] != before[~own]).any(1).all()


def test_an_embedding_of_one_fold_never_changes_what_is_said_of_its_other_rows(folds: np.ndarray) -> None:
    given, embedding, _ = made()
    before = linear_probe(given, embedding, folds, num_classes=CLASSES)
    changed = embedding.copy()
    changed[0] += 100
    after = linear_probe(given, changed, folds, num_classes=CLASSES)
    own = folds == folds[0]
    np.testing.assert_allclose(after[own][1:], before[own][1:], atol=1e-12)
    assert not np.allclose(after[own][0], before[own][0], atol=1e-3)


def test_copies_share_folds_so_a_copy_never_vouches_for_its_twin() -> None:
    given, embedding, _ = made(noise=0.2)
    groups = np.arange(COUNT) // 2
    twins = embedding[groups * 2]
    fold = grouped_folds(given, groups, folds=4, seed=0)
    assert (fold[0::2] == fold[1::2]).all()
    before = linear_probe(given, twins, fold, num_classes=CLASSES)
    np.testing.assert_allclose(before[0::2], before[1::2], atol=1e-12)
    changed = given.copy()
    changed[:2] = (changed[:2] + 1) % CLASSES
    after = linear_probe(changed, twins, fold, num_classes=CLASSES)
    assert after[:2].tobytes() == before[:2].tobytes()


def test_a_class_that_the_other_folds_lack_gets_no_probability() -> None:
    given, embedding, _ = made()
    fold = np.where(given == 2, 0, 1 + np.arange(COUNT) % 2)
    fold[np.flatnonzero(given < 2)[:10]] = 0
    probs = linear_probe(given, embedding, fold, num_classes=CLASSES)
    assert (probs[fold == 0, 2] == 0).all()
    assert (probs[fold != 0, 2] > 0).all()
    np.testing.assert_allclose(probs.sum(1), 1, atol=1e-9)
    # nor does a class that nobody has
    wider = linear_probe(given, embedding, fold, num_classes=CLASSES + 1)
    assert (wider[:, CLASSES] == 0).all()
    np.testing.assert_array_equal(wider[:, :CLASSES], probs)


def test_one_class_alone_gets_all_the_probability(folds: np.ndarray) -> None:
    _, embedding, _ = made()
    probs = linear_probe(np.full(COUNT, 1), embedding, folds, num_classes=CLASSES)
    np.testing.assert_array_equal(probs, np.eye(CLASSES)[np.full(COUNT, 1)])
    two_folds = linear_probe(np.array([0, 0, 1, 1]), np.eye(4), np.array([0, 0, 1, 1]), num_classes=2)
    np.testing.assert_array_equal(two_folds, np.eye(2)[[1, 1, 0, 0]])


def test_tiny_and_constant_embeddings_give_probabilities() -> None:
    labels = np.array([0, 1, 0, 1, 2])
    fold = np.array([0, 0, 1, 1, 1])
    rng = np.random.default_rng(0)
    for embedding in (np.zeros((5, 3)), np.full((5, 3), 7e6), rng.normal(size=(5, 40)).astype(np.float32)):
        probs = linear_probe(labels, embedding, fold, num_classes=3)
        assert np.isfinite(probs).all()
        np.testing.assert_allclose(probs.sum(1), 1, atol=1e-9)


def test_what_cannot_be_probed_is_refused(folds: np.ndarray) -> None:
    given, embedding, _ = made()
    for bad in (np.nan, np.inf):
        broken = embedding.copy()
        broken[7, 2] = bad
        with pytest.raises(BadDataError, match="NaN or infinite"):
            linear_probe(given, broken, folds, num_classes=CLASSES)
    with pytest.raises(BadDataError, match=r"\(N, D\)"):
        linear_probe(given, embedding[:, 0], folds, num_classes=CLASSES)
    with pytest.raises(BadDataError, match="at least two folds"):
        linear_probe(given, embedding, np.zeros(COUNT, dtype=int), num_classes=CLASSES)
    with pytest.raises(BadDataError, match="lengths differ"):
        linear_probe(given, embedding, folds[1:], num_classes=CLASSES)
    with pytest.raises(BadDataError, match=r"outside 0\.\.1"):
        linear_probe(given, embedding, folds, num_classes=2)


def test_probes_beat_the_class_prior_and_are_not_better_where_nothing_can_be_learnt(folds: np.ndarray) -> None:
    given, embedding, _ = made(spread=0.3)
    prior = log_loss(given, np.tile(np.bincount(given) / COUNT, (COUNT, 1)))
    probs = linear_probe(given, embedding, folds, num_classes=CLASSES)
    assert log_loss(given, probs) < 0.5 * prior
    assert (probs.argmax(1) == given).mean() > 0.9
    # labels that are not in the embedding: in-sample probes would seem to know them
    shuffled = np.random.default_rng(0).permutation(given)
    assert log_loss(shuffled, linear_probe(shuffled, embedding, folds, num_classes=CLASSES)) > 0.95 * prior


def test_planted_errors_get_less_probability_than_right_labels(folds: np.ndarray) -> None:
    given, embedding, true = made(noise=0.2, spread=0.3)
    own = linear_probe(given, embedding, folds, num_classes=CLASSES)[np.arange(COUNT), given]
    assert 10 < (given != true).sum() < 60
    assert np.median(own[given != true]) < 0.5 * np.median(own[given == true])


def test_a_fold_is_what_scikit_learn_gives_with_one_of_the_strengths(folds: np.ndarray) -> None:
    from sklearn.linear_model import LogisticRegression

    given, embedding, _ = made(noise=0.1)
    probs = linear_probe(given, embedding, folds, num_classes=CLASSES)
    out = folds == 2
    scaled = (embedding - embedding[~out].mean(0)) / embedding[~out].std(0)
    distances = [
        np.abs(
            LogisticRegression(C=strength, max_iter=300).fit(scaled[~out], given[~out]).predict_proba(scaled[out])
            - probs[out]
        ).max()
        for strength in STRENGTHS
    ]
    assert min(distances) < 1e-3 < 1e-2 < sorted(distances)[1]
