"""The files of finished runs as views `score`, `flip`, `verdict` and `pair`, for whoever opens the database with plain
duckdb.

Nothing in ferclean reads them: a view names absolute paths, and a run is read by its own files.
"""

from __future__ import annotations

import glob
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferclean.store import run_files
from ferclean.store.exchange import quoted, rows

if TYPE_CHECKING:
    from ferclean.store.workspace import Workspace

VIEWS = {"score": "scores", "flip": "flips", "verdict": "verdicts", "pair": "pairs"}
"""View -> the file that it shows: of all finished scorings, of the latest triage, of the latest look for copies."""


def refresh(con: Any, ws: Workspace) -> None:
    """Let the views show what is finished and there, after a session has stored what it had to store.

    A view is made anew only where its files are others than before: a run was finished or begun again, files were
    deleted, or the workspace lies elsewhere. The comment of a view names its files. Costs a look at each finished
    run's folder, whatever the number of samples.
    """
    import duckdb

    # what people said is stored by now: no file that may be deleted, and no disk, takes that back
    with suppress(OSError, duckdb.Error):
        _refresh(con, ws)


def _refresh(con: Any, ws: Workspace) -> None:
    known = dict(
        rows(
            con,
            "SELECT view_name, coalesce(comment, '') FROM duckdb_views() "
            "WHERE NOT internal AND list_contains(?::VARCHAR[], view_name)",
            [list(VIEWS)],
        )
    )
    for name, files in _files(con, ws).items():
        told = "\n".join(map(str, files))
        if name in known and known[name] != told:
            listed = ", ".join(quoted(glob.escape(str(path))) for path in files)
            read = f"FROM read_parquet([{listed}], union_by_name = true, {run_files.OWN_COLUMNS})"
            shown = read if files else run_files.empty(VIEWS[name])
            con.execute(f"CREATE OR REPLACE VIEW {name} AS {shown}")
            con.execute(f"COMMENT ON VIEW {name} IS {quoted(told)}")


def _files(con: Any, ws: Workspace) -> dict[str, list[Path]]:
    """The files of each view, as far as they are there."""
    done: dict[str, list[str]] = {"score": [], "triage": [], "pairs": []}
    for run_id, kind in rows(
        con,
        "SELECT run_id, kind FROM run WHERE state = 'done' AND list_contains(?::VARCHAR[], kind) "
        "ORDER BY finished_at, rowid",
        [list(done)],
    ):
        done[kind].append(run_id)
    wanted = {
        "score": done["score"] + done["pairs"][-1:],  # which says of each image whether it shows a face
        "flip": done["score"],
        "verdict": done["triage"][-1:],
        "pair": (done["pairs"] or done["triage"])[-1:],  # an older ferclean looked for them at triage
    }
    paths = {name: [run_files.path_of(ws, run_id, VIEWS[name]) for run_id in ids] for name, ids in wanted.items()}
    return {name: [path for path in found if run_files.is_whole(path)] for name, found in paths.items()}
