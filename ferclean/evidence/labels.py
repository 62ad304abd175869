"""The expression vocabulary: canonical names, what other data sets call them, coarse groups, names <-> class indices.

Three ideas are kept apart: a class *name* is text (`ClassName`, "7" too), a *code* is what a source writes for a class
(`sources.cards.SourceCode`), a *position* is a class's place in the probabilities (int). It never takes one for
another, never guesses a spelling, and stays free of heavy imports so that the command line can use it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NewType

from ferclean.errors import UsageError, among

if TYPE_CHECKING:
    import numpy as np

ClassName = NewType("ClassName", str)
"""The name of a class of one data set, as `vocabulary` settled it."""

EXPRESSIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral", "contempt")
"""Canonical names: the seven of RAF-DB in its order, then contempt (AffectNet, FERPlus)."""

ALIASES = {
    "surprised": "surprise",
    "suprise": "surprise",
    "suprised": "surprise",
    "fearful": "fear",
    "afraid": "fear",
    "disgusted": "disgust",
    "happy": "happiness",
    "sad": "sadness",
    "angry": "anger",
    "contemptuous": "contempt",
    "neutrality": "neutral",
}
"""Other words in use, and slips in whole sets -> canonical name; matched without regard to case and outer space."""

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
        raise UsageError(f"unknown expression {name!r}; {among(str(name), EXPRESSIONS)}")
    return word


def vocabulary(names: Iterable[str], *, declared: bool = False) -> tuple[ClassName, ...]:
    """The class names of a data set in this order: canonical where a name is one of ours (Angry is anger), else as is.

    Names that differ by capitals alone (Happy beside happy) are two classes, and then every name stays as it is
    written; so do two words for one expression (happy beside happiness) in a list that the data set itself `declared`,
    whereas a person who lists both has made a slip. Raises UsageError for that, and for names that are empty, come
    twice or hold control characters.

    >>> vocabulary(["Angry", "7", "Fear"]), vocabulary(["Happy", "happy"])
    (('anger', '7', 'fear'), ('Happy', 'happy'))
    """
    own = [name.strip() for name in names]
    for name in own:
        if not name or not name.isprintable():
            raise UsageError(
                f"class name {name!r} is empty or holds control characters; a class name is a line of text"
            )
    folded = [_canonical_or_own(name) for name in own]
    expressions = {(known, name.lower()) for name, known in zip(own, folded, strict=True) if known in EXPRESSIONS}
    slip = not declared and len({known for known, _ in expressions}) < len(expressions)
    if slip or len(set(own)) < len(own):
        raise UsageError(f"classes name the same class twice: {', '.join(own)}")
    return tuple(ClassName(name) for name in (folded if len(set(folded)) == len(folded) else own))


def find_class(word: str, classes: Sequence[str]) -> ClassName | None:
    """The class that a word names: by its very text, else the only one that it spells otherwise; else None.

    Other spellings are outer spaces, capitals, the other form of composed letters (Unicode), and the usual words for
    an expression. A number is a name like any other, never a position.

    >>> find_class("happy", ["fear", "happiness"]), find_class("2", ["1", "2"]), find_class("1", ["fear", "happiness"])
    ('happiness', '2', None)
    """
    return ClassName(word) if word in classes else _respelled(word, tuple(classes))


@lru_cache(maxsize=4096)
def _respelled(word: str, classes: tuple[str, ...]) -> ClassName | None:
    for fold in (str.strip, _composed, _folded):
        found = [name for name in classes if fold(name) == fold(word)]
        if found:
            return ClassName(found[0]) if len(found) == 1 else None
    return None


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip())


def _folded(name: str) -> str:
    return _canonical_or_own(_composed(name)).casefold()


def _canonical_or_own(name: str) -> str:
    try:
        return canonical_name(name)
    except UsageError:
        return name


def encode(names: Iterable[Any], classes: Sequence[str]) -> np.ndarray:
    """Class indices of `names` in the order of `classes`: (N,) int64, -1 for a missing or unknown name.

    Names are looked up as `find_class` does it.

    >>> encode(["Happy", "fear", None, "bored"], ["fear", "happiness"]).tolist()
    [1, 0, -1, -1]
    """
    import numpy as np

    classes = tuple(classes)
    index = {name: position for position, name in enumerate(classes)}
    if len(index) != len(classes):
        raise UsageError(f"classes name the same class twice: {', '.join(classes)}")

    def find(name: Any) -> int:
        if not isinstance(name, str):
            return -1  # None, NaN and pandas' NA are all missing names
        found = find_class(name, classes) if name not in index else name
        return -1 if found is None else index[found]

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
