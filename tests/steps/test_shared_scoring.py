"""Several processes that score the same share its folds, and a killed one's are taken up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from ferclean.leases import leased
from ferclean.recognition.backbones import make_backbone
from ferclean.steps.doctor import doctor
from ferclean.steps.encode import encode
from ferclean.steps.ingest import ingest
from ferclean.steps.probe import score_probe
from ferclean.steps.release import release
from ferclean.steps.retrain import retrain
from ferclean.steps.score import score
from ferclean.store import ensembles, run_files, runs
from ferclean.store.workspace import Workspace
from tests.steps.test_score import image_folder

SCORED = {
    "methods": ["distilled"], "epochs": 1, "folds": 5, "input_size": 32, "batch_size": 8, "device": "cpu",
    "keep_weights": True,
}  # fmt: skip
"""A method with a first stage that all folds share."""

SCORING = """
import json, sys, time
from pathlib import Path
from ferclean.steps.score import score
from ferclean.store.workspace import Workspace

root, dies = Path(sys.argv[1]), sys.argv[2] == "killed"
trained = 0

def wait(sign):
    while not sign.exists():
        time.sleep(0.01)

def tell(line):
    global trained
    print(line, flush=True)
    if " images in " in line and ", fold " in line:
        trained += 1
        if not dies:  # leave it its share
            wait(root / "in the middle")

def progress(description, done, total):
    if dies and trained == 1 and description.startswith("training"):
        (root / "in the middle").touch()
        wait(root / "never")

done = score(Workspace.open(root / "W"), progress=progress, tell=tell, **json.loads(sys.argv[3]))
print(json.dumps(done.as_dict()), flush=True)
"""


@dataclass(frozen=True)
class Together:
    """Three processes were asked for the same scoring; the first was killed in its second fold."""

    ws: Workspace
    said: dict[str, list[str]]
    states: list[str]
    """Of the run: while all are at it, after the kill, and at the end."""


def made(root: Path) -> Workspace:
    ws = Workspace.create(root / "W")
    ingest(ws, "image_folder", image_folder(root / "faces", {"anger": 10, "fear": 10}))
    return ws


def state(ws: Workspace) -> str:
    (run,) = [run for run in runs.list_runs(ws) if run.kind == "score"]
    return run.state


def until(happened: Callable[[], bool], said: Callable[[], str]) -> None:
    deadline = time.monotonic() + 300
    while not happened():
        assert time.monotonic() < deadline, said()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Together]:
    root = tmp_path_factory.mktemp("together")
    ws = made(root)
    names = ("killed", "second", "third")
    logs = {name: root / f"{name}.log" for name in names}
    children: dict[str, subprocess.Popen[bytes]] = {}

    def said(name: str) -> str:
        return logs[name].read_text("utf-8")

    def alive_or_told() -> str:
        return "\n".join(said(name) for name in names)

    try:
        for name, log in logs.items():
            with log.open("wb") as out:
                children[name] = subprocess.Popen(
                    [sys.executable, "-c", SCORING, str(root), name, json.dumps(SCORED)],
                    stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"},
                )  # fmt: skip
        holder = f"waiting for process {children['killed'].pid} of "
        until(
            lambda: (root / "in the middle").exists() and all(holder in said(name) for name in names[1:]),
            alive_or_told,
        )
        states = [state(ws)]
        children["killed"].send_signal(signal.SIGKILL)
        children["killed"].wait()
        states.append(state(ws))
        for name in names[1:]:
            assert children[name].wait(300) == 0, said(name)
        states.append(state(ws))
        yield Together(ws, {name: said(name).splitlines() for name in names}, states)
    finally:
        for child in children.values():
            child.kill()
            child.wait()


def test_each_fold_and_the_first_stage_are_trained_once_by_one_of_the_processes(together: Together) -> None:
    trained = [line.partition(": ")[0] for lines in together.said.values() for line in lines if " images in " in line]
    whole = [f"distilled, seed 0, fold {number}/5" for number in range(1, 6)]
    assert sorted(trained) == ["distilled, seed 0, first stage", *whole]
    assert all(any(", fold " in line and " images in " in line for line in lines) for lines in together.said.values())


def test_a_run_is_under_way_as_long_as_one_of_its_processes_lives(together: Together) -> None:
    assert together.states == ["running", "running", "done"]


def test_all_that_were_not_killed_end_as_one_alone_with_the_same_bytes(together: Together, tmp_path: Path) -> None:
    ws = made(tmp_path)
    alone = score(ws, **SCORED).as_dict()  # type: ignore[arg-type]
    ends = [json.loads(together.said[name][-1]) for name in ("second", "third")]
    trained = [sum(", fold " in line and " images in " in line for line in together.said[n]) for n in together.said]
    assert [end["folds_reused"] for end in ends] == [5 - trained[1], 5 - trained[2]]
    assert all(end | {"folds_reused": 0} == alone for end in ends)
    assert stored(together.ws) == stored(ws)
    one, other = (
        [(run.run_id, run.state, run.metrics | {"seconds": 0}) for run in runs.list_runs(each)]
        for each in (together.ws, ws)
    )
    assert one == other
    assert [e.members for e in ensembles.list_ensembles(together.ws)] == [(alone["runs"][0]["run_id"],)]


class HeardError(Exception):
    """A verb told something."""


def test_every_verb_that_looks_for_copies_tells_who_is_waited_for_and_that_a_damaged_file_is_made_again(
    judged_copy: Path,
) -> None:
    ws = Workspace.open(judged_copy)
    release(ws, "v1")
    torch.save(make_backbone("slim", channels=1, input_size=24).network.state_dict(), ws.root / "faces.pth")
    encode(ws, import_file=ws.root / "faces.pth", input_size=24)
    look = runs.latest_run(ws, "pairs")
    assert look is not None
    run_files.path_of(ws, look.run_id, "pairs").write_bytes(b"PAR1 nothing PAR1")
    lease = ws.runs / f"{look.run_id}.lease"

    def tell(line: str) -> None:
        raise HeardError(line)

    for verb in (
        lambda: doctor(ws, tell=tell),
        lambda: score(ws, epochs=1, tell=tell),
        lambda: score_probe(ws, "faces", tell=tell),
        lambda: retrain(ws, epochs=1, input_size=32, tell=tell),
    ):
        with pytest.raises(HeardError, match=r"the search for copies: .*pairs\.parquet is damaged"):
            verb()
        waiting = f"waiting for process {os.getpid()} of .*, which is at the search for copies"
        with leased(lease), pytest.raises(HeardError, match=waiting):
            verb()


def stored(ws: Workspace) -> dict[str, Any]:
    """What lies in runs/, to the bit; of a fold's files without what is said about them (seconds, order)."""
    return {
        str(path.relative_to(ws.runs)): {name: value.numpy().tobytes() for name, value in load_file(path).items()}
        if path.suffix == ".safetensors"
        else pq.read_table(path).replace_schema_metadata().to_pydict()
        if path.name.startswith("fold-")
        else path.read_bytes()
        for path in sorted(ws.runs.rglob("*"))
        if path.is_file()
    }
