"""The errors a user can meet, each with the exit code that the command line returns for it.

Messages say what went wrong, where, and how to mend it. Nothing here prints or exits.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FercleanError(Exception):
    """Something failed that the user can act on; the command line shows one line and exits with `exit_code`."""

    kind = "failure"
    exit_code = 1


class UsageError(FercleanError):
    """The call itself is off: an unknown class, method or option. Lists the known ones."""

    kind = "usage"
    exit_code = 2


class BadDataError(FercleanError):
    """The data cannot be what it claims to be; names the rows or files."""

    kind = "bad_data"
    exit_code = 4


class OtherSetError(BadDataError):
    """The data are another known set than the one that the card describes."""


class WorkspaceBusyError(FercleanError):
    """Another process holds the workspace; names it."""

    kind = "busy"
    exit_code = 5


def few(names: Iterable[object], count: int = 5) -> str:
    """The first of them, and how many more there are: for every message about names that may be many.

    >>> few(["a", "b"]), few("abcdefg")
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    listed = [str(name) for name in names]
    return ", ".join(listed[:count]) + (f" and {len(listed) - count:,} more" if len(listed) > count else "")


def among(name: str | Iterable[str], known: Iterable[object]) -> str:
    """The end of every error about a name (or several) that is none of `known`: the nearest, then all of them.

    >>> among("Trian", ["train", "test"])
    "did you mean 'train'? known: train, test"
    >>> among("xyz", ["train", "test"])
    'known: train, test'
    """
    listed = list(map(str, known))
    return f"{nearest(name, listed)}known: {', '.join(listed) or 'none'}"


def nearest(name: str | Iterable[str], known: Iterable[str]) -> str:
    """The guess alone, for where the known ones are told in other words; empty when nothing is near.

    >>> nearest("hapiness", ["happiness", "fear"]), nearest("x", ["fear"])
    ("did you mean 'happiness'? ", '')
    """
    alike: dict[str, str] = {}
    for entry in known:
        alike.setdefault(_folded(entry), entry)
    near = [
        alike[match]
        for one in ([name] if isinstance(name, str) else name)
        for match in difflib.get_close_matches(_folded(one), alike, n=1)
    ]
    return f"did you mean {', '.join(map(repr, dict.fromkeys(near)))}? " if near else ""


def _folded(name: str) -> str:
    return name.strip().casefold().replace("_", "-")
