"""Whose faces the queue shows: by the team's plan, without a row per face, and what others answered already.

It records nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ferclean.evidence.people.assigning import assigned
from ferclean.store import teams
from ferclean.store.teams import Plan
from ferclean.store.workspace import Workspace


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


def share_of(ws: Workspace, reviewer: str, sample_ids: Sequence[str]) -> Share | None:
    """The part of these samples that is this reviewer's; None without a plan.

    A sample is asked of one reviewer, or of two where the plan draws it; whoever answered it already is counted,
    whatever plan held then: a new plan takes nothing back and asks nobody for what is answered. 0.5 s at a million.
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
