"""Runs: what was computed, by which method, with which settings, on which data.

A run can always be thrown away and computed again; its id says whether that is needed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

from ferclean.errors import FercleanError, UsageError
from ferclean.leases import alive, leased
from ferclean.processes import may_live, this_process
from ferclean.store import run_files
from ferclean.store.exchange import now, rows, to_json
from ferclean.store.version import code_version
from ferclean.store.workspace import Workspace

State = Literal["running", "done", "failed", "interrupted", "deleted"]
_COLUMNS = (
    "run_id, kind, method, config, seed, fingerprint, code_version, state, started_at, finished_at, metrics, process"
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One computation: method + config + seed + data."""

    run_id: str
    kind: str
    """score, triage, retrain, pairs, demo ..."""
    method: str
    config: dict[str, Any]
    seed: int
    fingerprint: str
    """Of the samples and given labels that it read."""
    code_version: str
    """ferclean's version, with the commit where it ran from a checkout: of the process that ended it, and before that
    of the one that started it. Others may have done parts of it, as before an interruption."""
    state: State
    """`interrupted` also where all processes that computed it are gone without a word, as after `kill -9`; `deleted`
    where it was done and the file that it is read for is there no longer (`run_files.NEEDED`): it must be computed
    again."""
    started_at: datetime
    finished_at: datetime | None
    metrics: dict[str, Any]

    lacking: tuple[str, ...] = ()
    """Files that it wrote when it was done and that are there no longer, or cut off; neighbours are not among them:
    they are sought again by whoever needs them."""


class Inputs(TypedDict):
    """What a run is a function of, and its id with it."""

    kind: str
    method: str
    config: dict[str, Any]
    seed: int
    fingerprint: str


def run_id(kind: str, method: str, config: dict[str, Any], seed: int, fingerprint: str) -> str:
    """The id of a run with these inputs, the same on any machine: `kind-method-digest`; safe as a file name."""
    digest = hashlib.sha256(to_json([kind, method, config, int(seed), fingerprint]).encode()).hexdigest()[:12]
    return "-".join([*(re.sub(r"[^A-Za-z0-9_.]+", "_", part).strip(".") for part in (kind, method)), digest])


def start_run(
    ws: Workspace, *, metrics: dict[str, Any] | None = None, stays_done: bool = False, **inputs: Unpack[Inputs]
) -> str:
    """Say that a run is under way and return its id. A run that was started before, in any state, runs anew, but where
    other living processes are at it, this one joins them; `stays_done` as in `running`.

    What it had stored stays until it is put again, so that an interrupted run can go on: ask `get_run` first
    whether there is anything to do. `metrics` hold from the start, also where the run breaks off.
    """
    identity = run_id(**inputs)
    with ws.session(f"starting {inputs['kind']}") as con:
        held = rows(con, "SELECT state, process, metrics FROM run WHERE run_id = ?", [identity])
        state, processes, known = held[0] if held else (None, None, "{}")
        if stays_done and state == "done" and run_files.complete(ws, identity, inputs["kind"]):
            return identity
        others = _others(ws, identity, processes)
        at_it = to_json([*others, this_process()])
        if any(_heard(ws, identity, one) for one in others):
            both = to_json(json.loads(known) | (metrics or {}))
            con.execute("UPDATE run SET process = ?, metrics = ? WHERE run_id = ?", [at_it, both, identity])
            return identity
        con.execute("DELETE FROM run WHERE run_id = ?", [identity])
        con.execute(
            f"INSERT INTO run ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, 'running', ?, NULL, ?, ?)",  # noqa: S608
            [
                identity, inputs["kind"], inputs["method"], to_json(inputs["config"]), int(inputs["seed"]),
                inputs["fingerprint"], code_version(), now(), to_json(metrics or {}), at_it,
            ],
        )  # fmt: skip
    return identity


