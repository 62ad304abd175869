"""Whose faces the queue shows: by the team's plan, without a row per face, and what others answered already.

It records nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ferclean.evidence.people.assigning import assigned
from ferclean.store import teams
from ferclean.store.standing import Word, others_words
from ferclean.store.teams import Plan
from ferclean.store.workspace import Workspace

if TYPE_CHECKING:
    from ferclean.review.desk import Desk


@dataclass(frozen=True, kw_only=True)
class Share:
    """One reviewer's part of the queue."""

    plan: Plan
    member: bool
    """The plan names this reviewer; whoever it does not name sees everything."""
    own: np.ndarray
    """(n,) bool by row of the queue: theirs to answer, as far as others have not done it."""
    independent: np.ndarray
    """(n,) bool: of two who answer it this reviewer is one, so that what the other said is hidden until they have."""


@dataclass(frozen=True, kw_only=True)
class Others:
    """What a reviewer may know of other people's answers about a face."""

    words: tuple[Word, ...] = ()
    """What stands of them, the latest last; empty also while it is hidden."""
    told: bool = False
    """What they said may be shown, not only who did: the reviewer has answered."""
    awaited: bool = False
    """The reviewer has answered, and the second answer that the plan asks for is still to come."""


def others_about(desk: Desk, sample_ids: Sequence[str], *, blind: bool) -> dict[str, Others]:
    """What may be known about each of these faces, read at this moment.

    Of a face that the plan has two answer, neither knows of the other before both have; nor does anybody in blind mode
    before they have answered. Elsewhere it is known beforehand who answered, and what only afterwards.
    """
    said = others_words(desk.ws, desk.reviewer, sample_ids)
    found = {}
    for one in sample_ids:
        stands, place = desk.standing.get(one), desk.items.place.get(one)
        answered = stands is not None
        two = desk.share is not None and place is not None and bool(desk.share.independent[place])
        hidden = not answered and (blind or two)
        found[one] = Others(
            words=() if hidden else tuple(said.get(one, ())), told=answered,
            awaited=answered and two and one not in said,
        )  # fmt: skip
    return found


def owed(desk: Desk, sample_id: str) -> bool:
    """The reviewer is still to answer this face as one of two: until then they hear nothing of the other's answer."""
    place = desk.items.place.get(sample_id)
    if desk.share is None or place is None or sample_id in desk.standing:
        return False
    return bool(desk.share.own[place] and desk.share.independent[place])


def plan_of(ws: Workspace) -> Plan | None:
    """The team's plan that holds; None where there is none."""
    return teams.get_plan(ws)


def planned_anew(desk: Desk) -> bool:
    """The team has made another plan since the desk was read."""
    return plan_of(desk.ws) != (None if desk.share is None else desk.share.plan)


def share_of(ws: Workspace, reviewer: str, sample_ids: Sequence[str]) -> Share | None:
    """The part of these samples that is this reviewer's; None without a plan.

    A sample is asked of one reviewer, or of two where the plan draws it; whoever answered it already is counted,
    whatever plan held then: a new plan takes nothing back and asks nobody for what is answered. 2 s at a million.
    """
    plan = teams.get_plan(ws)
    if plan is None:
        return None
    if reviewer not in plan.reviewers:
        everything = np.ones(len(sample_ids), dtype=bool)
        return Share(plan=plan, member=False, own=everything, independent=~everything)
    place = plan.reviewers.index(reviewer)
    first, second = assigned(sample_ids, plan.reviewers, overlap=plan.overlap, seed=plan.seed)
    theirs = (first == place) | (second == place)
    others = teams.others_counted(ws, reviewer)
    answered = np.fromiter((others.get(one, 0) for one in sample_ids), dtype=np.int64, count=len(sample_ids))
    return Share(
        plan=plan, member=True, own=theirs & (answered < 1 + (second >= 0)), independent=theirs & (second >= 0)
    )
