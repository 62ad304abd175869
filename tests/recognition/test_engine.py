"""A training is a job: done once, kept whole, taken up by whoever comes next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferclean.leases import leased
from ferclean.recognition import engine
from ferclean.recognition.arms import Arm, compare_arms
from ferclean.recognition.checkpoint import load_checkpoint
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.profiles import get_profile
from ferclean.recognition.train import fit, predict

TINY = TrainConfig(epochs=2, batch_size=8, device="cpu")
PROFILE = get_profile("quick", methods=["cross_entropy"], epochs=2, batch_size=8, input_size=32, crop=1.0)
PIXELS = np.random.default_rng(0).integers(0, 256, (30, 1, 32, 32), dtype=np.uint8)
LABELS = np.arange(30) % 3


def rows(*, targets: np.ndarray = LABELS[:20], validation: bool = False) -> engine.Rows:
    checked = (np.arange(20, 25), LABELS[20:25]) if validation else None
    return engine.Rows(
        pixels=PIXELS, train=np.arange(20), targets=targets, judged=np.arange(25, 30), validation=checked
    )


def job(given: engine.Rows, config: TrainConfig = TINY) -> engine.Job:
    return engine.job_of("cross_entropy", config, given, num_classes=3)


def run(one: engine.Job, given: engine.Rows, root: Path | None, *, keep: bool = False, **how: Any) -> engine.Outcome:
    work = engine.Work(job=one, rows=given, title="one training", keep_weights=keep)
    ((_, outcome),) = engine.run_all([work], root, **how)
    return outcome


def test_a_job_leaves_a_folder_and_is_never_done_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = rows()
    first = run(job(given), given, tmp_path)
    assert first.folder is not None
    expected = fit("cross_entropy", PIXELS[:20], LABELS[:20], num_classes=3, config=TINY)
    weighed = replace(given, weights=np.arange(20.0))
    other = run(job(weighed), weighed, None)
    lighter = fit("cross_entropy", PIXELS[:20], LABELS[:20], num_classes=3, weights=np.arange(20.0), config=TINY)
    assert other.pred_probs.tobytes() == predict(lighter, PIXELS[25:])["pred_probs"].tobytes()
    assert other.pred_probs.tobytes() != first.pred_probs.tobytes()
    assert first.pred_probs.tobytes() == predict(expected, PIXELS[25:])["pred_probs"].tobytes()
    assert sorted(path.name for path in first.folder.iterdir()) == ["history.json", "job.json", "predictions.parquet"]
    assert [path.name for path in tmp_path.iterdir()] == [first.folder.name]
    assert json.loads((first.folder / "job.json").read_text("utf-8"))["config"]["epochs"] == 2
    for file in ("predictions.parquet", "history.json", "job.json"):
        told: list[str] = []
        (first.folder / file).write_bytes((first.folder / file).read_bytes()[:30])
        mended = run(job(given), given, tmp_path, tell=told.append)
        assert mended.pred_probs.tobytes() == first.pred_probs.tobytes()
        assert told[0].split(" is damaged (")[0] == f"one training: {first.folder}"
    monkeypatch.setattr(engine, "fit", lambda *_, **__: pytest.fail("it was done before"))
    again = run(job(given), given, tmp_path)
    assert (again.reused, first.reused) == (True, False)
    assert again.pred_probs.tobytes() == first.pred_probs.tobytes()
    assert (again.history, again.best_epoch) == (mended.history, None)


def test_whatever_changes_a_result_is_another_job_and_where_rows_lie_is_not() -> None:
    given = rows()
    name = job(given).name
    moved = replace(given, pixels=PIXELS[::-1], train=29 - given.train, judged=29 - given.judged)
    assert job(moved).name == name
    assert job(replace(given, contents=engine.row_digests(PIXELS))).name == name
    others = [
        job(given, replace(TINY, seed=1)),
        job(given, replace(TINY, epochs=3)),
        job(given, replace(TINY, method_options={"cross_entropy": {"dropout": 0.1}})),
        job(rows(targets=np.roll(LABELS[:20], 1))),
        job(rows(targets=np.eye(3)[LABELS[:20]])),
        job(rows(validation=True)),
        job(replace(given, judged=np.arange(24, 29))),
        job(replace(given, weights=np.ones(20))),
        job(replace(given, weights=np.linspace(0, 1, 20))),
        replace(job(given), device="cuda"),
        replace(job(given), device="cuda", precision="bfloat16"),
    ]
    assert len({name, *(other.name for other in others)}) == 1 + len(others)


def test_weights_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    given = rows()
    run(job(given), given, tmp_path)
    kept = run(job(given), given, tmp_path, keep=True)
    assert kept.folder is not None
    assert not kept.reused  # the first call had not kept them
    loaded = load_checkpoint(kept.folder / engine.RECOGNIZER)
    np.testing.assert_allclose(predict(loaded, PIXELS[25:])["pred_probs"], kept.pred_probs, atol=1e-6)
    anew = run(job(given), given, tmp_path, anew=True)
    assert not anew.reused


def test_the_best_epoch_is_chosen_by_the_validation_rows_alone(tmp_path: Path) -> None:
    given = rows(validation=True)
    config = replace(TINY, epochs=4)
    found = run(job(given, config), given, tmp_path)
    accuracies, predictions = [], []
    fit(
        "cross_entropy", PIXELS[:20], LABELS[:20], num_classes=3, config=config,
        watch=lambda _, trained: (
            accuracies.append((predict(trained, PIXELS[20:25])["pred_probs"].argmax(1) == LABELS[20:25]).mean()),
            predictions.append(predict(trained, PIXELS[25:])["pred_probs"]),
        )[0],
    )  # fmt: skip
    assert found.best_epoch == int(np.argmax(accuracies))
    assert found.best_pred_probs is not None
    assert found.best_pred_probs.tobytes() == predictions[found.best_epoch].tobytes()
    assert found.pred_probs.tobytes() == predictions[-1].tobytes()
    stored = run(job(given, config), given, tmp_path)
    assert stored.best_pred_probs is not None
    assert stored.best_pred_probs.tobytes() == found.best_pred_probs.tobytes()


def test_a_job_that_another_process_is_at_comes_last_and_is_read_from_its_folder(tmp_path: Path) -> None:
    first, second = rows(), rows(targets=np.roll(LABELS[:20], 1))
    work = [engine.Work(job=job(each), rows=each, title=str(n)) for n, each in enumerate((first, second))]
    order, lines = [], []
    held, free = threading.Event(), threading.Event()

    def other() -> None:
        with leased(tmp_path / f"{work[0].job.name}.lease") as mine:
            assert mine
            held.set()
            assert free.wait(60)

    thread = threading.Thread(target=other)
    thread.start()
    assert held.wait(60)
    for index, _ in engine.run_all(work, tmp_path, tell=lines.append):
        order.append(index)
        free.set()
    thread.join()
    assert order == [1, 0]
    assert [line[:9] for line in lines if "waiting" not in line] == ["1 (1/2): ", "0 (2/2): "]


def test_each_seed_may_have_its_own_arm_hard_or_soft(tmp_path: Path) -> None:
    arms = {
        "same": Arm(np.arange(20), LABELS[:20]),
        "listed": [Arm(np.arange(20), LABELS[:20]), Arm(np.arange(10), np.eye(3)[LABELS[:10]])],
        "made": lambda seed: Arm(np.arange(20 - 5 * seed), LABELS[: 20 - 5 * seed]),
    }
    found = compare_arms(
        arms, PIXELS, np.arange(25, 30), LABELS[25:], classes=("a", "b", "c"), profile=PROFILE, seeds=(0, 1),
        device="cpu", jobs=tmp_path,
    )  # fmt: skip
    assert {name: hits.shape for name, hits in found.hits.items()} == dict.fromkeys(arms, (2, 5))
    assert {name: probs.shape for name, probs in found.pred_probs.items()} == dict.fromkeys(arms, (2, 5, 3))
    assert found.train_images == {"same": [20, 20], "listed": [20, 10], "made": [20, 15]}
    # the same rows under the same seed are one job, whatever the arm is called
    assert found.folders["same"][0] == found.folders["listed"][0] == found.folders["made"][0]
    assert found.pred_probs["same"][0].tobytes() == found.pred_probs["made"][0].tobytes()
    assert len(list(tmp_path.iterdir())) == 4
    assert (found.hits["made"] == (found.pred_probs["made"].argmax(2) == LABELS[25:])).all()
    assert found.best_hits == {}


KILLED = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[2])
from tests.recognition import test_engine as here
print(here.three_seeds(Path(sys.argv[1]), tell=lambda line: print(line, flush=True)), flush=True)
"""


