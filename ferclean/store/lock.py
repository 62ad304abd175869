"""One process at a time: a file lock around each action, and the name of whoever holds it.

It never waits longer than its timeout, and it never outlives its process: the system frees the lock of a killed one.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from ferclean.errors import FercleanError, WorkspaceBusyError

LOCK_NAME = "ferclean.lock"
HOLDER_NAME = "ferclean.lock.holder"

_inside = threading.local()


@contextmanager
def held(root: Path, action: str, *, timeout: float) -> Iterator[None]:
    """Hold the lock of the workspace at `root` while the block runs; `action` is what others are told.

    Raises WorkspaceBusyError after `timeout` seconds, naming the holder; FercleanError where nothing can be
    written; RuntimeError when this thread already holds it (a session inside a session can only wait for itself).
    """
    mine: dict[Path, str] = _inside.__dict__.setdefault("actions", {})
    if root in mine:
        raise RuntimeError(f"'{action}' was begun inside '{mine[root]}': a session lives for one action, end it first")
    lock = filelock.FileLock(root / LOCK_NAME, timeout=timeout, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise busy(root, holder(root), timeout) from None
    except OSError as error:
        raise FercleanError(
            f"cannot write in the workspace {root}: {error.strerror or error}; "
            "make the folder writable, or choose another with --workspace"
        ) from error
    mine[root] = action
    try:
        _tell(root, action)
        yield
    finally:
        del mine[root]
        _untell(root)
        lock.release()


def _tell(root: Path, action: str) -> None:
    """Name this process in the holder file. A full disk must not stop an action over a courtesy to others."""
    note = json.dumps({"pid": os.getpid(), "action": action})
    try:
        (root / HOLDER_NAME).write_text(note, encoding="utf-8")
    except OSError:
        _untell(root)


def _untell(root: Path) -> None:
    # a note that cannot be removed misleads nobody: it is read only while the lock is held, and then written anew
    with suppress(OSError):
        (root / HOLDER_NAME).unlink(missing_ok=True)


def holder(root: Path) -> str:
    """Who holds the lock, in words."""
    try:
        note = json.loads((root / HOLDER_NAME).read_text(encoding="utf-8"))
        return f"process {int(note['pid'])} ({note['action']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def busy(root: Path, who: str, timeout: float) -> WorkspaceBusyError:
    """The error for a workspace that stayed taken for `timeout` seconds."""
    return WorkspaceBusyError(
        f"the workspace {root} is in use by {who}; waited {timeout:g} s; try again when it is done, or end that process"
    )
