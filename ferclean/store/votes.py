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


def put_votes(con: Any, fresh: Sequence[Sample], again: Sequence[Sample]) -> int:
    """Store the votes of new rows, and of known rows (`again`) that had none; returns how many of those there were.

    For `put_samples`, inside its session. Raises BadDataError where a known row comes with other votes than it has.
    """
    stored: dict[str, dict[str, int]] = {}
    if any(sample.votes for sample in again):
        for sample_id, label, count in rows(con, "SELECT sample_id, label, count FROM vote"):
            stored.setdefault(sample_id, {})[label] = count
    late = []
    for sample in again:
        votes = vote_counts(sample)
        if votes and sample.sample_id not in stored:
            late.append(sample)
        elif votes and stored[sample.sample_id] != votes:
            raise BadDataError(
                f"{sample.source_key} comes with other votes than at the first ingest; "
                "ingest the changed source into a new workspace with `ferclean -w NEW ingest ...`"
            )
    flat = [
        (sample.sample_id, label, count)
        for sample in [*fresh, *late]
        for label, count in vote_counts(sample).items()
    ]  # fmt: skip
    insert(
        con,
        "vote",
        {
            "sample_id": text([row[0] for row in flat]),
            "label": text([row[1] for row in flat]),
            "count": pa.array([row[2] for row in flat], type=pa.int32()),
        },
    )
    return len(late)


def get_votes(ws: Workspace) -> pd.DataFrame:
    """The votes as they came: sample_id, label (class name, 'unknown' or 'not_a_face'), count; in order of arrival."""
    with ws.session("reading votes") as con:
        return frame(
            con,
            "SELECT v.sample_id, v.label, v.count FROM vote v JOIN sample s USING (sample_id) "
            "ORDER BY s.position, v.label",
        )


def get_vote_counts(ws: Workspace, ids: Sequence[str], classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(counts (N, K) int64, other (N,) int64): how many chose each of `classes`, and how many anything else.

    One row per sample of `ids`, in their order; zeros where nobody voted. `other` holds unknown, not_a_face, and
    expressions that are none of `classes` (FERPlus's contempt on the seven of FER2013). Raises UsageError, naming the
    first ones, for ids that are not in the workspace, and for classes named twice.
    """
    column = {name: number for number, name in enumerate(classes)}
    if len(column) != len(classes):
        raise UsageError(f"classes name the same class twice: {', '.join(classes)}")
    with ws.session("reading votes") as con:
        known = pd.Index([row[0] for row in rows(con, "SELECT sample_id FROM sample")], dtype=object)
        found = rows(con, "SELECT sample_id, label, sum(count)::BIGINT FROM vote GROUP BY ALL")
    row = _rows_of(known, ids)
    table = np.zeros((len(known), len(classes) + 1), dtype=np.int64)
    at = known.get_indexer(pd.Index([row[0] for row in found], dtype=object))
    # the last column takes what is no class here
    np.add.at(table, (at, [column.get(label, -1) for _, label, _ in found]), [count for _, _, count in found])
    return table[row, : len(classes)], table[row, len(classes)]


def _rows_of(known: pd.Index, ids: Sequence[str]) -> np.ndarray:
    row = known.get_indexer(pd.Index(list(ids), dtype=known.dtype))
    strangers = [sample_id for sample_id, place in zip(ids, row, strict=True) if place < 0]
    if strangers:
        raise UsageError(
            f"{len(strangers)} of {len(ids)} are no samples of this workspace, first {first_keys(strangers)}"
        )
    return row
