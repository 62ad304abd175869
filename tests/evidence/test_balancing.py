"""Facts about splits of any shares: no group is parted, and classes and attributes are spread alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferclean.errors import UsageError
from ferclean.evidence.attributes import codes_of, people_of, scalar_names
from ferclean.evidence.balancing import balanced_splits, differences, random_differences, random_splits
from ferclean.evidence.splits import grouped_folds

SHARES = (0.8, 0.1, 0.1)


def people(count: int, persons: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Traits (class, gender, race) and groups of people who have one gender and race each."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, persons, count)
    gender, race = rng.choice(2, persons)[group], rng.choice(3, persons, p=[0.75, 0.15, 0.1])[group]
    return np.stack([rng.choice(7, count, p=[0.4, 0.2, 0.15, 0.1, 0.08, 0.05, 0.02]), gender, race], axis=1), group


@pytest.mark.parametrize(("count", "persons", "closer"), [(3000, 3000, 0.2), (3000, 300, 0.3), (600, 40, 0.8)])
def test_people_are_never_parted_and_all_is_spread_closer_than_by_chance(
    count: int, persons: int, closer: float
) -> None:
    traits, group = people(count, persons)
    split = balanced_splits(traits, group, shares=SHARES, seed=0)
    assert all(len(np.unique(split[group == one])) == 1 for one in np.unique(group))
    assert np.bincount(split) / count == pytest.approx(SHARES, abs=0.02)
    random = random_differences(group, traits, shares=SHARES, seed=0)
    assert (differences(split, traits) < closer * random).all()


def test_equal_shares_and_one_label_are_as_even_as_the_folds() -> None:
    traits, group = people(3000, 300)
    split = balanced_splits(traits[:, :1], group, shares=[0.2] * 5, seed=0)
    folds = grouped_folds(traits[:, 0], group, folds=5, seed=0)
    assert differences(split, traits[:, :1]) <= differences(folds, traits[:, :1]) + 0.002


def test_the_same_seed_gives_the_same_splits_whatever_groups_are_called_and_another_seed_others() -> None:
    traits, group = people(600, 60)
    first = balanced_splits(traits, group, shares=SHARES, seed=1)
    assert (balanced_splits(traits, 1000 - group, shares=SHARES, seed=1) == first).all()
    assert (balanced_splits(traits, group, shares=SHARES, seed=2) != first).any()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 2)), max_size=40), st.sampled_from([(1.0,), (0.7, 0.3)]))
def test_every_row_has_a_split_and_groups_stay_whole(rows: list[tuple[int, int]], shares: tuple[float, ...]) -> None:
    group = np.array([one for one, _ in rows], dtype=np.int64)
    traits = np.array([[code] for _, code in rows], dtype=np.int64).reshape(-1, 1)
    for split in (
        balanced_splits(traits, group, shares=shares, seed=0),
        random_splits(group, shares=shares, seed=0),
    ):
        assert split.shape == group.shape
        assert set(split.tolist()) <= set(range(len(shares)))
        assert all(len(set(split[group == one].tolist())) == 1 for one in set(group.tolist()))


@pytest.mark.parametrize("shares", [(0.5, 0.4), (1.0, 0.0), ()])
def test_shares_that_are_none_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="sum to 1"):
        balanced_splits(np.zeros((3, 1), dtype=int), np.arange(3), shares=shares, seed=0)


def test_words_are_values_many_numbers_fifths_and_what_is_missing_its_own() -> None:
    rows = [{"age": float(age), "sex": "f" if age % 2 else "m", "box": [1]} for age in range(100)] + [{}]
    assert scalar_names(rows) == ["age", "sex"]
    codes, names = codes_of(rows, "age")
    assert names == ["0 to 20", "20 to 40", "40 to 60", "60 to 80", "80 to 99", "unknown"]
    assert np.bincount(codes).tolist() == [20, 20, 20, 20, 20, 1]
    assert codes_of(rows, "sex")[1] == ["f", "m", "unknown"]
    with pytest.raises(UsageError, match="60 values"):
        codes_of([{"file": f"{row}.png"} for row in range(60)], "file")


def test_nobody_known_is_not_one_person() -> None:
    said = ["a", "", -1, None, "a", 7, "nan", "None", "?", float("nan"), "N/A", 7.0, " unknown"]
    codes, names = people_of([{"id": one} for one in said], "id")
    assert codes.tolist() == [0, -1, -1, -1, 0, 1, -1, -1, -1, -1, -1, 1, -1]
    assert names == ["a", "7"]
