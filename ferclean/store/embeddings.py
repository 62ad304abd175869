"""A run's embeddings as one Parquet file under runs/<run_id>/: derived data, so it can be thrown away and recomputed.

It never touches the database. What followed from earlier ones (`neighbours`) goes when new ones are written.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ferclean.errors import FercleanError
from ferclean.files import whole_file
from ferclean.store.neighbours import forget_neighbours
from ferclean.store.workspace import Workspace

FILE = "embeddings.parquet"


def write_embeddings(ws: Workspace, run_id: str, sample_ids: Sequence[str], embedding: np.ndarray) -> None:
    """Store (N, D) out-of-fold embeddings as float32, one row per sample; the file appears whole or not at all."""
    flat = pa.array(np.ascontiguousarray(embedding, dtype=np.float32).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, embedding.shape[1])
    path = ws.runs / run_id / FILE
    forget_neighbours(ws, run_id)
    with whole_file(path) as draft:
        pq.write_table(pa.table({"sample_id": pa.array(list(sample_ids), pa.string()), "embedding": column}), draft)


def read_embeddings(ws: Workspace, run_id: str) -> tuple[list[str], np.ndarray]:
    """Sample ids and their (N, D) float32 embeddings. Raises FercleanError when the run's file is gone."""
    path = ws.runs / run_id / FILE
    if not path.is_file():
        raise FercleanError(f"the embeddings of run {run_id} are gone ({path}); make them again with `score --force`")
    table = pq.read_table(path)
    column = table["embedding"].combine_chunks()
    return table["sample_id"].to_pylist(), np.asarray(column.values).reshape(-1, column.type.list_size)
