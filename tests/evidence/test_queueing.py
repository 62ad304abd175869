"""Facts about the mixed queue: complete, reproducible, blind to scores, and a fair sample wherever one stops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferclean.errors import UsageError
from ferclean.evidence.verdict.queueing import mixed_order, teaching_round

SIZES, SHARES, SEEDS = st.integers(0, 60), st.floats(0, 1), st.integers(0, 9)


@given(n=SIZES, share=SHARES, seed=SEEDS)
def test_every_row_stands_in_the_queue_once_and_the_share_is_drawn(n: int, share: float, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(n)
    rank, drawn, chance = mixed_order(order, share=share, seed=seed)
    assert sorted(rank) == list(range(1, n + 1))
    assert n * share - 1 < drawn.sum() <= n * share + 1e-6
    assert np.array_equal(np.isnan(chance), ~drawn)
    assert np.allclose(chance[drawn], drawn.sum() / max(n, 1))


@given(n=SIZES, share=SHARES, seed=SEEDS)
def test_rows_that_were_not_drawn_keep_their_order(n: int, share: float, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(n)
    rank, drawn, _ = mixed_order(order, share=share, seed=seed)
    by_rank = np.argsort(rank)
    assert by_rank[~drawn[by_rank]].tolist() == order[~drawn[order]].tolist()


@given(n=SIZES, share=SHARES, seed=SEEDS, data=st.data())
def test_rows_that_are_not_eligible_keep_their_place_and_are_never_drawn(
    n: int, share: float, seed: int, data: st.DataObject
) -> None:
    order = np.random.default_rng(seed).permutation(n)
    eligible = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    rank, drawn, _ = mixed_order(order, share=share, seed=seed, eligible=eligible)
    place = np.empty(n, dtype=int)
    place[order] = np.arange(1, n + 1)
    assert np.array_equal(rank[~eligible], place[~eligible])
    assert not drawn[~eligible].any()
    assert sorted(rank) == list(range(1, n + 1))


@given(n=SIZES, share=SHARES, seed=SEEDS)
def test_the_draw_does_not_depend_on_the_scores(n: int, share: float, seed: int) -> None:
    other = np.random.default_rng(seed).permutation(n)
    rank, drawn, _ = mixed_order(np.arange(n), share=share, seed=seed)
    again, same, _ = mixed_order(other, share=share, seed=seed)
    assert np.array_equal(drawn, same)
    assert np.array_equal(rank[drawn], again[drawn])


def test_any_beginning_holds_about_the_share_of_drawn_rows() -> None:
    rank, drawn, _ = mixed_order(np.arange(1000), share=0.2, seed=3)
    for stop in range(5, 1001, 5):
        assert (drawn & (rank <= stop)).sum() == stop // 5


def test_wherever_one_stops_the_drawn_rows_seen_are_a_fair_sample() -> None:
    # every row is equally often among the drawn rows of the first 50, the most suspicious and the least alike
    seen = np.zeros(200)
    for seed in range(2000):
        rank, drawn, _ = mixed_order(np.arange(200), share=0.2, seed=seed)
        seen += drawn & (rank <= 50)
    expected, spread = 2000 * 10 / 200, np.sqrt(2000 * 0.05 * 0.95)
    assert np.abs(seen - expected).max() < 4.5 * spread
    assert abs(seen[:20].mean() - expected) < 3 * spread / np.sqrt(20)


def test_after_some_decisions_the_draw_goes_on_where_it_was() -> None:
    rank, drawn, _ = mixed_order(np.arange(100), share=0.2, seed=5)
    coming = sorted(np.flatnonzero(drawn), key=lambda row: rank[row])
    decided = rank <= 25  # five drawn rows and twenty ranked ones
    rank, drawn, _ = mixed_order(np.arange(100), share=0.2, seed=5, eligible=~decided)
    assert sorted(np.flatnonzero(drawn), key=lambda row: rank[row]) == coming[5:]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        mixed_order(np.arange(3), share=1.5)
    with pytest.raises(UsageError, match="each row exactly once"):
        mixed_order(np.array([0, 0, 2]))


def test_inputs_are_not_changed() -> None:
    order, eligible = np.arange(20)[::-1].copy(), np.ones(20, dtype=bool)
    order.flags.writeable = eligible.flags.writeable = False
    mixed_order(order, eligible=eligible)
    assert order.tolist() == list(range(20))[::-1]
    assert eligible.all()


@given(n=SIZES, share=SHARES, seed=SEEDS, first=st.integers(0, 70))
def test_a_teaching_round_is_the_first_places_and_all_of_it_is_drawn(
    n: int, share: float, seed: int, first: int
) -> None:
    rank, drawn, chance = mixed_order(np.random.default_rng(seed).permutation(n), share=share, seed=seed, first=first)
    assert sorted(rank) == list(range(1, n + 1))
    assert drawn[rank <= first].all()
    assert abs(drawn.sum() - min(n, first) - max(0, n - first) * share) <= 1
    assert np.allclose(chance[drawn], drawn.sum() / max(n, 1))


def test_the_round_goes_on_where_it_was_and_no_decision_in_it_tells_who_comes_next() -> None:
    drawn = mixed_order(np.arange(500), seed=2, first=100)[0].argsort()[:100].tolist()
    for order in (np.arange(500), np.arange(500)[::-1]):
        eligible = np.ones(500, dtype=bool)
        eligible[drawn[:37]] = False
        rank, lot, _ = mixed_order(order, seed=2, first=63, eligible=eligible)
        coming = [row for row in rank.argsort() if eligible[row]][:63]
        assert coming == drawn[37:]
        assert lot[coming].all()


def test_the_faces_of_the_round_are_a_fair_sample_of_the_set() -> None:
    seen = np.zeros(200)
    for seed in range(2000):
        seen[mixed_order(np.arange(200), seed=seed, first=20)[0] <= 20] += 1
    assert np.abs(seen - 200).max() < 4.5 * np.sqrt(2000 * 0.1 * 0.9)


def test_a_small_set_is_not_used_up_and_votes_need_no_round() -> None:
    assert [teaching_round(rows) for rows in (0, 4, 40, 500, 501, 10**7)] == [0, 0, 8, 100, 100, 100]
    assert teaching_round(6000, asked=0) == teaching_round(6000, voted=4000) == 0
    assert teaching_round(6000, asked=300, voted=10) == 300
    with pytest.raises(UsageError, match="0 faces or more"):
        teaching_round(10, asked=-1)
