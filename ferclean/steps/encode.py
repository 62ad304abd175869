"""Train an encoder on a whole set, or import one, and write down what it has seen.

It judges nothing: `probe` does, and refuses labels that the encoder learned from.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.errors import UsageError
from ferclean.evidence import labels as label_names
from ferclean.parts.pixels import pixels_of
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition.profiles import get_profile
from ferclean.store import encoders, pictures, samples
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary


@dataclass(frozen=True, kw_only=True)
class EncodeSummary(Summary):
    """Where the encoder lies and what it has seen."""

    name: str
    path: str
    method: str
    images: int
    """It was trained on; 0 for an imported one."""
    saw_labels: bool | None
    """Whether given labels entered its training; None for an imported one, of which nobody here knows."""
    dimensions: int
    quarantined: dict[str, int]
    """Reason -> images that this call has set aside, since they are no longer what was ingested."""
    weights_report: str | None
    """What an imported file, or one that training started from, brought, and what not."""


def encode(
    ws: Workspace,
    *,
    name: str | None = None,
    method: str = "distilled",
    profile: str = "quick",
    splits: Sequence[str] | None = None,
    import_file: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
    **overrides: Any,
) -> EncodeSummary:
    """Train `method` on all labelled images of `splits` (default train), or import a backbone's weights as an encoder.

    A label-free method sees no label. The encoder goes to `encoders/NAME.safetensors` of the workspace, its training
    images' and labels' hashes beside it. `import_file` (.safetensors or weights-only .pth) is loaded into the profile's
    backbone instead; what it was trained on is unknown and said to be. An encoder of that name is replaced only with
    `force`. `tell` hears of damaged pictures. Raises UsageError for a name that is taken or no file name, and for an
    unknown method.
    """
    from ferclean.recognition.checkpoint import save_checkpoint
    from ferclean.recognition.encoder import imported_encoder, train_encoder
    from ferclean.recognition.methods.base import starting_weights

    chosen = get_profile(profile, methods=[method], seeds=1, **overrides)
    name = name or (method if import_file is None else import_file.stem)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise UsageError(f"an encoder's name is letters, digits, dots, dashes and underscores, not {name!r}")
    path = encoders.path_of(ws, name)
    if path.exists() and not force:
        raise UsageError(f"there is an encoder {name!r} already; choose another --name, or replace it with --force")
    config = chosen.train_config(seed=seed, device=device)
    if import_file is not None:
        trained, report = imported_encoder(import_file, config, channels=chosen.channels, input_size=chosen.input_size)
        encoders.drop_seen(ws, name)
        save_checkpoint(trained, path)
        encoders.copy_seen(import_file, ws, name)
        return EncodeSummary(
            name=name, path=str(path), method="imported", images=0, saw_labels=None,
            dimensions=_width(trained), quarantined={}, weights_report=report,
        )  # fmt: skip
    brought = starting_weights(method, config, channels=chosen.channels, input_size=chosen.input_size)
    dataset = samples.get_dataset(ws)
    frame, _ = samples.get_labelled(ws, splits=splits)
    lost = pictures.set_aside_lost(ws, list(frame["sample_id"]), progress=progress)
    frame = frame[~frame["sample_id"].isin(list(lost))].reset_index(drop=True)
    given = label_names.encode(list(frame["given_label"]), dataset.classes)
    pixels = pixels_of(ws, frame, size=chosen.input_size, channels=chosen.channels, progress=progress, tell=tell)
    trained, saw_labels = train_encoder(
        method, pixels, given, classes=dataset.classes, config=config, progress=progress
    )
    encoders.drop_seen(ws, name)
    save_checkpoint(trained, path)
    encoders.put_seen(
        ws, name, content_hashes=list(frame["content_hash"]),
        labels=list(frame["given_label"]) if saw_labels else None, known=True,
    )  # fmt: skip
    return EncodeSummary(
        name=name, path=str(path), method=method, images=len(frame), saw_labels=saw_labels,
        dimensions=_width(trained), quarantined=dict(Counter(lost.values())),
        weights_report=str(brought) if brought else None,
    )  # fmt: skip


def _width(trained: Any) -> int:
    from ferclean.recognition.inference import predict

    probe = np.zeros((1, trained.channels, trained.input_size, trained.input_size), dtype=np.uint8)
    return int(predict(trained, probe, device="cpu")["embedding"].shape[1])
