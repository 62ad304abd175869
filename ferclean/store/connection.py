"""One connection to the database file, for one action; whatever DuckDB says of the file becomes an error with its mend.

It never fetches or loads an extension, and it never calls a damaged file a full disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ferclean.derived import first_line
from ferclean.errors import FercleanError, UsageError
from ferclean.store import lock

if TYPE_CHECKING:
    import duckdb

    from ferclean.store.engine import Connection

DATABASE_NAME = "ferclean.duckdb"
"""The database's file in the workspace's folder."""

_TAKEN = ("could not set lock", "used by another process", "unique file handle conflict")
_DAMAGED = (
    "corrupt", "checksum", "not a valid duckdb", "could not read enough bytes", "serializ", "replaying wal",
    "internal error",
)  # fmt: skip


def check_path(root: Path) -> None:
    """Raise UsageError for a folder whose path DuckDB would take for another one.

    Found by trying DuckDB 2.0.1: `# % * [ { : ~ ; $`, quotes, spaces and line breaks do no harm; these do.
    """
    path = str(root)
    if "?" in path:  # its journal becomes `folder.wal?...`: what is read works, and no write does
        reason = "DuckDB takes what follows a ? for options, and nothing could be stored there"
    elif os.sep != "\\" and "\\" in path:
        reason = "DuckDB takes a \\ for a /, and would look in another folder"
    elif any("\ud800" <= letter <= "\udfff" for letter in path):
        reason = "it is no UTF-8, which DuckDB asks for"
    else:
        return
    raise UsageError(f"{path!r} cannot be a workspace: {reason}; name another folder with --workspace, or rename it")


@contextmanager
def opened(
    database: Path, *, timeout: float, read_only: bool = False, make: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open and close `database`; with `read_only` nothing is written, not even a journal beside it.

    Raises WorkspaceBusyError when another program keeps it for `timeout` seconds; FercleanError when it is not there
    (DuckDB would make an empty one: only with `make`), damaged, made by a newer DuckDB, or when the disk refuses;
    KeyboardInterrupt when a query is stopped by one.
    """
    import duckdb

    if not make:
        check_there(database)
    with _stoppable():
        held = _connect(database, timeout, read_only)
        clean = False
        try:
            yield held.con
            clean = True
        except duckdb.Error as error:
            if isinstance(error, duckdb.IOException | duckdb.FatalException) or _is_damage(database, error):
                raise failed(database, error) from error
            raise
        finally:
            held.close(clean=clean)


@contextmanager
def _stoppable() -> Iterator[None]:
    """What a signal stopped is a KeyboardInterrupt, also where the database is only opened or closed."""
    import duckdb

    try:
        yield
    except (duckdb.Error, RuntimeError) as error:
        if was_stopped(error):
            raise KeyboardInterrupt from error
        raise


def was_stopped(error: Exception) -> bool:
    """Whether a signal stopped a query: DuckDB loses the KeyboardInterrupt of its handler and says so in its words."""
    import duckdb

    return isinstance(error, duckdb.InterruptException) or (
        type(error) is RuntimeError and str(error) == "Query interrupted"
    )


def _connect(database: Path, timeout: float, read_only: bool) -> Connection:
    import duckdb

    from ferclean.store import engine

    deadline = time.monotonic() + timeout
    while True:
        try:
            return engine.connect(database, read_only=read_only)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            message = first_line(error)
            if any(sign in message.lower() for sign in _TAKEN):
                # another program (such as the duckdb shell) opened the file without asking for our lock
                if time.monotonic() >= deadline:
                    raise lock.busy(database.parent, f"another program: {message}", timeout) from None
                time.sleep(0.05)
            elif isinstance(error, duckdb.IOException) or _is_damage(database, error):
                raise failed(database, error) from error
            else:
                raise FercleanError(
                    f"{database} is not a database that this version of duckdb ({duckdb.__version__}) can open: "
                    f"{message}; upgrade duckdb, or put the file back from a backup"
                ) from error


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection, database: Path) -> Iterator[None]:
    """Commit at the end of the block; when the block or the disk fails, nothing happened."""
    import duckdb

    con.execute("BEGIN TRANSACTION")
    try:
        yield
    except BaseException:
        try:
            con.execute("ROLLBACK")
        except duckdb.Error as error:
            # DuckDB has rolled back by itself when it meets a fatal error; the first error is the one to tell
            if "no transaction" not in str(error).lower() and not isinstance(error, duckdb.FatalException):
                raise
        raise
    try:
        con.execute("COMMIT")
    except duckdb.Error as error:  # nothing but the disk can refuse a commit: the lock lets one writer in
        raise failed(database, error) from error


def check_there(database: Path) -> None:
    """Raise FercleanError where DuckDB would make an empty database by opening it."""
    if not database.is_file():
        raise lost(database)
    if not database.stat().st_size:
        raise failed(database, ValueError("not a valid DuckDB file: it is empty"))


def lost(database: Path) -> FercleanError:
    """The error for a workspace whose database is gone: opening it makes none in its place."""
    root, backup = database.parent, _newest_backup(database)
    mend = f"copy the newest backup, {backup}, to {database.name}" if backup else "put it back from a backup"
    return FercleanError(
        f"the workspace {root} has lost its database {database.name}; {mend}, or move {root} away and begin anew with "
        f"`ferclean -w {root} ingest ...`. Nothing was changed"
    )


def _newest_backup(database: Path) -> Path | None:
    found = database.parent.glob(f"{database.name}.*backup")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def failed(database: Path, error: Exception) -> FercleanError:
    """The error for a file that is damaged, or that the disk would not read or write: the two need different mends."""
    if not _is_damage(database, error):
        return FercleanError(
            f"the workspace's database {database} could not be read or written: {first_line(error)}; see that the "
            "disk has room and that the folder is writable, then run the command again. What was stored before is safe"
        )
    backup = _newest_backup(database)
    aside = f"move {database.name} (and {database.name}.wal, if there is one) out of {database.parent}"
    mend = (
        f"{aside} and copy the newest backup, {backup}, to {database.name}"
        if backup
        else f"no backup lies beside it: {aside} and put your own copy there, or ingest the data set again and read "
        "your people's decisions in with `ferclean decide --from-file`; the labels of releases are in releases/"
    )
    return FercleanError(f"the database {database} is damaged ({first_line(error)}); {mend}")


def _is_damage(database: Path, error: Exception) -> bool:
    import duckdb

    if isinstance(error, duckdb.DataError | duckdb.IntegrityError | duckdb.ProgrammingError):
        return False  # their messages quote values, and a value may read "corrupt"
    message = str(error).replace(str(database), "").lower()  # so may the name of a folder
    return any(sign in message for sign in _DAMAGED)
