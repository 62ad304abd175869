"""Who is at a piece of work: a small file that one living process holds, so that several never do the same twice.

It guards no data: work is written whole or not at all, so two at once would only be work done twice.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ferclean.files import free_lock, lock_of_the_dead, make_locked
from ferclean.processes import may_live, this_process

HEARTBEAT = 5.0
"""Seconds between two signs of life of who holds a lease."""
STALE = 120.0
"""Seconds without one after which a holder counts as dead: one of another machine cannot be seen in any other way."""


@contextmanager
def leased(path: Path) -> Iterator[bool]:
    """Hold the lease at `path` while the block runs: True, or False at once while another living process holds it.

    The file names process and host, and its time is the last sign of life. A dead process's lease is taken over: the
    system frees its lock, or it gives no sign of life any longer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _take(path)
    if lock is None:
        yield False
        return
    # others are told who this is; a full disk must not stop the work over a courtesy
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.write(lock, json.dumps(this_process()).encode())
    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, done), daemon=True)
    beating.start()
    try:
        yield True
    finally:
        done.set()
        beating.join()
        _give_back(path, lock)


def holder(path: Path) -> str:
    """Whose lease it is, in words."""
    try:
        process = json.loads(path.read_text("utf-8"))
        return f"process {int(process['pid'])} of {process['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _take(path: Path) -> int | None:
    lock = make_locked(path)
    if lock is None:
        lock = lock_of_the_dead(path)
    if lock is None and _gone(path):
        path.unlink(missing_ok=True)
        lock = make_locked(path)
    return lock


def _gone(path: Path) -> bool:
    """Whether the holder is known to have ended, or has given no sign of life for long."""
    try:
        return time.time() - path.stat().st_mtime > STALE or not may_live(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):  # just taken or just given back: ask again
        return False


def _beat(path: Path, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT):
        with suppress(OSError):
            os.utime(path)


def _give_back(path: Path, lock: int) -> None:
    with suppress(OSError):
        if os.path.samestat(os.fstat(lock), os.stat(path)):  # somebody who took us for dead has another
            if os.name == "nt":
                free_lock(lock)  # an open file cannot be removed there
                path.unlink(missing_ok=True)
                return
            path.unlink(missing_ok=True)
    free_lock(lock)
