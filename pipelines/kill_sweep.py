"""What is lost when a verb is killed at any moment? Each verb that writes, killed at random, looked at, and run again.

The faces are drawn and the recognizer is tiny: this measures the store and the files, not the labels.

    python pipelines/kill_sweep.py --kills 200 --seed 0

One process imports everything once and forks the verbs, so that a kill falls into the verb and not into its imports:
the moment is uniform over the time that the same verb took when it was left alone. After each kill the script counts
- lost: decisions that had been acknowledged (told on stdout, or returned to the review screen) and are not stored;
- half: results that look finished and are not whole (a torn bulk, a done run without all its rows, a release or an
  export that stands at its place and is not byte for byte the old or the new one);
- left: hidden drafts in the workspace or beside the target after the verb was run again, and tickets of the dead;
- shut: workspaces that do not open, or in which the same verb does not succeed afterwards.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ferclean import cli
from ferclean.exports import EXPORTS
from ferclean.review import desk
from ferclean.sources.drawn_faces.drawing import draw_set
from ferclean.steps import review
from ferclean.store.workspace import Workspace
from pipelines.kill_checks import BULK, BULKER, counted, digest, hidden, torn, unlike, unstored

LAZY = ("datasets", "ferclean.recognition.crossval", "ferclean.steps.report", "ferclean.steps.retrain", "safetensors")
"""What verbs import when they need it: before the first fork, so that no kill falls into an import."""

TINY = ["--epochs", "1", "--input-size", "32", "--batch-size", "16"]
SET = "{set}"
"""Stands for the folder of the drawn set in a command line."""
COUNTS = ("lost", "half", "left", "shut")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One verb on one copy of the workspace: what it does, and what must hold after a kill."""

    words: list[str]
    """The command line after `ferclean`, without the workspace; [] for the review screen's own calls."""
    fresh: bool = False
    """It begins without a workspace."""
    out: str | None = None
    """Where it exports to, beside the workspace."""
    before: list[str] = field(default_factory=list)
    """What stands at `out` before: the command line that makes it."""


EXPORTED = {form: "out.parquet" if module.SINGLE_FILE else "out" for form, module in EXPORTS.items()}
TRIALS: dict[str, Trial] = {
    "decide": Trial(words=["decide", "train_00001", "keep", "--reviewer", "ann"]),
    "bulk": Trial(words=["decide", "--from-file", "bulk.csv"]),
    "review": Trial(words=[]),
    "ingest": Trial(words=["ingest", "drawn_faces", SET], fresh=True),
    "ingest again": Trial(words=["ingest", "drawn_faces", SET]),
    "triage": Trial(words=["triage", "--random-share", "0.2"]),
    "release": Trial(words=["release", "v2", "--policy", "auto"]),
    "report": Trial(words=["report", "--out", "out.html", "--overwrite"], out="out.html"),
    **{
        f"export {form}": Trial(words=["export", "--form", form, "--release", "v1", "--out", out], out=out)
        for form, out in EXPORTED.items()
    },
    **{
        f"overwrite {form}": Trial(
            words=["export", "--form", form, "--release", "v1", "--out", out, "--overwrite"], out=out,
            before=["export", "--form", form, "--release", "original", "--out", out],
        )
        for form, out in EXPORTED.items()
    },
    "score": Trial(words=["score", "--methods", "cross_entropy", "--folds", "2", "--seed", "7", "--seeds", "1", *TINY]),
    "retrain": Trial(words=["retrain", "--method", "cross_entropy", "--seeds", "1", *TINY[:4]]),
}  # fmt: skip
SLOW = ("score", "retrain")


