"""Facts about whose sample it is: an even, independent choice that a change of the team moves as little as possible."""

from __future__ import annotations

import hashlib

import numpy as np

from ferclean.evidence.people.assigning import assigned, digests, drawn

IDS = [hashlib.sha256(str(number).encode()).hexdigest()[:20] for number in range(20_000)]
THREE = ("ann", "bo", "çé 🎭")


def test_each_reviewer_gets_an_equal_part_and_a_second_one_only_the_share_asked_for() -> None:
    first, second = assigned(IDS, THREE, overlap=0.1, seed=0)
    assert np.abs(np.bincount(first) / len(IDS) - 1 / 3).max() < 0.012, "3.6 standard errors"
    both = second >= 0
    assert abs(both.mean() - 0.1) < 0.008
    assert (first != second).all()
    assert np.abs(np.bincount(second[both]) / both.sum() - 1 / 3).max() < 0.04


def test_whoever_joins_takes_faces_and_nobody_else_gets_any() -> None:
    before, _ = assigned(IDS, THREE, overlap=0.0, seed=0)
    after, _ = assigned(IDS, (*THREE, "dee"), overlap=0.0, seed=0)
    moved = before != after
    assert set(after[moved]) == {3}
    assert abs(moved.mean() - 1 / 4) < 0.012


def test_whoever_leaves_leaves_the_rest_as_it_was() -> None:
    before, _ = assigned(IDS, THREE, overlap=0.0, seed=0)
    after, _ = assigned(IDS, ("çé 🎭", "ann"), overlap=0.0, seed=0)  # in any order
    names = np.array(["çé 🎭", "ann"])
    stayed = before != THREE.index("bo")
    assert (names[after[stayed]] == np.array(THREE)[before[stayed]]).all()


def test_a_larger_share_draws_what_a_smaller_one_drew_and_more() -> None:
    few, many = drawn(IDS, 0.1, 0, "overlap"), drawn(IDS, 0.3, 0, "overlap")
    assert (many[few]).all()
    assert drawn(IDS, 0.0, 0, "overlap").sum() == 0
    assert drawn(IDS, 1.0, 0, "overlap").all()
    assert abs((few & drawn(IDS, 0.1, 0, "repeat")).mean() - 0.01) < 0.003, "two draws know nothing of each other"


def test_the_choice_is_the_same_on_every_machine() -> None:
    assert [int(one) for one in digests(["00" * 10, "ff" * 10], 0, "x")] == [
        11869019480594152265, 15771203556281657668,
    ]  # fmt: skip


def test_a_single_reviewer_has_everything_alone() -> None:
    first, second = assigned(IDS[:5], ("ann",), overlap=1.0, seed=0)
    assert first.tolist() == [0] * 5
    assert second.tolist() == [-1] * 5
