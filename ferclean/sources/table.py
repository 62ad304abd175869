"""Read a CSV or Parquet table: a column of paths or image bytes, a column of labels, and what else is asked for.

It never follows a path out of the table's folder and never evaluates a cell.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.labels import canonical_name
from ferclean.sources.cards import Card
from ferclean.sources.rows import NOT_EXPRESSIONS, SourceRow, contained_file, name_list, split_names

IMAGE_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "relative_path", "image", "img", "png", "bytes")
LABEL_COLUMNS = ("label", "given_label", "expression", "emotion", "class", "ground_truth")
SPLIT_COLUMNS = ("split", "usage", "partition", "subset")
KEY_COLUMNS = ("source_key",)
_PARQUET = (".parquet", ".pq")


def read(
    path: Path,
    card: Card,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    key_column: str | None = None,
    split_map: str | Mapping[str, str] | None = None,
    vote_prefix: str | None = None,
    attributes: str | Sequence[str] | None = None,
) -> Iterator[SourceRow]:
    """One row per row of the table.

    Columns that are not named are looked for under their usual names. Images are paths below the table's folder,
    encoded bytes, or structs of both; labels are names, or codes where the card has them; `split_map` translates
    splits (`"Training=train,PublicTest=validation"`); without a split column all is training data. `source_key` is
    the key column, else the path, else the row's number from 0. `vote_prefix` reads the columns `<prefix><label>` as
    votes: without it none are read. `attributes` are columns to keep with the sample.

    Raises UsageError for a column that is not there, BadDataError for a file that is no table or unknown splits.
    """
    header = _header(path)
    image = _column(header, image_column, IMAGE_COLUMNS, "image_column", path)
    label = _column(header, label_column, LABEL_COLUMNS, "label_column", path)
    split = _column(header, split_column, SPLIT_COLUMNS, "split_column", path, needed=False)
    key = _column(header, key_column, KEY_COLUMNS, "key_column", path, needed=False)
    kept = [_column(header, name, (), "attributes", path) for name in name_list(attributes)]
    ballots = _vote_columns(header, vote_prefix, path) if vote_prefix else {}
    splits = split_names(split_map)
    for number, cells in _records(path, [name for name in (image, label, split, key, *kept, *ballots) if name]):
        code = _code(cells[label])
        given = card.label_of(code) if code else None
        picture, problem = _picture(cells[image], path.parent)
        if given is None:
            problem = f"label: unknown ({code!r}; known: {card.known_labels()})" if code else "label: missing"
        place, split_problem = _split(cells[split] if split else "train", splits, card, path, number)
        votes, vote_problem = _votes(cells, ballots)
        yield SourceRow(
            source_key=_key(cells.get(key) if key else None, picture, number),
            split=place,
            given_label=given,
            given_code=code,
            problem=problem or split_problem or vote_problem,
            attributes={name: _plain(cells[name]) for name in kept},
            votes=votes,
            **picture,
        )


def class_names(path: Path, *, label_column: str | None = None) -> tuple[str, ...] | None:
    """The names behind the label column's codes where a Parquet file of `datasets` declares them; else None."""
    if path.suffix.lower() not in _PARQUET:
        return None
    schema = _parquet(path).schema_arrow
    label = _column(list(schema.names), label_column, LABEL_COLUMNS, "label_column", path)
    try:
        declared = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return tuple(str(name) for name in declared)


# ---- cells


def _picture(cell: Any, folder: Path) -> tuple[dict[str, Any], str | None]:
    """(where the picture is as SourceRow fields, problem)."""
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes | bytearray | memoryview):
        return {"data": bytes(cell)}, None
    text = _text(cell)
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
    return _text(cell) or picture.get("relative_path") or str(number)


def _split(cell: Any, splits: Mapping[str, str], card: Card, path: Path, number: int) -> tuple[str, str | None]:
    text = _text(cell)
    if text is None:
        return "train", "split: missing"
    found = splits.get(text) or card.split_of(text)
    if found is None:
        known = ", ".join(["train", "validation", "test", *card.splits, *splits])
        raise BadDataError(
            f"{path}, row {number}: unknown split {text!r}; known are {known}. Translate it with "
            f"split_map={text}=train (or validation, test)"
        )
    return found, None


def _votes(cells: Mapping[str, Any], ballots: Mapping[str, str]) -> tuple[dict[str, int] | None, str | None]:
    votes: dict[str, int] = {}
    for column, label in ballots.items():
        text = _text(cells[column]) or "0"
        if not text.isdecimal():
            return None, f"votes: not a whole number ({text!r} in {column})"
        votes[label] = votes.get(label, 0) + int(text)
    return ({label: count for label, count in votes.items() if count} if ballots else None), None


def _text(cell: Any) -> str | None:
    """A cell as text, a whole number without a point; None for an empty one."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
    return text if text.strip() else None


def _code(cell: Any) -> str | None:
    """A label cell as text: 3.0, as spreadsheets write it, is the code 3."""
    text = _text(cell)
    if text is None:
        return None
    head, _, tail = text.strip().partition(".")
    return head if head.isdecimal() and not tail.strip("0") else text.strip()


def _plain(cell: Any) -> object:
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    return cell if isinstance(cell, str | int | float | bool) or cell is None else str(cell)


# ---- columns and files


def _column(
    header: Sequence[str], wanted: str | None, usual: Sequence[str], option: str, path: Path, *, needed: bool = True
) -> str:
    """The column's own spelling; "" for an optional one that is not there."""
    if wanted is not None:
        if wanted not in header:
            raise UsageError(f"{path} has no column {wanted!r} ({option}); it has {', '.join(header)}")
        return wanted
    by_lower = {name.strip().lower(): name for name in reversed(header)}
    for name in usual:
        if name in by_lower:
            return by_lower[name]
    if needed:
        raise UsageError(
            f"{path} has none of the columns {', '.join(usual)}; name one with {option}. It has {', '.join(header)}"
        )
    return ""


def _vote_columns(header: Sequence[str], prefix: str, path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for column in header:
        if column.startswith(prefix):
            name = column.removeprefix(prefix)
            found[column] = NOT_EXPRESSIONS.get(name.lower()) or canonical_name(name)
    if not found:
        raise UsageError(f"{path} has no column that starts with {prefix!r} (vote_prefix); it has {', '.join(header)}")
    return found


def _header(path: Path) -> list[str]:
    if not path.is_file():
        raise BadDataError(f"{path} is not a file; give the CSV or Parquet file itself")
    if path.suffix.lower() in _PARQUET:
        return list(_parquet(path).schema_arrow.names)
    with path.open(newline="", encoding="utf-8-sig") as handle:
        try:
            header = next(csv.reader(handle), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise BadDataError(f"{path} is neither Parquet (.parquet) nor CSV in UTF-8 ({error})") from None
    if not header:
        raise BadDataError(f"{path} is empty")
    return header


def _records(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.suffix.lower() in _PARQUET:
        number = 0
        for batch in _parquet(path).iter_batches(batch_size=256, columns=list(dict.fromkeys(columns))):
            for cells in batch.to_pylist():
                yield number, cells
                number += 1
        return
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            lines = csv.reader(handle)
            header = next(lines)
            filled = (line for line in lines if line)  # an empty line is no row
            for number, line in enumerate(filled):
                yield number, dict(zip(header, [*line, *[""] * (len(header) - len(line))], strict=False))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadDataError(f"{path} is not CSV in UTF-8 ({error})") from None


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise BadDataError(f"{path} is not a Parquet file ({str(error).splitlines()[0]})") from None
