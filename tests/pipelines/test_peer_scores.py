"""Published detectors on examples that can be worked out by hand, each as its paper defines it."""

from __future__ import annotations

import numpy as np
import pytest

from ferclean.evidence import measures
from pipelines.ferplus_detection import flag_figures, minus_best
from pipelines.peer_scores import Space, flagged, nearest, peer_scores, relation_graph, simifeat, transitions

# cosines: first to second 0.8, first to third 0.6, second to third 0.96
THREE = Space(embedding=np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]]), fold=np.zeros(3, dtype=np.int64))
LABELS = np.array([0, 1, 1])


def clusters(rng: np.random.Generator, *, count: int = 600, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray, Space]:
    """Given and true labels of three well separated clusters, in two folds."""
    true = rng.integers(0, 3, count)
    given = np.where(rng.random(count) < noise, (true + rng.integers(1, 3, count)) % 3, true)
    embedding = 6 * np.eye(8)[true] + rng.normal(0, 1, (count, 8))
    return given, true, Space(embedding=embedding, fold=np.arange(count) % 2)


def test_simifeat_lets_a_face_and_its_nearest_ones_vote_with_their_similarity() -> None:
    found = simifeat(LABELS, [THREE], num_classes=2, voters=3)
    # the first votes with 2 * 0.8 - 0.6 = 1 for its own label, the two others with 0.8 + 0.6 against it
    assert found["simifeat_vote"][0] == pytest.approx(1 / np.hypot(1, 1.4) / 2)
    # the second votes with 2 * 0.96 - 0.8, the third with 0.96, and only the first, with 0.8, against them
    assert found["simifeat_vote"][1] == pytest.approx((2.08 / np.hypot(2.08, 0.8) + 1) / 2)
    assert flagged(found["simifeat_vote"]).tolist() == [True, False, False]


def test_simifeat_ranking_flags_as_many_of_a_class_as_are_wrong_in_it() -> None:
    rng = np.random.default_rng(0)
    given, true, space = clusters(rng)
    found = simifeat(given, [space], num_classes=3)["simifeat_rank"]
    flag = flagged(found)
    for k in range(3):
        assert flag[given == k].mean() == pytest.approx((true != given)[given == k].mean(), abs=0.06)
    assert (true != given)[flag].mean() > 0.85
    assert found[flag].max() < found[~flag].min()


def test_transitions_are_those_whose_moments_are_seen() -> None:
    matrix = np.array([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.0, 0.3, 0.7]])
    prior = np.array([0.5, 0.3, 0.2])
    found, shares = transitions(
        prior @ matrix,
        np.einsum("i,ia,ib->ab", prior, matrix, matrix),
        np.einsum("i,ia,ib,ic->abc", prior, matrix, matrix, matrix),
    )
    np.testing.assert_allclose(found, matrix, atol=0.02)
    np.testing.assert_allclose(shares, prior, atol=0.02)


def test_the_relation_graph_adds_kernels_with_the_sign_of_agreement_and_turns_those_to_the_mislabelled() -> None:
    probs = np.full((3, 2), 0.5)  # so that p.p' is 0.5 everywhere
    near, far, same = (0.5 * 0.8) ** 4, (0.5 * 0.6) ** 4, (0.5 * 0.96) ** 4
    expected = np.array([-near - far, near + same, far + same])  # the first is found out, and counts for the others
    found = relation_graph(LABELS, probs, [THREE])
    np.testing.assert_allclose(found, expected / expected.max(), rtol=1e-9)
    # faces that are predicted apart are not related: the kernel falls under 0.03
    apart = np.array([[1.0, 0.0], [0.03, 0.97], [0.03, 0.97]])
    assert relation_graph(LABELS, apart, [THREE])[0] == 0


def test_the_nearest_are_those_of_the_same_fold_in_order_and_never_the_face_itself() -> None:
    rng = np.random.default_rng(1)
    space = Space(embedding=np.abs(rng.normal(size=(40, 5))), fold=np.arange(40) % 2)
    index, cosine = nearest(space, 6)
    unit = space.embedding / np.linalg.norm(space.embedding, axis=1, keepdims=True)
    every = np.where(space.fold[:, None] == space.fold, unit @ unit.T, -1.0)
    np.fill_diagonal(every, -1.0)
    np.testing.assert_array_equal(index, np.argsort(-every, axis=1)[:, :6])
    np.testing.assert_allclose(cosine, -np.sort(-every, axis=1)[:, :6])
    alone = Space(embedding=np.eye(2), fold=np.zeros(2, dtype=np.int64))
    assert nearest(alone, 2)[0].tolist() == [[-1, -1], [-1, -1]]


def test_every_peer_finds_planted_errors_and_recognizers_are_averaged() -> None:
    rng = np.random.default_rng(2)
    given, true, space = clusters(rng)
    probs = np.full((len(true), 3), 0.1) + 0.7 * np.eye(3)[true]
    margin = np.where(given == true, 1.0, -1.0) + rng.normal(0, 0.3, len(true))
    member = {"aum": margin, "mean_confidence": 1 / (1 + np.exp(-margin))}
    one = peer_scores(given, probs, [space], [member])
    assert set(one) == {"simifeat_vote", "simifeat_rank", "relation_graph", "epoch_aum", "epoch_mean_confidence"}
    for name, quality in one.items():
        assert measures.auprc(quality, given != true) > 0.9, name
    assert one["epoch_aum"] is margin
    two = peer_scores(given, probs, [space, space], [member, member])
    np.testing.assert_allclose(two["simifeat_vote"], one["simifeat_vote"])
    np.testing.assert_allclose(two["relation_graph"], one["relation_graph"])
    assert np.argsort(two["epoch_aum"]).tolist() == np.argsort(margin).tolist()


def test_flags_are_measured_by_precision_recall_and_f1() -> None:
    flag, wrong = np.array([True, True, True, False]), np.array([True, False, True, True])
    assert flag_figures(flag, wrong) == {
        "flagged": 0.75, "precision": 0.6667, "recall": 0.6667, "f1": 0.6667
    }  # fmt: skip


def test_the_gain_is_over_the_best_peer() -> None:
    wrong, groups = np.array([True, True, False, False] * 5), np.arange(20)
    own = np.where(wrong, 0.1, 0.9)
    half, none = own.copy(), 1 - own
    half[::4] = 1.0
    found = minus_best(own, {"none": none, "half": half}, wrong, groups)
    assert found is not None
    assert found["peer"] == "half"
    assert found["mean"] == pytest.approx(1 - measures.auprc(half, wrong), abs=1e-4)
    assert found["low"] > 0
    assert minus_best(own, {}, wrong, groups) is None
    assert minus_best(own, {"half": half}, np.zeros(20, dtype=bool), groups) is None
