"""Ways out of a workspace: one module per form, listed in EXPORTS.

Nothing here decides about labels. A form is a module with the four names of `Export`; adding one touches its own
file, this dict and its tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ferclean.exports import cleanlab, coco, fiftyone, hf, image_folder, patch, rafdb, table
from ferclean.exports.content import Content
from ferclean.progress import Progress


class Export(Protocol):
    """What a form's module has."""

    SINGLE_FILE: bool
    """True when the form is one file, False when it is a folder."""
    HOLDS_PIXELS: bool
    """True when image bytes leave the workspace."""

    def check(self, content: Content, out: Path) -> list[str]:
        """Warnings about this content in this form. Raises a FercleanError when the form cannot hold it."""
        ...

    def write(self, content: Content, target: Path, *, progress: Progress) -> None:
        """Write the form into `target`: an empty folder, or the path of the file to write."""
        ...


EXPORTS: dict[str, Export] = {
    "hf": hf,
    "rafdb": rafdb,
    "image_folder": image_folder,
    "coco": coco,
    "cleanlab": cleanlab,
    "fiftyone": fiftyone,
    "table": table,
    "patch": patch,
}
