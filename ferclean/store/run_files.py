"""What a run said about many samples, as Parquet files under runs/<run_id>/. All of it can be computed again.

It never shows half a file, and it never reads the files of another run than the one that is asked for.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ferclean.derived import DamagedFileError, check_owner, first_line, reading
from ferclean.errors import FercleanError
from ferclean.files import whole_file
from ferclean.store.connection import was_stopped

if TYPE_CHECKING:
    from ferclean.store.workspace import Workspace

COLUMNS = {
    "scores": {
        "run_id": "VARCHAR", "position": "BIGINT", "sample_id": "VARCHAR", "fold": "INTEGER", "pred_probs": "FLOAT[]",
    },
    "flips": {
        "run_id": "VARCHAR", "sample_id": "VARCHAR", "fold": "INTEGER", "epoch": "INTEGER", "from_label": "VARCHAR",
        "to_label": "VARCHAR", "p": "DOUBLE",
    },
    "verdicts": {
        "run_id": "VARCHAR", "position": "BIGINT", "sample_id": "VARCHAR", "kind": "VARCHAR",
        "label_quality": "DOUBLE", "p_mislabelled": "DOUBLE", "p_ambiguous": "DOUBLE", "p_unusable": "DOUBLE",
        "p_clean": "DOUBLE", "suggested_label": "VARCHAR", "rank": "BIGINT", "reasons": "VARCHAR[]",
        "soft_label": "DOUBLE[]", "drawn_at_random": "BOOLEAN", "inclusion_probability": "DOUBLE",
        "p_suggested": "DOUBLE", "p_true": "DOUBLE[]",
    },
    "pairs": {
        "run_id": "VARCHAR", "sample_a": "VARCHAR", "sample_b": "VARCHAR", "kind": "VARCHAR", "similarity": "DOUBLE",
    },
}  # fmt: skip
"""The columns of each kind of file with DuckDB's types; scores.parquet has one DOUBLE per signal after them.

The probabilities are one list: a class may be called as anything, and a reader wants all of them or the given one's.
"""

NEEDED = {"score": "scores", "triage": "verdicts", "pairs": "pairs"}
"""The file without which a run of a kind is not done any longer; runs of other kinds need none."""

_TYPES = {
    "VARCHAR": pa.string(), "BIGINT": pa.int64(), "INTEGER": pa.int32(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(),
    "FLOAT[]": pa.list_(pa.float32()), "DOUBLE[]": pa.list_(pa.float64()), "VARCHAR[]": pa.list_(pa.string()),
}  # fmt: skip

_END = b"PAR1"
"""The last bytes of a Parquet file; before them lies the directory without which nothing can be read."""

_ROWS = 4096
"""Rows that are unpacked together. Files lie in order of arrival, so a face or a page of faces unpacks few of them: 32
random ones of 300,000 verdicts take a third of the time that groups of 120,000 take. The directory of a file grows
with their number: some 2,500 groups at 10 million rows."""


OWN_COLUMNS = "hive_partitioning = false"
"""An option of every `read_parquet`: a folder above the workspace that is called `fold=1` says nothing of a fold."""


class Source(NamedTuple):
    """What SQL reads a file by: text that follows FROM, and the parameters that it needs."""

    sql: str
    parameters: dict[str, Any]


def path_of(ws: Workspace, run_id: str, file: str) -> Path:
    """Where one of the `COLUMNS` of a run lies, or would; its embeddings too."""
    return ws.runs / run_id / f"{file}.parquet"


def complete(ws: Workspace, run_id: str, kind: str) -> bool:
    """Whether what a finished run of this kind is read for is (still) there."""
    return kind not in NEEDED or is_whole(path_of(ws, run_id, NEEDED[kind]))


def lacking(ws: Workspace, run_id: str, kind: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Which of the Parquet files that a finished run of this kind wrote are not (whole) there. Costs a look at each."""
    needed = [NEEDED[kind]] if kind in NEEDED else []
    if "method_config" in config:
        needed += ["embeddings", "flips"]
    elif "probe" in config or config.get("file", {}).get("embedding"):
        needed += ["embeddings"]
    return tuple(file for file in needed if not is_whole(path_of(ws, run_id, file)))


