"""Text that people chose (file names, reviewers, classes, notes) made safe to print: shown as it is, without effect.

A terminal obeys control characters, and some characters turn or hide the text around them. It never shortens anything.
"""

from __future__ import annotations

import json
from typing import Any

_JOINERS = "\u200c\u200d"  # within Persian or Indic words and emoji they are spelling


def printable(text: str) -> str:
    """`text` with every character that a terminal would obey, or that nobody could see, written as an escape.

    Control characters (line breaks too), bidirectional and zero-width ones, lone surrogates and what Unicode left
    unassigned are escaped. Blanks of other scripts stay, and so do joiners between letters of other scripts.

    >>> print(printable("a\\x1b[31mb\\nc\\u202ed 笑顔"))
    a\\x1b[31mb\\nc\\u202ed 笑顔
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or _is_spelling(text, place) else _escape(char) for place, char in enumerate(text)
    )


def json_line(value: Any, *, ascii_only: bool = False) -> str:
    """`value` as one line of JSON that reads back exactly and prints without effect; other scripts stay readable."""
    text = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    if text.isprintable():
        return text
    # outside of strings JSON is printable ASCII here, so that whatever is not stands inside one
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _is_spelling(text: str, place: int) -> bool:
    char = text[place]
    if char.isspace() and ord(char) > 0x9F and char not in "\u2028\u2029":
        return True
    around = text[place - 1 : place] + text[place + 1 : place + 2]
    return char in _JOINERS and len(around) == 2 and not any(other.isascii() or other in _JOINERS for other in around)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
