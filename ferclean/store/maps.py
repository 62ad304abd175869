"""A run's map as one Arrow file under runs/<run_id>/: where each face lies, projected once and read by the screens.

It is derived from the run's embeddings and says from which. It never touches the database. One row per sample, in the
run's order: `sample_id`, `x` and `y` (float32 in [0, 1]); 24 bytes a face.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ferclean.store import derived_table
from ferclean.store.workspace import Workspace

FILE = "map.arrow"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class StoredMap:
    """What the file holds: `at` (N, 2) float32, the places of `sample_ids`."""

    sample_ids: list[str]
    at: np.ndarray
    name: str
    """Eight hex digits of the places: an area that was drawn on one map says nothing on another."""
    embedding: str
    """The digest of what was projected (`embeddings.embedding_digest`)."""


def write_map(ws: Workspace, run_id: str, sample_ids: Sequence[str], at: np.ndarray, *, embedding: str) -> None:
    """Store a run's map; the file appears whole or not at all."""
    held = np.ascontiguousarray(at, dtype=np.float32)
    table = pa.table({"sample_id": pa.array(list(sample_ids), pa.string()), "x": held[:, 0], "y": held[:, 1]})
    name = hashlib.sha256(held.tobytes()).hexdigest()[:8]
    derived_table.write(path_of(ws, run_id), table, form=FORMAT, run=run_id, name=name, embedding=embedding)


def read_map(ws: Workspace, run_id: str) -> StoredMap | None:
    """What the run's file holds; None where there is none, or one that is damaged, another run's or format's."""
    return derived_table.read(path_of(ws, run_id), _held, form=FORMAT, run=run_id)


def path_of(ws: Workspace, run_id: str) -> Path:
    """Where a run's map lies."""
    return ws.runs / run_id / FILE


def _held(table: pa.Table, about: dict[str, Any]) -> StoredMap:
    return StoredMap(
        sample_ids=table["sample_id"].to_pylist(),
        at=np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1),
        name=about["name"], embedding=about["embedding"],
    )  # fmt: skip
