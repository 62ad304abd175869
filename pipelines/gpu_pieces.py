"""What `gpu_check` does, piece by piece: each function takes one recognizer or one training and returns its figures.

It opens no workspace, prints nothing, and times nothing that the device has not finished.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from ferclean.errors import FercleanError
from ferclean.evidence import splits
from ferclean.recognition import devices
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.crossval import run_fold
from ferclean.recognition.methods.base import Batch, config_of, hook, with_class_names
from ferclean.recognition.methods.catalogue import get_method
from ferclean.recognition.optimise import Descent
from ferclean.recognition.pixels import Pixels
from ferclean.recognition.profiles import Profile
from ferclean.recognition.train import FitResult, fit, predict
from ferclean.sources.drawn_faces.face_expressions import CLASSES
from pipelines.gpu_faces import Faces

STEPS = 4
"""Steps of the short training; one twice as long tells what each further step waits for."""

Images = np.ndarray | Pixels


class Epochs:
    """A `progress` that remembers how long each epoch of each stage took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self._last = time.perf_counter()

    def __call__(self, description: str, done: int, total: int) -> None:
        now = time.perf_counter()
        self.seconds.setdefault(description, []).append(now - self._last)
        self._last = now

    def usual(self, title: str) -> float:
        """The median without the first epoch, which builds the network and looks for kernels; a lone one counts."""
        return median(self.seconds[title][1:] or self.seconds[title])


def settings(method: str, profile: Profile, *, device: str, seed: int = 0, epochs: int | None = None) -> TrainConfig:
    """What the profile trains this recognizer with on drawn faces."""
    config = with_class_names(profile.train_config(seed=seed, device=device), method, CLASSES)
    return config if epochs is None else replace(config, epochs=epochs)


def trained(method: str, images: Images, labels: np.ndarray, config: TrainConfig, **options: Any) -> FitResult:
    """`fit` on the drawn faces' classes."""
    return fit(method, images, labels, num_classes=len(CLASSES), config=config, **options)


