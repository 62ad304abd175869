"""What was computed may be deleted at any time: nothing that people said is lost, and it can be computed again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import TINY

from ferclean.errors import FercleanError
from ferclean.steps.decide import decide
from ferclean.steps.ingest import ingest
from ferclean.steps.release import release
from ferclean.steps.report import report
from ferclean.steps.score import score
from ferclean.steps.status import status
from ferclean.steps.triage import triage
from ferclean.store import decisions, releases, run_files, runs, scores, table, verdicts
from ferclean.store.workspace import Workspace
from tests.bare_workspace import bare, triaged
from tests.steps.test_score import image_folder

ONE = TINY | {"epochs": 1, "methods": ["cross_entropy"]}


def test_runs_that_were_deleted_are_told_and_computed_again_to_the_byte_and_people_lose_nothing(
    tmp_path: Path,
) -> None:
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "image_folder", image_folder(tmp_path / "a", {"anger": 9, "fear": 9}))
    run_id = score(ws, **ONE).runs[0]["run_id"]
    triage(ws)
    judged, scored = verdicts.get_verdicts(ws), run_files.path_of(ws, run_id, "scores").read_bytes()
    keys = list(table.sample_table(ws)["source_key"])
    decide(ws, keys[0], "keep", reviewer="ann")
    release(ws, "v1")
    frozen = releases.get_release_items(ws, "v1")
    shutil.rmtree(ws.runs)

    told = status(ws)
    assert {run["state"] for run in told.runs} == {"deleted"}
    assert told.next == "score"
    assert [line.split("; ")[1] for line in told.deleted] == [
        "`ferclean score` computes them again", "`ferclean triage` computes them again",
    ]  # fmt: skip
    decide(ws, keys[1], "exclude", reviewer="ann")
    decisions.undo(ws)
    assert decisions.current_decisions(ws)["action"].tolist() == ["keep"]
    pd.testing.assert_frame_equal(releases.get_release_items(ws, "v1"), frozen)
    release(ws, "v2")
    assert table.queue(ws).empty
    report(ws)
    with pytest.raises(FercleanError, match="run `ferclean score` first"):
        triage(ws)
    with pytest.raises(FercleanError, match=r"scores\.parquet was deleted; `ferclean status` tells which command"):
        scores.get_predictions(ws, run_id)

    decisions.undo(ws)
    assert score(ws, **ONE).reused == 0
    assert run_files.path_of(ws, run_id, "scores").read_bytes() == scored
    triage(ws)
    pd.testing.assert_frame_equal(verdicts.get_verdicts(ws), judged)
    assert status(ws).deleted == []


def test_a_decision_keeps_the_chance_of_its_draw_though_the_verdicts_were_deleted(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    triaged(ws, ids, drawn_at_random=True, inclusion_probability=0.25)
    shutil.rmtree(ws.runs)
    decisions.append_decisions(ws, [decisions.Decision(sample_id=ids[0], action="keep", reviewer="ann")])
    assert decisions.decision_history(ws)["inclusion_probability"].tolist() == [0.25]


def test_a_file_that_was_cut_off_is_as_good_as_deleted_and_bars_no_decision(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    path = run_files.path_of(ws, triaged(ws, ids), "verdicts")
    path.write_bytes(path.read_bytes()[:-100])
    ws.root.rename(tmp_path / "moved")
    ws = Workspace.open(tmp_path / "moved")
    decisions.append_decisions(ws, [decisions.Decision(sample_id=ids[0], action="keep", reviewer="ann")])
    assert [run.state for run in runs.list_runs(ws)] == ["deleted"]
    assert table.queue(ws).empty


def test_an_earlier_triage_is_read_where_the_latest_was_deleted_and_rows_of_that_are_refused(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    first = triaged(ws, ids, kind="clean")
    second = triaged(ws, ids, seed=1)
    shutil.rmtree(ws.runs / second)
    found = runs.latest_run(ws, "triage")
    assert found is not None
    assert found.run_id == first
    assert set(table.sample_table(ws)["verdict"]) == {"clean"}
    with pytest.raises(FercleanError, match=r"verdicts\.parquet was deleted"):
        table.sample_rows(ws, ids, triage=second)
