"""What the votes on a sample say: shares that know how few they are, a consensus, and the chance that it is right.

It knows nothing of who voted (see annotators.py), and never lets a vote speak about another sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.checks import check_pred_probs
from ferclean.evidence.constants import STANDARD, Constants

_BOUNDS = (0.05, 200.0)
_SMALLEST = 1e-6  # least share of a class in a prior: votes for a class that a model rules out still count
_NODES = 48
_CHUNK = 4096
_TIE = 1e-9


def check_counts(counts: np.ndarray, *, ids: Sequence[object] | None = None) -> np.ndarray:
    """`counts` (N, K) as int64: how many people chose each class; the input is not changed.

    Raises BadDataError, naming the rows (by `ids`, else by position), for another shape, no class at all, and for
    counts that are missing, negative or not whole.

    >>> check_counts(np.array([[2.0, 1.0]])).tolist()
    [[2, 1]]
    """
    array = np.asarray(counts)
    if array.ndim != 2 or array.dtype.kind not in "iufb" or array.shape[1] == 0:
        raise BadDataError(f"votes must be counts per class, shape (N, K), got {array.shape} of {array.dtype}")
    wrong = np.zeros(array.shape, bool) if array.dtype.kind in "iub" else ~np.isfinite(array)
    wrong |= np.where(wrong, 0, array) % 1 != 0
    for mask, what in ((wrong, "not whole numbers"), (array < 0, "negative")):
        rows = np.flatnonzero(mask.any(1))
        if len(rows):
            shown = ", ".join(str(ids[row] if ids is not None else row) for row in rows[:5])
            raise BadDataError(f"votes are {what} in {len(rows):,} rows, first {shown}")
    return array.astype(np.int64)


def vote_distribution(
    counts: np.ndarray, *, prior: np.ndarray, strength: float | None = None, ids: Sequence[object] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(`shares` (N, K), `weight` (N,)): the class distribution of each sample given its votes and a prior.

    `counts` (N, K) as in `check_counts`; `prior` (N, K) or (K,), rows that sum to 1: what is believed without votes,
    for example the model's out-of-fold pred_probs. `strength` is how many votes that belief is worth; None estimates
    it from these votes (`fit_strength`). Shares are the mean of the Dirichlet posterior, (votes + strength * prior) /
    (number of votes + strength), rows sum to 1: three votes move the prior less than ten. A row without votes
    returns its prior. `weight` in [0, 1) is the part of the result that comes from votes, 0 without any.

    >>> shares, weight = vote_distribution(np.array([[3, 0], [0, 0]]), prior=np.array([0.5, 0.5]), strength=1)
    >>> shares.tolist(), weight.tolist()
    ([[0.875, 0.125], [0.5, 0.5]], [0.75, 0.0])
    """
    counts = check_counts(counts, ids=ids)
    prior = _prior(prior, counts.shape, ids)
    strength = fit_strength(counts, prior=prior) if strength is None else _positive(strength)
    total = counts.sum(1)
    shares = (counts + strength * prior) / (total + strength)[:, None]
    shares[total == 0] = prior[total == 0]
    return shares, total / (total + strength)


