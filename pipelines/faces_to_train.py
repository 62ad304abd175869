"""Faces with trusted labels for the pipelines that train recognizers: an ingested set, or clean drawn ones.

It plants no noise and trains nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence import labels as label_names
from ferclean.parts.training_rows import copies_of
from ferclean.progress import Progress, silent
from ferclean.recognition import images as image_room
from ferclean.recognition.profiles import Profile, get_profile
from ferclean.sources.drawn_faces import drawing as drawn_faces
from ferclean.steps.ingest import ingest
from ferclean.store import samples
from ferclean.store.workspace import Workspace


def parser_for(description: str, *, profile: str) -> argparse.ArgumentParser:
    """The arguments that every pipeline on such faces has; `profile` is the default one."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--workspace", type=Path, required=True, help="with an ingested set, or an empty one and --drawn"
    )
    parser.add_argument("--drawn", type=int, default=0, help="draw this many clean training faces first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", default=profile)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    return parser


def asked(options: argparse.Namespace) -> dict[str, Any]:
    """What `parser_for`'s arguments say to `setting`."""
    named = ("profile", "device", "drawn", "seed")
    return {name: getattr(options, name) for name in named} | {"progress": told}


def told(description: str, done: int, total: int) -> None:
    """Progress as a line of its own."""
    print(f"{done}/{total} {description}", flush=True)


def percent(mean: float, sd: float | None) -> str:
    """An accuracy in percent and its spread over seeds, where there is one.

    >>> percent(0.7968, 0.022)
    '79.7 ± 2.2'
    """
    return f"{100 * mean:.1f}" + (f" ± {100 * sd:.1f}" if sd is not None else "")


@dataclass(frozen=True, kw_only=True)
class Faces:
    """A set in memory. `train` leaves out copies of test images; rows without a known label are in neither."""

    name: str
    classes: tuple[str, ...]
    pixels: np.ndarray
    """(N, C, S, S) uint8, at the profile's size."""
    given: np.ndarray
    """(N,) int64, -1 = unknown."""
    train: np.ndarray
    """(n,) rows."""
    test: np.ndarray
    """(m,) rows."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What recognizers are trained on, and how."""

    chosen: Profile
    faces: Faces
    seed: int
    device: str
    progress: Progress


def setting(
    root: Path, methods: Sequence[str], *, profile: str, device: str = "auto", drawn: int = 0, seed: int = 0,
    progress: Progress = silent, **overrides: Any,
) -> Setting:  # fmt: skip
    """`methods` under a profile, of which `overrides` change fields, and the faces of `drawn_or_ingested`."""
    chosen = get_profile(profile, methods=methods, seeds=1, **overrides)
    faces = drawn_or_ingested(root, chosen, drawn=drawn, seed=seed, progress=progress)
    return Setting(chosen=chosen, faces=faces, seed=seed, device=device, progress=progress)


def drawn_or_ingested(
    root: Path, profile: Profile, *, drawn: int = 0, seed: int = 0, progress: Progress = silent
) -> Faces:
    """The set of the workspace `root`; with `drawn`, that many clean training faces and half as many test faces.

    Raises BadDataError when there is no labelled test split to measure on, UsageError when another number was drawn.
    """
    ws = Workspace.create(root)
    if drawn:
        folder = ws.root / "drawn"
        if not (folder / "drawn_faces.json").exists():
            drawn_faces.draw_set(
                folder, train=drawn, test=drawn // 2, seed=seed,
                noise=0.0, blends=0.0, duplicates=0.0, broken=0.0, blank=0.0,
            )  # fmt: skip
        ingest(ws, "drawn_faces", folder, progress=progress)
        there = int((samples.get_samples(ws)["split"] == "train").sum())
        if there != drawn:
            raise UsageError(f"{ws.root} holds {there:,} drawn training faces, not {drawn:,}: take another workspace")
    dataset = samples.get_dataset(ws)
    frame = samples.get_samples(ws)
    given = label_names.encode(list(frame["given_label"]), dataset.classes)
    pixels = image_room.load_pixels(list(frame["path"]), size=profile.input_size, channels=profile.channels)
    is_test = (frame["split"] == "test").to_numpy() & (given >= 0)
    if not is_test.any():
        raise BadDataError("there is no labelled test split to measure on")
    is_copy = copies_of(pixels, list(frame["content_hash"]), is_test)
    train = np.flatnonzero((frame["split"] == "train").to_numpy() & (given >= 0) & ~is_copy)
    return Faces(
        name=dataset.name,
        classes=dataset.classes,
        pixels=pixels,
        given=given,
        train=train,
        test=np.flatnonzero(is_test),
    )
