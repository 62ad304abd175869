"""One finished fold as a Parquet file: what was predicted for the rows left out, and the dynamics of the others.

It never leaves half a file: a fold is there whole or not at all. A file says under which name it was written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.derived import check_owner, reading
from ferclean.files import whole_file

MEND = "this fold is trained again"
"""Training it is what the run is asked to do anyway: to refuse would only let somebody delete the file first."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Row numbers refer to the whole set. `outputs`: arrays over `held_out` rows, first axis H. `given_prob` and
    `margin`: (E, T) over `train` rows. `flips`: dictionaries with index, epoch, from_label, to_label, p.
    """

    held_out: np.ndarray
    outputs: dict[str, np.ndarray]
    train: np.ndarray
    given_prob: np.ndarray
    margin: np.ndarray
    flips: list[dict[str, Any]]
    history: list[dict[str, float]]


def write(path: Path, fold: Fold) -> None:
    """One row per sample: held-out rows have outputs, training rows dynamics; flips and history are in the schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = np.concatenate([fold.held_out, fold.train])
    columns: dict[str, Any] = {
        "row": pa.array(rows.astype(np.int64)),
        "held_out": pa.array(np.arange(len(rows)) < len(fold.held_out)),
    }
    for name, values in fold.outputs.items():
        columns[f"output:{name}"] = _padded(values, before=0, after=len(fold.train))
    for name, values in (("given_prob", fold.given_prob.T), ("margin", fold.margin.T)):
        columns[name] = _padded(values, before=len(fold.held_out), after=0)
    shapes = {name: list(values.shape[1:]) for name, values in fold.outputs.items()}
    about = {"shapes": shapes, "epochs": len(fold.given_prob), "flips": fold.flips, "history": fold.history}
    about["name"] = path.stem
    table = pa.table(columns).replace_schema_metadata({"ferclean": json.dumps(about)})
    with whole_file(path) as draft:
        pq.write_table(table, draft, compression="zstd", write_page_checksum=True)


def read(path: Path) -> Fold:
    """The counterpart of `write`. Raises DamagedFileError for a file that is damaged or was written as another fold."""
    with reading(path, MEND):
        return _read(path)


def _read(path: Path) -> Fold:
    import pyarrow.parquet as pq

    table = pq.read_table(path, page_checksum_verification=True)
    about = json.loads(table.schema.metadata[b"ferclean"])
    check_owner(path, about.get("name"), path.stem, MEND)
    rows = table["row"].to_numpy()
    held_out = table["held_out"].to_numpy()

    def stacked(name: str, mask: np.ndarray, shape: list[int]) -> np.ndarray:
        import pyarrow as pa

        column = table[name].filter(pa.array(mask)).combine_chunks()
        values = column.flatten() if shape else column
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float32).reshape(-1, *shape)

    epochs = about["epochs"]
    return Fold(
        held_out=rows[held_out],
        outputs={name: stacked(f"output:{name}", held_out, shape) for name, shape in about["shapes"].items()},
        train=rows[~held_out],
        given_prob=stacked("given_prob", ~held_out, [epochs]).T,
        margin=stacked("margin", ~held_out, [epochs]).T,
        flips=about["flips"],
        history=about["history"],
    )


def _padded(values: np.ndarray, *, before: int, after: int) -> Any:
    """An Arrow column of `values` (M,) or (M, D), with nulls before and after."""
    import pyarrow as pa

    flat = np.ascontiguousarray(values, dtype=np.float32)
    if flat.ndim == 1:
        kind, body = pa.float32(), pa.array(flat)
    else:  # not of a fixed size: pyarrow 17 writes nulls among these and cannot read them
        kind = pa.list_(pa.float32())
        starts = np.arange(len(flat) + 1, dtype=np.int32) * flat.shape[1]
        body = pa.ListArray.from_arrays(pa.array(starts), pa.array(flat.reshape(-1)))
    pieces = [pa.nulls(before, kind), body, pa.nulls(after, kind)]
    return pa.chunked_array([piece for piece in pieces if len(piece)], type=kind)