@contextmanager
def running(
    ws: Workspace, *, metrics: dict[str, Any] | None = None, stays_done: bool = False, **inputs: Unpack[Inputs]
) -> Iterator[str]:
    """Start a run, or join the processes that are at it, and give its id; the block ends it with `finish_run`.

    A block that is stopped (Ctrl-C) leaves it `interrupted`, one that fails leaves it `failed` with the reason: never
    `running`, also in a notebook, whose process lives on; but while others are at it, it goes on. Meanwhile a lease
    gives signs of life, which other machines see. With `stays_done` a run that is done and has its file stays so until
    the block ends it anew: for a block that replaces what is read at its end only.
    """
    identity = run_id(**inputs)
    # signs of life come first: whoever reads the run as soon as it names this process looks for them
    with leased(_lease(ws, identity, this_process())):
        start_run(ws, metrics=metrics, stays_done=stays_done, **inputs)
        try:
            yield identity
        except BaseException as error:
            # where the workspace itself is the trouble, the first error is told; the dead process tells the rest
            with suppress(FercleanError):
                if isinstance(error, Exception):
                    reason = str(error).encode("utf-8", "backslashreplace").decode() or type(error).__name__
                    _break_off(ws, identity, "failed", {"error": reason})
                else:
                    _break_off(ws, identity, "interrupted", {})
            raise


def finish_run(ws: Workspace, run_id: str, metrics: dict[str, Any] | None = None) -> None:
    """Say that a run is complete; `metrics` are kept with it. Raises UsageError for an unknown run."""
    with ws.session(f"ending {run_id}") as con:
        check_run(con, run_id)
        ((held,),) = rows(con, "SELECT process FROM run WHERE run_id = ?", [run_id])
        _others(ws, run_id, held)  # some may have been killed
        _end(con, run_id, "done", metrics or {})


def renew_run(ws: Workspace, run_id: str, metrics: dict[str, Any] | None = None) -> None:
    """Let a run that is done be the newest of its kind, as if it had been computed now: it was asked for again.

    `metrics` take the place of those that it had; None leaves them. It stays the work of whoever computed it.
    """
    with ws.session(f"renewing {run_id}") as con:
        con.execute(
            "UPDATE run SET finished_at = ?, metrics = coalesce(?, metrics) WHERE run_id = ? AND state = 'done'",
            [now(), None if metrics is None else to_json(metrics), run_id],
        )


def _break_off(ws: Workspace, run_id: str, state: State, metrics: dict[str, Any]) -> None:
    with ws.session(f"ending {run_id}") as con:
        # what was finished stays so, though the block went on and failed
        found = rows(con, "SELECT metrics, process FROM run WHERE run_id = ? AND state = 'running'", [run_id])
        for held, processes in found:
            others = _others(ws, run_id, processes)
            if any(_heard(ws, run_id, one) for one in others):
                con.execute("UPDATE run SET process = ? WHERE run_id = ?", [to_json(others), run_id])
            else:
                _end(con, run_id, state, json.loads(held) | metrics)


def _end(con: Any, run_id: str, state: State, metrics: dict[str, Any]) -> None:
    con.execute(
        "UPDATE run SET state = ?, finished_at = ?, metrics = ?, code_version = ?, process = NULL WHERE run_id = ?",
        [state, now(), to_json(metrics), code_version(), run_id],
    )


def _processes(held: str | None) -> list[dict[str, Any]]:
    """What stands in the column `process`."""
    return [] if held is None else json.loads(held)


def _others(ws: Workspace, run_id: str, held: str | None) -> list[dict[str, Any]]:
    """The processes but this one that are at a run and are not known to have ended; what the silent left is removed.

    One of another machine that only fell silent stays named: suspended, it comes back and gives signs of life again.
    """
    for one in _processes(held):
        if not _heard(ws, run_id, one):
            _lease(ws, run_id, one).unlink(missing_ok=True)
    return [one for one in _processes(held) if may_live(one) and one != this_process()]


def _heard(ws: Workspace, run_id: str, process: dict[str, Any]) -> bool:
    """Whether a process that was at a run still lives, by what is known here."""
    return alive(process, _lease(ws, run_id, process))


def _lease(ws: Workspace, run_id: str, process: dict[str, Any]) -> Path:
    """The lease by which a process that is at a run gives signs of life."""
    host = re.sub(r"[^A-Za-z0-9_.-]+", "_", process["host"])
    return ws.runs / f"{run_id}.{host}.{process['pid']}.lease"


def check_run(con: Any, run_id: str) -> None:
    """Raise UsageError, inside a session, unless the run was started."""
    if not rows(con, "SELECT 1 FROM run WHERE run_id = ?", [run_id]):
        raise UsageError(f"unknown run {run_id!r}; `ferclean status` lists the runs")


