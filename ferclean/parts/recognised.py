"""What a data set at a path may be, for `ingest auto`: each layout tells what it knows after a bounded look.

It opens no picture and stores nothing.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from ferclean import sources
from ferclean.errors import UsageError
from ferclean.sources.glimpse import Guess

__all__ = ["AUTO", "Guess", "recognise", "sure", "the_sure_one"]

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
