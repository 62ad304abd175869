"""An ensemble names its members, and never others."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferclean.errors import UsageError
from ferclean.store.ensembles import get_ensemble, list_ensembles, put_ensemble
from ferclean.store.runs import finish_run, start_run
from ferclean.store.scores import put_signals
from tests.bare_workspace import bare


def test_an_ensemble_keeps_its_members_in_their_order_and_is_frozen(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)
    runs = [
        start_run(ws, kind="score", method=method, config={}, seed=0, fingerprint="f") for method in ("b", "a", "open")
    ]
    for run in runs[:2]:
        put_signals(ws, run, [], {})
        finish_run(ws, run)
    assert list_ensembles(ws) == []
    put_ensemble(ws, "pair", runs[:2])
    put_ensemble(ws, "alone", runs[1:2])
    assert get_ensemble(ws, "pair").members == tuple(runs[:2])
    assert [ensemble.name for ensemble in list_ensembles(ws)] == ["pair", "alone"]
    put_ensemble(ws, "pair", runs[1::-1])  # the same members
    assert get_ensemble(ws, "pair").members == tuple(runs[:2])
    with pytest.raises(UsageError, match="has other members"):
        put_ensemble(ws, "pair", runs[:1])
    for members in ([], [runs[0], runs[0]]):
        with pytest.raises(UsageError, match="each once"):
            put_ensemble(ws, "more", members)
    with pytest.raises(UsageError, match="no finished run"):
        put_ensemble(ws, "more", [runs[0], runs[2]])
    with pytest.raises(UsageError, match="pair"):
        get_ensemble(ws, "pear")
    assert len(list_ensembles(ws)) == 2
