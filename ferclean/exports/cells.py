"""Text of unknown origin into file names that are inert.

It never touches files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

_KNOWN_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_MAGIC = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
)


def true_suffix(data: bytes) -> str | None:
    """The file suffix that the image bytes themselves call for; None when their first bytes are unknown."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _MAGIC if data.startswith(magic)), None)


def safe_file_name(name: str, *, sample_id: str, data: bytes) -> str:
    """The last part of a path as a file name that is inert in a shell, a browser and a spreadsheet.

    ASCII letters, digits, '.', '_' and '-', at most 120 characters, with an image suffix. A name that had to be
    altered carries the first eight digits of the sample id, so that two of them stay apart.
    """
    base = PurePosixPath(name.replace("\\", "/")).name or "image"
    path = PurePosixPath(base)
    suffix = path.suffix.lower() if path.suffix.lower() in _KNOWN_SUFFIXES else None
    stem = base[: -len(suffix)] if suffix else base
    shown_suffix = base[-len(suffix) :] if suffix else (true_suffix(data) or ".img")
    clean = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip("._-")[:100]
    if clean == stem and stem.split(".")[0].lower() not in _RESERVED:
        return clean + shown_suffix
    return f"{clean or 'image'}-{sample_id[:8]}{shown_suffix}"


def safe_folder_name(name: str, number: int) -> str:
    """A class name as a folder name; one that had to be altered carries the class's number.

    >>> safe_folder_name("anger", 5), safe_folder_name("../anger", 5)
    ('anger', 'anger-5')
    """
    clean = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:100]
    return name if clean == name and name.lower() not in _RESERVED else f"{clean or 'class'}-{number}"


class NameBook:
    """Hands out each file name once, also on file systems that ignore case."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.lower() for name in taken}

    def claim(self, name: str, *, sample_id: str) -> str:
        """The name itself, or with the sample id (and then a number) in it when it is taken."""
        stem, dot, suffix = name.rpartition(".")
        tried: Sequence[str] = (name, f"{stem}-{sample_id[:8]}{dot}{suffix}", f"{stem}-{sample_id}{dot}{suffix}")
        for candidate in tried:
            if candidate.lower() not in self._taken:
                self._taken.add(candidate.lower())
                return candidate
        raise ValueError(f"{name} and its variants are taken")  # sample ids are unique, so no row gets here twice
