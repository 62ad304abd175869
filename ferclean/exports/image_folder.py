"""The image-folder form: split/class/file, for tools that read classes from folder names.

It never re-encodes an image, and never lets a source's file name choose where a file lands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ferclean.exports.card import write_card
from ferclean.exports.cells import class_folders
from ferclean.exports.content import Content, needs_release, write_csv
from ferclean.exports.pictures import write_lists, write_pictures
from ferclean.progress import Progress
from ferclean.sources.image_folder import CLASS_LIST

SINGLE_FILE = False
HOLDS_PIXELS = True


def check(content: Content, out: Path) -> list[str]:
    """No content is beyond this form; it only needs a release."""
    needs_release(content, "image_folder")
    return []


def write(content: Content, target: Path, *, progress: Progress) -> None:
    """Write the images, README.md, mapping.csv (files to the source's names), classes.csv (folders to classes) and
    soft_labels.csv (files to training targets)."""
    folders = class_folders(content.dataset.classes)

    def place(row: dict[str, Any]) -> str:
        return f"{row['split']}/{folders[row['release_label']]}"

    written = write_pictures(content, target, place, progress=progress)
    write_csv(target / CLASS_LIST, ["folder", "class"], ([folder, name] for name, folder in folders.items()))
    write_lists(content, target, (picture.file for picture in written))
    write_card(content, target / "README.md", form="image_folder")
