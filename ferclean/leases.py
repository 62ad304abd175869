"""Who is at a piece of work: a small file that one living process holds, so that several share work, not repeat it.

It guards no data: work is written whole or not at all, so two at once would only be work done twice. That happens
between machines, where one was suspended for over two minutes, or its clock and the file server's are further apart.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ferclean.derived import DamagedFileError
from ferclean.errors import WorkspaceBusyError
from ferclean.files import free_lock, lies_at, lock_of_the_dead, make_locked, telling
from ferclean.processes import is_here, may_live, this_process
from ferclean.progress import Progress, Tell, silent, unheard

T = TypeVar("T")

HEARTBEAT = 5.0
"""Seconds between two signs of life of who holds a lease."""
STALE = 120.0
"""Seconds without one after which a holder on another machine counts as dead: it cannot be seen in any other way. The
file server's clock stamps the sign and the reader's judges it, so they must agree within this."""
BESIDE = ".lease"
"""Behind a folder's name, its lease."""
_PAUSE = 0.5
"""Seconds between two looks at what other processes are at."""


@dataclass(frozen=True, kw_only=True)
class Work(Generic[T]):
    """One piece of work for which several processes may be asked, and which one of them does."""

    title: str
    """How it is called where people are told who is at it."""
    lease: Path | None
    """None where nothing of it is kept: then each process does it for itself."""
    read: Callable[[], T | None]
    """What was made before, by whomever; None where there is nothing, or where it is to be made again. Where it raises
    DamagedFileError, that is told and it is made again: that is what was asked for, and all else is kept."""
    make: Callable[[Progress], T]
    """Do it, and keep it whole or not at all."""


@dataclass(frozen=True, kw_only=True)
class Done(Generic[T]):
    """A piece of work that is there: its place among those asked for, what it is, and whether somebody else made it."""

    place: int
    value: T
    reused: bool


def share(work: Sequence[Work[T]], *, progress: Progress = silent, tell: Tell = unheard) -> Iterator[Done[T]]:
    """Do all pieces that nobody has done, and yield each when it is there.

    Pieces that other living processes are at come last: they are read when they are there, and done here when their
    process has died. `progress` counts over all pieces, as if each had as many units; `tell` hears who is waited for,
    and `progress` shows it.
    """
    pending, told = deque(range(len(work))), ""
    while pending:
        moved = False
        for _ in range(len(pending)):
            place = pending.popleft()
            one, before = work[place], len(work) - len(pending) - 1

            def scaled(description: str, done: int, total: int, *, before: int = before) -> None:
                progress(description, before * total + done, len(work) * total)

            done = _once(place, one, scaled, tell)
            if done is None:
                pending.append(place)
            else:
                moved = True
                yield done
        if pending and not moved:
            first = work[pending[0]]
            line = "" if first.lease is None else f"waiting for {holder(first.lease)}, which is at {first.title}"
            if line != told:
                tell(line)
                progress(line, len(work) - len(pending), len(work))
                told = line
            time.sleep(_PAUSE)


def _once(place: int, work: Work[T], progress: Progress, tell: Tell) -> Done[T] | None:
    """None while another living process is at it."""
    if (known := _known(work, unheard)) is not None:
        return Done(place=place, value=known, reused=True)
    if work.lease is None:
        return Done(place=place, value=work.make(progress), reused=False)
    with leased(work.lease) as mine:
        if not mine:
            return None
        # another process may have finished it while we looked
        if (known := _known(work, tell)) is not None:
            return Done(place=place, value=known, reused=True)
        return Done(place=place, value=work.make(progress), reused=False)


def _known(work: Work[T], tell: Tell) -> T | None:
    try:
        return work.read()
    except DamagedFileError as error:
        tell(f"{work.title}: {error}")
        return None


@contextmanager
def leased(path: Path) -> Iterator[bool]:
    """Hold the lease at `path` while the block runs: True, or False at once while another living process holds it.

    The file names process and host, and its time is the last sign of life. A dead process's lease is taken over: the
    system frees its lock, or, on another machine, it gives no sign of life any longer. One that was taken for dead
    holds it again as soon as nobody else does. Raises FercleanError where nothing can be written.
    """
    with telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _take(path)
    if lock is None:
        yield False
        return
    _say_whose(lock)
    locks, done = [lock], threading.Event()
    beating = threading.Thread(target=_beat, args=(path, locks, done), daemon=True)
    beating.start()
    try:
        yield True
    finally:
        done.set()
        beating.join()
        for lock in locks:
            _give_back(path, lock)


def lease_of(folder: Path) -> Path:
    """The lease of a whole folder, which lies beside it."""
    return folder.with_name(f"{folder.name}{BESIDE}")


@contextmanager
def in_hand(folder: Path, what: str) -> Iterator[None]:
    """Hold the lease of `folder`, in which lies `what` that is taken in, while the block runs.

    Raises WorkspaceBusyError while another living process holds it.
    """
    with leased(lease_of(folder)) as mine:
        if not mine:
            whose = holder(lease_of(folder))
            raise WorkspaceBusyError(f"{whose} is taking in {what}; run the same line again after it")
        yield


def holder(path: Path) -> str:
    """Whose lease it is, in words."""
    try:
        process = _process(path)
    except OSError:
        process = None
    return "another process" if process is None else f"process {process['pid']} of {process['host']}"


def alive(process: dict[str, Any], path: Path) -> bool:
    """Whether the process that has the lease at `path` to itself may still be there; one of another machine must have
    given a sign of life there."""
    try:
        return may_live(process) and (is_here(process) or _fresh(path))
    except FileNotFoundError:
        return False


def _take(path: Path) -> int | None:
    lock = make_locked(path)
    if lock is None:
        lock = lock_of_the_dead(path)
    if lock is None and _gone(path):
        path.unlink(missing_ok=True)
        lock = make_locked(path)
    return lock


def _gone(path: Path) -> bool:
    """Whether the holder is known to have ended, or, where it cannot be seen, has given no sign of life for long."""
    try:
        process = _process(path)
        return not (may_live(process) if process is not None and is_here(process) else _fresh(path))
    except OSError:  # just given back: ask again
        return False


def _process(path: Path) -> dict[str, Any] | None:
    """Whose lease it is; None where that is not written there, as in one just taken or on a full disk. Raises OSError
    where there is no file."""
    try:
        process = json.loads(path.read_text("utf-8"))
        return {"host": str(process["host"]), "pid": int(process["pid"]), "began": process["began"]}
    except (ValueError, KeyError, TypeError):
        return None


def _fresh(path: Path) -> bool:
    """Whether there was a sign of life of late. Raises OSError where there is no file."""
    return time.time() - path.stat().st_mtime <= STALE


def _say_whose(lock: int) -> None:
    # others are told who this is; a full disk must not stop the work over a courtesy
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.write(lock, json.dumps(this_process()).encode())


def _beat(path: Path, locks: list[int], done: threading.Event) -> None:
    """Give signs of life. Where somebody took us for dead and removed the file it is made again, and its lock joins
    `locks`; another process's in its place is left alone."""
    while not done.wait(HEARTBEAT):
        with suppress(OSError):
            if lies_at(locks[-1], path):
                os.utime(path)
            elif (again := make_locked(path)) is not None:
                locks.append(again)
                _say_whose(again)


def _give_back(path: Path, lock: int) -> None:
    with suppress(OSError):
        if lies_at(lock, path):  # somebody who took us for dead has another
            if os.name == "nt":
                free_lock(lock)  # an open file cannot be removed there
                path.unlink(missing_ok=True)
                return
            path.unlink(missing_ok=True)
    free_lock(lock)
