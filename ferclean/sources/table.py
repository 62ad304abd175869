"""Read a CSV or Parquet table: a column of paths or image bytes, a column of labels, and what else is asked for.

It never follows a path out of the table's folder and never evaluates a cell.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ferclean.errors import BadDataError, UsageError, among, few
from ferclean.evidence.labels import EXPRESSIONS, ClassName, canonical_name, find_class
from ferclean.sources.ballots import by_label, vote_number, whole_votes
from ferclean.sources.cards import Card
from ferclean.sources.glimpse import Glimpse, Guess
from ferclean.sources.pictures import holds_pictures, picture_of
from ferclean.sources.rows import NOT_EXPRESSIONS, SPLITS, SourceRow, name_list, split_names
from ferclean.sources.tabular import (
    IMAGE_COLUMNS,
    KEY_COLUMNS,
    LABEL_COLUMNS,
    PARQUET,
    SPLIT_COLUMNS,
    code_of,
    find_column,
    header_of,
    parquet_file,
    records_of,
    text_of,
    usual_columns,
)
from ferclean.sources.undivided import refuse_split, said_by_name, split_of_all, split_option
from ferclean.sources.vote_file import read_vote_file

_IMAGE_WORDS = {"image", "images", "img", "photo", "picture", "face", "png", "jpg", "jpeg"}
"""Words in the names of columns that hold pictures, when the column's type says so too."""
_NO_IMAGES = {*LABEL_COLUMNS, *SPLIT_COLUMNS, *KEY_COLUMNS}


def read(
    path: Path,
    card: Card,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    split: str | None = None,
    images: str | Path | None = None,
    key_column: str | None = None,
    split_map: str | Mapping[str, str] | None = None,
    votes: str | Path | None = None,
    vote_prefix: str | None = None,
    attributes: str | Sequence[str] | None = None,
) -> Iterator[SourceRow]:
    """One row per row of the table.

    Columns that are not named are looked for under their usual names; of several columns of images one that holds the
    pictures themselves wins (`notes` tells the choice). Images are paths below `images` (default: the table's folder),
    encoded bytes, structs of both, or rows of numbers; labels are names, or codes where the card has them; `split_map`
    translates splits (`"Training=train,PublicTest=validation"`); without a split column all rows are in `split`
    (default: training data). `source_key` is the key column, else the path, else the row's number from 0. `votes` is
    a file of votes by that key (`vote_file.read_vote_file`), `vote_prefix` reads the columns `<prefix><label>` as
    votes: without one of them none are read. `attributes` are columns to keep with the sample.

    Raises UsageError for a column that is not there and a table whose name says another split than the caller,
    BadDataError for a file that is no table, unknown splits, and votes on keys that the table does not have.
    """
    if votes is not None and vote_prefix:
        raise UsageError("votes come from a file (votes) or from columns of the table (vote_prefix), not from both")
    folder = path.parent if images is None else Path(images)
    if images is not None and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; --images is where the pictures of the table lie")
    header = header_of(path)
    image = _image_column(path, header, image_column)
    label = find_column(header, label_column, LABEL_COLUMNS, "label_column", path)
    parts = find_column(header, split_column, SPLIT_COLUMNS, "split_column", path, needed=False)
    key = find_column(header, key_column, KEY_COLUMNS, "key_column", path, needed=False)
    kept = [find_column(header, name, (), "attributes", path) for name in name_list(attributes)]
    ballots = _vote_columns(path, card, header, vote_prefix) if vote_prefix else []
    splits = split_names(split_map)
    if parts:
        refuse_split(path, split, f"in column {parts}")
    everywhere = "" if parts else split_of_all(path, card, split)
    declared = _declared(path, label)
    positions = card.class_label(declared, f"{path}: column {label!r}") if declared else None
    given_votes = read_vote_file(Path(votes), card, key_column=key_column) if votes is not None else None
    keys: set[str] = set()
    real = os.path.realpath(folder)
    for number, cells in records_of(path, [name for name in (image, label, parts, key, *kept) if name]):
        code = code_of(cells[label])
        given = _given(cells[label], code, positions, card)
        picture, problem = picture_of(cells[image], folder, real=real)
        if given is None:
            problem = f"label: unknown ({code!r}; known: {card.known_labels()})" if code else "label: missing"
        place, split_problem = _split(cells[parts], splits, card, path, number) if parts else (everywhere, None)
        counts = ballots[number] if ballots else None
        source_key = _key(cells.get(key) if key else None, picture, number)
        if given_votes is not None:
            keys.add(source_key)
            counts = given_votes.counts.get(source_key)
        yield SourceRow(
            source_key=source_key,
            split=place,
            given_label=given,
            given_code=given if positions else code,
            problem=problem or split_problem,
            attributes={name: _plain(cells[name]) for name in kept},
            votes=counts,
            annotations=given_votes.annotations.get(source_key) if given_votes is not None else None,
            **picture,
        )
    if given_votes is not None:
        given_votes.refuse_strangers(keys)


