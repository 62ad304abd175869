"""CSV and Parquet files as rows of cells, whatever they hold: header, columns by name, a cell as text.

It never evaluates a cell and never holds a whole file.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ferclean.errors import BadDataError, UsageError

IMAGE_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "relative_path", "image", "img", "png", "bytes")
LABEL_COLUMNS = ("label", "given_label", "expression", "emotion", "class", "ground_truth")
SPLIT_COLUMNS = ("split", "usage", "partition", "subset")
KEY_COLUMNS = ("source_key",)
PARQUET = (".parquet", ".pq")


def find_column(
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


def header_of(path: Path) -> list[str]:
    if not path.is_file():
        raise BadDataError(f"{path} is not a file; give the CSV or Parquet file itself")
    if path.suffix.lower() in PARQUET:
        return list(parquet_file(path).schema_arrow.names)
    with path.open(newline="", encoding="utf-8-sig") as handle:
        try:
            header = next(csv.reader(handle), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise BadDataError(f"{path} is neither Parquet (.parquet) nor CSV in UTF-8 ({error})") from None
    if not header:
        raise BadDataError(f"{path} is empty")
    return header


def records_of(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.suffix.lower() in PARQUET:
        number = 0
        for batch in parquet_file(path).iter_batches(batch_size=256, columns=list(dict.fromkeys(columns))):
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


def parquet_file(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise BadDataError(f"{path} is not a Parquet file ({str(error).splitlines()[0]})") from None


def text_of(cell: Any) -> str | None:
    """A cell as text, a whole number without a point; None for an empty one."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
    return text if text.strip() else None


def code_of(cell: Any) -> str | None:
    """A label cell as text: 3.0, as spreadsheets write it, is the code 3."""
    text = text_of(cell)
    if text is None:
        return None
    head, _, tail = text.strip().partition(".")
    return head if head.isdecimal() and not tail.strip("0") else text.strip()