def is_whole(path: Path) -> bool:
    """Whether a file is there with its end: one that cannot be read, or that a copy or a full disk cut off, is as good
    as deleted."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - len(_END)))
            return file.read() == _END
    except OSError:
        return False


def write(ws: Workspace, run_id: str, file: str, columns: Mapping[str, Any]) -> None:
    """Put a file of a run, in place of the one that it had; whole or not at all. The same columns give the same bytes.

    `columns` without run_id; a column that is left out is empty, further ones are DOUBLE (the signals).
    """
    given = {
        name: value if isinstance(value, pa.ChunkedArray) else pa.chunked_array([value])
        for name, value in columns.items()
    }
    length = len(next(iter(given.values())))
    types = {name: _TYPES[kind] for name, kind in COLUMNS[file].items()}
    types |= {name: pa.float64() for name in given if name not in types}
    run = pa.DictionaryArray.from_arrays(pa.nulls(length, pa.int32()).fill_null(0), pa.array([run_id], pa.string()))
    table = pa.table(
        {
            name: run if name == "run_id" else given[name].cast(kind) if name in given else pa.nulls(length, kind)
            for name, kind in types.items()
        }
    )
    with whole_file(path_of(ws, run_id, file)) as draft:
        pq.write_table(table, draft, compression="zstd", row_group_size=_ROWS, write_page_checksum=True)


def source(ws: Workspace, run_id: str | None, file: str, *, finished: bool = False) -> Source:
    """What stands for a file of a run in FROM; without a run or a file it holds no row.

    Raises FercleanError where a `finished` run must have it: it was deleted; DamagedFileError where it is damaged, as
    far as its directory tells, or another run's.
    """
    if run_id is not None:
        path = path_of(ws, run_id, file)
        if is_whole(path):
            _check(path, run_id)
            # a folder's name may look like a pattern
            return Source(f"read_parquet(${file}_file, {OWN_COLUMNS})", {f"{file}_file": glob.escape(str(path))})
        if finished:
            fault = "was cut off" if path.exists() else "was deleted"
            raise FercleanError(f"{path} {fault}; {_mend(run_id, there=False)}")
    return Source(f"({empty(file)})", {})


def sources(ws: Workspace, run_ids: Sequence[str], file: str) -> Source:
    """What stands for the files of several finished runs together. Raises FercleanError where one was deleted."""
    if not run_ids:
        return Source(f"({empty(file)})", {})
    paths = [path for run_id in run_ids for path in source(ws, run_id, file, finished=True).parameters.values()]
    return Source(f"read_parquet(${file}_files, union_by_name = true, {OWN_COLUMNS})", {f"{file}_files": paths})


def read(ws: Workspace, run_id: str, file: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of a file of a run, in the order of its rows. Raises as `source` does of a finished run."""
    path = path_of(ws, run_id, file)
    _check(path, run_id)
    with reading(path, _mend(run_id)):
        return pq.read_table(path, columns=list(columns), page_checksum_verification=True)


def whole(ws: Workspace, run_id: str, file: str) -> pa.Table | None:
    """All of a file that is about to be put anew; None where there is none, or nothing that could be taken over."""
    path = path_of(ws, run_id, file)
    if not is_whole(path):
        return None
    with suppress(DamagedFileError):
        _check(path, run_id)
        with reading(path, _mend(run_id)):
            return pq.read_table(path, page_checksum_verification=True)
    return None


def empty(file: str) -> str:
    """SQL for the columns of a file without a row."""
    nothing = ", ".join(f"NULL::{kind} AS {name}" for name, kind in COLUMNS[file].items())
    return f"SELECT {nothing} WHERE false"


def signal_names(ws: Workspace, run_id: str) -> list[str]:
    """The signals in a run's scores.parquet, by name; [] where there is none. Reads the file's directory alone."""
    path = path_of(ws, run_id, "scores")
    if not is_whole(path):
        return []
    _check(path, run_id)
    with reading(path, _mend(run_id)):
        return sorted(set(pq.read_schema(path).names) - set(COLUMNS["scores"]))


@contextmanager
def asked(parameters: Mapping[str, Any] | Sequence[Any]) -> Iterator[None]:
    """Turn whatever a query raises in the block, because a file that its `parameters` name (`Source`) is damaged, into
    a DamagedFileError that names the file: DuckDB neither says which it was nor has an error of its own for it."""
    import duckdb

    try:
        yield
    except Exception as error:
        if not isinstance(parameters, Mapping) or was_stopped(error):
            raise
        read = [file for name, value in parameters.items() for file in _files(name, value)]
        for path in read:
            with reading(path, _mend(path.parent.name)):
                _go_through(path)
        if read and type(error) is duckdb.Error:  # what its reader of Parquet raises, and nothing else
            told = f"{' or '.join(map(str, read))} is damaged ({first_line(error)})"
            raise DamagedFileError(f"{told}; {_mend(read[0].parent.name)}") from error
        raise


def _files(name: str, value: Any) -> list[Path]:
    given = [value] if name.endswith("_file") else value if name.endswith("_files") else []
    return [Path(re.sub(r"\[([*?[])\]", r"\1", pattern)) for pattern in given]  # what `glob.escape` did


def _go_through(path: Path) -> None:
    """Read all of a file with its checksums. Raises whatever its reader does, ValueError where columns are others."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        found = file.schema_arrow
        for name, kind in COLUMNS[path.stem].items():
            held = found.field(name).type if name in found.names else None
            if held != _TYPES[kind] and not (name == "run_id" and held is not None):
                raise ValueError(f"its column {name} is {held or 'not there'}")
        for _ in file.iter_batches():
            pass


def _check(path: Path, run_id: str) -> None:
    with reading(path, _mend(run_id)):
        about = path.stat()
        owner = _owner(str(path), about.st_mtime_ns, about.st_size)
    check_owner(path, owner and f"run {owner}", f"run {run_id}", _mend(run_id))


@lru_cache(maxsize=256)
def _owner(path: str, changed_at: int, size: int) -> str | None:
    """The run that a file says it is of, from its directory (2 to 7 ms at 300,000 rows, so once while it stays as it
    is); None for a file without a row."""
    held = pq.read_metadata(path)
    statistics = held.row_group(0).column(0).statistics if held.num_row_groups else None
    return None if statistics is None or not statistics.has_min_max else str(statistics.min)


def _mend(run_id: str, *, there: bool = True) -> str:
    again = f"which command computes run {run_id} again"
    return f"delete it: `ferclean status` then tells {again}" if there else f"`ferclean status` tells {again}"
