"""Everything that was ever said about one sample, undone or not, and which samples people disagree about.

It reads; about one sample it reads the rows of that sample, never those of the set.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ferclean.errors import UsageError
from ferclean.store.exchange import rows
from ferclean.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the log of decisions."""

    decision_id: int
    action: str
    """keep, relabel, ambiguous, exclude, skip, or undo."""
    label: str | None
    """Of a relabel."""
    reviewer: str
    note: str
    seconds: float | None
    """Time that the person took."""
    suggested: str | None
    """What the model suggested then, as far as it was shown."""
    verdict: str | None
    """What the model thought then, as far as it was shown."""
    blind: bool
    """Nothing of the model was shown, or it is not known."""
    source: str
    """As `Decision.source`."""
    bulk: int
    """Samples of the bulk act that it belongs to; 0: it was said about this one alone."""
    undoes: int | None
    """Of an undo: the row that it takes back."""
    undone_by: str | None
    """Who took it back; None where nobody did."""
    decided_at: datetime
    """UTC, without a zone."""
    stands: bool
    """It is what stands of its reviewer, or an adjudication that stands for everybody."""
    shares: tuple[float, ...] | None
    """What an ambiguous face is said to show: a share per class in the card's order."""


@dataclass(frozen=True, kw_only=True)
class History:
    """A sample, and all that was said about it."""

    sample_id: str
    source_key: str
    split: str
    given_label: str | None
    entries: tuple[Entry, ...]
    """In the order in which it was said."""


def history(ws: Workspace, sample_id: str) -> History:
    """All that was ever said about this sample. Raises UsageError where there is no such sample.

    Costs a look at one column of the log: .06 s at 12,000 decisions, .08 s at 300,000.
    """
    with ws.reading("reading a history") as con:
        own = {"sample": sample_id}
        about = rows(con, "SELECT source_key, split, given_label FROM sample WHERE sample_id = $sample", own)
        if not about:
            raise UsageError(f"there is no sample {sample_id!r} in this workspace")
        found = rows(
            con,
            "SELECT d.decision_id, d.action, d.label, d.reviewer, d.note, d.seconds, d.shown, d.source, "
            "CASE WHEN d.bulk_id IS NOT NULL THEN "
            "(SELECT count(*) FROM decision o WHERE o.bulk_id = d.bulk_id AND o.action <> 'undo') ELSE 0 END, "
            "d.undo_of, u.reviewer, d.decided_at, d.decision_id IN "
            "(SELECT decision_id FROM standing_decision WHERE sample_id = $sample), d.shares "
            "FROM decision d LEFT JOIN decision u ON u.undo_of = d.decision_id AND u.sample_id = $sample "
            "WHERE d.sample_id = $sample ORDER BY d.decision_id",
            own,
        )
    key, split, given = about[0]
    return History(
        sample_id=sample_id,
        source_key=key,
        split=split,
        given_label=given,
        entries=tuple(_entry(*row) for row in found),
    )


def _entry(
    decision_id: int, action: str, label: str | None, reviewer: str, note: str, seconds: float | None,
    shown: str | None, source: str, bulk: int, undoes: int | None, undone_by: str | None, decided_at: datetime,
    stands: bool, shares: list[float] | None,
) -> Entry:  # fmt: skip
    seen: dict[str, Any] = json.loads(shown) if shown else {}
    return Entry(
        decision_id=decision_id, action=action, label=label, reviewer=reviewer, note=note, seconds=seconds,
        suggested=seen.get("suggested_label"), verdict=seen.get("verdict"), blind=shown is None, source=source,
        bulk=bulk, undoes=undoes, undone_by=undone_by, decided_at=decided_at, stands=stands,
        shares=None if shares is None else tuple(shares),
    )  # fmt: skip


def conflicts(ws: Workspace) -> list[str]:
    """The samples about which people disagree now, in order of arrival.

    Costs what `current_decision` costs, which grows with the decisions: .1 s at 12,000, .6 s at 300,000.
    """
    with ws.reading("reading disagreements") as con:
        found = rows(
            con, "SELECT sample_id FROM current_decision JOIN sample USING (sample_id) WHERE conflict ORDER BY position"
        )
        return [sample_id for (sample_id,) in found]
