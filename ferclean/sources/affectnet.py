"""Read AffectNet's manually annotated part: lists with paths and codes, or numbered .npy annotations beside pictures.

It never opens a picture, never crops one, and never loads an annotation that holds anything but a number.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from ferclean.errors import BadDataError
from ferclean.sources.cards import Card
from ferclean.sources.codes import read_code
from ferclean.sources.file_names import IMAGE_SUFFIXES, is_clutter
from ferclean.sources.glimpse import TOP, Glimpse, Guess
from ferclean.sources.rows import SourceRow, contained_file, kept_path, leftover, refuse_lists_outside, storable
from ferclean.sources.tabular import find_column, header_of, records_of, text_of
from ferclean.sources.undivided import refuse_split, said_by_name, split_of_all

_LISTS = ("training.csv", "validation.csv")
_LIST_FOLDERS = (".", "Manually_Annotated_file_lists", "Manually_Annotated/Manually_Annotated_file_lists")
_IMAGE_FOLDERS = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images", ".")
_PATH, _CODE = "subdirectory_filepath", "expression"
_BOX = ("face_x", "face_y", "face_width", "face_height")
_UNNAMED = "label: no row names this picture"
_MAX_NPY = 4096
"""Bytes; an annotation is one number."""


def read(path: Path, card: Card, *, split: str | None = None, images: str | Path | None = None) -> Iterator[SourceRow]:
    """One row per line of the lists in their order, or per annotation in the order of its number.

    `path` is a list (`training.csv`), a folder that holds the lists (also in `Manually_Annotated_file_lists`), or one
    with `annotations/7_exp.npy` and `images/7.jpg`, itself or in `train_set` and `val_set`. Pictures of lists lie below
    `images`, else in `Manually_Annotated_Images` or beside the list. `source_key` is the picture's path. Valence and
    arousal (-1 to 1), and the face's box (x, y, width, height in pixels) where it is told, are attributes.

    Of a folder, pictures that no row names are rows, too. Raises BadDataError when there is neither form, UsageError
    for a list whose name says another split than the caller.
    """
    sets = _annotated(path)
    if len(sets) > 1:
        refuse_split(path, split, "by its folders")
    for folder, below in sets:
        yield from _numbered(folder, below, card, _split_of(folder, card, split))
    if sets:
        return
    lists = _lists(path)
    place = Path(images) if images is not None else path if path.is_dir() else path.parent
    inner = _pictures_of(place)
    there = set(_walk(place, inner))
    named: set[str] = set()
    for file in lists:
        for row in _listed(file, card, _split_of(file, card, split), place, inner, there):
            named.add(row.source_key)
            yield row
    for name in sorted(there - named) if path.is_dir() else ():
        yield leftover(str(inner / name), _UNNAMED, key=name)


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """Lists by their columns, numbered annotations by their names, and the copy whose list has the column relFCs."""
    seen: set[Path] = set()
    for file, header in glimpse.tables():
        path = glimpse.path(file)
        if {"pth", "label", "relfcs"} <= set(header):
            why = f"{file} has the columns pth, label and relFCs of an AffectNet copy; its labels are names"
            yield Guess(
                card="affectnet",
                path=path,
                options={"layout": "table", "image_column": "pth"},
                confidence="certain",
                evidence=(why,),
            )
        if not {_PATH, _CODE} <= set(header):
            continue
        whole = file.name in _LISTS and glimpse.folders != [TOP]
        place = (path.parent.parent if path.parent.name == _LIST_FOLDERS[1] else path.parent) if whole else path
        if place in seen:
            continue
        seen.add(place)
        named = [text_of(row[_PATH]) or "" for row in glimpse.rows(file, [_PATH])]
        root = place if place.is_dir() else place.parent
        inner = _pictures_of(root)
        # a copy may lack some, also the first
        first = next((name for name in named if not contained_file(root, str(inner / name))[1]), None)
        if first is None:
            shown = named[0] if named else "no row"
            yield f"{file} has AffectNet's columns, but its pictures ({shown}) are not below {root}: give --images"
            continue
        columns = f"{file} has the columns subDirectory_filePath and expression, as AffectNet's lists"
        there = f"the picture {inner / first} of it is there"
        yield Guess(card="affectnet", path=place, confidence="certain", evidence=(columns, there))
    for folder in glimpse.folders:
        named = [name for name in glimpse.files(folder / "annotations") if name.endswith("_exp.npy")]
        if named and glimpse.pictures(folder / "images", deep=False):
            path = glimpse.path(folder)
            divided = folder != TOP and bool(said_by_name(path, Card(name="", layout="")))
            path = path.parent if divided else path
            if path not in seen:
                seen.add(path)
                why = f"{folder / 'annotations'} holds numbered annotations ({named[0]}) of pictures in images"
                yield Guess(card="affectnet", path=path, confidence="certain", evidence=(why,))


def _split_of(path: Path, card: Card, split: str | None) -> str:
    """What the caller says, else what the name of the list or folder says, else training data."""
    said = said_by_name(path, card)
    return min(said) if said and split is None else split_of_all(path, card, split)


# ---- lists


def _lists(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = [path / folder / name for folder in _LIST_FOLDERS for name in _LISTS if (path / folder / name).is_file()]
    if not found:
        raise BadDataError(
            f"{path} is not in AffectNet's layout: neither {' nor '.join(_LISTS)} nor annotations/NUMBER_exp.npy is "
            "there; give the list itself, or the folder that holds these"
        )
    refuse_lists_outside(path, found)
    return found


def _pictures_of(root: Path) -> PurePosixPath:
    return next((PurePosixPath(name) for name in _IMAGE_FOLDERS if (root / name).is_dir()), PurePosixPath("."))


def _walk(root: Path, inner: PurePosixPath) -> Iterator[str]:
    """Pictures below the folder of pictures, relative to it, with forward slashes; no link to a folder is followed."""
    base = root / inner
    for folder, below, names in os.walk(base):
        below[:] = [name for name in below if not is_clutter(name)]
        at = Path(folder).relative_to(base).as_posix()
        for name in names:
            if name.lower().endswith(IMAGE_SUFFIXES) and not is_clutter(name):
                yield name if at == "." else f"{at}/{name}"


def _listed(
    file: Path, card: Card, split: str, place: Path, inner: PurePosixPath, there: set[str]
) -> Iterator[SourceRow]:
    header = header_of(file)
    path, code = (find_column(header, None, (name,), "the list", file) for name in (_PATH, _CODE))
    others = {
        name: find_column(header, None, (name,), "", file, needed=False) for name in ("valence", "arousal", *_BOX)
    }
    for number, cells in records_of(file, [path, code, *filter(None, others.values())]):
        name = (text_of(cells[path]) or "").strip().replace("\\", "/")
        label, given, problem = read_code(cells[code], card)
        relative = (inner / name).as_posix() if name else None
        lost = "file: missing" if relative is None else None
        if relative is not None and name not in there:
            lost = contained_file(place, relative)[1]
        values = {told: _number(cells[column]) if column else None for told, column in others.items()}
        box = [values[side] for side in _BOX]
        yield SourceRow(
            source_key=name or f"{file.name}, row {number}",
            split=split,
            given_label=label,
            given_code=given,
            relative_path=None if relative is None else kept_path(place, relative, lost),
            problem=lost or problem,
            attributes=_feeling(values) | ({"box": box} if None not in box else {}),
        )


def _number(cell: object) -> float | None:
    try:
        value = float(text_of(cell) or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _feeling(values: dict[str, float | None]) -> dict[str, object]:
    """Valence and arousal; -2, which stands for none, is none."""
    return {
        name: value for name in ("valence", "arousal") if (value := values.get(name)) is not None and abs(value) <= 1
    }


# ---- numbered annotations


def _annotated(path: Path) -> list[tuple[Path, str]]:
    """(folder with annotations and images, its path below `path`)."""
    if not path.is_dir():
        return []
    names = ["", *sorted(name for name in os.listdir(path) if not is_clutter(name))]
    return [
        (path / name, f"{name}/" if name else "")
        for name in names
        if (path / name / "annotations").is_dir() and (path / name / "images").is_dir()
    ]


def _numbered(folder: Path, inner: str, card: Card, split: str) -> Iterator[SourceRow]:
    notes = {name.removesuffix("_exp.npy") for name in os.listdir(folder / "annotations") if name.endswith("_exp.npy")}
    pictures: dict[str, str] = {}
    others: list[str] = []
    for name in sorted(os.listdir(folder / "images")):
        if not is_clutter(name):
            key = os.path.splitext(name)[0]
            if name.lower().endswith(IMAGE_SUFFIXES) and key not in pictures and key in notes:
                pictures[key] = name
            else:
                others.append(name)
    for key in sorted(notes, key=lambda key: (len(key), key)):
        told = {kind: _loaded(f"{folder}/annotations/{key}_{kind}.npy") for kind in ("exp", "val", "aro")}
        label, code, problem = read_code(told["exp"], card)
        relative = f"{inner}images/{pictures.get(key, f'{key}.jpg')}"
        yield SourceRow(
            source_key=storable(relative),
            split=split,
            given_label=label,
            given_code=code,
            relative_path=relative if storable(relative) == relative else None,
            problem=problem if key in pictures else "file: missing",
            attributes=_feeling({"valence": _number(told["val"]), "arousal": _number(told["aro"])}),
        )
    for name in others:
        yield leftover(f"{inner}images/{name}", _UNNAMED, split)


def _loaded(file: str) -> str | None:
    """The one number (or text) of an annotation; None where there is none."""
    try:
        there = os.lstat(file)
        if not stat.S_ISREG(there.st_mode) or there.st_size > _MAX_NPY:
            return None
        array = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return None
    return str(array.item()) if array.size == 1 else None
