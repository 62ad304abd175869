"""Decisions move the automatic P(true label), slowly, and never through the row that they are about."""

from __future__ import annotations

import numpy as np
import pytest

from ferclean.evidence.people.auditing import draw_audit
from ferclean.evidence.people.people import Decided, check_decisions, design_weights
from ferclean.evidence.verdict.truth import automatic, calibrated_sources, learn_truth, preferred, with_judges

K = 4
RNG = np.random.default_rng(0)
TRUE = RNG.integers(0, K, 3000)
# what is truly 0 is given as 1 half of the time, and the recognizer has learned that: it says 1 of such faces
GIVEN = np.where((TRUE == 0) & (RNG.random(3000) < 0.5), 1, TRUE)
SEEN = np.where((TRUE == 0) & (RNG.random(3000) < 0.5), 1, TRUE)
HINT = np.where(RNG.random(3000) < 0.8, TRUE, RNG.integers(0, K, 3000))
PROBS = np.full((3000, K), 0.1) + 0.6 * np.eye(K)[SEEN] + 0.1 * np.eye(K)[HINT]
PROBS /= PROBS.sum(1, keepdims=True)
SOURCES = calibrated_sources(GIVEN, PROBS[None])
TORN = np.full(3000, 0.1)
WRONG = np.where(SEEN == GIVEN, 0.1, 0.5)
PRIOR = automatic(GIVEN, WRONG, SOURCES)


def decided(rows: np.ndarray, weight: np.ndarray | None = None) -> Decided:
    said = np.full(3000, "", dtype="<U9")
    said[rows] = "relabel"
    return check_decisions(GIVEN, said, TRUE, weight, num_classes=K)


def test_decisions_teach_which_label_is_the_true_one_and_it_is_calibrated() -> None:
    rows = RNG.choice(3000, 300, replace=False)
    found = learn_truth(GIVEN, PRIOR, SOURCES, TORN, decided(rows))
    rest = ~np.isin(np.arange(3000), rows)
    before, after = ((p.argmax(1) == TRUE)[rest].mean() for p in (PRIOR, found.p_true))
    assert after > before + 0.03
    assert abs(found.p_true.max(1)[rest].mean() - after) < 0.03
    assert found.gain > 0.1
    assert found.p_ambiguous[rest].mean() < 0.05  # nobody found a face on which people would not agree
    np.testing.assert_allclose(found.p_true.sum(1), 1)


@pytest.mark.parametrize("count", [0, 9])
def test_hardly_any_decision_is_the_automatic_posterior(count: int) -> None:
    found = learn_truth(GIVEN, PRIOR, SOURCES, TORN, decided(np.arange(count)))
    np.testing.assert_array_equal(found.p_true, PRIOR)
    np.testing.assert_array_equal(found.p_ambiguous, TORN)
    assert found.gain == 0
    assert found.decisions == count


def test_a_decided_row_and_its_copies_are_judged_by_a_model_that_did_not_see_them() -> None:
    rows = np.arange(60)
    other = decided(rows).known.copy()
    other[0] = (other[0] + 1) % K
    contrary = check_decisions(GIVEN, np.where(np.arange(3000) < 60, "relabel", ""), other, None, num_classes=K)
    groups = np.r_[0, 0, np.arange(2, 3000)]
    before, after = (learn_truth(GIVEN, PRIOR, SOURCES, TORN, who, groups=groups) for who in (decided(rows), contrary))
    np.testing.assert_array_equal(before.p_true[:2], after.p_true[:2])
    assert not np.array_equal(before.p_true, after.p_true)


def test_faces_that_people_call_ambiguous_teach_which_others_are() -> None:
    said = np.full(3000, "", dtype="<U9")
    said[:200] = np.where(GIVEN[:200] == 2, "ambiguous", "keep")
    found = learn_truth(GIVEN, PRIOR, SOURCES, TORN, check_decisions(GIVEN, said, None, None, num_classes=K))
    assert (
        found.p_ambiguous[200:][GIVEN[200:] == 2].mean() > 0.6 > 0.1 > found.p_ambiguous[200:][GIVEN[200:] != 2].mean()
    )


def test_excluded_faces_say_nothing_about_labels() -> None:
    said = np.where(np.arange(3000) < 50, "keep", np.where(np.arange(3000) < 100, "exclude", ""))
    without = np.where(said == "exclude", "", said)
    people = [check_decisions(GIVEN, words, None, None, num_classes=K) for words in (said, without)]
    both = [learn_truth(GIVEN, PRIOR, SOURCES, TORN, who) for who in people]
    np.testing.assert_array_equal(both[0].p_true, both[1].p_true)


def test_an_audit_that_draws_more_where_errors_are_likely_does_not_shift_the_base_rate() -> None:
    wrong = TRUE != GIVEN
    suspicion = np.where(wrong, 0.5, 0.1) * RNG.uniform(0.4, 1.0, 3000)
    plain, weighted = [], []
    for seed in range(60):
        audit = draw_audit(suspicion, n=200, seed=seed)
        chance = audit.inclusion_probability[audit.rows]
        weight = design_weights(chance, np.full(200, "audit"), total=3000)
        plain.append(wrong[audit.rows].mean())
        weighted.append(np.average(wrong[audit.rows], weights=weight))
    assert np.mean(plain) > wrong.mean() + 0.06
    assert abs(np.mean(weighted) - wrong.mean()) < 0.01


