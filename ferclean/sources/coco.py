"""Read COCO-style JSON: images, categories, and annotations whose boxes are the faces, in pixels.

It never opens a picture, never follows an address, and takes no box for the whole picture that is not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ferclean.errors import BadDataError, few
from ferclean.evidence.labels import EXPRESSIONS, find_class
from ferclean.sources.cards import Card
from ferclean.sources.file_names import is_clutter
from ferclean.sources.glimpse import Glimpse, Guess
from ferclean.sources.json_files import elements_of, value_of
from ferclean.sources.mapping import in_order
from ferclean.sources.marks import Box, Mark, box_of, rows_of
from ferclean.sources.own_fields import OWN, own_attributes
from ferclean.sources.references import Pictures, sound
from ferclean.sources.rows import SourceRow, refuse_lists_outside, split_word
from ferclean.sources.undivided import refuse_split, said_by_name, split_of_all

_FOLDER = "annotations"
_PICTURES = ("images", "data")

_ANY = Card(name="", layout="")


@dataclass
class _Labels:
    """What a file says beside its list of images; annotations by the number of their image."""

    categories: list[dict[str, Any]] = field(default_factory=list)
    annotations: dict[Any, list[tuple[Any, Any]]] = field(default_factory=dict)
    """(category's number, box as it stands there)."""
    images: Counter[Any] = field(default_factory=Counter)

    def taken(self, number: Any) -> list[tuple[Any, Any]]:
        """The annotations of an image; those of a number that several images have stay for the others."""
        return self.annotations.pop(number, []) if self.images[number] < 2 else self.annotations.get(number, [])


def read(path: Path, card: Card, *, split: str | None = None, images: str | Path | None = None) -> Iterator[SourceRow]:
    """One row per box of every image in the file's order; `source_key` is the image's `file_name` (of several files
    behind the split), with `:2` and so on for further boxes. An image without annotations is a row without a label.

    `path` is one JSON file, or a folder that holds one, several in `annotations`, or one per folder of a split. The
    split is what the image says under `ferclean` (as our export does), else the folder, else the file's name, else
    `split`. Boxes are left, top, width and height in pixels, cut out at ingest but where they hold the whole picture;
    an annotation without a box is about the whole picture. Two categories in one box are a reason.

    In an export of ours both names and order are those of the set that it came from (`mapping.in_order`).

    Reads each file twice, an element at a time, and holds its annotations (about 100 MB for 300,000). Raises
    BadDataError when there is no such file, UsageError for categories that are not the card's classes.
    """
    root = path if path.is_dir() else path.parent
    found = _files_rows(path, card, split, images)
    yield from in_order(found, root) if path.is_dir() else found


def _files_rows(path: Path, card: Card, split: str | None, images: str | Path | None) -> Iterator[SourceRow]:
    root = path if path.is_dir() else path.parent
    files = _files(path, card)
    if any(name for _, name in files) and path.is_dir():
        refuse_split(path, split, "by its files or folders")
    several = len({name for _, name in files if name})
    for file, name in files:
        labels = _labels(file)
        where = file.relative_to(root).as_posix()
        before = "" if len(files) == 1 else f"{name if several == len(files) else where}/"
        known = _classes(labels.categories, card, f"{file}: categories")
        divided = name if path.is_dir() else None
        pictures = _pictures(root, file, divided, card) if images is None else Pictures(Path(images), _PICTURES)
        everywhere = divided or ("" if _says_splits(file) else split_of_all(path, card, split))
        for key, image in elements_of(file):
            if key == "images":
                yield from _rows(image, labels, known, pictures, card, everywhere, where, before)
        for number in (number for number in labels.annotations if not labels.images[number]):
            yield SourceRow(
                source_key=sound(f"{where}, image {number}"),
                split=everywhere or "train",
                problem="file: missing (no image has the number of the annotation)",
            )


def class_names(path: Path) -> tuple[str, ...] | None:
    """The categories' names in the order of their numbers, of all files; None where there are none."""
    found: dict[str, None] = {}
    for file, _ in _files(path, _ANY):
        found.update((name, None) for _, name in _named(value_of(file, "categories") or _labels(file).categories))
    return tuple(found) or None


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """JSON files with images, annotations and categories that are expressions, and the first picture there."""
    seen: set[PurePosixPath] = set()
    for file in glimpse.documents(".json"):
        top = file.parent.parent if file.parent.name == _FOLDER or split_word(file.parent.name) else file.parent
        path = glimpse.path(file)
        if top in seen or not any(key in ("images", "annotations", "categories") for key, _ in glimpse.elements(file)):
            continue
        categories = value_of(path, "categories")
        names = [name for _, name in _named(categories)] if _are_categories(categories) else []
        seen.add(top)
        if sum(find_class(name, EXPRESSIONS) is not None for name in names) < max(2, len(names) / 2):
            yield f"{file} is COCO's form, but its categories ({few(names, 7) or 'none'}) are no expressions' names"
            continue
        pictures = _pictures(glimpse.path(top), path, _split(path, path.parent, _ANY), _ANY)
        images = [image.get("file_name") for key, image in glimpse.elements(file) if _is_image(key, image)]
        there = [name for name in images if isinstance(name, str) and not pictures.named(name)[1]]
        if images and 2 * len(there) < len(images):
            yield f"{file} is COCO's form with expressions, but its images ({images[0]}) are not there: give --images"
            continue
        yield Guess(
            card="coco",
            path=glimpse.path(top),
            confidence="certain",
            evidence=(
                f"{file} has images, annotations and the categories {few(names, 8)}, as COCO has them",
                *([f"its first image is {there[0]}"] if there else []),
            ),
        )


# ---- files


def _files(path: Path, card: Card) -> list[tuple[Path, str]]:
    """(file, split by its folder or name, or "")."""
    if path.is_file():
        return [(path, "")]
    if not path.is_dir():
        raise BadDataError(f"{path}: no such file or folder")
    folders = [path, path / _FOLDER, *(one for one in sorted(path.iterdir()) if one.is_dir() and split_word(one.name))]
    found = [
        (file, _split(file, folder if folder != path else None, card))
        for folder in folders
        if folder.is_dir() and not folder.is_symlink()
        for file in sorted(folder.glob("*.json"))
        if not is_clutter(file.name) and _are_categories(value_of(file, "categories"))
    ]
    if not found:
        raise BadDataError(f"{path} holds no JSON file with COCO's images, annotations and categories; give the file")
    refuse_lists_outside(path, [file for file, _ in found])
    return found


def _split(file: Path, folder: Path | None, card: Card) -> str:
    """What the folder of a split says, else the file's name: train by instances_train2017.json."""
    return (card.split_of(folder.name) if folder else None) or min(said_by_name(file, card), default="")


def _are_categories(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and "name" in one for one in value)


def _is_image(key: str | None, image: Any) -> bool:
    return key == "images" and isinstance(image, dict)


def _says_splits(file: Path) -> bool:
    """Whether the first image says its split, as in our own export."""
    first = value_of(file, OWN)
    return isinstance(first, dict) and "split" in first


def _labels(file: Path) -> _Labels:
    found = _Labels()
    for key, one in elements_of(file):
        if key not in ("images", "annotations", "categories"):
            continue
        if not isinstance(one, dict):
            raise BadDataError(f"{file}: {key} holds {str(one)[:60]!r}, which is no object")
        if key == "categories":
            found.categories.append(one)
        elif key == "images":
            found.images[_number(one.get("id"))] += 1
        else:
            box = one.get("bbox")
            found.annotations.setdefault(_number(one.get("image_id")), []).append(
                (_number(one.get("category_id")), box)
            )
    if not _are_categories(found.categories):
        raise BadDataError(f"{file} has no categories with names: it is not COCO's form")
    return found


def _number(value: Any) -> Any:
    """A number of COCO's as it can be looked up: 3.0 is 3; anything but numbers and text is none."""
    if isinstance(value, float) and value % 1 == 0:
        return int(value)
    return value if isinstance(value, int | str) else None


def _named(categories: Sequence[Mapping[str, Any]]) -> list[tuple[Any, str]]:
    """(number, name) in the order of the numbers, without headings: categories that stand over others."""
    over = {one.get("supercategory") for one in categories if one.get("supercategory") != one["name"]} - {"none"}
    found = [(_number(one.get("id")), str(one["name"])) for one in categories if one["name"] not in over]
    return sorted(found) if all(isinstance(number, int) for number, _ in found) else found


def _classes(categories: Sequence[Mapping[str, Any]], card: Card, where: str) -> dict[Any, str]:
    named = _named(categories)
    numbers = [number for number, _ in named]
    if None in numbers or len(set(numbers)) < len(numbers):
        raise BadDataError(f"{where} have a number twice, or none ({few(numbers)})")
    return dict(zip(numbers, card.class_label([name for _, name in named], where), strict=True))


def _pictures(root: Path, file: Path, split: str | None, card: Card) -> Pictures:
    """Where a file's pictures may lie: beside it, in images or data, or in the folder of its split (train2017)."""
    own = file.parent.relative_to(root)
    tops = [own, *(own / name for name in _PICTURES), *(PurePosixPath(name) for name in _PICTURES)]
    parts = [
        PurePosixPath(base) / one.name
        for base in ("", *_PICTURES)
        if split and (root / base).is_dir()
        for one in sorted((root / base).iterdir())
        if one.is_dir() and card.split_of(re.sub(r"\d+$", "", one.name)) == split
    ]
    return Pictures(root, [str(folder) for folder in (*parts, *tops) if str(folder) != "."])


# ---- rows


def _rows(
    image: Mapping[str, Any],
    labels: _Labels,
    known: Mapping[Any, str],
    pictures: Pictures,
    card: Card,
    everywhere: str,
    where: str,
    before: str,
) -> Iterator[SourceRow]:
    number, name = _number(image.get("id")), image.get("file_name")
    told = image.get(OWN)
    own: dict[str, Any] = told if isinstance(told, dict) else {}
    place = pictures.named(name) if isinstance(name, str) and name else (None, "file: missing")
    said = own.get("split", everywhere or None)
    split = card.split_of(said) if isinstance(said, str) else None
    doubt = None if split else f"split: unknown ({said!r})"
    if labels.images[number] > 1:
        doubt = f"label: several images have the number ({number})"
    yield from rows_of(
        sound(str(own.get("source_key") or (f"{before}{name}" if name else f"{where}, image {number}"))),
        (_mark(category, box, known) for category, box in labels.taken(number)),
        split=split or "train",
        place=place,
        doubt=doubt,
        attributes=own_attributes(own, card),
        unit="pixels",
        whole=_whole(image),
    )


def _mark(category: Any, told: Any, known: Mapping[Any, str]) -> Mark:
    box, wrong = box_of(told)
    label = known.get(category)
    problem = wrong or (None if label else f"label: unknown category ({category!r})")
    return Mark(label=label, code=label, box=box, problem=problem)


def _whole(image: Mapping[str, Any]) -> Box | None:
    """The box that holds all of an image by its own word, which ingest does not take on trust."""
    sides = image.get("width"), image.get("height")
    return (0, 0, *sides) if all(isinstance(side, int) for side in sides) else None  # type: ignore[return-value]
