"""The field's protocol for noisy labels: flip a share of the training labels, train, test on untouched labels.

Symmetric noise on any ingested set with a test split; last epoch and validation-selected accuracy (the validation tenth
carries the same noise; nothing is ever selected on the test images), paired seeds, every recognizer.

    python pipelines/noise_sweep.py --workspace W [--methods a,b] [--noise 0.1,0.2,0.3] [--seeds 3] --json FILE
    python pipelines/noise_sweep.py --workspace W --drawn 1000 ...   # draws a clean set of faces first

Each training is written down in `W/runs/noise_sweep/trainings.jsonl` when it ends, and one that is there is not done
again: an interrupted sweep goes on, several processes may share the work (other `--methods`, one workspace, once the
faces are drawn), and the last call, with all of them, makes the table. Delete the folder after a change of the code.

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

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.comparison import paired_difference
from ferclean.recognition.methods.catalogue import METHODS
from ferclean.store.version import code_version
from pipelines.faces_to_train import Faces, asked, parser_for, percent, setting
from pipelines.heading import write_figures

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
    profile: str = "quick",
    **asked_for: Any,
) -> dict[str, Any]:
    """Train every method on every share of noise with every seed; `asked_for` as `setting` takes it. Returns the whole
    JSON object.

    `seconds` are those of the training alone, `first_stage_seconds` those of a stage that all shares of noise have in
    common, where this training was the first to need it.

    Every seed plants its own noise, the same for all methods, so differences to the plain baseline are paired. What
    was trained before with the same settings, images and labels is not trained again; `version` names the code.
    """
    from ferclean.recognition.methods.base import with_class_names

    on = setting(root, list(methods or METHODS), profile=profile, **asked_for)
    chosen, faces, progress = on.chosen, on.faces, on.progress
    chosen_methods, noises = chosen.methods, tuple(dict.fromkeys(noises))
    kept = root / "runs" / "noise_sweep"
    rows: list[dict[str, Any]] = []
    total, done = len(chosen_methods) * len(noises) * seeds, 0
    for noise in noises:
        for number in range(on.seed, on.seed + seeds):
            noisy = plant_symmetric(faces.given[faces.train], noise, num_classes=len(faces.classes), seed=number)
            for method in chosen_methods:
                about = {"method": method, "noise": noise, "seed": number}
                config = with_class_names(chosen.train_config(seed=number, device=on.device), method, faces.classes)
                identity, row = _known(kept, method, faces, noisy, config)
                if row is None:
                    progress(f"training {method} at {noise:.0%} noise, seed {number}", done, total)
                    row = {"training": identity} | about | _train(method, faces, noisy, config, kept)
                    _keep(kept, row)
                else:
                    progress(f"{method} at {noise:.0%} noise, seed {number}: done by {row['version']}", done, total)
                rows.append(row)
                done += 1
    progress("done", total, total)
    return {
        "schema": 1,
        "pipeline": "noise_sweep",
        # of the trainings, some of which may be from earlier calls
        **{name: ", ".join(sorted({row[name] for row in rows})) for name in ("version", "date", "device")},
        "profile": profile,
        "epochs": chosen.epochs,
        "data": faces.name,
        "train_images": len(faces.train),
        "test_images": len(faces.test),
        "seeds": seeds,
        "table": [
            _summary(method, noise, rows) for noise in noises for method in chosen_methods
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


def _known(
    folder: Path, method: str, faces: Faces, noisy: np.ndarray, config: TrainConfig
) -> tuple[str, dict[str, Any] | None]:
    """The training's identity, and what it came to where it was done before."""
    from ferclean.recognition.crossval import training_digest

    pixels, given, train, test = faces.pixels, faces.given, faces.train, faces.test
    identity = training_digest(
        method, pixels[train], noisy, given[train], pixels[test], given[test],
        num_classes=len(faces.classes), config=config,
    )  # fmt: skip
    path = folder / "trainings.jsonl"
    # what stands after the last line break is being written by another process, or was cut off
    lines = path.read_text("utf-8").split("\n")[:-1] if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            row: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadDataError(
                f"line {number} of {path} is cut off: delete it, and that training is repeated"
            ) from error
        if row["training"] == identity:
            return identity, row
    return identity, None


