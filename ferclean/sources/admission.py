"""What is let in from an archive or an address: names that stay in their folder, each once, and so much and no more.

It opens nothing itself and trusts no declared size: bytes are counted as they come.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock

from ferclean.errors import BadDataError
from ferclean.sources.file_names import is_clutter

CHUNK = 1 << 20
"""Bytes that are in memory at once."""

FLOOR = 64 * 1024 * 1024
"""Bytes below which no ratio counts: a small file of blanks may well shrink to nothing."""

_LONGEST_NAME, _LONGEST_PATH = 255, 1000
_GB = 10**9
_TRUSTED = "where you trust whoever made it"


@dataclass(frozen=True, kw_only=True)
class Caps:
    """How much may come out of one archive, or from one address."""

    entries: int = 2_000_000
    """Files and folders."""
    gigabytes: float = 200.0
    """All files together."""
    file_gigabytes: float = 50.0
    """One file."""
    ratio: float = 200.0
    """All files together over the archive; beyond 64 MiB alone."""


class Admission:
    """Counts one source's entries and bytes against the caps, and says where each file may lie.

    `source` is how messages call it; `packed` its size in bytes where it is an archive.
    """

    def __init__(self, source: str, caps: Caps, *, packed: int | None = None) -> None:
        self.source, self.caps, self._packed = source, caps, packed
        self.entries = self.files = self.left_out = self.bytes = 0
        self._taken: set[str] = set()
        self._folders: set[str] = set()
        self._turn = Lock()

    def refusal(self, name: str, why: str, mend: str) -> BadDataError:
        """The error about one entry."""
        shown = name if len(name) <= 200 else f"{name[:200]}..."
        return BadDataError(f"{self.source}: the entry {shown!r} {why}; nothing of it was taken in: {mend}")

    def over(self, what: str, option: str) -> BadDataError:
        """The error about a cap that was crossed."""
        return BadDataError(f"{self.source}: {what}; {_TRUSTED}, raise {option}. Nothing of it was taken in")

    def place(self, name: str, *, folder: bool = False) -> PurePosixPath | None:
        """Where an entry of this name may lie, relative; None for clutter, and for a folder, which needs no place.

        Raises BadDataError for a name that leads out of the folder or is none on every system, one that came before
        (also in other case or another Unicode form), and for one entry more than the cap.
        """
        self.count_entry()
        if wrong := _wrong_name(name):
            raise self.refusal(name, wrong, "pack the set again with plain relative names, or unpack it yourself")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if folder:
            return None
        if not parts:
            raise self.refusal(
                name, "is a file under the name of the folder itself", "give the files names of their own"
            )
        if any(map(is_clutter, parts)):
            self.left_out += 1
            return None
        self._claim(name, parts)
        self.files += 1
        return PurePosixPath(*parts)

    def count_entry(self) -> None:
        """One entry more. Raises BadDataError beyond the cap."""
        self.entries += 1
        if self.entries > self.caps.entries:
            raise self.over(f"it holds more than {self.caps.entries:,} entries", "--max-entries")

    def count_bytes(self, count: int) -> None:
        """So many bytes more. Raises BadDataError when all together, or their ratio to the archive, cross a cap."""
        with self._turn:
            self.bytes += count
        if self.bytes > self.caps.gigabytes * _GB:
            raise self.over(f"more than {self.caps.gigabytes:g} GB come out of it", "--max-gb")
        if self._packed is not None and self.bytes > max(FLOOR, self.caps.ratio * self._packed):
            raise self.over(
                f"more than {self.caps.ratio:g} times its own size comes out of it, as out of an archive that is made "
                "to fill a disk",
                "--max-ratio",
            )

    def write(self, name: str, chunks: Iterable[bytes], target: Path) -> int:
        """Write one file, which is not there yet; its size in bytes. Raises BadDataError beyond the cap for one."""
        size = 0
        with target.open("xb") as out:
            for chunk in chunks:
                size += len(chunk)
                self.check_file(name, size)
                out.write(chunk)
        return size

    def check_file(self, name: str, size: int) -> None:
        """Raises BadDataError where so many bytes are beyond the cap for one file."""
        if size > self.caps.file_gigabytes * _GB:
            what = f"the entry {name[:200]!r} alone has more than {self.caps.file_gigabytes:g} GB"
            raise self.over(what, "--max-file-gb")

    def _claim(self, name: str, parts: list[str]) -> None:
        key = _same("/".join(parts))
        if key in self._taken or key in self._folders:
            raise self.refusal(
                name, "comes twice, or is both a file and a folder (names that differ in case or in the form of their "
                "letters alone are one on many systems)", "give the files names of their own",
            )  # fmt: skip
        above = key.rpartition("/")[0]
        while above and above not in self._folders:
            if above in self._taken:
                raise self.refusal(name, f"lies below {above!r}, which is a file", "give the files names of their own")
            self._folders.add(above)
            above = above.rpartition("/")[0]
        self._taken.add(key)


def _wrong_name(name: str) -> str | None:
    """Why a name must not be written, in words that follow "the entry ..."; None where it may."""
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        return "has a name that is not UTF-8"
    if not name or "\0" in name:
        return "has an empty name, or a NUL in it"
    if name.startswith("/"):
        return "has an absolute name"
    if "\\" in name:
        return "has a backslash in its name, which leads elsewhere on some systems"
    if re.match(r"[A-Za-z]:", name):
        return "begins with a drive letter"
    parts = name.split("/")
    if ".." in parts:
        return "leads out of the folder (..)"
    if len(name.encode()) > _LONGEST_PATH or max(len(part.encode()) for part in parts) > _LONGEST_NAME:
        return f"has a name longer than {_LONGEST_NAME} bytes, or a path longer than {_LONGEST_PATH}"
    return None


def _same(path: str) -> str:
    """One key for all names that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
