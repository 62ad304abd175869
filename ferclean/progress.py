"""How long work tells that it moves on: callables, so that no room below the command line prints.

It never draws anything itself; `ferclean.cli` turns the calls into a bar on stderr, or into lines where no bar can be.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with what is being done, how many units are done, and how many there are."""

    def __call__(self, description: str, done: int, total: int) -> None: ...


def silent(description: str, done: int, total: int) -> None:
    """The default: say nothing."""


class Tell(Protocol):
    """Called with one line when a piece of long work (a fold, a training) is done, was done before, is made again
    as its file is damaged (decoded pictures, too), or is waited for as another process is at it."""

    def __call__(self, line: str) -> None: ...


def unheard(line: str) -> None:
    """The default: nobody listens."""
