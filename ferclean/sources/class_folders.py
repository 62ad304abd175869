"""What folders of classes are called, and whose set they are by a look at their names and those of their pictures.

It opens no picture and yields no row: that is `image_folder`'s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from ferclean.bundled_files import known_cards
from ferclean.errors import few
from ferclean.evidence.labels import ClassName
from ferclean.sources.cards import Card, load_card
from ferclean.sources.glimpse import Glimpse, Guess
from ferclean.sources.rows import split_word
from ferclean.sources.undivided import split_option

_MOST = 0.9
"""Share of a folder's pictures that must be called as a set's are: a few strangers lie in many a copy."""

_LOOKED = 200
"""Names of pictures, spread over a folder and those below it, that tell whose set it is."""

_NUMBERED = re.compile(r"[0-9]+[\s._-]+([^\s._-].*)")
"""A folder that puts a number before its class: 0_angry."""

_UNLABELLED = {"unlabeled", "unlabelled", "nolabel"}
"""Folders for pictures that nobody has labelled yet, as other tools write them (FiftyOne: _unlabeled)."""


def class_of(card: Card, folder: str) -> ClassName | None:
    """The class that a folder's name says: as it is, else without a number before it."""
    numbered = _NUMBERED.fullmatch(folder)
    return card.label_of(folder) or (card.named(numbered[1]) if numbered else None)


def names_tell(card: Card) -> bool:
    """Whether the names of files say their class."""
    return "(?P<label>" in card.naming


def is_unlabelled(name: str) -> bool:
    """Whether a folder is one for pictures without a label."""
    return name.lower().strip("_ ").replace("_", "") in _UNLABELLED


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """Folders of classes: whose set by how the files are called, else any set by the expressions in folders' names.

    Folders that are numbers say nothing by themselves: they count only where the files' names say whose numbers they
    are, and where these are the numbers of that set.
    """
    cards = [card for name in known_cards() if (card := load_card(name)).naming]
    cards.append(load_card("image_folder"))
    done: list[PurePosixPath] = []
    for folder in glimpse.folders:
        if any(folder.is_relative_to(other) for other in done):
            continue
        for card in cards:
            if told := _told_of(glimpse, folder, card):
                yield told.what
                # folders of something else, as in a home, may have a set below them; the rest of a set is none
                if told.whole or any(map(split_word, glimpse.subfolders(folder))):
                    done.append(folder)
                break


class _Told(NamedTuple):
    what: Guess | str
    whole: bool = True
    """Whether nothing below it is looked at for another set."""


def _told_of(glimpse: Glimpse, folder: PurePosixPath, card: Card) -> _Told | None:
    """What a folder is under one card; a remark where something speaks against it, None where nothing speaks for it."""
    tops = glimpse.subfolders(folder)
    if names_tell(card):
        entered = len(tops) > 1 or any(card.split_of(name) or card.named(name) for name in tops)
        pictures = _spread(glimpse.pictures(folder, deep=entered))
        named = [name for name in pictures if (card.told_by(name) or {}).get("label") in card.codes]
        whole = len(named) >= max(3, _MOST * len(pictures))
        return _Told(_guess(glimpse, folder, card, _named_as(card, named, pictures))) if whole else None
    parts = [folder / name for name in tops if card.split_of(name) and class_of(card, name) is None]
    parts = [_passed_through(glimpse, part, card) for part in parts]
    places = [part / name for part in parts or [folder] for name in glimpse.subfolders(part)]
    places = [place for place in places if not is_unlabelled(place.name)]
    pictures = [name for place in places for name in glimpse.pictures(place)]
    known = [place for place in places if class_of(card, place.name)]
    if not pictures:
        return None
    shown = few(dict.fromkeys(place.name for place in known), 8)
    if not card.naming:
        if len({place.name for place in known}) > 1 and 2 * len(known) > len(places):
            below, everywhere = _divided(glimpse, known, card, bool(parts))
            if below and (parts or not everywhere):
                return _Told(
                    f"the folders of splits {below} lie inside some of the folders {shown}: put them on top, "
                    "split/class/file, or into each class and nothing else beside them"
                )
            said = [f"its folders are called {shown}", *([f"in them lie {below}"] if below else [])]
            divided = {} if parts or below else split_option(glimpse.path(folder))
            return _Told(_guess(glimpse, folder, card, *said, **divided))
        if known and len({place.name for place in places}) == 1:
            return _Told(f"the folder {known[0]} alone is called as an expression, and one class is no set to clean")
        numbers = all(place.name.isdecimal() for place in places)
        if len({place.name for place in places}) < 2 or not any(glimpse.pictures(p, deep=False) for p in places):
            return None
        shown = few(dict.fromkeys(place.name for place in places), 8)
        if numbers:
            return _Told(
                f"the folders {shown} in {folder} are numbers, and nothing says which expressions they stand for"
            )
        return _Told(
            f"the folders {shown} in {folder} name no expressions (say a vocabulary of your own with `ingest "
            "image_folder PATH --classes a,b,c`)",
            whole=False,
        )
    pictures = _spread(pictures)
    named = [name for name in pictures if card.told_by(name) is not None]
    if not known or len(named) < _MOST * len(pictures):
        return None
    if len(known) < len(places):
        strange = few(dict.fromkeys(place.name for place in places if place not in known))
        return _Told(
            f"the pictures in {folder} are called as those of {card.title} ({named[0]}), but the folders {strange} are "
            f"none of its classes ({card.known_labels()})"
        )
    return _Told(_guess(glimpse, folder, card, _named_as(card, named, pictures), f"its folders are called {shown}"))


def _divided(glimpse: Glimpse, known: list[PurePosixPath], card: Card, inside: bool) -> tuple[str, bool]:
    """(the folders of splits inside those of classes, "" for none; whether every class has them and no others, as
    `image_folder` reads them), `inside` where the classes lie in folders of splits."""
    below = {
        place: [
            name
            for name in glimpse.subfolders(place)
            if card.split_of(name) not in (None, card.split_of(place.parent.name) if inside else None)
            and class_of(card, name) is None
        ]
        for place in known
    }
    strange = [place for place, names in below.items() if len(names) < len(glimpse.subfolders(place))]
    strange += [place for place, names in below.items() if not names and glimpse.files(place)]
    return few(dict.fromkeys(name for names in below.values() for name in names)), not strange


def _spread(pictures: list[str]) -> list[str]:
    return pictures[:: max(1, math.ceil(len(pictures) / _LOOKED))]


def _guess(glimpse: Glimpse, folder: PurePosixPath, card: Card, *evidence: str, **options: str) -> Guess:
    return Guess(
        card=card.name,
        path=glimpse.path(folder),
        options=options if card.layout == "image_folder" else {"layout": "image_folder", **options},
        confidence="certain" if card.naming else "likely",
        evidence=evidence,
    )


def _named_as(card: Card, named: Sequence[str], pictures: Sequence[str]) -> str:
    return (
        f"{len(named)} of {len(pictures)} pictures that were looked at are called as those of {card.title} ({named[0]})"
    )


def _passed_through(glimpse: Glimpse, folder: PurePosixPath, card: Card) -> PurePosixPath:
    while len(inner := glimpse.subfolders(folder)) == 1 and card.split_of(inner[0]) == card.split_of(folder.name):
        folder /= inner[0]
    return folder
