"""Where outside judges lie: one folder each in the user's cache, with a card that names every file by its SHA-256.

It never writes into a workspace or the project, and never hands out a file that is not the one that was added.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ferclean import hashes
from ferclean.errors import BadDataError, UsageError, among
from ferclean.files import whole_folder
from ferclean.summary import Summary

Kind = Literal["face-api", "onnx", "hub"]
CARD = "judge.json"
SCHEMA = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class JudgeCard(Summary):
    """An outside judge: what its net is, what it wants to see and which classes it tells apart.

    `files`: name -> SHA-256. The net sees `channels` (3 RGB, grey repeated; 1 grey) of `size` x `size` pixels, each
    (value / 255 - `mean`) / `std`. `classes` are the judge's own words, in the order of its outputs, which are `logits`
    or `probabilities`. `network`: what a hub judge is built from.
    """

    name: str
    kind: Kind
    source: str
    licence: str
    files: dict[str, str]
    classes: tuple[str, ...]
    size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    output: Literal["logits", "probabilities"]
    network: str = ""

    def digest(self) -> str:
        """16 hex digits of everything that its words depend on: its files and how it is shown an image."""
        told = self.as_dict()
        for name in ("name", "source", "licence"):
            del told[name]
        return hashes.of_bytes(json.dumps(told, sort_keys=True).encode())[:16]


def folder() -> Path:
    """`judges` in FERCLEAN_CACHE, else in the platform's cache folder for ferclean."""
    named = os.environ.get("FERCLEAN_CACHE")
    if named:
        try:
            return Path(named).expanduser() / "judges"
        except RuntimeError as error:  # ~somebody
            raise UsageError(f"FERCLEAN_CACHE is {named!r}: {error}; name a folder that can be found") from None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "ferclean" / "cache"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches" / "ferclean"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ferclean"
    return base / "judges"


def checked_name(name: str) -> str:
    """The name, which becomes a folder's. Raises UsageError for anything that is none."""
    if not NAME.fullmatch(name):
        raise UsageError(f"a judge's name has letters, digits, dots, dashes and underscores, up to 64, not {name!r}")
    return name


def put(card: JudgeCard, files: Mapping[str, bytes]) -> None:
    """Lay a judge on the shelf, in place of one of the same name. Raises FercleanError where the disk refuses."""
    place = folder() / checked_name(card.name)
    with whole_folder(place, elsewhere="name another cache with FERCLEAN_CACHE") as draft:
        for name, content in files.items():
            (draft / name).write_bytes(content)
        (draft / CARD).write_text(json.dumps({"schema": SCHEMA, **card.as_dict()}, indent=1) + "\n", "utf-8")


def names() -> list[str]:
    """What lies on the shelf."""
    return sorted(path.parent.name for path in folder().glob(f"*/{CARD}") if NAME.fullmatch(path.parent.name))


def get(name: str) -> JudgeCard:
    """A judge's card. Raises UsageError for an unknown name, BadDataError for a card that is damaged."""
    if name not in (known := names()):
        raise UsageError(f"no judge {name!r} here; {among(name, known)}; add one with `ferclean judge add`")
    path = folder() / name / CARD
    try:
        told = json.loads(path.read_text("utf-8"))
        if told.pop("schema") != SCHEMA:
            raise ValueError("another version wrote it")
        for key in ("classes", "mean", "std"):
            told[key] = tuple(told[key])
        for key in ("size", "channels"):
            if type(told[key]) is not int or told[key] < 1:
                raise ValueError(f"{key} is {told[key]!r:.40}, not a number of 1 or more")
        return JudgeCard(**told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadDataError(f"{path} is damaged ({error}): add the judge again with `ferclean judge add`") from None


def read(card: JudgeCard) -> dict[str, bytes]:
    """A judge's files, each checked by its SHA-256. Raises BadDataError for one that is missing or another."""
    found: dict[str, bytes] = {}
    for name, sha256 in card.files.items():
        path = folder() / card.name / name
        if not path.is_file():
            raise BadDataError(f"{path} is missing: add the judge again with `ferclean judge add`")
        found[name] = path.read_bytes()
        if hashes.of_bytes(found[name]) != sha256:
            raise BadDataError(f"{path} is not the file that was added: add the judge again with `ferclean judge add`")
    return found


def remove(name: str) -> None:
    """Take a judge off the shelf. Raises UsageError for an unknown name."""
    if name not in (known := names()):
        raise UsageError(f"no judge {name!r} here; {among(name, known)}")
    shutil.rmtree(folder() / name)
