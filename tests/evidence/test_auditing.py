"""Facts about the audit's draw and its estimate: fair, never blind to a stratum, and right as often as it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferclean.errors import UsageError
from ferclean.evidence.people.auditing import Estimate, draw_audit, residual_errors, worth_going_on


def population(rng: np.random.Generator, n: int, rate: float, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(p_mislabelled, truly wrong) where p is calibrated, says nothing, boasts, belittles or says the opposite."""
    shape = (0.25, 0.25 * (1 - rate) / rate)
    p = rng.beta(*shape, n)
    wrong = rng.random(n) < p
    said = {"good": p, "useless": rng.beta(*shape, n), "boasting": p**0.5, "belittling": p**3, "opposite": 1 - p}
    return said[kind], wrong


@given(size=st.integers(1, 300), n=st.integers(1, 120), seed=st.integers(0, 9))
def test_a_draw_names_different_rows_with_the_chances_that_it_had(size: int, n: int, seed: int) -> None:
    p = np.random.default_rng(seed).beta(0.3, 3, size)
    audit = draw_audit(p, n=n, seed=seed)
    assert len(audit.rows) == len(set(audit.rows.tolist())) == min(n, size)
    assert ((audit.inclusion_probability > 0) & (audit.inclusion_probability <= 1)).all()
    assert audit.inclusion_probability.sum() == pytest.approx(min(n, size))
    assert (np.diff(audit.stratum[np.argsort(p, kind="stable")]) >= 0).all()
    again = draw_audit(p, n=n, seed=seed)
    assert np.array_equal(audit.rows, again.rows)


def test_no_stratum_is_left_out_and_no_beginning_is_lopsided() -> None:
    p = np.r_[np.full(9900, 0.001), np.full(100, 0.9)]
    audit = draw_audit(p, n=100)
    assert np.bincount(audit.stratum[audit.rows]).min() >= 10
    for stop in range(25, 101, 25):
        assert np.ptp(np.bincount(audit.stratum[audit.rows[:stop]], minlength=5)) <= 2


def test_a_useless_score_cannot_make_weights_differ_much() -> None:
    audit = draw_audit(np.r_[np.zeros(5000), np.ones(5000), np.full(100, np.nan)], n=200)
    assert audit.inclusion_probability.max() / audit.inclusion_probability.min() < 4.5


def test_each_row_is_drawn_as_often_as_its_chance_says() -> None:
    p = np.linspace(0, 0.6, 80)
    hits = np.zeros(80)
    for seed in range(1500):
        hits[draw_audit(p, n=20, seed=seed).rows] += 1
    chance = draw_audit(p, n=20).inclusion_probability
    assert np.abs(hits / 1500 - chance).max() < 4.5 * np.sqrt(0.25 / 1500)


def test_the_interval_of_some_rows_alone_covers_their_truth_from_fifteen_answers_on() -> None:
    covered = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        for kind in ("good", "useless", "opposite"):
            p, wrong = population(rng, 1500, 0.15, kind)
            own = rng.random(1500) < 0.12
            wrong |= own & (rng.random(1500) < 0.2)
            audit = draw_audit(p, n=200, seed=seed)
            rows = audit.rows[own[audit.rows]]
            if len(rows) >= 15:
                left = residual_errors(audit.stratum[rows], wrong[rows], np.bincount(audit.stratum[own], minlength=5))
                covered.append(left.low <= wrong[own].sum() - wrong[rows].sum() <= left.high)
    assert len(covered) > 150
    assert np.mean(covered) > 0.92


