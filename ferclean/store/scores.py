"""What recognizers said out-of-fold: probabilities, signals and relabelings, in files of their run.

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
from ferclean.store import run_files
from ferclean.store.exchange import arrow, frame, rows, text
from ferclean.store.runs import check_run, source_of
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
    ws: Workspace,
    run_id: str,
    sample_ids: Sequence[str],
    fold: np.ndarray,
    pred_probs: np.ndarray,
    signals: Mapping[str, Any] | None = None,
) -> None:
    """Store out-of-fold probabilities, and signals with them; those that the run had for the same samples are replaced.

    `fold` (N,) integers from 0; `pred_probs` (N, K) in [0, 1], rows sum to 1, columns in the card's class order;
    `signals` as `put_signals` takes them. Raises BadDataError, naming the first samples, for anything else.
    """
    ids, probs, folds = list(sample_ids), np.asarray(pred_probs, dtype=np.float32), np.asarray(fold)
    beside = _signal_columns(run_id, ids, signals or {})
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
        columns = {"fold": pa.array(folds.astype(np.int32)), "pred_probs": float_lists(probs)}
        _put(con, ws, run_id, ids, columns | beside)


def get_predictions(ws: Workspace, run_id: str) -> Predictions:
    """The predictions of a run. Raises UsageError for an unknown run, FercleanError for one whose file was deleted."""
    with ws.reading("reading predictions") as con:
        scores = source_of(con, ws, run_id, "scores")
        classes = read_dataset(con, ws).classes
        table = arrow(
            con,
            f"SELECT sample_id, fold, pred_probs FROM {scores.sql} "  # noqa: S608 - own text
            "WHERE pred_probs IS NOT NULL ORDER BY position",
            scores.parameters,
        )
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
    columns = _signal_columns(run_id, ids, signals)
    with ws.session("storing signals") as con:
        check_run(con, run_id)
        _put(con, ws, run_id, ids, columns)


def get_signals(ws: Workspace, run_id: str) -> pd.DataFrame:
    """The signals of a run: index sample_id in order of arrival, one float64 column per signal, NaN = not defined."""
    with ws.reading("reading signals") as con:
        check_run(con, run_id)
        names = run_files.signal_names(ws, run_id)
        if not names:
            return pd.DataFrame(index=pd.Index([], name="sample_id", dtype="object"))
        table = run_files.read(ws, run_id, "scores", ["position", "sample_id", *names])
        return pd.DataFrame(
            {name: table.column(name).to_numpy() for name in names},
            index=pd.Index(table.column("sample_id").to_pylist(), name="sample_id", dtype="object"),
        )


def put_flips(ws: Workspace, run_id: str, flips: pd.DataFrame) -> None:
    """Store the relabelings of a run (sample_id, fold, epoch, from_label, to_label, p); they replace all before."""
    with ws.session("storing flips") as con:
        check_run(con, run_id)
        check_samples(con, list(dict.fromkeys(flips["sample_id"])), f"run {run_id}")
        run_files.write(
            ws,
            run_id,
            "flips",
            {
                **{name: text(list(flips[name])) for name in ("sample_id", "from_label", "to_label")},
                **{name: pa.array(flips[name].to_numpy(np.int32)) for name in ("fold", "epoch")},
                "p": pa.array(flips["p"].to_numpy(np.float64)),
            },
        )


def get_flips(ws: Workspace, run_id: str) -> pd.DataFrame:
    """The relabelings of a run: sample_id, fold, epoch, from_label, to_label, p; by fold, epoch and arrival."""
    with ws.reading("reading flips") as con:
        check_run(con, run_id)
        flips = run_files.source(ws, run_id, "flips")
        return frame(
            con,
            f"SELECT f.sample_id, f.fold, f.epoch, f.from_label, f.to_label, f.p FROM {flips.sql} f "  # noqa: S608
            "JOIN sample s USING (sample_id) ORDER BY f.fold, f.epoch, s.position",
            flips.parameters,
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


def check_samples(con: Any, ids: Sequence[str], where: str) -> np.ndarray:
    """Positions of these samples, (N,) int64, inside a session. Raises BadDataError when an id comes twice or is not in
    the workspace."""
    if len(set(ids)) != len(ids):
        seen: set[str] = set()
        twice = [sample_id for sample_id in ids if sample_id in seen or seen.add(sample_id)]  # type: ignore[func-returns-value]
        raise BadDataError(f"{where}: sample {twice[0]} comes more than once")
    known = dict(rows(con, "SELECT sample_id, position FROM sample"))
    unknown = [sample_id for sample_id in ids if sample_id not in known]
    if unknown:
        raise BadDataError(f"{where}: {len(unknown)} samples are not in the workspace, first {unknown[0]!r}")
    return np.array([known[sample_id] for sample_id in ids], dtype=np.int64)


def float_lists(values: np.ndarray) -> pa.ListArray:
    """(N, K) numbers as a column of lists, without going through Python lists."""
    count, width = values.shape
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * width, type=pa.int32()), flat)


def matrix(column: pa.ChunkedArray, width: int) -> np.ndarray:
    """A column of equally long lists as (N, K) float32."""
    flat = column.combine_chunks().flatten() if len(column) else pa.array([], type=pa.float32())
    return flat.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, width)


def _signal_columns(run_id: str, ids: Sequence[str], signals: Mapping[str, Any]) -> dict[str, pa.Array]:
    columns = {}
    for name, values in signals.items():
        column = np.asarray(values, dtype=np.float64)
        if column.shape != (len(ids),):
            raise BadDataError(f"run {run_id}: signal {name} has shape {column.shape} for {len(ids)} samples")
        if np.isinf(column).any():
            raise BadDataError(f"run {run_id}: signal {name} is infinite for {_first(ids, np.isinf(column))}")
        columns[name] = pa.array(column, mask=np.isnan(column))
    return columns


def _put(con: Any, ws: Workspace, run_id: str, ids: Sequence[str], columns: Mapping[str, pa.Array]) -> None:
    """Put columns into the run's scores.parquet, in order of arrival; other columns and other samples stay."""
    position = check_samples(con, ids, f"run {run_id}")
    order = np.argsort(position)
    table = pa.table({"position": pa.array(position), "sample_id": text(ids), **columns}).take(pa.array(order))
    before = run_files.whole(ws, run_id, "scores")
    if before is not None:
        kept = before.column_names
        chosen = [
            f'coalesce(n.{name}, o.{name}) AS {name}' if name in ("position", "sample_id")
            else f'o."{name}"' if name not in columns
            else f'CASE WHEN n.position IS NOT NULL THEN n."{name}" ELSE o."{name}" END AS "{name}"' if name in kept
            else f'n."{name}"'
            for name in dict.fromkeys([*kept[1:], *columns])
        ]  # fmt: skip
        con.register("incoming", table)
        con.register("before", before)
        table = con.sql(
            f"SELECT {', '.join(chosen)} FROM "  # noqa: S608 - own text
            # what another database left there is of other samples
            "(SELECT * FROM before SEMI JOIN sample USING (position, sample_id)) o "
            "FULL JOIN incoming n USING (position) ORDER BY 1"
        ).to_arrow_table()
        con.unregister("incoming")
        con.unregister("before")
    run_files.write(ws, run_id, "scores", {name: table.column(name) for name in table.column_names})


def _first(ids: Sequence[str], bad: Any) -> str:
    where = np.flatnonzero(bad)
    return f"{len(where)} samples, first {', '.join(ids[i] for i in where[:5])}"
