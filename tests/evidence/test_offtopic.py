"""Images far from all others: found whatever the scale, and never where nothing stands out."""

from __future__ import annotations

import numpy as np
import pytest

from ferclean.errors import BadDataError
from ferclean.evidence.signals.offtopic import detector_knows, how_far, probability_faceless


def similarities(far: float, n: int = 200, members: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Ordinary similarities in four folds, and one image (row 5) of similarity `far`."""
    rng = np.random.default_rng(0)
    similarity = 1 - np.exp(rng.normal(-2, 0.3, (members, n)))
    similarity[:, 5] = far
    return similarity, np.tile(np.arange(n) % 4, (members, 1))


def probability_offtopic(similarity: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """By distance alone: the detector looked at none of them."""
    far = how_far(similarity, fold)
    return probability_faceless(far, np.full(len(far), np.nan))


def test_the_farther_an_image_the_likelier_it_is_no_face() -> None:
    chances = [probability_offtopic(*similarities(far))[5] for far in (0.87, 0.6, 0.0)]
    assert chances[0] < 0.01 < chances[1] < chances[2]
    assert chances[2] > 0.99
    others = np.delete(probability_offtopic(*similarities(0.0)), 5)
    assert others.max() < 0.9
    assert (others > 0.5).sum() <= 3


def test_each_fold_has_its_own_scale() -> None:
    similarity, fold = similarities(0.0)
    whole = probability_offtopic(similarity, fold)
    shrunk = np.where(fold == 2, 1 - (1 - similarity) / 50, similarity)
    np.testing.assert_allclose(probability_offtopic(shrunk, fold), whole, atol=1e-9)


def test_rows_without_neighbours_and_sets_without_spread_have_no_say() -> None:
    similarity, fold = similarities(0.0)
    similarity[:, 9] = np.nan
    similarity[0, 5] = np.nan  # one member still sees it
    found = probability_offtopic(similarity, fold)
    assert np.isfinite(found).all()
    assert found[9] < 0.001
    assert found[5] > 0.99
    assert probability_offtopic(np.full((1, 30), 0.5), np.zeros((1, 30))).max() < 0.001
    assert probability_offtopic(np.empty((1, 0)), np.empty((1, 0))).shape == (0,)


def test_a_fold_is_needed_for_every_similarity() -> None:
    with pytest.raises(BadDataError, match="lengths differ"):
        probability_offtopic(np.zeros((1, 3)), np.zeros((1, 2)))


def test_a_detector_that_sees_no_face_counts_most_where_it_sees_most() -> None:
    far = np.append(np.zeros(30), [0.0, 5.0, 5.0, 5.0])
    seen = np.append(np.full(30, 6.0), [-9.0, -9.0, 6.0, np.nan])
    found = probability_faceless(far, seen)
    assert found[:30].max() < 0.001
    assert 0.5 < found[30] < found[31]
    assert found[32] < 0.05 < 0.5 <= found[33]  # what the detector sees may lie far from the others
    assert detector_knows(seen)


def test_a_detector_that_misses_many_has_no_say() -> None:
    drawings = np.append(np.full(30, 6.0), np.full(10, -9.0))
    assert not detector_knows(drawings)
    assert probability_faceless(np.zeros(40), drawings).max() < 0.001
    assert detector_knows(np.empty(0))
    assert probability_faceless(np.empty(0), np.empty(0)).shape == (0,)
