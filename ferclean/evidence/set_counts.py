"""What the numbers of pictures per class say about a copy of a known set, beside the numbers that were published.

Counts in, words and classes out. It knows no picture, no card and no store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TOLERANCE = 0.02
"""By which share a class may differ in size from the published one that it seems to be; two classes nearer to each
other than twice that are told apart by equal numbers alone."""


def exchanged(found: Mapping[str, int], wanted: Mapping[str, int]) -> dict[str, str]:
    """Class -> the class whose published number it has, where the numbers `found` fit the `wanted` ones in another
    order only; empty otherwise.

    The keys of `found` are in the order of their codes. Where they are the very same numbers, each class that has
    another's has changed places. Where rows are lacking too, the numbers may be those of the classes some places on, or
    a class counts as moved only if its number is far from its own (see TOLERANCE).

    >>> exchanged({"fear": 717, "disgust": 281, "anger": 705}, {"fear": 281, "disgust": 717, "anger": 705})
    {'disgust': 'fear', 'fear': 'disgust'}
    >>> exchanged({"fear": 100, "anger": 90}, {"fear": 100, "anger": 120})
    {}
    """
    wanted = {name: wanted.get(name, 0) for name in found}
    # ties stay where they are: classes of one size cannot be told apart
    by_found = sorted(found, key=lambda name: (found[name], wanted[name], name))
    by_wanted = sorted(wanted, key=lambda name: (wanted[name], found[name], name))
    if not all(wanted.values()) or found == wanted:
        return {}
    pairs = list(zip(by_found, by_wanted, strict=True))
    if all(found[a] == wanted[b] for a, b in pairs):
        return {a: b for a, b in pairs if found[a] != wanted[a]}
    order = list(found)
    for step in range(1, len(order)):
        turned = {name: order[place - step] for place, name in enumerate(order)}
        if _near(found, wanted, turned) and not _near(found, wanted, {name: name for name in order}):
            return turned
    fits = _near(found, wanted, dict(pairs))
    moved = {a: b for a, b in pairs if abs(found[a] - wanted[a]) > 2 * TOLERANCE * wanted[a]}
    return moved if fits and len(moved) > 1 and set(moved) == set(moved.values()) else {}


def step_of(moved: Mapping[str, str], order: Sequence[str]) -> int:
    """By how many places every class of `order` (by code) took the number of another, in a circle; 0 = not so.

    >>> step_of({"a": "c", "b": "a", "c": "b"}, ["a", "b", "c"]), step_of({"a": "b", "b": "a"}, ["a", "b", "c"])
    (1, 0)
    """
    if len(moved) != len(order) or len(order) < 3:
        return 0
    steps = {(order.index(name) - order.index(source)) % len(order) for name, source in moved.items()}
    (step,) = steps if len(steps) == 1 else (0,)
    return step


def _near(found: Mapping[str, int], wanted: Mapping[str, int], source: Mapping[str, str]) -> bool:
    return all(abs(found[a] - wanted[b]) <= TOLERANCE * wanted[b] for a, b in source.items())


def differences(found: Mapping[str, int], wanted: Mapping[str, int]) -> dict[str, int]:
    """Class -> found less wanted, where they differ.

    >>> differences({"fear": 3, "anger": 2}, {"fear": 5, "anger": 2})
    {'fear': -2}
    """
    apart = {name: found.get(name, 0) - wanted.get(name, 0) for name in [*wanted, *found]}
    return {name: by for name, by in apart.items() if by}
