"""Migrations: forward with a backup, never back, and never a newer workspace."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import duckdb
import pytest
from disks import read_only

from ferclean.errors import FercleanError
from ferclean.store import migrate
from ferclean.store.decisions import Decision, append_decisions, current_decisions
from ferclean.store.exchange import rows
from ferclean.store.workspace import Workspace
from tests.bare_workspace import bare

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
    lines = [line for body in re.findall(r"\(.*?^\);", text, re.S | re.M) for line in body.splitlines()[1:-1]]
    assert len(lines) > 90
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
    migrate.forward(con, folder)
    con.execute("INSERT INTO verdict (run_id, sample_id, kind, rank, reasons) VALUES ('r', 's', 'clean', 1, [])")
    con.close()
    with Workspace.open(tmp_path / "w").session("looking") as con:
        assert rows(con, "SELECT drawn_at_random, inclusion_probability FROM verdict") == [(False, None)]
        assert rows(con, "SELECT count(*) FROM audit_item") == [(0,)]
