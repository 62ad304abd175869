"""Read pictures with a text file of boxes each (YOLO's form); data.yaml or classes.txt has the classes, by position.

It never opens a picture, never follows the paths in data.yaml, and never guesses the order of the classes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import yaml

from ferclean.errors import BadDataError
from ferclean.evidence.labels import EXPRESSIONS, find_class
from ferclean.sources.cards import Card, load_card
from ferclean.sources.file_names import IMAGE_SUFFIXES, is_clutter
from ferclean.sources.glimpse import Glimpse, Guess
from ferclean.sources.rows import SourceRow, contained_file, refuse_lists_outside, split_word, storable
from ferclean.sources.undivided import refuse_split, split_of_all

FILES = ("data.yaml", "data.yml", "dataset.yaml")
LINES = ("classes.txt", "labels/classes.txt")
"""A class per line, as Label Studio and LabelImg export them; where there is no FILES."""
_MAX_BYTES = 64 * 1024

Box = tuple[float, float, float, float]


def read(path: Path, card: Card, *, split: str | None = None) -> Iterator[SourceRow]:
    """One row per box of every picture, in the order of names; a picture without a box is a row without a label.

    `path` holds `data.yaml` (or `classes.txt`) and `train/images` beside `train/labels` (or `images/train` beside
    `labels/train`, or no splits). A line of `labels/a.txt` is a class's position and a box: centre, width and height in
    shares of the picture's sides. `source_key` is the picture's path, with `:2` and so on for its further boxes; ingest
    cuts each box out, but for one that holds the whole picture.

    Raises BadDataError without classes or pictures, UsageError for classes that are not the card's.
    """
    names = class_names(path)
    if names is None:
        raise BadDataError(
            f"{path} holds none of {', '.join(FILES + LINES)} with the names of its classes; give the folder that "
            "holds one, or write their names into data.yaml in the order of the positions (names: [anger, happy])"
        )
    classes = card.class_label(names, f"{path}: names")
    parts = _parts(path)
    if not parts:
        raise BadDataError(f"{path} holds no folder of images beside one of labels")
    if any(part for part, _, _ in parts):
        refuse_split(path, split, "by its folders")
    real = os.path.realpath(path)
    for name, images, labels in parts:
        place = card.split_of(name) if name else split_of_all(path, card, split)
        for file in sorted(os.listdir(path / images)):
            relative = f"{images}/{file}"
            key = storable(relative)
            if is_clutter(file) or not file.lower().endswith(IMAGE_SUFFIXES):
                yield SourceRow(source_key=key, ignored=is_clutter(file), problem="file: not an image by its name")
                continue
            lost = "file: the name is not UTF-8" if key != relative else contained_file(path, relative, real=real)[1]
            lost = lost or (None if place else f"split: unknown ({name!r})")
            for number, (code, box, wrong) in enumerate(_boxes(path, f"{labels}/{_stem(file)}.txt", real), start=1):
                known = code is not None and code < len(classes)
                yield SourceRow(
                    source_key=key if number == 1 else f"{key}:{number}",
                    split=place or "train",
                    given_label=classes[code] if code is not None and known else None,
                    given_code=classes[code] if code is not None and known else None,
                    relative_path=None if lost else relative,
                    problem=lost or wrong or (None if known else f"label: outside of the {len(classes)} classes"),
                    attributes={} if box is None else {"box": list(box)},
                    box=box,
                    box_unit="shares",
                )
        there = {_stem(file) for file in os.listdir(path / images)}
        for file in sorted(os.listdir(path / labels)):
            if file.endswith(".txt") and _stem(file) not in there and file != "classes.txt":
                lost_key = storable(f"{images}/{_stem(file)}")
                yield SourceRow(source_key=lost_key, split=place or "train", problem="file: missing")


def class_names(path: Path) -> tuple[str, ...] | None:
    """The names in data.yaml, else the lines of classes.txt, in the order of their positions; None where there are
    none."""
    file = _names_file(path)
    if file is None or file.stat().st_size > _MAX_BYTES:
        return None
    refuse_lists_outside(path, [file])
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix == ".txt":
            return tuple(line.strip() for line in text.strip().splitlines()) or None
        told = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise BadDataError(f"{file} is not UTF-8 text (byte {error.start})") from None
    except yaml.YAMLError as error:
        raise BadDataError(f"{file} is not YAML ({' '.join(str(error).split())})") from None
    names = told.get("names") if isinstance(told, dict) else None
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[position] for position in range(len(names))]
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def _names_file(path: Path) -> Path | None:
    return next((path / name for name in FILES + LINES if os.path.isfile(path / name)), None)


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """A data.yaml or classes.txt with names of expressions, beside pictures and labels; AffectNet where these are its
    eight."""
    for folder in glimpse.folders:
        path = glimpse.path(folder)
        file = _names_file(path) if path.is_dir() else None
        if file is None or (file.name not in FILES and not _parts(path)):  # other tools have a classes.txt, too
            continue
        listed = file.relative_to(glimpse.root).as_posix()
        if file.name not in glimpse.files(PurePosixPath(listed).parent):  # another file was asked about
            continue
        try:
            names = class_names(path) or ()
        except BadDataError:
            continue  # some other tool's file under this name
        known = {found for name in names if (found := find_class(name, EXPRESSIONS))}
        shown = ", ".join(names[:10])
        if len(known) < max(2, len(names)) or not _parts(path):
            yield f"{listed} names {shown or 'no classes'}: no expressions, or no pictures beside labels"
            continue
        pictures = [name for _, images, _ in _parts(path) for name in glimpse.pictures(folder / images, deep=False)]
        told = f"{' '.join(folder.parts)} {glimpse.root.name} {path.name}".lower()
        affectnet = set(load_card("affectnet").classes) == known and "affectnet" in told
        yield Guess(
            card="affectnet" if affectnet else "yolo",
            path=path,
            options={"layout": "yolo"} if affectnet else {},
            confidence="certain",
            evidence=(
                f"{listed} names the classes {shown}, in this order",
                f"{len(pictures)} pictures that were looked at lie beside labels in YOLO's form",
                *(["the classes are AffectNet's eight, and a folder is called so"] if affectnet else []),
            ),
        )


def _parts(root: Path) -> list[tuple[str, PurePosixPath, PurePosixPath]]:
    """(name of the split or "", folder of pictures, folder of labels), below the root."""
    inside = os.listdir(root / "images") if (root / "images").is_dir() else []
    found = [
        (name, PurePosixPath(name) / "images", PurePosixPath(name) / "labels") for name in sorted(os.listdir(root))
    ]
    found += [(name, PurePosixPath("images") / name, PurePosixPath("labels") / name) for name in sorted(inside)]
    found = [part for part in found if split_word(part[0])]
    found = found or [("", PurePosixPath("images"), PurePosixPath("labels"))]
    return [part for part in found if all((root / folder).is_dir() for folder in part[1:])]


def _stem(file: str) -> str:
    return os.path.splitext(file)[0]


def _boxes(root: Path, file: str, real: str) -> Iterator[tuple[int | None, Box | None, str | None]]:
    """(position of the class, left, top, right, bottom in shares, problem) per line; one without a class for none."""
    place, wrong = contained_file(root, file, real=real)
    if place is None or place.stat().st_size > _MAX_BYTES:
        yield (
            None,
            None,
            "label: missing" if wrong == "file: missing" else f"label: {os.path.basename(file)} is not read",
        )
        return
    lines = [line for line in place.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if not lines:
        yield None, None, "label: missing"
    for number, line in enumerate(lines, start=1):
        try:
            code, x, y, width, height = (float(word) for word in line.split())
            if code < 0 or code != int(code) or not all(map(math.isfinite, (x, y, width, height))):
                raise ValueError
        except (ValueError, OverflowError):
            yield None, None, f"label: no class and box (line {number} of {os.path.basename(file)})"
            continue
        yield int(code), (x - width / 2, y - height / 2, min(x + width / 2, 1.0), min(y + height / 2, 1.0)), None
