"""Ways in: one module per layout, each with `read(path, card, **options)` that yields one SourceRow per sample.

A module here never stores anything and never decides what is scored.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import ModuleType

from ferclean.errors import BadDataError, UsageError, among, few
from ferclean.sources import unread
from ferclean.sources.cards import Card, layouts
from ferclean.sources.glimpse import Glimpse, Guess
from ferclean.sources.rows import SourceRow

_SAID = 3
"""Remarks on what is no data set."""


def source(layout: str) -> ModuleType:
    """The module that reads a layout, imported when it is asked for; raises UsageError naming the known ones."""
    if layout not in layouts():
        raise UsageError(f"no way in for layout {layout!r}; {among(layout, layouts())}")
    return importlib.import_module(f"ferclean.sources.{layout}")


def options_of(function: Callable[..., object]) -> list[str]:
    """Names of a source function's options, those that come after `path` and `card`."""
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def read(path: Path, card: Card, options: Mapping[str, object]) -> Iterator[SourceRow]:
    """The rows of a data set in its card's layout. Raises UsageError for an option that the layout does not have."""
    module = source(card.layout)
    if unknown := sorted(set(options) - set(options_of(module.read))):
        raise UsageError(
            f"layout {card.layout} has no option {', '.join(unknown)}; {among(unknown, options_of(module.read))}"
        )
    rows: Iterator[SourceRow] = module.read(path, card, **options)
    return rows


def root_of(path: Path, options: Mapping[str, object]) -> Path:
    """The folder below which the pictures lie: `images` where it is given, else the data set's own."""
    given = options.get("images")
    place = Path(str(given)) if given is not None else path
    if not place.exists():
        raise BadDataError(f"{place}: no such file or folder")
    real = place.resolve()
    return real if real.is_dir() else real.parent


def notes(path: Path, card: Card, options: Mapping[str, object]) -> list[str]:
    """What a way in chose that the caller may have meant otherwise, one sentence each."""
    module = source(card.layout)
    if not hasattr(module, "notes"):
        return []
    said: list[str] = module.notes(path, card, options)
    return said


def class_names(path: Path, card: Card, options: Mapping[str, object]) -> tuple[str, ...] | None:
    """The class order that the data set itself declares (a Hugging Face ClassLabel); None when it declares none."""
    module = source(card.layout)
    if not hasattr(module, "class_names"):
        return None
    known = options_of(module.class_names)
    found: tuple[str, ...] | None = module.class_names(
        path, **{name: value for name, value in options.items() if name in known}
    )
    return found


def recognise(path: Path) -> list[Guess]:
    """What the data set at `path` may be, the surest first, by a bounded look; each layout tells what it knows.

    Raises BadDataError, with what was seen, where no layout knows it.
    """
    glimpse = Glimpse(path)
    found: list[Guess] = []
    remarks = list(unread.remarks(glimpse))
    for layout in layouts():
        module = source(layout)
        for told in module.recognise(glimpse) if hasattr(module, "recognise") else ():
            (remarks if isinstance(told, str) else found).append(told)
    if not found:
        remarks += islice(glimpse.refused_tables(), _SAID)
        seen = ("; ".join(remarks[:_SAID]) or _seen(glimpse)) + glimpse.unseen
        raise BadDataError(
            f"{path} is no data set that is known here: {seen}. Name what it is: `ferclean ingest CARD PATH`, with "
            f"{', '.join(layouts())} or a card file of your own"
        )
    beside = glimpse.beside([guess.path for guess in found])
    found = [replace(guess, beside=beside) for guess in found]
    return sorted(found, key=lambda guess: (guess.confidence != "certain", len(guess.path.parts)))


def _seen(glimpse: Glimpse) -> str:
    pictures = [folder for folder in glimpse.folders if glimpse.pictures(folder, deep=False)]
    if pictures:
        return f"pictures lie in {few(pictures, 3)}, but nothing says what they show{unread.lists(glimpse)}"
    names = [name for folder in glimpse.folders for name in glimpse.files(folder)]
    return f"it holds {few(names, 3)}" if names else "no file was seen" if glimpse.unseen else "it is empty"
