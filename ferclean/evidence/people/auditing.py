"""A random sample for people, and what it says about the errors that are left: count, rate and interval.

It knows no workspace and believes no score: p_mislabelled only shapes the draw, the answer comes from what people saw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ferclean.errors import UsageError
from ferclean.evidence.constants import STANDARD, Constants

_DRAWS = 20_000


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Which rows to ask people about."""

    stratum: np.ndarray
    """(N,) int: stratum of every row, from 0 = least likely mislabelled."""
    inclusion_probability: np.ndarray
    """(N,) in (0, 1]: the chance with which each row was to be drawn, drawn or not."""
    rows: np.ndarray
    """(n,) int: the drawn rows in the order in which to ask; any beginning of it is a smaller audit."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Errors with their interval, as counts of rows."""

    count: float
    low: float
    high: float
    rows: int
    """How many rows the errors are among."""

    def rate(self, among: int | None = None) -> tuple[float, float, float]:
        """(estimate, low, high) as shares in [0, 1] of `among` rows (default: the rows that they are in); 0 of none."""
        whole = self.rows if among is None else among
        return (self.count / whole, self.low / whole, self.high / whole) if whole else (0.0, 0.0, 0.0)


def draw_audit(p_mislabelled: np.ndarray, *, n: int, seed: int = 0, by: Constants = STANDARD) -> Audit:
    """Draw `n` rows, more of them where errors are likely, and never none where they are not.

    Rows are sorted by p_mislabelled and cut where the sum of sqrt(q (1 - q)), with q = p held between 0.02 and 0.5, is
    shared equally; each stratum then gives equally many rows, which is Neyman's allocation for that q. Holding p back
    keeps the weights of two rows within a factor of about 3.6: a useless or boastful score costs width, not truth.
    Ties are cut at random. Within a stratum the draw is a simple random sample; the order goes through the strata
    block by block, shuffled in each block, so that any beginning is balanced and tells nobody which is suspicious.

    `p_mislabelled` (N,) in [0, 1], NaN counts as 0.5; fewer strata where n has not `audit_least` rows for each. n is
    cut to N. Raises UsageError for n below 1. Source: Cochran, Sampling Techniques (1977), 5.5 and 5A.7 (Dalenius and
    Hodges cut by the root of the frequency; here the expected spread of each row stands in for it).

    >>> p = np.r_[np.full(900, 0.01), np.full(100, 0.6)]
    >>> audit = draw_audit(p, n=50)
    >>> len(audit.rows), np.bincount(audit.stratum[audit.rows]).tolist()
    (50, [10, 10, 10, 10, 10])
    >>> bool(audit.inclusion_probability[p > 0.5].min() > audit.inclusion_probability[p < 0.5].min())
    True
    """
    if n < 1:
        raise UsageError(f"an audit asks about 1 sample or more, got {n}")
    p = np.asarray(p_mislabelled, dtype=np.float64)
    rng = np.random.default_rng(seed)
    total = len(p)
    n = min(n, total)
    p = np.where(np.isnan(p), 0.5, p)
    q = np.clip(p, *by.audit_cautious)
    order = np.lexsort((rng.random(total), p))
    spread = np.cumsum(np.sqrt(q * (1 - q))[order])
    pieces = max(1, min(by.audit_strata, n // by.audit_least))
    stratum = np.zeros(total, dtype=np.int64)
    if total:
        # the middle of each row's own share decides, so that the last row does not open a stratum of its own
        middle = spread - np.diff(spread, prepend=0.0) / 2
        stratum[order] = np.minimum((middle / spread[-1] * pieces).astype(np.int64), pieces - 1)
    sizes = np.bincount(stratum, minlength=pieces)
    wanted = _shares(sizes, n)
    lots = [rng.permutation(np.flatnonzero(stratum == h))[: wanted[h]] for h in range(pieces)]
    # the k-th of m rows of a stratum stands at (k + chance) / m of the way
    places = [(np.arange(len(lot)) + rng.random(len(lot))) / max(len(lot), 1) for lot in lots]
    rows = np.concatenate(lots)[np.argsort(np.concatenate(places), kind="stable")]
    chance = (wanted / np.maximum(sizes, 1))[stratum]
    return Audit(stratum=stratum, inclusion_probability=chance, rows=rows)


def _shares(sizes: np.ndarray, n: int) -> np.ndarray:
    """n rows over strata, equally as far as their sizes go; the remainder to the most suspicious."""
    wanted = np.zeros_like(sizes)
    while (left := n - int(wanted.sum())) > 0:
        open_ = np.flatnonzero(wanted < sizes)
        each, more = divmod(left, len(open_))
        add = np.full(len(open_), each)
        if more:
            add[-more:] += 1
        wanted[open_] += np.minimum(add, sizes[open_] - wanted[open_])
    return wanted


def residual_errors(
    stratum: np.ndarray,
    wrong: np.ndarray,
    stratum_sizes: np.ndarray,
    *,
    decided: np.ndarray | None = None,
    found: np.ndarray | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Errors that are still in the data after the audited rows, and others decided since, were put right.

    `stratum` (m,) int and `wrong` (m,) bool: the answered rows, each stratum's being a random sample of it.
    `stratum_sizes` (H,): rows in each stratum when it was drawn. `decided` (H,): rows outside the answered ones that
    people have decided about since; `found` (H,): how many of those were wrong. They leave the count, but say nothing
    about the rest: nobody drew them.

    The estimate weights each stratum by its size. The interval is Fay and Feuer's (1997) idea in its mid-p form (Fay
    and Kim, 2017), carried from Poisson to binomial counts: each stratum's error rate is drawn from the confidence
    distribution of Clopper and Pearson, Beta(x, n - x + 1), half of the time with one more error where an error weighs
    most; the errors among the unseen rows are then drawn as a binomial, so that a finished stratum has no spread left.
    It holds where no error was seen, where a normal interval would be empty. Strata without an answer join the next
    more suspicious one that has some. Without any answer, nothing is known: low 0, high every row, the estimate NaN.

    >>> none = residual_errors(np.zeros(100, int), np.zeros(100, bool), np.array([1000]))
    >>> none.count, none.low, 20 < none.high < 40, none.rows
    (0.0, 0.0, True, 900)
    """
    sizes = np.asarray(stratum_sizes, dtype=np.int64)
    empty = np.zeros(len(sizes), dtype=np.int64)
    decided, found = (empty if v is None else np.asarray(v, dtype=np.int64) for v in (decided, found))
    answers = np.bincount(stratum, minlength=len(sizes))
    errors = np.bincount(stratum, weights=np.asarray(wrong, dtype=float), minlength=len(sizes)).astype(np.int64)
    rest = int((sizes - answers - decided).sum())
    if not answers.any():
        return Estimate(count=float("nan"), low=0.0, high=float(rest), rows=rest)
    home = _homes(answers)
    sizes, answers, errors, decided, found = (
        np.bincount(home, weights=v)[np.unique(home)].astype(np.int64) for v in (sizes, answers, errors, decided, found)
    )
    unseen = sizes - answers
    room = unseen - decided
    count = np.clip(unseen * errors / answers - found, 0, room).sum()

    rng = np.random.default_rng(seed)
    heaviest = np.arange(len(sizes)) == np.argmax(unseen / answers)
    left = np.zeros(_DRAWS)
    more = rng.random(_DRAWS) < 0.5
    for h in range(len(sizes)):
        x = errors[h] + (more & heaviest[h])
        # Beta with a zero parameter stands at its end: no error seen and none added, or every row wrong
        theta = np.where(x == 0, 0.0, rng.beta(np.maximum(x, 1e-9), np.maximum(answers[h] - x + 1, 1e-9)))
        theta = np.where(x > answers[h], 1.0, theta)
        left += np.clip(rng.binomial(unseen[h], theta) - found[h], 0, room[h])
    low, high = np.quantile(left, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(count=float(count), low=float(low), high=float(high), rows=rest)


def _homes(answers: np.ndarray) -> np.ndarray:
    """(H,) for each stratum, the one that speaks for it: itself, else the next answered one above, else below."""
    spoken = np.flatnonzero(answers)
    above = np.searchsorted(spoken, np.arange(len(answers)))
    return spoken[np.minimum(above, len(spoken) - 1)]


def worth_going_on(remaining: Estimate, *, next_errors: float, next_rows: int, whole: int, target: float = 0.01) -> str:
    """'stop_clean', 'stop_slow' or 'go_on': whether to look at the next rows of the queue.

    Stop as clean when even the interval's upper end leaves less than `target` of the `whole` set wrong. Stop as slow
    when the next rows are expected to hold less than one error in twenty: then each costs twenty looks. Otherwise go
    on. `next_errors` are the errors expected among the queue's `next_rows` rows.

    >>> left = Estimate(count=20, low=12, high=40, rows=5000)
    >>> worth_going_on(left, next_errors=35, next_rows=100, whole=5000), worth_going_on(
    ...     left, next_errors=2, next_rows=100, whole=3900
    ... )
    ('stop_clean', 'stop_slow')
    """
    if remaining.high <= target * whole:
        return "stop_clean"
    return "stop_slow" if not next_rows or next_errors < next_rows / 20 else "go_on"
