"""What an address asks to look at: the filters that pages, deck and grid have in common, as a link carries them.

Several values of one filter are separated by commas; whatever is in a value is quoted. Values that no face has are
passed over, so that a link outlives the data that it was made for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote

from ferclean.printable import printable
from ferclean.review.chart import asked_area
from ferclean.review.desk import Desk, Filters
from ferclean.review.narrowing import OWN_STATES, STATES, marks_of

NAMES = ("verdict", "given", "suggested", "pair", "split", "source", "attr", "name", "p", "state", "by", "area")
"""The parameters that narrow what is looked at."""


def is_double(address: Mapping[str, str]) -> bool:
    """Double-blind: the given label is hidden as well as the model."""
    return address.get("blind") == "2"


def filters_of(address: Mapping[str, str], desk: Desk, known: Mapping[str, Mapping[str, int]]) -> Filters:
    """The filters that an address asks for; `known`: the values of verdict, given and suggested that faces have.

    In double-blind mode no filter holds that could tell what a face is called; where the model is hidden none that asks
    how sure it is, which pair of classes it sees, or what other people said.
    """
    audit = address.get("queue") == "audit"
    blind = address.get("blind", "1" if audit else "") == "1"
    if is_double(address):
        return Filters(blind=True, double=True, audit=audit, everyone=address.get("whose") == "all")

    def chosen(name: str, here: Iterable[str]) -> tuple[str, ...]:
        asked = [unquote(value) for value in address.get(name, "").split(",") if value]
        there = frozenset(here) if asked else frozenset()
        return tuple(value for value in dict.fromkeys(asked) if value in there)

    def source(name: str, of: Callable[[], Iterable[str]]) -> tuple[str, ...]:
        return chosen(name, of()) if address.get(name) else ()  # what the source says is read only where it is asked

    pairs = (
        {}
        if blind
        else {f"{given}>{other}": (given, other) for given in known["given"] for other in known["suggested"]}
    )
    attributes = _attributes(desk) if address.get("attr") else {}
    return Filters(
        kinds=chosen("verdict", known["verdict"]),
        given=chosen("given", known["given"]),
        suggested=chosen("suggested", known["suggested"]),
        pairs=tuple(pairs[one] for one in chosen("pair", pairs)),
        splits=source("split", lambda: desk.items.particulars.split.values),
        sources=source("source", lambda: desk.items.particulars.source.values),
        attributes=tuple(attributes[one] for one in chosen("attr", attributes)),
        name=address.get("name", "")[:200],
        area=asked_area(desk, address.get("area", ""))[0],
        chance=None if blind else _ends(address.get("p", "")),
        states=chosen("state", OWN_STATES if blind else STATES),
        people=() if blind else source("by", lambda: marks_of(desk).by),
        blind=blind,
        audit=audit,
        everyone=address.get("whose") == "all",
    )


def told(filters: Filters) -> list[str]:
    """What narrows the view besides verdict, given and suggested label, in words."""
    said = [f"{given} → {suggested}" for given, suggested in filters.pairs]
    said += [f"split {name}" for name in filters.splits] + [f"source {name}" for name in filters.sources]
    said += [f"{name}: {value}" for name, value in filters.attributes]
    said += [f"name with {filters.name}"] if filters.name else []
    said += [f"proposal right by {filters.chance[0]:.0%} to {filters.chance[1]:.0%}"] if filters.chance else []
    said += ["an area of the map"] if filters.area else []
    said += [*filters.states] + [f"decided by {name}" for name in filters.people]
    return [printable(one) for one in said]


def listed(values: Iterable[str]) -> str:
    """Several values of a filter as an address carries them."""
    return ",".join(value.replace("%", "%25").replace(",", "%2C") for value in values)


def _attributes(desk: Desk) -> dict[str, tuple[str, str]]:
    known = desk.items.particulars.attributes
    return {f"{name}={value}": (name, value) for name, one in known.items() for value in one.values}


def _ends(text: str) -> tuple[float, float] | None:
    """`0.5-0.9`; None for whatever is no range in [0, 1]."""
    try:
        low, high = (float(end) for end in text.split("-"))
    except ValueError:
        return None
    return (low, high) if math.isfinite(low + high) and 0 <= low <= high <= 1 else None
