"""A run's embeddings as one Parquet file under runs/<run_id>/: derived data, so it can be thrown away and recomputed.

It says of which run it is, and by a digest what it holds, so that what followed from others (`neighbours`) is known.
The database is asked only how a file that is gone or damaged is made again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ferclean.derived import DamagedFileError, Mend, check_owner, reading
from ferclean.files import whole_file
from ferclean.store.again import in_words
from ferclean.store.runs import get_run
from ferclean.store.workspace import Workspace

FILE = "embeddings.parquet"


def write_embeddings(ws: Workspace, run_id: str, sample_ids: Sequence[str], embedding: np.ndarray) -> None:
    """Store (N, D) out-of-fold embeddings as float32, one row per sample; the file appears whole or not at all."""
    held = np.ascontiguousarray(embedding, dtype=np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(held.reshape(-1)), held.shape[1])
    table = pa.table({"sample_id": pa.array(list(sample_ids), pa.string()), "embedding": column})
    table = table.replace_schema_metadata({"run": run_id, "digest": _digest(sample_ids, held)})
    with whole_file(_path(ws, run_id)) as draft:
        pq.write_table(table, draft, write_page_checksum=True)


def read_embeddings(ws: Workspace, run_id: str) -> tuple[list[str], np.ndarray]:
    """Sample ids and their (N, D) float32 embeddings.

    Raises DamagedFileError when the run's file is gone, damaged or another run's.
    """
    path, mend = _path(ws, run_id), partial(_mend, ws, run_id)
    with reading(path, mend):
        table = pq.read_table(path, page_checksum_verification=True)
        _check(path, table.schema, run_id, mend)
        column = table["embedding"].combine_chunks()
        return table["sample_id"].to_pylist(), np.asarray(column.values).reshape(-1, column.type.list_size)


def has_embeddings(ws: Workspace, run_id: str) -> bool:
    """Whether the run's file is (still) there."""
    return _path(ws, run_id).is_file()


def fault_of(ws: Workspace, run_id: str) -> str | None:
    """What is wrong with the run's file, where it is there and damaged or another run's; else None. Reads all of it, a
    row group at a time: 2 KB a sample, half a second for 300,000."""
    path = _path(ws, run_id)
    if not has_embeddings(ws, run_id):
        return None
    try:
        with reading(path, "they are made again"), pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check(path, file.schema_arrow, run_id, "they are made again")
            for _ in file.iter_batches():
                pass
    except DamagedFileError as error:
        return str(error)
    return None


def embedding_digest(ws: Workspace, run_id: str) -> str | None:
    """16 hex digits of the samples and embeddings that the run's file holds; None where it was deleted.

    The file says it. One of an older ferclean does not: it is told by its Parquet directory (size and range of every
    block), so that nobody reads 2 KB a sample to know it. Raises as `read_embeddings` does.
    """
    path, mend = _path(ws, run_id), partial(_mend, ws, run_id)
    if not has_embeddings(ws, run_id):
        return None
    with reading(path, mend):
        schema = pq.read_schema(path)
        _check(path, schema, run_id, mend)
        told = (schema.metadata or {}).get(b"digest")
        return told.decode() if told else hashlib.sha256(_directory(path)).hexdigest()[:16]


def _check(path: Path, schema: pa.Schema, run_id: str, mend: Mend) -> None:
    owner = (schema.metadata or {}).get(b"run")
    check_owner(path, owner and f"run {owner.decode()}", f"run {run_id}", mend)


def _mend(ws: Workspace, run_id: str) -> str:
    run = get_run(ws, run_id)
    return f"make the embeddings again with {in_words([run]) if run else '`ferclean score`'}"


def _path(ws: Workspace, run_id: str) -> Path:
    return ws.runs / run_id / FILE


def _directory(path: Path) -> bytes:
    """The end of a Parquet file: what it holds where, then four bytes of how long that is, then four that name it."""
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, os.SEEK_END)
        return file.read(length)


def _digest(sample_ids: Sequence[str], embedding: np.ndarray) -> str:
    made = hashlib.sha256("\n".join(sample_ids).encode())
    made.update(np.ascontiguousarray(embedding).data)
    return made.hexdigest()[:16]
