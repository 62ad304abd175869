"""An ensemble names its members, and never others."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferclean.errors import UsageError
from ferclean.store.ensembles import choose_ensemble, list_ensembles
from ferclean.store.runs import finish_run, start_run
from ferclean.store.scores import put_signals
from tests.bare_workspace import bare


def test_an_ensemble_keeps_its_members_in_their_order_and_the_newest_is_not_chosen_twice(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)
    runs = [
        start_run(ws, kind="score", method=method, config={}, seed=0, fingerprint="f") for method in ("b", "a", "open")
    ]
    for run in runs[:2]:
        put_signals(ws, run, [], {})
        finish_run(ws, run)
    assert list_ensembles(ws) == []
    pair, alone = runs[:2], runs[1:2]
    for members in (pair, pair, alone, pair):
        choose_ensemble(ws, members)
    found = list_ensembles(ws)
    assert [(ensemble.name, list(ensemble.members)) for ensemble in found] == [("1", pair), ("2", alone), ("3", pair)]
    for members in ([], [runs[0], runs[0]]):
        with pytest.raises(UsageError, match="each once"):
            choose_ensemble(ws, members)
    with pytest.raises(UsageError, match="no finished run"):
        choose_ensemble(ws, [runs[0], runs[2]])
    assert list_ensembles(ws) == found
    start_run(ws, kind="score", method="b", config={}, seed=0, fingerprint="f")  # anew, by another process
    choose_ensemble(ws, runs[1::-1])
    other = start_run(ws, kind="demo", method="b", config={}, seed=0, fingerprint="f")
    finish_run(ws, other)
    with pytest.raises(UsageError, match="no finished run") as refused:
        choose_ensemble(ws, [other])
    assert other not in str(refused.value).split("finished run")[1]
    choose_ensemble(ws, [runs[0], runs[2], "score-c-1"], begun=True)
    assert list_ensembles(ws)[-1].members == (runs[0], runs[2], "score-c-1")
