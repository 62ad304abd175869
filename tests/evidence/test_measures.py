"""Rankings are measured as scikit-learn measures them, and the order of tied rows does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.measures import auprc, auroc, precision_at

ROWS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=50)


@settings(max_examples=100)
@given(rows=ROWS)
def test_areas_equal_scikit_learns_with_ties(rows: list[tuple[int, bool]]) -> None:
    quality, error = np.array([row[0] / 6 for row in rows]), np.array([row[1] for row in rows])
    if not error.any():
        assert np.isnan(auprc(quality, error))
    else:
        assert auprc(quality, error) == pytest.approx(average_precision_score(error, -quality))
    if error.all() or not error.any():
        assert np.isnan(auroc(quality, error))
    else:
        assert auroc(quality, error) == pytest.approx(roc_auc_score(error, -quality))


@settings(max_examples=100)
@given(rows=ROWS, data=st.data())
def test_precision_is_the_mean_over_all_orders_of_tied_rows(rows: list[tuple[int, bool]], data: st.DataObject) -> None:
    quality, error = np.array([float(row[0]) for row in rows]), np.array([row[1] for row in rows])
    k = data.draw(st.integers(1, len(rows)))
    found = precision_at(quality, error, k=k)
    kinds = [(quality == level) for level in np.unique(quality)]
    left, expected = k, 0.0
    for mask in kinds:
        taken = min(left, int(mask.sum()))
        expected += taken * error[mask].mean()
        left -= taken
    assert found == pytest.approx(expected / k)


def test_a_share_is_rounded_to_a_count_of_at_least_one() -> None:
    quality, error = np.arange(20) / 20, np.arange(20) < 2
    assert precision_at(quality, error, share=0.1) == precision_at(quality, error, k=2) == 1.0
    assert precision_at(quality, error, share=0.001) == 1.0


@pytest.mark.parametrize("options", [{}, {"k": 1, "share": 0.5}, {"k": 0}, {"k": 4}, {"share": 0.0}, {"share": 1.5}])
def test_an_impossible_depth_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        precision_at(np.zeros(3), np.zeros(3), **options)  # type: ignore[arg-type]


def test_nan_and_differing_shapes_are_refused() -> None:
    with pytest.raises(BadDataError, match="NaN in 1 rows"):
        auroc(np.array([0.1, np.nan]), np.array([True, False]))
    with pytest.raises(BadDataError, match=r"\(2,\) and \(3,\)"):
        auprc(np.zeros(2), np.zeros(3))
