"""The check for GPUs, run here with the CPU in both places: what must be equal is, and what is broken is called so."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ferclean.errors import BadDataError, UsageError
from ferclean.recognition.devices import full_precision, half_precision
from pipelines import gpu_check
from tests.loaded import loaded

SMALL: dict[str, Any] = {"input_size": 32, "crop": 28 / 32, "batch_size": 16}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 56 training rows and 4 others, as FER2013 is stored for development; no votes beside it."""
    folder = tmp_path_factory.mktemp("fer")
    rng = np.random.default_rng(0)
    faces = []
    for _ in range(60):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (48, 48), dtype=np.uint8)).save(buffer, "PNG")
        faces.append(buffer.getvalue())
    usage = np.where(np.arange(60) < 56, "Training", "PublicTest")
    pd.DataFrame(
        {"index": np.arange(60) * 2, "usage": usage, "png": faces, "orig_label": np.arange(60) % 7}
    ).to_parquet(folder / "images.parquet")
    return folder


def test_a_cpu_says_what_a_cpu_says(table: Path, tmp_path: Path) -> None:
    heard: list[int] = []
    result = gpu_check.run(
        device="cpu", methods=["cross_entropy"], faces=28, epochs=2, speed_images=32, data=table, folds=2,
        arrays=tmp_path / "found.npz", told=lambda so_far: heard.append(len(so_far["checks"])), **SMALL,
    )  # fmt: skip
    json.dumps(result, allow_nan=False)
    (row,) = result["checks"]
    equal = ("same_weights_max", "same_seed_twice_max", "half_against_full_max", "trained_on_cpu_against_device_mean")
    assert {name: row[name] for name in equal} == dict.fromkeys(equal, 0)
    assert row["two_seeds_mean"] > 0
    assert row["same_predictions_half_and_full"] == 1
    assert row["accuracy"]["cpu"] == row["accuracy"]["device"]
    assert row["train_images_per_second"] > 0
    assert result["ok"] is True
    assert heard[0] == 1  # an interrupted run has what is done
    assert (result["cuda"], result["driver"], row["peak_memory_mb"]) == (None, None, None)
    assert result["torch"] == torch.__version__
    (folded,) = result["out_of_fold"]
    assert (folded["n"], folded["folds"]) == (56, 2)
    with np.load(tmp_path / "found.npz", allow_pickle=False) as arrays:
        assert arrays["index"].tolist() == list(range(0, 112, 2))
        probs = arrays["pred_probs_cross_entropy"]
        assert probs.shape == (56, 7)
        assert (probs.argmax(1) == arrays["given"]).mean() == pytest.approx(folded["accuracy_on_given"], abs=1e-4)
        assert len(arrays["embedding_cross_entropy"]) == 56
    assert gpu_check.text(result).count("\n") == 5


def test_a_device_that_computes_something_else_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = gpu_check.predict

    def wrong(trained: Any, images: np.ndarray, *, device: str) -> dict[str, np.ndarray]:
        said = honest(trained, images, device="cpu")
        return said if device == "cpu" else said | {"pred_probs": said["pred_probs"][:, ::-1]}

    monkeypatch.setattr(gpu_check, "predict", wrong)
    result = gpu_check.run(
        device="auto", methods=["cross_entropy"], faces=14, epochs=1, speed_images=16, **SMALL
    )  # fmt: skip
    assert result["checks"][0]["same_weights_max"] > gpu_check.SAME_WEIGHTS
    assert result["ok"] is False


def test_half_precision_is_off_inside_full_precision_and_back_after_it() -> None:
    cuda = torch.device("cuda")
    before = torch.backends.cudnn.allow_tf32
    with full_precision():
        assert not isinstance(half_precision(cuda), torch.autocast)
        assert torch.backends.cudnn.allow_tf32 is False
    assert torch.backends.cudnn.allow_tf32 is before


def test_unknown_recognizers_and_tables_without_training_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown method 'eca'"):
        gpu_check.run(device="cpu", methods=["eca"])
    empty = pd.DataFrame({"index": [1], "usage": ["PublicTest"], "png": [b""], "orig_label": [0]})
    empty.to_parquet(tmp_path / "images.parquet")
    with pytest.raises(BadDataError, match="holds no row whose usage is Training"):
        gpu_check.read_training_rows(tmp_path, gpu_check.get_profile("quick"))


def test_it_imports_neither_a_database_nor_what_draws_screens() -> None:
    others = ("duckdb", "cleanlab", "datasets", "fiftyone", "streamlit")
    assert loaded("import pipelines.gpu_check", of=others) == []
