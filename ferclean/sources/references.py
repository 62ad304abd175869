"""The pictures that another tool's export names: below the set's folder, under that name or a tail of its path.

It never opens a picture, never leaves the folder, and never lets two tails of different lengths stand in one export.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ferclean.sources.rows import contained_file, kept_path, leads_out

Place = tuple[str | None, str | None]
"""(path below the root, problem), as a SourceRow has them."""


def sound(text: str) -> str:
    """Text that can be stored: half a character, which JSON can hold, is written as its hex digits.

    >>> sound("a" + chr(0xD800)), sound("é")
    ('a\\\\ud800', 'é')
    """
    return text.encode("utf-8", "backslashreplace").decode()


class Pictures:
    """Finds pictures below `root`, in itself and in those of `folders` that it has; each folder is listed once."""

    def __init__(self, root: Path, folders: Sequence[str] = ()) -> None:
        self.root = root
        self._real = os.path.realpath(root)
        self.folders = ["", *(name for name in folders if (root / name).is_dir())]
        self._names: dict[str, frozenset[str]] = {}
        self._cut: list[str] | None = None

    def named(self, *names: str) -> Place:
        """The first of these names that is there, else what is wrong with the first of them."""
        for name in names:
            try:
                name.encode()
            except UnicodeEncodeError:
                return None, "file: the name is not UTF-8"
            for spelt in dict.fromkeys((name, name.replace("\\", "/"))):
                for folder in self.folders:
                    if self._there(inside := os.path.join(folder, spelt)):
                        return self._kept(inside)
        return self._kept(names[0].replace("\\", "/"))

    def below(self, path: str) -> Place:
        """A path on another machine: as much of its end as leads to a file here.

        What stands before that end in the first path found is cut off all of them: the pictures of one export lie
        together, and a shorter end of another path would be another picture.
        """
        parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            return self.named(path)
        if self._cut is not None:
            fits = parts[: len(self._cut)] == self._cut
            return self.named("/".join(parts[len(self._cut) :] if fits else parts))
        for cut in range(len(parts)):
            place, problem = self.named("/".join(parts[cut:]))
            if problem != "file: missing":
                self._cut = parts[:cut]
                return place, problem
        return self.named("/".join(parts))

    def _kept(self, inside: str) -> Place:
        problem = contained_file(self.root, inside, real=self._real)[1]
        return kept_path(self.root, inside, problem), problem

    def _there(self, inside: str) -> bool:
        folder, name = os.path.split(inside)
        if leads_out(self.root, inside):  # no folder of anybody else's is listed
            return False
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(self.root / folder))
            except (OSError, ValueError):  # no folder, or a name that none can have
                self._names[folder] = frozenset()
        return name in self._names[folder]
