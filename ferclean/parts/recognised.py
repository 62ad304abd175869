"""What a data set at a path may be, for `ingest auto`: each layout tells what it knows after a bounded look.

It opens no picture and stores nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from shlex import quote

from ferclean import sources
from ferclean.errors import BadDataError, FercleanError, OtherSetError, UsageError
from ferclean.sources.cards import Card, load_card
from ferclean.sources.glimpse import Guess

__all__ = ["AUTO", "Guess", "not_looked_at", "or_what_it_is", "recognise", "sure", "the_sure_one"]

AUTO = "auto"
"""In the place of a card: whatever `recognise` is sure of."""


def recognise(path: str | Path) -> list[Guess]:
    """What the data set at `path` may be, the surest first, each with its evidence in words.

    The look takes some names of each folder and the first rows of tables, whatever the size of the set. Raises
    BadDataError, telling what was seen, where nothing is recognised.
    """
    return sources.recognise(Path(path))


def sure(guesses: list[Guess]) -> Guess | None:
    """The first guess where no other is as sure as it; None where a person must choose."""
    first, *others = guesses
    return None if any(other.confidence == first.confidence for other in others) else first


def the_sure_one(guesses: list[Guess]) -> Guess:
    """`sure`, or a UsageError that lists what a person must choose from."""
    guess = sure(guesses)
    if guess is None:
        shown = "; ".join("ferclean ingest " + " ".join(map(quote, one.words())) for one in guesses)
        raise UsageError(f"it may be one of several data sets; say which: {shown}")
    return guess


def not_looked_at(guesses: list[Guess]) -> str:
    """The sentence about what lies beside the sets and was passed over, perhaps another set; "" for nothing."""
    beside = guesses[0].beside
    return f"not looked at: {beside}; name the folder of a set that lies there" if beside else ""


@contextmanager
def or_what_it_is(
    path: Path, card: str | Path | Card, layout: str | None, options: Mapping[str, object]
) -> Iterator[None]:
    """Errors about a set that is not in the layout that was asked for also say what a look takes it for."""
    try:
        yield
    except BadDataError as error:
        if card != AUTO and not isinstance(error, OtherSetError):
            error.args = (f"{error}{_what_it_is(path, card, layout, options)}",)
        raise


def _what_it_is(path: Path, card: str | Path | Card, layout: str | None, options: Mapping[str, object]) -> str:
    """The sentence; none where it is in that layout, or nothing is sure."""
    known = card if isinstance(card, Card) else load_card(card)
    known = replace(known, layout=layout or known.layout)
    try:
        next(iter(sources.read(path, known, options)), None)
    except FercleanError:
        with suppress(FercleanError):
            guess = sure(recognise(path))
            tried = {**options, "layout": layout}.items()
            if guess and not ((guess.card, guess.path) == (known.name, path) and guess.options.items() <= tried):
                where = "" if guess.path == path else f" in {guess.path}"
                said = f"{guess.card}{where}, for {'; '.join(guess.evidence)}"
                way = f"`ferclean ingest auto {quote(str(path))}` (or `ferclean doctor auto {quote(str(path))}`)"
                return f". By a look it is {said}: {way} reads it so"
    return ""
