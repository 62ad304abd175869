"""The files of finished runs as views `score`, `flip`, `verdict` and `pair`, for whoever opens the database with plain
duckdb.

Nothing in ferclean reads them: a view names absolute paths, and a run is read by its own files.
"""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferclean.store import run_files
from ferclean.store.exchange import quoted, rows

if TYPE_CHECKING:
    from ferclean.store.workspace import Workspace

VIEWS = {"score": "scores", "flip": "flips", "verdict": "verdicts", "pair": "pairs"}
"""View -> the file that it shows: of all finished scorings, of the latest triage, of the latest look for copies."""


def refresh(con: Any, ws: Workspace) -> None:
    """Let the views show what is finished and there, inside a session and at its end.

    A view is made anew only where its files are others than before: a run was finished or begun again, files were
    deleted, or the workspace lies elsewhere. The comment of a view names its files. Costs a look at each finished
    run's folder, whatever the number of samples.
    """
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
            shown = f"FROM read_parquet([{listed}], union_by_name = true)" if files else run_files.empty(VIEWS[name])
            con.execute(f"CREATE OR REPLACE VIEW {name} AS {shown}")
            con.execute(f"COMMENT ON VIEW {name} IS {quoted(told)}")


def _files(con: Any, ws: Workspace) -> dict[str, list[Path]]:
    """The files of each view, those of the run that was finished last at the end."""
    done = rows(con, "SELECT run_id, kind FROM run WHERE state = 'done' ORDER BY finished_at, rowid")
    found: dict[str, list[Path]] = {name: [] for name in VIEWS}
    for run_id, kind in done:
        if run_files.complete(ws, run_id, kind):
            for name, file in VIEWS.items():
                path = run_files.path_of(ws, run_id, file)
                if run_files.is_whole(path):
                    found[name].append(path)
    return found | {name: found[name][-1:] for name in ("verdict", "pair")}
