"""How rows cross between DuckDB and the rest of the house: whole columns at a time, as Arrow or pandas.

It never writes row by row, and it never lets a value become part of SQL text but by `quoted`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from ferclean.errors import BadDataError
from ferclean.missing import is_missing
from ferclean.store import run_files

if TYPE_CHECKING:
    import duckdb


def now() -> datetime:
    """The present in UTC without a zone: DuckDB would otherwise need its time-zone extension to read it back."""
    return datetime.now(UTC).replace(tzinfo=None)


def to_json(value: Any) -> str:
    """JSON text with sorted keys. Numpy numbers and arrays become plain ones, NaN becomes null ("nothing here").

    Raises BadDataError for infinities: no other reader of JSON would take them.
    """
    try:
        return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise BadDataError(
            f"cannot be stored as JSON: {error}; it holds an infinite number or refers to itself"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return _plain(value.tolist())
    if is_missing(value):
        return None
    return value if isinstance(value, str | int | float | bool) else str(value)  # paths, dates


def rows(con: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
    """All rows of a query as tuples. Drained at once: a half-read result blocks the connection."""
    given = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
    with run_files.asked(given):
        return con.execute(sql, given).fetchall()


def arrow(con: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> pa.Table:
    """All rows of a query as an Arrow table."""
    given = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
    with run_files.asked(given):
        return con.sql(sql, params=given or None).to_arrow_table()


def frame(con: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> pd.DataFrame:
    """All rows of a query as a DataFrame.

    Text and lists are object columns with None where there is nothing; numbers are float64 (NaN where there is
    nothing) or int64 (Int64 with <NA> when something is missing); times are datetime64 in UTC without a zone.
    """
    table = arrow(con, sql, parameters)
    return pd.DataFrame({name: _series(table.column(name)) for name in table.column_names})


def _series(column: pa.ChunkedArray) -> pd.Series:
    kind = column.type
    if pa.types.is_timestamp(kind):
        return pd.Series(column.to_pandas())
    if pa.types.is_floating(kind):
        return pd.Series(column.to_numpy(), dtype="float64")
    if pa.types.is_integer(kind):
        return pd.Series(column.to_pylist(), dtype="Int64") if column.null_count else pd.Series(
            column.to_numpy(), dtype="int64"
        )  # fmt: skip
    if pa.types.is_boolean(kind):
        return pd.Series(column.to_pylist(), dtype="object" if column.null_count else "bool")
    return pd.Series(column.to_pylist(), dtype="object")


def insert(con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, Any]) -> int:
    """Append whole columns (lists, numpy arrays or Arrow arrays of one length) to a table; returns the row count.

    `table` and the column names come from this room's own code, never from data.
    """
    incoming = pa.table(dict(columns))
    if incoming.num_rows:
        con.register("incoming", incoming)
        try:
            names = ", ".join(incoming.column_names)
            con.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM incoming")  # noqa: S608 - own names only
        finally:
            con.unregister("incoming")
    return int(incoming.num_rows)


def text(values: Sequence[str | None]) -> pa.Array:
    """A column of text; NaN and None both mean nothing."""
    return pa.array([None if is_missing(value) else str(value) for value in values], type=pa.string())


def numbers(values: Any, kind: pa.DataType) -> pa.Array:
    """A column of numbers of type `kind`; NaN and None both mean nothing."""
    return pa.array([None if is_missing(value) else value for value in values], type=kind)


def quoted(value: str) -> str:
    """A text as an SQL literal, for the statements that take no parameters: the text of a view, ATTACH."""
    return "'" + value.replace("'", "''") + "'"


def optional(value: Any) -> Any:
    """None for every way in which a frame says 'nothing' (None, NaN, <NA>), otherwise the value."""
    return None if is_missing(value) else value
