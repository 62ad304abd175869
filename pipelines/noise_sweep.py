"""The field's protocol for noisy labels: flip a share of the training labels, train, test on untouched labels.

Symmetric noise on any ingested set with a test split; last epoch and validation-selected accuracy (the validation tenth
carries the same noise; nothing is ever selected on the test images), paired seeds, every recognizer.

    python pipelines/noise_sweep.py --workspace W [--methods a,b] [--noise 0.1,0.2,0.3] [--seeds 3] --json FILE
    python pipelines/noise_sweep.py --workspace W --drawn 1000 ...   # draws a clean set of faces first

`--readme FILE` puts the table between the lines `<!-- noise sweep -->` and `<!-- /noise sweep -->` of a Markdown file.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferclean.errors import UsageError
from ferclean.evidence.comparison import paired_difference
from ferclean.progress import Progress, silent
from ferclean.recognition.methods.catalogue import METHODS
from ferclean.recognition.profiles import get_profile
from ferclean.store.version import code_version
from pipelines.faces_to_train import Faces, drawn_or_ingested, parser_for, percent, told

PLAIN = "cross_entropy"
START, END = "<!-- noise sweep -->", "<!-- /noise sweep -->"
HELD_OUT = 0.1

if TYPE_CHECKING:
    from ferclean.recognition.config import TrainConfig


def run(
    root: Path,
    *,
    methods: Sequence[str] | None = None,
    noises: Sequence[float] = (0.1, 0.2, 0.3),
    seeds: int = 3,
    seed: int = 0,
    profile: str = "quick",
    device: str = "auto",
    drawn: int = 0,
    progress: Progress = silent,
    **overrides: Any,
) -> dict[str, Any]:
    """Train every method on every share of noise with every seed. Returns the whole JSON object.

    Every seed plants its own noise, the same for all methods, so differences to the plain baseline are paired.
    """
    chosen_methods = tuple(methods or METHODS)
    chosen = get_profile(profile, methods=list(chosen_methods), seeds=1, **overrides)
    faces = drawn_or_ingested(root, chosen, drawn=drawn, seed=seed, progress=progress)
    rows: list[dict[str, Any]] = []
    hits: dict[tuple[str, float], list[np.ndarray]] = {}
    total, done = len(chosen_methods) * len(noises) * seeds, 0
    for noise in noises:
        for number in range(seed, seed + seeds):
            noisy = plant_symmetric(faces.given[faces.train], noise, num_classes=len(faces.classes), seed=number)
            for method in chosen_methods:
                progress(f"training {method} at {noise:.0%} noise, seed {number}", done, total)
                row, hit = _train(method, faces, noisy, chosen.train_config(seed=number, device=device))
                rows.append({"method": method, "noise": noise, "seed": number} | row)
                hits.setdefault((method, noise), []).append(hit)
                done += 1
    progress("done", total, total)
    from ferclean.recognition.devices import describe

    return {
        "schema": 1,
        "pipeline": "noise_sweep",
        "version": code_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "device": f"{describe(device)} ({platform.machine()})",
        "profile": profile,
        "epochs": chosen.epochs,
        "data": faces.name,
        "train_images": len(faces.train),
        "test_images": len(faces.test),
        "seeds": seeds,
        "table": [
            _summary(method, noise, rows, hits, seed=seed) for noise in noises for method in chosen_methods
        ],
        "rows": rows,
    }  # fmt: skip


def plant_symmetric(labels: np.ndarray, share: float, *, num_classes: int, seed: int) -> np.ndarray:
    """(N,) labels of which exactly round(share * N) are another class, each of the others alike likely."""
    rng = np.random.default_rng(seed)
    noisy = labels.copy()
    rows = rng.permutation(len(labels))[: round(share * len(labels))]
    noisy[rows] = (labels[rows] + rng.integers(1, num_classes, len(rows))) % num_classes
    return noisy


def _train(method: str, faces: Faces, noisy: np.ndarray, config: TrainConfig) -> tuple[dict[str, Any], np.ndarray]:
    from ferclean.recognition.methods.base import with_class_names
    from ferclean.recognition.train import fit, predict

    pixels, given, train, test = faces.pixels, faces.given, faces.train, faces.test
    held_out = np.random.default_rng(config.seed).random(len(train)) < HELD_OUT
    own = ~held_out
    start = time.perf_counter()
    result = fit(
        method, pixels[train[own]], noisy[own],
        num_classes=len(faces.classes), config=with_class_names(config, method, faces.classes),
        validation={
            "validation": (pixels[train[held_out]], noisy[held_out]),
            "test": (pixels[test], given[test]),
        },
    )  # fmt: skip
    seconds = time.perf_counter() - start
    hit = predict(result, pixels[test])["pred_probs"].argmax(1) == given[test]
    best = int(np.argmax([epoch["validation_accuracy"] for epoch in result.history]))
    truth = given[train[own]]
    changed = result.labels != noisy[own]
    return {
        "last_epoch": float(hit.mean()),
        "validation_selected": float(result.history[best]["test_accuracy"]),
        "seconds": round(seconds, 1),
        "flips": len(result.flips),
        # of the samples whose label is another one in the end: how many had a planted one, how many have their true one
        "changed": int(changed.sum()),
        "flip_precision": float((noisy[own] != truth)[changed].mean()) if changed.any() else None,
        "flips_to_truth": float((result.labels == truth)[changed].mean()) if changed.any() else None,
    }, hit


def _summary(
    method: str,
    noise: float,
    rows: list[dict[str, Any]],
    hits: dict[tuple[str, float], list[np.ndarray]],
    *,
    seed: int,
) -> dict[str, Any]:
    own = [row for row in rows if row["method"] == method and row["noise"] == noise]
    found: dict[str, Any] = {"method": method, "noise": noise}
    for name in ("last_epoch", "validation_selected"):
        values = [row[name] for row in own]
        found[name] = round(float(np.mean(values)), 4)
        found[f"{name}_sd"] = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    flips = [row["flip_precision"] for row in own if row["flip_precision"] is not None]
    found["flip_precision"] = round(float(np.mean(flips)), 4) if flips else None
    found["seconds"] = round(float(np.mean([row["seconds"] for row in own])), 1)
    if method != PLAIN and (PLAIN, noise) in hits:
        difference = paired_difference(np.stack(hits[PLAIN, noise]), np.stack(hits[method, noise]), seed=seed)
        found["minus_plain"] = difference.as_dict()
    return found


def markdown(result: dict[str, Any]) -> str:
    """The results table as the README shows it."""
    lines = [
        "| recognizer | noise | last epoch | validation-selected | minus `cross_entropy`, 95 % | changed: were wrong |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["table"]:
        less = row.get("minus_plain")
        lines.append(
            f"| `{row['method']}` | {row['noise']:.0%} | {percent(row['last_epoch'], row['last_epoch_sd'])} | "
            f"{percent(row['validation_selected'], row['validation_selected_sd'])} | "
            + (f"{100 * less['mean']:+.1f} ({100 * less['low']:+.1f} to {100 * less['high']:+.1f})" if less else "")
            + (f" | {row['flip_precision']:.0%} |" if row["flip_precision"] is not None else " | |")
        )
    return "\n".join(lines) + "\n"


def write_readme(result: dict[str, Any], path: Path) -> None:
    """Put the table and where it comes from between the two marks of a Markdown file; the rest stays as it is.

    Raises UsageError when the marks are not there, once each and in order.
    """
    before, rest = _marked(path)
    source = (
        f"{result['data']}: {result['train_images']:,} training images (a tenth of them only to select on), "
        f"{result['test_images']:,} clean test images; profile {result['profile']}, {result['epochs']} epochs, "
        f"{result['seeds']} paired seeds, {result['device']}, {result['date']}, ferclean {result['version']}.\n"
    )
    path.write_text(f"{before}{START}\n{markdown(result)}\n{source}{END}{rest}", "utf-8")


def _marked(path: Path) -> tuple[str, str]:
    """What stands before the first mark and after the second."""
    text = path.read_text("utf-8") if path.is_file() else ""
    if text.count(START) != 1 or text.count(END) != 1 or text.index(END) < text.index(START):
        raise UsageError(f"{path} needs the lines {START} and {END}, once each, to take the table")
    return text.split(START)[0], text.split(END)[1]


def plot(result: dict[str, Any], path: Path) -> None:
    """Accuracy of the last epoch against the share of noise, one line per recognizer, as SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for method in dict.fromkeys(row["method"] for row in result["table"]):
        own = [row for row in result["table"] if row["method"] == method]
        axes.errorbar(
            [100 * row["noise"] for row in own], [100 * row["last_epoch"] for row in own],
            yerr=[100 * (row["last_epoch_sd"] or 0.0) for row in own], marker="o", capsize=3, label=method,
        )  # fmt: skip
    axes.set_xlabel("planted label noise, %")
    axes.set_ylabel("test accuracy, last epoch, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, format="svg")


def main() -> None:
    """Command line."""
    parser = parser_for("Recognizers under symmetric label noise.", profile="quick")
    parser.add_argument("--methods", help="recognizers, comma-separated; default all")
    parser.add_argument("--noise", default="0.1,0.2,0.3")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--plot", type=Path, help="where the plot goes (.svg)")
    parser.add_argument("--readme", type=Path, help="a Markdown file with the two marks, which takes the table")
    options = parser.parse_args()

    if options.readme:
        _marked(options.readme)  # before hours of training, not after them

    result = run(
        options.workspace, methods=options.methods.split(",") if options.methods else None,
        noises=[float(part) for part in options.noise.split(",")], seeds=options.seeds, seed=options.seed,
        profile=options.profile, device=options.device, drawn=options.drawn, progress=told, epochs=options.epochs,
    )  # fmt: skip
    options.json.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", "utf-8")
    if options.plot:
        plot(result, options.plot)
    if options.readme:
        write_readme(result, options.readme)
    print(markdown(result), end="")


if __name__ == "__main__":
    main()
