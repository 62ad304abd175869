"""The split of a file or folder that does not say the splits of its rows: what the caller says, else training data.

It never takes for training data what its own name calls something else.
"""

from __future__ import annotations

import re
from pathlib import Path

from ferclean.errors import UsageError, among
from ferclean.sources.cards import Card
from ferclean.sources.rows import SPLITS


def split_of_all(path: Path, card: Card, split: str | None) -> str:
    """`split` as a canonical one; without it, `train`.

    Raises UsageError for an unknown word, and, asking for `--split`, where the name of the file or folder says that it
    holds another split than training data (`test_labels.csv`).
    """
    if split is not None:
        return known_split(split, card)
    said = said_by_name(path, card)
    if said and "train" not in said:
        held = " or ".join(sorted(said))
        raise UsageError(
            f"{path} does not say the splits of its rows, and by its name it holds {held}: give --split {min(said)} "
            "(or --split train)"
        )
    return "train"


def said_by_name(path: Path, card: Card) -> set[str]:
    """The splits that a file or folder's own name speaks of: `test` by test/ and test_labels.csv."""
    name = path.resolve().stem
    # the folder test, but not every folder with such a word in it; of a list's name its first and last word count
    words = [] if path.is_dir() else [word for word in re.split(r"[^a-z]+", name.lower()) if word]
    return {found for word in (name, *words[:1], *words[-1:]) if (found := card.split_of(word))}


def split_option(path: Path) -> dict[str, str]:
    """The option that `split_of_all` would ask for, as a guess about the set at `path` gives it."""
    said = said_by_name(path, Card(name="", layout=""))
    return {"split": min(said)} if said and "train" not in said else {}


def known_split(split: str, card: Card) -> str:
    """The canonical split behind a word. Raises UsageError for an unknown one."""
    found = card.split_of(split)
    if found is None:
        raise UsageError(f"unknown split {split!r}; {among(split, [*SPLITS, *card.splits])}")
    return found


def refuse_split(path: Path, split: str | None, said: str) -> None:
    """Raise UsageError for a `split` where the rows say their own: `said` tells how."""
    if split is not None:
        raise UsageError(f"{path} says the splits of its rows itself ({said}): leave --split out")
