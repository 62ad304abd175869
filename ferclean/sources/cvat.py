"""Read "CVAT for images 1.1": an XML file whose images have tags, or boxes with labels or attributes.

It takes no DTD and no entity, never holds the whole file, and never opens a picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from xml.parsers import expat

from ferclean.errors import BadDataError, UsageError, few
from ferclean.evidence.labels import EXPRESSIONS, find_class
from ferclean.sources.cards import Card
from ferclean.sources.glimpse import Glimpse, Guess
from ferclean.sources.marks import Box, Mark, rows_of
from ferclean.sources.references import Pictures, sound
from ferclean.sources.rows import SourceRow, refuse_lists_outside
from ferclean.sources.tabular import LABEL_COLUMNS
from ferclean.sources.undivided import refuse_split, split_of_all

FILE = "annotations.xml"
_CHUNK = 64 * 1024
_LOOK = 1000
"""Images among which one says a split, if any does."""
_MOST = 4 * 1024 * 1024
"""Bytes between two tags; annotations have no more than a few words there."""
_SHAPES = ("tag", "box", "polygon", "polyline", "points", "ellipse", "mask", "cuboid", "skeleton")
_MOST_SHAPES, _DEPTH = 10_000, 32
_SIDES = ("xtl", "ytl", "xbr", "ybr")


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """What somebody drew on an image, or said of it (a tag)."""

    kind: str
    told: dict[str, str]
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Image:
    told: dict[str, str]
    shapes: list[_Shape] = field(default_factory=list)


def read(
    path: Path,
    card: Card,
    *,
    label_column: str | None = None,
    split: str | None = None,
    images: str | Path | None = None,
) -> Iterator[SourceRow]:
    """One row per image with a tag, per box of an image that names a class; `source_key` is the image's name, behind
    its subset where it has one, with `:2` and so on for further boxes.

    `path` is `annotations.xml`, or the folder that holds it. A class is the label of a tag or box, else its attribute
    `label_column`, else one called emotion, expression or the like. A tag beside a single box that names no class is
    about the face in the box. Two classes for one face, none, and shapes of other kinds alone are reasons. Pictures lie
    below `images` (default: the file's folder), there or in `images`, also in a folder of the subset, which is the
    split.

    Raises BadDataError for another form, XML with a DTD, and tracks in a video.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise BadDataError(f"{file}: no such file; give CVAT's {FILE} (CVAT for images 1.1), or its folder")
    refuse_lists_outside(path, [] if file == path else [file])
    divided = any(_subset(image) for image in islice(_images(file), _LOOK))
    if divided:
        refuse_split(path, split, "by its subsets")
    everywhere = None if divided else split_of_all(path, card, split)
    pictures = Pictures(file.parent if images is None else Path(images), ("images",))
    for number, image in enumerate(_images(file)):
        name, subset = image.told.get("name", ""), _subset(image)
        place = card.split_of(subset) if subset else everywhere
        yield from rows_of(
            sound(f"{subset}/{name}" if subset else name) or f"image {image.told.get('id', number)}",
            _marks(image, card, label_column),
            split=place or "train",
            place=pictures.named(name, *([f"{subset}/{name}"] if subset else [])) if name else (None, "file: missing"),
            doubt=None if place else f"split: {f'unknown ({subset!r})' if subset else 'missing'}",
            attributes={},
            unit="pixels",
            whole=_whole(image),
        )


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """XML with the root `annotations` and images whose tags, boxes or attributes are expressions."""
    for file in glimpse.documents(".xml"):
        path = glimpse.path(file)
        if "<annotations" not in glimpse.text(file)[:4096]:
            continue
        try:
            images = list(islice(_images(path), 200))
        except BadDataError as error:
            yield str(error)
            continue
        card = Card(name="", layout="cvat")
        said = [mark for image in images for mark in _marks(image, card, None)]
        names = list(dict.fromkeys(str(mark.code) for mark in said if mark.code))
        if sum(find_class(name, EXPRESSIONS) is not None for name in names) < max(2, len(names) / 2):
            yield f"{file} is CVAT's, but its tags and boxes ({few(names, 7) or 'none'}) name no expressions"
            continue
        pictures = Pictures(path.parent, ("images",))
        tried = [(image.told.get("name", ""), _subset(image)) for image in images]
        there = [name for name, subset in tried if name and not pictures.named(name, f"{subset}/{name}")[1]]
        if 2 * len(there) < len(images):
            yield f"{file} is CVAT's, with expressions, but its pictures ({tried[0][0]}) are not there: give --images"
            continue
        why = f"{file} is CVAT's XML of images, with {few(names, 8)}"
        yield Guess(card="cvat", path=path, confidence="certain", evidence=(why, f"its first picture is {there[0]}"))


# ---- what an image says


def _subset(image: _Image) -> str:
    subset = image.told.get("subset", "").strip()
    return "" if subset.lower() == "default" else subset


def _whole(image: _Image) -> Box | None:
    width, height = (image.told.get(side, "") for side in ("width", "height"))
    return (0, 0, float(width), float(height)) if width.isdecimal() and height.isdecimal() else None


def _marks(image: _Image, card: Card, column: str | None) -> list[Mark]:
    tags = [_mark(shape, card, column) for shape in image.shapes if shape.kind == "tag"]
    boxes = [_mark(shape, card, column) for shape in image.shapes if shape.kind == "box"]
    others = sorted({shape.kind for shape in image.shapes} - {"tag", "box"})
    if len(boxes) == 1 and tags and boxes[0].label is None and boxes[0].box:
        return [Mark(label=tag.label, code=tag.code, problem=tag.problem, box=boxes[0].box) for tag in tags]
    if others and not tags and not boxes:
        return [Mark(problem=f"label: missing (only shapes: {', '.join(others)})")]
    return [*tags, *boxes]


def _mark(shape: _Shape, card: Card, column: str | None) -> Mark:
    said = shape.told.get("label", "").strip()
    usual = [name for name in shape.attributes if name.strip().lower() in LABEL_COLUMNS]
    if column is not None:
        words = [shape.attributes[column]] if column in shape.attributes else []
    else:
        words = [said] if card.label_of(said) or not usual else [shape.attributes[usual[0]]]
    word = words[0].strip() if words else ""
    label = card.label_of(word) if word else None
    problem = f"label: unknown ({sound(word)!r}; known: {card.known_labels()})" if word else "label: missing"
    box, wrong = _box(shape.told) if shape.kind == "box" else (None, None)
    others = {sound(name): sound(value) for name, value in shape.attributes.items() if value != word}
    return Mark(
        label=label, code=sound(word) or None, problem=wrong or (None if label else problem), box=box, attributes=others
    )


def _box(told: Mapping[str, str]) -> tuple[Box | None, str | None]:
    try:
        left, top, right, bottom = (float(told[side]) for side in _SIDES)
        turned = float(told.get("rotation", 0))
    except (KeyError, ValueError):
        return None, f"image: its box has no {', '.join(_SIDES)}"
    if not all(map(math.isfinite, (left, top, right, bottom, turned))) or right <= left or bottom <= top:
        return None, "image: its box is empty or endless"
    return (left, top, right, bottom), f"image: its box is turned ({turned:g} degrees)" if turned % 360 else None


# ---- XML


def _images(file: Path) -> Iterator[_Image]:
    """The images of a file, one after the other."""
    reader = _Reader()
    try:
        with file.open("rb") as handle:
            while chunk := handle.read(_CHUNK):
                reader.take(chunk)
                yield from reader.done()
            reader.take(b"")
            yield from reader.done()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror or error}") from None
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise BadDataError(f"{file} is not CVAT's XML (CVAT for images 1.1): {error}") from None


