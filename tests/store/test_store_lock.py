"""The queue at the workspace's door: everybody in turn, readers side by side, the dead never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ferclean.errors import WorkspaceBusyError
from ferclean.store import lock
from ferclean.store.decisions import Decision, append_decisions, current_decisions, decision_history
from ferclean.store.workspace import Workspace
from tests.bare_workspace import bare, held_by_another

KILLED = """
import os, signal, sys
from pathlib import Path
from ferclean.store import lock
with lock.held(Path(sys.argv[1]), "dying", timeout=5, shared=sys.argv[2] == "read"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def tickets(root: Path) -> list[str]:
    return [name for name in os.listdir(root) if name.startswith(lock.LOCK_NAME + ".")]


def test_turns_come_in_the_order_of_asking_however_eager_the_others_are(tmp_path: Path) -> None:
    turns: list[str] = []
    stop = threading.Event()

    def greedy(name: str) -> None:
        while not stop.is_set():
            with lock.held(tmp_path, name, timeout=10):
                turns.append(name)
                time.sleep(0.02)

    threads = [threading.Thread(target=greedy, args=(f"greedy{i}",)) for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            before = len(turns)
            with lock.held(tmp_path, "modest", timeout=10):
                turns.append("modest")
            # at most: one in the middle, two in the queue, and each of them once more before this one had its ticket
            assert len(turns) - before <= 7
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert tickets(tmp_path) == []


@pytest.mark.parametrize("shared", [False, True])
def test_a_killed_holder_is_not_waited_for_and_its_ticket_goes(tmp_path: Path, shared: bool) -> None:
    for how in ("write", "read"):
        done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), how], check=False, timeout=60)
        assert done.returncode == -9
        assert len(tickets(tmp_path)) == 1
        started = time.monotonic()
        with lock.held(tmp_path, "living", timeout=5, shared=shared):
            assert len(tickets(tmp_path)) == 1
        assert time.monotonic() - started < 1
        assert tickets(tmp_path) == []


def test_who_gives_up_leaves_the_queue(tmp_path: Path) -> None:
    with held_by_another(tmp_path):
        for shared in (False, True):
            with (
                pytest.raises(WorkspaceBusyError, match=rf"process {os.getpid()} \(holding on\)"),
                lock.held(tmp_path, "hasty", timeout=0.05, shared=shared),
            ):
                pass
        assert len(tickets(tmp_path)) == 1


def test_readers_read_side_by_side_and_a_writer_waits_for_them(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path, timeout=0.3)
    together = threading.Barrier(3, timeout=10)
    failed: list[BaseException] = []

    def read() -> None:
        try:
            with ws.reading("reading"):
                together.wait()
                together.wait()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    together.wait()
    try:
        with pytest.raises(WorkspaceBusyError, match=r"\(reading\)"):
            append_decisions(ws, [Decision(sample_id=ids[0], action="keep", reviewer="ann")])
    finally:
        together.wait()
        for thread in threads:
            thread.join()
    assert failed == []
    assert decision_history(ws).empty


def test_a_reader_that_comes_after_a_waiting_writer_sees_what_it_wrote(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    seen: list[int] = []
    with ws.reading("first"):
        writer = threading.Thread(
            target=append_decisions, args=(ws, [Decision(sample_id=ids[0], action="keep", reviewer="ann")])
        )
        writer.start()
        while len(tickets(ws.root)) < 2:
            time.sleep(0.01)
        reader = threading.Thread(target=lambda: seen.append(len(decision_history(ws))))
        reader.start()
        time.sleep(0.1)
        assert seen == []
    writer.join()
    reader.join()
    assert seen == [1]


def test_a_reading_inside_a_reading_sees_the_same_moment_and_a_session_inside_is_refused(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    with ws.reading("outer") as outer:
        with ws.reading("inner") as inner:
            assert inner is outer
        assert current_decisions(ws).empty
        with pytest.raises(RuntimeError, match="'deciding' was begun inside 'outer'"):
            append_decisions(ws, [Decision(sample_id=ids[0], action="keep", reviewer="ann")])
        with pytest.raises(Exception, match="read-only"):
            outer.execute("DELETE FROM decision")
    append_decisions(ws, [Decision(sample_id=ids[0], action="keep", reviewer="ann")])
    assert len(current_decisions(Workspace.open(ws.root))) == 1
