"""Read FERPlus: ten people's votes on FER2013's faces, the class being what most of them said.

It never takes FERPlus's picture names for row numbers, and never gives a label that the votes do not bear out.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ferclean.errors import BadDataError
from ferclean.evidence.labels import ClassName
from ferclean.sources import fer2013
from ferclean.sources.ballots import by_label, vote_number
from ferclean.sources.cards import Card, load_card
from ferclean.sources.file_names import IMAGE_SUFFIXES, is_clutter
from ferclean.sources.glimpse import TOP, Glimpse, Guess
from ferclean.sources.rows import SourceRow, leftover, refuse_lists_outside
from ferclean.sources.tabular import csv_rows, text_of

VOTES = fer2013.FERPLUS
COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "not_a_face",
)  # fmt: skip
"""What the ten columns of votes stand for, in their order; the last is called NF."""

_FACES = ("fer2013.csv", "icml_face_data.csv", "fer2013/fer2013.csv")
_FOLDERS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
_LABELS = "label.csv"


def read(path: Path, card: Card) -> Iterator[SourceRow]:
    """One row per row of votes, then one per picture that no row names.

    `path` holds `fer2013new.csv` and either `fer2013.csv`, joined by the order of rows (`source_key` is the row's
    number), or the folders FER2013Train, FER2013Valid and FER2013Test, joined by picture name (`source_key` is the
    path); in these folders the votes may also stand in a `label.csv`. The given label is the class with the most of all
    ten votes; where no class has, where two have as many, or where most saw no face or no expression, it is missing,
    with that reason. The votes are kept.

    Raises BadDataError when pictures or votes are missing, or when rows are not of FERPlus's form.
    """
    votes, faces = path / VOTES, next((path / name for name in _FACES if (path / name).is_file()), None)
    refuse_lists_outside(path, [file for file in (votes, faces) if file is not None and file.is_file()])
    if votes.is_file() and faces is not None:
        for row in fer2013.read(faces, load_card("fer2013"), votes=votes):
            label, doubt = _most(row.votes or {}, card)
            problem = row.problem if row.problem and not row.problem.startswith("label:") else doubt
            yield replace(row, given_label=label, given_code=None, problem=problem)
        return
    folders = {usage: name for usage, name in _FOLDERS.items() if (path / name).is_dir()}
    if not folders or not (votes.is_file() or all((path / name / _LABELS).is_file() for name in folders.values())):
        raise BadDataError(
            f"{path} is not in FERPlus's layout: give the folder with {VOTES} and fer2013.csv, or with the folders "
            f"{', '.join(_FOLDERS.values())} and {VOTES} or a {_LABELS} in each"
        )
    listed = list(_official(votes)) if votes.is_file() else None
    if listed is None:
        refuse_lists_outside(path, [path / folder / _LABELS for folder in folders.values()])
    for usage, folder in folders.items():
        here = _beside(path / folder / _LABELS) if listed is None else (row[1:] for row in listed if row[0] == usage)
        rows = list(here)
        yield from _of_folder(path, folder, card.split_of(usage) or "train", rows, card)


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """The table of votes by its columns, beside FER2013's csv or folders of its pictures."""
    for folder in glimpse.folders:
        path = glimpse.path(folder)
        voted = {"neutral", "contempt", "nf"} <= {name.lower() for name in _header(path / VOTES)}
        faces = next((name for name in _FACES if (path / name).is_file()), None)
        below = [name for name in _FOLDERS.values() if name in glimpse.subfolders(folder)]
        beside = bool(below) and all((path / name / _LABELS).is_file() for name in below)
        if voted and (faces or below):
            why = f"{_at(folder, VOTES)} has columns of votes (neutral to NF), beside {faces or ', '.join(below)}"
        elif beside:
            why = f"the folders {', '.join(below)} have FERPlus's names, each with a {_LABELS}"
        else:
            continue
        yield Guess(card="ferplus", path=path, confidence="certain", evidence=(why,))


def _at(folder: os.PathLike[str], name: str) -> str:
    return name if folder == TOP else os.path.join(folder, name)


def _header(file: Path) -> list[str]:
    if not file.is_file():
        return []
    try:
        return next(csv_rows(file), (0, []))[1]
    except BadDataError:
        return []  # something else under this name


def _most(votes: Mapping[str, int], card: Card) -> tuple[ClassName | None, str | None]:
    """(the class with the most votes, why there is none)."""
    if not votes:
        return None, "label: missing"
    best = [name for name, count in votes.items() if count == max(votes.values())]
    if len(best) > 1:
        return None, "label: no class has the most votes"
    label = card.named(best[0])
    return label, None if label else f"label: none of the classes, but {best[0]!r}"


def _official(file: Path) -> Iterator[tuple[str, str, dict[str, int]]]:
    """(usage, picture name, votes) per row of fer2013new.csv."""
    rows = csv_rows(file)
    next(rows, None)
    for line, cells in rows:
        if len(cells) != len(COLUMNS) + 2:
            raise BadDataError(f"{file}, line {line}: {len(cells)} cells instead of {len(COLUMNS) + 2}")
        yield cells[0].strip(), text_of(cells[1].strip()) or "", _counted(file, line, cells[2:])


def _beside(file: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """(picture name, votes) per row of a folder's label.csv, which has no header: name, box, ten votes."""
    with file.open(newline="", encoding="utf-8-sig") as handle:
        for line, cells in enumerate(csv.reader(handle), start=1):
            if cells and len(cells) != len(COLUMNS) + 2:
                raise BadDataError(f"{file}, line {line}: {len(cells)} cells instead of name, box and 10 votes")
            if cells:
                yield cells[0].strip(), _counted(file, line, cells[2:])


def _counted(file: Path, line: int, cells: list[str]) -> dict[str, int]:
    numbers = [vote_number(cell) for cell in cells]
    whole = [int(number) for number in numbers if number is not None and number == int(number)]
    if len(whole) < len(COLUMNS):
        raise BadDataError(f"{file}, line {line}: votes are whole numbers from 0, not {', '.join(cells)}")
    return by_label(COLUMNS, whole)


def _of_folder(
    root: Path, folder: str, split: str, rows: list[tuple[str, dict[str, int]]], card: Card
) -> Iterator[SourceRow]:
    there = {name for name in os.listdir(root / folder) if name.lower().endswith(IMAGE_SUFFIXES)}
    for number, (name, votes) in enumerate(rows):
        label, doubt = _most(votes, card)
        found = name in there
        inside = bool(name) and "/" not in name and "\\" not in name
        yield SourceRow(
            source_key=f"{folder}/{name}" if name else f"{folder}, row {number}",
            split=split,
            given_label=label,
            relative_path=f"{folder}/{name}" if inside else None,
            problem=doubt if found else "file: missing",
            votes=votes or None,
        )
    named = {name for name, _ in rows}
    for name in sorted(there - named):
        if not is_clutter(name):
            yield leftover(f"{folder}/{name}", "label: no row of votes names this picture", split)