class _Reader:
    """What expat tells of a file, as images."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.open: list[str] = []
        self.image: _Image | None = None
        self.name: str | None = None
        """Of the attribute whose text is read."""
        self.text: list[str] = []
        self.found: list[_Image] = []
        self.quiet = 0
        """Bytes since the last tag."""

    def take(self, chunk: bytes) -> None:
        self.quiet += len(chunk)
        if self.quiet > _MOST + len(chunk):
            raise ValueError(f"no tag in {_MOST:,} bytes (line {self.parser.CurrentLineNumber})")
        self.parser.Parse(chunk, not chunk)

    def done(self) -> Sequence[_Image]:
        found, self.found = self.found, []
        return found

    def _refuse(self, *told: Any) -> None:
        raise ValueError("it has a DTD or an entity, which no export has")

    def _start(self, tag: str, told: dict[str, str]) -> None:
        self.quiet = 0
        if not self.open and tag != "annotations":
            raise ValueError(f"its root is {tag[:60]!r}, not 'annotations'")
        if tag == "track" and len(self.open) == 1:
            raise ValueError("it holds tracks in a video; export it as CVAT for images 1.1")
        self.open.append(tag)
        if len(self.open) > _DEPTH:
            raise ValueError(f"it is nested more than {_DEPTH} deep (line {self.parser.CurrentLineNumber})")
        if tag == "image" and len(self.open) == 2:
            self.image = _Image(told=told)
        elif self.image is not None and len(self.open) == 3 and tag in _SHAPES:
            self.image.shapes.append(_Shape(kind=tag, told=told))
            if len(self.image.shapes) > _MOST_SHAPES:
                raise ValueError(
                    f"an image has more than {_MOST_SHAPES:,} shapes (line {self.parser.CurrentLineNumber})"
                )
        elif self.image is not None and self.image.shapes and len(self.open) == 4 and tag == "attribute":
            self.name, self.text = told.get("name", ""), []

    def _text(self, text: str) -> None:
        if self.name is not None:
            self.text.append(text)

    def _end(self, tag: str) -> None:
        self.quiet = 0
        self.open.pop()
        if self.name is not None and self.image is not None and tag == "attribute":
            self.image.shapes[-1].attributes[self.name] = "".join(self.text)
            self.name = None
        elif tag == "image" and len(self.open) == 1 and self.image is not None:
            self.found.append(self.image)
            self.image = None
