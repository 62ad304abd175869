"""JSON files of other tools, however large: one element of a list, or one entry of a mapping, at a time.

It never holds a whole file, and never takes the last of two entries of one name for the only one.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ferclean.errors import BadDataError, UsageError

_CHUNK = 256 * 1024
_MAX_ELEMENT = 64 * 1024 * 1024
"""Characters of one element: no picture's labels need that much."""
_LOOK = 1024 * 1024 * 1024
"""Bytes in which `value_of` looks for a key."""
_SPACE = re.compile(r"[ \t\r\n]*")
_ENDS = ",]}: \t\r\n"


def elements_of(path: Path) -> Iterator[tuple[str | None, Any]]:
    """(key, element) for each element of the file's lists, in its order; of a list that is the file itself the key is
    None, of a mapping in the file the element is (name, value), and any other value of the file is its own element.

    `{"info": 1, "images": [{"id": 1}, {"id": 2}]}` gives ("info", 1), ("images", {"id": 1}), ("images", {"id": 2}).
    Numbers that JSON does not have (NaN) are taken as they are. Raises UsageError for a file that cannot be read,
    BadDataError for what is no JSON in UTF-8, keys that come twice, an element beyond 64 MiB or nested too deep.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            yield from _Reader(handle).file()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise BadDataError(f"{path} is not JSON in UTF-8 ({error.reason}, byte {error.start})") from None
    except RecursionError:
        raise BadDataError(f"{path} is nested too deep to be anybody's labels") from None
    except ValueError as error:
        raise BadDataError(f"{path} is not JSON as it is read here: {error}") from None


def value_of(path: Path, key: str) -> Any:
    """The value of the first `key` in a JSON file, found without reading the rest; None where there is none."""
    try:
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as text:
            found = re.compile(rb'"%b"\s*:' % re.escape(key.encode())).search(text, 0, min(len(text), _LOOK))
            start = text[found.end() : found.end() + _CHUNK].decode("utf-8", "replace") if found else ""
        return json.JSONDecoder().raw_decode(start.lstrip())[0] if start else None
    except (OSError, ValueError, RecursionError):  # an empty file, or no JSON: others say so
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} comes twice")
    return found


class _Reader:
    """The text that has been read and not yet used, and what stands next in it."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.decoder = json.JSONDecoder(object_pairs_hook=_once)
        self.text, self.at, self.whole = "", 0, False
        self.lines = 1

    def file(self) -> Iterator[tuple[str | None, Any]]:
        if self.next() == "[":
            yield from ((None, element) for element in self.list())
        elif self.next() == "{":
            seen: set[str] = set()
            for key in self.keys(seen):
                if self.next() == "[":
                    yield from ((key, element) for element in self.list())
                elif self.next() == "{":
                    yield from ((key, (name, self.value())) for name in self.keys(set()))
                else:
                    yield key, self.value()
        else:
            raise ValueError("it starts with neither [ nor {")
        if self.next():
            raise ValueError(f"something stands behind its end (line {self.line()})")

    def list(self) -> Iterator[Any]:
        self.take("[")
        if self.next() == "]":
            self.take("]")
            return
        while True:
            yield self.value()
            if self.next() != ",":
                break
            self.take(",")
        self.take("]")

    def keys(self, seen: set[str]) -> Iterator[str]:
        """Each key of a mapping; whoever asks for the next has taken the value."""
        self.take("{")
        if self.next() == "}":
            self.take("}")
            return
        while True:
            key = self.value() if self.next() == '"' else None
            if key is None or key in seen:
                wrong = "a key is missing" if key is None else f"the key {key!r} comes twice"
                raise ValueError(f"{wrong} (line {self.line()})")
            seen.add(key)
            self.take(":")
            yield key
            if self.next() != ",":
                break
            self.take(",")
        self.take("}")

    def value(self) -> Any:
        self.next()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
                # a number that the chunk cuts in two is a shorter number
                if self.whole or (end < len(self.text) and self.text[end] in _ENDS):
                    self.at = end
                    return value
            except json.JSONDecodeError as error:
                if self.whole:
                    raise ValueError(f"{error.msg} (line {self.lines + error.lineno - 1})") from None
            if len(self.text) - self.at > _MAX_ELEMENT:
                raise ValueError(f"an element is larger than {_MAX_ELEMENT:,} characters (line {self.line()})")
            self.more(len(self.text) - self.at)

    def next(self) -> str:
        """The next sign that is no space, "" at the end."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text) or self.whole:
                return self.text[self.at : self.at + 1]
            self.more(0)

    def take(self, sign: str) -> None:
        if self.next() != sign:
            found = self.next()
            raise ValueError(f"{sign} is missing{f' before {found}' if found else ' at its end'} (line {self.line()})")
        self.at += 1

    def more(self, held: int) -> None:
        """Read on, twice as far when much is held already: no element is looked at more often than it doubles."""
        self.lines += self.text.count("\n", 0, self.at)
        chunk = self.handle.read(max(_CHUNK, held))
        self.text, self.at, self.whole = self.text[self.at :] + chunk, 0, not chunk

    def line(self) -> int:
        return self.lines + self.text.count("\n", 0, self.at)
