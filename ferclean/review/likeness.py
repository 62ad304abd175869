"""Likeness groups: faces of one flow for which one answer is probably right, alike ones together, for one look.

It decides nothing and draws nothing: a group is an offer, and who looks at it corrects single faces in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ferclean.evidence.signals.nearest import Nearest
from ferclean.review.beside import Album, near_of
from ferclean.review.desk import Desk, Filters, select
from ferclean.review.offers import Offer
from ferclean.review.ranked import flow_of, offer_at, p_offer
from ferclean.store.table import Ranked

SIZE = 20
"""Faces of a group at most: a page that one look takes in."""
SURE = 0.8
"""The chance that a face's offer is right from which it is grouped; below it, it is looked at by itself.

The lowest at which a person who overlooks every tenth exception errs about at most 1 % of the grouped faces, on the
even half of FER2013's development rows, clean faces included (`pipelines/likeness_groups.py`)."""
LOOK = 10
"""Nearest others that a face is compared with."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Some faces about which one answer decides, but for those that the person corrects."""

    given: str | None
    suggested: str | None
    offer: Offer
    """What the default of a bulk would record about each of them."""
    sample_ids: tuple[str, ...]
    """The surest first, each once."""
    p_offer: float
    """The expected share of them about which the offer is right."""


def groups_on(desk: Desk, filters: Filters, album: Album | None = None) -> list[Group]:
    """`likeness_groups` of the faces that the reviewer selected and has neither decided nor skipped.

    Faces that were drawn at random (the teaching round, checks, audits) are never among them, and there are none where
    the reviewer must not know what the model thinks (`blind`, `audit`). `album` brings the neighbours.
    """
    if filters.blind or filters.audit:
        return []
    place = desk.items.place
    apart = [place[one] for one in desk.random_checks.union(desk.standing, desk.skipped) if one in place]
    rows = select(desk, filters).rows
    near = None
    if album is not None:
        near = _near(album, place)
    return likeness_groups(desk.items.ranked, rows[~np.isin(rows, apart)], near)


def _near(album: Album, place: Mapping[str, int]) -> np.ndarray:
    """`near_rows` of an album, kept there: half a second at 300,000 faces, and every list of a grid asks for it."""
    if album.near_rows is None or album.near_rows[0] is not place:
        ids, _, nearest = near_of(album)
        album.near_rows = place, near_rows(place, ids, nearest)
    return album.near_rows[1]


def near_rows(place: Mapping[str, int], ids: Sequence[str], nearest: Nearest) -> np.ndarray:
    """The LOOK nearest of each face of a queue as rows of it, (N, LOOK) int32, nearest first, -1 = nobody.

    `place`: sample id -> row of the queue (N entries); `ids` (M,): those of `nearest`, in its order.
    """
    at = nearest.at[:, :LOOK]
    row = np.array([*(place.get(one, -1) for one in ids), -1], dtype=np.int32)  # nobody stays nobody
    here = row[:-1] >= 0
    found = np.full((len(place), at.shape[1]), -1, dtype=np.int32)
    found[row[:-1][here]] = row[at[here]]
    return found


def likeness_groups(
    queue: Ranked, rows: np.ndarray, near: np.ndarray | None = None, *, sure: float = SURE, size: int = SIZE
) -> list[Group]:
    """Groups of 2 to `size` of the faces `rows` (n,) of the queue whose offer is right with a chance of `sure` or more.

    All faces of a group have one flow: verdict, given and suggested label, and so one offer. Without `near` a flow is
    cut into pages from the surest face on. With `near` (N, LOOK; `near_rows`) each face first goes with the surest of
    its nearest of the same flow, that one with the surest of its own, and so on to a face that is the surest among its
    nearest (quick shift, Vedaldi and Soatto 2008); faces that arrive at the same one lie together, surest arrival
    first, and the flow is cut in that order, so that a page is full though a neighbourhood is small and no embedding
    reaches across folds. Inside a group the surest face comes first, at equal chance the one that `rows` names first.
    The group whose faces come first in `rows` (by their mean place; triage ranks by expected worth) comes first.

    Nothing compares pairs: sorting, and LOOK look-ups a face, N log N. One core: 0.02 s at 12,000 rows, 0.6 s at
    300,000, 30 s at 10 million (extrapolated from 9 s at 3 million). Random checks are the caller's to leave out
    (`groups_on`).
    """
    chance = p_offer(queue)
    flow = np.full(len(chance), -1, dtype=np.int64)
    flow[rows] = flow_of(queue)[rows]
    flow[~(chance >= sure)] = -1
    turn = np.zeros(len(chance), dtype=np.int64)
    turn[rows] = np.arange(len(rows))
    own = rows[flow[rows] >= 0]
    lead = own if near is None else _leader(flow, chance, turn, near)[own]
    own = own[np.lexsort((turn[own], -chance[own], turn[lead], -chance[lead], flow[own]))]
    starts = np.flatnonzero(np.diff(flow[own], prepend=-1))
    within = np.arange(len(own)) - np.repeat(starts, np.diff(starts, append=len(own)))
    pages = np.split(own, np.flatnonzero(within % size == 0)[1:]) if len(own) else []
    found = []
    for page in pages:
        page = page[np.lexsort((turn[page], -chance[page]))]
        what = offer_at(queue, int(page[0]))
        if len(page) > 1 and what is not None:
            found.append((float(turn[page].mean()), _group(queue, page, what, float(chance[page].mean()))))
    return [group for _, group in sorted(found, key=lambda one: one[0])]


def _leader(flow: np.ndarray, chance: np.ndarray, turn: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Where each face arrives that always goes to the surest of its nearest of the same flow: rows (N,)."""
    lead = np.arange(len(flow), dtype=np.int32)
    for other in near.T:  # a column at a time: a tenth of the memory
        # an equally sure face leads where it comes first, so that nobody goes in circles
        ahead = (chance[other] > chance[lead]) | ((chance[other] == chance[lead]) & (turn[other] < turn[lead]))
        lead = np.where((other >= 0) & (flow >= 0) & (flow[other] == flow) & ahead, other, lead)
    while not np.array_equal(further := lead[lead], lead):
        lead = further
    return lead


def _group(queue: Ranked, page: np.ndarray, what: Offer, chance: float) -> Group:
    return Group(
        given=queue.label(queue.given[page[0]]), suggested=queue.label(queue.suggested[page[0]]), offer=what,
        sample_ids=tuple(queue.ids[row] for row in page), p_offer=chance,
    )  # fmt: skip
