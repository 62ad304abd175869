"""What votes say: shares that know how few they are, a consensus, and what a wrong table of votes is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.people.votes import chance_of_most, consensus, fit_strength, vote_distribution

COUNTS = arrays(np.int64, st.tuples(st.integers(1, 12), st.integers(2, 5)), elements=st.integers(0, 12))


def drawn(n: int, votes: int, *, precision: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Votes from Dirichlet-multinomials around priors (N, 4): (counts, priors)."""
    rng = np.random.default_rng(seed)
    prior = rng.dirichlet([1.0] * 4, n)
    shares = np.stack([rng.dirichlet(np.maximum(precision * row, 1e-3)) for row in prior])
    return np.stack([rng.multinomial(votes, row) for row in shares]), prior


def test_three_votes_move_the_prior_less_than_ten_and_none_not_at_all() -> None:
    prior = np.array([[0.6, 0.4]] * 3)
    shares, weight = vote_distribution(np.array([[0, 3], [0, 10], [0, 0]]), prior=prior, strength=2)
    assert shares[:, 1].tolist() == pytest.approx([3.8 / 5, 10.8 / 12, 0.4])
    assert weight.tolist() == pytest.approx([3 / 5, 10 / 12, 0])
    assert shares.sum(1).tolist() == pytest.approx([1, 1, 1])
    assert (shares[2] == prior[2]).all()


def test_nothing_is_written_into_the_arguments() -> None:
    counts, prior = np.array([[1, 2], [0, 0]]), np.full((2, 2), 0.5)
    counts.flags.writeable = prior.flags.writeable = False
    vote_distribution(counts, prior=prior)
    consensus(counts, prior)
    assert counts.tolist() == [[1, 2], [0, 0]]
    assert (prior == 0.5).all()


@pytest.mark.parametrize("precision", [0.5, 4.0, 40.0])
def test_the_strength_of_the_prior_is_recovered_from_many_votes(precision: float) -> None:
    counts, prior = drawn(1500, 10, precision=precision)
    assert fit_strength(counts, prior=prior) == pytest.approx(precision, rel=0.2)


def test_a_fitted_strength_predicts_the_true_shares_better_than_votes_or_prior_alone() -> None:
    rng = np.random.default_rng(1)
    prior = rng.dirichlet([1.0] * 4, 800)
    true = np.stack([rng.dirichlet(5 * row + 1e-3) for row in prior])
    counts = np.stack([rng.multinomial(4, row) for row in true])

    def error(shares: np.ndarray) -> float:
        return float(((shares - true) ** 2).sum(1).mean())

    fitted, _ = vote_distribution(counts, prior=prior)
    assert error(fitted) < 0.8 * min(error(counts / 4), error(prior))


def test_one_vote_each_tells_nothing_about_the_strength() -> None:
    assert fit_strength(np.eye(3, dtype=int), prior=np.full(3, 1 / 3)) == 2


@given(counts=COUNTS, data=st.data())
def test_permuting_rows_and_classes_permutes_shares_and_consensus(counts: np.ndarray, data: Any) -> None:
    rows = np.array(data.draw(st.permutations(range(len(counts)))))
    columns = np.array(data.draw(st.permutations(range(counts.shape[1]))))
    prior = (counts[::-1] + 1.0) / (counts[::-1] + 1.0).sum(1, keepdims=True)
    moved = counts[rows][:, columns]
    shares, weight = vote_distribution(counts, prior=prior)
    again, weight_again = vote_distribution(moved, prior=prior[rows][:, columns])
    assert np.allclose(again, shares[rows][:, columns], atol=1e-4)
    assert np.allclose(weight_again, weight[rows], atol=1e-4)
    table, other = consensus(counts, strength=2), consensus(moved, strength=2)
    for name in ("p_consensus", "num_votes", "agreement", "is_unique"):
        assert np.allclose(table[name].to_numpy(float)[rows], other[name].to_numpy(float), equal_nan=True)
    for name in ("consensus_label", "majority_label"):
        label = table[name].to_numpy()[rows]
        assert np.where(label >= 0, np.argsort(columns)[label], -1).tolist() == other[name].tolist()


