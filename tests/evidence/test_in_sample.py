"""Facts about noticing in-sample probabilities: real models on their own training rows, and honest ones beside them."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from evidence_data import planted

from ferclean.errors import BadDataError
from ferclean.evidence.class_order import find_permutation
from ferclean.evidence.signals.in_sample import in_sample_evidence, refuse_in_sample

ARRAYS = Path(__file__).parents[3] / "shared" / "data" / "arrays"
MODELS = ("nearest", "forest", "network", "boosting")
FOLD = np.arange(600) % 4


@cache
def noisy_set(noise: float) -> tuple[np.ndarray, np.ndarray]:
    """600 points of five overlapping classes, and their labels of which a share is wrong."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 5, 600)
    features = rng.normal(size=(5, 8))[true] * 2 + rng.normal(size=(600, 8))
    wrong = rng.random(600) < noise
    return features, np.where(wrong, (true + rng.integers(1, 5, 600)) % 5, true)


def fitted(model: str, features: np.ndarray, labels: np.ndarray):
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier

    made = {
        "nearest": KNeighborsClassifier(1),
        "forest": RandomForestClassifier(40, random_state=0),
        "network": MLPClassifier((200,), alpha=0, max_iter=600, learning_rate_init=0.01, random_state=0),
        "boosting": HistGradientBoostingClassifier(max_iter=40, random_state=0),
    }[model]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the network need not converge
        return made.fit(features, labels)


@cache
def probabilities(model: str, noise: float, *, in_sample: bool) -> np.ndarray:
    features, labels = noisy_set(noise)
    if in_sample:
        return fitted(model, features, labels).predict_proba(features)
    probs = np.zeros((600, 5))
    for held_out in range(4):
        seen = held_out != FOLD
        probs[~seen] = fitted(model, features[seen], labels[seen]).predict_proba(features[~seen])
    return probs


@pytest.mark.parametrize("noise", [0.1, 0.3])
@pytest.mark.parametrize("model", MODELS)
def test_a_model_on_its_own_training_rows_is_refused(model: str, noise: float) -> None:
    (features, labels), probs = noisy_set(noise), probabilities(model, noise, in_sample=True)
    for space in (None, features):
        for fold in (None, FOLD):
            found = in_sample_evidence(labels, probs, space, fold)
            assert found.verdict == "in_sample"
            with pytest.raises(BadDataError, match="in-sample"):
                refuse_in_sample(found)


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("model", MODELS)
def test_the_same_model_out_of_fold_is_accepted(model: str, noise: float) -> None:
    (features, labels), probs = noisy_set(noise), probabilities(model, noise, in_sample=False)
    for space in (None, features):
        found = refuse_in_sample(in_sample_evidence(labels, probs, space, FOLD))
        assert found.verdict != "in_sample", found.sentence


def test_contradicting_neighbours_show_what_perfection_alone_would_not() -> None:
    features, labels = noisy_set(0.3)
    probs = probabilities("boosting", 0.3, in_sample=True).copy()
    probs[:3] = np.roll(probs[:3], 1, axis=1)  # one in two hundred is doubted: no longer perfect
    assert in_sample_evidence(labels, probs).verdict != "in_sample"
    found = in_sample_evidence(labels, probs, features)
    assert found.verdict == "in_sample"
    assert "neighbours" in found.sentence


def test_a_very_clean_set_with_a_very_good_model_is_accepted() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 7, 3000)
    logits = rng.normal(size=(3000, 7)) + 4.6 * np.eye(7)[labels]
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = in_sample_evidence(labels, probs)
    assert 0.001 < found.disagreement < 0.01
    assert found.verdict != "in_sample", found.sentence  # under-confident, which is told as a doubt


def test_neighbours_vouch_for_a_perfect_model() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 5, 400)
    features = np.eye(5)[labels] * 4 + rng.normal(size=(400, 5)) * 0.3
    probs = np.eye(5)[labels] * 0.9 + 0.02
    assert in_sample_evidence(labels, probs).verdict == "in_sample"
    assert in_sample_evidence(labels, probs, features, np.arange(400) % 4).verdict != "in_sample"


