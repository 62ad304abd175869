"""Votes: published values, hand-worked examples, and no order that matters."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.people import agreement
from ferclean.evidence.people.votes import chance_of_most, check_counts

# Krippendorff 2011, section C: 4 observers, 12 units, 5 categories, some missing; nominal alpha 0.743
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
).T - 1  # fmt: skip

# the standard worked example of Fleiss' kappa: 14 raters, 10 subjects, 5 categories; kappa 0.210
FLEISS = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip


@st.composite
def count_tables(draw: st.DrawFn) -> np.ndarray:
    rows, classes = draw(st.integers(1, 8)), draw(st.integers(2, 4))
    cells = draw(st.lists(st.integers(0, 5), min_size=rows * classes, max_size=rows * classes))
    return np.array(cells).reshape(rows, classes)


def probs_of(n: int, classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(classes), n)


# ---- agreement


def test_alpha_is_krippendorffs_published_value() -> None:
    assert agreement.krippendorff_alpha(agreement.class_counts(KRIPPENDORFF, num_classes=5)) == pytest.approx(
        0.743, abs=5e-4
    )


def test_kappa_is_the_published_value_and_close_to_alpha() -> None:
    assert agreement.fleiss_kappa(FLEISS) == pytest.approx(0.210, abs=5e-4)
    assert agreement.krippendorff_alpha(FLEISS) == pytest.approx(agreement.fleiss_kappa(FLEISS), abs=0.01)
    assert agreement.fleiss_kappa(np.vstack([FLEISS, np.zeros((2, 5), int)])) == agreement.fleiss_kappa(FLEISS)


def test_alpha_worked_by_hand() -> None:
    # two units of two votes, aa and ab: 2 disagreeing pairs of 4; by chance (16 - 9 - 1) / 3 = 2 of them
    assert agreement.krippendorff_alpha(np.array([[2, 0], [1, 1], [1, 0]])) == pytest.approx(0.0)


@pytest.mark.parametrize("counts", [np.zeros((0, 3), int), np.zeros((2, 3), int), np.array([[2, 0], [3, 0]])])
def test_agreement_is_not_a_number_where_there_is_nothing_to_agree_on(counts: np.ndarray) -> None:
    assert np.isnan(agreement.krippendorff_alpha(counts))


def test_kappa_refuses_unequal_numbers_of_votes_and_names_the_rows() -> None:
    assert np.isnan(agreement.fleiss_kappa(np.zeros((3, 2), int)))
    assert np.isnan(agreement.fleiss_kappa(np.array([[2, 0], [2, 0]])))
    with pytest.raises(BadDataError, match="most have 2, but 1 do not, first rows 2; krippendorff_alpha"):
        agreement.fleiss_kappa(np.array([[2, 0], [1, 1], [1, 2], [0, 0]]))
    with pytest.raises(BadDataError, match="two votes or more"):
        agreement.fleiss_kappa(np.eye(3, dtype=int))


@settings(max_examples=60)
@given(counts=count_tables(), data=st.data())
def test_the_order_of_rows_and_classes_does_not_change_agreement(counts: np.ndarray, data: st.DataObject) -> None:
    moved = counts[data.draw(st.permutations(range(len(counts))))][
        :, data.draw(st.permutations(range(counts.shape[1])))
    ]
    assert agreement.krippendorff_alpha(moved) == pytest.approx(agreement.krippendorff_alpha(counts), nan_ok=True)


# ---- counts


def test_the_vote_distribution_lies_between_the_prior_and_the_votes_and_few_votes_count_for_less() -> None:
    counts, prior = np.array([[0, 0], [3, 0], [10, 0]]), np.array([[0.3, 0.7]] * 3)
    shares, weight = agreement.vote_distribution(counts, prior=prior, strength=2)
    assert shares.tolist() == [[0.3, 0.7], [pytest.approx(3.6 / 5), pytest.approx(1.4 / 5)], [pytest.approx(10.6 / 12),
                               pytest.approx(1.4 / 12)]]  # fmt: skip
    assert weight.tolist() == [0, 3 / 5, 10 / 12]
    assert agreement.vote_distribution(counts, prior=prior[0], strength=2)[0].tolist() == shares.tolist()


@settings(max_examples=60)
@given(counts=count_tables(), data=st.data())
def test_the_vote_distribution_sums_to_one_and_follows_rows_and_classes(
    counts: np.ndarray, data: st.DataObject
) -> None:
    prior = probs_of(*counts.shape)
    rows = data.draw(st.permutations(range(len(counts))))
    classes = data.draw(st.permutations(range(counts.shape[1])))
    shares, weight = agreement.vote_distribution(counts, prior=prior)
    moved, moved_weight = agreement.vote_distribution(counts[rows][:, classes], prior=prior[rows][:, classes])
    assert shares.sum(1) == pytest.approx(1)
    assert moved == pytest.approx(shares[rows][:, classes], abs=1e-5)
    assert moved_weight == pytest.approx(weight[rows], abs=1e-5)
    assert (shares[counts.sum(1) == 0] == prior[counts.sum(1) == 0]).all()


def test_the_strength_of_a_prior_is_recovered_from_votes_drawn_around_it() -> None:
    rng = np.random.default_rng(0)
    prior = probs_of(3000, 4)
    for strength in (0.5, 3.0, 20.0):
        true = np.stack([rng.dirichlet(np.maximum(strength * row, 1e-3)) for row in prior])
        counts = np.stack([rng.multinomial(10, row / row.sum()) for row in true])
        assert agreement.fit_strength(counts, prior=prior) == pytest.approx(strength, rel=0.15)


def test_a_prior_is_worth_two_votes_where_nothing_tells() -> None:
    for counts in (np.zeros((0, 2), int), np.zeros((3, 2), int), np.eye(2, dtype=int), np.array([[4], [2]])):
        prior = np.full(counts.shape[1], 1 / counts.shape[1])
        assert agreement.fit_strength(counts, prior=prior) == 2.0
    assert 1 < agreement.fit_strength(np.array([[2, 0]]), prior=np.array([0.5, 0.5])) < 2


def test_shrunken_shares_are_nearer_to_the_truth_than_votes_or_prior_alone() -> None:
    rng = np.random.default_rng(1)
    prior = probs_of(2000, 4)
    true = np.stack([rng.dirichlet(3 * row + 1e-3) for row in prior])
    counts = np.stack(
        [rng.multinomial(n, row / row.sum()) for n, row in zip(rng.integers(1, 10, 2000), true, strict=True)]
    )
    shares, _ = agreement.vote_distribution(counts, prior=prior)
    error = [((guess - true) ** 2).sum(1).mean() for guess in (shares, prior, counts / counts.sum(1, keepdims=True))]
    assert error[0] < 0.7 * min(error[1:])


def test_the_chance_of_the_largest_share_is_exact_for_two_classes_and_sums_to_one() -> None:
    alpha = np.array([[0.4, 0.6], [3.0, 1.0], [10.5, 8.5], [120.0, 90.0], [1.0, 1.0]])
    exact = beta.sf(0.5, alpha[:, 0], alpha[:, 1])
    assert chance_of_most(alpha, np.zeros(5, int)) == pytest.approx(exact, abs=1e-4)
    several = np.array([[0.3, 2.0, 5.5, 5.0], [0.25, 0.25, 0.25, 0.25], [30.0, 28.0, 0.1, 0.1]])
    total = sum(chance_of_most(several, np.full(3, k)) for k in range(4))
    assert total == pytest.approx(1, abs=1e-3)


def test_the_probability_of_a_consensus_is_how_often_it_is_right() -> None:
    rng = np.random.default_rng(2)
    true = rng.dirichlet(np.full(4, 0.5), 4000)
    counts = np.stack([rng.multinomial(n, row) for n, row in zip(rng.integers(1, 11, 4000), true, strict=True)])
    table = agreement.consensus(counts)
    found = table["consensus_label"] >= 0
    right = (table["consensus_label"] == true.argmax(1))[found]
    assert right.mean() == pytest.approx(table["p_consensus"][found].mean(), abs=0.02)
    sure = table["p_consensus"][found] > 0.9
    assert right[sure].mean() == pytest.approx(table["p_consensus"][found][sure].mean(), abs=0.02)


def test_a_consensus_says_majority_ties_and_silence() -> None:
    table = agreement.consensus(np.array([[8, 2, 0], [5, 5, 0], [0, 0, 0], [0, 0, 1]]), strength=3)
    assert table["consensus_label"].tolist() == [0, -1, -1, 2]
    assert table["majority_label"].tolist() == [0, -1, -1, 2]
    assert table["is_unique"].tolist() == [True, False, False, True]
    assert table["num_votes"].tolist() == [10, 10, 0, 1]
    assert table["agreement"].tolist()[:2] == [0.8, 0.5]
    assert np.isnan(table.loc[2, ["agreement", "p_consensus"]].astype(float)).all()
    assert np.isnan(table["p_consensus"][1])
    assert table["p_consensus"][0] > table["p_consensus"][3]


def test_a_model_breaks_ties_and_outweighs_a_single_vote_but_not_ten() -> None:
    counts, probs = np.array([[5, 5], [1, 0], [10, 0], [0, 0]]), np.array([[0.1, 0.9]] * 4)
    table = agreement.consensus(counts, probs, strength=2)
    assert table["consensus_label"].tolist() == [1, 1, 0, -1]
    assert table["majority_label"].tolist() == [-1, 0, 0, -1]


@settings(max_examples=60)
@given(counts=count_tables(), data=st.data())
def test_a_consensus_follows_rows_and_classes(counts: np.ndarray, data: st.DataObject) -> None:
    rows = data.draw(st.permutations(range(len(counts))))
    classes = np.array(data.draw(st.permutations(range(counts.shape[1]))))
    table, moved = agreement.consensus(counts), agreement.consensus(counts[rows][:, classes])
    for column in ("consensus_label", "majority_label"):
        back = np.where(moved[column] >= 0, classes[moved[column]], -1)
        assert back.tolist() == table[column].to_numpy()[rows].tolist()
    for column in ("p_consensus", "agreement", "num_votes", "is_unique"):
        want = table[column].to_numpy(float)[rows]
        np.testing.assert_allclose(moved[column].to_numpy(float), want, atol=1e-5)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.array([[1, 0], [0, -1]]), "negative in 1 rows, first 1"),
        (np.array([[1.0, np.nan]]), "not whole numbers in 1 rows, first 0"),
        (np.array([[1.5, 0.0]]), "not whole numbers"),
        (np.array([1, 2]), r"shape \(N, K\), got \(2,\)"),
        (np.zeros((3, 0)), r"got \(3, 0\)"),
        (np.array([["a"]]), "counts per class"),
    ],
)
def test_counts_that_cannot_be_votes_are_refused(counts: np.ndarray, message: str) -> None:
    with pytest.raises(BadDataError, match=message):
        agreement.consensus(counts)


def test_bad_rows_are_named_by_their_ids_and_bad_priors_refused() -> None:
    with pytest.raises(BadDataError, match="negative in 1 rows, first b"):
        check_counts(np.array([[0], [-1]]), ids=["a", "b"])
    counts = np.array([[1, 0], [0, 1]])
    with pytest.raises(BadDataError, match="does not sum to 1"):
        agreement.vote_distribution(counts, prior=np.array([0.5, 0.6]))
    with pytest.raises(BadDataError, match="3 columns for 2 classes"):
        agreement.vote_distribution(counts, prior=np.full((2, 3), 1 / 3))
    with pytest.raises(BadDataError, match="the prior has 1 rows for votes on 2 samples"):
        agreement.vote_distribution(counts, prior=np.array([[0.5, 0.5]]))
    for strength in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="strength"):
            agreement.vote_distribution(counts, prior=np.array([0.5, 0.5]), strength=strength)


# ---- annotators


# ---- summary


def test_the_summary_counts_what_votes_say_about_given_labels() -> None:
    counts = np.array([[6, 1], [0, 7], [3, 3], [2, 0], [0, 0]])
    found = agreement.summary(counts, np.array([0, 0, 0, 1, 0]), other=np.array([0, 0, 0, 3, 0]))
    assert found is not None
    assert found.pop("krippendorff_alpha") == pytest.approx(agreement.krippendorff_alpha(counts))
    assert found == {"voted": 4, "mean_votes": 6.25, "share_without_majority": 0.5, "share_contradicting": 0.5}
    assert agreement.summary(np.zeros((3, 2), int), np.zeros(3, int)) is None


def test_the_summary_names_annotators_and_is_json() -> None:
    labels = np.array([[0, 0, -1], [1, 1, -1], [0, 1, -1]])
    found = agreement.summary(
        agreement.class_counts(labels, num_classes=2), np.array([0, 1, -1]), labels_multiannotator=labels,
        annotators=["ann", "ben", "cat"],
    )  # fmt: skip
    assert found is not None
    rows = json.loads(json.dumps(found, allow_nan=False))["annotators"]
    assert [row["annotator"] for row in rows] == ["ann", "ben", "cat"]
    assert rows[0]["agreement_with_others"] == pytest.approx(2 / 3)
    assert rows[2] == {
        "annotator": "cat", "num_examples_labeled": 0, "agreement_with_others": None, "annotator_quality": None,
    }  # fmt: skip
    undefined = agreement.summary(np.array([[1, 0]]), np.array([-1]))
    assert undefined is not None
    assert undefined["krippendorff_alpha"] is undefined["share_contradicting"] is None
