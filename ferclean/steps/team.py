"""Who reviews with whom: stores the team's plan, and tells how far each one is with their part of the queue.

Whose face it is follows from the plan and the face's id: nothing is stored per face, and decisions are never moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import UsageError
from ferclean.evidence.people.assigning import assigned
from ferclean.evidence.verdict.independence import wilson
from ferclean.review.desk import default_reviewer
from ferclean.review.ranked import asked_for
from ferclean.store import checks, teams
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
    sure: int
    """Faces of which votes or reviewers are sure, that a honeypot may be; 0 where the plan asks for none."""
    people: list[dict[str, Any]]
    """Each of the plan and everybody else who answered: reviewer, planned (bool), faces (theirs by the plan), answered
    (by them, anybody's), left (theirs and not answered often enough yet), repeats (faces asked a second time: those
    answered as before) and honeypots (faces of which people are sure: those answered so), each as a mapping of right,
    rows, estimate, low and high (95 %); None before there is one."""


def team(
    ws: Workspace,
    *,
    reviewers: Sequence[str] | None = None,
    overlap: float | None = None,
    repeats: float | None = None,
    honeypots: float | None = None,
    made_by: str | None = None,
) -> Team:
    """Store a plan where anything of one is named, else tell how far everybody is.

    What is not named stays as in the plan before. Raises UsageError for shares without reviewers, or reviewers that
    cannot be one.
    """
    plan = teams.get_plan(ws)
    if (reviewers, overlap, repeats, honeypots) != (None, None, None, None):
        who = made_by or default_reviewer()
        wanted = replace(plan, made_by=who) if plan else Plan(reviewers=(), made_by=who)
        if reviewers is not None:
            wanted = replace(wanted, reviewers=tuple(reviewers))
        elif plan is None:
            raise UsageError("there is no plan yet: name who reviews, --reviewers ann,bo")
        wanted = replace(
            wanted,
            overlap=wanted.overlap if overlap is None else overlap,
            repeats=wanted.repeats if repeats is None else repeats,
            honeypots=wanted.honeypots if honeypots is None else honeypots,
        )
        plan = teams.put_plan(ws, wanted)
    return _told(ws, plan)


def _told(ws: Workspace, plan: Plan | None) -> Team:
    with ws.reading("counting the team's answers"):
        queue, answers, measured = ranked(ws), teams.answered_by(ws), checks.answered(ws)
        sure = checks.sure(ws) if (plan and plan.honeypots) or (measured["source"] == "honeypot").any() else {}
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
            "left": int(unasked.sum()), **_measured(measured[measured["reviewer"] == name], sure),
        })  # fmt: skip
    return Team(
        plan=plan.as_dict() if plan else None, queue=len(ids), answered=int((answered > 0).sum()),
        twice=int(twice.sum()), both=int((twice & (answered > 1)).sum()), people=people, sure=len(sure),
    )  # fmt: skip


def _measured(answers: pd.DataFrame, sure: Mapping[str, str]) -> dict[str, dict[str, float] | None]:
    """What one reviewer's answers to checks come to. What nobody is sure of any longer counts no more."""
    rows = list(zip(answers["source"], answers["sample_id"], answers["said"], answers["earlier"], strict=True))
    told = {
        "repeats": [said == earlier for kind, _, said, earlier in rows if kind == "repeat" and earlier is not None],
        "honeypots": [said == sure[one] for kind, one, said, _ in rows if kind == "honeypot" and one in sure],
    }
    return {
        name: {"right": sum(hits), **asdict(wilson(np.array(hits)))} if hits else None for name, hits in told.items()
    }
