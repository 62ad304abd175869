"""A lease is held by one living process, and passes from the dead to the next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ferclean import leases
from ferclean.leases import STALE, Work, holder, leased, share
from ferclean.progress import Progress

HOLDING = """
import sys, time
from pathlib import Path
from ferclean.leases import leased
with leased(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_a_lease_names_its_process_and_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.lease"
    with leased(path) as mine:
        assert mine
        assert json.loads(path.read_text("utf-8"))["pid"] == os.getpid()
        assert holder(path).startswith(f"process {os.getpid()} of ")
        with leased(path) as second:
            assert not second
        assert path.exists()
    assert list(path.parent.iterdir()) == []
    assert holder(path) == "another process"


def test_a_living_process_keeps_its_lease_and_a_killed_one_loses_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lease"
    child = subprocess.Popen([sys.executable, "-c", HOLDING, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        with leased(path) as mine:
            assert not mine
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert path.exists()
        with leased(path) as mine:
            assert mine
    finally:
        child.kill()
        child.communicate()
    assert not path.exists()


def long_silent(path: Path) -> None:
    long_ago = path.stat().st_mtime - 2 * STALE
    os.utime(path, (long_ago, long_ago))


def elsewhere(path: Path) -> None:
    """Let the holder be one of another machine."""
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"host": "elsewhere"}), "utf-8")


def unnamed(path: Path) -> None:
    """Let the lease be as on a full disk."""
    path.write_text("", "utf-8")


def test_a_holder_of_this_machine_keeps_its_lease_whatever_the_clock_says(tmp_path: Path) -> None:
    path = tmp_path / "a.lease"
    with leased(path):
        long_silent(path)
        with leased(path) as second:
            assert not second


def test_a_holder_that_nobody_can_see_keeps_its_lease_while_it_gives_signs_of_life(tmp_path: Path) -> None:
    path = tmp_path / "a.lease"
    for unseen in (elsewhere, unnamed):
        with leased(path):
            unseen(path)
            with leased(path) as second:
                assert not second
            long_silent(path)
            with leased(path) as second:
                assert second


def test_a_holder_without_a_sign_of_life_is_taken_for_dead_and_takes_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "a.lease"
    with leased(path) as mine:
        assert mine
        elsewhere(path)
        long_silent(path)
        with leased(path) as taken_over:
            assert taken_over
            with leased(path) as third:
                assert not third
    # the first one came back to a lease that was no longer its own, after the second had given it back
    assert not path.exists()


def test_a_living_holder_makes_a_lost_lease_again_but_not_over_anothers_and_not_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, deadline = tmp_path / "a.lease", time.monotonic() + 60
    monkeypatch.setattr(leases, "HEARTBEAT", 0.01)

    def until_named() -> None:
        while holder(path) == "another process":
            assert time.monotonic() < deadline
            time.sleep(0.01)

    with leased(path):
        path.unlink()
        until_named()
        with leased(path) as second:
            assert not second
        other = tmp_path / "other"
        other.write_text("somebody else's", "utf-8")
        long_silent(other)
        other.replace(path)
        before = path.stat().st_mtime
        time.sleep(0.1)  # some beats
        assert (path.read_text("utf-8"), path.stat().st_mtime) == ("somebody else's", before)
        path.unlink()
        until_named()
    assert not path.exists()


def test_who_is_waited_for_is_told_and_stands_in_the_bar_of_progress(tmp_path: Path) -> None:
    path, told, shown = tmp_path / "a.lease", list[str](), list[str]()

    def show(description: str, done: int, total: int) -> None:
        shown.append(description)

    def read() -> bool | None:
        return bool(told) or None  # its holder has ended

    def make(progress: Progress) -> bool:
        raise AssertionError("somebody is at it")

    with leased(path):
        line = f"waiting for {holder(path)}, which is at a fold"
        work = Work(title="a fold", lease=path, read=read, make=make)
        assert [done.reused for done in share([work], progress=show, tell=told.append)] == [True]
    assert told == shown == [line]
