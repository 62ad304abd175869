"""The expression vocabulary: canonical names, what other data sets call them, coarse groups, names <-> class indices.

It never guesses a spelling, and it stays free of heavy imports so that the command line can use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ferclean.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

EXPRESSIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral", "contempt")
"""Canonical names: the seven of RAF-DB in its order, then contempt (AffectNet, FERPlus)."""

ALIASES = {
    "surprised": "surprise",
    "fearful": "fear",
    "afraid": "fear",
    "disgusted": "disgust",
    "happy": "happiness",
    "sad": "sadness",
    "angry": "anger",
    "contemptuous": "contempt",
}
"""Other words in use -> canonical name; matched without regard to case and surrounding space."""

COARSE_GROUPS = (
    frozenset({"neutral"}),
    frozenset({"anger", "disgust", "fear", "sadness"}),
    frozenset({"happiness"}),
    frozenset({"surprise"}),
)
"""The four coarse groups of CRS-CONT (TIP 2022): neutral, negative, positive, surprise. Who belongs where is our
reading; contempt belongs to none of them."""


def canonical_name(name: str) -> str:
    """The canonical name of an expression. Raises UsageError, listing the known names, for any other word.

    >>> canonical_name(" Happy "), canonical_name("fear")
    ('happiness', 'fear')
    """
    word = name.strip().lower() if isinstance(name, str) else name
    word = ALIASES.get(word, word)
    if word not in EXPRESSIONS:
        raise UsageError(f"unknown expression {name!r}; known are {', '.join(EXPRESSIONS)}")
    return word


def encode(names: Iterable[Any], classes: Sequence[str]) -> np.ndarray:
    """Class indices of `names` in the order of `classes`: (N,) int64, -1 for a missing or unknown name.

    A name is looked up as it stands, then by its canonical name, so that any vocabulary works.

    >>> encode(["Happy", "fear", None, "bored"], ["fear", "happiness"]).tolist()
    [1, 0, -1, -1]
    """
    import numpy as np

    index = {name: position for position, name in enumerate(classes)}
    if len(index) != len(classes):
        raise UsageError(f"classes name the same class twice: {', '.join(classes)}")

    def find(name: Any) -> int:
        if not isinstance(name, str):
            return -1  # None, NaN and pandas' NA are all missing names
        try:
            return index[name] if name in index else index.get(canonical_name(name), -1)
        except UsageError:
            return -1

    return np.fromiter((find(name) for name in names), dtype=np.int64)


def decode(indices: Iterable[int], classes: Sequence[str]) -> list[str | None]:
    """Names of class indices; None for -1. Raises UsageError for an index that no class has.

    >>> decode([1, -1], ["fear", "happiness"])
    ['happiness', None]
    """
    found: list[str | None] = []
    for index in indices:
        if not -1 <= index < len(classes):
            raise UsageError(f"no class has index {index}; there are {len(classes)}: {', '.join(classes)}")
        found.append(None if index == -1 else classes[int(index)])
    return found
