"""The pictures of samples as arrays, from the workspace's shelves; only what is not there yet is decoded, once.

It never takes a file for a sample's picture that is no longer what was ingested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ferclean.progress import Progress, silent
from ferclean.recognition import images as image_room
from ferclean.store import samples
from ferclean.store.pictures import picture_at
from ferclean.store.pixels import PART_BYTES, PixelShelf
from ferclean.store.workspace import Workspace

LOOK = (48, 1)
"""(size, channels) of the first look, which ingest decodes for: pixels a side, and grey."""

LARGEST_KEPT = 128
"""Pixels a side; larger pictures take much more room than their files and are decoded whenever they are asked for."""

BLOCK = 8192
"""Pictures that `blocks_of` gives at once, at most: 19 MB of the first look."""


def pixels_of(
    ws: Workspace, frame: pd.DataFrame, *, size: int, channels: int, progress: Progress = silent
) -> np.ndarray:
    """The pictures of the rows of `frame` (sample_id, path, content_hash) in memory: (N, channels, size, size) uint8.

    The same bytes as `images.load_pixels` of their files. Raises LostPictureError for one that has to be decoded and is
    no longer there as it was ingested.
    """
    if size > LARGEST_KEPT:
        return image_room.load_pixels(_readers(ws, frame), size=size, channels=channels)
    fill(ws, frame, [(size, channels)], progress=progress)
    return PixelShelf(ws, size=size, channels=channels).take(list(frame["content_hash"]))


def blocks_of(
    ws: Workspace, frame: pd.DataFrame, *, size: int, channels: int, most: int = BLOCK
) -> Iterator[np.ndarray]:
    """`pixels_of` in consecutive blocks of at most `most` rows, so that they never lie in memory all at once.

    One empty block where there is no row.
    """
    if size <= LARGEST_KEPT:
        fill(ws, frame, [(size, channels)])
        shelf = PixelShelf(ws, size=size, channels=channels)
    for start in range(0, max(len(frame), 1), most):
        rows = frame.iloc[start : start + most]
        if size <= LARGEST_KEPT:
            yield shelf.take(list(rows["content_hash"]))
        else:
            yield image_room.load_pixels(_readers(ws, rows), size=size, channels=channels)


def fill(ws: Workspace, frame: pd.DataFrame, forms: Sequence[tuple[int, int]], *, progress: Progress = silent) -> int:
    """Decode, in each form (size, channels), what its shelf does not hold; one decoding of a file serves all forms.

    Returns how many pictures were decoded. They are written in parts, and those of an interrupted call stay.
    """
    first = frame.drop_duplicates("content_hash")
    contents = list(first["content_hash"])
    shelves = [PixelShelf(ws, size=size, channels=channels) for size, channels in forms]
    lacking = np.stack([~shelf.holds(contents) for shelf in shelves])  # (forms, N)
    missing = np.flatnonzero(lacking.any(0))
    if not len(missing):
        return 0
    readers = _readers(ws, first.iloc[missing])
    piece = max(1, PART_BYTES // sum(size * size * channels for size, channels in forms))
    for start in range(0, len(missing), piece):
        progress("reading images", start, len(missing))
        rows = missing[start : start + piece]
        decoded = image_room.load_forms(readers[start : start + piece], forms)
        for shelf, lacks, pixels in zip(shelves, lacking, decoded, strict=True):
            own = lacks[rows]
            if own.any():
                shelf.put([contents[row] for row in rows[own]], pixels[own])
    progress("reading images", len(missing), len(missing))
    return len(missing)


def _readers(ws: Workspace, frame: pd.DataFrame) -> list[Callable[[], bytes]]:
    """What reads each row's file, and refuses one that is not what the row is about."""
    root = Path(samples.get_dataset(ws).root)
    readers: list[Callable[[], bytes]] = []
    for sample_id, path, content in zip(frame["sample_id"], frame["path"], frame["content_hash"], strict=True):
        kept = Path(path).is_relative_to(ws.images)
        base = ws.images if kept else root
        readers.append(
            partial(
                picture_at, base, str(Path(path).relative_to(base)), content, kept=kept,
                named=f"the picture of sample {sample_id}",
            )
        )  # fmt: skip
    return readers
