"""A bounded look at a folder or file: some names, the first rows of its tables, never all of it and never a picture.

It follows no link to a folder and says nothing about what it sees: that is for each layout's `recognise`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from ferclean.errors import BadDataError, FercleanError, few
from ferclean.sources.file_names import IMAGE_SUFFIXES, is_clutter
from ferclean.sources.json_files import elements_of
from ferclean.sources.tabular import header_of, records_of

TOP = PurePosixPath(".")
TABLES = (".csv", ".tsv", ".parquet", ".pq")
_DEPTH, _FOLDERS, _BELOW, _ENTRIES, _FILES = 5, 500, 40, 1000, 200
"""Levels below the path, not counting folders around a single one; folders opened, and those in one folder; entries
read of one folder; files kept of one."""
_ROWS = 200
_DOCUMENTS = 20
"""Files of one ending in a folder: where there are more, they stand beside a picture each."""
_TEXT = 64 * 1024
_LISTS = (
    "label.lst", "metadata.csv", "metadata.jsonl", "labels.csv", "fer2013.csv", "icml_face_data.csv", "fer2013new.csv",
    "data.yaml", "classes.txt", "training.csv", "validation.csv", "dataset_dict.json", "drawn_faces.json",
    "labels.json", "samples.json", "annotations.xml", "_annotations.coco.json",
)  # fmt: skip
"""Files that may lie among a hundred thousand pictures, beyond the entries that are read."""

Confidence = Literal["certain", "likely"]


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What something is taken for: `ingest CARD PATH` with `options`, how sure that is, and why in words."""

    card: str
    path: Path
    options: Mapping[str, str] = field(default_factory=dict)
    confidence: Confidence
    evidence: tuple[str, ...]
    beside: str = ""
    """What was not looked at and lies in no set that was recognised, with the reason; "" for nothing."""

    def words(self) -> list[str]:
        """The command line after `ferclean ingest`, one word each."""
        flags = [word for name, value in self.options.items() for word in (f"--{name.replace('_', '-')}", value)]
        return [self.card, str(self.path), *flags]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "card": self.card, "path": str(self.path), "options": dict(self.options), "confidence": self.confidence,
            "evidence": list(self.evidence), "beside": self.beside,
        }  # fmt: skip


