"""Who reviews with whom: stores the team's plan, and tells how far each one is with their part of the queue.

Whose face it is follows from the plan and the face's id: nothing is stored per face, and decisions are never moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ferclean.errors import UsageError
from ferclean.evidence.people.assigning import assigned
from ferclean.review.desk import default_reviewer
from ferclean.review.ranked import asked_for
from ferclean.store import teams
from ferclean.store.table import ranked
from ferclean.store.teams import Plan
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Team(Summary):
    """The plan in force and everybody's progress in the queue: what is judged neither clean nor ambiguous, and the
    random faces."""

    plan: dict[str, Any] | None
    """`ferclean.store.teams.Plan` as a mapping; None without one."""
    queue: int
    """Faces of the queue."""
    answered: int
    """Of them, those about which somebody's answer stands."""
    twice: int
    """Of them, those that two people are to answer."""
    both: int
    """Of these, those that two or more have answered."""
    people: list[dict[str, Any]]
    """Each of the plan and everybody else who answered: reviewer, planned (bool), faces (theirs by the plan), answered
    (by them, anybody's), left (theirs and not answered often enough yet)."""


def team(
    ws: Workspace,
    *,
    reviewers: Sequence[str] | None = None,
    overlap: float | None = None,
    made_by: str | None = None,
) -> Team:
    """Store a plan where anything of one is named, else tell how far everybody is.

    What is not named stays as in the plan before. Raises UsageError for shares without reviewers, or reviewers that
    cannot be one.
    """
    plan = teams.get_plan(ws)
    if reviewers is not None or overlap is not None:
        who = made_by or default_reviewer()
        wanted = replace(plan, made_by=who) if plan else Plan(reviewers=(), made_by=who)
        if reviewers is not None:
            wanted = replace(wanted, reviewers=tuple(reviewers))
        elif plan is None:
            raise UsageError("there is no plan yet: name who reviews, --reviewers ann,bo")
        plan = teams.put_plan(ws, wanted if overlap is None else replace(wanted, overlap=overlap))
    return _told(ws, plan)


def _told(ws: Workspace, plan: Plan | None) -> Team:
    with ws.reading("counting the team's answers"):
        queue, answers = ranked(ws), teams.answered_by(ws)
    ids = [queue.ids[row] for row in np.flatnonzero(asked_for(queue))] if queue.ids else []
    place = {sample_id: row for row, sample_id in enumerate(ids)}
    said: dict[str, set[int]] = {}
    for sample_id, reviewer in answers:
        if sample_id in place:
            said.setdefault(reviewer, set()).add(place[sample_id])
    answered = np.zeros(len(ids), dtype=np.int64)
    for rows in said.values():
        answered[list(rows)] += 1
    names = plan.reviewers if plan else ()
    first = second = np.full(len(ids), -1, dtype=np.int64)
    if plan and ids:
        first, second = assigned(ids, names, overlap=plan.overlap, seed=plan.seed)
    twice = second >= 0
    people = []
    for number, name in enumerate([*names, *sorted(set(said) - set(names))]):
        own = (first == number) | (second == number)
        unasked = own & (answered < 1 + twice)
        unasked[list(said.get(name, ()))] = False
        people.append({
            "reviewer": name, "planned": name in names, "faces": int(own.sum()), "answered": len(said.get(name, ())),
            "left": int(unasked.sum()),
        })  # fmt: skip
    return Team(
        plan=plan.as_dict() if plan else None, queue=len(ids), answered=int((answered > 0).sum()),
        twice=int(twice.sum()), both=int((twice & (answered > 1)).sum()), people=people,
    )  # fmt: skip
