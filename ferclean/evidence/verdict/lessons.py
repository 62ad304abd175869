"""What people's decisions were worth so far, in the figures that a person asks for: labels right, errors left, looks.

It judges no sample; it only adds up what a verdict and the decisions say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.people.people import Decided
from ferclean.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Lesson(Summary):
    """How right the labels are expected to be, over the faces that have a true label, and what is left to do.

    `accuracy_given`: of the labels as they were given; `accuracy_now`: of the labels as they would be released now,
    every decision applied and the suggestion taken where it is likely enough; both in [0, 1], by all that is known
    now, None where no face has a true label.
    `errors_left`: undecided faces of which people would clearly agree on another label. `looks_to_next_point`: faces of
    the queue until decisions alone bring the next point of accuracy; None where the queue does not hold one.
    """

    accuracy_given: float | None
    accuracy_now: float | None
    errors_left: float
    looks_to_next_point: int | None


def takes_suggestion(p_suggested: Any, p_given: Any, *, change_at: float = STANDARD.change_at) -> Any:
    """Whether an automatic release gives a face its suggested label: bool, or (N,) bool of arrays.

    `p_suggested`, `p_given`: P(the suggested label is the true one) and P(the given one is).

    >>> takes_suggestion(0.5, 0.4), takes_suggestion(0.4, 0.1), takes_suggestion(0.5, 0.5)
    (True, False, False)
    """
    return (p_suggested >= change_at) & (p_suggested > p_given)


def lesson(
    labels: np.ndarray,
    p_given: np.ndarray,
    p_suggested: np.ndarray,
    p_none: np.ndarray,
    p_mislabelled: np.ndarray,
    people: Decided,
    queue: np.ndarray,
    *,
    by: Constants = STANDARD,
) -> Lesson:
    """Add up how likely the given `labels` (N,) of faces are the true ones, and those of an automatic release.

    `p_given` and `p_suggested` (N,): P(the given label is the true one), and P(the suggested one is), of a face that
    has one; `p_none` (N,): P(the face has no true label), ambiguous or unusable; `p_mislabelled` (N,); `people`: a
    decided label counts as the true one, and a face that people call ambiguous or exclude as having none. `queue` (M,)
    int: rows in the order in which people will look.

    >>> from ferclean.evidence.people.people import check_decisions
    >>> labels, none = np.array([0, 0]), np.zeros(2)
    >>> nobody = check_decisions(labels, np.array(["", ""]), None, None, num_classes=2)
    >>> given, best = np.array([0.9, 0.2]), np.array([0.9, 0.8])
    >>> found = lesson(labels, given, best, none, np.array([0.1, 0.8]), nobody, np.arange(2))
    >>> round(found.accuracy_given, 2), round(found.accuracy_now, 2), found.looks_to_next_point
    (0.55, 0.85, 1)
    """
    given = p_given.astype(np.float64)
    now = np.where(takes_suggestion(p_suggested, given, change_at=by.change_at), p_suggested, given)
    has_one = (1 - p_none).clip(0.0, 1.0)
    decided, known = people.said != "", people.known >= 0
    given = np.where(known, people.known == labels, given)
    now = np.where(known, 1.0, now)
    has_one = np.where(decided, known.astype(np.float64), has_one)
    total = has_one.sum()
    gain = np.cumsum((has_one * (1 - now))[queue]) / total if total else np.zeros(len(queue))
    reached = np.flatnonzero(gain >= by.point)
    return Lesson(
        accuracy_given=float(has_one @ given / total) if total else None,
        accuracy_now=float(has_one @ now / total) if total else None,
        errors_left=float(p_mislabelled[~decided].sum()),
        looks_to_next_point=int(reached[0]) + 1 if len(reached) else None,
    )


def pace(seconds: Sequence[float], *, by: Constants = STANDARD) -> float:
    """Seconds that a decision takes: the median of a person's own (breaks do not count), `seconds_a_look` before ten.

    >>> pace([2.0] * 9 + [900.0, 2.0]), pace([1.0])
    (2.0, 3.0)
    """
    return float(np.median(seconds)) if len(seconds) >= by.pace_from else by.seconds_a_look
