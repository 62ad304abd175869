"""Text of unknown origin into file names that are inert.

It never touches files.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from ferclean.sources.file_names import IMAGE_SUFFIXES, is_clutter

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
"""What a name must not hold on one of the usual file systems."""
_LONGEST = 200
"""Bytes of a folder's name; file systems end at 255."""
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
    suffix = path.suffix.lower() if path.suffix.lower() in IMAGE_SUFFIXES else None
    stem = base[: -len(suffix)] if suffix else base
    shown_suffix = base[-len(suffix) :] if suffix else (true_suffix(data) or ".img")
    clean = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip("._-")[:100]
    if clean == stem and stem.split(".")[0].lower() not in _RESERVED:
        return clean + shown_suffix
    return f"{clean or 'image'}-{sample_id[:8]}{shown_suffix}"


def class_folders(classes: Sequence[str]) -> dict[str, str]:
    """Class -> folder: its own text where every file system allows it, letters of any alphabet and spaces included.

    What some system refuses, hides or takes for something else (separators, `:`, a point at an end, `con`, the
    leftovers of operating systems), names of over 200 bytes, and names that another class's would swallow where
    capitals and the forms of composed letters make no difference, are altered and carry the class's number.

    >>> class_folders(["anger", "très triste", "../a", "7", "Happy", "happy"])
    {'anger': 'anger', 'très triste': 'très triste', '../a': 'a-2', '7': '7', 'Happy': 'Happy', 'happy': 'happy-5'}
    """
    bent = [_bent(name) for name in classes]
    kept = {_folded(name) for name, (_, altered) in zip(classes, bent, strict=True) if not altered}
    taken: set[str] = set()
    folders: dict[str, str] = {}
    for number, (name, (folder, altered)) in enumerate(zip(classes, bent, strict=True)):
        if altered or _folded(folder) in taken:
            folder = f"{folder or 'class'}-{number}"
            while _folded(folder) in taken | kept:
                folder += f"-{number}"
        taken.add(_folded(folder))
        folders[name] = folder
    return folders


def _bent(name: str) -> tuple[str, bool]:
    """The very name where no file system minds it; else what is left of it, and that it is altered."""
    text = name.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
    clean = _FORBIDDEN.sub("_", text)
    reserved = clean.split(".")[0].strip().lower() in _RESERVED
    # Hugging Face's loader passes over folders that start with a point or two underscores
    hidden = clean.startswith((".", "__", "-", " ")) or clean.endswith((".", " ")) or is_clutter(clean)
    altered = clean != name or reserved or hidden
    return (clean.strip("._- ") if altered else name), altered


def _folded(name: str) -> str:
    """Two names that a file system may take for one have the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


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
