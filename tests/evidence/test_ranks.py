"""Ranks: averaged over ties, blind to missing values, within classes where asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.signals.ranks import fuse_by_rank


def test_fused_ranks_are_means_of_unit_ranks_with_ties_averaged() -> None:
    fused = fuse_by_rank({"a": np.array([1, 2, 2, 9]), "b": np.array([4, 3, 2, 1])}, weights={"a": 3.0, "b": 1.0})
    np.testing.assert_allclose(fused, [0.25, (3 * 0.5 + 2 / 3) / 4, (3 * 0.5 + 1 / 3) / 4, 0.75])


def test_a_missing_value_has_no_say() -> None:
    fused = fuse_by_rank({"a": np.array([0.0, 1.0, np.nan, np.nan]), "b": np.array([0.0, 1.0, 2.0, np.nan])})
    np.testing.assert_allclose(fused, [0.0, 0.75, 1.0, 0.5])


def test_ranks_within_classes_give_every_class_its_own_worst() -> None:
    quality = fuse_by_rank({"a": np.array([1, 2, 3, 10, 20, 30])}, np.array([0, 0, 0, 1, 1, 1]))
    assert quality.tolist() == [0, 0.5, 1, 0, 0.5, 1]


def test_fusing_nothing_is_refused_with_what_was_given() -> None:
    with pytest.raises(UsageError, match="weights name b, given are a"):
        fuse_by_rank({"a": np.zeros(2)}, weights={"b": 1.0})
    with pytest.raises(BadDataError, match="lengths differ"):
        fuse_by_rank({"a": np.zeros(2), "b": np.zeros(3)})


@settings(max_examples=60)
@given(
    values=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30), seed=st.integers(0, 3)
)
def test_fusion_does_not_depend_on_the_order_nor_on_monotone_scales(values: list[tuple[int, int]], seed: int) -> None:
    a, b = np.array(values, dtype=float).T
    fused = fuse_by_rank({"a": a, "b": b})
    assert ((fused >= 0) & (fused <= 1)).all()
    np.testing.assert_allclose(fuse_by_rank({"a": np.exp(a), "b": b * 7 - 3}), fused)
    order = np.random.default_rng(seed).permutation(len(a))
    np.testing.assert_allclose(fuse_by_rank({"a": a[order], "b": b[order]}), fused[order])
