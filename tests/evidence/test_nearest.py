"""Facts about the search for neighbours: exactly those of a plain loop, ties and copies included, and reusable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferclean.errors import BadDataError
from ferclean.evidence.signals import nearest as nearest_room
from ferclean.evidence.signals.nearest import CROWD, find
from ferclean.evidence.signals.neighbours import neighbourhood, surroundings


@settings(max_examples=40)
@given(st.integers(1, 120), st.integers(1, 4), st.integers(1, 8), st.integers(0, 10_000))
def test_they_are_those_of_a_plain_loop(n: int, wide: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    embedding = rng.integers(-1, 2, (n, wide)).astype(float)  # full of ties, rows of zeros among them
    _check_against_a_plain_loop(embedding, k=k, fold=rng.integers(0, 2, n), groups=rng.integers(0, n, n))


@pytest.mark.parametrize("digits", [1, 3])
def test_they_are_also_where_only_the_best_of_many_columns_are_looked_into(digits: int) -> None:
    rng = np.random.default_rng(0)
    n, k = 700, 2
    embedding = rng.normal(size=(n, 3)).round(digits)  # one digit: full of ties
    embedding[:250:2] = embedding[0]  # a heap
    assert n // 2 // nearest_room._BUNDLE > CROWD * k
    _check_against_a_plain_loop(embedding, k=k, fold=np.arange(n) % 2, groups=rng.integers(0, n, n))


def _check_against_a_plain_loop(embedding: np.ndarray, *, k: int, fold: np.ndarray, groups: np.ndarray) -> None:
    n = len(embedding)
    found = find(embedding, k=k, fold=fold, groups=groups)
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    vectors = embedding / np.where(length > 0, length, 1)
    for row in range(n):
        others = np.flatnonzero((fold == fold[row]) & (groups != groups[row]))
        cosine = np.round(vectors[others] @ vectors[row], 5)
        order = np.argsort(-cosine, kind="stable")
        expected = np.append(others[order][:k], np.full(max(0, k - len(others)), -1))
        assert found.at[row].tolist() == expected.tolist()
        np.testing.assert_allclose(found.cosine[row][: len(others)], cosine[order][:k], atol=2e-5)
        beyond = others[order][k:][cosine[order][k:] == cosine[order][k - 1]] if len(others) > k else others[:0]
        assert found.crowd[row] == (len(beyond) and (cosine >= cosine[order][k - 1]).sum() > CROWD * k)
        tied = found.tied[found.tied[:, 0] == row, 1]
        assert sorted(tied) == ([] if found.crowd[row] else beyond.tolist())


@settings(max_examples=25)
@given(st.integers(1, 120), st.integers(1, 4), st.integers(0, 10_000))
def test_what_was_found_for_more_tells_of_fewer_and_in_another_order(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    embedding, labels = rng.integers(-1, 2, (n, 2)).astype(float), rng.integers(0, 3, n)
    fresh = neighbourhood(labels, embedding, num_classes=3, k=k)
    found = find(embedding, k=k + 3)
    again = neighbourhood(labels, embedding, num_classes=3, k=k, nearest=found)
    np.testing.assert_allclose(again.shares, fresh.shares, atol=1e-12)
    np.testing.assert_allclose(again.weights.toarray(), fresh.weights.toarray(), atol=1e-12)
    order = rng.permutation(n)
    weights, similarity = surroundings(found.in_order(order), k=k)
    np.testing.assert_allclose(weights.toarray(), fresh.weights.toarray()[order][:, order], atol=1e-12)
    np.testing.assert_allclose(similarity, fresh.similarity[order], atol=1e-12)


def test_too_few_and_those_of_other_samples_are_refused() -> None:
    found = find(np.eye(4), k=2)
    with pytest.raises(BadDataError, match="the 2 nearest of each sample are at hand, and 3 are asked for"):
        surroundings(found, k=3)
    with pytest.raises(BadDataError, match="nearest of 4 samples are at hand, and 3 are asked about"):
        neighbourhood(np.zeros(3, dtype=int), np.eye(3), num_classes=1, k=1, nearest=found)


def test_in_cells_next_to_all_are_found_and_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding = _heaps(3000)
    exact = find(embedding, k=10)
    monkeypatch.setattr(nearest_room, "EXACT", 1000)
    found, again = find(embedding, k=10), find(embedding, k=10)
    met = [np.isin(exact.at[row], found.at[row]).mean() for row in range(3000)]
    assert 0.98 < np.mean(met) < 1  # 1: all were looked at
    assert [found.at.tobytes(), found.cosine.tobytes()] == [again.at.tobytes(), again.cosine.tobytes()]


def test_in_cells_ties_crowds_and_copies_are_those_of_the_exact_search(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding, fold = np.repeat(_heaps(600), 4, axis=0), np.arange(2400) // 4 % 2  # full of ties
    embedding[100:300] = embedding[100]
    groups = np.random.default_rng(0).integers(0, 1800, 2400)
    exact = find(embedding, k=4, fold=fold, groups=groups)
    assert exact.crowd.sum() > 90
    assert len(exact.tied) > 50
    for name, value in {"EXACT": 1000, "_DRAWN": 1200, "_MET": 1.0}.items():
        monkeypatch.setattr(nearest_room, name, value)
    found = find(embedding, k=4, fold=fold, groups=groups)
    for name in ("at", "cosine", "crowd"):
        np.testing.assert_array_equal(getattr(found, name), getattr(exact, name))
    assert sorted(found.tied.tolist()) == sorted(exact.tied.tolist())
    assert found.tied.tolist() != exact.tied.tolist()  # they asked cell by cell


def test_who_finds_only_copies_in_the_cells_around_it_asks_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding, groups = _heaps(2400), np.arange(2400)
    embedding[:150] = embedding[0]
    groups[:150] = 0
    exact = find(embedding, k=4, groups=groups)
    for name, value in {"EXACT": 1000, "_MET": 0.5}.items():
        monkeypatch.setattr(nearest_room, name, value)
    found = find(embedding, k=4, groups=groups)
    np.testing.assert_array_equal(found.at[:150], exact.at[:150])
    assert (found.at >= 0).all()
    assert (found.at != exact.at).any()  # the others looked into cells


def _heaps(n: int) -> np.ndarray:
    """(n, 12) rows around forty points."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 12))[rng.integers(0, 40, n)] + 0.3 * rng.normal(size=(n, 12))
