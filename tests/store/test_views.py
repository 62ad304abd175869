"""Whoever opens the database with plain duckdb sees scores, verdicts, pairs and decisions, without ferclean."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ferclean.store import run_files, runs, scores, verdicts, views
from ferclean.store.decisions import Decision, append_decisions
from ferclean.store.exchange import rows
from ferclean.store.workspace import Workspace
from tests.bare_workspace import bare, triaged

PLAIN = """
import json, sys
sys.modules["ferclean"] = None  # whoever imports it fails
import duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
print(json.dumps([con.execute(sql).fetchall() for sql in sys.argv[2:]]))
"""


def plain(ws: Workspace, *queries: str) -> Any:
    """What another process that has no ferclean reads."""
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, str(ws.database), *queries],
        capture_output=True, text=True, check=False, timeout=120, cwd=ws.root,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def scored(ws: Workspace, ids: list[str], seed: int, **signals: list[float]) -> str:
    """A done scoring of all samples."""
    run = runs.start_run(ws, kind="score", method="m", config={}, seed=seed, fingerprint="f")
    probs = np.tile(np.array([0.25, 0.5, 0.25], dtype=np.float32), (len(ids), 1))
    scores.put_predictions(ws, run, ids, np.arange(len(ids)) % 2, probs, signals)
    runs.finish_run(ws, run)
    return run


def counted(ws: Workspace) -> dict[str, int]:
    """How many rows each view has, in this process."""
    with ws.reading("counting") as con:
        return {name: rows(con, f"SELECT count(*) FROM {name}")[0][0] for name in views.VIEWS}


def test_plain_duckdb_shows_scores_verdicts_pairs_and_decisions_without_ferclean(tmp_path: Path) -> None:
    # a folder whose name is a pattern, with a quotation mark in it
    home = tmp_path / "it's [a] * place"
    home.mkdir()
    ws, ids = bare(home)
    assert plain(ws, *(f"SELECT count(*) FROM {name}" for name in views.VIEWS)) == [[[0]]] * 4
    first, second = scored(ws, ids, 0, margin=[0.5] * 6), scored(ws, ids, 1, aum=[1.0] * 6)
    running = runs.start_run(ws, kind="score", method="m", config={}, seed=2, fingerprint="f")
    scores.put_signals(ws, running, ids, {"margin": np.zeros(6)})
    pairs = runs.start_run(ws, kind="pairs", method="m", config={}, seed=0, fingerprint="f")
    verdicts.put_pairs(
        ws, pairs, pd.DataFrame({"sample_a": ids[:1], "sample_b": ids[1:2], "kind": "near", "similarity": 0.99})
    )
    runs.finish_run(ws, pairs)
    triaged(ws, ids, score_runs=[first], kind="clean")
    latest = triaged(ws, ids, score_runs=[first, second], seed=1)
    append_decisions(ws, [Decision(sample_id=ids[1], action="relabel", label="anger", reviewer="ann")])
    found = plain(
        ws,
        "SELECT run_id, fold, pred_probs, margin, aum FROM score ORDER BY run_id, position LIMIT 1",
        "SELECT count(*), count(margin), count(aum), count(DISTINCT run_id) FROM score",
        "SELECT s.source_key, v.run_id, v.kind, c.action, c.label FROM sample s JOIN verdict v USING (sample_id) "
        "JOIN current_decision c USING (sample_id)",
        "SELECT sample_a, sample_b, kind FROM pair",
        "SELECT count(*) FROM flip",
    )
    margins = {first: [0.5, None], second: [None, 1.0]}
    run = min(first, second)
    assert found == [
        [[run, 0, [0.25, 0.5, 0.25], *margins[run]]],
        [[12, 6, 6, 2]],
        [["k1", latest, "mislabelled", "relabel", "anger"]],
        [[ids[0], ids[1], "near"]],
        [[0]],
    ]


def test_the_query_of_the_readme_runs(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    triaged(ws, ids)
    text = (Path(views.__file__).parent / "README.md").read_text("utf-8")
    (query,) = re.findall(r"^    (SELECT .*?)\n\n", text, re.S | re.M)
    with ws.reading("trying") as con:
        assert rows(con, query)[0] == ("k0", "surprise", "anger", 0.5, None)


def test_the_views_follow_a_workspace_that_was_moved_and_files_that_were_deleted(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    run = scored(ws, ids, 0)
    triaged(ws, ids)
    there = {"score": 6, "flip": 0, "verdict": 6, "pair": 0}
    assert counted(ws) == there
    ws.root.rename(tmp_path / "elsewhere")
    ws = Workspace.open(tmp_path / "elsewhere")
    append_decisions(ws, [Decision(sample_id=ids[0], action="keep", reviewer="ann")])
    assert counted(ws) == there
    shutil.rmtree(ws.runs / run)
    append_decisions(ws, [Decision(sample_id=ids[1], action="keep", reviewer="ann")])
    assert counted(ws) == there | {"score": 0}


def test_a_run_that_begins_again_is_not_shown_until_it_is_done(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    run = scored(ws, ids, 0)
    runs.start_run(ws, kind="score", method="m", config={}, seed=0, fingerprint="f")
    assert counted(ws)["score"] == 0
    runs.finish_run(ws, run)
    assert counted(ws)["score"] == 6


@pytest.mark.parametrize(("view", "file"), views.VIEWS.items())
def test_an_empty_view_has_the_columns_that_a_file_has(tmp_path: Path, view: str, file: str) -> None:
    ws, _ = bare(tmp_path, 1)
    run_files.write(ws, "r", file, {name: [] for name in ("sample_id", "sample_a") if name in run_files.COLUMNS[file]})
    told = []
    with ws.reading("describing") as con:
        source = run_files.source(ws, "r", file)
        for sql, parameters in ((view, {}), (f"({run_files.empty(file)})", {}), source):
            told.append([row[:2] for row in rows(con, f"DESCRIBE SELECT * FROM {sql}", parameters)])
    assert told[0] == told[1] == told[2]
