"""The image-folder form: split/class/file, for tools that read classes from folder names.

It never re-encodes an image, and never lets a source's file name choose where a file lands.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from ferclean.exports.card import write_card
from ferclean.exports.cells import NameBook, class_folders, safe_file_name
from ferclean.exports.content import Content, needs_release, records, write_csv
from ferclean.exports.soft_targets import write_soft_labels
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
    rows = content.rows
    books: defaultdict[Path, NameBook] = defaultdict(NameBook)
    folders = class_folders(content.dataset.classes)
    mapping, targets = [], []
    for done, row in enumerate(records(rows)):
        progress("writing images", done, len(rows))
        data = content.image(row)
        folder = target / row["split"] / folders[row["release_label"]]
        folder.mkdir(parents=True, exist_ok=True)
        safe = safe_file_name(row["source_key"], sample_id=row["sample_id"], data=data)
        file = folder / books[folder].claim(safe, sample_id=row["sample_id"])
        file.write_bytes(data)
        named = file.relative_to(target).as_posix()
        targets.append((named, row))
        mapping.append(
            [
                named,
                *(row[name] for name in ("sample_id", "source_key", "split", "release_label", "given_label")),
            ]
        )
    progress("writing images", len(rows), len(rows))
    columns = ["file", "sample_id", "source_key", "split", "label", "given_label"]
    write_csv(target / "mapping.csv", columns, mapping)
    write_csv(target / CLASS_LIST, ["folder", "class"], ([folder, name] for name, folder in folders.items()))
    write_soft_labels(target, targets, content.dataset.classes)
    write_card(content, target / "README.md", form="image_folder")