def test_ties_have_no_consensus_unless_the_model_breaks_them() -> None:
    counts = np.array([[5, 5, 0], [6, 4, 0], [0, 0, 0]])
    table = consensus(counts, strength=1)
    assert table["consensus_label"].tolist() == [-1, 0, -1]
    assert table["is_unique"].tolist() == [False, True, False]
    assert table["agreement"].tolist()[:2] == [0.5, 0.6]
    assert np.isnan(table["agreement"][2])
    assert table["p_consensus"].isna().tolist() == [True, False, True]
    helped = consensus(counts, np.array([[0.2, 0.8, 0.0]] * 3), strength=1)
    assert helped["consensus_label"].tolist() == [1, 0, -1]
    assert helped["majority_label"].tolist() == [-1, 0, -1]


def test_more_votes_of_the_same_shares_are_surer() -> None:
    p = consensus(np.array([[2, 1], [4, 2], [20, 10]]), strength=2)["p_consensus"].to_numpy()
    assert (np.diff(p) > 0).all()
    assert (p > 0.5).all()


def test_the_chance_of_most_agrees_with_draws_and_sums_to_one() -> None:
    alpha = np.array([[4.3, 3.3, 0.3, 1.3], [0.5, 0.5, 0.5, 0.6], [9.0, 1e-6, 1e-6, 8.0]])
    exact = np.stack([chance_of_most(alpha, np.full(3, k)) for k in range(4)], axis=1)
    rng = np.random.default_rng(0)
    for row, chances in zip(alpha, exact, strict=True):
        most = rng.gamma(row, size=(200_000, 4)).argmax(1)
        assert np.bincount(most, minlength=4) / 200_000 == pytest.approx(chances, abs=5e-3)
    assert exact.sum(1) == pytest.approx([1, 1, 1], abs=5e-3)


def test_a_stated_chance_comes_true_as_often_as_stated() -> None:
    counts, _ = drawn(1, 1, precision=1)
    rng = np.random.default_rng(3)
    shares = rng.dirichlet([0.5] * 4, 4000)
    counts = np.stack([rng.multinomial(5, row) for row in shares])
    table = consensus(counts, strength=2)
    known = table["consensus_label"].to_numpy() >= 0
    right = shares.argmax(1)[known] == table["consensus_label"].to_numpy()[known]
    assert right.mean() == pytest.approx(table["p_consensus"][known].mean(), abs=0.02)


def test_no_rows_and_one_class_are_defined() -> None:
    shares, weight = vote_distribution(np.zeros((0, 3), int), prior=np.full(3, 1 / 3))
    assert (shares.shape, weight.shape, len(consensus(np.zeros((0, 3), int)))) == ((0, 3), (0,), 0)
    table = consensus(np.array([[2], [0]]))
    assert table["consensus_label"].tolist() == [0, -1]
    assert table["p_consensus"][0] == 1


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[1, -1], [0, 0]], "negative in 1 rows, first a"),
        ([[1, 1], [0.5, 0]], "not whole numbers in 1 rows, first b"),
        ([[1, 1], [np.nan, 0]], "not whole numbers in 1 rows, first b"),
        ([[1, 1], [np.inf, 0]], "not whole numbers in 1 rows, first b"),
        ([1, 2], r"shape \(N, K\), got \(2,\)"),
        ([["x", "y"], ["x", "y"]], r"counts per class"),
        (np.zeros((2, 0)), r"shape \(N, K\), got \(2, 0\)"),
    ],
)
def test_tables_that_are_no_counts_are_refused_with_their_rows(counts: Any, message: str) -> None:
    with pytest.raises(BadDataError, match=message):
        vote_distribution(np.array(counts), prior=np.full(2, 0.5), ids=["a", "b"])


def test_priors_and_strengths_that_make_no_sense_are_refused() -> None:
    counts = np.array([[1, 1], [2, 0]])
    with pytest.raises(BadDataError, match="prior has 1 rows for votes on 2 samples"):
        vote_distribution(counts, prior=np.full((1, 2), 0.5))
    with pytest.raises(BadDataError, match="3 columns for 2 classes"):
        vote_distribution(counts, prior=np.full((2, 3), 1 / 3))
    for strength in (0, -1, np.inf, np.nan):
        with pytest.raises(UsageError, match="above 0"):
            vote_distribution(counts, prior=np.full(2, 0.5), strength=strength)
