"""DuckDB's engines, kept for the next action: one takes ten times as long to start as to open a workspace's database.

An idle engine holds no file. Who opens a database attaches it to one and detaches it at the end, so that other programs
find the file as free as if the process had ended. What SET changes for a whole engine stays in it: nobody here does.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import duckdb

from ferclean.store.exchange import quoted

# Extensions are never fetched or loaded behind the user's back; what the store needs is built in.
_CONFIG = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}

_NAME = "ferclean"
"""What the database is called inside an engine: as DuckDB itself calls the file of a workspace."""

_MOST_IDLE = 4  # an engine has a thread per core

_Key = tuple[int, str, bool]  # process, file, whether it is only read


@dataclass(eq=False)
class _Engine:
    """An engine with one database attached, and how many connections use it; `spoilt` when one ended in an error."""

    base: duckdb.DuckDBPyConnection
    key: _Key
    spills: Path
    users: int = 0
    spoilt: bool = False


_guard = threading.RLock()
_idle: list[duckdb.DuckDBPyConnection] = []
# Weak: a connection that an interrupt loses before anybody can close it gives its file back all the same.
_in_use: WeakValueDictionary[_Key, _Engine] = WeakValueDictionary()


def _before_fork() -> None:
    """An engine has threads, which a forked child lacks: it would crash in ending what it never started."""
    _guard.acquire()
    while _idle:
        _idle.pop().close()


os.register_at_fork(before=_before_fork, after_in_parent=_guard.release, after_in_child=_guard.release)


@dataclass
class Connection:
    """A connection to one database."""

    con: duckdb.DuckDBPyConnection
    engine: _Engine

    def close(self, *, clean: bool) -> None:
        """Give the database's file back with its last connection, and keep the engine unless one of them failed.

        Raises what a signal raises meanwhile, after the file is given back.
        """
        engine = self.engine
        with _guard:
            self.con.close()
            engine.users -= 1
            # what did not fit into memory lies there as long as the engine lives
            engine.spoilt |= not clean or engine.spills.exists()
            if engine.users:
                return
            _in_use.pop(engine.key, None)
            try:
                if not engine.spoilt:
                    engine.base.execute(f"DETACH {_NAME}")
            except BaseException as error:
                engine.spoilt = True
                # a full disk may keep the journal out of the file: closing the engine leaves it beside it
                if not isinstance(error, duckdb.Error) or isinstance(error, duckdb.InterruptException):
                    raise
            finally:
                if engine.spoilt or len(_idle) == _MOST_IDLE:
                    engine.base.close()
                else:
                    _idle.append(engine.base)


def connect(database: Path, *, read_only: bool) -> Connection:
    """Open `database`; threads that read it share one engine, as DuckDB's lock on the file is the whole process's.

    What one of them meets that ends the engine, the others meet, too. Raises duckdb.Error as `duckdb.connect` does.
    """
    key = (os.getpid(), os.path.realpath(database), read_only)
    with _guard:
        engine = _in_use.get(key)
        if engine is None:
            engine = _Engine(_attach(database, read_only), key, Path(f"{database}.tmp"))
        con = engine.base.cursor()
        con.execute(f"USE {_NAME}")
        engine.users += 1
        _in_use[key] = engine
        return Connection(con, engine)


def _attach(database: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    base = _idle.pop() if _idle else duckdb.connect(":memory:", config=dict(_CONFIG))
    try:
        # what does not fit into memory goes beside the file, as with an engine of its own
        base.execute(f"SET temp_directory = {quoted(f'{database}.tmp')}")
        base.execute(f"ATTACH {quoted(str(database))} AS {_NAME}" + (" (READ_ONLY)" if read_only else ""))
    except duckdb.IOException:  # the file's fault, or of another program that has it
        _idle.append(base)
        raise
    except BaseException:
        base.close()
        raise
    return base
