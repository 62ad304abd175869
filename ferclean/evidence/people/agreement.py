"""How far do people agree about the labels? Krippendorff's alpha, Fleiss' kappa, and one small summary of a set.

Also the door to everything about several annotators: what votes say (votes.py), who is reliable (annotators.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ferclean.errors import BadDataError
from ferclean.evidence.checks import check_same_length
from ferclean.evidence.people.annotators import (
    AnnotatorConsensus,
    DawidSkene,
    annotator_stats,
    class_counts,
    consensus_from_annotators,
    dawid_skene,
    majority_vote,
)
from ferclean.evidence.people.pairs import alpha
from ferclean.evidence.people.votes import check_counts, consensus, fit_strength, vote_distribution

__all__ = [
    "AnnotatorConsensus",
    "DawidSkene",
    "annotator_stats",
    "class_counts",
    "clear_majority",
    "consensus",
    "consensus_from_annotators",
    "dawid_skene",
    "fit_strength",
    "fleiss_kappa",
    "krippendorff_alpha",
    "majority_vote",
    "summary",
    "vote_distribution",
]

CLEAR_SHARE = 0.5
"""A majority is clear when more than this share of all votes, those for no class included, is for one class."""


def krippendorff_alpha(counts: np.ndarray) -> float:
    """Agreement beyond chance of any number of annotators per sample, nominal scale: 1 = full, 0 = chance, < 0 = less.

    `counts` (N, K): how many chose each class (`class_counts` makes them from an (N, A) matrix with missing labels).
    Samples with fewer than two votes tell nothing and are left out. NaN where no sample has two votes or all votes
    are for one class. Source: Krippendorff, Computing Krippendorff's alpha-reliability, 2011.

    >>> krippendorff_alpha(np.array([[2, 0], [2, 0], [0, 2], [0, 2]]))
    1.0
    """
    counts = check_counts(counts)
    return float(alpha(counts, np.ones(len(counts))))


def fleiss_kappa(counts: np.ndarray) -> float:
    """Agreement beyond chance where every sample has the same number of votes: 1 = full, 0 = chance, < 0 = less.

    `counts` (N, K); rows without votes are left out. NaN where nothing is left or all votes are for one class. Raises
    BadDataError, naming the rows, where the number of votes differs (use `krippendorff_alpha`) or is 1. Source:
    Fleiss, Psychological Bulletin, 1971.

    >>> fleiss_kappa(np.array([[2, 0], [0, 2]]))
    1.0
    """
    counts = check_counts(counts)
    total = counts.sum(1)
    voted = counts[total > 0].astype(np.float64)
    if not len(voted):
        return float("nan")
    each = int(np.bincount(total[total > 0]).argmax())
    odd = np.flatnonzero((total > 0) & (total != each))
    if len(odd):
        raise BadDataError(
            f"Fleiss' kappa needs equally many votes on each sample: most have {each}, but {len(odd):,} do not, first "
            f"rows {', '.join(map(str, odd[:5]))}; krippendorff_alpha allows it"
        )
    if each < 2:
        raise BadDataError("Fleiss' kappa needs two votes or more on each sample, here is one")
    observed = (((voted**2).sum(1) - each) / (each * (each - 1))).mean()
    by_chance = ((voted.sum(0) / voted.sum()) ** 2).sum()
    return float((observed - by_chance) / (1 - by_chance)) if by_chance < 1 else float("nan")


def clear_majority(counts: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """The class for which more than half of all votes are: (N,) int64, -1 where there is none.

    `counts` (N, K); `other` (N,) votes for no class of the set (unknown, not a face): they count against a majority.

    >>> clear_majority(np.array([[3, 2], [3, 2]]), np.array([0, 1])).tolist()
    [0, -1]
    """
    counts = check_counts(counts)
    check_same_length(counts=counts, other=other)
    total = counts.sum(1) + (0 if other is None else np.asarray(other))
    return np.where(counts.max(1) > CLEAR_SHARE * total, counts.argmax(1), -1)


def summary(
    counts: np.ndarray,
    labels: np.ndarray,
    *,
    other: np.ndarray | None = None,
    labels_multiannotator: np.ndarray | None = None,
    annotators: Sequence[str] = (),
) -> dict[str, Any] | None:
    """A set's votes in a few numbers, ready for JSON; None where nobody voted.

    `counts` (N, K), `labels` (N,) given classes with -1 for unknown, `other` (N,) votes for no class of the set.
    voted (samples), mean_votes (per voted sample, all votes), krippendorff_alpha (votes for classes; None where not
    defined), share_without_majority (of voted samples, see `clear_majority`), share_contradicting (of the samples with
    a label and a clear majority, those given another label; None when there are none). With an (N, A) matrix of named
    annotators also `annotators`: their name, num_examples_labeled, agreement_with_others, annotator_quality.

    >>> found = summary(np.array([[3, 0], [1, 1], [0, 2]]), np.array([0, 0, 0]))
    >>> found["voted"], round(found["share_without_majority"], 2), found["share_contradicting"]
    (3, 0.33, 0.5)
    """
    counts = check_counts(counts)
    labels = np.asarray(labels)
    check_same_length(counts=counts, labels=labels, other=other, labels_multiannotator=labels_multiannotator)
    total = counts.sum(1) + (0 if other is None else np.asarray(other))
    voted = total > 0
    if not voted.any():
        return None
    clear = clear_majority(counts, other)
    judged = (clear >= 0) & (labels >= 0)
    found: dict[str, Any] = {
        "voted": int(voted.sum()),
        "mean_votes": float(total[voted].mean()),
        "krippendorff_alpha": _number(krippendorff_alpha(counts)),
        "share_without_majority": float((clear[voted] < 0).mean()),
        "share_contradicting": float((clear != labels)[judged].mean()) if judged.any() else None,
    }
    if labels_multiannotator is not None and len(annotators):
        stats = annotator_stats(labels_multiannotator, num_classes=counts.shape[1], annotators=annotators)
        found["annotators"] = [
            {"annotator": str(name), **{column: _number(value) for column, value in row.items()}}
            for name, row in zip(stats.index, stats.to_dict("records"), strict=True)
        ]
    return found


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
