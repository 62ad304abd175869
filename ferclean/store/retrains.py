"""What retraining measured: one number per arm, seed, split and metric.

It never compares them; that is the step's work.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from ferclean.errors import BadDataError
from ferclean.store.exchange import frame, insert, text
from ferclean.store.runs import check_run
from ferclean.store.workspace import Workspace

_COLUMNS = ("arm", "seed", "split", "metric", "value")


def put_results(ws: Workspace, run_id: str, results: pd.DataFrame) -> None:
    """Store the results of a retrain run (arm, seed, split, metric, value), in place of those that it had.

    Raises BadDataError for a missing column, a value that is no number, or a measurement that comes twice.
    """
    missing = [column for column in _COLUMNS if column not in results]
    if missing:
        raise BadDataError(f"run {run_id}: results lack the columns {', '.join(missing)}")
    values = results["value"].to_numpy(np.float64)
    if not np.isfinite(values).all():
        raise BadDataError(f"run {run_id}: a result is no finite number")
    if results.duplicated(["arm", "seed", "split", "metric"]).any():
        raise BadDataError(f"run {run_id}: a result comes more than once for one arm, seed, split and metric")
    with ws.session("storing results") as con:
        check_run(con, run_id)
        con.execute("DELETE FROM result WHERE run_id = ?", [run_id])
        insert(
            con,
            "result",
            {
                "run_id": text([run_id] * len(results)),
                **{name: text(list(results[name])) for name in ("arm", "split", "metric")},
                "seed": pa.array([int(seed) for seed in results["seed"]], type=pa.int64()),
                "value": pa.array(values),
            },
        )


def get_results(ws: Workspace, run_id: str | None = None) -> pd.DataFrame:
    """Results (run_id, arm, seed, split, metric, value) of a run, or of all done retrain runs, oldest first."""
    with ws.reading("reading results") as con:
        if run_id is not None:
            check_run(con, run_id)
        return frame(
            con,
            "SELECT t.run_id, t.arm, t.seed, t.split, t.metric, t.value FROM result t JOIN run r USING (run_id) "
            "WHERE ($run_id IS NULL AND r.state = 'done') OR t.run_id = $run_id "
            "ORDER BY r.started_at, t.run_id, t.rowid",
            {"run_id": run_id},
        )
