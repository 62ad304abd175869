"""How long work tells that it moves on: a callable, so that no room below the command line prints.

It never draws anything itself; `ferclean.cli` turns the calls into a bar on stderr.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with what is being done, how many units are done, and how many there are."""

    def __call__(self, description: str, done: int, total: int) -> None: ...


def silent(description: str, done: int, total: int) -> None:
    """The default: say nothing."""
