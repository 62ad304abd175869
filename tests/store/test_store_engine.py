"""Facts about the engines: one is kept for the next action, holds no file meanwhile, and is left when one failed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from ferclean.store import engine
from ferclean.store.connection import opened
from ferclean.store.workspace import Workspace

WRITES = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('CREATE TABLE theirs (x INTEGER)')"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was started since, one entry per engine."""
    monkeypatch.setattr(engine, "_idle", {})
    names: list[str] = []

    def connect(name: str, **options: object) -> object:
        names.append(name)
        return real(name, **options)

    real: Callable[..., object] = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", connect)
    return names


def test_one_engine_serves_one_action_after_another_and_another_program_may_write_between_them(
    tmp_path: Path, started: list[str]
) -> None:
    ws = Workspace.create(tmp_path / "W")
    subprocess.run([sys.executable, "-c", WRITES, ws.database], check=True)
    with ws.session("writing") as con:
        con.execute("INSERT INTO theirs VALUES (1)")
        con.execute("CREATE TEMP TABLE own AS SELECT 1")
    for _ in range(3):
        with ws.reading("reading") as con:
            assert con.execute("SELECT x FROM theirs").fetchall() == [(1,)]
            assert con.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'own'").fetchall() == [(0,)]
            assert con.execute("SELECT current_setting('temp_directory')").fetchall() == [(f"{ws.database}.tmp",)]
    assert started == [":memory:"]
    assert sorted(path.name for path in ws.root.iterdir()) == ["ferclean.duckdb", "ferclean.lock", "ferclean.toml"]


def test_threads_that_read_at_once_share_one_and_the_last_gives_the_file_back(
    tmp_path: Path, started: list[str]
) -> None:
    ws = Workspace.create(tmp_path / "W")
    both = threading.Barrier(2)
    found = []

    def read() -> None:
        with ws.reading("reading") as con:
            both.wait(20)
            found.append(con.execute("SELECT max(version) FROM schema_version").fetchone())

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert found[0] == found[1]
    assert len(found) == 2
    assert started == [":memory:"]
    subprocess.run([sys.executable, "-c", WRITES, ws.database], check=True)


def test_an_engine_in_which_something_failed_is_not_used_again(tmp_path: Path, started: list[str]) -> None:
    ws = Workspace.create(tmp_path / "W")
    with pytest.raises(duckdb.CatalogException), opened(ws.database, timeout=1) as con:
        con.execute("SELECT * FROM nothing")
    with ws.reading("reading"):
        pass
    assert started == [":memory:"] * 2


def test_what_went_beside_one_file_does_not_go_there_for_the_next(tmp_path: Path, started: list[str]) -> None:
    first, second = Workspace.create(tmp_path / "first"), Workspace.create(tmp_path / "second")
    with first.reading("reading") as con:
        con.execute("SET memory_limit = '20MB'")
        con.execute("CREATE TEMP TABLE much AS SELECT range AS x, random() AS y, random() AS z FROM range(3_000_000)")
    with second.reading("reading") as con:
        assert con.execute("SELECT current_setting('temp_directory')").fetchall() == [(f"{second.database}.tmp",)]
    assert started == [":memory:"] * 2