def agreement(method: str, faces: Faces, profile: Profile, *, device: str, judged: int) -> dict[str, Any]:
    """A short training on the device, whose weights then predict there and on the CPU.

    `pred_probs_max` and `outputs_max`: largest difference of probabilities, and of every other output relative to its
    own largest value. `waits_per_step`: how often a training step, of a first stage too, waits for the device; None on
    a CPU. `float16_loss`: the loss of a training in float16, which cards before Ampere take, or why it stopped; None on
    a CPU. Numbers that are none are None, too.
    """
    rows = 2 * STEPS * profile.batch_size
    images, labels = _tiled(faces, profile, rows)
    config = settings(method, profile, device=device, epochs=1)
    waited: list[int] = []
    for count in (rows // 2, rows // 2, rows):  # the first training of a process waits for what the others find there
        with _waits(device) as found:
            result = trained(method, images[:count], labels[:count], config)
        waited.append(len(found))
    there, here = (predict(result, images[:judged], device=where) for where in (device, "cpu"))
    others = [name for name in there if name not in ("pred_probs", "logits")]
    on_cuda = devices.choose_device(device).type == "cuda"
    float16: float | str | None = None
    if on_cuda:
        try:
            with devices.multiplying_in(torch.float16):
                float16 = _short(trained(method, images, labels, config).history[-1]["loss"])
        except FercleanError as error:
            float16 = str(error)
    return {
        "name": method,
        "size": profile.input_size,
        "pred_probs_max": _short(np.abs(there["pred_probs"] - here["pred_probs"]).max()),
        "outputs_max": _short(
            # unlike Python's, this maximum is NaN where any of them is
            np.max([np.abs(there[name] - here[name]).max() / max(np.abs(here[name]).max(), 1e-9) for name in others])
        ),
        "loss": _short(result.history[-1]["loss"]),
        "waits_per_step": (waited[2] - waited[1]) / STEPS if on_cuda else None,
        "float16_loss": float16,
    }


def one_fold(method: str, faces: Faces, profile: Profile, *, device: str, epochs: int, count: int) -> dict[str, Any]:
    """One fold of the profile's on `count` faces for `epochs`, and what all folds and epochs of it would take."""
    started = time.perf_counter()
    images = faces.pixels(profile, count)
    labels = faces.labels[:count]
    decoded = time.perf_counter()
    pixels = Pixels(images, devices.choose_device(device))
    _finished(device)
    there = time.perf_counter()
    fold = splits.grouped_folds(labels, np.arange(count), folds=profile.folds, seed=0)
    devices.start_peak_memory(device)
    part = run_fold(
        method, pixels, labels, fold != 0, num_classes=len(CLASSES),
        config=settings(method, profile, device=device, epochs=epochs),
    )  # fmt: skip
    took = time.perf_counter() - there
    seconds = [epoch["seconds"] for epoch in part.history]
    usual = median(seconds[1:] or seconds)
    beside = took - sum(seconds)
    said = part.outputs["pred_probs"].argmax(1)
    return {
        "name": method,
        "size": profile.input_size,
        "backbone": profile.backbone,
        "images": count,
        "trained_on": len(part.train),
        "resident": pixels.resident,
        "decoding_seconds": round(decoded - started, 2),
        "copying_seconds": round(there - decoded, 2),
        "epoch_seconds": [round(value, 3) for value in seconds],
        "building_and_predicting_seconds": round(beside, 2),
        "images_per_second": round(len(part.train) / usual, 1),
        "loss": [_short(epoch["loss"]) for epoch in part.history],
        "accuracy": round(float((said == labels[part.held_out]).mean()), 4),
        "peak_memory_mb": _memory(device),
        "whole_run_seconds": round(profile.folds * (beside + seconds[0] + usual * (profile.epochs - 1)), 1),
        "whole_run_is": f"{profile.folds} folds of {profile.epochs} epochs",
    }


def speed(
    method: str, faces: Faces, profile: Profile, *, device: str, count: int, seconds: float, beside: bool = False
) -> dict[str, Any]:
    """Images a second of training (each stage), of bare steps, and of prediction.

    Bare is the same network, loss, batch, precision and optimizer on one batch that lies on the device: no rows are
    taken, no view is drawn, no average kept; it is repeated for three times `seconds`. `bare_share` is training's last
    stage over bare. With `beside` also while
    images are streamed from the host and in float32.
    """
    images, labels = _tiled(faces, profile, count)
    config = settings(method, profile, device=device, epochs=3)
    where = devices.choose_device(device)
    title = f"training {method}"

    def rates(pixels: Pixels) -> tuple[FitResult, dict[str, float]]:
        epochs = Epochs()
        result = trained(method, pixels, labels, config, progress=epochs)
        return result, {name: count / epochs.usual(name) for name in epochs.seconds}

    pixels = Pixels(images, where, resident=where.type == "cuda")
    devices.start_peak_memory(device)
    result, found = rates(pixels)
    memory = _memory(device)
    bare = bare_rate(method, profile, device=device, seconds=seconds)["images_per_second"]
    predict(result, pixels, device=device)
    started = time.perf_counter()
    predict(result, pixels, device=device)
    predicted = time.perf_counter() - started
    row: dict[str, Any] = {
        "name": method,
        "size": profile.input_size,
        "backbone": profile.backbone,
        "batch": profile.batch_size,
        "images": count,
        "images_per_second": round(found.pop(title), 1),
        "first_stages": {name: round(rate, 1) for name, rate in found.items()},
        "bare_images_per_second": bare,
        "predict_images_per_second": round(count / predicted, 1),
        "peak_memory_mb": memory,
    }
    row["bare_share"] = round(row["images_per_second"] / bare, 3)
    if beside:
        row["streamed_images_per_second"] = round(rates(Pixels(images, where, resident=False))[1][title], 1)
        with devices.full_precision():
            row["float32_images_per_second"] = round(rates(pixels)[1][title], 1)
    return row


def bare_rate(
    method: str, profile: Profile, *, device: str, seconds: float, compiled: str | None = None
) -> dict[str, Any]:
    """Images a second of forward, loss, backward and optimizer on one batch of noise; `compiled` is torch.compile's
    mode for the network, None = as it is. The first step's seconds hold what compiling takes."""
    where = devices.choose_device(device)
    config = settings(method, profile, device=device)
    room, cfg = get_method(method), config_of(config, method)
    side = config.network_size(profile.input_size)
    with devices.repeatable(0, where):
        backbone = make_backbone(config.backbone, channels=profile.channels, input_size=side)
        model: Any = room.build(cfg, len(CLASSES), backbone)
        model = model.to(device=where, memory_format=torch.channels_last).train()
        shape = (profile.batch_size, profile.channels, side, side)
        rows = torch.arange(profile.batch_size, device=where)
        labels = rows % len(CLASSES)
        views = tuple(
            torch.randn(shape, device=where).contiguous(memory_format=torch.channels_last)
            for _ in range(hook(room, "views")(cfg))
        )
        batch = Batch(views=views, labels=labels, given=labels, index=rows, label_smoothing=config.label_smoothing)
        descent = Descent(model, config, where, total=10**9, learning_rate=config.learning_rate)
        network: Any = model if compiled is None else torch.compile(model, mode=compiled)

        def steps(number: int) -> float:
            started = time.perf_counter()
            for _ in range(number):
                with devices.half_precision(where):
                    loss = room.step(network, batch, cfg, 0.5)["loss"]
                descent.step(loss)
            _finished(device)
            return time.perf_counter() - started

        first = steps(1)
        steps(2)  # kernels are chosen, and graphs recorded, in the first three
        number = max(1, round(seconds / max(steps(3) / 3, 1e-6)))
        step = median(steps(number) / number for _ in range(3))
    return {
        "images_per_second": round(profile.batch_size / step, 1),
        "milliseconds_a_step": round(1000 * step, 3),
        "first_step_seconds": round(first, 2),
    }


def two_trainings(method: str, faces: Faces, profile: Profile, *, device: str) -> dict[str, Any]:
    """Whether two trainings with one seed are equal to the bit, in this process; `error` where torch refuses."""
    images, labels = _tiled(faces, profile, 4 * profile.batch_size)
    config = settings(method, profile, device=device, epochs=1)
    row: dict[str, Any] = {"name": method, "size": profile.input_size, "error": None}
    try:
        first, second = (predict(trained(method, images, labels, config), images[:64])["pred_probs"] for _ in range(2))
    except RuntimeError as error:  # an operator without a deterministic kernel
        return row | {"equal": None, "largest": None, "error": str(error).splitlines()[0][:160]}
    return row | {"equal": first.tobytes() == second.tobytes(), "largest": _short(np.abs(first - second).max())}


def repeated(faces: Path, methods: Sequence[str], *, device: str, rehearsal: bool) -> list[dict[str, Any]]:
    """`two_trainings` of each, in a process that asks for the same bytes before CUDA starts there."""
    asked = os.environ | {"CUBLAS_WORKSPACE_CONFIG": devices.EXACT_WORKSPACES[0]}
    command = [sys.executable, "-m", "pipelines.gpu_check", str(faces), "--only-repeat", "--device", device]
    command += ["--methods", ",".join(methods), *(["--rehearsal"] if rehearsal else [])]
    done = subprocess.run(command, env=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FercleanError(f"the repeated trainings stopped: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def seeds(method: str, faces: Faces, profile: Profile, *, device: str, count: int, epochs: int) -> dict[str, Any]:
    """How far a training on the device is from one on the CPU, beside how far another seed is: mean |difference| of
    probabilities. `half`: from the same training in float32 on the device."""
    images, labels = faces.pixels(profile, count * 3 // 2), faces.labels[: count * 3 // 2]
    train, test = slice(0, count), slice(count, None)

    def said(where: str, *, seed: int = 0, full: bool = False) -> np.ndarray:
        config = settings(method, profile, device=where, seed=seed, epochs=epochs)
        with devices.full_precision() if full else nullcontext():
            return predict(trained(method, images[train], labels[train], config), images[test])["pred_probs"]

    here, there, other = said("cpu"), said(device), said(device, seed=1)
    full = said(device, full=True)
    right = {"cpu": here, "device": there, "float32": full}
    return {
        "name": method,
        "size": profile.input_size,
        "cpu": _short(np.abs(here - full).mean()),
        "half": _short(np.abs(there - full).mean()),
        "two_seeds": _short(np.abs(there - other).mean()),
        "accuracy": {name: round(float((probs.argmax(1) == labels[test]).mean()), 4) for name, probs in right.items()},
    }


def _tiled(faces: Faces, profile: Profile, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` faces, again from the first where there are fewer."""
    pixels = faces.pixels(profile, count)
    rows = np.arange(count) % len(pixels)
    return pixels[rows], faces.labels[rows]


def _finished(device: str) -> None:
    if (where := devices.choose_device(device)).type == "cuda":
        torch.cuda.synchronize(where)


@contextmanager
def _waits(device: str) -> Iterator[list[str]]:
    """Inside, whatever waits for CUDA adds a line to the list."""
    found: list[str] = []
    if devices.choose_device(device).type != "cuda":
        yield found
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")
        found += [str(one.message) for one in caught if "synchronizing CUDA operation" in str(one.message)]


def _memory(device: str) -> float | None:
    found = devices.peak_memory_mb(device)
    return None if found is None else round(found, 1)


def _short(value: float) -> float | None:
    return float(f"{value:.3g}") if math.isfinite(value) else None
