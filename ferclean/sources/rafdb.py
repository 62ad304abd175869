"""Read the official RAF-DB layout: a list of labels, aligned images, attributes and, when asked, votes.

It never guesses a label from anything but the list, and never opens an image.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from ferclean.errors import BadDataError, UsageError
from ferclean.sources.cards import Card
from ferclean.sources.rows import SourceRow, printable

LABELS = "EmoLabel/list_patition_label.txt"
ATTRIBUTES = "Annotation/manual/{key}_manu_attri.txt"
_FOLDERS = (("Image/aligned", "_aligned"), ("Image/original", ""))
_SUFFIXES = (".jpg", ".jpeg", ".png")
_LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")


def read(path: Path, card: Card, *, votes: str | Path | None = None) -> Iterator[SourceRow]:
    """One row per line of the label list in its order, then one per image that no line names.

    `path` is the folder that holds `EmoLabel` and `Image`, or the one above it (`basic`). `votes` is a distribution
    file: per line an image name and one number per class in the order of the codes, counts or shares (shares become
    counts out of the card's `annotators`). Raises BadDataError when the list or every image is missing, or when the
    votes do not fit.
    """
    base = path if (path / LABELS).is_file() else path / "basic"
    if not (base / LABELS).is_file():
        raise BadDataError(
            f"{path} is not in the RAF-DB layout: {LABELS} is missing; give the folder that holds EmoLabel and Image"
        )
    folder, tail = next(((f, t) for f, t in _FOLDERS if (base / f).is_dir()), ("", ""))
    if not folder:
        raise BadDataError(f"{base} holds neither Image/aligned nor Image/original; unpack aligned.zip into Image/")
    prefix = base.relative_to(path).as_posix()
    prefix = "" if prefix == "." else prefix + "/"
    images = _images(base / folder, tail)
    named: set[str] = set()
    ballots = _votes(Path(votes), card) if votes is not None else {}

    for number, line in enumerate(_lines(base / LABELS), start=1):
        if not line.strip():
            continue
        name, _, code = line.strip().rpartition(" ")
        key = os.path.splitext(name.strip() or code)[0]
        found = images.get(key)
        named.add(key)
        problem = None
        if not name.strip():
            code, problem = "", f"label: missing (line {number} of the list)"
        label = card.label_of(code) if problem is None else None
        if label is None and problem is None:
            problem = f"label: unknown code ({code!r}; known: {', '.join(card.codes)})"
        split = card.split_of(key.partition("_")[0])
        if split is None:
            problem = problem or f"split: unknown ({key!r} starts with none of {', '.join(card.splits)})"
        yield SourceRow(
            source_key=key,
            split=split or "train",
            given_label=label,
            given_code=code or None,
            # a missing image keeps the name it should have, so that the report of it says what to look for
            relative_path=f"{prefix}{folder}/{found or key + tail + '.jpg'}",
            problem=problem or (None if found else "file: missing"),
            attributes=_attributes(base / ATTRIBUTES.format(key=key), card),
            votes=ballots.get(key),
        )
    for key, found in images.items():
        if key in named:
            continue
        if found.startswith("."):
            yield SourceRow(source_key=printable(found), ignored=True)
            continue
        storable = printable(found) == found
        yield SourceRow(
            source_key=printable(key),
            split=card.split_of(key.partition("_")[0]) or "train",
            relative_path=f"{prefix}{folder}/{found}" if storable else None,
            problem=f"label: no line in {os.path.basename(LABELS)}" if storable else "file: the name is not UTF-8",
            attributes=_attributes(base / ATTRIBUTES.format(key=key), card),
            votes=ballots.get(key),
        )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadDataError(f"{path} is not UTF-8 text (byte {error.start})") from None


def _images(folder: Path, tail: str) -> dict[str, str]:
    """Key to file name, for every file of the folder; the key of what is no image is its whole name."""
    found: dict[str, str] = {}
    for name in sorted(os.listdir(folder)):
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in _SUFFIXES and not name.startswith("."):
            found[stem.removesuffix(tail) if tail else stem] = name
        else:
            found[name] = name
    return found


def _attributes(path: Path, card: Card) -> dict[str, object]:
    """Five landmark points, gender, race and age; a file that does not follow the form is said to be so."""
    if not path.is_file() or path.is_symlink():
        return {}
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        points = {name: [float(x), float(y)] for name, (x, y) in zip(_LANDMARKS, lines[:5], strict=True)}
        if not all(math.isfinite(value) for point in points.values() for value in point):
            raise ValueError("a landmark is not a number")
        codes = [line[0] for line in lines[5:8]]
        traits = {
            name: card.attributes.get(name, {}).get(code, code)
            for name, code in zip(("gender", "race", "age"), codes, strict=True)
        }
    except (ValueError, IndexError, UnicodeDecodeError):
        return {"attributes_problem": f"{path.name} does not hold five points and three codes"}
    return {**traits, "landmarks": points}


def _votes(path: Path, card: Card) -> dict[str, dict[str, int]]:
    order = list(card.codes.values()) or list(card.classes)
    ballots: dict[str, dict[str, int]] = {}
    if not path.is_file():
        raise UsageError(f"{path}: no such file of votes")
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        name, *fields = line.split()
        try:
            numbers = [float(text) for text in fields]
        except ValueError:
            numbers = []
        if len(numbers) != len(order) or not all(0 <= value < float("inf") for value in numbers):
            raise BadDataError(
                f"{path}, line {number}: expected a name and {len(order)} numbers for {', '.join(order)}"
            )
        if abs(sum(numbers) - 1.0) < 0.02 and any(value % 1 for value in numbers):
            if card.annotators is None:
                raise BadDataError(f"{path} holds shares; the card must say how many annotators they are shares of")
            numbers = [value * card.annotators for value in numbers]
        key = os.path.splitext(name)[0].removesuffix("_aligned")
        ballots[key] = {label: round(value) for label, value in zip(order, numbers, strict=True) if round(value)}
    return ballots
