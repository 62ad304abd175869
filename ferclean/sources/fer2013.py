"""Read the official fer2013.csv (emotion, pixels, Usage) and, when asked, FERPlus's votes by the order of rows.

It never trusts an image name of FERPlus as a row number and never skips a malformed row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence.labels import canonical_name
from ferclean.sources.ballots import by_label, vote_number, whole_votes
from ferclean.sources.cards import Card, load_card
from ferclean.sources.glimpse import Glimpse, Guess
from ferclean.sources.rows import NOT_EXPRESSIONS, SourceRow, refuse_lists_outside
from ferclean.sources.tabular import code_of, header_of, records_of, text_of
from ferclean.sources.undivided import refuse_split, said_by_name, split_of_all

SIDE = 48
COLUMNS = ("emotion", "pixels")
_NAMES = ("fer2013.csv", "fer2013/fer2013.csv", "icml_face_data.csv")
_CKPLUS = {"ck", "ckplus", "ckextended"}
"""Words by which a file is called CK+'s."""
FERPLUS = "fer2013new.csv"
"""FERPlus's votes."""
_NO_VOTES = ("usage", "image name")


def read(path: Path, card: Card, *, votes: str | Path | None = None, split: str | None = None) -> Iterator[SourceRow]:
    """One row per line of the csv; `source_key` is its number counted from 0 without the header.

    `path` is the csv or the folder that holds it. `votes` is FERPlus's fer2013new.csv, joined by row order; it must
    have as many rows, with the same Usage in each. `split` says the split of a csv without Usage (`train.csv`). Raises
    BadDataError for a file that is not FER2013's or votes that do not fit.
    """
    file = _file(path)
    ballots = _votes(Path(votes), file, card) if votes is not None else None
    divided = "usage" in _header(file).values()
    if divided:
        refuse_split(file, split, "in column Usage")
    everywhere = "" if divided else split_of_all(file, card, split)
    for number, cells in _records(file, COLUMNS):
        code, usage = code_of(cells["emotion"]), cells["usage"].strip() if divided else everywhere
        pixels, problem = _pixels(cells["pixels"])
        label, place = card.coded(code) if code else None, card.split_of(usage)
        if label is None:
            problem = f"label: unknown code ({code!r}; known: {', '.join(card.codes)})" if code else "label: missing"
        elif place is None:
            problem = f"split: unknown ({usage!r}; known: {', '.join(card.splits)})"
        yield SourceRow(
            source_key=str(number),
            split=place or "train",
            given_label=label,
            given_code=code,
            pixels=pixels,
            problem=problem,
            votes=ballots[number] if ballots is not None else None,
        )


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """Tables with the columns emotion and pixels: FER2013's own by name or Usage, those of other sets by their card."""
    found: dict[tuple[str, str], list[tuple[int, Guess]]] = {}
    for file, header in glimpse.tables():
        if not set(COLUMNS) <= set(header):
            continue
        rows = glimpse.rows(file, ["emotion", "pixels", "usage"])
        codes = {code_of(row["emotion"]) or "" for row in rows}
        sizes = {len(str(row["pixels"]).split()) for row in rows}
        card = load_card("ckplus" if _CKPLUS & set(re.split(r"[^a-z]+", file.stem.lower())) else "fer2013")
        if not rows or sizes != {SIDE * SIDE} or not codes <= set(card.codes):
            yield (
                f"{file} has the columns emotion and pixels, but not the codes {', '.join(card.codes)} and "
                f"{SIDE * SIDE} pixels a row of {card.title}"
            )
            continue
        own = [name.rpartition("/")[2] for name in _NAMES]
        place = own.index(file.name) if file.name in own else len(own)
        path = glimpse.path(file)
        said = {} if "usage" in header else {"split": min(said_by_name(path, card), default="train")}
        options = ({} if card.layout == "fer2013" else {"layout": "fer2013"}) | said
        voted = card.name == "fer2013" and (path.parent / FERPLUS).is_file()
        if voted:
            options["votes"] = str(path.parent / FERPLUS)
        guess = Guess(
            card=card.name,
            path=path,
            options=options,
            confidence="certain" if file.name in own and not voted else "likely",
            evidence=(
                f"{file} has the columns emotion, pixels{', Usage' if 'usage' in header else ''}, the codes "
                f"{', '.join(sorted(codes))} and {SIDE}x{SIDE} pixels a row",
                *([f"it is called as {card.title} is"] if file.name in own or card.name == "ckplus" else []),
                *([f"{FERPLUS} lies beside it: the labels of 2013 stay, with FERPlus's votes"] if voted else []),
            ),
        )
        found.setdefault((card.name, said.get("split", "")), []).append((place, guess))
    for ranked in found.values():
        yield min(ranked, key=lambda one: one[0])[1]  # the contest's archive holds the same faces several times


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    for name in _NAMES:
        if (path / name).is_file():
            refuse_lists_outside(path, [path / name])
            return path / name
    raise BadDataError(f"{path} holds none of {', '.join(_NAMES)}; give the folder or the csv itself")


