"""The names and the order that rows had in their own source, from the list that an export of ours wrote beside them.

It never changes a label or a split: those are where the layout has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ferclean.sources.rows import SourceRow
from ferclean.sources.tabular import header_of, records_of, unescape_cell

FILE = "mapping.csv"
COLUMNS = ["sample_id", "source_key", "split", "label", "given_label"]
"""What stands behind the first one, which is what a layout calls a row."""


def restored(rows: Iterable[SourceRow], folder: Path, column: str) -> Iterator[SourceRow]:
    """The rows under the names and in the order of `folder`'s FILE, then those that it does not list.

    `column` is its first one: what the layout calls a row. Without such a list the rows pass as they are. Holds all
    rows at once where there is one.
    """
    file = folder / FILE
    if not file.is_file() or file.is_symlink() or header_of(file)[:6] != [column, *COLUMNS]:
        yield from rows
        return
    listed = {
        unescape_cell(cells[column]): (number, unescape_cell(cells["source_key"]))
        for number, cells in records_of(file, [column, "source_key"])
    }
    found = sorted(rows, key=lambda row: listed.get(row.source_key, (len(listed), ""))[0])
    for row in found:
        known = listed.get(row.source_key)
        yield row if known is None else replace(row, source_key=known[1])


def in_order(rows: Iterable[SourceRow], folder: Path) -> Iterator[SourceRow]:
    """Rows that bear their own names already, in the order of `folder`'s FILE, then those that it does not list."""
    file = folder / FILE
    if not file.is_file() or file.is_symlink() or header_of(file)[1:6] != COLUMNS:
        yield from rows
        return
    cells = (cells for _, cells in records_of(file, ["source_key"]))
    places = {unescape_cell(one["source_key"]): number for number, one in enumerate(cells)}
    yield from sorted(rows, key=lambda row: places.get(row.source_key, len(places)))
