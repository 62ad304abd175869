"""Pictures with the spectrum of photographs, and workspaces of them, for tests of patches.

Nothing is trained or judged here.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ferclean.sources.cards import load_card
from ferclean.store.decisions import Decision, append_decisions
from ferclean.store.samples import Dataset, Sample, get_samples, make_sample_id, put_dataset, put_samples
from ferclean.store.workspace import Workspace

CLASSES = ("anger", "fear", "happiness")


def scene(seed: int, side: int = 100) -> Image.Image:
    """A picture whose waves are the weaker the shorter they are, as in photographs."""
    rng = np.random.default_rng(seed)
    waves = np.fft.fftfreq(side) * side
    strength = 1 / np.maximum(np.hypot(waves[:, None], waves[None]), 1) ** 1.2
    grey = np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) * strength).real
    return Image.fromarray(np.clip(128 + 45 * grey / grey.std(), 0, 255).astype(np.uint8))


def coded(image: Image.Image, *, form: str = "PNG", quality: int = 80, size: int = 0, mirror: bool = False) -> bytes:
    """The bytes of a picture, resized and mirrored where that is asked for."""
    if size:
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    if mirror:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    out = io.BytesIO()
    image.save(out, form, quality=quality)
    return out.getvalue()


def workspace_of(
    root: Path, pictures: Mapping[str, bytes], labels: Sequence[str | None], *, classes: Sequence[str] = CLASSES,
    splits: Sequence[str] = (), redistributable: bool = False,
) -> Workspace:  # fmt: skip
    """A workspace below `root` of these pictures (key -> bytes), for training unless `splits` say otherwise."""
    ws, folder = Workspace.create(root / "workspace"), root / "faces"
    folder.mkdir()
    known = {"name": "faces", "classes": tuple(classes), "root": str(folder), "licence": "research-only"}
    put_dataset(ws, Dataset(**known, card=load_card("image_folder").as_dict(), redistributable=redistributable))
    rows = []
    for number, (key, data) in enumerate(pictures.items()):
        (folder / str(number)).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        rows.append(
            Sample(
                sample_id=make_sample_id("faces", key, digest), source_key=key, given_label=labels[number],
                split=splits[number] if splits else "train", relative_path=str(number), content_hash=digest,
                quarantine_reason=None if labels[number] else "label: missing",
            )
        )  # fmt: skip
    put_samples(ws, rows)
    return ws


def said(
    ws: Workspace, key: str, action: str, label: str | None = None, shares: dict[str, float] | None = None
) -> None:
    """Record what a person called Ann Other says about the picture `key`."""
    ids = dict(get_samples(ws, include_quarantined=True)[["source_key", "sample_id"]].itertuples(index=False))
    append_decisions(
        ws,
        [Decision(sample_id=ids[key], action=action, label=label, reviewer="Ann Other", source="cli", shares=shares)],
    )
