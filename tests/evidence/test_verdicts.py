"""Verdicts: planted errors come first, probabilities add up, kinds follow thresholds, reasons are words."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from evidence_data import planted
from scipy import sparse

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.measures import auroc, precision_at
from ferclean.evidence.people.people import check_decisions
from ferclean.evidence.signals import neighbours
from ferclean.evidence.signals.label_signals import compute_signals, self_confidence
from ferclean.evidence.verdict.belief import Faces
from ferclean.evidence.verdict.verdicts import Thresholds, Verdicts, judge
from ferclean.store.reasons import in_words, packed

NAMES = ["surprise", "fear", "disgust", "happiness", "sadness"]
AVAILABLE, ERROR = planted(600)
LABELS, PROBS = AVAILABLE["labels"], AVAILABLE["pred_probs"]
SIGNALS = compute_signals(AVAILABLE)
AROUND = neighbours.neighbourhood(LABELS, AVAILABLE["embedding"], num_classes=5).weights


def planted_faces(order: np.ndarray | None = None, **others: Any) -> Faces:
    rows = np.arange(len(LABELS)) if order is None else order
    signals = {name: values[rows] for name, values in SIGNALS.items()}
    known = Faces(
        labels=LABELS[rows], pred_probs=PROBS[rows], signals=signals, around=AROUND[rows][:, rows], class_names=NAMES
    )
    return replace(known, **others)


def judged(
    order: np.ndarray | None = None,
    *,
    decided: np.ndarray | None = None,
    chosen: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    thresholds: Thresholds | None = None,
    constants: Constants = STANDARD,
    **others: Any,
) -> Verdicts:
    people = None if decided is None else check_decisions(LABELS, decided, chosen, weight, num_classes=5)
    return judge(planted_faces(order, **others), people=people, thresholds=thresholds, constants=constants)


def told(found: Verdicts, row: int) -> list[str]:
    return in_words([packed(reason) for reason in found.reasons[row]])


def judged_alone(labels: np.ndarray, pred_probs: np.ndarray) -> Verdicts:
    return judge(Faces(labels=labels, pred_probs=pred_probs))


def torn_faces(n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities, and the mask of the tenth whose probability is shared by two classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, n)
    torn = np.arange(n) % 10 == 0
    probs = np.full((n, 4), 0.01) + 0.002 * rng.random((n, 4))
    probs[np.arange(n), labels] = np.where(torn, 0.5, 0.97)
    probs[np.arange(n), (labels + 1) % 4] += np.where(torn, 0.48, 0.0)
    # people do not agree either: every second torn face was given the other label
    labels = np.where(np.arange(n) % 20 == 0, (labels + 1) % 4, labels)
    return labels, probs / probs.sum(1, keepdims=True), torn


def test_fused_quality_finds_planted_errors_better_than_its_parts() -> None:
    available, error = planted(2000, skill=1.0)
    labels, probs = available["labels"], available["pred_probs"]
    alone = auroc(self_confidence(labels=labels, pred_probs=probs), error)
    around = neighbours.neighbourhood(labels, available["embedding"], num_classes=5, k=50).weights
    fused = auroc(
        judge(Faces(labels=labels, pred_probs=probs, signals=compute_signals(available), around=around)).label_quality,
        error,
    )
    assert 0.8 < alone < fused - 0.01


def test_the_four_probabilities_sum_to_one_and_rank_errors() -> None:
    found = judged(unusable=np.arange(len(LABELS)) % 100 == 0)
    total = found.p_mislabelled + found.p_ambiguous + found.p_unusable + found.p_clean
    np.testing.assert_allclose(total, 1)
    for name in ("p_mislabelled", "p_ambiguous", "p_unusable", "p_clean", "label_quality"):
        values = getattr(found, name)
        assert ((values >= 0) & (values <= 1)).all()
    assert auroc(-judged().p_mislabelled, ERROR) > 0.95


def test_the_queue_starts_with_errors_and_names_every_place_once() -> None:
    found = judged()
    assert sorted(found.rank.tolist()) == list(range(1, len(LABELS) + 1))
    assert precision_at(found.rank.astype(float), ERROR, k=40) > 0.95


def test_flagged_labels_are_errors_and_their_suggestions_right() -> None:
    available, error = planted(600)
    true = available["member_probs"].mean(0).argmax(1)  # the recognizer is right nearly always
    found = judged()
    flagged = found.kind == "mislabelled"
    assert error[flagged].mean() > 0.9
    assert flagged[error].mean() > 0.6
    assert (found.suggested_label[flagged] == true[flagged]).mean() > 0.95


def test_a_mislabelled_sample_is_never_offered_its_given_label() -> None:
    found = judged(thresholds=Thresholds(mislabelled=0.0))
    flagged = found.kind == "mislabelled"
    assert flagged.any()
    assert (found.suggested_label[flagged] != LABELS[flagged]).all()


def test_permuting_rows_permutes_the_verdicts() -> None:
    order = np.random.default_rng(3).permutation(len(LABELS))
    whole, permuted = judged(), judged(order)
    for field in fields(Verdicts):
        if field.name in ("taught", "error_rate", "transitions"):  # not by sample
            continue
        expected, found = getattr(whole, field.name), getattr(permuted, field.name)
        if field.name == "reasons":
            assert found == [expected[row] for row in order]
        elif expected.dtype.kind == "f":
            np.testing.assert_allclose(found, expected[order], atol=1e-8)
        elif field.name != "rank":  # equal worth and quality may change places
            np.testing.assert_array_equal(found, expected[order])


def test_renaming_classes_changes_no_probability() -> None:
    order = np.array([3, 0, 4, 1, 2])
    renamed = judge(planted_faces(labels=np.argsort(order)[LABELS], pred_probs=PROBS[:, order]))
    expected = judged()
    np.testing.assert_allclose(renamed.p_mislabelled, expected.p_mislabelled, atol=1e-8)
    np.testing.assert_allclose(renamed.soft_label, expected.soft_label[:, order], atol=1e-8)
    np.testing.assert_array_equal(order[renamed.suggested_label], expected.suggested_label)


def test_a_face_between_two_expressions_is_ambiguous_and_its_soft_label_says_which() -> None:
    labels, probs, torn = torn_faces()
    found = judge(Faces(labels=labels, pred_probs=probs, class_names=NAMES[:4]))
    assert (found.kind[torn] == "ambiguous").mean() > 0.9
    assert (found.kind[~torn] == "clean").all()
    assert found.soft_label[torn].max(1).mean() < 0.75 < found.soft_label[~torn].max(1).min()
    assert any(reason.startswith("torn between") for reason in told(found, int(np.argmax(torn))))
    np.testing.assert_allclose(found.soft_label.sum(1), 1)


def test_a_weak_recognizers_ignorance_is_not_taken_for_ambiguity() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 2000)
    logits = rng.normal(size=(2000, 5))
    logits[np.arange(2000), labels] += 1
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert probs.max(1).mean() < 0.6
    assert (judged_alone(labels, probs).kind == "ambiguous").mean() < 0.15


def test_thresholds_change_kinds_and_nothing_else() -> None:
    strict, loose = judged(thresholds=Thresholds(mislabelled=0.95)), judged(thresholds=Thresholds(mislabelled=0.1))
    np.testing.assert_array_equal(strict.p_mislabelled, loose.p_mislabelled)
    np.testing.assert_array_equal(strict.rank, loose.rank)
    assert (strict.kind == "mislabelled").sum() < (loose.kind == "mislabelled").sum()
    with pytest.raises(UsageError, match="ambiguous is a probability"):
        Thresholds(ambiguous=1.5)


def test_blank_images_are_unusable_whatever_their_label() -> None:
    blank = np.zeros(len(LABELS), dtype=bool)
    blank[[3, 5]] = True
    found = judged(unusable=blank)
    assert (found.kind[blank] == "unusable").all()
    assert not (found.kind[~blank] == "unusable").any()
    assert "no readable face" in told(found, 3)[0]
    far = judged(unusable=np.where(blank, 0.8, 0.1))
    assert told(far, 3)[0] == "perhaps no face: a face detector sees none, or it is unlike all other images"
    assert not any("no face" in reason for reason in told(far, 4))
    with pytest.raises(BadDataError, match="unusable"):
        judged(unusable=np.full(len(LABELS), 2.0))


def test_reasons_are_words_a_reviewer_understands() -> None:
    probs = np.array(
        [[0.71, 0.04, 0.25], [0.96, 0.02, 0.02], [0.02, 0.02, 0.96]] + [[0.02, 0.96, 0.02], [0.02, 0.02, 0.96]] * 9
    )
    labels = np.array([1, 0, 2] + [1, 2] * 9)
    learned = np.array([0.0] + [1.0] * 20)
    around = sparse.lil_matrix((21, 21))
    around[0, 1], around[0, 3] = 0.9, 0.1  # faces labelled anger and fear; nobody else has neighbours
    found = judge(
        Faces(
            labels=labels,
            pred_probs=probs,
            signals={"learned_share": learned},
            around=around.tocsr(),
            duplicates=np.array([0, 1, 0, *range(2, 20)]),
            class_names=["anger", "fear", "sadness"],
            epochs=12,
        )
    )
    recognizer, nearest, training, copy = told(found, 0)
    assert recognizer.startswith("the recognizer gives anger ")
    assert ", the given label fear " in recognizer
    assert nearest == "90 % of the nearest faces are labelled anger, 10 % fear"
    assert training == "never learned in 12 epochs"
    assert copy == "a copy of it is labelled sadness"
    assert len(found.reasons[1]) == len(found.reasons[-1]) == 1  # neither neighbours nor copies to tell of


def test_votes_of_people_outweigh_the_recognizer_where_there_are_any() -> None:
    counts = np.zeros(PROBS.shape, dtype=int)
    counts[0, LABELS[0]] = 10  # everybody agrees with the given label
    other = (LABELS[1] + 1) % 5
    counts[1, other] = 10  # everybody sees another one
    counts[2, LABELS[2]], counts[2, (LABELS[2] + 1) % 5], counts[2, (LABELS[2] + 2) % 5] = 4, 3, 3
    found, before = judged(votes=counts), judged()
    assert found.p_clean[0] > 0.95
    assert found.kind[1] == "mislabelled"
    assert found.suggested_label[1] == other
    assert told(found, 1)[0] == f"10 of 10 people say {NAMES[other]}, 0 {NAMES[LABELS[1]]}"
    assert found.p_ambiguous[2] > 0.5
    assert found.soft_label[1].argmax() == other
    np.testing.assert_allclose(found.p_mislabelled[3:], before.p_mislabelled[3:], atol=0.01)
    np.testing.assert_allclose(found.p_mislabelled + found.p_ambiguous + found.p_clean + found.p_unusable, 1)
    np.testing.assert_array_equal(judged(votes=np.zeros_like(counts)).p_mislabelled, before.p_mislabelled)


def test_votes_on_some_faces_say_how_many_of_the_others_are_torn() -> None:
    alone = judged().p_ambiguous[300:].mean()
    for share, more in ((np.array([5, 5, 0, 0, 0]), True), (np.array([10, 0, 0, 0, 0]), False)):
        counts = np.zeros(PROBS.shape, dtype=int)
        counts[np.arange(300)[:, None], (LABELS[:300, None] + np.arange(5)) % 5] = share
        assert (judged(votes=counts).p_ambiguous[300:].mean() > alone) == more


SAID = np.where(ERROR, "relabel", "keep").astype("<U9")
TRUE = AVAILABLE["member_probs"].mean(0).argmax(1)


def some_decided(count: int, seed: int = 0) -> np.ndarray:
    return np.where(np.isin(np.arange(600), np.random.default_rng(seed).choice(600, count, replace=False)), SAID, "")


def test_decisions_reach_the_verdicts_of_undecided_faces_and_few_change_nothing() -> None:
    before = judged()
    few = judged(decided=some_decided(5), chosen=TRUE)
    np.testing.assert_array_equal(few.p_mislabelled, before.p_mislabelled)
    said = some_decided(200)
    after = judged(decided=said, chosen=TRUE)
    rest = said == ""
    assert after.taught.decisions == 200
    assert after.taught.gain > 0
    assert np.abs(after.p_mislabelled - before.p_mislabelled)[rest].max() > 0.01
    assert auroc(-after.p_mislabelled[rest], ERROR[rest]) >= auroc(-before.p_mislabelled[rest], ERROR[rest]) - 0.01


def test_what_people_call_a_class_of_faces_moves_its_neighbours() -> None:
    # everyone who looks says that what is labelled 0 is 1: the panel of the others leans there too
    zero = LABELS == 0
    said = np.where(zero & (np.arange(600) % 2 == 0), "relabel", np.where(np.arange(600) % 3 == 0, "keep", ""))
    after = judged(decided=said, chosen=np.where(zero, 1, -1))
    before = judged()
    rest = zero & (said == "") & ~ERROR
    assert after.p_mislabelled[rest].mean() > 2 * before.p_mislabelled[rest].mean()
    assert after.true_label[rest, 1].mean() > before.true_label[rest, 1].mean()


def test_decisions_of_a_queue_with_uneven_weights_teach_less_than_even_ones() -> None:
    said = some_decided(100)
    decided = np.flatnonzero(said != "")
    uneven = np.ones(600)
    uneven[decided[:20]] = 10.0
    before, even = judged(), judged(decided=said, chosen=TRUE)
    lopsided = judged(decided=said, chosen=TRUE, weight=uneven)
    assert (
        np.abs(lopsided.p_mislabelled - before.p_mislabelled).mean()
        < np.abs(even.p_mislabelled - before.p_mislabelled).mean()
    )


def test_verdicts_follow_from_the_stored_probabilities() -> None:
    limits = Thresholds(mislabelled=0.4, ambiguous=0.3)
    found = judged(thresholds=limits, decided=some_decided(300), chosen=TRUE)
    flagged = found.p_mislabelled >= limits.mislabelled
    assert (found.kind[flagged] == "mislabelled").all()  # also where the panel would have kept the label
    torn = ~flagged & (found.p_ambiguous >= limits.ambiguous)
    assert (found.kind[torn] == "ambiguous").all()
    assert (found.kind[~flagged & ~torn] == "clean").all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"decided": np.full(600, "maybe")}, "600 decisions cannot be read, first row 0: maybe is no decision"),
        ({"decided": SAID, "chosen": np.full(600, 9)}, "9.0 is no class in 0..4"),
        ({"decided": SAID, "weight": np.full(600, -1.0)}, "must be finite and above 0"),
    ],
)
def test_decisions_that_cannot_be_read_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(BadDataError, match=told):
        judged(**options)


def test_missing_and_skipped_decisions_count_as_none_and_a_relabel_to_the_same_keeps() -> None:
    odd = np.array([None, "skip", np.nan, ""] * 150, dtype=object)
    assert judged(decided=odd).taught.decisions == 0
    same = judged(decided=np.full(600, "relabel"), chosen=LABELS)
    assert same.taught.gain > 0.9  # all keep: nothing is wrong
    assert same.p_mislabelled.max() < 0.2


def test_sets_without_anything_to_doubt_state_no_doubt() -> None:
    assert judged_alone(np.array([0]), np.array([[0.99, 0.01]])).p_mislabelled[0] <= 0.01
    assert judged_alone(np.zeros(3, dtype=int), np.ones((3, 1))).p_mislabelled.max() == 0


def test_several_recognizers_are_counted_in_words() -> None:
    members = np.stack([PROBS, np.roll(PROBS, 1, axis=1), PROBS])
    said = told(judged(recognizer_probs=members), 0)[0]
    assert said.endswith(f"(2 of 3 recognizers prefer {NAMES[int(judged().suggested_label[0])]})")
    assert "recognizers prefer" not in told(judged(recognizer_probs=members[:1]), 0)[0]


def test_one_sample_one_class_and_none_are_judged_clean() -> None:
    assert judged_alone(np.array([0]), np.array([[0.9, 0.1]])).kind.tolist() == ["clean"]
    one_class = judged_alone(np.zeros(4, dtype=int), np.ones((4, 1)))
    assert one_class.kind.tolist() == ["clean"] * 4
    assert one_class.soft_label.tolist() == [[1.0]] * 4
    assert judged_alone(np.empty(0, dtype=int), np.empty((0, 3))).rank.shape == (0,)


def test_inputs_are_left_alone_and_bad_ones_refused() -> None:
    judged()  # all arrays of the planted evidence are read-only
    with pytest.raises(BadDataError, match="around must be a weight per pair of samples, 600 x 600"):
        judge(planted_faces(around=AROUND[:, :3]))
    with pytest.raises(BadDataError, match="outside"):
        judged_alone(LABELS - 1, PROBS)
    with pytest.raises(BadDataError, match="NaN"):
        judged_alone(LABELS, np.full_like(PROBS, np.nan))


def test_doubt_whether_people_would_agree_does_not_enter_the_quality_of_a_label() -> None:
    said = np.array([["keep", "relabel", "ambiguous"][row % 3] for row in range(len(LABELS))])
    said[300:] = ""
    found = judged(decided=said, chosen=PROBS.argmax(1))
    np.testing.assert_allclose(found.label_quality, found.true_label[np.arange(len(LABELS)), LABELS])
    assert np.ptp(found.p_ambiguous) > 0.1
