"""Three witnesses: the share of wrong labels follows from how they agree, whatever the recognizers share with them."""

from __future__ import annotations

import numpy as np
import pytest

from ferclean.evidence.constants import STANDARD
from ferclean.evidence.verdict.calibration import ErrorRate
from ferclean.evidence.verdict.witnesses import error_rate

WIDE = ErrorRate(estimate=0.2, low=0.0, high=0.6)
K = 5


def said(true: np.ndarray, right: float, rng: np.random.Generator) -> np.ndarray:
    """Who errs in `1 - right` of the samples, and then mostly to the next class."""
    other = (true + np.where(rng.random(len(true)) < 0.6, 1, rng.integers(1, K, len(true)))) % K
    return np.where(rng.random(len(true)) < right, true, other)


@pytest.mark.parametrize("wrong", [0.05, 0.2, 0.4])
@pytest.mark.parametrize(("ours", "theirs"), [(0.9, 0.8), (0.6, 0.7)])
def test_the_share_of_wrong_labels_is_found_with_strong_and_with_weak_witnesses(
    wrong: float, ours: float, theirs: float
) -> None:
    rng = np.random.default_rng(0)
    true = rng.choice(K, 6000, p=[0.4, 0.25, 0.2, 0.1, 0.05])
    labels = said(true, 1 - wrong, rng)
    found = error_rate(labels, said(true, ours, rng), said(true, theirs, rng), within=WIDE)
    assert found.low <= (labels != true).mean() <= found.high
    assert abs(found.estimate - (labels != true).mean()) < 0.03
    assert found.high - found.low < 2 * STANDARD.witness_margin + 0.04


def test_faces_that_no_judge_could_read_are_left_out_and_nobody_leaves_things_as_they_are() -> None:
    rng = np.random.default_rng(1)
    true = rng.integers(0, K, 4000)
    labels, ours, theirs = (said(true, right, rng) for right in (0.8, 0.8, 0.8))
    unread = np.arange(4000) % 4 == 0
    some = error_rate(labels, ours, np.where(unread, -1, theirs), within=WIDE)
    rest = error_rate(labels[~unread], ours[~unread], theirs[~unread], within=WIDE)
    assert some.estimate == pytest.approx(rest.estimate)
    few = error_rate(labels, ours, np.where(np.arange(4000) < 25, theirs, -1), within=WIDE)
    assert few.high - few.low > 2 * (some.high - some.low)  # what 25 faces say is said with their uncertainty
    assert error_rate(labels, ours, np.full(4000, -1), within=WIDE) is WIDE


def test_witnesses_who_contradict_what_is_known_without_judges_are_not_heard() -> None:
    rng = np.random.default_rng(2)
    true = rng.integers(0, K, 3000)
    labels, ours, theirs = (said(true, right, rng) for right in (0.7, 0.8, 0.8))
    narrow = ErrorRate(estimate=0.1, low=0.05, high=0.2)
    assert error_rate(labels, ours, theirs, within=narrow) is narrow
    # a net that learned this very set repeats its labels: then none looks wrong
    assert error_rate(labels, ours, labels, within=narrow) is narrow


def test_a_judge_who_tells_nothing_and_weak_witnesses_leave_things_as_they_are() -> None:
    rng = np.random.default_rng(3)
    true = rng.integers(0, K, 3000)
    labels, ours = said(true, 0.8, rng), said(true, 0.8, rng)
    for nothing in (np.zeros(3000, dtype=int), rng.integers(0, K, 3000), said(true, 0.35, rng)):
        assert error_rate(labels, ours, nothing, within=WIDE) is WIDE
    # of many classes and few samples too much is to be estimated: the interval says so
    many = rng.integers(0, 60, 4000)
    other = np.where(rng.random((3, 4000)) < 0.8, many, rng.integers(0, 60, (3, 4000)))
    found = error_rate(*other, within=WIDE)
    assert found.low <= (other[0] != many).mean() <= found.high
    assert (found.low, found.high) == (WIDE.low, WIDE.high)
