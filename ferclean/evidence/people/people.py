"""What people said about samples, as arrays that a verdict can use: checked decisions, and shares of votes.

It judges no sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ferclean.errors import BadDataError
from ferclean.evidence.checks import check_same_length
from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.people.votes import check_counts, fit_strength, vote_distribution
from ferclean.missing import is_missing

SAYINGS = ("keep", "relabel", "ambiguous", "exclude")


@dataclass(frozen=True, kw_only=True)
class Decided:
    """`said` (N,) str, one of SAYINGS, empty = undecided. `known` (N,) int: the label people stand for, -1 without one.
    `weight` (N,): how many rows each decided one stands for.
    """

    said: np.ndarray
    known: np.ndarray
    weight: np.ndarray


def check_decisions(
    labels: np.ndarray, decided: np.ndarray, chosen: np.ndarray | None, weight: np.ndarray | None, *, num_classes: int
) -> Decided:
    """Decisions that can be learned from: `decided` (N,) of SAYINGS, or skip, empty or missing for undecided rows;
    `chosen` (N,) the label of a relabel, -1 or missing elsewhere; `weight` (N,), default 1.

    A relabel to the label that was given keeps it. Raises BadDataError, naming the first row, for other words, labels
    outside the classes, and weights of decided rows that are not finite and above 0.

    >>> found = check_decisions(np.array([0, 1]), np.array(["relabel", None]), np.array([1, -1]), None, num_classes=2)
    >>> found.said.tolist(), found.known.tolist()
    (['relabel', ''], [1, -1])
    """
    check_same_length(labels=labels, decided=decided, decided_label=chosen, decided_weight=weight)
    said = np.array(["" if is_missing(one) or one == "skip" else str(one) for one in np.asarray(decided)])
    said = said.astype("<U9") if len(said) else np.empty(0, dtype="<U9")
    _refuse(~np.isin(said, ["", *SAYINGS]), said, f"is no decision; known are {', '.join(SAYINGS)}, skip and nothing")
    names = np.full(len(labels), -1.0) if chosen is None else np.asarray(chosen, dtype=np.float64)
    names = np.where(np.isnan(names) | (said != "relabel"), -1.0, names)
    _refuse((names < -1) | (names >= num_classes) | (names % 1 != 0), names, f"is no class in 0..{num_classes - 1}")
    share = np.ones(len(labels)) if weight is None else np.asarray(weight, dtype=np.float64)
    _refuse((said != "") & ~(np.isfinite(share) & (share > 0)), share, "is no weight: it must be finite and above 0")
    said = np.where((said == "relabel") & (names == labels), "keep", said)
    known = np.where(said == "keep", labels, np.where(said == "relabel", names, -1)).astype(np.int64)
    return Decided(said=said, known=known, weight=share)


@dataclass(frozen=True, kw_only=True)
class Voted:
    """`rows` with votes; of those, `shares` (V, K) with the panel's word as a few votes more, and how many (V,)."""

    rows: np.ndarray
    shares: np.ndarray
    number: np.ndarray


def count_votes(votes: np.ndarray | None, panel: np.ndarray, *, by: Constants = STANDARD) -> Voted | None:
    """Votes (N, K) as shares, the `panel` (N, K) counting for as many as the set itself suggests; None without any."""
    if votes is None or not (counts := check_counts(votes)).any():
        return None
    rows = np.flatnonzero(counts.sum(1) > 0)
    strength = fit_strength(counts[rows], prior=panel[rows], by=by)
    shares, _ = vote_distribution(counts[rows], prior=panel[rows], strength=strength)
    return Voted(rows=rows, shares=shares, number=counts[rows].sum(1) + strength)


def design_weights(chance: np.ndarray, draw: np.ndarray, *, total: int, by: Constants = STANDARD) -> np.ndarray:
    """How many of `total` rows each decided one stands for: (M,), for the mean over everything that nobody chose.

    `chance` (M,) in (0, 1]: with which chance a draw brought in the row, NaN where a person or a score chose it: such a
    row stands for itself alone. `draw` (M,): which draw it was, an audit or the queue. Within a draw a row stands for
    one over its chance (Horvitz and Thompson, 1952): an audit draws more where errors are likely, so that its plain
    mean says too much. Only the beginning of a draw may have been answered, so each draw is brought to the mean one;
    all drawn rows together stand for those that nobody chose.

    A later draw is from what earlier ones left, so it stands for slightly less: with 400 audited rows and a round of
    200 out of 3,000 the estimated error rate is .006 low, with 1,200 and 300 .016. The chance with which *any* draw
    brings in a row would mend that, but is not known: what an earlier draw took had no chance in a later one.

    Where hardly any row was drawn beside many chosen ones, one of them must not speak for the whole set: on average
    they stand for no more than one in `few_drawn` of those that nobody chose (one in as many as were chosen, where
    those are fewer), but always for themselves. Where none was drawn all count alike: the model then knows only what
    was chosen, and what it says of the others is an extrapolation.

    >>> design_weights(np.array([0.1, 0.3, np.nan]), np.array(["a", "a", "a"]), total=9).round(2).tolist()
    [6.0, 2.0, 1.0]
    """
    drawn = ~np.isnan(chance)
    weight = np.ones(len(chance))
    for name in np.unique(draw[drawn]):
        mine = drawn & (draw == name)
        inverse = 1 / chance[mine]
        weight[mine] = inverse / inverse.mean()
    many, chosen = int(drawn.sum()), int((~drawn).sum())
    if many:
        weight[drawn] *= max((total - chosen) / max(many, min(chosen, by.few_drawn)), 1.0)
    return weight


def effective_number(weight: np.ndarray) -> float:
    """How many equal rows rows of these weights are worth (Kish 1965): (sum w)^2 / sum w^2, 0 of none.

    >>> effective_number(np.array([1.0, 1.0])), round(effective_number(np.array([1.0, 99.0])), 2)
    (2.0, 1.02)
    """
    return float(weight.sum() ** 2 / (weight**2).sum()) if len(weight) else 0.0


def _refuse(bad: np.ndarray, values: np.ndarray, what: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise BadDataError(f"{int(bad.sum())} decisions cannot be read, first row {row}: {values[row]!s:.40} {what}")
