"""A table that followed from a run, as one Arrow file in its folder that says what it was made of, with a checksum.

It can be made again, so one that is gone, damaged or another run's is no error here: whoever needs it makes it anew.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from ferclean.derived import DamagedFileError, reading
from ferclean.files import whole_file
from ferclean.store.version import code_version

T = TypeVar("T")


def write(path: Path, table: pa.Table, *, form: int, run: str, **about: str) -> None:
    """Store a run's table and what is told `about` it; the file appears whole or not at all."""
    told = {"format": form, "run": run, "code_version": code_version(), **about, "crc32": _crc(table)}
    table = table.replace_schema_metadata({"ferclean": json.dumps(told)})
    with (
        whole_file(path) as draft,
        pa.OSFile(str(draft), "wb") as out,
        pa.ipc.new_file(out, table.schema) as writer,
    ):
        writer.write_table(table)


def read(path: Path, held: Callable[[pa.Table, dict[str, Any]], T], *, form: int, run: str) -> T | None:
    """What the file holds, as `held` reads its table and what is told about it.

    None where there is none, or one that is damaged, another run's or of another format.
    """
    with suppress(DamagedFileError), reading(path, "it is made again"):
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        about = json.loads(table.schema.metadata[b"ferclean"])
        if (about["format"], about.get("run")) != (form, run):
            return None
        if about["crc32"] != _crc(table):
            raise ValueError("its content is not what was written")
        return held(table, about)
    return None


def _crc(table: pa.Table) -> int:
    """CRC-32 of all columns' bytes, as Arrow's own file has none: 0.1 to 0.2 s for 150 MB."""
    crc = 0
    for column in table.columns:
        for chunk in column.chunks:
            for buffer in chunk.buffers():
                crc = crc if buffer is None else zlib.crc32(buffer, crc)
    return crc