class Glimpse:
    """What a bounded look at `path` shows; folders are relative to it, the nearest first. Of a file, only itself."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise BadDataError(f"{path}: no such file or folder")
        self.root = path if path.is_dir() else path.parent
        self.folders: list[PurePosixPath] = []
        self._files: dict[PurePosixPath, list[str]] = {}
        self._below: dict[PurePosixPath, list[str]] = {}
        self._passed_over: dict[str, list[PurePosixPath]] = {}
        self._unreadable: list[PurePosixPath] = []
        self._headers: dict[PurePosixPath, list[str] | str] = {}
        self._elements: dict[PurePosixPath, list[tuple[str | None, Any]]] = {}
        if not path.is_dir():
            self.folders, self._files = [TOP], {TOP: [path.name]}
            return
        waiting = [(TOP, 0)]
        while waiting and len(self.folders) < _FOLDERS:
            folder, depth = waiting.pop(0)
            if not self._list(folder):
                continue
            self.folders.append(folder)
            below = self._below[folder]
            alone = len(below) == 1 and not self._files[folder]  # a folder around a folder is no step
            if depth < _DEPTH or alone:
                waiting += [(folder / name, depth + (not alone)) for name in below[:_BELOW]]
                if len(below) > _BELOW:
                    self._pass_over(folder, f"{_BELOW} folders of one are looked into")
            elif below:
                self._pass_over(folder, f"folders are looked into {_DEPTH} deep")
        for folder, _ in waiting:
            self._pass_over(folder, f"{_FOLDERS} folders are looked into")

    @property
    def unseen(self) -> str:
        """Why something was passed over, in brackets; "" where all folders were looked into, and all names in them."""
        lost = [f"{few(self._unreadable, 3)} cannot be read"] if self._unreadable else []
        why = ", ".join([*self._passed_over, *lost])
        return f" ({why}: name the folder that holds the set)" if why else ""

    def beside(self, sets: Sequence[Path]) -> str:
        """What was passed over outside of these sets, and why, in words; "" for nothing. All is read of a folder that
        is ingested, but a table says nothing of what lies around it. Pictures without a folder or a list among them, as
        far as one looked, are no set of their own."""
        told = [([one for one in folders if not self._bare(one)], why) for why, folders in self._passed_over.items()]
        return ", ".join(
            f"{few(out, 3)} ({why})"
            for folders, why in [*told, (self._unreadable, "cannot be read")]
            if (out := [folder for folder in folders if not any(map(self.path(folder).is_relative_to, sets))])
        )

    def _bare(self, folder: PurePosixPath) -> bool:
        """Whether nothing but pictures was seen in it."""
        seen = self._files.get(folder, [])
        return (
            bool(seen) and not self._below[folder] and all(Path(one).suffix.lower() in IMAGE_SUFFIXES for one in seen)
        )

    def _pass_over(self, folder: PurePosixPath, why: str) -> None:
        self._passed_over.setdefault(why, []).append(folder)

    def _cannot_read(self, what: PurePosixPath) -> None:
        if what not in self._unreadable:
            self._unreadable.append(what)

    def _list(self, folder: PurePosixPath) -> bool:
        """Whether it could be listed; one that could not is as if it were not there, but for `unseen`."""
        files: list[str] = []
        below: list[str] = []
        try:
            with os.scandir(self.root / folder) as entries:
                for entry in islice(entries, _ENTRIES):
                    if is_clutter(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.name)
                    elif len(files) < _FILES or entry.name.lower().endswith(TABLES):
                        files.append(entry.name)
                if next(entries, None) is not None:
                    self._pass_over(folder, f"{_ENTRIES:,} names of a folder are read")
            files += [name for name in _LISTS if name not in files and (self.root / folder / name).is_file()]
        except OSError as error:
            if folder == TOP:
                raise BadDataError(f"{self.root} cannot be read: {error.strerror}") from None
            self._below[folder.parent].remove(folder.name)
            self._cannot_read(folder)
            return False
        self._files[folder], self._below[folder] = sorted(files), sorted(below)
        return True

    def path(self, inner: PurePosixPath) -> Path:
        """Where something below lies; for the top, the path that was asked about."""
        return self.root / inner if inner != TOP else self.root

    def files(self, folder: PurePosixPath) -> list[str]:
        """Names of files of a folder, perhaps not all."""
        return self._files.get(folder, [])

    def subfolders(self, folder: PurePosixPath) -> list[str]:
        """Names of folders in a folder."""
        return self._below.get(folder, [])

    def pictures(self, folder: PurePosixPath, *, deep: bool = True) -> list[str]:
        """Names of pictures in a folder, and with `deep` in those below it; perhaps not all."""
        found = [name for name in self.files(folder) if name.lower().endswith(IMAGE_SUFFIXES)]
        for name in self.subfolders(folder) if deep else ():
            found += self.pictures(folder / name)
        return found

    def tables(self) -> Iterator[tuple[PurePosixPath, list[str]]]:
        """(file, its column names in lower case without outer spaces) of every table that is seen."""
        for file in self._table_files():
            header = self._header(file)
            if not isinstance(header, str):  # else another thing under such a name, which `ingest` refuses, too
                yield file, header

    def refused_tables(self) -> Iterator[str]:
        """Why tables are none that can be read, in the words in which `ingest` refuses them."""
        yield from (why for file in self._table_files() if isinstance(why := self._header(file), str))

    def _table_files(self) -> Iterator[PurePosixPath]:
        for folder in self.folders:
            yield from (folder / name for name in self.files(folder) if name.lower().endswith(TABLES))

    def _header(self, file: PurePosixPath) -> list[str] | str:
        """The columns of a table, or why it has none; each is opened once."""
        if file not in self._headers:
            try:
                self._headers[file] = [column.strip().lower() for column in header_of(self.path(file))]
            except FercleanError as error:
                self._headers[file] = str(error)
            except OSError as error:
                self._headers[file] = f"{self.path(file)} cannot be read: {error.strerror}"
                self._cannot_read(file)
        return self._headers[file]

    def rows(self, file: PurePosixPath, columns: list[str], count: int = _ROWS) -> list[dict[str, Any]]:
        """The first rows of a table, its column names in lower case; fewer where the file breaks off its own form."""
        path = self.path(file)
        spelt = {name: name.strip().lower() for name in header_of(path) if name.strip().lower() in columns}
        found: list[dict[str, Any]] = []
        try:
            for _, cells in islice(records_of(path, list(spelt)), count):
                found.append({spelt[name]: cells[name] for name in spelt})
        except FercleanError:
            return found
        return found

    def documents(self, suffix: str) -> Iterator[PurePosixPath]:
        """Files with this ending, but for folders that are full of them."""
        for folder in self.folders:
            found = [name for name in self.files(folder) if name.lower().endswith(suffix)]
            yield from (folder / name for name in found if len(found) <= _DOCUMENTS)

    def elements(self, file: PurePosixPath, count: int = _ROWS) -> list[tuple[str | None, Any]]:
        """The first elements of a JSON file (`json_files.elements_of`); fewer where it breaks off its own form."""
        if file not in self._elements:
            found: list[tuple[str | None, Any]] = []
            with suppress(
                FercleanError, OSError
            ):  # something else under such a name, which `ingest` refuses in its own words
                for element in islice(elements_of(self.path(file)), count):
                    found.append(element)  # noqa: PERF402 - what came before an error stays
            self._elements[file] = found
        return self._elements[file]

    def text(self, file: PurePosixPath) -> str:
        """The beginning of a text file, in whole lines; "" where there is no such file."""
        path = self.path(file)
        if not os.path.isfile(path):  # which a folder that nobody may enter does not end
            return ""
        try:
            with path.open("rb") as handle:
                start = handle.read(_TEXT)
        except OSError:
            self._cannot_read(file)
            return ""
        text = start.decode("utf-8-sig", "replace")
        return text if len(start) < _TEXT else text.rpartition("\n")[0]
