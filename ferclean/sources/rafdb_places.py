"""Where a copy of RAF-DB keeps its list of labels and its pictures: as its authors send it, or flat as it goes round.

It reads no label and opens no picture.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ferclean.errors import BadDataError, few
from ferclean.sources.file_names import IMAGE_SUFFIXES, is_clutter
from ferclean.sources.tabular import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    code_of,
    header_of,
    records_of,
    text_of,
    usual_columns,
)

LABELS = "EmoLabel/list_patition_label.txt"
LISTS = (LABELS, "EmoLabel/list_partition_label.txt", "list_patition_label.txt", "list_partition_label.txt")
TABLES = ("train_labels.csv", "test_labels.csv")
"""Of the flat copies, with columns such as image and label."""
ALIGNED = "_aligned"
FOLDERS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Image/aligned",), ALIGNED),
    (("Image/aligned/aligned",), ALIGNED),
    (("Image/original",), ""),
    (("Image/original/original",), ""),
    (("aligned",), ALIGNED),
    (("original",), ""),
    (("images",), ALIGNED),
    (("train", "test"), ALIGNED),
    (("",), ALIGNED),
)
"""(folders that hold the pictures together, what their names end with), the most usual first."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """A copy's folder, its lists (one of lines, or tables), the folders of its pictures below `base`."""

    base: Path
    lists: tuple[Path, ...]
    folders: tuple[str, ...]
    """Of those of the splits, one may not be there."""
    tail: str

    def folder_of(self, split: str | None) -> str:
        """The folder in which a picture of this split is looked for."""
        return split if split in self.folders else self.folders[0]


def find(path: Path, inner: str) -> Places:
    """The places of the copy at `path`, or in the folder `inner` of it. Raises BadDataError where there is no list, or
    no folder of pictures with it."""
    base, lists = next(
        ((base, lists) for base in (path, path / inner) if (lists := _lists(lambda name: (base / name).is_file()))),  # noqa: B023
        (path, []),
    )
    if not lists:
        raise BadDataError(
            f"{path} is not in the RAF-DB layout: {LABELS} is missing; give the folder that holds EmoLabel and Image"
        )
    there = [(folders, tail) for folders, tail in FOLDERS if any((base / folder).is_dir() for folder in folders)]
    full = [(folders, tail) for folders, tail in there if any(_holds_picture(base / folder) for folder in folders)]
    official = [one for one in there if one[0][0].startswith("Image/")]
    for folders, tail in [*full, *official]:
        return Places(base=base, lists=tuple(base / name for name in lists), folders=folders, tail=tail)
    raise BadDataError(
        f"{base} holds {few(lists)} and neither Image/aligned nor Image/original, nor pictures in aligned, images, "
        "train or test; unpack aligned.zip into Image/"
    )


def seen(is_there: Callable[[str], bool], pictures: Callable[[str], Sequence[str]]) -> tuple[list[str], list[str]]:
    """(names of the lists, folders of pictures) of a copy that is seen through these two; empty for none."""
    full = ([folder for folder in folders if pictures(folder)] for folders, _ in FOLDERS)
    return _lists(is_there), next((folders for folders in full if folders), [])


def columns_of(table: Path) -> tuple[str, str]:
    """The columns of pictures and of labels of a table. Raises BadDataError where it lacks one."""
    header = header_of(table)
    images, labels = (usual_columns(header, names, "", table) for names in (IMAGE_COLUMNS, LABEL_COLUMNS))
    if not images or not labels:
        raise BadDataError(f"{table} has no two columns such as image and label; it has {', '.join(header)}")
    return images[0], labels[0]


def rows_of(table: Path) -> Iterator[tuple[int, str, str | None]]:
    """(number of the line, file name, code) of each row of a table; one without a name is called by its line."""
    image, label = columns_of(table)
    for number, cells in records_of(table, [image, label]):
        name, line = (text_of(cells[image]) or "").strip(), number + 2
        yield line, os.path.basename(name.replace("\\", "/")) or f"{table.stem} line {line}", code_of(cells[label])


def _lists(is_there: Callable[[str], bool]) -> list[str]:
    return [name for name in LISTS if is_there(name)][:1] or [name for name in TABLES if is_there(name)]


def _holds_picture(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return any(one.name.lower().endswith(IMAGE_SUFFIXES) and not is_clutter(one.name) for one in entries)