@pytest.mark.parametrize(
    ("kind", "size", "rate", "n"),
    [
        ("good", 1000, 0.05, 200), ("good", 5000, 0.01, 100), ("useless", 3000, 0.2, 100),
        ("boasting", 5000, 0.01, 100), ("belittling", 1000, 0.05, 200), ("opposite", 1000, 0.05, 200),
        ("opposite", 3000, 0.2, 100),
    ],
)  # fmt: skip
def test_the_interval_covers_the_truth_whatever_the_score_is_worth(kind: str, size: int, rate: float, n: int) -> None:
    covered = []
    for seed in range(60):
        rng = np.random.default_rng([seed, size])
        p, wrong = population(rng, size, rate, kind)
        audit = draw_audit(p, n=n, seed=seed)
        rows = audit.rows
        left = residual_errors(audit.stratum[rows], wrong[rows], np.bincount(audit.stratum), seed=seed)
        covered.append(left.low <= wrong.sum() - wrong[rows].sum() <= left.high)
    assert np.mean(covered) >= 0.88  # 95 % of 60: fewer than 53 would come once in forty


def test_the_queues_finds_leave_the_count_but_do_not_bend_it() -> None:
    covered, counts, truths = [], [], []
    for seed in range(60):
        p, wrong = population(np.random.default_rng([seed, 7]), 2000, 0.1, "good")
        audit = draw_audit(p, n=150, seed=seed)
        rows = audit.rows[:100]  # left half-finished
        queue = np.setdiff1d(np.argsort(-p)[:300], rows)
        sizes = np.bincount(audit.stratum)
        width = len(sizes)
        left = residual_errors(
            audit.stratum[rows],
            wrong[rows],
            sizes,
            decided=np.bincount(audit.stratum[queue], minlength=width),
            found=np.bincount(audit.stratum[queue], weights=wrong[queue], minlength=width),
        )
        truth = wrong.sum() - wrong[rows].sum() - wrong[queue].sum()
        assert left.rows == 2000 - 100 - len(queue)
        covered.append(left.low <= truth <= left.high)
        counts.append(left.count)
        truths.append(truth)
    assert np.mean(covered) >= 0.88
    assert np.mean(counts) == pytest.approx(np.mean(truths), rel=0.2)


def test_a_finished_population_has_no_doubt_left_and_no_answer_leaves_all_of_it() -> None:
    stratum, wrong = np.array([0, 0, 1, 1]), np.array([True, False, True, True])
    assert residual_errors(stratum, wrong, np.array([2, 2])) == Estimate(count=0.0, low=0.0, high=0.0, rows=0)
    nothing = residual_errors(stratum[:0], wrong[:0], np.array([30, 20]))
    assert (nothing.low, nothing.high, nothing.rows) == (0, 50, 50)
    assert np.isnan(nothing.count)


def test_a_stratum_without_answers_joins_the_next_more_suspicious_one() -> None:
    stratum, wrong = np.repeat([1, 2], 20), np.r_[np.zeros(20, bool), np.ones(20, bool)]
    apart = residual_errors(stratum, wrong, np.array([100, 20, 40]))
    assert apart.count == pytest.approx(20)
    assert apart.rows == 120


def test_the_rate_can_be_among_the_undecided_or_the_whole_set() -> None:
    left = Estimate(count=10, low=5, high=20, rows=100)
    assert left.rate() == (0.1, 0.05, 0.2)
    assert left.rate(1000) == (0.01, 0.005, 0.02)
    assert Estimate(count=0, low=0, high=0, rows=0).rate() == (0, 0, 0)


def test_going_on_pays_while_the_queue_holds_errors_and_too_many_are_left() -> None:
    left = Estimate(count=200, low=120, high=300, rows=4000)
    assert worth_going_on(left, next_errors=35, next_rows=100, whole=5000) == "go_on"
    assert worth_going_on(left, next_errors=3, next_rows=100, whole=5000) == "stop_slow"
    assert worth_going_on(left, next_errors=0, next_rows=0, whole=5000) == "stop_slow"
    assert worth_going_on(left, next_errors=35, next_rows=100, whole=40_000) == "stop_clean"


def test_an_audit_of_nobody_is_refused() -> None:
    with pytest.raises(UsageError, match="1 sample or more"):
        draw_audit(np.zeros(3), n=0)
