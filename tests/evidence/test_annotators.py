"""Annotators told apart: Dawid and Skene by hand and on planted annotators, CROWDLAB beside cleanlab's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.people import agreement
from ferclean.evidence.people.annotators import AnnotatorConsensus, check_multiannotator


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


@settings(max_examples=60)
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
