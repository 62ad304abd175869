"""DuckDB's engines, kept for the next action: one takes ten times as long to start as to open a workspace's database.

An idle engine holds no file. Who opens a database attaches it to one and detaches it at the end, so that other programs
find the file as free as if the process had ended.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ferclean.store.exchange import quoted

# Extensions are never fetched or loaded behind the user's back; what the store needs is built in.
_CONFIG = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}

_NAME = "ferclean"
"""What the database is called inside an engine: as DuckDB itself calls the file of a workspace."""

_guard = threading.Lock()
_idle: dict[int, list[duckdb.DuckDBPyConnection]] = {}
"""Per process: a child that was forked has no threads of its parent's engines, and leaves them alone."""
_in_use: dict[tuple[int, str, bool], _Engine] = {}


@dataclass
class _Engine:
    """An engine with one database attached, and how many connections use it; `spoilt` when one ended in an error."""

    base: duckdb.DuckDBPyConnection
    users: int = 0
    spoilt: bool = False


@dataclass
class Connection:
    """A connection to one database."""

    con: duckdb.DuckDBPyConnection
    key: tuple[int, str, bool]

    def close(self, *, clean: bool) -> None:
        """Give the database's file back with its last connection, and keep the engine unless one of them failed."""
        self.con.close()
        with _guard:
            engine = _in_use[self.key]
            engine.users -= 1
            engine.spoilt |= not clean
            if engine.users:
                return
            del _in_use[self.key]
            try:
                if not engine.spoilt:
                    engine.base.execute(f"DETACH {_NAME}")
            except duckdb.Error:
                engine.spoilt = True  # a full disk may keep the journal out of the file: closing leaves it beside it
            if engine.spoilt:
                engine.base.close()
            else:
                _idle.setdefault(os.getpid(), []).append(engine.base)


def connect(database: Path, *, read_only: bool) -> Connection:
    """Open `database`; threads that read it share one engine, as DuckDB's lock on the file is the whole process's.

    Raises duckdb.Error as `duckdb.connect` does.
    """
    key = (os.getpid(), os.path.realpath(database), read_only)
    with _guard:
        engine = _in_use.get(key)
        if engine is None:
            engine = _Engine(_attach(database, read_only))
        con = engine.base.cursor()
        con.execute(f"USE {_NAME}")
        engine.users += 1
        _in_use[key] = engine
    return Connection(con, key)


def _attach(database: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    waiting = _idle.setdefault(os.getpid(), [])
    while True:
        base = waiting.pop() if waiting else None
        fresh = base is None
        if base is None:
            base = duckdb.connect(":memory:", config=dict(_CONFIG))
        try:
            # what does not fit into memory goes beside the file, as with an engine of its own
            base.execute(f"SET temp_directory = {quoted(f'{database}.tmp')}")
            base.execute(f"ATTACH {quoted(str(database))} AS {_NAME}" + (" (READ_ONLY)" if read_only else ""))
            return base
        except duckdb.Error:
            base.close()
            if fresh:
                raise
