"""The "learning intensity" of cross_layer: gradients at stages 1 and 2 with and without its contrastive losses.

Norms at the stage's output over batches of training faces, of networks after some epochs of training with the losses.

    python pipelines/learning_intensity.py --workspace W --drawn 1000 [--epochs 1,10,30] --json FILE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.faces_to_train import asked, parser_for, setting
from pipelines.heading import heading, write_figures

METHOD = "cross_layer"
BATCHES = 8


def run(
    root: Path,
    *,
    epochs: Sequence[int] = (1, 10, 30),
    profile: str = "demo",
    **asked_for: Any,
) -> dict[str, Any]:
    """Train once for each number of epochs and measure; `asked_for` as `setting` takes it. Returns the JSON object.

    Every row has `stage1_with`, `stage1_without`, `stage2_with`, `stage2_without` (means over batches) and the same
    names ending in `_sd`.
    """
    import torch

    from ferclean.recognition.augment import augment
    from ferclean.recognition.devices import describe
    from ferclean.recognition.methods.base import Batch
    from ferclean.recognition.methods.cross_layer import gradient_norms
    from ferclean.recognition.train import fit

    on = setting(root, [METHOD], profile=profile, **asked_for)
    chosen, faces, seed = on.chosen, on.faces, on.seed
    images, labels = faces.pixels[faces.train], faces.given[faces.train]
    rows = []
    for done, count in enumerate(epochs):
        on.progress(f"training for {count} epochs", done, len(epochs))
        config = replace(chosen.train_config(seed=seed, device=on.device), epochs=count)
        result = fit(METHOD, images, labels, num_classes=len(faces.classes), config=config)
        own = next(result.model.parameters()).device
        generator = torch.Generator(device=own).manual_seed(seed)
        order = np.random.default_rng(seed).permutation(len(images))
        norms = []
        for rows_of in np.array_split(order, max(1, len(order) // chosen.batch_size))[:BATCHES]:
            view = augment(
                torch.from_numpy(images[rows_of]).to(own), config, size=config.network_size(images.shape[2]),
                generator=generator,
            )  # fmt: skip
            target = torch.from_numpy(labels[rows_of]).to(own)
            batch = Batch(views=(view,), labels=target, given=target, index=torch.from_numpy(rows_of).to(own))
            model = result.model.requires_grad_(True)  # predictions come from a copy that is never trained
            norms.append(gradient_norms(model, batch, result.method_config))
        values = {name: np.array([each[name] for each in norms]) for name in norms[0]}
        rows.append(
            {"epochs": count}
            | {name: round(float(value.mean()), 5) for name, value in values.items()}
            | {f"{name}_sd": round(float(value.std(ddof=1)), 5) for name, value in values.items() if len(value) > 1}
        )
    on.progress("done", len(epochs), len(epochs))
    return heading("learning_intensity") | {
        "device": describe(on.device), "profile": profile,
        "data": faces.name, "train_images": len(faces.train), "batches": len(norms), "batch_size": chosen.batch_size,
        "seed": seed, "table": rows,
    }  # fmt: skip


def markdown(result: dict[str, Any]) -> str:
    """The table as RESULTS.md shows it."""
    lines = ["| epochs | stage 1, with | without | stage 2, with | without |", "|---|---|---|---|---|"]
    names = ("stage1_with", "stage1_without", "stage2_with", "stage2_without")
    lines += [
        f"| {row['epochs']} | " + " | ".join(f"{row[name]:.4f}" for name in names) + " |" for row in result["table"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line."""
    parser = parser_for("Gradient norms of cross_layer with and without its losses.", profile="demo")
    parser.add_argument("--epochs", default="1,10,30", help="lengths of the trainings, comma-separated")
    options = parser.parse_args()

    result = run(options.workspace, epochs=[int(part) for part in options.epochs.split(",")], **asked(options))
    write_figures(options.json, result)
    print(markdown(result), end="")


if __name__ == "__main__":
    main()
