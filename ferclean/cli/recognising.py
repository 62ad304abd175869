"""`ferclean ingest auto`: say what a data set is taken for and why, and ask, or do it with --yes.

It stores nothing, and asks only where somebody can answer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ferclean.cli.plumbing import Session, quoted, warn

if TYPE_CHECKING:
    from ferclean.parts.at_hand import AtHand, Caps
    from ferclean.parts.recognised import Guess

ASKS = 3
"""Exit code where something was recognised and nobody could be asked: the commands are printed."""


@contextmanager
def chosen(
    session: Session, path: str | Path, *, yes: bool, caps: Caps | None = None, keep: bool = True
) -> Iterator[Guess]:
    """What the data set at `path` shall be ingested as, and where it lies until the block ends (`parts.at_hand`).

    With `yes` the surest; on a terminal what the person picks; else the commands are printed, the likeliest first, and
    the program ends with 3. Raises UsageError for `yes` where two are equally likely, and BadDataError where nothing is
    recognised.
    """
    from ferclean.parts.at_hand import at_hand
    from ferclean.parts.recognised import not_looked_at, recognise
    from ferclean.store.workspace import SOURCES

    with ExitStack() as stack:
        with session.progress() as progress:
            here = stack.enter_context(
                at_hand(session.workspace / SOURCES, path, caps=caps, keep=keep, progress=progress)
            )
        guesses = recognise(here.path)
        if (beside := not_looked_at(guesses)) and not session.quiet:
            warn(f"note: {here.told(beside)}")
        guess = _chosen(session, guesses, here, yes=yes)
        for sentence in here.notes:
            session.note(sentence)
        yield guess


def _chosen(session: Session, guesses: list[Guess], here: AtHand, *, yes: bool) -> Guess:
    from ferclean.parts.recognised import sure, the_sure_one

    commands = [_command(session, guess, here) for guess in guesses]
    if yes:
        best = the_sure_one(guesses)
        if not session.quiet:
            warn(f"{best.confidence}: {best.card} at {here.told(str(best.path))}, for {'; '.join(best.evidence)}")
        return best
    asks = sys.stdin.isatty() and sys.stdout.isatty() and not session.as_json and not session.quiet
    for number, (guess, command) in enumerate(zip(guesses, commands, strict=True), start=1):
        session.say(f"{f'{number}. ' if asks else ''}{command}")
        if not session.as_json and not session.quiet:
            warn(f"   {guess.confidence}: {'; '.join(guess.evidence)}")
    if not asks:
        told = [
            {**guess.as_dict(), "path": here.told(str(guess.path)), "command": said}
            for guess, said in zip(guesses, commands, strict=True)
        ]
        session.emit("ingest", {"recognised": told})
        session.note("nothing was ingested: run one of these commands, or add --yes where one is surer than the others")
        raise typer.Exit(ASKS)
    answer = typer.prompt(f"ingest 1 to {len(guesses)}, or n for none", default="1" if sure(guesses) else "n").strip()
    if not answer.isdecimal() or not 1 <= int(answer) <= len(guesses):
        raise typer.Exit(ASKS)
    return guesses[int(answer) - 1]


def _command(session: Session, guess: Guess, here: AtHand) -> str:
    place = "" if session.workspace_origin in ("default", "environment") else f"-w {quoted(session.workspace)} "
    return f"ferclean {place}ingest {' '.join(quoted(here.told(word)) for word in guess.words())}"