def _keep(folder: Path, row: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # one write of one line: processes that share the work may append at the same time
    with (folder / "trainings.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, allow_nan=False) + "\n")


def _train(method: str, faces: Faces, noisy: np.ndarray, config: TrainConfig, folder: Path) -> dict[str, Any]:
    from ferclean.recognition.crossval import shared_encoder
    from ferclean.recognition.devices import describe
    from ferclean.recognition.methods.base import hook
    from ferclean.recognition.methods.catalogue import get_method
    from ferclean.recognition.train import fit, predict

    pixels, given, train, test = faces.pixels, faces.given, faces.train, faces.test
    held_out = np.random.default_rng(config.seed).random(len(train)) < HELD_OUT
    own = ~held_out
    start = time.perf_counter()
    encoder = None
    if hook(get_method(method), "LABEL_FREE"):
        # planted noise does not change it: one for all shares of noise
        encoder = shared_encoder(
            method, pixels[train[own]], num_classes=len(faces.classes), config=config, out_dir=folder
        )
    first_stage = time.perf_counter() - start if encoder else 0.0
    start = time.perf_counter()
    result = fit(
        method, pixels[train[own]], noisy[own],
        num_classes=len(faces.classes), config=config, pretrained=encoder,
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
        "version": code_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "device": f"{describe(config.device)} ({platform.machine()})",
        "last_epoch": float(hit.mean()),
        "validation_selected": float(result.history[best]["test_accuracy"]),
        # right on each test image, in order: differences between recognizers are paired
        "hits": "".join("01"[int(right)] for right in hit),
        "seconds": round(seconds, 1),
        "first_stage_seconds": round(first_stage, 1),
        "flips": len(result.flips),
        # of the samples whose label is another one in the end: how many had a planted one, how many have their true one
        "changed": int(changed.sum()),
        "flip_precision": float((noisy[own] != truth)[changed].mean()) if changed.any() else None,
        "flips_to_truth": float((result.labels == truth)[changed].mean()) if changed.any() else None,
    }


def _summary(method: str, noise: float, rows: list[dict[str, Any]]) -> dict[str, Any]:
    own = [row for row in rows if row["method"] == method and row["noise"] == noise]
    plain = [row for row in rows if row["method"] == PLAIN and row["noise"] == noise]
    found: dict[str, Any] = {"method": method, "noise": noise}
    for name in ("last_epoch", "validation_selected"):
        values = [row[name] for row in own]
        found[name] = round(float(np.mean(values)), 4)
        found[f"{name}_sd"] = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    flips = [row["flip_precision"] for row in own if row["flip_precision"] is not None]
    found["flip_precision"] = round(float(np.mean(flips)), 4) if flips else None
    found["seconds"] = round(float(np.mean([row["seconds"] for row in own])), 1)
    if method != PLAIN and plain:
        found["minus_plain"] = paired_difference(_hits(plain), _hits(own)).as_dict()
    return found


def _hits(rows: list[dict[str, Any]]) -> np.ndarray:
    """(S, T) bool: right on each test image, per seed."""
    return np.array([[each == "1" for each in row["hits"]] for row in rows])


def markdown(result: dict[str, Any]) -> str:
    """The results table as RESULTS.md shows it."""
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
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    methods = list(dict.fromkeys(row["method"] for row in result["table"]))
    for position, method in enumerate(methods):
        own = [row for row in result["table"] if row["method"] == method]
        beside = 0.35 * (position - (len(methods) - 1) / 2)  # or the bars would hide each other
        axes.errorbar(
            [100 * row["noise"] + beside for row in own], [100 * row["last_epoch"] for row in own],
            yerr=[100 * (row["last_epoch_sd"] or 0.0) for row in own], capsize=3, label=method,
            marker="osD^vPX*"[position % 8], linestyle=":" if method == PLAIN else "-",
        )  # fmt: skip
    axes.set_xticks(sorted({100 * row["noise"] for row in result["table"]}))
    axes.set_xlabel("planted label noise, %")
    axes.set_ylabel("test accuracy, last epoch, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    # the same figures give the same bytes
    with rc_context({"svg.hashsalt": "ferclean"}):
        figure.savefig(path, format="svg", metadata={"Date": None})


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
        noises=[float(part) for part in options.noise.split(",")], seeds=options.seeds,
        epochs=options.epochs, **asked(options),
    )  # fmt: skip
    write_figures(options.json, result)
    if options.plot:
        plot(result, options.plot)
    if options.readme:
        write_readme(result, options.readme)
    print(markdown(result), end="")


if __name__ == "__main__":
    main()
