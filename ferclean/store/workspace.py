"""A workspace: one folder with ferclean.toml, ferclean.duckdb, runs/, releases/, images/ and reports/.

A connection lives for one action. It is never kept while a person or a GPU is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ferclean.errors import FercleanError
from ferclean.store import lock, migrate

if TYPE_CHECKING:
    import duckdb

DATABASE_NAME = "ferclean.duckdb"
CONFIG_NAME = "ferclean.toml"

# Extensions are never fetched or loaded behind the user's back; what the store needs is built in.
_CONNECTION = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}

_CONFIG_TEXT = """\
# Settings of this workspace. A flag on the command line and a FERCLEAN_* variable come before what stands here;
# `ferclean config` shows every setting and where its value comes from.
"""


@dataclass(frozen=True)
class Workspace:
    """A handle on a workspace folder; cheap to keep, to copy and to share between threads."""

    root: Path
    timeout: float = field(default=10.0, kw_only=True)
    """Seconds that an action waits for another process before WorkspaceBusyError."""

    @classmethod
    def create(cls, root: str | Path, *, timeout: float = 10.0) -> Workspace:
        """Make a workspace at `root`, or open the one that is there. Other files in the folder are left alone.

        Raises FercleanError where nothing can be written.
        """
        ws = cls(Path(root).expanduser().resolve(), timeout=timeout)
        try:
            ws.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(ws.root, error) from error
        ws._bring_forward()
        config = ws.root / CONFIG_NAME
        try:
            if not config.exists():
                config.write_text(_CONFIG_TEXT, encoding="utf-8")
        except OSError as error:
            raise _unwritable(ws.root, error) from error
        return ws

    @classmethod
    def open(cls, root: str | Path, *, timeout: float = 10.0) -> Workspace:
        """Open the workspace at `root`; an older one is brought forward after a backup of its database.

        Raises FercleanError when there is none, or when a newer ferclean made it (it stays as it is).
        """
        ws = cls(Path(root).expanduser().resolve(), timeout=timeout)
        try:
            there = ws.database.is_file()
        except OSError as error:  # a folder that may not be entered
            raise FercleanError(
                f"cannot look into {ws.root}: {error.strerror or error}; check its permissions"
            ) from error
        if not there:
            if (ws.root / CONFIG_NAME).is_file():
                raise FercleanError(
                    f"the workspace {ws.root} has lost its database {DATABASE_NAME}; put it back from a backup, "
                    f"or create it again with `ferclean -w {ws.root} ingest ...`"
                )
            raise FercleanError(f"no workspace at {ws.root}; create one with `ferclean -w {ws.root} ingest ...`")
        ws._bring_forward()
        return ws

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.root / DATABASE_NAME

    @property
    def runs(self) -> Path:
        """The folder with one folder per run: checkpoints, embeddings, dynamics."""
        return self._folder("runs")

    @property
    def releases(self) -> Path:
        """The folder with one folder per release."""
        return self._folder("releases")

    @property
    def images(self) -> Path:
        """The folder with pictures that the source did not hold as files."""
        return self._folder("images")

    @property
    def reports(self) -> Path:
        """The folder with written reports."""
        return self._folder("reports")

    @contextmanager
    def session(self, action: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection inside one transaction, under the workspace's lock: committed at the end, or nothing happened.

        `action` is what a waiting process is told. Raises WorkspaceBusyError when another process holds the
        workspace or the database for longer than `timeout`; RuntimeError when this thread is already in a session.
        """
        with lock.held(self.root, action, timeout=self.timeout), self._connection() as con:
            migrate.check(migrate.version(con), self.database)
            with _transaction(con):
                yield con

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise _unwritable(self.root, error) from error
        return folder

    def _bring_forward(self) -> None:
        with lock.held(self.root, "opening", timeout=self.timeout):
            with self._connection() as con:
                found = migrate.version(con)
            migrate.check(found, self.database)
            if found == migrate.latest():
                return
            if found:
                migrate.back_up(self.database, found)
            with self._connection() as con, _transaction(con):
                migrate.forward(con)

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open and close the file; every failure of the file itself becomes an error that says how to mend it."""
        import duckdb

        con = self._connect()
        try:
            yield con
        except (duckdb.IOException, duckdb.FatalException) as error:
            raise _storage_failed(error) from error
        finally:
            con.close()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        deadline = time.monotonic() + self.timeout
        while True:
            try:
                return duckdb.connect(str(self.database), config=dict(_CONNECTION))
            except duckdb.IOException as error:
                message = _first_line(error)
                if not any(sign in message.lower() for sign in ("could not set lock", "used by another process")):
                    raise FercleanError(
                        f"cannot open the database {self.database}: {message}; check that the folder is writable and "
                        "that the disk has room, or put the file back from a backup"
                    ) from error
                # another program (such as the duckdb shell) opened the file without asking for our lock
                if time.monotonic() >= deadline:
                    raise lock.busy(self.root, f"another program: {message}", self.timeout) from None
                time.sleep(0.05)
            except duckdb.Error as error:
                raise FercleanError(
                    f"{self.database} is not a database that this version of duckdb ({duckdb.__version__}) can open: "
                    f"{_first_line(error)}; upgrade duckdb, or put the file back from a backup"
                ) from error


@contextmanager
def _transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
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
        raise _storage_failed(error) from error


def _storage_failed(error: Exception) -> FercleanError:
    return FercleanError(
        f"the workspace's database could not be read or written: {_first_line(error)}; see that the disk has room and "
        "that the folder is writable, then run the command again. What was stored before is safe"
    )


def _unwritable(root: Path, error: OSError) -> FercleanError:
    return FercleanError(
        f"cannot write in the workspace {root}: {error.strerror or error}; "
        "make the folder writable and see that the disk has room, or choose another with --workspace"
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
