"""A list of many faces to decide about together: its order stands while a person looks through it and chooses.

It records nothing. What was decided since the list was made keeps its place in it, and no bulk counts it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ferclean.errors import UsageError
from ferclean.review.beside import Album
from ferclean.review.desk import Desk, Filters, select
from ferclean.review.likeness import Group, groups_on
from ferclean.review.narrowing import SORTS, order_by
from ferclean.review.offers import Offer
from ferclean.review.ranked import JudgedAnewError, offer_at, p_offer
from ferclean.store.verdicts import KINDS


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Faces in an order, alike ones in groups where that was asked for."""

    filters: Filters
    run_id: str | None
    """The triage that the rows are of."""
    rows: np.ndarray
    """(n,) of the desk's queue."""
    newest: int = 0
    """The last decision that stood for the reviewer when it was made, 0: none."""
    groups: tuple[Group, ...] = ()
    """Those at its beginning, one after the other; the faces after them are looked at one by one."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One face of a list, with what is told about it there."""

    sample_id: str
    source_key: str
    given: str | None
    verdict: str | None
    """None: the model is hidden."""
    p: float | None
    """The chance that the proposal is right; None where it is not known, or hidden."""
    offer: Offer | None
    drawn: bool
    """Of the random check: it is decided about alone."""
    action: str | None
    """What holds for the reviewer; None: nothing yet."""
    label: str | None
    skipped: bool
    seen: int
    """The id of the decision that holds for the reviewer; 0: none."""


def listing(desk: Desk, filters: Filters, *, sort: str, album: Album | None = None) -> Listing:
    """The faces that `filters` leaves, ordered by `sort`; as blind faces come where the model is hidden.

    Those of the random check come last. 'alike' puts likeness groups first (`likeness.groups_on`), then the others by
    worth. Costs a sort of what is left:
    50 ms at 100,000 faces, 0.3 s at 300,000; 'alike' 0.2 s and 0.7 s. Raises UsageError for an unknown order.
    """
    if sort not in SORTS:
        raise UsageError(f"unknown order {sort!r}; one of {', '.join(SORTS)}")
    rows = np.asarray(select(desk, filters).rows)
    queue, groups = desk.items.ranked, []
    if not filters.blind and not filters.audit:
        if sort == "alike":
            groups = groups_on(desk, filters, album)
            first = [desk.items.place[one] for group in groups for one in group.sample_ids]
            rest = rows[~np.isin(rows, first)]
            rows = np.concatenate([np.array(first, dtype=rows.dtype), rest])
        else:
            rows = order_by(queue, rows, sort)
        # those of the random check are decided alone: here they are in the way
        alone = np.isin(rows, [desk.items.place[one] for one in desk.random_checks if one in desk.items.place])
        rows = np.concatenate([rows[~alone], rows[alone]])
    newest = max((word.decision_id for word in desk.standing.values()), default=0)
    return Listing(filters=filters, run_id=queue.run_id, rows=rows, groups=tuple(groups), newest=newest)


def tiles(desk: Desk, of: Listing, start: int, count: int) -> list[Tile]:
    """The tiles of a part of a list; nothing that the model thinks where it is hidden. Reads no whole face."""
    _check(desk, of)
    queue, hidden = desk.items.ranked, of.filters.blind
    rows = of.rows[start : start + count]
    found = []
    for row, chance in zip(rows.tolist(), p_offer(queue, rows), strict=True):
        sample_id = queue.ids[row]
        stands = desk.standing.get(sample_id)
        found.append(
            Tile(
                sample_id=sample_id,
                source_key=str(desk.items.particulars.names[row]),
                given=queue.label(queue.given[row]),
                verdict=None if hidden else KINDS[queue.verdict[row]],
                p=None if hidden or np.isnan(chance) else float(chance),
                offer=None if hidden else offer_at(queue, row),
                # among shuffled faces the mark would tell which ones the model has flagged
                drawn=sample_id in desk.random_checks and (of.filters.audit or not hidden),
                action=stands.action if stands else None,
                label=stands.label if stands else None,
                skipped=sample_id in desk.skipped and stands is None,
                seen=stands.decision_id if stands else 0,
            )
        )
    return found


def chosen(
    desk: Desk, of: Listing, ranges: Sequence[tuple[int, int]], *, seen: Mapping[int, int] | None = None,
    open_only: bool = False,
) -> tuple[list[str], int]:  # fmt: skip
    """The faces of these places of a list ([start, end), any order), and how many are left out.

    Left out is what the reviewer decided since the list was made, in another tab or by another way, unless the person
    saw it: `seen` has the decision that a place showed. Where open faces alone are meant (`open_only`, or the list is
    of those) all that are decided or put off by now are left out. Raises UsageError for a place outside of the list.
    """
    _check(desk, of)
    size = len(of.rows)
    if any(not 0 <= start <= end <= size for start, end in ranges):
        raise UsageError(f"a chosen place lies outside of the list of {size:,} faces; choose again")
    wanted = np.zeros(size, dtype=bool)
    for start, end in ranges:
        wanted[start:end] = True
    places = np.flatnonzero(wanted).tolist()
    open_only = open_only or of.filters.states == ("open",)

    def meant(place: int, sample_id: str) -> bool:
        stands = desk.standing.get(sample_id)
        if open_only:
            return stands is None and sample_id not in desk.skipped
        return stands is None or stands.decision_id <= of.newest or stands.decision_id == (seen or {}).get(place)

    ids = [desk.items.ranked.ids[of.rows[place]] for place in places]
    still = [one for place, one in zip(places, ids, strict=True) if meant(place, one)]
    return still, len(ids) - len(still)


def _check(desk: Desk, of: Listing) -> None:
    if of.run_id != desk.items.ranked.run_id:
        raise JudgedAnewError("the faces were judged anew since this list was made; it is made again")
