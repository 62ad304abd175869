"""Disks that are full, and folders that nobody may write: mounted for real, and unmounted when the test ends.

Skips, with the reason, where this user may not mount.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this user may not mount: {done.stderr.strip()}")


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A disk with room for `size` bytes ("300k") at the new folder `place`."""
    place.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> Path:
    """Fill the disk to its last byte; returns the file to delete to make room again."""
    filler = place / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:  # noqa: PT012 - a loop
        while True:
            file.write(b"x" * 4096)
    return filler


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """`folder` as a disk that was mounted read-only: root too cannot write there."""
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,ro,bind", str(folder))
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