def majority_chances(shares: np.ndarray, number: np.ndarray) -> np.ndarray:
    """P(at least half of a very large panel would say class k): (N, K), rows sum to at most 1; the rest is ambiguous.

    Of a Dirichlet with mean `shares` (N, K) and precision `number` (N,) (votes plus the prior's worth): each class's
    share is a beta variable, and two classes cannot both have more than half.

    >>> majority_chances(np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([10.0, 10.0])).round(2).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    from scipy.special import betaincc

    alpha = np.maximum(shares, _SMALLEST) * number[:, None]
    rest = np.maximum(number[:, None] - alpha, _SMALLEST)
    return np.asarray(betaincc(alpha, rest, 0.5))


def fit_strength(counts: np.ndarray, *, prior: np.ndarray, by: Constants = STANDARD) -> float:
    """How many votes `prior` is worth on this set: high where votes go as it says, low where they leave it.

    The most likely precision of a Dirichlet-multinomial around the prior, in [0.05, 200], with a log-normal belief
    around 2 (one unit of the natural logarithm), so that a set of a few votes gets about 2 and one without votes 2.
    Only rows with two votes or more tell anything. Source: Minka, Estimating a Dirichlet distribution, 2000; the
    belief is ours.

    >>> together, apart = np.array([[5, 0], [0, 5]] * 50), np.array([[3, 2], [2, 3]] * 50)
    >>> fit_strength(together, prior=np.array([0.5, 0.5])) < 1 < fit_strength(apart, prior=np.array([0.5, 0.5]))
    True
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import gammaln

    counts = check_counts(counts)
    prior = np.maximum(_prior(prior, counts.shape, None), _SMALLEST)
    telling = counts.sum(1) >= 2
    if not telling.any() or counts.shape[1] == 1:
        return by.panel_votes
    votes, belief = counts[telling], prior[telling]
    total = votes.sum(1)

    def cost(log_strength: float) -> float:
        strength = np.exp(log_strength)
        alpha = strength * belief
        fit = (gammaln(alpha + votes) - gammaln(alpha)).sum() + (gammaln(strength) - gammaln(strength + total)).sum()
        return float(((log_strength - np.log(by.panel_votes)) / by.panel_votes_spread) ** 2 / 2 - fit)

    found = minimize_scalar(cost, bounds=np.log(_BOUNDS), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def consensus(
    counts: np.ndarray, pred_probs: np.ndarray | None = None, *, strength: float | None = None
) -> pd.DataFrame:
    """One row per sample in the same order: what its votes say together, and how sure that is.

    `counts` (N, K) as in `check_counts`. With `pred_probs` (N, K), out-of-fold, the model speaks too, worth `strength`
    votes (None: estimated); without, every class is equally likely beforehand.

    Columns: consensus_label (int64: the likeliest class, -1 without votes or when tied), p_consensus (in [0, 1], high
    = sure: the chance that a panel of very many would choose it most, from the Dirichlet posterior; NaN for -1),
    num_votes, agreement (share of the votes on the class with most, NaN without votes), is_unique (one class alone
    has most votes), majority_label (that class, else -1; the model has no say in it).

    >>> consensus(np.array([[9, 1], [2, 2], [0, 0]]), strength=2)["consensus_label"].tolist()
    [0, -1, -1]
    """
    counts = check_counts(counts)
    classes = counts.shape[1]
    prior = np.full(classes, 1 / classes) if pred_probs is None else pred_probs
    belief = np.maximum(_prior(prior, counts.shape, None), _SMALLEST)
    strength = fit_strength(counts, prior=belief) if strength is None else _positive(strength)
    alpha = counts + strength * belief
    total = counts.sum(1)
    label, sure = best_class(alpha)
    label[~sure | (total == 0)] = -1
    p_consensus = np.full(len(counts), np.nan)
    known = label >= 0
    p_consensus[known] = chance_of_most(alpha[known], label[known])
    return consensus_table(counts, label, p_consensus)


def consensus_table(counts: np.ndarray, label: np.ndarray, p_consensus: np.ndarray) -> pd.DataFrame:
    """The columns of `consensus` for consensus labels (N,) and their probabilities (N,) found in whatever way."""
    total, top = counts.sum(1), counts.max(1)
    majority, is_unique = best_class(counts)
    is_unique &= total > 0
    agreement = np.full(len(counts), np.nan)
    np.divide(top, total, out=agreement, where=total > 0)
    return pd.DataFrame(
        {
            "consensus_label": label.astype(np.int64),
            "p_consensus": p_consensus,
            "num_votes": total,
            "agreement": agreement,
            "is_unique": is_unique,
            "majority_label": np.where(is_unique, majority, -1),
        }
    )


def best_class(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(class with the largest value (N,) int64, whether it stands alone (N,) bool) of values (N, K).

    >>> [part.tolist() for part in best_class(np.array([[1, 3], [2, 2]]))]
    [[1, 0], [True, False]]
    """
    top = values.max(1, keepdims=True)
    return values.argmax(1), (values >= top - _TIE * np.abs(top)).sum(1) == 1


def chance_of_most(alpha: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Chance that class `label` (N,) has the largest share under Dirichlet(`alpha` (N, K)): (N,) in [0, 1].

    A Dirichlet is K independent gamma variables scaled to sum 1, so this is the mean over the quantiles u of
    `label`'s gamma of the product of the others' distribution functions there: one integral over u, by quadrature.

    >>> chance_of_most(np.array([[2.0, 2.0]]), np.array([0])).round(6).tolist()
    [0.5]
    """
    from scipy.special import gammainc, gammaincinv

    nodes, node_weight = np.polynomial.legendre.leggauss(_NODES)
    # many faces share their votes: each pattern once
    patterns, back = np.unique(np.column_stack([label, alpha]), axis=0, return_inverse=True)
    chance = np.empty(len(patterns))
    for start in range(0, len(patterns), _CHUNK):
        part = patterns[start : start + _CHUNK]
        own, shape = part[:, 0].astype(np.int64), part[:, 1:]
        at = gammaincinv(np.take_along_axis(shape, own[:, None], axis=1), (nodes + 1) / 2)  # (n, nodes)
        product = np.ones_like(at)
        for column in range(shape.shape[1]):
            below = gammainc(shape[:, column, None], at)
            product *= np.where((own == column)[:, None], 1.0, below)
        chance[start : start + _CHUNK] = product @ (node_weight / 2)
    return np.clip(chance[back.reshape(-1)], 0.0, 1.0)


def _prior(prior: np.ndarray, shape: tuple[int, ...], ids: Sequence[object] | None) -> np.ndarray:
    array = np.asarray(prior)
    if array.ndim == 1:
        return np.broadcast_to(check_pred_probs(array[None], num_classes=shape[1]), shape)
    checked = check_pred_probs(array, num_classes=shape[1], ids=ids)
    if len(checked) != shape[0]:
        raise BadDataError(f"the prior has {len(checked):,} rows for votes on {shape[0]:,} samples")
    return checked


def _positive(strength: float) -> float:
    if not 0 < strength < float("inf"):
        raise UsageError(f"strength is a number of votes above 0, got {strength}")
    return float(strength)
