"""Audit samples: who was to be drawn, with which chance, and in which order people are asked.

It never estimates anything, and it never changes a draw that people answer: a new draw is a new run.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from ferclean.errors import BadDataError
from ferclean.missing import is_missing
from ferclean.store.exchange import frame, insert, numbers, rows, text
from ferclean.store.runs import check_run, latest_done
from ferclean.store.scores import check_samples
from ferclean.store.workspace import Workspace


def put_audit(ws: Workspace, run_id: str, items: pd.DataFrame) -> None:
    """Store the draw of an audit run: every sample that could have been drawn, drawn or not.

    Columns: sample_id, stratum (int from 0, the least likely mislabelled), inclusion_probability (in (0, 1]), position
    (1 = ask first; missing = not drawn). Raises BadDataError for a chance outside (0, 1] or positions with gaps.
    """
    ids = list(items["sample_id"])
    places = sorted(int(value) for value in items["position"].dropna())
    if not items["inclusion_probability"].between(0, 1, inclusive="right").all():
        raise BadDataError(f"run {run_id}: an inclusion probability outside (0, 1]")
    if places != list(range(1, len(places) + 1)):
        raise BadDataError(f"run {run_id}: the positions of an audit are 1, 2, 3 without gaps")
    with ws.session("storing an audit") as con:
        check_run(con, run_id)
        check_samples(con, ids, f"run {run_id}")
        con.execute("DELETE FROM audit_item WHERE run_id = ?", [run_id])
        insert(
            con,
            "audit_item",
            {
                "run_id": text([run_id] * len(ids)),
                "sample_id": text(ids),
                "stratum": pa.array([int(value) for value in items["stratum"]], type=pa.int32()),
                "inclusion_probability": numbers(items["inclusion_probability"], pa.float64()),
                "position": numbers([None if is_missing(v) else int(v) for v in items["position"]], pa.int64()),
            },
        )


def get_audit(ws: Workspace, run_id: str | None = None) -> pd.DataFrame:
    """The draw of an audit run (the latest done one by default): the drawn samples by position, then the others.

    Columns as `put_audit` takes them (position Int64) and run_id; empty when nothing was drawn.
    """
    with ws.reading("reading an audit") as con:
        found = frame(
            con,
            "SELECT a.sample_id, a.stratum, a.inclusion_probability, a.position, a.run_id FROM audit_item a "
            "JOIN sample s USING (sample_id) WHERE a.run_id = ? ORDER BY a.position NULLS LAST, s.position",
            [run_id or latest_done(con, ws, "audit")],
        )
    return found.astype({"position": "Int64"})


def audited(ws: Workspace) -> list[str]:
    """The samples that the latest done audit drew, in the order in which people are asked about them."""
    with ws.reading("reading an audit") as con:
        found = rows(
            con,
            "SELECT a.sample_id FROM audit_item a SEMI JOIN sample USING (sample_id) "
            "WHERE a.run_id = ? AND a.position IS NOT NULL ORDER BY a.position",
            [latest_done(con, ws, "audit")],
        )
        return [sample_id for (sample_id,) in found]
