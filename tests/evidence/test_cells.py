"""Facts about cells: every row lies in one, and so much is looked at as the rows drawn beforehand asked for."""

from __future__ import annotations

import numpy as np

from ferclean.evidence.cells import cells_of
from ferclean.evidence.signals.nearest import unit


def test_each_row_asks_once_and_meets_the_promised_share_of_its_nearest() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(1500, 5)))
    cells = cells_of(vectors)
    near = vectors @ vectors.T
    np.fill_diagonal(near, -2)
    true = np.argsort(-near, axis=1)[:, :10]
    reach = cells.reach(np.repeat(np.arange(1500), 10), true.ravel(), share=0.9)
    assert reach < 500
    assert cells.reach(true[:0, 0], true[:0, 0], share=0.9) == 0
    asked, met = [], 0
    for members, others in cells.around(reach):
        assert len(others) >= reach
        assert np.isin(members, others).all()
        assert (np.diff(others) > 0).all()
        asked.append(members)
        met += np.isin(true[members], others).sum()
    assert sorted(np.concatenate(asked)) == list(range(1500))
    assert 0.9 <= met / true.size < 0.93


def test_rows_of_zeros_and_equal_rows_have_cells_too() -> None:
    vectors = unit(np.repeat(np.eye(3, 4) * [[1], [0], [1]], 30, axis=0))
    cells = cells_of(vectors)
    assert [len(set(cells.home[part : part + 30])) for part in (0, 30, 60)] == [1, 1, 1]
    others = next(cells.around(91))[1]  # more than there are
    assert others.tolist() == list(range(90))
