"""A workspace: one folder with ferclean.toml, ferclean.duckdb, runs/, releases/, splits/, images/, sources/, hub/,
pixels/, reports/, encoders/.

A connection lives for one action. It is never kept while a person or a GPU is waited for.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ferclean.errors import FercleanError
from ferclean.files import telling, whole_file
from ferclean.store import lock, migrate, views
from ferclean.store.connection import DATABASE_NAME, check_path, check_there, lost, opened, transaction

if TYPE_CHECKING:
    import duckdb

CONFIG_NAME = "ferclean.toml"
SOURCES = "sources"

_ELSEWHERE = "choose another workspace with --workspace"
_PAST = ("runs", "releases", "splits", "images", "pixels", "reports", "encoders", "hub")
"""Folders that lie beside a database alone; `sources` may be filled before there is one."""

_inside = threading.local()

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

        Raises FercleanError where nothing can be written, and where the folder holds what lay beside a database that is
        gone; UsageError for a path that DuckDB cannot take.
        """
        ws = cls(Path(root).expanduser().resolve(), timeout=timeout)
        check_path(ws.root)
        with telling(ws.root, elsewhere=_ELSEWHERE):
            ws.root.mkdir(parents=True, exist_ok=True)
        if ws._never_made():
            ws._make()
        ws._bring_forward()
        if not ws.config.exists():
            with whole_file(ws.config, elsewhere=_ELSEWHERE) as draft:
                draft.write_text(_CONFIG_TEXT, encoding="utf-8")
        return ws

    @classmethod
    def open(cls, root: str | Path, *, timeout: float = 10.0) -> Workspace:
        """Open the workspace at `root`; an older one is brought forward after a backup of its database.

        Raises FercleanError when there is none, or when a newer ferclean made it (it stays as it is), UsageError for a
        path that DuckDB cannot take.
        """
        ws = cls(Path(root).expanduser().resolve(), timeout=timeout)
        check_path(ws.root)
        try:
            there = not ws._never_made()
        except OSError as error:  # a folder that may not be entered
            raise FercleanError(
                f"cannot look into {ws.root}: {error.strerror or error}; check its permissions"
            ) from error
        if not there:
            if ws.config.is_file():
                raise lost(ws.database)
            raise FercleanError(f"no workspace at {ws.root}; create one with `ferclean -w {ws.root} ingest ...`")
        ws._bring_forward()
        return ws

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.root / DATABASE_NAME

    @property
    def written(self) -> tuple[tuple[int, int, int] | None, ...]:
        """What tells, without opening it, that the database was written since: equal as long as nothing was."""
        found: list[tuple[int, int, int] | None] = []
        for path in (self.database, self.database.with_name(f"{DATABASE_NAME}.wal")):
            try:
                at = path.stat()
            except FileNotFoundError:
                found.append(None)
            else:
                found.append((at.st_ino, at.st_size, at.st_mtime_ns))
        return tuple(found)

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.root / CONFIG_NAME

    @property
    def runs(self) -> Path:
        """The folder with one folder per run: scores, verdicts, embeddings, checkpoints. It may be deleted."""
        return self.root / "runs"

    @property
    def releases(self) -> Path:
        """The folder with one folder per release."""
        return self.root / "releases"

    @property
    def splits(self) -> Path:
        """The folder with one folder per named assignment to splits."""
        return self.root / "splits"

    @property
    def images(self) -> Path:
        """The folder with pictures that the source did not hold as files."""
        return self.root / "images"

    @property
    def sources(self) -> Path:
        """The folder with what was unpacked or fetched; its pictures are read from there (`parts/at_hand.py`)."""
        return self.root / SOURCES

    @property
    def hub(self) -> Path:
        """The folder with data sets of the Hugging Face Hub, each at one commit; they are read there."""
        return self.root / "hub"

    @property
    def pixels(self) -> Path:
        """The folder with decoded pictures (`store/pixels.py`); it may be deleted, and fills itself again."""
        return self.root / "pixels"

    @property
    def reports(self) -> Path:
        """The folder with written reports."""
        return self.root / "reports"

    @contextmanager
    def session(self, action: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection inside one transaction, under the workspace's lock: committed at the end, or nothing happened.

        `action` is what a waiting process is told. Raises WorkspaceBusyError when another process holds the
        workspace or the database for longer than `timeout`; RuntimeError when this thread is already in a session.
        """
        check_there(self.database)  # before a lock makes a file where there is no workspace
        with lock.held(self.root, action, timeout=self.timeout), opened(self.database, timeout=self.timeout) as con:
            migrate.check(migrate.version(con), self.database)
            with transaction(con, self.database):
                yield con
            views.refresh(con, self)

    @contextmanager
    def reading(self, action: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that can only read, and sees one moment of the store; readers wait for writers alone.

        A reading inside a reading of the same thread is that one: a verb that reads several things wraps them in one,
        waits once, and finds them as they were together. It works where nothing may be written; there DuckDB's own
        lock keeps writers out. Raises as `session` does, also for a session inside it.
        """
        readings: dict[Path, duckdb.DuckDBPyConnection] = _inside.__dict__.setdefault("readings", {})
        if self.root in readings:
            yield readings[self.root]
            return
        with self._read_only(action) as con:
            migrate.check(migrate.version(con), self.database)
            with transaction(con, self.database):
                readings[self.root] = con
                try:
                    yield con
                finally:
                    del readings[self.root]

    @contextmanager
    def _read_only(self, action: str) -> Iterator[duckdb.DuckDBPyConnection]:
        check_there(self.database)
        with ExitStack() as stack:
            # where nothing can be written nobody can queue up; DuckDB's own lock then keeps us and a writer apart
            with suppress(lock.UnwritableError):
                stack.enter_context(lock.held(self.root, action, timeout=self.timeout, shared=True))
            yield stack.enter_context(opened(self.database, timeout=self.timeout, read_only=True))

    def _never_made(self) -> bool:
        """No database, or an empty file, left by a disk that was full when it was made, and no trace of a past."""
        if self.database.is_file() and self.database.stat().st_size:
            return False
        return not any(self.root.glob(f"{DATABASE_NAME}.*")) and not any((self.root / name).is_dir() for name in _PAST)

    def _make(self) -> None:
        with lock.held(self.root, "creating", timeout=self.timeout):
            if not self._never_made():  # somebody was faster
                return
            with (
                whole_file(self.database, elsewhere=_ELSEWHERE) as draft,
                opened(draft, timeout=self.timeout, make=True) as con,
            ):
                with transaction(con, self.database):
                    migrate.forward(con, ws=self)
                con.execute("CHECKPOINT")  # all of it in this one file

    def _bring_forward(self) -> None:
        with self._read_only("opening") as con:
            found = migrate.version(con)
        migrate.check(found, self.database)
        if found == migrate.latest():
            return
        try:
            with lock.held(self.root, "bringing it forward", timeout=self.timeout):
                self._migrate()
        except lock.UnwritableError as error:
            raise FercleanError(
                f"the workspace {self.root} has version {found} and must be brought forward to {migrate.latest()}, but "
                "cannot be written: make the folder writable, or copy it to a place that is. Nothing was changed"
            ) from error

    def _migrate(self) -> None:
        """Bring a copy forward and put it in place: whoever is killed meanwhile finds the database as it was."""
        with opened(self.database, timeout=self.timeout) as con:
            found = migrate.version(con)
        if found >= migrate.latest():
            return
        journal = self.database.with_name(f"{DATABASE_NAME}.wal")
        if journal.exists():  # closing takes it in, unless the disk is full: neither copy would hold it
            raise FercleanError(
                f"{journal} holds what was stored last and could not be taken into {DATABASE_NAME}; free some space "
                f"there, or {migrate.ELSEWHERE}"
            )
        if found:
            migrate.back_up(self.database, found)
        with whole_file(self.database, elsewhere=migrate.ELSEWHERE) as fresh:
            old = fresh.with_name(f"old-{DATABASE_NAME}")
            shutil.copy2(self.database, old)
            with opened(old, timeout=self.timeout) as con, transaction(con, self.database):
                migrate.forward(con, ws=self)
                views.refresh(con, self)
            with opened(fresh, timeout=self.timeout, make=True) as con:
                migrate.compact(con, old)
