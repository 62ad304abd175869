"""Faces mixed into a reviewer's queue to measure the reviewer: some a second time, some of which people are sure.

Which face is followed by one, and by which kind, is drawn by the plan's digest; nothing on the screen tells them apart
from the rest. It records nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferclean.evidence.people.assigning import digests, drawn
from ferclean.store import checks
from ferclean.store.decisions import CHECKS
from ferclean.store.teams import Plan
from ferclean.store.workspace import Workspace

if TYPE_CHECKING:
    from ferclean.review.desk import Desk

GAP = 20
"""Answers that lie at least between a face and the same face again."""
_TRIES = 16  # looks for a face that may be asked about again


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A face as it is asked about."""

    sample_id: str
    check: str = ""
    """One of CHECKS; empty: in earnest."""
    after: str
    """The face of the selection that it is, or that it comes after: the place from which one goes on."""


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What a reviewer may be asked to be measured."""

    plan: Plan
    sure: tuple[str, ...]
    """Faces of which people are sure, in the order of their ids."""
    answered: set[tuple[str, str]] = field(default_factory=set)
    """(check, sample) that the reviewer has answered (`desk.refresh` reads them): those are asked no more."""


def checks_of(ws: Workspace, reviewer: str, plan: Plan | None) -> Checks | None:
    """What `reviewer` may be asked; None where the plan asks for none, or names somebody else."""
    if plan is None or reviewer not in plan.reviewers or not (plan.repeats or plan.honeypots):
        return None
    sure = tuple(checks.sure(ws)) if plan.honeypots else ()
    return Checks(plan=plan, sure=sure)


def mixed(desk: Desk, sample_ids: Sequence[str], *, selection: Sequence[str]) -> list[Asked]:
    """These open faces, with the checks that follow some of them."""
    found: list[Asked] = []
    known = desk.checks
    due = {} if known is None or not sample_ids else {
        kind: drawn(sample_ids, share, known.plan.seed, kind, desk.reviewer)
        for kind, share in (("repeat", known.plan.repeats), ("honeypot", known.plan.honeypots))
    }  # fmt: skip
    taken: set[str] = set()
    for row, one in enumerate(sample_ids):
        found.append(Asked(sample_id=one, after=one))
        for kind, asked in due.items():
            if asked[row] and (other := _one(desk, kind, one, taken, selection)) is not None:
                taken.add(other)
                found.append(Asked(sample_id=other, check=kind, after=one))
    return found


def _one(desk: Desk, kind: str, after: str, taken: set[str], selection: Sequence[str]) -> str | None:
    assert desk.checks is not None
    standing = desk.standing
    pool: Sequence[str] = desk.checks.sure if kind == "honeypot" else list(standing)[:-GAP]
    if not pool:
        return None
    start = int(digests([after], desk.checks.plan.seed, "which", kind, desk.reviewer)[0] % len(pool))
    for step in range(min(_TRIES, len(pool))):
        one = pool[(start + step) % len(pool)]
        if one in taken or (kind, one) in desk.checks.answered or one not in desk.items:
            continue
        own = standing.get(one)
        if kind == "repeat" and own is not None and own.reviewer == desk.reviewer:
            return one
        if kind == "honeypot" and own is None and one not in selection:  # those it asks about in earnest
            return one
    return None


def token(reviewer: str, sample_id: str, check: str = "") -> str:
    """What goes to the browser and comes back with the answer, so that nobody reads from it what the answer is for."""
    return hashlib.sha256(f"{check}\0{reviewer}\0{sample_id}".encode()).hexdigest()[:16]


def check_of(reviewer: str, sample_id: str, sent: str) -> str:
    """Which check a token is for; empty for none."""
    return next((kind for kind in CHECKS if sent == token(reviewer, sample_id, kind)), "")