def test_copies_under_conflicting_labels_prove_it() -> None:
    labels = np.tile([0, 1], 10)
    pairs = np.arange(20).reshape(10, 2)
    both_as_given = np.eye(2)[labels] * 0.9 + 0.05
    found = in_sample_evidence(labels, both_as_given, pairs=pairs)
    assert (found.verdict, found.conflicts) == ("in_sample", 10)
    alike = np.tile([0.9, 0.1], (20, 1))
    assert in_sample_evidence(labels, alike, pairs=pairs).verdict == "plausible"


def test_one_class_and_a_model_without_an_opinion_are_no_proof() -> None:
    labels = np.arange(500) % 5
    assert in_sample_evidence(labels, np.full((500, 5), 0.2)).verdict == "plausible"
    assert in_sample_evidence(np.zeros(500, dtype=int), np.ones((500, 1))).verdict == "doubtful"
    with pytest.raises(BadDataError, match="no sample"):
        in_sample_evidence(labels[:0], np.empty((0, 5)))


def test_the_order_of_rows_and_classes_does_not_matter() -> None:
    features, labels = noisy_set(0.3)
    probs = probabilities("boosting", 0.3, in_sample=False)
    rows, classes = np.random.default_rng(0).permutation(600), np.array([3, 0, 4, 1, 2])
    moved = np.empty_like(probs)
    moved[:, classes] = probs
    first = in_sample_evidence(labels, probs, features, FOLD).as_dict()
    second = in_sample_evidence(classes[labels][rows], moved[rows], features[rows], FOLD[rows]).as_dict()
    assert first.keys() == second.keys()
    assert first["verdict"] == second["verdict"]
    for key in ("disagreement", "announced", "log_loss"):
        np.testing.assert_allclose(second[key], first[key])


def public_arrays(name: str) -> dict[str, np.ndarray]:
    path = ARRAYS / name
    if not path.is_file():
        pytest.skip(f"{name} is not here: public arrays are read from ../shared/data")
    with np.load(path, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files if key.startswith(("given_label", "pred_probs"))}


@pytest.mark.parametrize("name", ["cifar-10n-aggregate.npz", "label-errors-mnist-test.npz"])
def test_public_out_of_fold_arrays_are_accepted(name: str) -> None:
    arrays = public_arrays(name)
    labels = arrays.pop("given_label").astype(int)
    for probs in arrays.values():
        assert in_sample_evidence(labels, probs).verdict == "plausible"
        assert find_permutation(labels, probs) is None


# ---- class order


@pytest.mark.parametrize("noise", [0.0, 0.15, 0.3])
def test_a_permutation_is_named_and_noise_is_none(noise: float) -> None:
    available, _ = planted(600, 7, wrong=noise, skill=3.0)
    labels, probs = available["labels"], available["pred_probs"]
    assert find_permutation(labels, probs) is None
    for order in ([0, 2, 1, 3, 4, 5, 6], [6, 0, 1, 2, 3, 4, 5]):
        found = find_permutation(labels, probs[:, order])
        assert found is not None
        np.testing.assert_array_equal(probs[:, order][:, found], probs)


def test_strong_confusion_and_weak_models_are_no_permutation() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 7, 700)
    # most fear is taken for surprise, most disgust for anger; and 30 % of the labels are anything
    heard = np.where((labels == 1) & (rng.random(700) < 0.7), 0, labels)
    heard = np.where((labels == 2) & (rng.random(700) < 0.7), 5, heard)
    heard = np.where(rng.random(700) < 0.3, rng.integers(0, 7, 700), heard)
    assert find_permutation(labels, np.eye(7)[heard] * 0.86 + 0.02) is None
    for seed in range(20):
        guesses = np.random.default_rng(seed).dirichlet(np.ones(7) * 0.3, 700)
        assert find_permutation(labels, guesses) is None


def test_an_over_fitted_networks_own_embedding_is_no_witness() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 4, 800)
    # what memory does: every sample, wrongly labelled ones too, lies in the midst of its given class
    features = np.eye(4)[labels] + rng.normal(scale=0.05, size=(800, 4))
    probs = np.where(np.eye(4)[labels] > 0, 0.97, 0.01)
    with pytest.raises(BadDataError, match="in-sample"):
        refuse_in_sample(in_sample_evidence(labels, probs, features))
    assert in_sample_evidence(labels, probs, features, np.arange(800) % 4).verdict != "in_sample"
