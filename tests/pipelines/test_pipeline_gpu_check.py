"""The check for GPUs, rehearsed with the CPU in both places: what must be equal is, and what is broken is called so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ferclean.errors import BadDataError, UsageError
from ferclean.recognition.devices import full_precision, half_precision
from ferclean.recognition.methods.catalogue import METHODS
from pipelines import gpu_check, gpu_faces, gpu_pieces
from tests.loaded import loaded

NO_COMPILER = ("agree", "fold", "speed", "repeat", "seeds")
"""What runs here; torch.compile takes a C++ compiler and a minute."""


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 drawn faces in one file."""
    path = tmp_path_factory.mktemp("faces") / "faces.parquet"
    assert gpu_faces.draw(path, count=70) < 70 * 3000
    return path


def test_a_cpu_says_what_a_cpu_says(faces: Path) -> None:
    heard: list[int] = []
    result = gpu_check.run(
        faces, device="cpu", methods=["cross_entropy"], phases=NO_COMPILER, rehearsal=True,
        told=lambda so_far: heard.append(sum(len(so_far.get(phase, [])) for phase in gpu_check.PHASES)),
    )  # fmt: skip
    json.dumps(result, allow_nan=False)
    assert result["faults"] == result["left_out"] == []
    assert result["ok"] is True
    assert heard == list(range(1, 8))  # after every piece, so that an interrupted run has what is done
    assert [row["size"] for row in result["agree"]] == [32, 40]
    same = {"pred_probs_max": 0, "outputs_max": 0, "waits_per_step": None, "float16_loss": None}
    for row in result["agree"]:
        assert {name: row[name] for name in same} == same
    (fold,) = result["fold"]
    assert (fold["images"], fold["trained_on"], len(fold["epoch_seconds"]), fold["resident"]) == (60, 48, 2, False)
    assert fold["whole_run_seconds"] > 5 * 50 * min(fold["epoch_seconds"])
    for row in result["speed"]:
        rates = [row[name] for name in ("images_per_second", "bare_images_per_second", "streamed_images_per_second")]
        assert min(rates) > 0
        assert row["bare_share"] == pytest.approx(rates[0] / rates[1], abs=1e-3)
    (repeat,) = result["repeat"]
    assert (repeat["name"], repeat["equal"], repeat["largest"]) == ("cross_entropy", True, 0)
    (seeds,) = result["seeds"]
    assert seeds["cpu"] == seeds["half"] == 0 < seeds["two_seeds"]
    assert (result["cuda"], result["driver"], result["torch"]) == (None, None, torch.__version__)
    table = gpu_check.text(result)
    assert table.count("\n| ") == 2
    assert "one fold of 60 faces, slim at 40 px" in table


def test_first_stages_are_timed_on_their_own(faces: Path) -> None:
    row = gpu_pieces.speed(
        "distilled", gpu_faces.read(faces), gpu_check.REHEARSAL.quick, device="cpu", count=16, seconds=0.0
    )
    assert set(row["first_stages"]) == {"pretraining distilled", "pretraining the teacher of distilled"}
    assert "streamed_images_per_second" not in row


def test_every_recognizer_has_a_bare_step() -> None:
    for name in METHODS:
        rate = gpu_pieces.bare_rate(name, gpu_check.REHEARSAL.quick, device="cpu", seconds=0.0)
        assert rate["images_per_second"] > 0


def test_what_the_time_does_not_suffice_for_is_named_and_not_begun(faces: Path) -> None:
    result = gpu_check.run(faces, device="cpu", methods=["cross_entropy"], rehearsal=True, budget=0)
    assert result["ok"] is True
    assert len(result["left_out"]) == 10
    assert "agree" not in result
    assert "no time for: agree cross_entropy 32, agree cross_entropy 40, fold" in gpu_check.text(result)


