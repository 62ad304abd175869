"""CSV and Parquet files as rows of cells, whatever they hold: header, columns by name, a cell as text.

It never evaluates a cell and never holds a whole file.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ferclean.errors import BadDataError, UsageError, among
from ferclean.missing import is_missing

IMAGE_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "relative_path", "image", "img", "png", "bytes")
LABEL_COLUMNS = ("label", "given_label", "expression", "emotion", "class", "ground_truth")
SPLIT_COLUMNS = ("split", "usage", "partition", "subset")
KEY_COLUMNS = ("source_key",)
PARQUET = (".parquet", ".pq")
OWN_COLUMNS = ("sample_id", "source_key", "split", "given_label", "suggested_label", "label_quality")
"""With which a table of ours begins."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def find_column(
    header: Sequence[str], wanted: str | None, usual: Sequence[str], option: str, path: Path, *, needed: bool = True
) -> str:
    """The column's own spelling; "" for an optional one that is not there."""
    if wanted is not None:
        if wanted not in header:
            raise UsageError(f"{path} has no column {wanted!r} ({option}); {among(wanted, header)}")
        return wanted
    for name in usual_columns(header, usual, option, path):
        return name
    if needed:
        raise UsageError(
            f"{path} has none of the columns {', '.join(usual)}; name one with {option}. It has {', '.join(header)}"
        )
    return ""


def usual_columns(header: Sequence[str], usual: Sequence[str], option: str, path: Path) -> list[str]:
    """The columns that bear a usual name in any case, in the order of the usual names.

    Raises UsageError where two of them differ in their case or spaces only: nobody could say which one is meant.
    """
    found: list[str] = []
    for name in usual:
        spellings = [column for column in header if column.strip().lower() == name]
        if len(spellings) > 1:
            shown = ", ".join(map(repr, spellings))
            raise UsageError(f"{path} has the columns {shown}; say which one is meant with {option}")
        found += spellings
    return found


def header_of(path: Path) -> list[str]:
    """The column names, as they are spelt. Raises BadDataError for no table and for a name that comes twice."""
    if not path.is_file():
        raise BadDataError(f"{path} is not a file; give the CSV or Parquet file itself")
    if path.suffix.lower() in PARQUET:
        header = list(parquet_file(path).schema_arrow.names)
    else:
        _, header = next(csv_rows(path), (0, []))
    if not header:
        raise BadDataError(f"{path} is empty")
    if len(header) == 1 and (other := re.search(r"[;\t|]", header[0])) and path.suffix.lower() not in PARQUET:
        raise BadDataError(f"{path} has {other[0]!r} between its cells; save it with commas, or as Parquet")
    counts = Counter(name.strip() for name in header)
    twice = [f"{name} ({count} times)" for name, count in counts.items() if name and count > 1]
    if twice:
        raise BadDataError(f"{path} names a column more than once: {', '.join(twice)}; rename all but one of them")
    return header


def records_of(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row number from 0, cells by column) of every row; rows of a CSV without any content are no rows, and one that
    the table form wrote has its cells as they were before they were escaped.

    Raises BadDataError, naming the row, for one with more or fewer cells than the header (its labels may have moved),
    and for a damaged file.
    """
    if path.suffix.lower() in PARQUET:
        yield from enumerate(_parquet_rows(path, list(dict.fromkeys(columns))))
        return
    lines = csv_rows(path)
    _, header = next(lines)
    ours = tuple(header[: len(OWN_COLUMNS)]) == OWN_COLUMNS
    for number, (line, row) in enumerate(lines):
        if len(row) != len(header):
            raise BadDataError(
                f"{path}, row {number} (line {line}): {len(row)} cells for {len(header)} columns; quote cells that "
                "hold a comma"
            )
        yield number, dict(zip(header, map(unescape_cell, row) if ours else row, strict=True))


def columns_of(path: Path) -> dict[str, list[Any]]:
    """A whole table by column, names without surrounding spaces; columns without a name are passed over."""
    header = [name for name in header_of(path) if name.strip()]
    found: dict[str, list[Any]] = {name: [] for name in header}
    for _, cells in records_of(path, header):
        for name, values in found.items():
            values.append(cells[name])
    return {name.strip(): values for name, values in found.items()}


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, cells) of every row of a CSV that has any content, the header's first.

    Raises UsageError for a file that cannot be read, BadDataError for one that is no CSV in UTF-8.
    """
    if path.suffix.lower() in PARQUET:
        raise BadDataError(f"{path} is called Parquet, and only CSV is read here; save it as CSV")
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            lines = csv.reader(handle, strict=True)
            for row in lines:
                if any(cell.strip() for cell in row):
                    yield lines.line_num, row
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise BadDataError(
            f"{path} is neither Parquet (.parquet) nor CSV in UTF-8 ({error}); save it in UTF-8"
        ) from None
    except csv.Error as error:
        raise BadDataError(f"{path} is not CSV in UTF-8 ({error}, line {lines.line_num})") from None


def parquet_file(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise BadDataError(f"{path} is not a Parquet file ({str(error).splitlines()[0]})") from None


def _parquet_rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    import pyarrow as pa

    try:
        for batch in parquet_file(path).iter_batches(batch_size=256, columns=columns):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise BadDataError(f"{path} is damaged ({str(error).splitlines()[0]}); fetch or write it again") from None


def text_of(cell: Any) -> str | None:
    """A cell as text, a whole number without a point, bytes as UTF-8; None for an empty one."""
    if is_missing(cell):
        return None
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
    return text if text.strip() else None


def code_of(cell: Any) -> str | None:
    """A label cell as text: 3.0, as spreadsheets write it, is the code 3, and nan is nothing.

    >>> [code_of(cell) for cell in (3.0, "3.0", b" fear ", float("nan"), "NaN", "")]
    ['3', '3', 'fear', None, None, None]
    """
    text = text_of(cell)
    if text is None or text.strip().lower() == "nan":
        return None
    head, _, tail = text.strip().partition(".")
    return head if head.isdecimal() and not tail.strip("0") else text.strip()


def escape_cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets a leading apostrophe; other values pass unchanged.

    >>> escape_cell("=1+1"), escape_cell("anger"), escape_cell(-0.5)
    ("'=1+1", 'anger', -0.5)
    """
    return "'" + value if isinstance(value, str) and _FORMULA.match(value) else value


def unescape_cell(text: str) -> str:
    """What `escape_cell` was given.

    >>> unescape_cell(escape_cell("'=1+1"))
    "'=1+1"
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
