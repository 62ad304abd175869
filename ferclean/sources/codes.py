"""Are a source's codes the card's? Codes that count from another number give most rows a label: the wrong one.

It never changes a code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ferclean.errors import BadDataError
from ferclean.evidence.labels import ClassName
from ferclean.sources.cards import Card, SourceCode
from ferclean.sources.tabular import code_of


def numeric_codes(labels: Iterable[str], card: Card) -> set[int]:
    """Those of a source's labels that were looked up as numbers; a class may have a number for its name."""
    return {int(label) for label in labels if label.isdecimal() and label not in card.classes}


def refuse_shifted(labels: Iterable[str], card: Card) -> None:
    """Raise BadDataError when a source's labels count from one more or one less than the card's codes.

    Labels shifted by one are the commonest mistake.
    """
    known = {int(code) for code in card.codes if code.isdecimal()}
    seen = numeric_codes(labels, card)
    if not known or not seen or seen <= known:
        return
    low, high = min(known), max(known)
    for start, stranger, absent in ((low + 1, high + 1, low), (low - 1, low - 1, high)):
        shifted = {code - low + start for code in known}
        if stranger in seen and absent not in seen and 2 * len(seen & shifted) >= len(known):
            raise BadDataError(
                f"the labels look counted from {start}: found {min(seen)} to {max(seen)}, but card {card.name!r} "
                f"counts from {low} ({', '.join(f'{c}={n}' for c, n in card.codes.items())}); mend the labels, or "
                "copy the card, change its codes and give its path"
            )


def perhaps_shifted(seen: Iterable[int], codes: Mapping[Any, str]) -> str | None:
    """In words, why a source's numeric codes may be shifted though each is known; None when they are not suspect.

    Codes that count from 1 and lack their last class never show it but by a first code that does not occur; so do
    those that count from 0, lack their first and are read by a card that counts from 1.

    >>> perhaps_shifted({1, 2}, {"0": "fear", "1": "anger", "2": "neutral"})
    'code 0 (fear) never occurs: the codes may count from 1, which would shift every label by one class'
    """
    known = sorted(int(code) for code in codes if code.isdecimal())
    found = set(seen) & set(known)
    if not found or known[0] not in (0, 1):
        return None
    absent, start = (known[0], 1) if known[0] == 0 else (known[-1], 0)
    if absent in found:
        return None
    name = codes[str(absent)]
    return (
        f"code {absent} ({name}) never occurs: the codes may count from {start}, which would shift every label by one "
        "class"
    )


def outside(labels: Sequence[str], card: Card) -> list[int]:
    """Positions of the labels that the card does not know."""
    return [place for place, label in enumerate(labels) if card.coded(label) is None]


def read_code(cell: object, card: Card) -> tuple[ClassName | None, str | None, str | None]:
    """(class, code, problem) of a cell that holds a code of the card, or one that it says to stand for no class."""
    code = code_of(cell)
    if code is None:
        return None, None, "label: missing"
    if label := card.coded(code):
        return label, code, None
    if word := card.no_labels.get(SourceCode(code)):
        return None, code, f"label: none of the classes, but {word!r}"
    return None, code, f"label: unknown code ({code!r}; known: {', '.join([*card.codes, *card.no_labels])})"
