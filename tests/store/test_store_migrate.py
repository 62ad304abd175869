"""Migrations: forward with a backup, never back, and never a newer workspace."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from disks import read_only

from ferclean import processes
from ferclean.errors import FercleanError
from ferclean.store import migrate, runs, scores, verdicts
from ferclean.store.decisions import Decision, append_decisions, current_decisions, decision_history
from ferclean.store.exchange import rows, to_json
from ferclean.store.standing import random_decisions
from ferclean.store.workspace import Workspace
from tests.bare_workspace import bare, triaged, verdict_frame

STORE = Path(migrate.__file__).parent
SHAPE = (
    "SELECT table_name, column_index, column_name, data_type, is_nullable FROM duckdb_columns() "
    "WHERE NOT internal ORDER BY ALL"
)


def folder_with(tmp_path: Path, sql: str) -> Path:
    """The real migrations and one more."""
    folder = tmp_path / "migrations"
    shutil.copytree(STORE / "migrations", folder)
    (folder / f"{migrate.latest() + 1:04d}_next.sql").write_text(sql, encoding="utf-8")
    return folder


def test_a_migrated_database_has_the_shape_that_the_schema_shows(tmp_path: Path) -> None:
    with Workspace.create(tmp_path).session("looking") as con:
        migrated = rows(con, SHAPE)
    fresh = duckdb.connect()
    fresh.execute((STORE / "schema.sql").read_text(encoding="utf-8"))
    assert rows(fresh, SHAPE) == migrated
    fresh.close()


def test_every_column_of_the_schema_has_a_comment() -> None:
    text = (STORE / "schema.sql").read_text(encoding="utf-8")
    tables = re.findall(r"\(.*?^\);", text, re.S | re.M)
    shown = re.findall(r"AS SELECT +--.*?^WHERE false;", text, re.S | re.M)
    lines = [line for body in [*tables, *shown] for line in body.splitlines()[1:-1]]
    assert len(tables) > 10
    assert len(shown) == 6
    assert len(lines) > 110
    assert [line for line in lines if "-- " not in line] == []


def test_an_older_workspace_is_brought_forward_after_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [Decision(sample_id=ids[0], action="keep", reviewer="ann")])
    old = migrate.latest()
    monkeypatch.setattr(migrate, "FOLDER", folder_with(tmp_path, "ALTER TABLE run ADD COLUMN host VARCHAR;"))
    again = Workspace.open(ws.root)
    with again.session("looking") as con:
        assert migrate.version(con) == old + 1
        assert rows(con, "SELECT host FROM run") == []
    assert list(current_decisions(again)["sample_id"]) == [ids[0]]
    backup = ws.root / f"ferclean.duckdb.v{old}.backup"
    con = duckdb.connect(str(backup), read_only=True)
    assert migrate.version(con) == old
    assert rows(con, "SELECT count(*) FROM decision") == [(1,)]
    con.close()
    Workspace.open(ws.root)
    assert len(list(ws.root.glob("*.backup"))) == 1


def test_a_second_backup_does_not_replace_the_first(tmp_path: Path) -> None:
    database = tmp_path / "ferclean.duckdb"
    database.write_bytes(b"one")
    first = migrate.back_up(database, 1)
    database.write_bytes(b"two")
    assert migrate.back_up(database, 1).read_bytes() == b"two"
    assert first.read_bytes() == b"one"


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws, ids = bare(tmp_path)
    old = migrate.latest()
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "FOLDER", folder_with(tmp_path, "DROP TABLE sample; ALTER TABLE nothing DROP COLUMN x;"))
        with pytest.raises(FercleanError, match=rf"migration {old + 1} of the database failed"):
            Workspace.open(ws.root)
    with Workspace.open(ws.root).session("looking") as con:
        assert migrate.version(con) == old
        assert rows(con, "SELECT count(*) FROM sample") == [(len(ids),)]


def test_a_newer_workspace_is_refused_and_not_touched(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)
    with ws.session("ageing") as con:
        con.execute("INSERT INTO schema_version VALUES (99, current_timestamp::TIMESTAMP, '9.9')")
    before = hashlib.sha256(ws.database.read_bytes()).hexdigest()
    for attempt in (Workspace.open, Workspace.create):
        with pytest.raises(FercleanError, match=r"has version 99, made by a newer ferclean.*upgrade ferclean"):
            attempt(ws.root)
    with pytest.raises(FercleanError, match="newer ferclean"), ws.session("reading"):
        pass
    assert hashlib.sha256(ws.database.read_bytes()).hexdigest() == before
    assert not list(ws.root.glob("*.backup"))


def test_an_older_workspace_that_cannot_be_written_is_refused_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, _ = bare(tmp_path)
    monkeypatch.setattr(migrate, "FOLDER", folder_with(tmp_path, "CREATE TABLE later (x INTEGER);"))
    with read_only(ws.root), pytest.raises(FercleanError, match=r"must be brought forward .*cannot be written: make"):
        Workspace.open(ws.root)
    assert migrate.version(duckdb.connect(str(Workspace.open(ws.root).database))) == migrate.latest()


def test_a_database_whose_making_was_interrupted_is_finished(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "ferclean.duckdb")).close()
    with Workspace.open(tmp_path).session("looking") as con:
        assert migrate.version(con) == migrate.latest()
    assert not list(tmp_path.glob("*.backup"))


def test_a_gap_in_the_migrations_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0002_second.sql").write_text("SELECT 1;", encoding="utf-8")
    with pytest.raises(FercleanError, match="gaps"):
        migrate.steps(tmp_path)


def test_verdicts_from_before_there_were_draws_were_not_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "first"
    folder.mkdir()
    shutil.copy(STORE / "migrations" / "0001_first.sql", folder)
    (tmp_path / "w").mkdir()
    con = duckdb.connect(str(tmp_path / "w" / "ferclean.duckdb"))
    migrate.forward(con, folder, ws=Workspace(tmp_path / "w"))
    con.execute(
        "INSERT INTO sample (sample_id, dataset, source_key, split, location, attributes, position) "
        "VALUES ('s', 'd', 'k', 'train', 'source', '{}', 0)"
    )
    con.execute("INSERT INTO run VALUES ('r', 'triage', 'm', '{}', 0, 'f', '0', 'done', now()::TIMESTAMP, NULL, '{}')")
    con.execute("INSERT INTO verdict (run_id, sample_id, kind, rank, reasons) VALUES ('r', 's', 'clean', 1, [])")
    con.close()
    ws = Workspace.open(tmp_path / "w")
    judged = verdicts.get_verdicts(ws)
    assert (judged["drawn_at_random"].tolist(), judged["inclusion_probability"].isna().tolist()) == ([False], [True])
    with ws.session("looking") as con:
        assert rows(con, "SELECT count(*) FROM audit_item") == [(0,)]
        assert rows(con, "SELECT sample_id, kind FROM verdict") == [("s", "clean")]


def older(tmp_path: Path, version: int) -> tuple[Workspace, list[str]]:
    """A workspace of an older version with samples alone, at `tmp_path`/w; `tmp_path`/older has its migrations."""
    (tmp_path / "made").mkdir()
    made, ids = bare(tmp_path / "made", 40)
    folder = tmp_path / "older"
    folder.mkdir()
    for number in range(1, version + 1):
        shutil.copy(next((STORE / "migrations").glob(f"{number:04d}_*")), folder)
    (tmp_path / "w").mkdir()
    con = duckdb.connect(str(tmp_path / "w" / "ferclean.duckdb"))
    migrate.forward(con, folder, ws=made)
    con.execute(f"ATTACH '{made.database}' AS made (READ_ONLY)")
    for table in ("dataset", "sample"):
        con.execute(f"INSERT INTO {table} SELECT * FROM made.{table}")
    con.close()
    return Workspace(tmp_path / "w"), ids


def before_files(tmp_path: Path) -> tuple[Workspace, list[str]]:
    """A workspace of version 10, all of whose tables hold something, at `tmp_path`/w."""
    ws, ids = older(tmp_path, 10)
    con = duckdb.connect(str(ws.database))
    for run, kind in (("score-m-1", "score"), ("pairs-m-1", "pairs"), ("triage-m-1", "triage")):
        con.execute(
            "INSERT INTO run VALUES (?, ?, 'm', ?, 0, 'f', '0', 'done', now()::TIMESTAMP, now()::TIMESTAMP, "
            "'{}', NULL)",
            [run, kind, '{"score_runs": ["score-m-1"]}'],
        )
    # against the order of arrival, as nothing says that rows lie in it
    con.execute(
        "INSERT INTO prediction SELECT 'score-m-1', sample_id, position % 2, [0.25, 0.5, 0.25] FROM sample "
        "ORDER BY position DESC"
    )
    con.execute(
        "INSERT INTO signal SELECT 'score-m-1', sample_id, name, CASE WHEN position <> 3 THEN position / 8 END "
        "FROM sample, (VALUES ('margin'), ('aum')) names(name) ORDER BY position DESC"
    )
    con.execute("INSERT INTO signal SELECT 'pairs-m-1', sample_id, 'face_log_odds', 1.5 FROM sample")
    con.execute("INSERT INTO flip VALUES ('score-m-1', ?, 1, 2, 'fear', 'anger', 0.75)", [ids[4]])
    con.execute("INSERT INTO pair VALUES ('pairs-m-1', ?, ?, 'near', 0.995)", [ids[0], ids[7]])
    con.execute(
        "INSERT INTO verdict SELECT 'triage-m-1', sample_id, 'mislabelled', 0.25, 0.75, 0, 0, 0.25, 'anger', "
        "40 - position, ['said by hand'], [0.5, 0.25, 0.25], position < 2, CASE WHEN position < 2 THEN 0.2 END, "
        "0.7, [0, 0.3, 0.7] FROM sample"
    )
    con.execute(
        "INSERT INTO decision SELECT 1, sample_id, 'keep', NULL, 'ann', '', NULL, NULL, 'cli', 0.2, NULL, NULL, "
        "now()::TIMESTAMP FROM sample WHERE position = 1"
    )
    # a big old file, most of which is what leaves it
    con.execute("INSERT INTO signal SELECT 'gone', md5(range::VARCHAR), 'margin', random() FROM range(200000)")
    con.close()
    return ws, ids


def test_what_a_database_of_before_held_of_runs_is_in_their_files_and_the_database_small(tmp_path: Path) -> None:
    ws, ids = before_files(tmp_path)
    before = ws.database.stat().st_size
    ws = Workspace.open(ws.root)
    assert ws.database.stat().st_size < before / 4
    assert (ws.root / "ferclean.duckdb.v10.backup").stat().st_size >= before
    said = scores.get_predictions(ws, "score-m-1")
    assert (said.sample_ids, said.fold.tolist()) == (ids, [i % 2 for i in range(40)])
    assert said.pred_probs.tolist() == [[0.25, 0.5, 0.25]] * 40
    signals = scores.get_signals(ws, "score-m-1")
    assert (list(signals), list(signals.index)) == (["aum", "margin"], ids)
    assert signals["aum"].isna().tolist() == [i == 3 for i in range(40)]
    assert signals["margin"].dropna().tolist() == [i / 8 for i in range(40) if i != 3]
    assert scores.get_signals(ws, "pairs-m-1")["face_log_odds"].tolist() == [1.5] * 40
    assert scores.get_flips(ws, "score-m-1").to_numpy().tolist() == [[ids[4], 1, 2, "fear", "anger", 0.75]]
    assert verdicts.get_pairs(ws).to_numpy().tolist() == [[ids[0], ids[7], "near", 0.995]]
    judged = verdicts.get_verdicts(ws)
    assert (list(judged["sample_id"]), judged["p_true"][0]) == (ids[::-1], [0.0, 0.3, 0.7])
    assert {sample_id: one.draw for sample_id, one in random_decisions(ws).items()} == {ids[1]: "triage-m-1"}
    # and a decision about the other one that was drawn still keeps the chance
    append_decisions(ws, [Decision(sample_id=ids[0], action="keep", reviewer="ann")])
    assert decision_history(ws)["inclusion_probability"].tolist() == [0.2, 0.2]
    assert {run.state for run in runs.list_runs(ws)} == {"done"}
    assert not [path for path in ws.root.iterdir() if path.name.startswith(".")]


KILLED = """
import os, signal, sys
from ferclean.store import migrate
from ferclean.store.workspace import Workspace
migrate.compact = lambda con, old: os.kill(os.getpid(), signal.SIGKILL)
Workspace.open(sys.argv[1])
"""


def test_a_move_into_files_that_is_killed_begins_again_from_the_old_database(tmp_path: Path) -> None:
    ws, ids = before_files(tmp_path)
    before = hashlib.sha256(ws.database.read_bytes()).hexdigest()
    done = subprocess.run([sys.executable, "-c", KILLED, str(ws.root)], check=False, cwd=STORE.parents[1], timeout=120)
    assert done.returncode == -9
    assert hashlib.sha256(ws.database.read_bytes()).hexdigest() == before
    assert scores.get_predictions(Workspace.open(ws.root), "score-m-1").sample_ids == ids
    # the killed one's copies are gone, and its backup was taken for this one's
    assert len(list(ws.root.glob("*.backup"))) == 1
    assert not [path for path in ws.root.iterdir() if path.name.startswith(".")]


FULL = """
import resource, signal, sys
from ferclean.errors import FercleanError
from ferclean.store.workspace import Workspace
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    Workspace.open(sys.argv[1])
except FercleanError as error:
    print(error)
