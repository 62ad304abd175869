"""What a queue promises is what comes: intervals cover drawn errors, and widen with what is not known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferclean.errors import BadDataError
from ferclean.evidence.verdict.calibration import ErrorRate, log_odds, shift_to
from ferclean.evidence.verdict.expectation import Expected, expected_at

DEPTHS = [100, 400, 1800]


def rate_of(p: np.ndarray, *, factor: float = 1.0) -> ErrorRate:
    mean = float(p.mean())
    return ErrorRate(estimate=mean, low=mean / factor, high=min(mean * factor, 1.0))


def chances(n: int = 1800, seed: int = 0) -> np.ndarray:
    p = np.random.default_rng(seed).beta(0.25, 2.0, size=n)  # a few blatant errors, many doubts
    p.flags.writeable = False
    return p


P = chances()
ORDER = np.argsort(-P, kind="stable")


def test_intervals_cover_errors_drawn_from_the_probabilities() -> None:
    covered = {"precision": 0, "recall": 0}
    for seed in range(10):
        p = chances(seed=seed)
        order = np.argsort(-p)
        wrong = np.random.default_rng(100 + seed).random(len(p)) < p
        found = expected_at(p, order, [400], rate=rate_of(p, factor=1.1))[0]
        hits = wrong[order[:400]].sum()
        covered["precision"] += found.precision_low <= hits / 400 <= found.precision_high
        covered["recall"] += found.recall_low <= hits / wrong.sum() <= found.recall_high
        assert found.recall_high - found.recall_low < 0.25  # covering by saying nothing would be no use
        assert found.precision_high - found.precision_low < 0.25
    assert min(covered.values()) >= 8


def test_intervals_cover_a_level_that_the_rate_left_open() -> None:
    doubled = np.random.default_rng(1).random(len(P)) < np.minimum(1.4 * P, 1)  # more errors than were estimated
    precision = doubled[ORDER[:400]].mean()
    narrow, wide = (expected_at(P, ORDER, [400], rate=rate_of(P, factor=factor))[0] for factor in (1.0, 1.8))
    assert narrow.precision_high < precision < wide.precision_high


def test_a_less_certain_rate_is_a_less_certain_promise() -> None:
    spans = [
        [
            (found.recall_high - found.recall_low, found.precision_high - found.precision_low)
            for found in expected_at(P, ORDER, DEPTHS[:2], rate=rate_of(P, factor=factor))
        ]
        for factor in (1.0, 1.3, 2.0)
    ]
    assert (np.diff(spans, axis=0) > 0).all()


@settings(max_examples=15)
@given(st.integers(2, 60), st.floats(1.0, 3.0), st.integers(0, 10_000))
def test_numbers_agree_with_each_other(n: int, factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, order = rng.beta(0.5, 2.0, size=n), rng.permutation(n)
    depths = sorted({1, (n + 1) // 2, n})
    found = expected_at(p, order, depths, rate=rate_of(p, factor=factor))
    assert [entry.depth for entry in found] == depths
    for entry in found:
        assert entry.precision * entry.depth == pytest.approx(entry.found)
        for value, low, high in (
            (entry.precision, entry.precision_low, entry.precision_high),
            (entry.recall, entry.recall_low, entry.recall_high),
        ):
            assert 0 <= low <= high <= 1 + 1e-9
            # a mean may lie outside where hardly anything is expected
            assert entry.found < 1 or low - 1e-9 <= value <= high + 1e-9
    last = found[-1]
    assert last.recall == pytest.approx(1)
    assert last.recall_low == pytest.approx(1)
    assert last.recall_high == pytest.approx(1)


def test_a_queue_by_probability_promises_more_than_a_shuffled_one() -> None:
    shuffled = np.random.default_rng(0).permutation(len(P))
    first, second = (expected_at(P, order, DEPTHS, rate=rate_of(P)) for order in (ORDER, shuffled))
    for entry, order in ((first[1], ORDER), (second[1], shuffled)):
        assert entry.found == pytest.approx(P[order[:400]].sum(), rel=0.1)  # what the probabilities add up to
        assert entry.recall == pytest.approx(P[order[:400]].sum() / P.sum(), rel=0.1)
    for best, other in zip(first[:2], second[:2], strict=True):
        assert best.recall_low > other.recall_high
    assert [entry.recall for entry in first] == sorted(entry.recall for entry in first)
    assert first[-1].precision == pytest.approx(second[-1].precision, rel=0.05)


def test_the_same_rows_in_the_same_queue_promise_the_same() -> None:
    rows = np.random.default_rng(2).permutation(len(P))
    moved = expected_at(P[rows], np.argsort(rows)[ORDER], DEPTHS, rate=rate_of(P))
    expected = expected_at(P, ORDER, DEPTHS, rate=rate_of(P))
    for one, other in zip(moved, expected, strict=True):
        assert one.as_dict() == pytest.approx(other.as_dict())
    again = expected_at(P, ORDER, DEPTHS[:1], rate=rate_of(P), seed=7)[0]
    assert again.recall_low != expected[0].recall_low
    assert again.recall_low == pytest.approx(expected[0].recall_low, abs=0.02)


def test_one_face_no_errors_and_nothing_but_errors_have_expectations() -> None:
    one = expected_at(np.array([0.3]), np.array([0]), [1], rate=ErrorRate(estimate=0.3, low=0.1, high=0.6))[0]
    assert isinstance(one, Expected)
    assert (one.found, one.recall, one.recall_low) == (pytest.approx(0.3, abs=0.1), 1.0, 1.0)
    clean = expected_at(np.zeros(9), np.arange(9), [3], rate=ErrorRate(estimate=0.0, low=0.0, high=0.1))[0]
    assert clean.found < 1e-3
    assert clean.precision_high < 1e-3
    rotten = expected_at(np.ones(9), np.arange(9), [3], rate=ErrorRate(estimate=1.0, low=1.0, high=1.0))[0]
    assert (rotten.precision_low, rotten.recall_high) == (pytest.approx(1.0, abs=1e-3), pytest.approx(1 / 3, abs=1e-3))


@pytest.mark.parametrize(
    ("p", "order", "depths", "told"),
    [
        (np.full(4, 0.5), np.arange(4), [0], "depths lie between 1 and 4, got \\[0\\]"),
        (np.full(4, 0.5), np.arange(4), [2, 5], "depths lie between 1 and 4"),
        (np.full(4, 0.5), np.arange(3), [2], "an order names each of 4 rows once"),
        (np.full(4, 0.5), np.array([0, 1, 2, 4]), [2], "an order names each of 4 rows once"),
        (np.full(4, 0.5), np.array([0, 0, 1, 2]), [2], "an order names each of 4 rows once"),
        (np.array([np.nan, 1.0]), np.arange(2), [1], "probabilities in"),
        (np.empty(0), np.empty(0, dtype=int), [1], "between 1 and 0"),
    ],
)
def test_what_is_no_queue_is_refused(p: np.ndarray, order: np.ndarray, depths: list[int], told: str) -> None:
    with pytest.raises(BadDataError, match=told):
        expected_at(p, order, depths, rate=ErrorRate(estimate=0.5, low=0.4, high=0.6))


def test_rare_errors_are_not_promised_more_often_than_they_are() -> None:
    sure = ErrorRate(estimate=1e-3, low=1e-3, high=1e-3)
    one = expected_at(np.full(1000, 1e-3), np.arange(1000), [100], rate=sure)[0]
    assert one.found == pytest.approx(0.1, rel=0.1)
    assert one.recall == pytest.approx(0.1, rel=0.1)
    assert expected_at(np.full(9, 0.5), np.arange(9), [], rate=sure) == []


def test_recall_holds_where_fewer_labels_are_wrong_than_estimated_and_those_stand_out() -> None:
    covered = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        base = log_odds(chances(seed=seed))
        p = 1 / (1 + np.exp(-base - shift_to(base, 0.27)))  # what is said: flat, and twice as many as there are
        blatant = 1.3 * base
        wrong = rng.random(len(p)) < 1 / (1 + np.exp(-blatant - shift_to(blatant, 0.13)))
        order = np.argsort(-p, kind="stable")
        found = expected_at(p, order, [400], rate=ErrorRate(estimate=0.27, low=0.07, high=0.38))[0]
        covered += found.recall_low <= wrong[order[:400]].sum() / wrong.sum() <= found.recall_high
    assert covered >= 7


def test_a_clean_set_promises_what_its_interval_holds_and_an_open_rate_stays_open() -> None:
    order = np.arange(1000)
    clean = np.full(1000, 0.0005)
    for rate in (ErrorRate(estimate=0.0, low=0.0, high=0.0), ErrorRate(estimate=0.0, low=0.0, high=1.0)):
        for row in expected_at(clean, order, [10, 500], rate=rate):
            assert row.recall_low <= row.recall <= row.recall_high
            assert row.precision_low <= row.precision <= row.precision_high
        assert (row.precision_high > 0.5) == (rate.high == 1)
