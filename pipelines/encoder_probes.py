"""What a first stage is worth: linear probes of an untrained, a pretrained and a supervised encoder of one kind.

Labels are clean (drawn faces, or a set that you trust), the test split is only measured on. The share of the gap is
(probe - untrained) / (supervised - untrained): 0 = the first stage taught nothing, 1 = as good as training with labels.

    python pipelines/encoder_probes.py --workspace W --drawn 1000 [--methods distilled] [--seeds 3] --json FILE
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.errors import UsageError
from ferclean.evidence.comparison import paired_difference
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.methods.catalogue import check_methods, get_method
from pipelines.faces_to_train import Faces, asked, parser_for, percent, setting
from pipelines.heading import heading, write_figures

METHODS = ("distilled", "coarse_contrast")
SUPERVISED = "cross_entropy"
UNTRAINED = "untrained"


def run(
    root: Path,
    *,
    methods: Sequence[str] = METHODS,
    seeds: int = 3,
    profile: str = "demo",
    **asked_for: Any,
) -> dict[str, Any]:
    """Probe and train with every seed; `asked_for` as `setting` takes it. Returns the whole JSON object; accuracies are
    those of the last epoch."""
    for name in check_methods(methods):
        if not hasattr(get_method(name), "pretrain"):
            raise UsageError(f"{name} has no first stage to probe; those that have: {', '.join(METHODS)}")
    on = setting(root, [SUPERVISED], profile=profile, **asked_for)
    names = (UNTRAINED, *methods, SUPERVISED)
    hits: dict[str, list[np.ndarray]] = {name: [] for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    done = 0
    for number in range(on.seed, on.seed + seeds):
        config = on.chosen.train_config(seed=number, device=on.device)
        for name in names:
            on.progress(f"{name}, seed {number}", done, len(names) * seeds)
            start = time.perf_counter()
            hits[name].append(_hits(name, on.faces, config))
            seconds[name].append(time.perf_counter() - start)
            done += 1
    on.progress("done", done, done)
    floor, ceiling = (np.stack(hits[name]).mean(1) for name in (UNTRAINED, SUPERVISED))
    table = []
    for name in names:
        accuracy = np.stack(hits[name]).mean(1)
        row: dict[str, Any] = {
            "name": name,
            "accuracy": _mean_and_sd(accuracy),
            "seconds": round(float(np.mean(seconds[name])), 1),
        }
        if name in methods:
            row["share_of_gap"] = share_of_gap(accuracy, floor, ceiling)
            row["minus_untrained"] = paired_difference(np.stack(hits[UNTRAINED]), np.stack(hits[name])).as_dict()
        table.append(row)
    from ferclean.recognition.devices import describe

    return heading("encoder_probes") | {
        "device": describe(on.device), "profile": profile, "epochs": on.chosen.epochs, "data": on.faces.name,
        "train_images": len(on.faces.train), "test_images": len(on.faces.test), "seeds": seeds, "table": table,
    }  # fmt: skip


def _hits(name: str, faces: Faces, config: TrainConfig) -> np.ndarray:
    """(T,) bool: right on each test image, by a probe or by the supervised recognizer."""
    from ferclean.recognition.backbones import make_backbone
    from ferclean.recognition.devices import repeatable
    from ferclean.recognition.methods.base import with_class_names
    from ferclean.recognition.pretraining import state_of
    from ferclean.recognition.train import choose_device, fit, predict

    images, labels = faces.pixels[faces.train], faces.given[faces.train]
    state = None
    if name == UNTRAINED:
        with repeatable(config.seed, choose_device(config.device)):
            state = state_of(
                make_backbone(
                    config.backbone, channels=images.shape[1], input_size=config.network_size(images.shape[2])
                )
            )
    method = METHODS[0] if name == UNTRAINED else name
    result = fit(
        method, images, labels,
        num_classes=len(faces.classes), config=with_class_names(config, method, faces.classes), pretrained=state,
    )  # fmt: skip
    found: np.ndarray = predict(result, faces.pixels[faces.test])["pred_probs"].argmax(1) == faces.given[faces.test]
    return found


def share_of_gap(probe: np.ndarray, floor: np.ndarray, ceiling: np.ndarray) -> float | None:
    """How much of the way from `floor` to `ceiling` the probe has come, of accuracies per seed (S,), as means.

    0 = no better than the untrained encoder, 1 = as good as the supervised recognizer; None where that is no better.

    >>> share_of_gap(np.array([0.6]), np.array([0.4]), np.array([0.8]))
    0.5
    """
    gap = float(ceiling.mean() - floor.mean())
    return round(float(probe.mean() - floor.mean()) / gap, 4) if gap > 0 else None


def _mean_and_sd(values: np.ndarray) -> dict[str, float | None]:
    return {
        "mean": round(float(values.mean()), 4),
        "sd": round(float(values.std(ddof=1)), 4) if len(values) > 1 else None,
    }


def markdown(result: dict[str, Any]) -> str:
    """The table as RESULTS.md shows it."""
    lines = ["| encoder | test accuracy | share of the gap |", "|---|---|---|"]
    lines += [
        f"| {row['name']} | {percent(row['accuracy']['mean'], row['accuracy']['sd'])} | "
        + (f"{row['share_of_gap']:.0%} |" if row.get("share_of_gap") is not None else "|")
        for row in result["table"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line."""
    parser = parser_for("Linear probes of pretrained encoders.", profile="demo")
    parser.add_argument("--methods", default=",".join(METHODS), help="recognizers with a first stage, comma-separated")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="of every training; a method's first stage takes its share of them")
    options = parser.parse_args()

    result = run(
        options.workspace, methods=options.methods.split(","), seeds=options.seeds, epochs=options.epochs,
        **asked(options),
    )  # fmt: skip
    write_figures(options.json, result)
    print(markdown(result), end="")


if __name__ == "__main__":
    main()
