"""What the names of files and folders tell before anything is opened: pictures, and clutter that was never data.

It never looks at the disk.
"""

from __future__ import annotations

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp")
IMAGE_SUFFIXES = (
    *JPEG_SUFFIXES, ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm",
)  # fmt: skip
"""Endings that are tried, in lower case. What the bytes are is decided by decoding."""

_CLUTTER = {
    "__macosx", "thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin",
    "system volume information", "@eadir", "icon\r", "__pycache__",
}  # fmt: skip
"""What operating systems and network drives leave among files, in lower case."""

OWN_FILES = ("README.md", "mapping.csv", "classes.csv", "soft_labels.csv")
"""What an export writes beside its folders."""


def is_clutter(name: str) -> bool:
    """True for hidden files and folders and for what operating systems leave behind: counted, never data.

    >>> [is_clutter(name) for name in (".DS_Store", "._a.jpg", "__MACOSX", "Desktop.ini", "a.jpg")]
    [True, True, True, True, False]
    """
    return name.startswith(".") or name.lower() in _CLUTTER
