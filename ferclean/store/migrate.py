"""Brings a database forward to today's shape, one numbered file after another, after a backup.

It never goes back, never edits a migration that has run, and never touches a database that is newer than this code.
"""

from __future__ import annotations

import filecmp
import re
import shutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ferclean.errors import FercleanError
from ferclean.files import whole_file
from ferclean.store import moving_out
from ferclean.store.exchange import now, quoted, rows
from ferclean.store.version import code_version

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    import duckdb

    from ferclean.store.workspace import Workspace

ELSEWHERE = "move the workspace to another disk; nothing was changed"
"""Told when the disk refuses: bringing a database forward takes room for a backup and two copies."""

BEFORE = {11: moving_out.move_out}
"""What must be written elsewhere before a migration drops it."""

FOLDER: Traversable = resources.files("ferclean.store") / "migrations"


def steps(folder: Traversable | Path | None = None) -> list[tuple[int, str]]:
    """(number, SQL) of every migration in order; the numbers are 1, 2, 3 without gaps."""
    found = sorted(
        (int(match.group(1)), file.read_text(encoding="utf-8"))
        for file in (folder or FOLDER).iterdir()
        if (match := re.fullmatch(r"(\d{4})_\w+\.sql", file.name))
    )
    if [number for number, _ in found] != list(range(1, len(found) + 1)):
        raise FercleanError("the migrations of this installation of ferclean have gaps; install the package again")
    return found


def latest() -> int:
    """The version of today's shape."""
    return steps()[-1][0]


def version(con: duckdb.DuckDBPyConnection) -> int:
    """The version of a database; 0 for an empty one."""
    known = rows(con, "SELECT 1 FROM duckdb_tables() WHERE table_name = 'schema_version'")
    return int(rows(con, "SELECT coalesce(max(version), 0) FROM schema_version")[0][0]) if known else 0


def check(found: int, database: Path) -> None:
    """Refuse a database from the future: FercleanError says which version is needed."""
    if found > latest():
        raise FercleanError(
            f"{database} has version {found}, made by a newer ferclean; this one (version {code_version()}) knows "
            f"versions up to {latest()}: upgrade ferclean. Nothing was changed"
        )


def forward(con: duckdb.DuckDBPyConnection, folder: Path | None = None, *, ws: Workspace) -> None:
    """Run every migration that has not run. The caller's transaction makes it all or nothing.

    Files that one writes below `ws` are whole, and whoever tries again writes them again.
    """
    import duckdb

    con.execute(
        "CREATE TABLE IF NOT EXISTS schema_version "
        "(version INTEGER NOT NULL, applied_at TIMESTAMP NOT NULL, code_version VARCHAR NOT NULL)"
    )
    found = version(con)
    for number, sql in steps(folder):
        if number > found:
            if number in BEFORE:
                BEFORE[number](con, ws)
            try:
                con.execute(sql)
            except duckdb.Error as error:
                raise FercleanError(
                    f"migration {number} of the database failed: {error}; nothing was changed, the backup beside it is "
                    "a copy. Please report this with the version of ferclean that made the workspace"
                ) from error
            con.execute("INSERT INTO schema_version VALUES (?, ?, ?)", [number, now(), code_version()])


def compact(con: duckdb.DuckDBPyConnection, old: Path) -> None:
    """Copy all of the closed database `old` into the empty one: DuckDB does not give back what dropped tables took."""
    (own,) = rows(con, "SELECT current_database()")[0]
    con.execute(f"ATTACH {quoted(str(old))} AS old (READ_ONLY)")
    con.execute(f'COPY FROM DATABASE old TO "{own}"')
    con.execute("DETACH old")
    con.execute("CHECKPOINT")  # all of it in this one file


def back_up(database: Path, found: int) -> Path:
    """Copy a closed database aside before it is migrated; an existing backup is never overwritten.

    One that holds the same, from a call that was killed later on, will do.
    """
    number, target = 0, database.with_name(f"{database.name}.v{found}.backup")
    while target.exists():
        if filecmp.cmp(database, target, shallow=False):
            return target
        number += 1
        target = database.with_name(f"{database.name}.v{found}.{number}.backup")
    with whole_file(target, elsewhere=ELSEWHERE) as draft:
        shutil.copy2(database, draft)
    return target
