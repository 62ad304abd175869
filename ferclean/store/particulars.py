"""What the source says about each face of the queue, in columns for filters: names, splits, attributes.

It is read once for a queue, in its order. What people said (`marks`) is a few sets of faces beside it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ferclean.store import run_files
from ferclean.store.exchange import arrow, frame, rows
from ferclean.store.workspace import Workspace

MOST_VALUES = 24
"""Values of an attribute that can be chosen from; one with more (an age in days, a file's number) is left out."""


@dataclass(frozen=True, kw_only=True)
class Coded:
    """One property of all faces of a queue that has few values."""

    values: tuple[str, ...]
    codes: np.ndarray
    """(N,) int16, place in `values`, -1 = none."""


@dataclass(frozen=True, kw_only=True)
class Particulars:
    """What the source says about the N faces of a queue, in its order. About 60 bytes a face and its name."""

    names: pa.ChunkedArray
    """(N,) text, the source keys."""
    split: Coded
    source: Coded
    """The file that a row was read from; without values where the source is a folder."""
    attributes: dict[str, Coded]
    """By name, those with at most MOST_VALUES plain values."""


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What people said, as sets of sample ids; of what stands, whoever said it."""

    disagreed: frozenset[str]
    """Reviewers disagree about it."""
    noted: frozenset[str]
    """Somebody left a note."""
    by: dict[str, frozenset[str]]
    """Reviewer -> what they decided about, the most first."""


def particulars(ws: Workspace, triage: str | None) -> Particulars:
    """Of everything that this triage run ranked, in rank order.

    Costs 0.3 s at 100,000 rows, 1 s at 300,000 and some 40 s at 10 million (one core), more where each row has long
    attributes of its own (landmarks), which are parsed.
    """
    with ws.reading("reading what the source says") as con:
        verdict = run_files.source(ws, triage, "verdicts", finished=triage is not None)
        found = arrow(
            con,
            "SELECT s.source_key, s.split, s.source, s.attributes "  # noqa: S608 - own text
            f"FROM {verdict.sql} v JOIN sample s USING (sample_id) ORDER BY v.rank, v.sample_id",
            verdict.parameters,
        )
    return Particulars(
        names=found.column("source_key"), split=_coded(found.column("split")), source=_coded(found.column("source")),
        attributes=_attributes(found.column("attributes")),
    )  # fmt: skip


def marks(ws: Workspace) -> Marks:
    """What stands of all decisions; the cost follows the decisions, not the set."""
    with ws.reading("reading decisions") as con:
        disagreed = rows(con, "SELECT sample_id FROM current_decision WHERE conflict")
        stands = frame(con, "SELECT sample_id, reviewer, note <> '' AS noted FROM standing_decision")
    people = Counter(stands["reviewer"])
    return Marks(
        disagreed=frozenset(sample_id for (sample_id,) in disagreed),
        noted=frozenset(stands.loc[stands["noted"].astype(bool), "sample_id"]),
        by={
            name: frozenset(stands.loc[stands["reviewer"] == name, "sample_id"])
            for name, _ in sorted(people.items(), key=lambda one: (-one[1], one[0]))
        },
    )


def _coded(column: pa.ChunkedArray) -> Coded:
    """A column of text as codes; its values sorted."""
    encoded = column.combine_chunks().dictionary_encode()
    values = encoded.dictionary.to_pylist()
    order = sorted(range(len(values)), key=values.__getitem__)
    turn = np.full(len(values) + 1, -1, dtype=np.int16)
    turn[order] = np.arange(len(values), dtype=np.int16)
    codes = pc.fill_null(encoded.indices, len(values)).to_numpy(zero_copy_only=False)
    return Coded(values=tuple(values[place] for place in order), codes=turn[codes])


def _attributes(column: pa.ChunkedArray) -> dict[str, Coded]:
    """Each attribute of few plain values; the JSON of rows that say the same is read once."""
    encoded = column.combine_chunks().dictionary_encode()
    said = [json.loads(text) for text in encoded.dictionary.to_pylist()]
    values: dict[str, dict[str, int]] = {}
    many: set[str] = set()
    for one in said:
        for name, value in one.items():
            if name in many or not isinstance(value, str | int | float | bool):
                continue
            known = values.setdefault(name, {})
            known.setdefault(_told(value), len(known))
            if len(known) > MOST_VALUES:
                many.add(name)
                del values[name]
    at = encoded.indices.to_numpy(zero_copy_only=False)
    return {name: _column(said, name, values[name], at) for name in sorted(values)}


def _column(said: list[dict[str, Any]], name: str, known: dict[str, int], at: np.ndarray) -> Coded:
    order = sorted(known)
    turn = {value: place for place, value in enumerate(order)}
    codes = np.fromiter(
        (turn.get(_told(one[name]), -1) if name in one else -1 for one in said), dtype=np.int16, count=len(said)
    )
    return Coded(values=tuple(order), codes=codes[at])


def _told(value: Any) -> str:
    """A plain value as it is written in JSON, text as it is."""
    return value if isinstance(value, str) else json.dumps(value)
