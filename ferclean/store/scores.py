"""What recognizers said out-of-fold: probabilities, signals and relabelings, keyed by run.

It never accepts numbers that are no probabilities, and never a sample that is not in the workspace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ferclean.errors import BadDataError
from ferclean.store.exchange import frame, insert, rows, text
from ferclean.store.runs import check_run
from ferclean.store.samples import read_dataset
from ferclean.store.workspace import Workspace

SUM_TOLERANCE = 1e-3
"""How far a row of probabilities may be from summing to 1 (half precision on a GPU rounds that much)."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Out-of-fold predictions of one run, in the samples' order of arrival."""

    sample_ids: list[str]
    fold: np.ndarray
    """(N,) int64: the fold that was held out when the sample was predicted."""
    pred_probs: np.ndarray
    """(N, K) float32, columns in the card's class order."""


def put_predictions(
    ws: Workspace, run_id: str, sample_ids: Sequence[str], fold: np.ndarray, pred_probs: np.ndarray
) -> None:
    """Store out-of-fold probabilities; those that the run had for the same samples are replaced.

    `fold` (N,) integers from 0; `pred_probs` (N, K) in [0, 1], rows sum to 1, columns in the card's class order.
    Raises BadDataError, naming the first samples, for anything else.
    """
    ids, probs, folds = list(sample_ids), np.asarray(pred_probs, dtype=np.float32), np.asarray(fold)
    with ws.session("storing predictions") as con:
        check_run(con, run_id)
        classes = read_dataset(con, ws).classes
        if probs.shape != (len(ids), len(classes)) or folds.shape != (len(ids),):
            raise BadDataError(
                f"run {run_id}: {len(ids)} samples and {len(classes)} classes need pred_probs of shape "
                f"{(len(ids), len(classes))} and folds of shape {(len(ids),)}, got {probs.shape} and {folds.shape}"
            )
        if len(ids) and (not np.issubdtype(folds.dtype, np.integer) or folds.min() < 0):
            raise BadDataError(f"run {run_id}: folds are whole numbers from 0: every probability is out-of-fold")
        check_probabilities(ids, probs, f"run {run_id}")
        check_samples(con, ids, f"run {run_id}")
        _replace(con, "prediction", run_id, ids)
        insert(
            con,
            "prediction",
            {
                "run_id": text([run_id] * len(ids)),
                "sample_id": text(ids),
                "fold": pa.array(folds.astype(np.int32)),
                "pred_probs": float_lists(probs),
            },
        )


def get_predictions(ws: Workspace, run_id: str) -> Predictions:
    """The predictions of a run. Raises UsageError for an unknown run."""
    with ws.reading("reading predictions") as con:
        check_run(con, run_id)
        classes = read_dataset(con, ws).classes
        table = con.sql(
            "SELECT p.sample_id, p.fold, p.pred_probs FROM prediction p JOIN sample s USING (sample_id) "
            "WHERE p.run_id = $run_id ORDER BY s.position",
            params={"run_id": run_id},
        ).to_arrow_table()
    return Predictions(
        sample_ids=table.column("sample_id").to_pylist(),
        fold=table.column("fold").to_numpy().astype(np.int64),
        pred_probs=matrix(table.column("pred_probs"), len(classes)),
    )


def put_signals(ws: Workspace, run_id: str, sample_ids: Sequence[str], signals: Mapping[str, Any]) -> None:
    """Store signals, name -> (N,) numbers; NaN means 'not defined for this sample'. Replaces what the run had for them.

    Raises BadDataError for infinities, a wrong length or unknown samples.
    """
    ids = list(sample_ids)
    values = {name: np.asarray(column, dtype=np.float64) for name, column in signals.items()}
    for name, column in values.items():
        if column.shape != (len(ids),):
            raise BadDataError(f"run {run_id}: signal {name} has shape {column.shape} for {len(ids)} samples")
        if np.isinf(column).any():
            raise BadDataError(f"run {run_id}: signal {name} is infinite for {_first(ids, np.isinf(column))}")
    with ws.session("storing signals") as con:
        check_run(con, run_id)
        check_samples(con, ids, f"run {run_id}")
        column_of_ids = text(ids)
        for name, column in values.items():
            _replace(con, "signal", run_id, ids, ("name", name))
            insert(
                con,
                "signal",
                {
                    "run_id": pa.repeat(run_id, len(ids)),
                    "sample_id": column_of_ids,
                    "name": pa.repeat(name, len(ids)),
                    "value": pa.array(column, mask=np.isnan(column)),
                },
            )


