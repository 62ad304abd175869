"""Facts about what decisions were worth: added up from probabilities, decided faces as decided, none for torn ones."""

from __future__ import annotations

import numpy as np
import pytest

from ferclean.evidence.people.people import check_decisions
from ferclean.evidence.verdict.lessons import Lesson, lesson, pace

LABELS = np.array([0, 0, 1, 1])
TRUE = np.array([[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.3, 0.7]])
WRONG = np.array([0.1, 0.8, 0.45, 0.3])


def said(*words: str, chosen: list[int] | None = None, none: np.ndarray | None = None, n: int = 4) -> Lesson:
    """The lesson of the four faces above after these decisions, the undecided ones being the queue."""
    decided = np.array([*words, *[""] * (n - len(words))])
    people = check_decisions(LABELS, decided, None if chosen is None else np.array(chosen), None, num_classes=2)
    waiting = np.argsort(-WRONG, kind="stable")
    waiting = waiting[decided[waiting] == ""]
    own = TRUE[np.arange(4), LABELS]
    return lesson(LABELS, own, TRUE.max(1), np.zeros(4) if none is None else none, WRONG, people, waiting)


def test_before_any_decision_the_suggestion_counts_where_it_is_likelier_than_the_given_label() -> None:
    found = said()
    assert found.accuracy_given == pytest.approx(np.mean([0.9, 0.2, 0.55, 0.7]))
    assert found.accuracy_now == pytest.approx(np.mean([0.9, 0.8, 0.55, 0.7]))
    assert found.errors_left == pytest.approx(WRONG.sum())


def test_a_decided_label_is_right_and_an_error_no_longer_left() -> None:
    found = said("keep", "relabel", chosen=[-1, 1, -1, -1])
    assert found.accuracy_now == pytest.approx(np.mean([1, 1, 0.55, 0.7]))
    assert found.accuracy_given == pytest.approx(np.mean([1, 0, 0.55, 0.7]))
    assert found.errors_left == pytest.approx(0.75)


def test_faces_without_a_true_label_count_for_nothing() -> None:
    found = said("ambiguous", "exclude", none=np.array([0, 0, 0.5, 0]))
    assert found.accuracy_now == pytest.approx((0.5 * 0.55 + 0.7) / 1.5)
    none = said("ambiguous", "exclude", "ambiguous", "exclude")
    assert (none.accuracy_given, none.accuracy_now, none.looks_to_next_point) == (None, None, None)


def test_looks_are_counted_along_the_queue_until_decisions_bring_a_point() -> None:
    labels, n = np.zeros(1000, dtype=int), 1000
    nobody = check_decisions(labels, np.full(n, ""), None, None, num_classes=2)
    sure = np.full(n, 0.999)
    sure[:40] = 0.6  # each look there is worth 0.4 of a thousandth: 25 make a point
    likely_first = lesson(labels, sure, sure, np.zeros(n), 1 - sure, nobody, np.arange(n))
    likely_last = lesson(labels, sure, sure, np.zeros(n), 1 - sure, nobody, np.arange(n)[::-1])
    assert likely_first.looks_to_next_point == 25
    assert (likely_last.looks_to_next_point or 0) > 960
    certain = lesson(labels, np.ones(n), np.ones(n), np.zeros(n), np.zeros(n), nobody, np.arange(n))
    assert certain.looks_to_next_point is None


def test_breaks_are_no_pace() -> None:
    assert pace([4.0] * 10 + [3600.0]) == 4.0
    assert pace([]) == pace([60.0]) == 3.0
