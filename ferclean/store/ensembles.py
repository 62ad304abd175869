"""Ensembles: named sets of runs whose probabilities are read together.

An ensemble never changes: putting it again is fine only when its members are the same. It holds no probability itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ferclean.errors import UsageError, among
from ferclean.store import run_files
from ferclean.store.exchange import now, rows
from ferclean.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """A name and the ids of its member runs, in the order in which they were given."""

    name: str
    members: tuple[str, ...]
    made_at: datetime
    """UTC."""


def put_ensemble(ws: Workspace, name: str, members: Sequence[str]) -> None:
    """Name an ensemble of finished runs. The same name with the same members, in any order, is a no-op.

    Raises UsageError for no member, one that comes twice, a run that is unknown or not done, and a name that is taken
    by other members.
    """
    if not name.strip() or not members or len(set(members)) != len(members):
        raise UsageError(f"the ensemble {name!r} needs a name and members, each once; it was given {list(members)}")
    with ws.session(f"naming the ensemble {name}") as con:
        taken = [row[0] for row in rows(con, "SELECT run_id FROM ensemble WHERE name = ?", [name])]
        if taken:
            if set(taken) == set(members):
                return
            raise UsageError(f"the ensemble {name!r} has other members ({', '.join(taken)}); choose another name")
        ended = rows(con, "SELECT run_id, kind FROM run WHERE state = 'done'")
        done = {run_id for run_id, kind in ended if run_files.complete(ws, run_id, kind)}
        if missing := [member for member in members if member not in done]:
            raise UsageError(
                f"{', '.join(missing)} cannot be a member: no finished run; {among(missing, sorted(done))}"
            )
        made = now()
        con.executemany(
            "INSERT INTO ensemble VALUES (?, ?, ?, ?)",
            [[name, position, member, made] for position, member in enumerate(members)],
        )


def get_ensemble(ws: Workspace, name: str) -> Ensemble:
    """An ensemble by its name. Raises UsageError, listing the known ones, when there is none."""
    known = {ensemble.name: ensemble for ensemble in list_ensembles(ws)}
    if name not in known:
        raise UsageError(f"unknown ensemble {name!r}; {among(name, known)}")
    return known[name]


def list_ensembles(ws: Workspace) -> list[Ensemble]:
    """All ensembles, oldest first."""
    with ws.reading("reading ensembles") as con:
        found = rows(con, "SELECT name, run_id, made_at FROM ensemble ORDER BY made_at, name, position")
    names = dict.fromkeys(row[0] for row in found)
    return [
        Ensemble(
            name=name,
            members=tuple(row[1] for row in found if row[0] == name),
            made_at=next(row[2] for row in found if row[0] == name).replace(tzinfo=UTC),
        )
        for name in names
    ]