def get_signals(ws: Workspace, run_id: str) -> pd.DataFrame:
    """The signals of a run: index sample_id in order of arrival, one float64 column per signal, NaN = not defined."""
    with ws.reading("reading signals") as con:
        check_run(con, run_id)
        names = [row[0] for row in rows(con, "SELECT DISTINCT name FROM signal WHERE run_id = ? ORDER BY 1", [run_id])]
        order = frame(
            con,
            "SELECT sample_id FROM sample WHERE sample_id IN (SELECT sample_id FROM signal WHERE run_id = ?) "
            "ORDER BY position",
            [run_id],
        )["sample_id"]
        # place and name as numbers: half a million ids as Python text would take a second
        long = con.sql(
            "SELECT list_position($names::VARCHAR[], g.name) - 1 AS place, o.row, g.value FROM signal g JOIN ("
            "SELECT sample_id, row_number() OVER (ORDER BY position) - 1 AS row FROM sample "
            "WHERE sample_id IN (SELECT sample_id FROM signal WHERE run_id = $run_id)"
            ") o USING (sample_id) WHERE g.run_id = $run_id",
            params={"run_id": run_id, "names": names},
        ).to_arrow_table()
    wide = np.full((len(order), len(names)), np.nan)
    wide[long.column("row").to_numpy(), long.column("place").to_numpy()] = long.column("value").to_numpy()
    return pd.DataFrame(wide, index=pd.Index(order, name="sample_id", dtype="object"), columns=names)


def put_flips(ws: Workspace, run_id: str, flips: pd.DataFrame) -> None:
    """Store the relabelings of a run (sample_id, fold, epoch, from_label, to_label, p); they replace all before."""
    with ws.session("storing flips") as con:
        check_run(con, run_id)
        check_samples(con, list(dict.fromkeys(flips["sample_id"])), f"run {run_id}")
        con.execute("DELETE FROM flip WHERE run_id = ?", [run_id])
        insert(
            con,
            "flip",
            {
                "run_id": text([run_id] * len(flips)),
                **{name: text(list(flips[name])) for name in ("sample_id", "from_label", "to_label")},
                **{name: pa.array(flips[name].to_numpy(np.int32)) for name in ("fold", "epoch")},
                "p": pa.array(flips["p"].to_numpy(np.float64)),
            },
        )


def get_flips(ws: Workspace, run_id: str) -> pd.DataFrame:
    """The relabelings of a run: sample_id, fold, epoch, from_label, to_label, p; by fold, epoch and arrival."""
    with ws.reading("reading flips") as con:
        check_run(con, run_id)
        return frame(
            con,
            "SELECT f.sample_id, f.fold, f.epoch, f.from_label, f.to_label, f.p FROM flip f "
            "JOIN sample s USING (sample_id) WHERE f.run_id = ? ORDER BY f.fold, f.epoch, s.position",
            [run_id],
        )


def check_probabilities(ids: Sequence[str], probs: np.ndarray, where: str) -> None:
    """Raise BadDataError, naming the first samples, unless every row of (N, K) lies in [0, 1] and sums to 1."""
    finite = np.isfinite(probs).all(axis=1)
    with np.errstate(invalid="ignore", over="ignore"):
        inside = (probs >= -SUM_TOLERANCE).all(axis=1) & (probs <= 1 + SUM_TOLERANCE).all(axis=1)
        whole = np.abs(probs.sum(axis=1) - 1) <= SUM_TOLERANCE
    for good, problem in (
        (finite, "holds NaN or infinities"),
        (inside, "lies outside [0, 1] (logits instead of probabilities?)"),
        (whole, "does not sum to 1"),
    ):
        if not good.all():
            raise BadDataError(f"{where}: pred_probs {problem} for {_first(ids, ~good)}")


def check_samples(con: Any, ids: Sequence[str], where: str) -> None:
    """Raise BadDataError, inside a session, when an id comes twice or is not in the workspace."""
    if len(set(ids)) != len(ids):
        seen: set[str] = set()
        twice = [sample_id for sample_id in ids if sample_id in seen or seen.add(sample_id)]  # type: ignore[func-returns-value]
        raise BadDataError(f"{where}: sample {twice[0]} comes more than once")
    known = {row[0] for row in rows(con, "SELECT sample_id FROM sample")}
    unknown = [sample_id for sample_id in ids if sample_id not in known]
    if unknown:
        raise BadDataError(f"{where}: {len(unknown)} samples are not in the workspace, first {unknown[0]!r}")


def float_lists(values: np.ndarray) -> pa.ListArray:
    """(N, K) numbers as a column of lists, without going through Python lists."""
    count, width = values.shape
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * width, type=pa.int32()), flat)


def matrix(column: pa.ChunkedArray, width: int) -> np.ndarray:
    """A column of equally long lists as (N, K) float32."""
    flat = column.combine_chunks().flatten() if len(column) else pa.array([], type=pa.float32())
    return flat.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, width)


def _replace(con: Any, table: str, run_id: str, ids: Sequence[str], also: tuple[str, str] | None = None) -> None:
    more, value = (f" AND {also[0]} = ?", [also[1]]) if also else ("", [])
    if rows(con, f"SELECT 1 FROM {table} WHERE run_id = ?{more} LIMIT 1", [run_id, *value]):  # noqa: S608
        incoming = pa.table({"sample_id": text(ids)})
        con.register("replaced", incoming)
        try:
            con.execute(
                f"DELETE FROM {table} WHERE run_id = ?{more} AND sample_id IN (SELECT sample_id FROM replaced)",  # noqa: S608
                [run_id, *value],
            )
        finally:
            con.unregister("replaced")


def _first(ids: Sequence[str], bad: Any) -> str:
    where = np.flatnonzero(bad)
    return f"{len(where)} samples, first {', '.join(ids[i] for i in where[:5])}"
