"""Decisions move the automatic P(true label), slowly, and never through the row that they are about."""

from __future__ import annotations

import numpy as np
import pytest

from ferclean.evidence.constants import Constants
from ferclean.evidence.measures import auroc
from ferclean.evidence.people.auditing import draw_audit
from ferclean.evidence.people.people import Decided, check_decisions, design_weights
from ferclean.evidence.verdict.truth import (
    automatic,
    calibrated_sources,
    learn_truth,
    preferred,
    tempered,
    unlikeness,
    with_judges,
)

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


def test_the_best_other_label_is_one_that_the_panel_finds_often() -> None:
    labels, wrong = np.repeat([0, 1, 2], 100), np.full(300, 0.5)
    said = np.broadcast_to(np.array([0.5, 0.26, 0.24]), (1, 300, 3))
    panel = np.broadcast_to(np.array([0.3, 0.1, 0.6]), (300, 3))
    plain, told = (automatic(labels, wrong, said, panel=known) for known in (None, panel))
    assert plain[0].argsort().tolist() == [2, 1, 0]
    assert told[0].argsort().tolist() == [1, 2, 0]
    np.testing.assert_allclose(told[np.arange(300), labels], 0.5)
    np.testing.assert_allclose(told.sum(1), 1)
    alike = automatic(labels, wrong, said, panel=np.full((300, 3), 1 / 3))  # as often as they are given
    np.testing.assert_allclose(alike, plain)


@pytest.mark.parametrize("count", [15, 30])
def test_the_first_of_a_queue_alone_do_not_spoil_the_order_of_the_rest(count: int) -> None:
    rng = np.random.default_rng(0)
    given = np.where(rng.random(3000) < 0.2, (TRUE + rng.integers(1, K, 3000)) % K, TRUE)
    logits = 2 * (1.5 * np.eye(K)[TRUE] + 0.8 * rng.normal(size=(3000, K)))
    sources = calibrated_sources(given, (np.exp(logits) / np.exp(logits).sum(1, keepdims=True))[None])
    wrong, own = given != TRUE, np.arange(3000)
    prior = automatic(given, 1 - sources[0][own, given], sources)
    # the top of a queue looks alike: wrong labels of one class
    rows = np.argsort(prior[own, given] - (wrong & (TRUE == 0)))[:count]
    said = np.full(3000, "", dtype="<U9")
    said[rows] = "relabel"
    people = check_decisions(given, said, TRUE, None, num_classes=K)
    rest = ~np.isin(own, rows)

    def order(unlike_ridge: float) -> float:
        found = learn_truth(given, prior, sources, TORN, people, by=Constants(unlike_ridge=unlike_ridge))
        return auroc(found.p_true[own, given][rest], wrong[rest])

    held = order(Constants().unlike_ridge)
    assert held > auroc(prior[own, given][rest], wrong[rest]) - 0.02
    assert held > order(0.0) + 0.02


def test_a_random_draw_is_not_unlike_the_set_and_one_end_of_it_is() -> None:
    value = np.round(RNG.random(2000), 2)  # with equal values
    draws = [
        unlikeness(value, np.random.default_rng(seed).choice(2000, 60, replace=False), np.ones(60))
        for seed in range(200)
    ]
    assert np.mean(np.array(draws) > 0) < 0.07
    assert unlikeness(value, np.argsort(value)[:60], np.ones(60)) > 0.7
    # weights that bring the rows back to the set are heard: few rows of one end beside those that stand for the others
    mixed = np.r_[np.argsort(value)[:60], np.random.default_rng(0).choice(2000, 60, replace=False)]
    assert unlikeness(value, mixed, np.r_[np.full(60, 0.01), np.ones(60)]) < 0.05
    assert unlikeness(value, np.array([5]), np.ones(1)) == 0.0  # one row tells nothing


def test_one_row_of_a_huge_weight_does_not_silence_the_others() -> None:
    rows = RNG.choice(3000, 300, replace=False)
    weight = np.ones(3000)
    weight[rows[0]] = 1e7
    even, uneven = (learn_truth(GIVEN, PRIOR, SOURCES, TORN, decided(rows, by)) for by in (None, weight))
    rest = ~np.isin(np.arange(3000), rows)
    assert (uneven.p_true.argmax(1) == TRUE)[rest].mean() > (even.p_true.argmax(1) == TRUE)[rest].mean() - 0.01
    assert uneven.gain > 0.8 * even.gain
    # what a usual design brings stays as it is
    usual = np.r_[np.full(100, 58.5), np.ones(150)]
    np.testing.assert_allclose(tempered(usual), usual / usual.mean())


def test_decisions_teach_that_less_is_known_where_people_would_not_agree() -> None:
    torn = np.where(RNG.random(3000) < 0.5, 0.02, 0.3)
    true = np.where(torn > 0.1, RNG.integers(0, K, 3000), GIVEN)
    rows = RNG.choice(3000, 300, replace=False)
    said = np.full(3000, "", dtype="<U9")
    said[rows] = "relabel"
    found = learn_truth(GIVEN, PRIOR, SOURCES, torn, check_decisions(GIVEN, said, true, None, num_classes=K))
    sure = found.p_true.max(1)
    rest = ~np.isin(np.arange(3000), rows)
    for group in (torn > 0.1, torn < 0.1):
        assert abs(sure[rest & group].mean() - (found.p_true.argmax(1) == true)[rest & group].mean()) < 0.1
    assert sure[torn > 0.1].mean() < sure[torn < 0.1].mean() - 0.3
