"""Arrays that cannot be probabilities or labels are refused, and the message names the rows."""

from __future__ import annotations

import numpy as np
import pytest

from ferclean.errors import BadDataError
from ferclean.evidence.checks import check_labels, check_pred_probs, check_same_length

GOOD = np.full((4, 4), 0.25, dtype=np.float32)


def spoilt(value: float, row: int = 2) -> np.ndarray:
    array = GOOD.copy()
    array[row, 1] = value
    return array


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (spoilt(np.nan), "NaN in row c"),
        (np.full((4, 4), np.nan), "NaN in rows a, b, c, d"),
        (spoilt(np.inf), "infinite in row c"),
        (spoilt(-0.25), "negative in row c"),
        (spoilt(0.9), r"sum to 1 \(but to 1.65\) in row c"),
        (np.zeros((4, 4)), r"sum to 1 \(but to 0\) in rows a, b, c, d"),
        (np.log(GOOD) + 5, "look like logits"),
        (GOOD * 100, "look like percentages"),
        (GOOD[:, 0], "must be a numeric"),
        (GOOD[:, :3] / 0.75, "3 columns for 4 classes"),
    ],
)
def test_what_is_no_probability_is_refused_with_the_rows(array: np.ndarray, message: str) -> None:
    with pytest.raises(BadDataError, match=message):
        check_pred_probs(array, num_classes=4, ids=["a", "b", "c", "d"])


def test_many_bad_rows_are_counted_and_the_first_few_named() -> None:
    with pytest.raises(BadDataError, match=r"rows 0, 1, 2, 3, 4, \.\.\. \(1,000 in all\)"):
        check_pred_probs(np.full((1000, 3), np.nan))


def test_float16_softmax_is_accepted_and_the_input_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    array = rng.dirichlet(np.ones(7), size=200).astype(np.float16)
    array.flags.writeable = False
    assert check_pred_probs(array).dtype == np.float64


def test_a_few_odd_rows_are_faults_and_no_other_scale() -> None:
    with pytest.raises(BadDataError, match=r"negative in row 2$"):
        check_pred_probs(spoilt(-0.25))
    with pytest.raises(BadDataError, match=r"\(but to 1\.65\) in row 2$"):
        check_pred_probs(spoilt(0.9))


def test_log_probabilities_are_recognised() -> None:
    with np.errstate(divide="ignore"):
        logs = np.log(np.array([[0.5, 0.5], [0.0, 1.0]]))
    with pytest.raises(BadDataError, match="look like log-probabilities"):
        check_pred_probs(logs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e-3, 0.5])
def test_the_last_row_of_many_parts_is_looked_at(value: float) -> None:
    probs = np.full((100_000, 4), 0.25, dtype=np.float32)
    probs[-1, 3] = value
    with pytest.raises(BadDataError, match="row 99999"):
        check_pred_probs(probs)


def test_checking_rows_copies_nothing() -> None:
    probs = np.full((3, 4), 0.25, dtype=np.float32)
    probs.flags.writeable = False
    assert check_pred_probs(probs, copy=False) is probs


def test_one_based_labels_are_recognised() -> None:
    with pytest.raises(BadDataError, match="counted from 1"):
        check_labels(np.array([1, 2, 3]), 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, -1, 5]), r"outside 0\.\.2 \(values -1, 5\) in rows 1, 2"),
        (np.array([0.5, 1.0]), "whole class indices"),
        (np.array(["fear"]), "whole class indices"),
        (np.zeros((2, 2), dtype=int), "shape"),
    ],
)
def test_labels_that_name_no_class_are_refused(labels: np.ndarray, message: str) -> None:
    with pytest.raises(BadDataError, match=message):
        check_labels(labels, 3)


def test_whole_floats_are_labels() -> None:
    assert check_labels(np.array([0.0, 2.0]), 3).dtype == np.int64


def test_differing_lengths_are_told_by_name() -> None:
    with pytest.raises(BadDataError, match="labels 2, fold 3"):
        check_same_length(labels=np.zeros(2), fold=np.zeros(3))
