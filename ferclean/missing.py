"""What counts as nothing in a table, for every room alike."""

from __future__ import annotations

from typing import Any


def is_missing(value: Any) -> bool:
    """True for every way in which a table says "nothing": None, NaN, NaT, <NA>; False for texts, lists and arrays.

    >>> is_missing(float("nan")), is_missing(""), is_missing([None])
    (True, False, False)
    """
    if value is None or hasattr(value, "__len__"):
        return value is None
    try:
        return bool(value != value)
    except TypeError:  # <NA> answers neither yes nor no
        return True
