"""The names in a workspace that a shell can complete: read at once or not at all.

It takes no lock, waits for nobody, writes nothing, and imports none of what the other rooms need.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ferclean.store.connection import DATABASE_NAME

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, kw_only=True)
class Names:
    """What a workspace calls its parts; empty where nothing can be read just now."""

    classes: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()


def names_in(root: Path) -> Names:
    """The names in the workspace at `root`. A shell asks while somebody types: no answer is better than an error."""
    import duckdb

    try:
        con = duckdb.connect(str(root / DATABASE_NAME), read_only=True)
    except duckdb.Error:  # none there, a writer has it, or it is damaged: the verb itself will say so
        return Names()
    try:
        return Names(
            classes=tuple(_column(con, "SELECT unnest(classes) FROM dataset")),
            splits=tuple(_column(con, "SELECT DISTINCT split FROM sample ORDER BY split")),
            releases=tuple(_column(con, "SELECT name FROM release ORDER BY created_at, name")),
        )
    except duckdb.Error:  # an older or a newer workspace
        return Names()
    finally:
        con.close()


def _column(con: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    return [str(row[0]) for row in con.execute(sql).fetchall()]
