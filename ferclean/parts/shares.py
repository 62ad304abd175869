"""What a person sees in an ambiguous face as text, for the command line and for files: `happiness=0.6,surprise=0.4`.

It turns one into the other; whether shares are sound is checked where decisions are stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ferclean.errors import UsageError, among
from ferclean.evidence.labels import find_class

# a name may hold commas and equals signs; a share is what stands behind its last one
_ONE = re.compile(r"\s*(.+?)\s*=\s*([0-9.eE+-]+)\s*(?:,|$)")


def shares_from(text: str, classes: Sequence[str]) -> dict[str, float]:
    """Class -> share, as a person or a file writes it. Raises UsageError for anything else.

    >>> shares_from("happy=0.6, surprise=0.4", ("happiness", "surprise"))
    {'happiness': 0.6, 'surprise': 0.4}
    """
    shares: dict[str, float] = {}
    end = 0
    for found in _ONE.finditer(text):
        name = find_class(found[1], classes)
        if found.start() != end:
            break
        if name is None:
            raise UsageError(f"unknown label {found[1]!r} in the shares {text!r}; {among(found[1], classes)}")
        if name in shares:
            raise UsageError(f"{name!r} has two shares in {text!r}; give it one")
        try:
            shares[name] = float(found[2])
        except ValueError:
            break
        end = found.end()
    if not shares or end != len(text):
        raise UsageError(f"{text!r} is not NAME=SHARE,NAME=SHARE, as happiness=0.6,surprise=0.4")
    return shares


def shares_as_text(shares: Sequence[float] | None, classes: Sequence[str]) -> str:
    """Shares in the order of the classes as `shares_from` reads them; empty where there are none.

    >>> shares_as_text([0.6, 0.0, 0.4], ("happiness", "fear", "surprise"))
    'happiness=0.6,surprise=0.4'
    """
    told = zip(classes, () if shares is None else shares, strict=False)
    return ",".join(f"{name}={share:.12g}" for name, share in told if share)