@pytest.mark.parametrize(("audited", "round_", "off"), [(150, 100, 0.008), (600, 300, 0.025)])
def test_audits_and_a_teaching_round_one_after_the_other_estimate_the_base_rate(
    audited: int, round_: int, off: float
) -> None:
    wrong = TRUE != GIVEN
    suspicion = np.where(wrong, 0.5, 0.1) * RNG.uniform(0.4, 1.0, 3000)
    found = []
    for seed in range(60):
        left, parts = np.arange(3000), []
        for name in ("first audit", "second audit", "teaching round"):
            if name == "teaching round":
                rows, chance = np.random.default_rng(seed).choice(left, round_, replace=False), round_ / len(left)
            else:
                audit = draw_audit(suspicion[left], n=audited, seed=seed)
                rows, chance = left[audit.rows], audit.inclusion_probability[audit.rows]
            parts.append((rows, np.broadcast_to(chance, len(rows)), np.full(len(rows), name)))
            left = np.setdiff1d(left, rows)
        rows, chances, draws = (np.concatenate(part) for part in zip(*parts, strict=True))
        assert len(set(rows)) == len(rows)
        found.append(np.average(wrong[rows], weights=design_weights(chances, draws, total=3000)))
    assert abs(np.mean(found) - wrong.mean()) < off


def test_draws_of_other_sizes_do_not_outweigh_each_other() -> None:
    # a teaching round alone, then a fifth of the queue: both are simple random samples
    chance, draw = np.r_[np.full(5, 0.02), np.full(5, 0.2)], np.repeat(["first", "second"], 5)
    assert design_weights(chance, draw, total=1000).tolist() == [100.0] * 10


def test_weights_without_or_with_hardly_a_random_draw_stay_within_bounds() -> None:
    nobody = design_weights(np.full(150, np.nan), np.full(150, ""), total=3000)
    np.testing.assert_array_equal(nobody, 1)
    assert len(design_weights(np.empty(0), np.empty(0, dtype=str), total=3000)) == 0
    for drawn in (1, 3, 30, 100, 300):
        chance = np.r_[np.full(drawn, 0.2), np.full(150, np.nan)]
        weight = design_weights(chance, np.full(len(chance), "queue"), total=3000)
        assert weight[:drawn].max() <= 2850 / 100
        assert weight[:drawn].sum() == pytest.approx(2850 * min(drawn, 100) / 100)
    # in a set that is nearly decided a drawn row still stands for itself
    full = np.r_[0.2, np.full(149, np.nan)]
    assert design_weights(full, np.full(150, "queue"), total=150)[0] == 1


def test_weights_undo_that_only_the_top_was_looked_at() -> None:
    wrong = TRUE != GIVEN
    drawn = RNG.choice(3000, 100, replace=False)
    top = np.flatnonzero(wrong & ~np.isin(np.arange(3000), drawn))[:150]
    rows = np.r_[drawn, top]
    weight = np.ones(3000)
    weight[rows] = design_weights(np.r_[np.full(100, 0.2), np.full(150, np.nan)], np.full(250, "queue"), total=3000)
    alike, weighted = (learn_truth(GIVEN, PRIOR, SOURCES, TORN, decided(rows, by)) for by in (None, weight))
    rest = ~np.isin(np.arange(3000), rows)
    stated = [1 - found.p_true[np.arange(3000), GIVEN][rest].mean() for found in (alike, weighted)]
    assert abs(stated[1] - wrong[rest].mean()) < abs(stated[0] - wrong[rest].mean())


def test_a_judge_moves_the_panel_and_says_nothing_about_what_it_does_not_know() -> None:
    rare = np.where(TRUE == 3, np.where(RNG.random(3000) < 0.1, 3, 2), TRUE)  # one class in forty
    ours = np.full((3000, K), 0.1) + 0.6 * np.eye(K)[rare]
    knows = np.full((1, 3000, K), 0.1) + 0.6 * np.eye(K)[rare]
    partly = knows.copy()
    partly[0, :, 3] = np.nan
    partly[0] /= np.nansum(partly[0], 1, keepdims=True)
    partly[0, :50] = np.nan  # images that it could not read
    sources = calibrated_sources(rare, ours[None], partly)
    assert sources.shape == (2, 3000, K)
    np.testing.assert_allclose(sources.sum(2), 1)
    heard = with_judges(ours, sources[1:])
    np.testing.assert_allclose(heard[:50], ours[:50])
    wrong = np.full(50, 0.3)
    np.testing.assert_allclose(
        automatic(rare[:50], wrong, sources[:, :50], judges=1), automatic(rare[:50], wrong, sources[:1, :50])
    )
    rest = np.arange(50, 3000)
    unknown, known = rest[rare[rest] == 3], rest[rare[rest] != 3]
    # it can only say something else of a face of the class that it does not know, and takes little away
    assert heard[unknown, 3].min() > 0.9 * ours[unknown, 3].min()
    assert (heard[known, rare[known]] > ours[known, rare[known]]).all()
    np.testing.assert_array_equal(with_judges(ours, sources[1:][:0]), ours)


def test_a_judge_of_one_class_or_of_no_image_says_nothing() -> None:
    one = np.full((2, 3000, K), np.nan)
    one[0, :, 1] = 1.0
    np.testing.assert_array_equal(calibrated_sources(GIVEN, PROBS[None], one)[1:], 1 / K)


def test_recognizers_of_one_set_are_one_voice_beside_a_judge() -> None:
    shared, judge = np.array([[0.5, 0.4, 0.05, 0.05]]), np.array([[0.5, 0.05, 0.4, 0.05]])
    label, wrong = np.array([0]), np.array([0.9])
    for members in (1, 2, 5):  # however many repeat what the set's noise taught them
        said = automatic(label, wrong, np.stack([shared] * members + [judge]), judges=1)
        assert said[0].argmax() == 2
        np.testing.assert_allclose(said, automatic(label, wrong, np.stack([shared, judge]), judges=1))
    assert preferred(np.stack([shared, judge])).tolist() == [0]
    assert preferred(np.full((2, 3, K), 1 / K)).tolist() == [-1, -1, -1]
