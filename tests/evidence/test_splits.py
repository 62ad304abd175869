"""Copies are found and share a fold; folds are stratified, filled and reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence import splits

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(300, 32)).astype(np.float32)


def test_planted_copies_are_found_and_nothing_else() -> None:
    vectors = VECTORS.copy()
    vectors[200] = 3 * vectors[5]  # the same image at another contrast
    vectors[299] = vectors[5] + 0.01
    pairs, similarity = splits.near_duplicate_pairs(vectors)
    assert pairs.tolist() == [[5, 200], [5, 299], [200, 299]]
    assert (similarity > 0.99).all()
    assert pairs.dtype == np.int64


def test_pairs_equal_the_full_matrix_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    expected = np.argwhere(np.triu(unit @ unit.T >= 0.4, k=1))
    monkeypatch.setattr(splits, "_CHUNK_CELLS", 5000)  # 16 rows at a time
    pairs, _ = splits.near_duplicate_pairs(VECTORS, threshold=0.4)
    assert len(expected) > 50
    assert pairs.tolist() == expected.tolist()


def test_flat_images_resemble_nothing_and_none_is_fine() -> None:
    assert len(splits.near_duplicate_pairs(np.zeros((5, 4)), threshold=0.0)[0]) == 0
    assert splits.near_duplicate_pairs(np.empty((0, 4)))[0].shape == (0, 2)


def test_a_thousand_copies_stay_one_group_without_a_million_pairs() -> None:
    pairs, _ = splits.near_duplicate_pairs(np.repeat(VECTORS[:1], 1000, axis=0))
    assert len(pairs) <= 1000 * splits.MAX_PARTNERS
    assert splits.group_ids(1000, pairs).max() == 0


def test_bytes_are_taken_as_numbers() -> None:
    grey = RNG.integers(0, 256, size=(10, 16)).astype(np.uint8)
    grey[7] = grey[2]
    assert [2, 7] in splits.near_duplicate_pairs(grey, threshold=0.999)[0].tolist()


def test_groups_join_through_others_and_through_hashes() -> None:
    groups = splits.group_ids(7, np.array([[1, 2], [2, 5]]), ["a", "b", "c", "a", None, "d", None])
    assert groups.tolist() == [0, 1, 1, 0, 2, 1, 3]
    with pytest.raises(BadDataError, match=r"outside 0\.\.2"):
        splits.group_ids(3, np.array([[0, 3]]))


@settings(max_examples=60)
@given(
    data=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), min_size=1, max_size=60),
    folds=st.integers(1, 6),
    seed=st.integers(0, 3),
    order=st.randoms(use_true_random=False),
)
def test_groups_stay_whole_no_fold_is_empty_and_the_row_order_does_not_matter(
    data: list[tuple[int, int]], folds: int, seed: int, order: object
) -> None:
    labels, groups = np.array(data).T
    labels.flags.writeable = groups.flags.writeable = False
    fold = splits.grouped_folds(labels, groups, folds=folds, seed=seed)
    assert fold.dtype == np.int64
    assert ((fold >= 0) & (fold < folds)).all()
    for group in np.unique(groups):
        assert len(set(fold[groups == group])) == 1
    if len(np.unique(groups)) >= folds:
        assert len(np.unique(fold)) == folds
    shuffled = list(range(len(data)))
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    again = splits.grouped_folds(labels[shuffled], groups[shuffled], folds=folds, seed=seed)
    np.testing.assert_array_equal(again, fold[shuffled])


def test_every_class_is_spread_as_evenly_as_it_can_be() -> None:
    labels = np.repeat(np.arange(4), [503, 100, 13, 3])
    fold = splits.grouped_folds(labels, np.arange(len(labels)), folds=5, seed=0)
    for label in range(4):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    totals = np.bincount(fold, minlength=5)
    assert totals.max() - totals.min() <= 2


def test_the_seed_decides_the_folds() -> None:
    labels, groups = np.repeat([0, 1], 50), np.arange(100)
    first, again, other = (splits.grouped_folds(labels, groups, folds=5, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_one_image_and_none_have_folds_too() -> None:
    assert splits.grouped_folds(np.array([3]), np.array([0]), folds=5, seed=0).tolist() == [0]
    assert splits.grouped_folds(np.array([]), np.array([]), folds=5, seed=0).shape == (0,)
    with pytest.raises(UsageError, match="at least 1"):
        splits.grouped_folds(np.array([3]), np.array([0]), folds=0, seed=0)


def in_cells(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """3,000 rows around 60 faces, and 1,000 near copies and 100 equal ones of them, sought in cells."""
    monkeypatch.setattr(splits, "ONE_CELL", 0)
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(60, 64))[rng.integers(60, size=3000)] + 0.5 * rng.normal(size=(3000, 64))
    near = rows[:1000] + 0.15 * rng.normal(size=(1000, 64))
    return np.concatenate([rows, near, rows[2000:2100]]).astype(np.float32)


def test_cells_find_the_pairs_that_looking_at_all_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = in_cells(monkeypatch)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = set(map(tuple, np.argwhere(np.triu(unit @ unit.T >= 0.98, k=1)).tolist()))
    pairs, similarity = splits.near_duplicate_pairs(rows)
    found = set(map(tuple, pairs.tolist()))
    assert len(expected) > 300
    assert found <= expected
    assert len(found) >= 0.98 * len(expected)
    assert {(2000 + i, 4000 + i) for i in range(100)} <= found
    assert pairs.tolist() == sorted(pairs.tolist())
    assert np.allclose(similarity, (unit[pairs[:, 0]] * unit[pairs[:, 1]]).sum(1), atol=1e-5)


def test_cells_look_at_a_small_part_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = in_cells(monkeypatch)
    unit, _ = splits._unit_rows(rows)
    looked = sum(len(askers) * len(members) for askers, members, _ in splits._cells(unit, unit))
    assert looked < 0.15 * len(rows) ** 2


@pytest.mark.parametrize("one_cell", [0, 10_000])
def test_mirrored_copies_are_found_and_a_face_is_none_of_itself(one_cell: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "ONE_CELL", one_cell)
    rows = RNG.normal(size=(200, 8, 8)).astype(np.float32)
    rows[150] = rows[20][:, ::-1]
    rows[3] += rows[3][:, ::-1]  # like its own mirror image
    flipped = rows[:, :, ::-1].reshape(200, 64)
    pairs, _ = splits.near_duplicate_pairs(rows.reshape(200, 64), mirrored=flipped)
    assert pairs.tolist() == [[20, 150]]
    with pytest.raises(BadDataError, match=r"\(5, 64\) mirrored"):
        splits.near_duplicate_pairs(rows.reshape(200, 64), mirrored=flipped[:5])