"""
UNSETTLED = """
import os, signal, sys, duckdb
con = duckdb.connect(sys.argv[1])
con.execute("SET checkpoint_threshold = '1TB'")
con.execute("INSERT INTO decision SELECT 2, sample_id, 'exclude', NULL, 'bob', '', NULL, NULL, 'cli', NULL, NULL, "
            "NULL, now()::TIMESTAMP FROM sample WHERE position = 2")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_older_workspace_on_a_full_disk_is_told_so_and_loses_nothing(tmp_path: Path) -> None:
    ws, _ = before_files(tmp_path)

    def told(limit: int) -> str:
        done = subprocess.run(
            [sys.executable, "-c", FULL, str(ws.root), str(limit)], capture_output=True, text=True, check=False,
            cwd=STORE.parents[1],
        )  # fmt: skip
        return done.stdout + done.stderr

    before = hashlib.sha256(ws.database.read_bytes()).hexdigest()
    assert re.match(r"cannot write .*v10\.backup: File too large; free some space there, or move", told(1_000_000))
    assert hashlib.sha256(ws.database.read_bytes()).hexdigest() == before
    # what a killed process had stored lies beside the database still
    subprocess.run([sys.executable, "-c", UNSETTLED, str(ws.database)], check=False, timeout=120)
    assert re.match(r".*ferclean\.duckdb\.wal holds what was stored last.*; free some space there", told(1000))
    assert not list(ws.root.glob("*.backup"))
    assert decision_history(Workspace.open(ws.root))["reviewer"].tolist() == ["ann", "bob"]


