"""Ensembles: sets of runs whose probabilities are read together, each chosen by a call that names its members.

An ensemble never changes, and no run joins one later: who wants other members chooses others. It holds no probability.
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
    """A number: 1 is the first that was chosen in a workspace."""
    members: tuple[str, ...]
    made_at: datetime
    """UTC."""


def choose_ensemble(ws: Workspace, members: Sequence[str], *, begun: bool = False) -> None:
    """From now on these finished runs are read together. Choosing the newest ensemble's members again is a no-op.

    With `begun` they need not be finished: what was asked for is known then, also where it breaks off. Raises
    UsageError for no member, one that comes twice, and otherwise for a run that is no scoring or was never finished.
    """
    if not members or len(set(members)) != len(members):
        raise UsageError(f"an ensemble needs members, each once; it was given {list(members)}")
    with ws.session("choosing an ensemble") as con:
        known = rows(con, "SELECT name, run_id FROM ensemble ORDER BY made_at, position")
        if known and [run_id for name, run_id in known if name == known[-1][0]] == list(members):
            return
        scorings = rows(con, "SELECT run_id FROM run WHERE kind = 'score'")
        # one that is being made anew was finished: what it said before lies there
        done = {run_id for (run_id,) in scorings if run_files.complete(ws, run_id, "score")}
        if not begun and (missing := [member for member in members if member not in done]):
            raise UsageError(
                f"{', '.join(missing)} cannot be a member: no finished run; {among(missing, sorted(done))}"
            )
        name, made = str(len({name for name, _ in known}) + 1), now()
        con.executemany(
            "INSERT INTO ensemble VALUES (?, ?, ?, ?)",
            [[name, position, member, made] for position, member in enumerate(members)],
        )


def list_ensembles(ws: Workspace) -> list[Ensemble]:
    """All ensembles, in the order in which they were chosen."""
    with ws.reading("reading ensembles") as con:
        found = rows(con, "SELECT name, run_id, made_at FROM ensemble ORDER BY made_at, position")
    members: dict[str, list[str]] = {}
    for name, run_id, _ in found:
        members.setdefault(name, []).append(run_id)
    made_at = {name: at for name, _, at in found}
    return [
        Ensemble(name=name, members=tuple(own), made_at=made_at[name].replace(tzinfo=UTC))
        for name, own in members.items()
    ]
