"""`ferclean ingest auto`: say what a data set is taken for and why, and ask, or do it with --yes.

It stores nothing, and asks only where somebody can answer.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ferclean.cli.plumbing import Session, quoted, warn

if TYPE_CHECKING:
    from ferclean.parts.recognised import Guess

ASKS = 3
"""Exit code where something was recognised and nobody could be asked: the commands are printed."""


def chosen(session: Session, path: Path, *, yes: bool) -> Guess:
    """What the data set at `path` shall be ingested as.

    With `yes` the surest; on a terminal what the person picks; else the commands are printed, the likeliest first, and
    the program ends with 3. Raises UsageError for `yes` where two are equally likely, and BadDataError where nothing is
    recognised.
    """
    from ferclean.parts.recognised import recognise, sure, the_sure_one

    guesses = recognise(path)
    commands = [_command(session, guess) for guess in guesses]
    if yes:
        best = the_sure_one(guesses)
        if not session.quiet:
            warn(f"{best.confidence}: {best.card} at {best.path}, for {'; '.join(best.evidence)}")
        return best
    asks = sys.stdin.isatty() and sys.stdout.isatty() and not session.as_json and not session.quiet
    for number, (guess, command) in enumerate(zip(guesses, commands, strict=True), start=1):
        session.say(f"{f'{number}. ' if asks else ''}{command}")
        if not session.as_json and not session.quiet:
            warn(f"   {guess.confidence}: {'; '.join(guess.evidence)}")
    if not asks:
        told = [{**guess.as_dict(), "command": said} for guess, said in zip(guesses, commands, strict=True)]
        session.emit("ingest", {"recognised": told})
        session.note("nothing was ingested: run one of these commands, or add --yes where one is surer than the others")
        raise typer.Exit(ASKS)
    answer = typer.prompt(f"ingest 1 to {len(guesses)}, or n for none", default="1" if sure(guesses) else "n").strip()
    if not answer.isdecimal() or not 1 <= int(answer) <= len(guesses):
        raise typer.Exit(ASKS)
    return guesses[int(answer) - 1]


def _command(session: Session, guess: Guess) -> str:
    place = "" if session.workspace_origin in ("default", "environment") else f"-w {quoted(session.workspace)} "
    return f"ferclean {place}ingest {' '.join(map(quoted, guess.words()))}"