def three_seeds(root: Path, tell: object = print) -> str:
    """Both arms of a comparison with three seeds; the accuracies in words."""
    arms = {"given": Arm(np.arange(20), LABELS[:20]), "soft": Arm(np.arange(20), np.eye(3)[LABELS[:20]] * 0.7 + 0.1)}
    found = compare_arms(
        arms, PIXELS, np.arange(25, 30), LABELS[25:], classes=("a", "b", "c"),
        profile=replace(PROFILE, epochs=8), seeds=range(3), device="cpu", jobs=root, tell=tell,  # type: ignore[arg-type]
    )  # fmt: skip
    return repr({name: probs.sum(1).tolist() for name, probs in found.pred_probs.items()})


def test_a_kill_in_the_middle_of_an_arm_goes_on_to_the_same_figures(tmp_path: Path) -> None:
    """The third of six trainings is killed: the first two are kept, nothing of the third is taken for finished."""
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(Path(__file__).parents[2])]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert child.stdout is not None
        for _ in range(2):
            child.stdout.readline()
        while len(list((tmp_path / "killed").glob("*.lease"))) == 0:
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.communicate()
    left = sorted(path.name for path in (tmp_path / "killed").iterdir())
    assert len([name for name in left if name.endswith(".lease")]) == 1
    lines: list[str] = []
    after = three_seeds(tmp_path / "killed", lines.append)
    assert [line.endswith("reused") for line in lines[:6]] == [True, True, False, False, False, False]
    assert after == three_seeds(tmp_path / "whole", lines.append)
    assert not list((tmp_path / "killed").glob("*.lease"))