def _header(file: Path) -> dict[str, str]:
    """Column as it is spelt -> in lower case."""
    header = {name: name.strip().lower() for name in header_of(file)}
    if len(set(header.values())) < len(header):
        raise BadDataError(f"{file} has columns that differ in their case only: {', '.join(header)}")
    return header


def _records(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Row number and its cells as text by lower-case column."""
    header = _header(file)
    if missing := [name for name in columns if name not in header.values()]:
        raise BadDataError(f"{file} has no column {', '.join(missing)}; {among(missing, header.values())}")
    for number, cells in records_of(file, list(header)):
        yield number, {name: text_of(cells[own]) or "" for own, name in header.items()}


def _pixels(text: str) -> tuple[np.ndarray | None, str | None]:
    """((48, 48) uint8, None), or None and what is wrong."""
    try:
        values = np.array([int(word) for word in text.split()], dtype=np.int64)
    except (ValueError, OverflowError):
        return None, "image: pixels are not whole numbers"
    if values.size != SIDE * SIDE:
        return None, f"image: wrong number of pixels ({values.size} instead of {SIDE * SIDE})"
    if values.min() < 0 or values.max() > 255:
        return None, f"image: pixels outside 0 to 255 ({values.min()} to {values.max()})"
    return values.astype(np.uint8).reshape(SIDE, SIDE), None


def _votes(file: Path, faces: Path, card: Card) -> list[dict[str, int]]:
    if not file.is_file():
        raise UsageError(f"{file}: no such file of votes")
    numbers: dict[str, list[float]] = {}
    usages: list[str] = []
    names: dict[str, str] = {}
    for number, cells in _records(file, ("usage", "neutral", "happiness")):
        names = names or _labels_of(list(cells), file)
        values = [vote_number(cells[column]) for column in names]
        numbers[f"row {number}"] = [value for value in values if value is not None]
        if None in values:
            raise BadDataError(f"{file}, row {number}: votes are negative or no numbers")
        usages.append(cells["usage"].strip())
    rows = 0
    for number, cells in _records(faces, COLUMNS):
        usage = cells.get("usage", "").strip()
        if number < len(usages) and usage and usage != usages[number]:
            raise BadDataError(
                f"{file}, row {number}: Usage is {usages[number]!r}, but {usage!r} in {faces.name}; "
                "the two files are joined by row order and must hold the same rows"
            )
        rows = number + 1
    if rows != len(numbers):
        raise BadDataError(
            f"{file} has {len(numbers):,} rows and {faces.name} {rows:,}; votes are joined by row order, so both "
            "files must hold the same rows"
        )
    counts = whole_votes(file, numbers, card.annotators)
    return [by_label(list(names.values()), values) for values in counts.values()]


def _labels_of(columns: list[str], file: Path) -> dict[str, str]:
    """Vote column to label, for every column but Usage and the names."""
    found: dict[str, str] = {}
    for column in columns:
        if column in _NO_VOTES:
            continue
        try:
            found[column] = NOT_EXPRESSIONS.get(column) or canonical_name(column)
        except UsageError as error:
            raise BadDataError(f"{file}: column {column!r} is no expression; {error}") from None
    return found
