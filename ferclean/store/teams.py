"""The team's plan: who reviews with whom, and which shares are answered twice; the last plan holds, none is lost.

It keeps no row per sample: whose sample it is, is worked out in `ferclean.evidence.people.assigning`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from ferclean.errors import UsageError
from ferclean.store.exchange import insert, now, rows, text
from ferclean.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Who reviews with whom."""

    reviewers: tuple[str, ...]
    """Each once, in the order given."""
    overlap: float = 0.0
    """Share in [0, 1] of the faces that two reviewers answer, each without the other."""
    repeats: float = 0.0
    """Faces that a reviewer is asked about a second time, per face of the queue, in [0, 1]."""
    honeypots: float = 0.0
    """Faces about which people are unanimous already, per face of the queue, in [0, 1]."""
    seed: int = 0
    """Of every choice that follows."""
    made_by: str
    made_at: datetime | None = None
    """UTC, without a zone; None before it is stored."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        when = None if self.made_at is None else f"{self.made_at:%Y-%m-%dT%H:%M:%SZ}"
        return asdict(self) | {"reviewers": list(self.reviewers), "made_at": when}


def put_plan(ws: Workspace, plan: Plan) -> Plan:
    """Store a plan, which holds from now on; it comes back with its moment.

    Raises UsageError for no reviewer, a name twice or empty, or a share outside [0, 1].
    """
    names = [name.strip() for name in plan.reviewers]
    if not names or not all(names):
        raise UsageError("a plan needs reviewers, each with a name: --reviewers ann,bo")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{twice[0]!r} is twice among the reviewers; name each once")
    for name in ("overlap", "repeats", "honeypots"):
        if not 0 <= (share := getattr(plan, name)) <= 1:
            raise UsageError(f"--{name} is a share in [0, 1], got {share}")
    with ws.session("storing the team's plan") as con:
        columns = {
            "plan": pa.array([rows(con, "SELECT count(*) + 1 FROM team_plan")[0][0]], type=pa.int64()),
            "reviewers": pa.array([names], type=pa.list_(pa.string())),
            **{name: [float(getattr(plan, name))] for name in ("overlap", "repeats", "honeypots")},
            "seed": pa.array([plan.seed], type=pa.int64()),
            "made_by": text([plan.made_by]),
            "made_at": pa.array([now()], type=pa.timestamp("us")),
        }
        insert(con, "team_plan", columns)
        (stored,) = _plans(con)[-1:]
        return stored


def get_plan(ws: Workspace) -> Plan | None:
    """The plan that holds; None where there never was one."""
    with ws.reading("reading the team's plan") as con:
        found = _plans(con)
        return found[-1] if found else None


def _plans(con: Any) -> list[Plan]:
    sql = "SELECT reviewers, overlap, repeats, honeypots, seed, made_by, made_at FROM team_plan ORDER BY plan"
    return [
        Plan(
            reviewers=tuple(names), overlap=overlap, repeats=repeats, honeypots=honeypots, seed=seed, made_by=who,
            made_at=when,
        )
        for names, overlap, repeats, honeypots, seed, who, when in rows(con, sql)
    ]  # fmt: skip


def others_counted(ws: Workspace, reviewer: str) -> dict[str, int]:
    """Sample -> how many other people's answers stand about it; samples without any are left out."""
    with ws.reading("reading decisions") as con:
        sql = "SELECT sample_id, count(DISTINCT reviewer) FROM standing_decision WHERE reviewer <> ? GROUP BY sample_id"
        return dict(rows(con, sql, [reviewer]))


def answered_by(ws: Workspace) -> list[tuple[str, str]]:
    """(sample, reviewer) of every answer that stands, in order of the samples' ids."""
    with ws.reading("reading decisions") as con:
        return rows(con, "SELECT DISTINCT sample_id, reviewer FROM standing_decision ORDER BY sample_id, reviewer")
