"""Does a GPU say what a CPU says, and how fast: every recognizer on drawn faces, and a real set out-of-fold.

It opens no workspace and reads no votes. Exit 1 when a check fails.

    python -m pipelines.gpu_check [--device cuda] [--methods all] --json FILE
    python -m pipelines.gpu_check --data DIR --arrays FILE.npz --json FILE

Per recognizer, with the quick profile's settings: the same weights must say the same on both devices in float32 (to
1e-3), a training on the device must not be further from one on the CPU than another seed is (times 1.5), and bfloat16
must leave 97 % of the predictions. Without a GPU the CPU is compared with itself.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ferclean import files
from ferclean.errors import BadDataError
from ferclean.evidence import labels as label_names
from ferclean.evidence import splits
from ferclean.progress import Progress, silent
from ferclean.recognition import devices
from ferclean.recognition import images as image_room
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.crossval import OutOfFold, cross_validate
from ferclean.recognition.methods.base import with_class_names
from ferclean.recognition.methods.catalogue import METHODS
from ferclean.recognition.profiles import Profile, get_profile
from ferclean.recognition.train import FitResult, fit, predict
from ferclean.sources.drawn_faces import drawing as drawn_faces
from ferclean.sources.drawn_faces.face_expressions import CLASSES
from ferclean.store.version import code_version

SAME_WEIGHTS = 1e-3
SEED_TIMES = 1.5
SAME_PREDICTIONS = 0.97
FER2013 = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


def run(
    *,
    device: str = "auto",
    methods: Sequence[str] | None = None,
    faces: int = 300,
    epochs: int = 6,
    speed_images: int = 2048,
    data: Path | None = None,
    limit: int | None = None,
    folds: int | None = None,
    arrays: Path | None = None,
    commit: str | None = None,
    seed: int = 0,
    told: Callable[[dict[str, Any]], None] = lambda result: None,
    progress: Progress = silent,
    **overrides: Any,
) -> dict[str, Any]:
    """Check each of `methods` (default: the quick profile's own) and, with `data`, cross-validate it.

    `faces` are drawn to train on and half as many to predict; `epochs` is theirs alone. `data` is a folder with
    `images.parquet` (index, usage, png, orig_label); of its `Training` rows at most `limit` are taken. `told` hears the
    result after each piece, so that an interrupted run has what is done. `overrides` are fields of the profile.
    """
    chosen = get_profile("quick", methods=methods, folds=folds, **overrides)
    result: dict[str, Any] = {
        "schema": 1,
        "pipeline": "gpu_check",
        "version": code_version(),
        "commit": commit,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        **devices.facts(device),
        "driver": driver() if devices.choose_device(device).type == "cuda" else None,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "profile": chosen.name,
        "faces": faces,
        "epochs": epochs,
        "speed_images": speed_images,
        "checks": [],
    }
    train, test = drawn(faces, chosen, seed=seed, progress=progress)
    short = replace(chosen, epochs=epochs)
    for method in chosen.methods:
        result["checks"].append(check(method, train, test, short, device=device, seed=seed, speed_images=speed_images))
        progress(f"checked {method}", len(result["checks"]), len(chosen.methods))
        told(result)
    if data is not None:
        result["out_of_fold"] = []
        given, pixels, index = read_training_rows(data, chosen, limit=limit)
        pairs, _ = splits.near_duplicate_pairs(image_room.thumbnails(pixels))
        fold = splits.grouped_folds(
            given, splits.group_ids(len(given), pairs), folds=chosen.folds, seed=seed
        )  # copies stay together, found in the pixels
        kept = {"index": index, "given": given, "fold": fold}
        for method in chosen.methods:
            config = with_class_names(chosen.train_config(seed=seed, device=device), method, FER2013)
            devices.start_peak_memory(device)
            started = time.perf_counter()
            found = cross_validate(
                method, pixels, given, fold, num_classes=len(FER2013), config=config, progress=progress
            )
            row = out_of_fold_row(method, found, given, seconds=time.perf_counter() - started, device=device)
            result["out_of_fold"].append(row)
            kept |= {
                f"pred_probs_{method}": found.pred_probs,
                f"embedding_{method}": found.embedding.astype(np.float16),
                f"margin_{method}": found.margin.astype(np.float16),
                f"given_prob_{method}": found.given_prob.astype(np.float16),
            }
            if arrays is not None:
                with files.whole_file(arrays) as draft, draft.open("wb") as target:
                    np.savez_compressed(target, allow_pickle=False, **kept)
            told(result)
    result["ok"] = all(row["ok"] for row in result["checks"])
    told(result)
    return result


Set = tuple[np.ndarray, np.ndarray]
"""Images (N, C, S, S) uint8 and labels (N,) int64."""


def check(
    method: str, train: Set, test: Set, profile: Profile, *, device: str, seed: int, speed_images: int
) -> dict[str, Any]:
    """One recognizer's row: distances of (T, K) probabilities as mean or largest |difference|, accuracies, speeds."""

    def trained(where: str, number: int = seed, rows: Set = train, epochs: int | None = None) -> FitResult:
        config: TrainConfig = with_class_names(profile.train_config(seed=number, device=where), method, CLASSES)
        config = config if epochs is None else replace(config, epochs=epochs)
        return fit(method, *rows, num_classes=len(CLASSES), config=config)

    def said(result: FitResult, where: str) -> np.ndarray:
        return predict(result, test[0], device=where)["pred_probs"]

    devices.start_peak_memory(device)
    started = time.perf_counter()
    here = said(trained("cpu"), "cpu")
    seconds_cpu = time.perf_counter() - started
    there = trained(device)
    half = said(there, device)
    again, other = said(trained(device), device), said(trained(device, seed + 1), device)
    with devices.full_precision():
        full = said(there, device)
        on_cpu = said(there, "cpu")
        full_trained = said(trained(device), device)
        times = -(-speed_images // len(train[0]))
        large = np.tile(train[0], (times, 1, 1, 1))[:speed_images], np.tile(train[1], times)[:speed_images]
        speed_full = len(large[0]) / trained(device, rows=large, epochs=2).history[1]["seconds"]
    fast = trained(device, rows=large, epochs=2)
    predict(fast, large[0], device=device)
    started = time.perf_counter()
    predict(fast, large[0], device=device)
    predict_seconds = time.perf_counter() - started
    distances = {
        "same_weights_max": _largest(full, on_cpu),
        "same_seed_twice_max": _largest(half, again),
        "half_against_full_max": _largest(half, full),
        "half_against_full_mean": _mean(half, full),
        "trained_on_cpu_against_device_mean": _mean(here, full_trained),
        "two_seeds_mean": _mean(half, other),
    }
    same = float((half.argmax(1) == full.argmax(1)).mean())
    return {
        "method": method,
        **{name: float(f"{value:.3g}") for name, value in distances.items()},
        "same_predictions_half_and_full": round(same, 4),
        "accuracy": {
            name: round(float((probs.argmax(1) == test[1]).mean()), 4)
            for name, probs in (("cpu", here), ("device", half), ("device_full_precision", full_trained))
        },
        "seconds_on_cpu": round(seconds_cpu, 2),
        "train_images_per_second": round(len(large[0]) / fast.history[1]["seconds"], 1),
        "train_images_per_second_full_precision": round(speed_full, 1),
        "predict_images_per_second": round(len(large[0]) / predict_seconds, 1),
        "peak_memory_mb": _rounded(devices.peak_memory_mb(device)),
        "ok": bool(
            distances["same_weights_max"] <= SAME_WEIGHTS
            and distances["trained_on_cpu_against_device_mean"] <= SEED_TIMES * distances["two_seeds_mean"]
            and same >= SAME_PREDICTIONS
        ),
    }


def out_of_fold_row(method: str, found: OutOfFold, given: np.ndarray, *, seconds: float, device: str) -> dict[str, Any]:
    """What a cross-validation cost and how often it agrees with the given labels."""
    return {
        "method": method,
        "n": len(given),
        "folds": int(found.fold.max()) + 1,
        "seconds": round(seconds, 1),
        "accuracy_on_given": round(float((found.pred_probs.argmax(1) == given).mean()), 4),
        "peak_memory_mb": _rounded(devices.peak_memory_mb(device)),
    }


def drawn(count: int, profile: Profile, *, seed: int, progress: Progress = silent) -> tuple[Set, Set]:
    """`count` clean drawn faces to train on and half as many to predict, by other people."""
    with tempfile.TemporaryDirectory() as folder:
        truth = drawn_faces.draw_set(
            Path(folder) / "faces", train=count, test=count // 2, seed=seed,
            noise=0.0, blends=0.0, duplicates=0.0, broken=0.0, blank=0.0, progress=progress,
        )  # fmt: skip
        table, images = truth.table, truth.root / "Image" / "aligned"
        pixels = image_room.load_pixels(
            [images / f"{key}_aligned.jpg" for key in table["source_key"]],
            size=profile.input_size, channels=profile.channels,
        )  # fmt: skip
    given = label_names.encode(list(table["given_label"]), CLASSES)
    is_train = (table["split"] == "train").to_numpy()
    return (pixels[is_train], given[is_train]), (pixels[~is_train], given[~is_train])


def read_training_rows(
    data: Path, profile: Profile, *, limit: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Given labels (N,), pixels (N, C, S, S) and row numbers (N,) of the `Training` rows of FER2013 as a table."""
    import pandas as pd

    frame = pd.read_parquet(data / "images.parquet", columns=["index", "usage", "png", "orig_label"])
    frame = frame[frame["usage"] == "Training"].iloc[:limit]
    given = frame["orig_label"].to_numpy(np.int64)
    if not len(given):
        raise BadDataError(f"{data / 'images.parquet'} holds no row whose usage is Training")
    pixels = image_room.load_pixels(list(frame["png"]), size=profile.input_size, channels=profile.channels)
    return given, pixels, frame["index"].to_numpy(np.int64)


def driver() -> str | None:
    """The GPU's driver, as nvidia-smi names it; None where there is no nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return answer.splitlines()[0].strip() if answer.strip() else None


def text(result: dict[str, Any]) -> str:
    """The figures for people: one line per recognizer."""
    facts = [result["device"], f"torch {result['torch']}"]
    facts += [f"{name} {result[name]}" for name in ("cuda", "driver") if result[name]]
    lines = [
        ", ".join(facts),
        "| recognizer | same weights, max | same seed, max | bf16, mean | CPU or device, mean | two seeds, mean | "
        "accuracy CPU / device | train / predict images/s | float32 | MB | ok |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["checks"]:
        cells = [
            row["method"], f"{row['same_weights_max']:.1e}", f"{row['same_seed_twice_max']:.1e}",
            f"{row['half_against_full_mean']:.1e}", f"{row['trained_on_cpu_against_device_mean']:.3f}",
            f"{row['two_seeds_mean']:.3f}", f"{row['accuracy']['cpu']:.2f} / {row['accuracy']['device']:.2f}",
            f"{row['train_images_per_second']:.0f} / {row['predict_images_per_second']:.0f}",
            f"{row['train_images_per_second_full_precision']:.0f}",
            "–" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f}", "yes" if row["ok"] else "NO",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        f"{row['method']}: {row['n']:,} images, {row['folds']} folds in {row['seconds']:.0f} s, "
        f"{100 * row['accuracy_on_given']:.1f} % agree with the given label"
        for row in result.get("out_of_fold", [])
    ]
    return "\n".join(lines) + "\n"


def _largest(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


def _mean(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).mean())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Does a GPU say what a CPU says, and how fast.")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--methods", help="recognizers, comma-separated, or all; default the quick profile's own")
    parser.add_argument("--faces", type=int, default=300, help="drawn faces to train on")
    parser.add_argument("--data", type=Path, help="folder with FER2013's images.parquet, to cross-validate on")
    parser.add_argument("--limit", type=int, help="take at most this many of its training rows")
    parser.add_argument("--folds", type=int, help="default the profile's")
    parser.add_argument("--arrays", type=Path, help="where the out-of-fold arrays go (.npz)")
    parser.add_argument("--commit", help="what is measured, where the code does not lie in a checkout")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()

    def told(result: dict[str, Any]) -> None:
        if options.json is not None:
            with files.whole_file(options.json) as draft:
                draft.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", "utf-8")

    result = run(
        device=options.device,
        methods=list(METHODS) if options.methods == "all" else options.methods.split(",") if options.methods else None,
        faces=options.faces, data=options.data, limit=options.limit, folds=options.folds, arrays=options.arrays,
        commit=options.commit, seed=options.seed, told=told,
        progress=lambda what, done, total: print(f"{done}/{total} {what}", file=sys.stderr, flush=True),
    )  # fmt: skip
    print(text(result), end="")
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    main()
