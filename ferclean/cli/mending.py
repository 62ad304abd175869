"""`ferclean doctor --fix`: how many pictures it would exclude and why, one question, one bulk.

It decides nothing that was not shown first, and asks only where somebody can answer.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import typer

from ferclean.cli.plumbing import Session
from ferclean.errors import UsageError

if TYPE_CHECKING:
    from ferclean.steps.doctor import DoctorReport, Fix

SHOWN = 20
"""Pictures that are listed; `--json` names all."""


def refuse_without_fix(context: typer.Context) -> None:
    """Raise UsageError for an option that means nothing without --fix, where the command line gives it."""
    for name, word in (("dry_run", "--dry-run"), ("yes", "--yes"), ("reviewer", "--reviewer")):
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE":
            raise UsageError(f"{word} goes with --fix: `ferclean doctor --fix {word}`")


def mended(session: Session, report: DoctorReport, reviewer: str | None, *, dry_run: bool, yes: bool) -> Fix:
    """Show what would be excluded, ask unless `yes`, and record it.

    Where nobody can be asked, and with `dry_run`, nothing is recorded.
    """
    from ferclean.review.desk import default_reviewer
    from ferclean.steps.doctor import fix

    ws, who = session.open(), reviewer or default_reviewer()
    planned = fix(ws, report, reviewer=who, dry_run=True)
    session.table(
        ["to exclude", "split", "given label", "why"],
        [
            [one["source_key"], one["split"], one["given_label"] or "", ", ".join(one["why"])]
            for one in planned.excluded[:SHOWN]
        ],
    )
    if len(planned.excluded) > SHOWN:
        session.say(f"and {len(planned.excluded) - SHOWN:,} more")
    counted = Counter(kind for one in planned.excluded for kind in one["why"])
    told = ", ".join(f"{kind} {count:,}" for kind, count in counted.most_common())
    session.say(f"{len(planned.excluded):,} pictures would be excluded{f' ({told})' if told else ''}; no file changes")
    if planned.decided:
        session.say(f"{planned.decided:,} were decided about already, and stay as they are")
    for kind, count in planned.asks.items():
        session.say(f"left to people: {kind} ({count:,} samples)")
    if dry_run or not planned.excluded:
        return planned
    if not yes:
        if not (sys.stdin.isatty() and sys.stdout.isatty()) or session.as_json or session.quiet:
            session.note("nothing was excluded: nobody can be asked here; add --yes to record it")
            return planned
        if not typer.confirm(f"exclude {len(planned.excluded):,} pictures, as decisions of {who}?"):
            session.say("nothing was excluded")
            return planned
    done = fix(ws, report, reviewer=who, asked=planned)
    if done.bulk_id is None:
        session.say("nothing was excluded: meanwhile somebody decided about some of them; run it again")
    else:
        session.say(f"{len(done.excluded):,} pictures excluded, in the bulk {done.bulk_id}")
    return done


def after(done: Fix) -> str:
    """What to run next."""
    return f"undo --bulk {done.bulk_id}" if done.bulk_id else "score"