def get_run(ws: Workspace, run_id: str) -> Run | None:
    """The run in whatever state it is; None when it was never started."""
    with ws.reading("reading runs") as con:
        found = rows(con, f"SELECT {_COLUMNS} FROM run WHERE run_id = ?", [run_id])  # noqa: S608 - own names only
    return _run(ws, found[0]) if found else None


def source_of(con: Any, ws: Workspace, run_id: str | None, file: str) -> run_files.Source:
    """`run_files.source` of one run, or of none, inside a session; empty while the run has no such file.

    Raises UsageError for an unknown run, and FercleanError for one that was ended well and whose file was deleted.
    """
    if run_id is not None:
        check_run(con, run_id)
    done = rows(con, "SELECT 1 FROM run WHERE run_id = ? AND state = 'done'", [run_id])
    return run_files.source(ws, run_id, file, finished=bool(done))


def latest_run(ws: Workspace, kind: str, method: str | None = None) -> Run | None:
    """The run of a kind (and method) that was done last; None when none is done, or when that one's files were deleted:
    an earlier one would answer for other labels, settings or decisions, and nobody would know."""
    with ws.reading("reading runs") as con:
        identity = latest_done(con, ws, kind, method)
        return get_run(ws, identity) if identity else None


def latest_done(con: Any, ws: Workspace, kind: str, method: str | None = None) -> str | None:
    """The id of `latest_run`, inside a session."""
    newest = next(iter(finished(con, kind, method)), None)
    return newest if newest is not None and run_files.complete(ws, newest, kind) else None


def newest_verdicts(con: Any, ws: Workspace, *, lost_ok: bool = False) -> tuple[str | None, run_files.Source]:
    """The triage run that was done last and what its verdicts are read by, inside a session; None and no row where
    nothing was ever triaged.

    Raises FercleanError where its file was deleted or cut off: that is not the same. With `lost_ok` it is, for those
    who tell of it themselves (`again.deleted_in_words`) or need no verdict.
    """
    newest = latest_done(con, ws, "triage") if lost_ok else next(iter(finished(con, "triage")), None)
    return newest, run_files.source(ws, newest, "verdicts", finished=True)


def lost_behind_verdicts(ws: Workspace) -> list[Run]:
    """Of the triage run that was done last and the scorings that it read, those whose files were deleted or cut off."""
    with ws.reading("reading runs") as con:
        newest = next((get_run(ws, run_id) for run_id in finished(con, "triage")), None)
        behind = [] if newest is None else [newest, *(get_run(ws, one) for one in newest.config.get("score_runs", []))]
    return [run for run in behind if run is not None and not run_files.complete(ws, run.run_id, run.kind)]


def finished(con: Any, kind: str, method: str | None = None) -> list[str]:
    """The ids of the runs of a kind (and method) that were ended well, the last first, whatever became of their files;
    inside a session."""
    found = rows(
        con,
        "SELECT run_id FROM run WHERE state = 'done' AND kind = $kind AND ($method IS NULL OR method = $method) "
        "ORDER BY finished_at DESC, rowid DESC",
        {"kind": kind, "method": method},
    )
    return [run_id for (run_id,) in found]


def list_runs(ws: Workspace) -> list[Run]:
    """All runs, oldest first."""
    with ws.reading("reading runs") as con:
        found = rows(con, f"SELECT {_COLUMNS} FROM run ORDER BY started_at, run_id")  # noqa: S608 - own names only
    return [_run(ws, row) for row in found]


def _run(ws: Workspace, row: tuple[Any, ...]) -> Run:
    state: State = row[7]
    if state == "running" and not any(_heard(ws, row[0], one) for one in _processes(row[11])):
        state = "interrupted"
    config = json.loads(row[3])
    lacking = run_files.lacking(ws, row[0], row[1], config) if state == "done" else ()
    if run_files.NEEDED.get(row[1]) in lacking:
        state = "deleted"
    return Run(
        run_id=row[0], kind=row[1], method=row[2], config=config, lacking=lacking, seed=row[4], fingerprint=row[5],
        code_version=row[6], state=state, started_at=row[8].replace(tzinfo=UTC),
        finished_at=None if row[9] is None else row[9].replace(tzinfo=UTC), metrics=json.loads(row[10]),
    )  # fmt: skip
