"""Facts about the engines: one is kept for the next action, holds no file meanwhile, and is left when one failed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from ferclean.errors import WorkspaceBusyError
from ferclean.store import engine
from ferclean.store.connection import opened
from ferclean.store.workspace import Workspace

WRITES = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('CREATE TABLE theirs (x INTEGER)')"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was started since, one entry per engine."""
    monkeypatch.setattr(engine, "_idle", [])
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
    assert not Path(f"{first.database}.tmp").exists()


FORKS = """
import os, sys
from pathlib import Path
from ferclean.store.workspace import Workspace
ws = Workspace.create(Path(sys.argv[1]))
child = os.fork()
with ws.reading("both") as con:
    con.execute("SELECT 1")
if not child:
    sys.exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked on this system")
def test_a_forked_child_opens_the_database_itself_and_ends_as_usual(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS, tmp_path / "W"], timeout=60)
    assert done.returncode == 0


def test_a_file_that_another_program_has_costs_no_engine(tmp_path: Path, started: list[str]) -> None:
    ws = Workspace.create(tmp_path / "W", timeout=0.2)
    holds = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('holds', flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", holds, ws.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"holds\n"
        with pytest.raises(WorkspaceBusyError), ws.reading("reading"):
            pass
        other.kill()
    with ws.reading("reading"):
        pass
    assert started == [":memory:"]


@pytest.mark.parametrize("sign", ["ATTACH", "USE", "DETACH"])
def test_a_signal_while_the_file_is_opened_or_closed_is_a_ctrl_c_and_gives_the_file_back(
    sign: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = Workspace.create(tmp_path / "W")

    class Stopped:
        """A connection that a signal stops at one statement, in DuckDB's words."""

        def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
            self.con = con

        def execute(self, query: str, *rest: object) -> object:
            if query.startswith(sign):
                raise RuntimeError("Query interrupted")
            return self.con.execute(query, *rest)

        def cursor(self) -> Stopped:
            return Stopped(self.con.cursor())

        def close(self) -> None:
            self.con.close()

    with monkeypatch.context() as patch:
        real: Callable[..., duckdb.DuckDBPyConnection] = duckdb.connect
        patch.setattr(engine, "_idle", [])
        patch.setattr(duckdb, "connect", lambda *given, **options: Stopped(real(*given, **options)))
        with pytest.raises(KeyboardInterrupt), opened(ws.database, timeout=1):
            pass
    subprocess.run([sys.executable, "-c", WRITES, ws.database], check=True)
