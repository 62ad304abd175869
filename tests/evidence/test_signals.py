"""Each signal by hand or against the tool it comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cleanlab import rank
from cleanlab.filter import find_label_issues
from evidence_data import planted
from hypothesis import given, settings
from hypothesis import strategies as st

from ferclean.errors import BadDataError
from ferclean.evidence import measures
from ferclean.evidence.signals import label_signals as signals
from ferclean.evidence.signals import nearest, neighbours

AVAILABLE, ERROR = planted()
LABELS, PROBS, EMBEDDING = AVAILABLE["labels"], AVAILABLE["pred_probs"], AVAILABLE["embedding"]
ARRAYS = Path(__file__).parents[3] / "shared" / "data" / "arrays" / "cifar-10n-aggregate.npz"


def test_self_confidence_and_margin_are_cleanlabs() -> None:
    np.testing.assert_allclose(
        signals.self_confidence(labels=LABELS, pred_probs=PROBS),
        rank.get_self_confidence_for_each_label(LABELS, PROBS),
    )
    np.testing.assert_allclose(
        (1 + signals.probability_margin(labels=LABELS, pred_probs=PROBS)) / 2,
        rank.get_normalized_margin_for_each_label(LABELS, PROBS),
    )


def test_class_adjusted_self_confidence_is_cleanlabs() -> None:
    np.testing.assert_allclose(
        signals.class_adjusted_self_confidence(labels=LABELS, pred_probs=PROBS),
        rank.get_label_quality_scores(LABELS, PROBS, method="self_confidence", adjust_pred_probs=True),
    )


def test_confident_joint_membership_is_cleanlabs_filter() -> None:
    expected = find_label_issues(LABELS, PROBS, n_jobs=1)
    assert expected.any()
    found = signals.confident_joint_membership(labels=LABELS, pred_probs=PROBS) == 0
    np.testing.assert_array_equal(found, expected)


def test_confident_joint_membership_copes_with_a_class_that_nobody_has() -> None:
    wide = np.concatenate([PROBS, np.zeros((len(PROBS), 1))], axis=1)
    np.testing.assert_array_equal(
        signals.confident_joint_membership(labels=LABELS, pred_probs=wide),
        signals.confident_joint_membership(labels=LABELS, pred_probs=PROBS),
    )


def test_confident_joint_membership_is_quiet_about_a_class_of_one() -> None:
    labels = np.where(np.arange(len(LABELS)) < 1, 4, LABELS % 4)
    found = signals.confident_joint_membership(labels=labels, pred_probs=PROBS)
    assert found[0] == 1  # warnings are errors here


def test_logit_margin_is_the_difference_of_logits() -> None:
    logits = np.array([[2.0, -1.0, 0.5]])
    probs = np.exp(logits) / np.exp(logits).sum()
    assert signals.logit_margin(labels=np.array([2]), pred_probs=probs) == pytest.approx(-1.5)


def test_logit_margin_stays_finite_for_saturated_probabilities() -> None:
    margin = signals.logit_margin(labels=np.array([0, 1]), pred_probs=np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert np.isfinite(margin).all()
    assert margin[0] == -margin[1] > 25


def test_published_figures_on_human_errors_are_reproduced() -> None:
    if not ARRAYS.is_file():
        pytest.skip(f"the public label-error arrays are not at {ARRAYS}")
    with np.load(ARRAYS) as arrays:
        labels, wrong = arrays["given_label"], arrays["label_error"]
        probs = arrays["pred_probs_resnet18"]
    confidence = signals.self_confidence(labels=labels, pred_probs=probs)
    assert measures.auroc(confidence, wrong) == pytest.approx(0.9773, abs=5e-5)
    assert measures.auprc(confidence, wrong) == pytest.approx(0.875, abs=5e-4)
    margin = signals.logit_margin(labels=labels, pred_probs=probs)
    assert measures.auroc(margin, wrong) == pytest.approx(0.9787, abs=5e-5)
    assert measures.auprc(margin, wrong) == pytest.approx(0.880, abs=5e-4)


def test_knn_agreement_equals_a_plain_loop() -> None:
    unit = EMBEDDING / np.linalg.norm(EMBEDDING, axis=1, keepdims=True)
    fold = AVAILABLE["fold"]
    found = signals.knn_agreement(labels=LABELS, embedding=EMBEDDING, fold=fold, k=7)
    for row in range(0, len(LABELS), 37):
        cosine = (unit @ unit[row]).astype(float)
        cosine[(fold != fold[row]) | (np.arange(len(LABELS)) == row)] = -np.inf
        nearest = np.argsort(-cosine)[:7]
        weight = np.maximum(cosine[nearest], 0)
        expected = weight[LABELS[nearest] == LABELS[row]].sum() / weight.sum()
        assert found[row] == pytest.approx(expected, abs=1e-4)


def test_neighbours_of_another_fold_have_no_say() -> None:
    embedding = np.array([[1.0, 0], [1, 0.1], [1, 0], [1, 0.1]])
    labels, fold = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    agreement = signals.knn_agreement(labels=labels, embedding=embedding, fold=fold, k=3)
    assert agreement.tolist() == [0, 0, 0, 0]  # each is alone with a sample of the other class


def test_copies_of_a_sample_have_no_say_about_it() -> None:
    embedding, labels = np.array([[1.0, 0], [1, 0], [1, 0.2]]), np.array([0, 0, 1])
    agreement = signals.knn_agreement(labels=labels, embedding=embedding, groups=np.array([5, 5, 6]), k=1)
    assert agreement[:2].tolist() == [0, 0]


def test_a_sample_without_neighbours_is_told_by_nan() -> None:
    around = neighbours.neighbourhood(np.array([0, 1, 1]), np.eye(3), num_classes=2, fold=np.array([0, 1, 1]))
    assert np.isnan(around.shares[0]).all()
    assert np.isnan(around.similarity[0])
    np.testing.assert_allclose(around.shares[1:].sum(1), 1)


def test_neighbours_are_the_same_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = neighbours.neighbourhood(LABELS, EMBEDDING, num_classes=5).shares
    monkeypatch.setattr(nearest, "_CHUNK_CELLS", 3000)
    again = neighbours.neighbourhood(LABELS, EMBEDDING, num_classes=5).shares
    np.testing.assert_allclose(again, whole, atol=1e-5)  # float32 products of other blocks round otherwise


@settings(max_examples=40)
@given(
    points=st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2), st.integers(0, 2)), min_size=2, max_size=15),
    k=st.integers(1, 4),
    seed=st.integers(0, 5),
)
def test_tied_neighbours_share_the_last_place_so_that_order_does_not_matter(
    points: list[tuple[int, int, int]], k: int, seed: int
) -> None:
    table = np.array(points)
    order = np.random.default_rng(seed).permutation(len(table))

    def shares(rows: np.ndarray) -> np.ndarray:
        return neighbours.neighbourhood(rows[:, 2], rows[:, :2].astype(float), num_classes=3, k=k).shares

    found = shares(table)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(shares(table[order]), found[order], atol=1e-6)


def test_broken_embeddings_are_refused() -> None:
    with pytest.raises(BadDataError, match="NaN or infinite values in 1 rows, first 1"):
        signals.knn_agreement(labels=np.array([0, 1]), embedding=np.array([[1.0], [np.nan]]))


def test_class_centre_gap_leaves_the_sample_itself_out() -> None:
    embedding = np.array([[1.0, 0], [0, 1], [0, 1], [1, 0]])
    gap = signals.class_centre_gap(labels=np.array([0, 0, 1, 1]), embedding=embedding)
    # without itself, the only other member is the whole centre, and the other class's centre is half way
    half = np.hypot(0.5, 0.5)
    np.testing.assert_allclose(gap, half - np.sqrt(2))


def test_dynamics_follow_their_definitions() -> None:
    margin = np.array([[1.0, -1, np.nan], [-1, -1, np.nan], [2, -1, np.nan], [-2, 3, np.nan]])
    np.testing.assert_allclose(signals.aum(margin=margin), [0, 0, np.nan])
    np.testing.assert_allclose(signals.learned_share(margin=margin), [0.5, 0.25, np.nan])
    np.testing.assert_allclose(signals.forgetting_events(margin=margin), [2, 0, np.nan])
    np.testing.assert_allclose(signals.confidence_spread(given_prob=margin), margin.std(0))
    np.testing.assert_allclose(signals.mean_confidence(given_prob=margin), margin.mean(0))


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((0, 3)), np.array([[np.inf]])])
def test_dynamics_of_another_form_are_refused(values: np.ndarray) -> None:
    with pytest.raises(BadDataError, match="margin"):
        signals.aum(margin=values)


def test_members_that_agree_carry_no_mutual_information_however_unsure_they_are() -> None:
    same = np.stack([PROBS, PROBS])
    np.testing.assert_allclose(signals.mutual_information(member_probs=same), 0, atol=1e-12)
    apart = np.array([[[0.9, 0.1]], [[0.1, 0.9]]])
    assert signals.mutual_information(member_probs=apart)[0] > 0.5
    with pytest.raises(BadDataError, match="members"):
        signals.mutual_information(member_probs=PROBS)
