"""Votes: published values, hand-worked examples, recovery of simulated annotators, and no order that matters."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.people import agreement
from ferclean.evidence.people.annotators import AnnotatorConsensus, check_multiannotator
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


@st.composite
def matrices(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    rows, annotators, classes = draw(st.integers(1, 8)), draw(st.integers(1, 4)), draw(st.integers(2, 3))
    cells = draw(st.lists(st.integers(-1, classes - 1), min_size=rows * annotators, max_size=rows * annotators))
    return np.array(cells).reshape(rows, annotators), classes


def simulated(
    quality: list[float], *, n: int = 400, classes: int = 4, missing: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(true labels (N,), labels_multiannotator (N, A)) of annotators that are right this often; read-only."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, n)
    right = rng.random((n, len(quality))) < quality
    wrong = (true[:, None] + rng.integers(1, classes, (n, len(quality)))) % classes
    labels = np.where(right, true[:, None], wrong)
    labels[rng.random(labels.shape) < missing] = -1
    labels.flags.writeable = False
    return true, labels


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


@settings(max_examples=60, deadline=None)
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


@settings(max_examples=60, deadline=None)
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


@settings(max_examples=60, deadline=None)
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


def test_one_iteration_of_dawid_and_skene_worked_by_hand() -> None:
    labels = np.array([[0, 0, 0], [1, 1, 0], [1, 1, 0]])
    found = agreement.dawid_skene(labels, num_classes=2, smoothing=0, max_iterations=1)
    # start: shares (1, 0), (1/3, 2/3), (1/3, 2/3)
    assert found.class_prior == pytest.approx([5 / 9, 4 / 9])
    assert found.confusion[0] == pytest.approx(np.array([[3 / 5, 2 / 5], [0, 1]]))
    assert found.confusion[2] == pytest.approx(np.array([[1, 0], [1, 0]]))
    # row 1: 5/9 (2/5)^2 against 4/9
    assert found.posterior == pytest.approx(np.array([[1, 0], [1 / 6, 5 / 6], [1 / 6, 5 / 6]]))
    assert (found.iterations, found.converged) == (1, False)


def test_smoothing_pulls_a_rare_row_towards_the_pooled_one() -> None:
    labels = np.array([[0, 0, 1]] + [[0, 0, -1]] * 9 + [[1, 1, 1]] * 10)
    plain = agreement.dawid_skene(labels, num_classes=2, smoothing=0)
    pulled = agreement.dawid_skene(labels, num_classes=2, smoothing=5)
    assert plain.confusion[2, 0, 1] == pytest.approx(1, abs=1e-6)  # one label, and it was wrong
    assert pulled.confusion[2, 0, 1] < 0.3


def test_dawid_skene_recovers_annotators_and_beats_the_majority() -> None:
    quality = [0.95, 0.85, 0.35, 0.35, 0.3]
    true, labels = simulated(quality, n=1500)
    found = agreement.dawid_skene(labels, num_classes=4)
    assert found.converged
    diagonal = np.einsum("akk,k->a", found.confusion, found.class_prior)
    assert diagonal == pytest.approx(quality, abs=0.06)
    majority = (agreement.majority_vote(labels, num_classes=4) == true).mean()
    weighed = (np.nan_to_num(found.posterior, nan=-1.0).argmax(1) == true).mean()
    assert weighed > majority + 0.1
    stats = agreement.annotator_stats(labels, num_classes=4, annotators=list("abcde"))
    assert stats["annotator_quality"].idxmax() == "a"
    assert stats["agreement_with_others"].idxmax() == "a"
    assert stats["num_examples_labeled"].tolist() == (labels >= 0).sum(0).tolist()


def test_a_bias_of_one_annotator_is_read_off_his_matrix() -> None:
    rng = np.random.default_rng(3)
    true = rng.integers(0, 3, 600)
    good = np.where(rng.random((600, 3)) < 0.9, true[:, None], rng.integers(0, 3, (600, 3)))
    biased = np.where((true == 1) & (rng.random(600) < 0.8), 0, true)  # calls fear surprise
    found = agreement.dawid_skene(np.column_stack([good, biased]), num_classes=3)
    assert found.confusion[3, 1, 0] == pytest.approx(0.8, abs=0.08)
    assert found.confusion[3, 2, 2] > 0.9


@settings(max_examples=60, deadline=None)
@given(drawn=matrices(), data=st.data())
def test_dawid_skene_follows_rows_annotators_and_classes(drawn: tuple[np.ndarray, int], data: st.DataObject) -> None:
    labels, k = drawn
    rows = data.draw(st.permutations(range(len(labels))))
    people = data.draw(st.permutations(range(labels.shape[1])))
    renamed = np.array(data.draw(st.permutations(range(k))))  # old class -> new class
    moved = np.where(labels >= 0, renamed[labels], -1)[rows][:, people]
    one = agreement.dawid_skene(labels, num_classes=k, max_iterations=30)
    other = agreement.dawid_skene(moved, num_classes=k, max_iterations=30)
    np.testing.assert_allclose(other.posterior[:, renamed], one.posterior[rows], atol=1e-4)
    np.testing.assert_allclose(other.confusion[:, renamed][:, :, renamed], one.confusion[people], atol=1e-4)
    stats, moved_stats = (agreement.annotator_stats(each, num_classes=k) for each in (labels, moved))
    for column in ("agreement_with_others", "num_examples_labeled"):
        np.testing.assert_allclose(moved_stats[column], stats[column].to_numpy()[people])


def test_probabilities_sum_to_one_and_silence_is_kept_as_not_a_number() -> None:
    labels = np.array([[0.0, 1.0, np.nan, np.nan], [np.nan] * 4, [1.0, 1.0, 0.0, np.nan]])
    labels.flags.writeable = False
    found = agreement.dawid_skene(labels, num_classes=2)
    assert np.isnan(found.posterior[1]).all()
    assert found.posterior[[0, 2]].sum(1) == pytest.approx(1)
    assert found.confusion[:3].sum(2) == pytest.approx(1)
    assert np.isnan(found.confusion[3]).all()
    stats = agreement.annotator_stats(labels, num_classes=2)
    assert stats["num_examples_labeled"].tolist() == [2, 2, 1, 0]
    assert stats["annotator_quality"].isna().tolist() == [False, False, False, True]
    assert stats["agreement_with_others"].isna().tolist() == [False, False, False, True]
    table = agreement.consensus_from_annotators(labels, num_classes=2).consensus
    assert len(table) == 3
    assert table["consensus_label"][1] == -1
    assert np.isnan(table["p_consensus"][1])


def test_one_annotator_one_class_and_an_empty_set_have_defined_results() -> None:
    alone = np.array([[0], [1], [-1]])
    assert agreement.consensus_from_annotators(alone, num_classes=2).consensus["consensus_label"].tolist() == [0, 1, -1]
    assert np.isnan(agreement.annotator_stats(alone, num_classes=2)["agreement_with_others"]).all()
    one = agreement.consensus_from_annotators(np.array([[0, 0], [-1, -1]]), num_classes=1)
    assert one.consensus["consensus_label"].tolist() == [0, -1]
    assert one.consensus["p_consensus"][0] == 1
    assert agreement.majority_vote(np.array([[0, 0], [-1, -1]]), num_classes=1).tolist() == [0, -1]
    for shape in ((0, 3), (0, 0), (2, 0)):
        nobody = agreement.consensus_from_annotators(np.zeros(shape), num_classes=2)
        assert nobody.consensus["consensus_label"].tolist() == [-1] * shape[0]
        assert len(nobody.annotator_stats) == shape[1]
        assert agreement.dawid_skene(np.zeros(shape), num_classes=2).converged


def test_missing_labels_may_be_written_in_every_usual_way() -> None:
    frame = pd.DataFrame({"ann": pd.array([0, None], dtype="Int64"), "ben": [np.nan, 1.0], "cat": [None, 0]})
    assert check_multiannotator(frame, 2).tolist() == [[0, -1, -1], [-1, 1, 0]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([[0, 2], [3, 0]]), r"holds 2, which is no class index in 0..1 .* in 2 rows, first 0, 1"),
        (np.array([[0, -2]]), "holds -2"),
        (np.array([[0.5, 1]]), "holds 0.5"),
        (np.array([[np.inf, 1]]), "holds inf"),
        (np.array([0, 1]), r"shape \(N, A\), got \(2,\)"),
        (np.array([["fear", "anger"]]), "encode names first"),
    ],
)
def test_matrices_that_hold_no_class_indices_are_refused(labels: np.ndarray, message: str) -> None:
    with pytest.raises(BadDataError, match=message):
        agreement.dawid_skene(labels, num_classes=2)


def test_crowdlab_is_cleanlabs_under_our_names_and_keeps_silent_rows() -> None:
    from cleanlab.multiannotator import get_label_quality_multiannotator

    true, labels = simulated([0.9, 0.85, 0.4], n=120, missing=0.3)
    probs = 0.7 * np.eye(4)[true] + 0.3 * probs_of(120, 4)
    silent = (labels < 0).all(1)
    assert silent.any()
    theirs = get_label_quality_multiannotator(
        np.where(labels >= 0, labels, np.nan)[~silent], probs[~silent], verbose=False
    )
    ours = agreement.consensus_from_annotators(labels, probs, num_classes=4, method="crowdlab", annotators=list("abc"))
    assert ours.consensus["consensus_label"][~silent].tolist() == theirs["label_quality"]["consensus_label"].tolist()
    np.testing.assert_allclose(
        ours.consensus["p_consensus"][~silent], theirs["label_quality"]["consensus_quality_score"]
    )
    assert (ours.consensus["consensus_label"][silent] == -1).all()
    quality = theirs["annotator_stats"]["annotator_quality"].sort_index()
    assert ours.annotator_stats["annotator_quality"].tolist() == pytest.approx(quality.tolist())
    assert ours.annotator_stats.index.tolist() == ["a", "b", "c"]


def test_methods_that_do_not_go_with_their_arguments_are_refused() -> None:
    labels, probs = np.array([[0, 1], [1, 1]]), np.array([[0.5, 0.5]] * 2)

    def of(pred_probs: np.ndarray | None = None, **options: object) -> AnnotatorConsensus:
        return agreement.consensus_from_annotators(labels, pred_probs, num_classes=2, **options)  # type: ignore[arg-type]

    with pytest.raises(UsageError, match="needs pred_probs"):
        of(method="crowdlab")
    with pytest.raises(UsageError, match="takes no pred_probs"):
        of(probs)
    with pytest.raises(UsageError, match="known: dawid_skene, majority, crowdlab"):
        of(method="guess")
    with pytest.raises(UsageError, match="3 names for 2 annotators"):
        of(annotators=list("abc"))
    with pytest.raises(BadDataError, match="1 rows for 2 samples"):
        of(probs[:1], method="majority")
    with pytest.raises(BadDataError, match="two annotators labelled"):
        agreement.consensus_from_annotators(
            np.array([[0, -1], [-1, 1]]), probs, num_classes=2, method="crowdlab"
        )  # fmt: skip
    assert of(probs, method="majority").consensus["majority_label"].tolist() == [-1, 1]


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
