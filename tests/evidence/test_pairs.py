"""Agreement by pair and by class: published tables worked out by hand, scikit-learn, and intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from ferclean.evidence.people.pairs import alpha, class_agreement, cohen_kappa, interval
from tests.evidence.test_agreement import KRIPPENDORFF

# Fleiss, Cohen and Everitt, Psychological Bulletin 1969: 200 people diagnosed twice. By hand: (88 + 40 + 12) / 200 =
# .70 the same, .60 x .50 + .30 x .30 + .10 x .20 = .41 by chance, (.70 - .41) / .59 = .4915
DIAGNOSES = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]])


def test_kappa_is_the_published_value() -> None:
    assert float(cohen_kappa(DIAGNOSES)) == pytest.approx(0.29 / 0.59)


def test_kappa_is_scikit_learns_for_any_number_of_tables_at_once() -> None:
    rng = np.random.default_rng(3)
    said = rng.integers(0, 4, (5, 2, 60))
    tables = np.zeros((5, 4, 4), dtype=int)
    for table, (one, other) in zip(tables, said, strict=True):
        np.add.at(table, (one, other), 1)
    expected = [cohen_kappa_score(one, other) for one, other in said]
    assert cohen_kappa(tables).tolist() == pytest.approx(expected)


def test_kappa_of_one_single_answer_or_of_nothing_is_not_defined() -> None:
    assert np.isnan(cohen_kappa(np.array([[9, 0], [0, 0]])))
    assert np.isnan(cohen_kappa(np.zeros((2, 2))))


def test_alpha_of_patterns_is_krippendorffs_published_value() -> None:
    counts = np.stack([(answer == KRIPPENDORFF).sum(1) for answer in range(5)], axis=1)
    patterns, times = np.unique(counts, axis=0, return_counts=True)
    assert len(patterns) < len(counts)
    assert float(alpha(patterns, times)) == pytest.approx(0.743, abs=5e-4)


def test_class_agreement_is_the_share_of_the_others_who_say_it_too() -> None:
    """Worked by hand from the diagnoses: twice what both say, over what either says."""
    patterns, times = [], []
    for (one, other), faces in np.ndenumerate(DIAGNOSES):
        patterns.append(np.bincount([one, other], minlength=3))
        times.append(faces)
    expected = [2 * 88 / (120 + 100), 2 * 40 / (60 + 60), 2 * 12 / (20 + 40)]
    assert class_agreement(np.array(patterns), np.array(times)).tolist() == pytest.approx(expected)


def test_the_interval_repeats_and_is_as_wide_as_the_published_standard_error_says() -> None:
    """The same paper gives the standard error of kappa for this table as .0543 (variance .00295)."""

    def kappa(drawn: np.ndarray) -> np.ndarray:
        return cohen_kappa(drawn.reshape(-1, 3, 3))

    low, high = interval(DIAGNOSES.ravel(), kappa)
    assert interval(DIAGNOSES.ravel(), kappa).tolist() == [low, high]
    assert (high - low) / (2 * 1.96) == pytest.approx(0.0543, rel=0.15)
    assert np.isnan(interval(np.zeros(9, dtype=int), kappa)).all()
