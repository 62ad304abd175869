"""The pictures of samples as arrays, from the workspace's shelves; only what is not there yet is decoded, once.

It never takes a file for a sample's picture that is no longer what was ingested, nor damaged pixels for a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition import images as image_room
from ferclean.recognition.images import Images
from ferclean.store import samples
from ferclean.store.pictures import LostPictureError, picture_at
from ferclean.store.pixels import PART_BYTES, PixelShelf
from ferclean.store.workspace import Workspace

LOOK = (48, 1)
"""(size, channels) of the first look, which ingest decodes for: pixels a side, and grey."""

LARGEST_KEPT = 128
"""Pixels a side; larger pictures take much more room than their files and are decoded whenever they are asked for."""

BLOCK = 8192
"""Pictures that `blocks_of` gives at once, at most: 19 MB of the first look."""


class Kept:
    """Pictures of a shelf in the order of `content_hashes`, as recognition reads images: (N, C, size, size) uint8.

    A slice or an array of rows is copied out of the memory map: the whole never lies in memory, however many they are.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, shelf: PixelShelf, content_hashes: Sequence[str]) -> None:
        self._shelf, self._contents = shelf, np.asarray(content_hashes, dtype=object)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, channels, size, size)."""
        return (len(self), *self._shelf.shape)

    def __len__(self) -> int:
        return len(self._contents)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """The pictures of a slice or of an array of rows."""
        return self._shelf.take(list(self._contents[rows]))


def pixels_of(
    ws: Workspace, frame: pd.DataFrame, *, size: int, channels: int, progress: Progress = silent, tell: Tell = unheard
) -> Images:
    """The pictures of the rows of `frame` (sample_id, path, content_hash): (N, channels, size, size) uint8, on their
    shelf up to `LARGEST_KEPT` pixels a side and in memory above.

    The same bytes as `images.load_pixels` of their files: those that are damaged on the shelf (looked for here, once;
    `PixelShelf.damaged` says at what cost) are decoded again, of which `tell` hears. Raises LostPictureError for one
    that has to be decoded and is no longer there as it was ingested.
    """
    if size > LARGEST_KEPT:
        return image_room.load_pixels(_readers(ws, frame), size=size, channels=channels)
    shelf = PixelShelf(ws, size=size, channels=channels)
    _fill(ws, frame, [shelf], progress, tell)
    return Kept(shelf, list(frame["content_hash"]))


def blocks_of(
    ws: Workspace,
    frame: pd.DataFrame,
    *,
    size: int,
    channels: int,
    most: int = BLOCK,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> Iterator[np.ndarray]:
    """The pictures as `pixels_of` gives them, in consecutive blocks of at most `most` rows; large ones, too, are then
    never in memory all at once. One empty block where there is no row.
    """
    kept = None
    if size <= LARGEST_KEPT:
        kept = pixels_of(ws, frame, size=size, channels=channels, progress=progress, tell=tell)
    for start in range(0, max(len(frame), 1), most):
        block = slice(start, start + most)
        if kept is None:
            yield image_room.load_pixels(_readers(ws, frame.iloc[block]), size=size, channels=channels)
        else:
            yield kept[block]


def fill(
    ws: Workspace,
    frame: pd.DataFrame,
    forms: Sequence[tuple[int, int]],
    *,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> int:
    """Decode, in each form (size, channels), what its shelf does not hold undamaged; one decoding serves all forms.

    Returns how many pictures were decoded. They are written in parts, and those of an interrupted call stay.
    """
    return _fill(ws, frame, [PixelShelf(ws, size=size, channels=channels) for size, channels in forms], progress, tell)


def _fill(ws: Workspace, frame: pd.DataFrame, shelves: Sequence[PixelShelf], progress: Progress, tell: Tell) -> int:
    first = frame.drop_duplicates("content_hash")
    contents = list(first["content_hash"])
    forms = [(shelf.shape[1], shelf.shape[0]) for shelf in shelves]
    absent = np.stack([~shelf.holds(contents) for shelf in shelves])  # (forms, N)
    damaged = np.stack([shelf.damaged(contents) for shelf in shelves])
    missing = np.flatnonzero((absent | damaged).any(0))
    if not len(missing):
        return 0
    readers = _readers(ws, first.iloc[missing])
    for shelf, spoilt in zip(shelves, damaged, strict=True):
        if spoilt.any():
            tell(f"{np.count_nonzero(spoilt):,} damaged pictures in {shelf.folder} are decoded again")
        for place in np.flatnonzero(spoilt[missing]):
            readers[place] = partial(_read_again, readers[place], shelf.file_of(contents[missing[place]]))
    doing = "decoding damaged images again" if damaged.any() else "reading images"
    piece = max(1, PART_BYTES // sum(size * size * channels for size, channels in forms))
    for start in range(0, len(missing), piece):
        progress(doing, start, len(missing))
        rows = missing[start : start + piece]
        decoded = image_room.load_forms(readers[start : start + piece], forms)
        for shelf, lacks, spoilt, pixels in zip(shelves, absent, damaged, decoded, strict=True):
            for write, own in ((shelf.put, lacks[rows]), (shelf.replace, spoilt[rows])):
                if own.any():
                    write([contents[row] for row in rows[own]], pixels[own])
    progress(doing, len(missing), len(missing))
    return len(missing)


def _read_again(reader: Callable[[], bytes], damaged: Path) -> bytes:
    """What `reader` reads, or its error with the file that is damaged."""
    try:
        return reader()
    except LostPictureError as error:
        raise LostPictureError(f"{damaged} is damaged, and {error}", error.reason) from error


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
