"""What the team means by each expression: definitions and borderline faces that people write. Append-only.

The last writing about a class holds, and no earlier one is lost; nothing of it is ever obeyed as markup.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from ferclean.errors import FercleanError, UsageError, among
from ferclean.store.exchange import insert, now, rows, text, to_json
from ferclean.store.samples import find_in, read_dataset
from ferclean.store.workspace import Workspace

MOST_TEXT, MOST_EXAMPLES = 4000, 12
"""Characters of one text, and faces beside it: what fits beside a face without being scrolled for long."""


@dataclass(frozen=True, kw_only=True)
class Borderline:
    """A face that shows where a class ends."""

    sample_id: str
    source_key: str
    words: str
    """What it shows, in a sentence."""


@dataclass(frozen=True, kw_only=True)
class Guideline:
    """What is written about one class."""

    version: int
    """The number of the writing, 1, 2, 3 ... over all classes."""
    label: str | None
    """None: about all of them."""
    text: str
    """Plain text; its line breaks count."""
    examples: tuple[Borderline, ...]
    author: str
    written_at: datetime
    """UTC, without a zone."""

    def as_dict(self) -> dict[str, Any]:
        """For a release and for JSON."""
        return {
            "label": self.label, "text": self.text, "version": self.version, "author": self.author,
            "written_at": f"{self.written_at:%Y-%m-%dT%H:%M:%SZ}",
            "examples": [{"source_key": one.source_key, "words": one.words} for one in self.examples],
        }  # fmt: skip


def guidelines(ws: Workspace) -> dict[str | None, Guideline]:
    """What holds about each class that something is written about; first what is about all, then the card's order."""
    with ws.reading("reading guidelines") as con:
        order = [None, *read_dataset(con, ws).classes]
        found = rows(
            con,
            "SELECT version, label, text, examples, author, written_at FROM guideline "
            "QUALIFY row_number() OVER (PARTITION BY label ORDER BY version DESC) = 1",
        )
        told = [(row, json.loads(row[3])) for row in found if row[2] or row[3] != "[]"]
        ids = [one["sample_id"] for _, examples in told for one in examples]
        sql = "SELECT sample_id, source_key FROM sample WHERE list_contains($ids::VARCHAR[], sample_id)"
        keys = dict(rows(con, sql, {"ids": ids})) if ids else {}
    held = {
        label: Guideline(
            version=version, label=label, text=written, author=author, written_at=when,
            examples=tuple(
                Borderline(sample_id=one["sample_id"], source_key=keys.get(one["sample_id"], "?"), words=one["words"])
                for one in examples
            ),
        )
        for (version, label, written, _, author, when), examples in told
    }  # fmt: skip
    return {label: held[label] for label in order if label in held}


def write_guideline(
    ws: Workspace,
    label: str | None,
    written: str,
    *,
    examples: Sequence[tuple[str, str]] = (),
    author: str,
    seen: int | None = None,
) -> int:
    """Write what holds about a class from now on (None: about all); nothing at all takes it back. Returns its version.

    `examples`: (sample id or source key, a sentence). `seen`: the version that the writer saw (0: none); raises
    FercleanError where somebody wrote since. UsageError for an unknown class or face, and for too much of it.
    """
    written, author = written.strip(), author.strip()
    if len(written) > MOST_TEXT or len(examples) > MOST_EXAMPLES:
        raise UsageError(
            f"a guideline has up to {MOST_TEXT:,} characters and {MOST_EXAMPLES} faces, this one {len(written):,} and "
            f"{len(examples)}"
        )
    if not author:
        raise UsageError("a guideline needs a name under which it is written")
    with ws.session("writing a guideline") as con:
        classes = read_dataset(con, ws).classes
        if label is not None and label not in classes:
            raise UsageError(f"unknown class {label!r}; {among(label, classes)}")
        found = rows(con, "SELECT coalesce(max(version), 0) FROM guideline WHERE label IS NOT DISTINCT FROM ?", [label])
        if seen is not None and found[0][0] > seen:
            raise FercleanError("somebody wrote about this class meanwhile; read theirs, and write again")
        ids = find_in(con, [face for face, _ in examples]) if examples else []
        told = [{"sample_id": face, "words": words.strip()} for face, (_, words) in zip(ids, examples, strict=True)]
        version = int(rows(con, "SELECT coalesce(max(version), 0) + 1 FROM guideline")[0][0])
        columns = {
            "version": pa.array([version], type=pa.int64()),
            "label": text([label]),
            "text": text([written]),
            "examples": text([to_json(told)]),
            "author": text([author]),
            "written_at": pa.array([now()], type=pa.timestamp("us")),
        }
        insert(con, "guideline", columns)
    return version
