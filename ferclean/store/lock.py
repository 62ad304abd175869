"""Who may use the workspace: a queue in which everybody gets a turn in the order of coming, readers side by side.

It never waits longer than its timeout, and a dead process never stands in the queue: the system frees what it locked.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ferclean.errors import FercleanError, WorkspaceBusyError
from ferclean.files import free_lock, lock_of_the_dead, make_locked, take_lock

LOCK_NAME = "ferclean.lock"
"""Locked for a moment while somebody takes a ticket; a ticket is this name, its number, its kind and a chance word."""

_TICKET = re.compile(rf"{re.escape(LOCK_NAME)}\.(\d+)\.(read|write)\.[0-9a-f]+")
_PAUSE = 0.003
"""Seconds between two looks at the queue: it decides how late a turn is taken, never whose it is."""

_inside = threading.local()


class UnwritableError(FercleanError):
    """Nobody can queue up here, because nothing can be written."""


@dataclass(frozen=True, order=True)
class _Ticket:
    number: int
    kind: str
    path: Path


@contextmanager
def held(root: Path, action: str, *, timeout: float, shared: bool = False) -> Iterator[None]:
    """Hold the workspace at `root` while the block runs, alone or (`shared`) with others that only read.

    `action` is what others are told. Raises WorkspaceBusyError after `timeout` seconds, naming the holder;
    UnwritableError where nothing can be written; RuntimeError when this thread already holds it (a session inside a
    session can only wait for itself).
    """
    mine: dict[Path, str] = _inside.__dict__.setdefault("actions", {})
    if root in mine:
        raise RuntimeError(f"'{action}' was begun inside '{mine[root]}': a session lives for one action, end it first")
    deadline = time.monotonic() + timeout
    try:
        ticket, lock = _take_ticket(root, "read" if shared else "write", deadline, timeout)
    except OSError as error:
        raise UnwritableError(
            f"cannot write in the workspace {root}: {error.strerror or error}; make the folder writable and see that "
            "the disk has room, or choose another with --workspace"
        ) from error
    try:
        # others are told who this is; a full disk must not stop an action over a courtesy
        with suppress(OSError):
            os.write(lock, json.dumps({"pid": os.getpid(), "action": action}).encode())
        while (ahead := _ahead(root, ticket)) is not None:
            if time.monotonic() >= deadline:
                raise busy(root, holder(ahead.path), timeout)
            time.sleep(_PAUSE)
        mine[root] = action
        try:
            yield
        finally:
            del mine[root]
    finally:
        _give_back(ticket.path, lock)


def _take_ticket(root: Path, kind: str, deadline: float, timeout: float) -> tuple[_Ticket, int]:
    """The next number, with its file locked for this process."""
    flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
    guard = os.open(root / LOCK_NAME, flags, 0o666)
    try:
        while not take_lock(guard):
            if time.monotonic() >= deadline:
                raise busy(root, "another program", timeout)
            time.sleep(_PAUSE / 10)
        others = _queue(root)
        number = max((other.number for other in others), default=0) + 1
        for other in others:
            _remove_if_dead(other)
        while True:
            path = root / f"{LOCK_NAME}.{number}.{kind}.{secrets.token_hex(4)}"
            lock = make_locked(path)
            if lock is not None:
                return _Ticket(number, kind, path), lock
    finally:
        free_lock(guard)


def _queue(root: Path) -> list[_Ticket]:
    """Every ticket that lies there, the lowest first."""
    found = ((match, name) for name in os.listdir(root) if (match := _TICKET.fullmatch(name)))
    return sorted(_Ticket(int(match[1]), match[2], root / name) for match, name in found)


def _ahead(root: Path, mine: _Ticket) -> _Ticket | None:
    """The first living ticket that must be done before `mine`: any lower one, except that readers pass readers."""
    for other in _queue(root):
        if other.number >= mine.number:
            return None
        if mine.kind == other.kind == "read":
            continue
        if not _remove_if_dead(other) and other.path.exists():
            return other
    return None


def _remove_if_dead(ticket: _Ticket) -> bool:
    lock = lock_of_the_dead(ticket.path)
    if lock is not None:
        _give_back(ticket.path, lock)
    return lock is not None


def _give_back(ticket: Path, lock: int) -> None:
    if os.name == "nt":
        free_lock(lock)  # an open file cannot be removed there
        ticket.unlink(missing_ok=True)
    else:
        with suppress(OSError):  # one that stays behind is a dead one's, and the next in the queue removes it
            ticket.unlink(missing_ok=True)
        free_lock(lock)


def holder(ticket: Path) -> str:
    """Whose ticket it is, in words."""
    try:
        note = json.loads(ticket.read_text(encoding="utf-8"))
        return f"process {int(note['pid'])} ({note['action']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def busy(root: Path, who: str, timeout: float) -> WorkspaceBusyError:
    """The error for a workspace that stayed taken for `timeout` seconds."""
    return WorkspaceBusyError(
        f"the workspace {root} is in use by {who}; waited {timeout:g} s; try again when it is done, or end that process"
    )
