"""Writes what a database of version 10 or before held of runs into the files of those runs, before the tables go.

It only reads the database; files are whole or not there, and to write them again does no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ferclean.store import run_files
from ferclean.store.exchange import rows

if TYPE_CHECKING:
    from ferclean.store.workspace import Workspace

_WHOLE = {
    "flips": "SELECT f.* EXCLUDE (run_id) FROM flip f JOIN sample USING (sample_id) WHERE f.run_id = ? "
    "ORDER BY f.fold, f.epoch, position",
    "verdicts": "SELECT position, v.* EXCLUDE (run_id) FROM verdict v JOIN sample USING (sample_id) "
    "WHERE v.run_id = ? ORDER BY position",
    "pairs": "SELECT p.* EXCLUDE (run_id) FROM pair p JOIN sample a ON a.sample_id = sample_a "
    "JOIN sample b ON b.sample_id = sample_b WHERE p.run_id = ? ORDER BY p.kind, a.position, b.position",
}
_EMPTY = {"score": ("flips",), "pairs": ("pairs",)}
"""What a finished run of a kind may have said nothing of: the empty answer is an answer."""


def move_out(con: Any, ws: Workspace) -> None:
    """One set of files per run. Holds the signals of one run in memory at a time."""
    for table, file in (("flip", "flips"), ("verdict", "verdicts"), ("pair", "pairs")):
        silent = [kind for kind, files in _EMPTY.items() if file in files]
        runs = rows(
            con,
            f"SELECT run_id FROM {table} UNION SELECT run_id FROM run WHERE state = 'done' "  # noqa: S608 - own names
            "AND list_contains(?::VARCHAR[], kind) ORDER BY 1",
            [silent],
        )
        for (run_id,) in runs:
            found = con.sql(_WHOLE[file], params=[run_id]).to_arrow_table()
            run_files.write(ws, run_id, file, {name: found.column(name) for name in found.column_names})
    for (run_id,) in rows(con, "SELECT run_id FROM prediction UNION SELECT run_id FROM signal ORDER BY 1"):
        run_files.write(ws, run_id, "scores", _scores(con, run_id))


def _scores(con: Any, run_id: str) -> dict[str, Any]:
    names = [name for (name,) in rows(con, "SELECT DISTINCT name FROM signal WHERE run_id = ? ORDER BY 1", [run_id])]
    named = {"run": run_id, "names": names}
    whole = con.sql(
        "SELECT s.position, s.sample_id, p.fold, p.pred_probs FROM sample s "
        "LEFT JOIN (SELECT * FROM prediction WHERE run_id = $run) p USING (sample_id) WHERE p.run_id IS NOT NULL "
        "OR s.sample_id IN (SELECT sample_id FROM signal WHERE run_id = $run) ORDER BY s.position",
        params={"run": run_id},
    ).to_arrow_table()
    long = con.sql(
        "SELECT s.position, list_position($names::VARCHAR[], g.name) - 1 AS place, g.value "
        "FROM signal g JOIN sample s USING (sample_id) WHERE g.run_id = $run AND g.value IS NOT NULL",
        params=named,
    ).to_arrow_table()
    wide = np.full((len(whole), len(names)), np.nan)
    row = np.searchsorted(whole.column("position").to_numpy(), long.column("position").to_numpy())
    wide[row, long.column("place").to_numpy()] = long.column("value").to_numpy()
    signals = {name: pa.array(wide[:, place], mask=np.isnan(wide[:, place])) for place, name in enumerate(names)}
    return {name: whole.column(name) for name in whole.column_names} | signals
