"""Facts about gathering what verdicts rest on: what it holds while it reads, and what it reads once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ferclean.parts.gathering import gather
from ferclean.steps.triage import triage
from ferclean.store import runs, samples, scores, verdicts
from ferclean.store.workspace import Workspace

LARGE = {samples: ["fingerprint", "get_samples"], scores: ["get_predictions", "get_signals"], verdicts: ["get_pairs"]}


def test_a_decision_finds_its_turn_before_each_large_table_that_is_gathered(
    judged_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = Workspace.open(judged_copy)
    turns = []

    def after_a_decision(name: str, read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(*args: Any, **options: Any) -> Any:
            with ws.session("deciding"):  # refused inside a reading
                turns.append(name)
            return read(*args, **options)

        return reading

    for module, names in LARGE.items():
        for name in names:
            monkeypatch.setattr(module, name, after_a_decision(name, getattr(module, name)))
    found = gather(ws)
    assert set(turns) == {name for names in LARGE.values() for name in names}
    assert turns.count("get_predictions") == len(found.members)


def test_a_triage_reads_the_labels_that_it_judges_once(judged_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = Workspace.open(judged_copy)
    read = []
    whole = samples.fingerprint

    def counting(ws: Workspace, **options: Any) -> str:
        read.append(whole(ws, **options))
        return read[-1]

    monkeypatch.setattr(samples, "fingerprint", counting)
    told = triage(ws)
    assert len(read) == 1
    (stored,) = [run for run in runs.list_runs(ws) if run.run_id == told.run_id]
    assert stored.fingerprint == read[0]
