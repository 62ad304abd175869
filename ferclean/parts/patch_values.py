"""What may stand in a field of a patch: a test for each kind of value.

It never opens anything. A value of a kind that a test cannot even look at makes it raise, which `patch_file` takes for
no.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from ferclean.exports.patch import ABOUT, MOST_WORDS, RULES, key_leads_out
from ferclean.printable import printable
from ferclean.store.arrivals import SPLITS

MOST_LINES = 20_000_000
OF_SOURCE = {"release", "version", "policy", "fingerprint", "content", "rules", "given"}
"""Of a release that a patch comes from."""
_RULE_WORDS = {"ambiguous": ("keep", "exclude"), "unmended": ("soft", "keep", "drop")}
"""Of what a release was made by; the other rules are shares."""
_HEX = re.compile(r"[0-9a-f]{64}")


def is_name(value: Any) -> bool:
    """One line of words, 1 to MOST_WORDS characters."""
    return isinstance(value, str) and 0 < len(value) <= MOST_WORDS and printable(value) == value


def is_words(value: Any) -> bool:
    """One line of words, none, or nothing."""
    return value is None or value == "" or is_name(value)


def is_key(value: Any) -> bool:
    """A file's name may hold line breaks, too; everything shows them as escapes."""
    value.encode("utf-8")
    return 0 < len(value) <= 4096 and "\0" not in value and not key_leads_out(value)


def is_hash(value: Any) -> bool:
    """64 hex digits, or nothing."""
    return value is None or (isinstance(value, str) and _HEX.fullmatch(value) is not None)


def is_count(value: Any) -> bool:
    """A number of lines."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_LINES


def is_share(value: Any) -> bool:
    """A number from 0 to 1."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def is_target(value: Any, count: int) -> bool:
    """A chance for each of `count` classes, which sum to 1, or nothing."""
    if value is None:
        return True
    whole = isinstance(value, list) and len(value) == count and all(is_share(p) for p in value)
    return whole and math.isclose(sum(value), 1.0, abs_tol=1e-4)


def are_names(value: Any) -> bool:
    """Different names of classes."""
    return (
        isinstance(value, list)
        and 0 < len(value) <= 5000
        and all(map(is_name, value))
        and len(set(value)) == len(value)
    )


def is_since(value: Any) -> bool:
    """The release that a patch leads on from, with its digest, or the set as it was given."""
    if value.keys() != {"release", "content"}:
        return False
    if value["release"] == "original":
        return value["content"] is None
    return is_name(value["release"]) and value["content"] is not None and is_hash(value["content"])


def are_sources(value: Any, classes: Sequence[str]) -> bool:
    """The releases that a patch comes from, each told whole."""
    return (
        isinstance(value, list)
        and 0 < len(value) <= 100
        and all(
            one.keys() == OF_SOURCE
            and is_name(one["release"])
            and one["policy"] in ("decisions", "auto")
            and is_name(one["fingerprint"])
            and is_hash(one["content"])
            and (one["version"] is None or is_name(one["version"]))
            and one["rules"].keys() == set(RULES)
            and all(_is_rule(name, said) for name, said in one["rules"].items())
            and one["given"].keys() <= set(SPLITS)
            and all(of.keys() == set(classes) and all(map(is_count, of.values())) for of in one["given"].values())
            for one in value
        )
    )


def _is_rule(name: str, value: Any) -> bool:
    """What a release was made by."""
    return value is None or (value in _RULE_WORDS[name] if name in _RULE_WORDS else is_share(value))


def is_about(value: Any) -> bool:
    """Words of the set's card, in lines."""
    return value.keys() == set(ABOUT) and all(
        len(words) <= MOST_WORDS and all(map(is_words, words.split("\n"))) for words in value.values()
    )