def test_the_database_and_so_its_backup_hold_nothing_that_grows_with_what_is_computed(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    with ws.session("looking") as con:
        held = {name for (name,) in rows(con, "SELECT table_name FROM duckdb_tables()")}
    people = {"dataset", "sample", "vote", "decision", "answer", "team_plan", "guideline", "release", "release_item"}
    draws = {"audit_item", "drawn_item"}
    assert held == people | draws | {"run", "ensemble", "result", "schema_version"}
    run = runs.start_run(ws, kind="score", method="m", config={}, seed=0, fingerprint="f")
    with ws.session("counting") as con:
        before = {name: rows(con, f"SELECT count(*) FROM {name}") for name in held}
    scores.put_predictions(ws, run, ids, np.arange(6) % 2, np.full((6, 3), 1 / 3), {"margin": np.zeros(6)})
    scores.put_flips(
        ws,
        run,
        pd.DataFrame({"sample_id": ids, "fold": 0, "epoch": 1, "from_label": "fear", "to_label": "anger", "p": 1.0}),
    )
    verdicts.put_verdicts(ws, run, verdict_frame(ids))
    with ws.session("counting") as con:
        assert {name: rows(con, f"SELECT count(*) FROM {name}") for name in held} == before


def test_the_one_process_of_an_older_run_becomes_a_list_and_readers_of_one_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, ids = older(tmp_path, 11)
    gone = {"host": processes.this_process()["host"], "pid": 2**22 + 1, "began": "7"}
    held = {"one": to_json(gone), "list": to_json([gone, gone]), "none": None}
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "FOLDER", tmp_path / "older")
        for name, process in held.items():
            run = runs.start_run(ws, kind="score", method=name, config={}, seed=0, fingerprint="f")
            with ws.session("as an older one left it") as con:
                con.execute("UPDATE run SET process = ? WHERE run_id = ?", [process, run])
        triaged(ws, ids, reasons=[["an older sentence"]] * 40)
        with ws.session("as an older one left it") as con:
            con.execute(
                "INSERT INTO decision SELECT 1, ?, 'keep', NULL, 'ann', '', NULL, NULL, 'cli', NULL, NULL, NULL, "
                "now()::TIMESTAMP",
                [ids[0]],
            )
        before = ws.database.read_bytes()
    with Workspace.open(ws.root).session("looking") as con:
        found = dict(rows(con, "SELECT method, process FROM run WHERE kind = 'score'"))
    assert found == held | {"one": to_json([gone])}
    assert [run.state for run in runs.list_runs(ws)] == ["interrupted"] * 3 + ["done"]
    assert verdicts.get_verdicts(ws)["reasons"].tolist() == [["an older sentence"]] * 40
    assert list(current_decisions(ws)["sample_id"]) == [ids[0]]
    assert (ws.root / "ferclean.duckdb.v11.backup").read_bytes() == before
    monkeypatch.setattr(migrate, "FOLDER", tmp_path / "older")
    with pytest.raises(FercleanError, match=r"has version \d+, made by a newer ferclean.*up to 11: upgrade ferclean"):
        Workspace.open(ws.root)