def forked(work: Callable[[], Any], *, kill_after: float | None = None) -> tuple[Any, bool]:
    """(what `work` returned, or what it printed when killed; whether it was killed), from a process of its own."""
    folder = Path(tempfile.mkdtemp())
    printed, result = folder / "printed", folder / "result.json"
    child = os.fork()
    if child == 0:
        output = os.open(printed, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", closefd=False)
        code = 1
        try:
            result.write_text(json.dumps(work()), "utf-8")
            code = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(code)
    killed = False
    if kill_after is not None:
        deadline = time.monotonic() + kill_after
        done = (0, 0)
        while time.monotonic() < deadline and done[0] == 0:
            time.sleep(min(0.002, max(deadline - time.monotonic(), 0)))
            done = os.waitpid(child, os.WNOHANG)
        if done[0] == 0:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            killed = os.WIFSIGNALED(status)
        else:
            status = done[1]
    else:
        status = os.waitpid(child, 0)[1]
    text = printed.read_text("utf-8") if printed.exists() else ""
    value = json.loads(result.read_text("utf-8")) if not killed and result.exists() else None
    shutil.rmtree(folder)
    if not killed and status != 0:
        raise RuntimeError(f"the process failed: {text[-2000:]}")
    return (text if value is None else [value, text]), killed


def verb(place: Path, words: Sequence[str]) -> Callable[[], int]:
    """A call of the command line in the folder `place`, on its workspace W."""

    def call() -> int:
        os.chdir(place)
        drawn = str(place.parent / "base" / "set")
        return cli.run([*(drawn if word == SET else word for word in words), "-w", "W", "--json"])

    return call


def sitting(place: Path) -> Callable[[], int]:
    """A person at the review screen: single faces and whole selections, each told once it is on the disk."""

    def sit() -> int:
        mine = desk.open_desk(Workspace.open(place / "W"), reviewer="sitter")
        faces = desk.select(mine, desk.Filters())
        for turn in range(6):
            chosen = faces[turn : turn + 1] if turn % 2 else faces[turn : turn + 5]
            for stands in review.decide_many(mine, chosen, "keep" if turn % 3 else "exclude"):
                print(json.dumps({"decision_ids": [stands.decision_id]}), flush=True)
        return 0

    return sit


def base(folder: Path) -> None:
    """A set, a workspace that was scored, judged and released once, and a file of decisions, in `folder`."""
    folder.mkdir()
    draw_set(folder / "set", train=48, test=24, seed=5, duplicates=0.05, broken=0.02, blank=0.02)
    keys = [f"train_{number:05d}" for number in range(2, 2 + BULK)]
    rows = pd.DataFrame({"source_key": keys, "action": "keep", "reviewer": BULKER})
    rows.to_csv(folder / "bulk.csv", index=False)
    for words in (
        ["ingest", "drawn_faces", SET],
        ["score", "--methods", "cross_entropy", "--folds", "2", "--seeds", "1", *TINY],
        ["triage"],
        ["release", "v1", "--policy", "auto"],
    ):
        value, _ = forked(verb(folder, words))
        if value[0] != 0:
            raise RuntimeError(f"{words} failed: {value[1]}")


def looked(place: Path, whole: dict[str, int], printed: str) -> tuple[list[str], int]:
    """What is torn in the workspace, and how many decisions that `printed` acknowledged are not stored."""
    return torn(place, whole), unstored(place, printed)


@dataclass
class Row:
    """What the kills of one verb did."""

    seconds: float = 0.0
    kills: int = 0
    inside: int = 0
    """Kills that found the verb running, not just ended."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    said: list[str] = field(default_factory=list)


def prepared(folder: Path, name: str, trial: Trial) -> Path:
    """A copy of the base workspace in a place of its own, as the verb finds it."""
    place = folder / name
    place.mkdir()
    shutil.copy(folder / "base" / "bulk.csv", place)
    if not trial.fresh:
        shutil.copytree(folder / "base" / "W", place / "W")
    if trial.before:
        forked(verb(place, trial.before))
    return place


def sweep(
    folder: Path,
    *,
    kills: int,
    seed: int = 0,
    names: Sequence[str] = tuple(TRIALS),
    said: Callable[[str], None] = print,
) -> dict[str, Row]:
    """Kill each of the verbs `names` in turn, `kills` times in all; everything is kept below the new `folder`."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    for module in LAZY:
        importlib.import_module(module)
    folder = folder.resolve()
    folder.mkdir(parents=True)
    base(folder / "base")
    rows = forked(partial(counted, folder / "base"))[0][0]
    table = {name: Row() for name in names}
    whole: dict[str, list[str | None]] = {}
    for number in range(kills):
        name = names[number % len(names)]
        trial, row = TRIALS[name], table[name]
        again = [*trial.words, "--overwrite"] if name.startswith("export") else trial.words

        def work(place: Path, words: Sequence[str]) -> Callable[[], int]:
            return verb(place, words) if words else sitting(place)

        if row.seconds == 0.0:
            place = prepared(folder, f"{name} alone", trial)
            old = digest(place / trial.out) if trial.out else None
            started = time.monotonic()
            value, _ = forked(work(place, trial.words))
            row.seconds = time.monotonic() - started
            if value[0] != 0:
                raise RuntimeError(f"{name} fails when it is left alone: {value[1]}")
            whole[name] = [old, digest(place / trial.out)] if trial.out else []
            shutil.rmtree(place)
        place = prepared(folder, f"{name} {number}", trial)
        printed, killed = forked(work(place, trial.words), kill_after=chance.uniform(0, row.seconds))
        row.kills += 1
        row.inside += killed
        found = dict.fromkeys(COUNTS, 0)
        told: list[str] = []
        try:
            if (place / "W" / "ferclean.duckdb").exists():
                broken, found["lost"] = forked(partial(looked, place, rows, str(printed)))[0][0]
                told += broken
                found["half"] = len(broken)
            if trial.out and not (trial.before and not (place / trial.out).exists()):
                wrong = unlike(place, trial.out, whole[name])
                found["half"] += len(wrong)
                told += wrong
            value, _ = forked(work(place, again))
            broken = forked(partial(torn, place, rows))[0][0]
            if trial.out:
                broken += unlike(place, trial.out, whole[name][1:])
            found["half"] += len(broken)
            remains = hidden(place)
            found["left"] = len(remains)
            told += [*broken, *remains]
            if value[0] != 0:
                raise RuntimeError(value[1])
        except RuntimeError as error:
            found["shut"] += 1
            told.append(str(error))
        for kind, count in found.items():
            row.counts[kind] += count
        if told:
            row.said += told
            said(f"{name}, kill {number}: {'; '.join(told)}")
        else:
            shutil.rmtree(place)
    return table


def shown(table: dict[str, Row]) -> str:
    """The table in Markdown."""
    lines = ["| verb | s alone | kills | inside | lost | half | left | shut |", "|---|---|---|---|---|---|---|---|"]
    for name, row in table.items():
        cells = [name, f"{row.seconds:.2f}", row.kills, row.inside, *(row.counts[kind] for kind in COUNTS)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    total = [sum(row.counts[kind] for row in table.values()) for kind in COUNTS]
    inside = sum(row.inside for row in table.values())
    lines.append(f"| all | | {sum(row.kills for row in table.values())} | {inside} | {' | '.join(map(str, total))} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 when anything was lost, half, left or shut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", nargs="+", choices=TRIALS, default=list(TRIALS), metavar="VERB")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        table = sweep(Path(name) / "sweep", kills=options.kills, seed=options.seed, names=options.verbs)
    print(shown(table))
    return int(any(count for row in table.values() for count in row.counts.values()))


if __name__ == "__main__":
    sys.exit(main())
