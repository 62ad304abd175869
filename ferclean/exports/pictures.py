"""Pictures into the folders of an export, byte for byte, and the lists that lead from their files to the source's rows.

It never re-encodes an image, and never lets a source's file name choose where a file lands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ferclean.exports.cells import NameBook, safe_file_name
from ferclean.exports.content import Content, records, write_csv
from ferclean.exports.soft_targets import write_soft_labels
from ferclean.progress import Progress
from ferclean.recognition.images import inspect
from ferclean.sources.mapping import COLUMNS, FILE


class Picture(NamedTuple):
    """A written file."""

    file: str
    """Its path below the export, with forward slashes."""
    width: int
    height: int
    """Pixels of the picture held upright."""
    bytes: int


def write_pictures(
    content: Content, target: Path, place: Callable[[dict[str, Any]], str], *, progress: Progress
) -> list[Picture]:
    """Write the image of each row of `content.rows` into the folder `place(row)` below `target`; returns them in order.

    One image is in memory at a time.
    """
    rows = content.rows
    books: defaultdict[str, NameBook] = defaultdict(NameBook)
    pictures = []
    for done, row in enumerate(records(rows)):
        progress("writing images", done, len(rows))
        data, folder = content.image(row), place(row)
        (target / folder).mkdir(parents=True, exist_ok=True)
        safe = safe_file_name(row["source_key"], sample_id=row["sample_id"], data=data)
        file = f"{folder}/{books[folder].claim(safe, sample_id=row['sample_id'])}"
        (target / file).write_bytes(data)
        width, height = row["width"], row["height"]
        if width is None or height is None:  # of a workspace that never looked
            facts = inspect(data)
            width, height = facts.width, facts.height
        pictures.append(Picture(file, int(width), int(height), len(data)))
    progress("writing images", len(rows), len(rows))
    return pictures


def write_lists(content: Content, target: Path, files: Iterable[str]) -> None:
    """Write mapping.csv (files to the source's names; ingest reads it) and soft_labels.csv (files to training targets).

    `files` are those of the rows of `content.rows`, in order.
    """
    files = list(files)
    columns = ("sample_id", "source_key", "split", "release_label", "given_label")
    named = zip(files, records(content.rows), strict=True)
    write_csv(target / FILE, ["file", *COLUMNS], ([file, *(row[name] for name in columns)] for file, row in named))
    write_soft_labels(target, zip(files, records(content.rows), strict=True), content.dataset.classes)