def test_a_device_that_computes_something_else_fails_the_check(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = gpu_pieces.predict

    def wrong(trained: Any, images: np.ndarray, *, device: str) -> dict[str, np.ndarray]:
        said = honest(trained, images, device="cpu")
        return said if device == "cpu" else said | {"pred_probs": said["pred_probs"][:, ::-1]}

    monkeypatch.setattr(gpu_pieces, "predict", wrong)
    result = gpu_check.run(faces, device="auto", methods=["cross_entropy"], phases=["agree"], rehearsal=True)
    assert result["ok"] is False
    assert all("the same weights differ: pred_probs_max 0." in line for line in result["faults"])
    assert len(result["faults"]) == 2


def test_nan_in_any_output_of_the_device_fails_the_check(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = gpu_pieces.predict
    broken: list[str] = []

    def wrong(trained: Any, images: np.ndarray, *, device: str) -> dict[str, np.ndarray]:
        said = honest(trained, images, device="cpu")
        last = list(said)[-1]
        broken.append(last)
        return said if device == "cpu" else said | {last: np.full_like(said[last], np.nan)}

    monkeypatch.setattr(gpu_pieces, "predict", wrong)
    result = gpu_check.run(faces, device="auto", methods=["supcon_relabel"], phases=["agree"], rehearsal=True)
    assert set(broken) == {"uerm_weight"}  # after the embedding, which is as it should be
    assert [row["outputs_max"] for row in result["agree"]] == [None, None]
    assert result["ok"] is False


def test_a_piece_that_stops_is_a_fault_and_the_next_one_is_done(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = gpu_pieces.agreement

    def stops(method: str, *given: Any, **options: Any) -> dict[str, Any]:
        if method == "cross_entropy":
            raise RuntimeError("no kernel image")
        return real(method, *given, **options)

    monkeypatch.setattr(gpu_pieces, "agreement", stops)
    result = gpu_check.run(faces, device="cpu", methods=["cross_entropy", "eac"], phases=["agree"], rehearsal=True)
    assert result["faults"] == [f"agree cross_entropy {size}: RuntimeError: no kernel image" for size in (32, 40)]
    assert [row["name"] for row in result["agree"] if "failed" not in row] == ["eac", "eac"]


def test_a_row_is_judged_by_what_it_says() -> None:
    fine = {"pred_probs_max": 1e-6, "outputs_max": 1e-6, "waits_per_step": 0.0, "float16_loss": 2.0}
    assert gpu_check.fault("agree", fine) is None
    assert gpu_check.fault("agree", fine | {"outputs_max": None}) is not None
    assert gpu_check.fault("agree", fine | {"float16_loss": "stopped"}) == "in float16: stopped"
    assert gpu_check.fault("agree", fine | {"waits_per_step": 2.0}) == "a step waits 2 times for the device"
    assert gpu_check.fault("repeat", {"equal": None, "error": "no deterministic kernel"}) == "no deterministic kernel"
    assert gpu_check.fault("seeds", {"cpu": 0.2, "two_seeds": 0.1}) is not None
    assert gpu_check.fault("seeds", {"cpu": 0.14, "two_seeds": 0.1}) is None


def test_half_precision_is_off_inside_full_precision_and_back_after_it() -> None:
    cuda = torch.device("cuda")
    before = torch.backends.cudnn.allow_tf32
    with full_precision():
        assert not isinstance(half_precision(cuda), torch.autocast)
        assert torch.backends.cudnn.allow_tf32 is False
    assert torch.backends.cudnn.allow_tf32 is before


def test_unknown_recognizers_phases_and_files_without_faces_are_refused(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown method 'eca'"):
        gpu_check.run(faces, device="cpu", methods=["eca"])
    with pytest.raises(UsageError, match="unknown phase 'sped'"):
        gpu_check.run(faces, device="cpu", phases=["sped"])
    with pytest.raises(UsageError, match="draw them first"):
        gpu_check.run(tmp_path / "none.parquet", device="cpu")
    (tmp_path / "other.parquet").write_bytes(b"faces")
    with pytest.raises(BadDataError, match="holds no drawn faces"):
        gpu_faces.read(tmp_path / "other.parquet")


def test_it_imports_neither_a_database_nor_what_draws_screens() -> None:
    others = ("duckdb", "cleanlab", "cv2", "datasets", "fiftyone", "streamlit")
    assert loaded("import pipelines.gpu_check", of=others) == []
