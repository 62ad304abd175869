"""The votes that came with the data set: put once, then read as counts per class.

It never changes a vote that is stored, and it draws no conclusion from one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ferclean.errors import BadDataError, UsageError
from ferclean.store.arrivals import first_keys, vote_counts
from ferclean.store.exchange import frame, insert, rows, text
from ferclean.store.workspace import Workspace

if TYPE_CHECKING:
    from ferclean.store.samples import Sample

_Vote = tuple[str, int, str | None]  # label, count, annotator


def put_votes(con: Any, fresh: Sequence[Sample], again: Sequence[Sample]) -> int:
    """Store the votes of new rows, and of known rows (`again`) that had none; returns how many of those there were.

    For `put_samples`, inside its session. Raises BadDataError where a known row comes with other votes than it has.
    """
    stored: dict[str, set[_Vote]] = {}
    if any(sample.votes or sample.annotations for sample in again):
        for sample_id, *vote in rows(con, "SELECT sample_id, label, count, annotator FROM vote"):
            stored.setdefault(sample_id, set()).add(tuple(vote))
    late = []
    for sample in again:
        votes = _votes_of(sample)
        if votes and sample.sample_id not in stored:
            late.append(sample)
        elif votes and stored[sample.sample_id] != set(votes):
            raise BadDataError(
                f"{sample.source_key} comes with other votes than at the first ingest; "
                "ingest the changed source into a new workspace with `ferclean -w NEW ingest ...`"
            )
    flat = [(sample.sample_id, *vote) for sample in [*fresh, *late] for vote in _votes_of(sample)]
    insert(
        con,
        "vote",
        {
            "sample_id": text([row[0] for row in flat]),
            "label": text([row[1] for row in flat]),
            "count": pa.array([row[2] for row in flat], type=pa.int32()),
            "annotator": text([row[3] for row in flat]),
        },
    )
    return len(late)


def _votes_of(sample: Sample) -> list[_Vote]:
    """A sample's votes as rows; those of named annotators count one each."""
    if sample.votes and sample.annotations:
        raise BadDataError(f"{sample.source_key} comes with counts and with named annotators; give one of them")
    named: list[_Vote] = [(label, 1, annotator) for annotator, label in (sample.annotations or {}).items()]
    return named or [(label, count, None) for label, count in vote_counts(sample).items()]


def get_votes(ws: Workspace) -> pd.DataFrame:
    """The votes as they came, in order of arrival: sample_id, label (class name, 'unknown' or 'not_a_face'), count,
    annotator (None: a count of people without names)."""
    with ws.reading("reading votes") as con:
        return frame(
            con,
            "SELECT v.sample_id, v.label, v.count, v.annotator FROM vote v JOIN sample s USING (sample_id) "
            "ORDER BY s.position, v.label, v.annotator",
        )


def get_vote_counts(ws: Workspace, ids: Sequence[str], classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(counts (N, K) int64, other (N,) int64): how many chose each of `classes`, and how many anything else.

    One row per sample of `ids`, in their order; zeros where nobody voted. `other` holds unknown, not_a_face, and
    expressions that are none of `classes` (FERPlus's contempt on the seven of FER2013). Raises UsageError, naming the
    first ones, for ids that are not in the workspace, and for classes named twice.
    """
    column = _columns_of(classes)
    with ws.reading("reading votes") as con:
        known = pd.Index([row[0] for row in rows(con, "SELECT sample_id FROM sample")], dtype=object)
        found = rows(con, "SELECT sample_id, label, sum(count)::BIGINT FROM vote GROUP BY ALL")
    row = _rows_of(known, ids)
    table = np.zeros((len(known), len(classes) + 1), dtype=np.int64)
    at = known.get_indexer(pd.Index([row[0] for row in found], dtype=object))
    # the last column takes what is no class here
    np.add.at(table, (at, [column.get(label, -1) for _, label, _ in found]), [count for _, _, count in found])
    return table[row, : len(classes)], table[row, len(classes)]


def get_annotator_labels(ws: Workspace, ids: Sequence[str], classes: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """(labels_multiannotator (N, A) int64, annotators): the class that each named annotator gave, -1 for none.

    One row per sample of `ids`, in their order, one column per annotator, by name; A = 0 where votes have no names.
    Votes for anything but `classes` are -1 here and counted as other votes by `get_vote_counts`. Raises UsageError as
    that does.
    """
    column = _columns_of(classes)
    with ws.reading("reading votes") as con:
        known = pd.Index([row[0] for row in rows(con, "SELECT sample_id FROM sample")], dtype=object)
        found = rows(con, "SELECT sample_id, annotator, label FROM vote WHERE annotator IS NOT NULL")
    row = _rows_of(known, ids)
    annotators = sorted({annotator for _, annotator, _ in found})
    place = {annotator: number for number, annotator in enumerate(annotators)}
    table = np.full((len(known), len(annotators)), -1, dtype=np.int64)
    at = known.get_indexer(pd.Index([one[0] for one in found], dtype=object))
    table[at, [place[annotator] for _, annotator, _ in found]] = [column.get(label, -1) for _, _, label in found]
    return table[row], annotators


def _columns_of(classes: Sequence[str]) -> dict[str, int]:
    column = {name: number for number, name in enumerate(classes)}
    if len(column) != len(classes):
        raise UsageError(f"classes name the same class twice: {', '.join(classes)}")
    return column


def _rows_of(known: pd.Index, ids: Sequence[str]) -> np.ndarray:
    row = known.get_indexer(pd.Index(list(ids), dtype=known.dtype))
    strangers = [sample_id for sample_id, place in zip(ids, row, strict=True) if place < 0]
    if strangers:
        raise UsageError(
            f"{len(strangers)} of {len(ids)} are no samples of this workspace, first {first_keys(strangers)}"
        )
    return row
