"""What the attributes of samples say, as codes that can be counted: age groups, genders, people.

It never guesses what an attribute means, and reads none that is a list or a mapping, such as a box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from ferclean.errors import UsageError, few

Attributes = Sequence[Mapping[str, object]]

MOST_VALUES = 50
"""Values of words from which an attribute is a name of something, and cannot be balanced."""
NUMBERS_AS_THEY_ARE = 12
"""Values of numbers up to which each counts by itself; more are cut into FIFTHS."""
FIFTHS = 5
UNKNOWN = "unknown"
PEOPLE = (
    "person", "person_id", "subject", "subject_id", "identity", "identity_id", "actor", "actor_id", "speaker",
    "speaker_id",
)  # fmt: skip
"""Attributes that name who is shown, in small letters; the first that a set has."""
NOBODY = ("", "-1", "?", "n/a", "na", "nan", "none", "null", UNKNOWN)
"""What an attribute of people says, in small letters, of a face of nobody known."""


def scalar_names(attributes: Attributes) -> list[str]:
    """The attributes that at least one row has as a word, a number or a yes or no, in order of their coming."""
    found: dict[str, None] = {}
    for row in attributes:
        for name, value in row.items():
            if name not in found and isinstance(value, str | int | float | bool):
                found[name] = None
    return list(found)


def codes_of(attributes: Attributes, name: str) -> tuple[np.ndarray, list[str]]:
    """The code of each row's value (N,), and what the codes are called; a row without one has the value UNKNOWN.

    Numbers of more than NUMBERS_AS_THEY_ARE values are cut into fifths of the rows. Raises UsageError for an attribute
    of more than MOST_VALUES words.

    >>> codes, names = codes_of([{"sex": "f"}, {"sex": "m"}, {}], "sex")
    >>> codes.tolist(), names
    ([0, 1, 2], ['f', 'm', 'unknown'])
    """
    values = [row.get(name) for row in attributes]
    known = {value for value in values if isinstance(value, str | int | float | bool)}
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    if numbers and len(known) > NUMBERS_AS_THEY_ARE:
        return _fifths(values)
    names = [str(value) for value in (sorted(known) if numbers else sorted(known, key=str))]
    if len(names) > MOST_VALUES:
        raise UsageError(
            f"the attribute {name!r} has {len(names):,} values ({few(names, 3)}), more than the {MOST_VALUES} that can "
            "be balanced"
        )
    code = {value: number for number, value in enumerate(names)}
    found = np.array([code.get(str(value), len(names)) for value in values], dtype=np.int64)
    return found, [*names, *([UNKNOWN] if (found == len(names)).any() else [])]


def people_attribute(attributes: Attributes) -> str | None:
    """The attribute that names people, as it is spelt: the first of PEOPLE, in any case, that names anybody.

    >>> people_attribute([{"film": "a", "Subject": "S1", "person": "?"}]), people_attribute([{"film": "a"}])
    ('Subject', None)
    """
    found: dict[str, None] = {}
    for row in attributes:
        for name, value in row.items():
            if name not in found and name.lower() in PEOPLE and _person(value) is not None:
                found[name] = None
    return min(found, key=lambda name: PEOPLE.index(name.lower()), default=None)


def people_of(attributes: Attributes, name: str) -> tuple[np.ndarray, list[str]]:
    """Who is seen on each row (N,), -1 for nobody known, and what the people are called in the order of their codes.

    7 and 7.0, as tables with gaps write it, are one person.
    """
    code: dict[str, int] = {}
    found = np.full(len(attributes), -1, dtype=np.int64)
    for row, told in enumerate(attributes):
        who = _person(told.get(name))
        if who is not None:
            found[row] = code.setdefault(who, len(code))
    return found, list(code)


def _person(value: object) -> str | None:
    if not isinstance(value, str | int | float | bool):
        return None
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    return None if text.lower() in NOBODY else text


def _fifths(values: Sequence[object]) -> tuple[np.ndarray, list[str]]:
    number = np.array(
        [value if isinstance(value, int | float) and not isinstance(value, bool) else np.nan for value in values],
        dtype=np.float64,
    )
    known = np.isfinite(number)
    ordered = np.sort(number[known])
    cuts = np.unique(ordered[[len(ordered) * part // FIFTHS for part in range(1, FIFTHS)]])
    found = np.searchsorted(cuts, number, side="right")
    found[~known] = len(cuts) + 1
    ends = [ordered[0], *cuts, ordered[-1]]
    names = [f"{low:g} to {high:g}" for low, high in pairwise(ends)]
    return found, [*names, *([UNKNOWN] if not known.all() else [])]
