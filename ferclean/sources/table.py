"""Read a CSV or Parquet table: a column of paths or image bytes, a column of labels, and what else is asked for.

It never follows a path out of the table's folder and never evaluates a cell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence.labels import ClassName, canonical_name
from ferclean.sources.ballots import by_label, few, vote_number, whole_votes
from ferclean.sources.cards import Card
from ferclean.sources.rows import NOT_EXPRESSIONS, SourceRow, contained_file, name_list, split_names
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
)
from ferclean.sources.vote_file import read_vote_file


def read(
    path: Path,
    card: Card,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    key_column: str | None = None,
    split_map: str | Mapping[str, str] | None = None,
    votes: str | Path | None = None,
    vote_prefix: str | None = None,
    attributes: str | Sequence[str] | None = None,
) -> Iterator[SourceRow]:
    """One row per row of the table.

    Columns that are not named are looked for under their usual names. Images are paths below the table's folder,
    encoded bytes, or structs of both; labels are names, or codes where the card has them; `split_map` translates
    splits (`"Training=train,PublicTest=validation"`); without a split column all is training data. `source_key` is
    the key column, else the path, else the row's number from 0. `votes` is a file of votes by that key
    (`vote_file.read_vote_file`), `vote_prefix` reads the columns `<prefix><label>` as votes: without one of them none
    are read. `attributes` are columns to keep with the sample.

    Raises UsageError for a column that is not there, BadDataError for a file that is no table, unknown splits, and
    votes on keys that the table does not have.
    """
    if votes is not None and vote_prefix:
        raise UsageError("votes come from a file (votes) or from columns of the table (vote_prefix), not from both")
    header = header_of(path)
    image = find_column(header, image_column, IMAGE_COLUMNS, "image_column", path)
    label = find_column(header, label_column, LABEL_COLUMNS, "label_column", path)
    split = find_column(header, split_column, SPLIT_COLUMNS, "split_column", path, needed=False)
    key = find_column(header, key_column, KEY_COLUMNS, "key_column", path, needed=False)
    kept = [find_column(header, name, (), "attributes", path) for name in name_list(attributes)]
    ballots = _vote_columns(path, card, header, vote_prefix) if vote_prefix else []
    splits = split_names(split_map)
    declared = _declared(path, label)
    positions = card.class_label(declared, f"{path}: column {label!r}") if declared else None
    given_votes = read_vote_file(Path(votes), card, key_column=key_column) if votes is not None else None
    keys: set[str] = set()
    for number, cells in records_of(path, [name for name in (image, label, split, key, *kept) if name]):
        code = code_of(cells[label])
        given = _given(cells[label], code, positions, card)
        picture, problem = _picture(cells[image], path.parent)
        if given is None:
            problem = f"label: unknown ({code!r}; known: {card.known_labels()})" if code else "label: missing"
        place, split_problem = _split(cells[split] if split else "train", splits, card, path, number)
        counts = ballots[number] if ballots else None
        source_key = _key(cells.get(key) if key else None, picture, number)
        if given_votes is not None:
            keys.add(source_key)
            counts = given_votes.counts.get(source_key)
        yield SourceRow(
            source_key=source_key,
            split=place,
            given_label=given,
            given_code=code,
            problem=problem or split_problem,
            attributes={name: _plain(cells[name]) for name in kept},
            votes=counts,
            annotations=given_votes.annotations.get(source_key) if given_votes is not None else None,
            **picture,
        )
    if given_votes is not None:
        given_votes.refuse_strangers(keys)


def class_names(path: Path, *, label_column: str | None = None) -> tuple[str, ...] | None:
    """The names behind the label column's codes where a Parquet file of `datasets` declares them; else None."""
    return _declared(path, find_column(header_of(path), label_column, LABEL_COLUMNS, "label_column", path))


# ---- cells


def _given(cell: Any, code: str | None, positions: Sequence[ClassName] | None, card: Card) -> ClassName | None:
    """The class behind a label cell: a position where the file declares the classes, else a name or a code."""
    if positions is None or code is None or not isinstance(cell, int):
        return card.label_of(cell)
    return positions[cell] if 0 <= cell < len(positions) else None


def _picture(cell: Any, folder: Path) -> tuple[dict[str, Any], str | None]:
    """(where the picture is as SourceRow fields, problem)."""
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes | bytearray | memoryview):
        return {"data": bytes(cell)}, None
    text = text_of(cell)
    if not text:
        return {}, "file: missing"
    relative = text.replace("\\", "/") if "\\" in text and not (folder / text).exists() else text
    found, problem = contained_file(folder, relative)
    if found is None:
        # a name that never leaves the folder is kept: the report then says what is missing
        inside = not PurePosixPath(relative).is_absolute() and ".." not in PurePosixPath(relative).parts
        return ({"relative_path": relative} if inside and problem == "file: missing" else {}), problem
    if PurePosixPath(relative).is_absolute():
        relative = found.relative_to(folder.resolve()).as_posix()
    return {"relative_path": relative}, None


def _key(cell: Any, picture: Mapping[str, Any], number: int) -> str:
    return text_of(cell) or picture.get("relative_path") or str(number)


def _split(cell: Any, splits: Mapping[str, str], card: Card, path: Path, number: int) -> tuple[str, str | None]:
    text = text_of(cell)
    if text is None:
        return "train", "split: missing"
    found = splits.get(text) or card.split_of(text)
    if found is None:
        known = ["train", "validation", "test", *card.splits, *splits]
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


def _vote_columns(path: Path, card: Card, header: Sequence[str], prefix: str) -> list[dict[str, int]]:
    """The votes in the columns `<prefix><label>`, per row in the table's order."""
    columns = [name for name in header if name.startswith(prefix)]
    if not columns:
        raise UsageError(f"{path} has no column that starts with {prefix!r} (vote_prefix); {among(prefix, header)}")
    labels = [_vote_label(name.removeprefix(prefix), card) for name in columns]
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


def _vote_label(name: str, card: Card) -> str:
    return card.label_of(name) or NOT_EXPRESSIONS.get(name.lower()) or canonical_name(name)
