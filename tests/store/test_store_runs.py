"""A run that broke off never looks as if it were under way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ferclean import processes
from ferclean.leases import STALE
from ferclean.store import runs
from ferclean.store.exchange import to_json
from ferclean.store.workspace import Workspace
from tests.bare_workspace import bare

ABOUT = {"kind": "score", "method": "m", "config": {}, "seed": 0, "fingerprint": "f"}

KILLED = """
import os, signal, sys
from ferclean.store import runs
from ferclean.store.workspace import Workspace
ws = Workspace.open(sys.argv[1])
runs.start_run(ws, kind="score", method="killed", config={}, seed=0, fingerprint="f")
print(runs.list_runs(ws)[0].state, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def only_run(ws: Workspace) -> runs.Run:
    (run,) = runs.list_runs(ws)
    return run


@pytest.mark.parametrize(
    ("error", "state", "metrics"),
    [
        (KeyboardInterrupt(), "interrupted", {}),
        (ValueError("out of memory"), "failed", {"error": "out of memory"}),
        (MemoryError(), "failed", {"error": "MemoryError"}),
        (ValueError("\udcff.png"), "failed", {"error": "\\udcff.png"}),
    ],
)
def test_a_run_that_breaks_off_is_marked_and_the_error_goes_on(
    tmp_path: Path, error: BaseException, state: str, metrics: dict[str, str]
) -> None:
    ws, _ = bare(tmp_path)

    def work() -> None:
        with runs.running(ws, **ABOUT):  # type: ignore[arg-type]
            assert only_run(ws).state == "running"
            raise error

    with pytest.raises(type(error)):
        work()
    run = only_run(ws)
    assert (run.state, run.metrics) == (state, metrics)
    assert run.finished_at is not None


def test_what_was_finished_stays_done_though_the_block_is_stopped(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)

    def work() -> None:
        with runs.running(ws, **ABOUT | {"kind": "retrain"}) as identity:  # type: ignore[arg-type]
            runs.finish_run(ws, identity, {"pairs": 1})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert (only_run(ws).state, only_run(ws).metrics) == ("done", {"pairs": 1})


def test_a_run_whose_process_was_killed_is_read_as_interrupted(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(ws.root)], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (-signal.SIGKILL, "running"), done.stderr
    assert only_run(ws).state == "interrupted"


def test_only_a_process_that_is_known_to_be_gone_is_taken_for_dead(tmp_path: Path) -> None:
    me = processes.this_process()
    assert processes.may_live(me)
    # the same pid, another beginning: a later process
    assert not processes.may_live(me | {"began": "1"})
    assert not processes.may_live(None)
    # another machine's cannot be seen from here
    assert processes.may_live(me | {"host": "elsewhere", "began": "1"})
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    there = me | {"pid": child.pid, "began": processes._began(child.pid)}
    assert processes.may_live(there)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    # nobody has asked for its end yet: a zombie computes nothing
    assert not processes.may_live(there)
    child.communicate()
    assert not processes.may_live(there)


def test_a_run_whose_process_is_gone_or_was_never_named_is_interrupted(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)
    identity = runs.start_run(ws, **ABOUT)  # type: ignore[arg-type]
    for process in (None, to_json([{"host": processes.this_process()["host"], "pid": 2**22 + 1, "began": "7"}])):
        with ws.session("as it was left") as con:
            con.execute("UPDATE run SET process = ? WHERE run_id = ?", [process, identity])
        assert only_run(ws).state == "interrupted"


JOINED = """
import sys
from ferclean.store import runs
from ferclean.store.workspace import Workspace
ws = Workspace.open(sys.argv[1])
with runs.running(ws, kind="retrain", method="m", config={}, seed=0, fingerprint="f"):
    print("at it", flush=True)
    input()
"""


def test_a_run_is_under_way_while_one_of_its_processes_lives_and_the_last_one_says_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, _ = bare(tmp_path)

    def stopped(other: subprocess.Popen[str]) -> None:
        with runs.running(ws, **ABOUT | {"kind": "retrain"}):  # type: ignore[arg-type]
            assert other.stdout is not None
            assert other.stdout.readline() == "at it\n"
            assert len(list(ws.runs.glob("*.lease"))) == 2
            raise KeyboardInterrupt

    other = subprocess.Popen(
        [sys.executable, "-c", JOINED, str(ws.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        with pytest.raises(KeyboardInterrupt):
            stopped(other)
        assert only_run(ws).state == "running"
        first = only_run(ws)
        monkeypatch.setattr(runs, "code_version", lambda: "later")
        with runs.running(ws, metrics={"accepted": True}, **ABOUT | {"kind": "retrain"}) as identity:  # type: ignore[arg-type]
            joined = only_run(ws)
            assert (joined.started_at, joined.code_version) == (first.started_at, first.code_version)
            assert joined.metrics == {"accepted": True}
            other.kill()
            other.wait()
            assert only_run(ws).state == "running"
            runs.finish_run(ws, identity)
        # whoever stored what it says is whom its version names
        assert (only_run(ws).state, only_run(ws).code_version) == ("done", "later")
        monkeypatch.setattr(runs, "code_version", lambda: "last")
        runs.renew_run(ws, identity)
        assert (only_run(ws).state, only_run(ws).code_version) == ("done", "later")
        assert list(ws.runs.iterdir()) == []
    finally:
        other.kill()
        other.communicate()


def test_a_process_of_another_machine_is_at_a_run_as_long_as_it_gives_signs_of_life(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)
    identity = runs.start_run(ws, **ABOUT)  # type: ignore[arg-type]
    there = processes.this_process() | {"host": "else/where"}
    with ws.session("as it left it") as con:
        con.execute("UPDATE run SET process = ? WHERE run_id = ?", [to_json([there]), identity])
    assert only_run(ws).state == "interrupted"
    sign = ws.runs / f"{identity}.else_where.{os.getpid()}.lease"
    sign.parent.mkdir()
    sign.touch()
    assert only_run(ws).state == "running"
    long_ago = sign.stat().st_mtime - 2 * STALE
    os.utime(sign, (long_ago, long_ago))
    assert only_run(ws).state == "interrupted"
    runs.start_run(ws, **ABOUT)  # type: ignore[arg-type]
    assert not sign.exists()


def test_a_process_of_another_machine_that_was_silent_is_at_the_run_again_with_its_next_sign_of_life(
    tmp_path: Path,
) -> None:
    ws, _ = bare(tmp_path)
    identity = runs.start_run(ws, **ABOUT)  # type: ignore[arg-type]
    there = processes.this_process() | {"host": "elsewhere"}
    with ws.session("as it left it") as con:
        con.execute("UPDATE run SET process = ? WHERE run_id = ?", [to_json([there]), identity])

    def stopped() -> None:
        with runs.running(ws, **ABOUT):  # type: ignore[arg-type]
            (ws.runs / f"{identity}.elsewhere.{os.getpid()}.lease").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert only_run(ws).state == "running"


def test_a_run_names_no_process_that_gives_no_sign_of_life_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws, _ = bare(tmp_path)
    start, leases = runs.start_run, list[Path]()

    def started(*args: Any, **inputs: Any) -> str:
        leases.extend(ws.runs.glob("*.lease"))
        return start(*args, **inputs)

    monkeypatch.setattr(runs, "start_run", started)
    with runs.running(ws, **ABOUT):  # type: ignore[arg-type]
        assert len(leases) == 1
