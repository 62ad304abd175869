"""Verbs that are killed in the middle lose nothing, and the next run leaves nothing lying about: a short sweep."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from ferclean.store import verdicts
from ferclean.store.decisions import Decision, append_decisions
from ferclean.store.runs import start_run
from pipelines.kill_checks import BULKER, hidden, torn, unlike, unstored
from tests.bare_workspace import bare, verdict_frame

ROOT = Path(__file__).parents[2]
# training takes too long here; the long sweep does it
VERBS = ["decide", "bulk", "review", "ingest", "triage", "release", "export hf", "overwrite rafdb", "overwrite table"]


def test_a_short_sweep_finds_nothing_lost_half_left_or_shut() -> None:
    done = subprocess.run(
        [sys.executable, "pipelines/kill_sweep.py", "--kills", "9", "--seed", "3", "--verbs", *VERBS],
        capture_output=True, text=True, check=False, timeout=400, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    last = [cell.strip() for cell in done.stdout.strip().splitlines()[-1].strip("|").split("|")]
    assert last[0] == "all"
    assert int(last[2]) == 9
    assert int(last[3]) >= 5, "most kills find the verb in the middle"
    assert last[4:] == ["0"] * 4


def test_the_checks_of_the_sweep_see_what_is_wrong(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    ws.root.rename(tmp_path / "W")
    ws = type(ws)(tmp_path / "W")
    whole = {"ingest": len(ids), "triage": len(ids)}
    assert torn(tmp_path, whole) == []
    told = append_decisions(ws, [Decision(sample_id=ids[0], action="keep", reviewer=BULKER)])
    assert torn(tmp_path, whole) == ["a bulk of 1"]
    assert torn(tmp_path, {"ingest": 99})[-1] == f"{len(ids)} samples"
    run = start_run(ws, kind="triage", method="m", config={}, seed=0, fingerprint="f")
    with ws.session("pretending") as con:
        con.execute("UPDATE run SET state = 'done' WHERE run_id = ?", [run])
    assert torn(tmp_path, whole)[-1] == f"{run} is done without a file"
    verdicts.put_verdicts(ws, run, verdict_frame(ids[:2]))
    assert torn(tmp_path, whole)[-1] == f"{run} is done with 2 rows"
    assert unstored(tmp_path, f'{{"decision_ids": {told}}}\n{{"decision_ids": [1, 77]}}\n{{"decision_ids": [9') == 1
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "out")
    assert unlike(tmp_path, "out", ["another digest"]) == ["what stands at out"]
    (tmp_path / "W" / ".ferclean-draft-x").mkdir()
    (tmp_path / "W" / "ferclean.lock.1.read.00").touch()
    assert len(hidden(tmp_path)) == 2