def notes(path: Path, card: Card, options: Mapping[str, Any]) -> list[str]:
    """What `read` with these options chose that somebody may have meant otherwise: of several columns one, and a split
    for all."""
    header = header_of(path)
    said: list[str] = []
    image_column, label_column, split_column, split = (
        options.get(name) for name in ("image_column", "label_column", "split_column", "split")
    )
    image = _image_column(path, header, image_column)
    label = find_column(header, label_column, LABEL_COLUMNS, "label_column", path)
    for what, chosen, named, usual, option in (
        ("pictures", image, image_column, IMAGE_COLUMNS, "--image-column"),
        ("labels", label, label_column, LABEL_COLUMNS, "--label-column"),
    ):
        others = [name for name in usual_columns(header, usual, option, path) if name not in (chosen, image)]
        if others and named is None:
            said.append(
                f"{what} are read from column {chosen!r}, not from {', '.join(others)}; {option} says otherwise"
            )
    parts = find_column(header, split_column, SPLIT_COLUMNS, "split_column", path, needed=False)
    if not parts and split is None and not said_by_name(path, card):
        said.append("the table has no column of splits: all rows are training data; --split says otherwise")
    return said


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """Tables with a column of pictures that are there and a column of labels that are expressions' names."""
    for file, header in glimpse.tables():
        usual = [name for name in IMAGE_COLUMNS if name in header], [name for name in LABEL_COLUMNS if name in header]
        if not all(usual) or file.stem == "metadata" or re.search(r"-\d{5}-of-\d{5}", file.stem):
            continue
        images, labels = usual
        rows = glimpse.rows(file, [images[0], labels[0]])
        codes = list(dict.fromkeys(code for row in rows if (code := code_of(row[labels[0]]))))
        known = [code for code in codes if find_class(code, EXPRESSIONS)]
        path = glimpse.path(file)
        there = [row for row in rows if not picture_of(row[images[0]], path.parent)[1]]
        if len(known) < 2 or 2 * len(known) < len(codes):
            yield (
                f"{file} lists pictures ({images[0]}), but its labels ({labels[0]}: {few(codes, 7)}) are no names of "
                "expressions: say with --classes which they stand for"
            )
        elif 2 * len(there) < len(rows):
            yield (
                f"{file} lists pictures with names of expressions, but they do not lie beside it under these names "
                f"({text_of(rows[0][images[0]])}): say with --images where, or write whole file names"
            )
        else:
            why = f"{file} has the columns {images[0]} and {labels[0]}, with the labels {few(codes, 8)}"
            told = {} if set(SPLIT_COLUMNS) & set(header) else split_option(path)
            yield Guess(card="table", path=path, options=told, confidence="likely", evidence=(why,))


def class_names(path: Path, *, label_column: str | None = None) -> tuple[str, ...] | None:
    """The names behind the label column's codes where a Parquet file of `datasets` declares them; else None."""
    return _declared(path, find_column(header_of(path), label_column, LABEL_COLUMNS, "label_column", path))


