"""Decoded pictures as uint8 arrays beside the database, by content hash: decoded once, read by everything after that.

It never decodes one itself, and holds nothing that could not be decoded again: the folder may be deleted.
"""

from __future__ import annotations

import math
import shutil
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

from ferclean import hashes
from ferclean.derived import DamagedFileError, reading
from ferclean.files import whole_file, whole_folder
from ferclean.store.workspace import Workspace

FORMAT = 1
"""How pictures become arrays (`recognition.images`): another way is another shelf, and the old one is read no more."""
PART_BYTES = 64 * 1024 * 1024
"""About as much is held in memory before it is written as one part."""


class PixelShelf:
    """The pictures of a workspace at one size: (channels, size, size) uint8 each, found by content hash.

    `pixels/48x1-1/` is the shelf of grey pictures of 48 pixels a side. It holds parts, each a folder that appears
    whole: `hashes.npy` (N, 32) uint8, the content hashes' bytes, whose digest is its name; `pixels.npy` (N, channels,
    size, size) uint8, which is memory-mapped; `sums.npy` (N,) uint32, a CRC-32 of each picture's hash and pixels. Only
    `damaged` pictures are ever changed there, back to what they were. Two processes that fill a shelf at once disturb
    nobody; what both wrote is there twice. A handle knows the parts that were there when it was opened, and its own.

    At 48 px grey: 28 MB at 12,000 pictures, 690 MB at 300,000, 23 GB at 10 million, and beside it in memory 48 bytes a
    picture while the shelf is open. Opening sorts the hashes (10 million: some ten seconds); a part that is put
    afterwards is sorted by itself, and with others once they are as many.
    """

    def __init__(self, ws: Workspace, *, size: int, channels: int) -> None:
        self.shape = (channels, size, size)
        self.folder = ws.pixels / f"{size}x{channels}-{FORMAT}"
        self._lists: list[_Listed] = []
        self._parts: list[_Part] = []
        self._names: set[str] = set()
        self._open()

    def holds(self, content_hashes: Sequence[str]) -> np.ndarray:
        """(N,) bool: which of these pictures are here."""
        return self._places(content_hashes)[0] >= 0

    def take(self, content_hashes: Sequence[str]) -> np.ndarray:
        """The pictures in the given order, (N, channels, size, size) uint8, copied; KeyError for one not here."""
        part, row = self._places(content_hashes)
        if (part < 0).any():
            raise KeyError(content_hashes[int(np.argmin(part))])
        taken = np.empty((len(part), *self.shape), dtype=np.uint8)
        for number in np.unique(part):
            mine = np.flatnonzero(part == number)
            taken[mine] = self._parts[number].pixels[row[mine]]
        return taken

    def damaged(self, content_hashes: Sequence[str]) -> np.ndarray:
        """(N,) bool: which of these pictures are here with other bytes than were put. `take` does not look.

        Reads each once, 3 microseconds for 48 px grey: .04 s at 12,000 pictures, 1 s at 300,000, half a minute at 10
        million and what the disk takes for 23 GB. A part of an older ferclean has no sums and is believed.
        """
        part, row = self._places(content_hashes)
        bad = np.zeros(len(part), dtype=bool)
        for number in np.unique(part[part >= 0]):
            digests, pixels, sums = self._parts[number][1:]
            if sums is not None:
                mine = np.flatnonzero(part == number)
                bad[mine] = _sums(digests, pixels, row[mine]) != sums[row[mine]]
        return bad

    def replace(self, content_hashes: Sequence[str], pixels: np.ndarray) -> None:
        """Write pictures that are here, (N, channels, size, size) uint8, anew where they lie; the others there stay."""
        part, row = self._places(content_hashes)
        for number in np.unique(part):
            mine = np.flatnonzero(part == number)
            folder, digests, kept, sums = self._parts[number]
            whole, sums = np.array(kept), np.array(sums)
            whole[row[mine]] = pixels[mine]
            sums[row[mine]] = _sums(digests, whole, row[mine])
            # not mapped while it gives way to another file
            self._parts[number] = _Part(folder, digests, whole, sums)
            del kept
            for name, array in (("sums.npy", sums), ("pixels.npy", whole)):
                with whole_file(folder / name) as draft:
                    np.save(draft, array)
            self._parts[number] = self._read(folder)

    def file_of(self, content_hash: str) -> Path:
        """The file in which a picture lies that is here."""
        return self._parts[self._places([content_hash])[0][0]].folder / "pixels.npy"

    def put(self, content_hashes: Sequence[str], pixels: np.ndarray) -> Path:
        """Write one more part, (N, channels, size, size) uint8 in the order of `content_hashes`; returns its folder."""
        if pixels.shape != (len(content_hashes), *self.shape) or pixels.dtype != np.uint8:
            raise ValueError(f"{self.folder.name} takes {self.shape} uint8, not {pixels.shape} {pixels.dtype}")
        digests = _digests(content_hashes)
        part = self.folder / _name(digests)
        if not part.exists():  # its name says what it holds
            with whole_folder(part) as draft:
                np.save(draft / "hashes.npy", digests.view(np.uint8).reshape(len(digests), 32))
                np.save(draft / "pixels.npy", pixels)
                np.save(draft / "sums.npy", _sums(digests, pixels, range(len(digests))))
        self._open()
        return part

    def parts(self) -> set[str]:
        """The names of the parts that lie here now, whoever wrote them."""
        return {part.name for part in self.folder.iterdir()} if self.folder.is_dir() else set()

    def _open(self) -> None:
        if not self.folder.is_dir():
            return
        fresh = sorted(
            part for part in self.folder.iterdir() if part.name not in self._names and not part.name.startswith(".")
        )
        arrived = []
        for part in fresh:
            found = self._read(part)
            count = len(found.digests)
            arrived.append(_Listed(found.digests, np.full(count, len(self._parts), dtype=np.int32), np.arange(count)))
            self._parts.append(found)
            self._names.add(part.name)
        if any(len(one.known) for one in arrived):
            self._lists.append(_Listed.of(arrived))
            while len(self._lists) > 1 and 2 * len(self._lists[-1].known) > len(self._lists[-2].known):
                self._lists[-2:] = [_Listed.of(self._lists[-2:])]

    def _read(self, part: Path) -> _Part:
        mend = "delete that folder of decoded pictures, it is made again"
        with reading(part, mend):
            digests = np.load(part / "hashes.npy", allow_pickle=False)
            pixels = np.load(part / "pixels.npy", mmap_mode="r" if len(digests) else None, allow_pickle=False)
            sums = np.load(part / "sums.npy", allow_pickle=False) if (part / "sums.npy").exists() else None
        fits = digests.shape == (len(pixels), 32) and pixels.shape[1:] == self.shape
        if not fits or {digests.dtype, pixels.dtype} != {np.dtype(np.uint8)}:
            raise DamagedFileError(f"{part} is damaged (hashes {digests.shape}, pixels {pixels.shape}); {mend}")
        if sums is not None and (sums.shape != (len(digests),) or sums.dtype != np.uint32):
            raise DamagedFileError(f"{part} is damaged (sums {sums.shape} {sums.dtype}); {mend}")
        if _name(digests) != part.name:
            raise DamagedFileError(f"{part} is damaged (hashes.npy holds others than were put); {mend}")
        return _Part(part, np.ascontiguousarray(digests).view("S32").reshape(-1), pixels, sums)

    def _places(self, content_hashes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The part (N,) of each picture, -1 for what is not here, and its row there (N,)."""
        wanted = _digests(content_hashes)
        part, row = np.full(len(wanted), -1, dtype=np.int32), np.zeros(len(wanted), dtype=np.int64)
        for listed in self._lists:
            found = np.minimum(np.searchsorted(listed.known, wanted), len(listed.known) - 1)
            here = listed.known[found] == wanted
            part[here], row[here] = listed.place[found[here]], listed.row[found[here]]
        return part, row


class _Part(NamedTuple):
    """One part: where it lies, hashes (N,), pictures (N, channels, size, size), sums (N,) or None where it has none."""

    folder: Path
    digests: np.ndarray
    pixels: np.ndarray
    sums: np.ndarray | None


class _Listed(NamedTuple):
    """Where some pictures lie: their hashes (N,) in order, the number of the part (N,), the row in it (N,)."""

    known: np.ndarray
    place: np.ndarray
    row: np.ndarray

    @classmethod
    def of(cls, lists: Sequence[_Listed]) -> _Listed:
        """All of them as one, in order and each picture once."""
        known, place, row = (np.concatenate(columns) for columns in zip(*lists, strict=True))
        known, first = np.unique(known, return_index=True)
        return cls(known, place[first], row[first])


class Filling:
    """Takes decoded pictures one by one, from any thread, and puts them on a shelf in parts."""

    def __init__(self, shelf: PixelShelf) -> None:
        self._shelf = shelf
        self._written: list[Path] = []
        self._waiting: dict[str, np.ndarray] = {}
        self._turn = Lock()
        self._most = max(1, PART_BYTES // math.prod(shelf.shape))

    def add(self, content_hash: str, pixels: np.ndarray) -> None:
        """Keep one picture, (channels, size, size) uint8, unless it is here."""
        with self._turn:
            self._waiting.setdefault(content_hash, pixels)
            if len(self._waiting) >= self._most:
                self.flush()

    def flush(self) -> None:
        """Write what waits; the last call of whoever adds."""
        names, before = list(self._waiting), self._shelf.parts()
        here = self._shelf.holds(names)
        if fresh := [name for name, known in zip(names, here, strict=True) if not known]:
            part = self._shelf.put(fresh, np.stack([self._waiting[name] for name in fresh]))
            if part.name not in before:
                self._written.append(part)
        self._waiting = {}

    def take_back(self) -> None:
        """Remove the parts that were written here, each as a whole: none that was there before, or is gone already."""
        for part in self._written:
            gone = part.with_name(f".gone-{part.name}")
            with suppress(FileNotFoundError):
                part.rename(gone)
                shutil.rmtree(gone)


def _name(digests: np.ndarray) -> str:
    """What a part of pictures with these hashes is called."""
    return hashes.of_bytes(digests.tobytes())[:16]


def _sums(digests: np.ndarray, pixels: np.ndarray, rows: Iterable[int]) -> np.ndarray:
    """The sums (M,) uint32 of some rows of a part; hashes are told apart with their zeros at the end."""
    named = np.ascontiguousarray(digests).view(np.uint8).reshape(-1, 32)
    plain = np.asarray(pixels)  # a row of a memory map takes as long as its sum
    return np.array([zlib.crc32(plain[one].tobytes(), zlib.crc32(named[one].tobytes())) for one in rows], np.uint32)


def _digests(content_hashes: Sequence[str]) -> np.ndarray:
    """(N,) of 32 bytes each; NumPy compares them without trailing zeros, which tells what is equally long apart."""
    return np.array([bytes.fromhex(one) for one in content_hashes], dtype="S32")
