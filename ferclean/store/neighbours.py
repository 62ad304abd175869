"""A run's neighbours as one Arrow file under runs/<run_id>/, found once and read by triage and screens from the disk.

It is derived from the run's embeddings and says from which. It never touches the database.

One row per sample: `sample_id`; `neighbour` (k int32), row numbers in this file, nearest first, -1 = nobody; `cosine`
(k float32), NaN = nobody; `tied` (list of int32), further rows as near as the last of the k; `crowd` (bool), too many
are, so none is listed. Arrays lie in it as in memory: 8 k bytes a sample and its id (k = 50: 6 MB for 12,000 samples,
150 MB for 300,000), which a reader goes through once, for the checksum. The schema holds it and says which format,
which code and for what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ferclean.store import derived_table
from ferclean.store.workspace import Workspace

FILE = "neighbours.arrow"
FORMAT = 3


@dataclass(frozen=True, kw_only=True)
class StoredNeighbours:
    """What the file holds. `at` (N, k), `cosine` (N, k), `crowd` (N,); `tied` (M, 2): a sample and one that ties."""

    sample_ids: list[str]
    at: np.ndarray
    cosine: np.ndarray
    tied: np.ndarray
    crowd: np.ndarray
    made_for: str
    """What they were sought within, as the writer put it: a reader that needs another says another."""
    embedding: str
    """The digest of what they were sought in (`embeddings.embedding_digest`)."""
    code_version: str


def write_neighbours(
    ws: Workspace,
    run_id: str,
    sample_ids: Sequence[str],
    *,
    at: np.ndarray,
    cosine: np.ndarray,
    tied: np.ndarray,
    crowd: np.ndarray,
    made_for: str,
    embedding: str,
) -> None:
    """Store a run's neighbours; the file appears whole or not at all."""
    tied = tied[np.argsort(tied[:, 0], kind="stable")]
    ends = np.cumsum(np.bincount(tied[:, 0], minlength=len(at)))
    table = pa.table(
        {
            "sample_id": pa.array(list(sample_ids), pa.string()),
            "neighbour": _fixed(at, np.int32),
            "cosine": _fixed(cosine, np.float32),
            "tied": pa.ListArray.from_arrays(
                pa.array(np.append(0, ends).astype(np.int32)), pa.array(tied[:, 1].astype(np.int32))
            ),
            "crowd": pa.array(crowd),
        }
    )
    derived_table.write(path_of(ws, run_id), table, form=FORMAT, run=run_id, made_for=made_for, embedding=embedding)


def read_neighbours(ws: Workspace, run_id: str) -> StoredNeighbours | None:
    """What the run's file holds; None where there is none, or one that is damaged, another run's or of another format.

    Whoever needs it seeks them again then and finds the same, so nothing has to be told.
    """
    return derived_table.read(path_of(ws, run_id), _held, form=FORMAT, run=run_id)


def _held(table: pa.Table, about: dict[str, str]) -> StoredNeighbours:
    tied = table["tied"].combine_chunks()
    ends = tied.offsets.to_numpy()
    return StoredNeighbours(
        sample_ids=table["sample_id"].to_pylist(),
        at=_matrix(table["neighbour"]),
        cosine=_matrix(table["cosine"]),
        tied=np.stack([np.repeat(np.arange(len(tied)), np.diff(ends)), tied.values.to_numpy()], axis=1),
        crowd=table["crowd"].to_numpy(),
        made_for=about["made_for"],
        embedding=about["embedding"],
        code_version=about["code_version"],
    )


def path_of(ws: Workspace, run_id: str) -> Path:
    """Where a run's neighbours lie."""
    return ws.runs / run_id / FILE


def _fixed(values: np.ndarray, kind: type) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values, dtype=kind).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    whole = column.combine_chunks()
    return np.asarray(whole.values).reshape(-1, whole.type.list_size)