# ---- cells


def _given(cell: Any, code: str | None, positions: Sequence[ClassName] | None, card: Card) -> ClassName | None:
    """The class behind a label cell: a position where the file declares the classes, else a name or a code."""
    if positions is None or code is None or not isinstance(cell, int):
        return card.label_of(cell)
    return positions[cell] if 0 <= cell < len(positions) else None


def _key(cell: Any, picture: Mapping[str, Any], number: int) -> str:
    return text_of(cell) or picture.get("relative_path") or str(number)


def _split(cell: Any, splits: Mapping[str, str], card: Card, path: Path, number: int) -> tuple[str, str | None]:
    text = text_of(cell)
    if text is None:
        return "train", "split: missing"
    found = splits.get(text) or card.split_of(text)
    if found is None:
        known = [*SPLITS, *card.splits, *splits]
        raise BadDataError(
            f"{path}, row {number}: unknown split {text!r}; {among(text, known)}. Translate it with "
            f"split_map={text}=train (or validation, test)"
        )
    return found, None


def _plain(cell: Any) -> object:
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    return cell if isinstance(cell, str | int | float | bool) or cell is None else str(cell)


# ---- columns and files


def _declared(path: Path, column: str) -> tuple[str, ...] | None:
    """The names behind a column's positions where a Parquet file has a ClassLabel of `datasets`; else None."""
    if path.suffix.lower() not in PARQUET:
        return None
    try:
        found = json.loads((parquet_file(path).schema_arrow.metadata or {})[b"huggingface"])
        names = found["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return tuple(str(name) for name in names)


def _image_column(path: Path, header: Sequence[str], wanted: str | None) -> str:
    """The column of images: one that holds the pictures themselves before one of paths, by a usual name."""
    if wanted is None and path.suffix.lower() in PARQUET:
        usual = usual_columns(header, IMAGE_COLUMNS, "image_column", path)
        pictures = [field.name for field in parquet_file(path).schema_arrow if holds_pictures(field.type)]
        named = [name for name in usual if name in pictures]
        named += [name for name in pictures if _IMAGE_WORDS & set(re.split(r"[^a-z]+", name.lower()))]
        strange = [name for name in pictures if name.strip().lower() not in _NO_IMAGES]
        if named or (not usual and len(strange) == 1):
            return (named or strange)[0]
    return find_column(header, wanted, IMAGE_COLUMNS, "image_column", path)


def _vote_columns(path: Path, card: Card, header: Sequence[str], prefix: str) -> list[dict[str, int]]:
    """The votes in the columns `<prefix><label>`, per row in the table's order."""
    columns = [name for name in header if name.startswith(prefix)]
    if not columns:
        raise UsageError(f"{path} has no column that starts with {prefix!r} (vote_prefix); {among(prefix, header)}")
    labels = [_vote_label(name, prefix, card, path) for name in columns]
    rows: dict[str, list[float]] = {}
    bad: list[str] = []
    for number, cells in records_of(path, columns):
        values = [vote_number(cells[column]) for column in columns]
        bad += [
            f"{text_of(cells[column])!r} ({column} of row {number})"
            for column, value in zip(columns, values, strict=True)
            if value is None
        ]
        rows[f"row {number}"] = [value or 0.0 for value in values]
    if bad:
        raise BadDataError(f"{path}: {len(bad):,} votes are negative or no numbers, first {few(bad)}")
    return [by_label(labels, counts) for counts in whole_votes(path, rows, card.annotators).values()]


def _vote_label(column: str, prefix: str, card: Card, path: Path) -> str:
    name = column.removeprefix(prefix)
    try:
        return card.label_of(name) or NOT_EXPRESSIONS.get(name.lower()) or canonical_name(name)
    except UsageError:
        raise UsageError(
            f"{path}: column {column!r} (vote_prefix {prefix!r}) is no class; known: {card.known_labels()}"
        ) from None
