"""How long do other verbs wait while three people decide without a pause? And is a decision lost?

Writers append decisions one after another, each in a process of its own, while `status`, `decide` and `export` run in
loops. A verb's waiting time is how long a call took beyond the median of the same call with nobody else there.

    python pipelines/lock_waiting.py --decisions 500 --json FILE
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.errors import WorkspaceBusyError
from ferclean.sources.drawn_faces.drawing import draw_set
from ferclean.steps import decide, export, ingest, status
from ferclean.store.decisions import Decision, append_decisions, decision_history
from ferclean.store.samples import get_samples
from ferclean.store.version import code_version
from ferclean.store.workspace import Workspace
from pipelines.heading import write_figures

WRITERS = 3
ALONE = 8
"""Calls of each verb with nobody else there."""


def write(root: str, number: int, count: int, go: Event, told: Any) -> None:
    """Append `count` decisions, each in a session of its own, and tell their ids."""
    ids = list(get_samples(Workspace.open(root))["sample_id"])
    go.wait()
    found: list[int] = []
    busy = 0
    while len(found) < count:
        one = Decision(sample_id=ids[len(found) % len(ids)], action="keep", reviewer=f"writer{number}")
        try:
            found += append_decisions(Workspace(Path(root)), [one])
        except WorkspaceBusyError:
            busy += 1
    told.put((found, busy))


def calls_of(name: str, root: str) -> Callable[[int], Any]:
    """The verb `name` as one call, with the number of the turn."""
    if name == "status":
        return lambda turn: status.status(Workspace.open(root))
    if name == "decide":
        actions = ("keep", "exclude")
        return lambda turn: decide.decide(
            Workspace.open(root), "train_00001", actions[turn % 2], reviewer="other", dry_run=False
        )
    out = Path(root).parent / "out.parquet"
    return lambda turn: export.export(Workspace.open(root), form="table", out=out, overwrite=True)


def repeat(name: str, root: str, go: Event, stop: Event, told: Any) -> None:
    """Time the verb: `ALONE` calls before `go`, then one after another until `stop`."""
    call = calls_of(name, root)
    alone, beside, busy = [], [], 0
    call(0)  # the first one imports
    for turn in range(ALONE):
        started = time.perf_counter()
        call(turn)
        alone.append(time.perf_counter() - started)
    told.put(name)
    go.wait()
    turn = 0
    while not stop.is_set():
        started = time.perf_counter()
        try:
            call(turn)
        except WorkspaceBusyError:
            busy += 1
        beside.append(time.perf_counter() - started)
        turn += 1
    told.put((name, alone, beside, busy))


def measure(folder: Path, count: int) -> dict[str, Any]:
    """The result: per verb its turns, timeouts and seconds; of the writers what was acknowledged and stored."""
    draw_set(folder / "set", train=60, test=20, seed=3)
    root = str(folder / "W")
    ingest.ingest(Workspace.create(root), "drawn_faces", folder / "set")
    context = multiprocessing.get_context("spawn")
    go, stop, written, told = context.Event(), context.Event(), context.Queue(), context.Queue()
    verbs = []
    for name in ("status", "decide", "export"):  # one by one: alone means alone
        verbs.append(context.Process(target=repeat, args=(name, root, go, stop, told)))
        verbs[-1].start()
        told.get(timeout=120)
    writers = [context.Process(target=write, args=(root, i, count, go, written)) for i in range(WRITERS)]
    for writer in writers:
        writer.start()
    time.sleep(5)  # until all have imported
    started = time.perf_counter()
    go.set()
    acknowledged: list[int] = []
    refused = 0
    for _ in writers:
        found, busy = written.get()
        acknowledged += found
        refused += busy
    seconds = time.perf_counter() - started
    stop.set()
    rows = {}
    for _ in verbs:
        name, alone, beside, busy = told.get()
        waited = np.maximum(np.array(beside) - np.median(alone), 0)
        p50, p95 = np.quantile(waited, [0.5, 0.95])
        rows[name] = {
            "turns": len(beside), "timeouts": busy, "alone": float(np.median(alone)), "p50": float(p50),
            "p95": float(p95), "largest": float(waited.max()),
        }  # fmt: skip
    for process in (*writers, *verbs):
        process.join()
    stored = set(decision_history(Workspace.open(root))["decision_id"])
    return {
        "code": code_version(), "writers": WRITERS, "decisions": count, "seconds": seconds,
        "acknowledged": len(acknowledged), "lost": len(set(acknowledged) - stored), "writers_timeouts": refused,
        "verbs": rows,
    }  # fmt: skip


def shown(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    lines = ["| verb | turns | timeouts | s alone | waits p50 | p95 | largest |", "|---|---|---|---|---|---|---|"]
    for name, row in sorted(result["verbs"].items()):
        times = " | ".join(f"{row[key]:.2f}" for key in ("alone", "p50", "p95", "largest"))
        lines.append(f"| {name} | {row['turns']} | {row['timeouts']} | {times} |")
    lines.append(
        f"\n{result['acknowledged']} decisions of {WRITERS} writers in {result['seconds']:.0f} s "
        f"({result['writers_timeouts']} timeouts), {result['lost']} lost; {result['code']}"
    )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 when a decision was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=500, help="Of each writer.")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        result = measure(Path(name), options.decisions)
    print(shown(result))
    if options.json is not None:
        write_figures(options.json, result)
    return int(result["lost"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
