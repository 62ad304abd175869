"""Who decided, as an export tells it to the world: reviewer 1, reviewer 2, in the order in which they first decided.

It never gives a name or an address away; the table form, which is for the team itself, does not ask it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ferclean.exports.content import Content
from ferclean.store.counts import first_decided

_DECIDED = re.compile(r"(decision: \w+ by )(.*)", re.DOTALL)

_MODEL = "automatic"
"""`changelog.MODEL`."""


class Aliases:
    """Names of reviewers -> what they are called outside; the same in every export of a workspace."""

    def __init__(self, content: Content) -> None:
        self._known = {name: f"reviewer {n}" for n, name in enumerate(first_decided(content.ws), start=1)}

    def of(self, name: str) -> str:
        """What a reviewer is called; somebody of whom the workspace knows no decision is one reviewer more."""
        return self._known.setdefault(name, f"reviewer {len(self._known) + 1}")

    def in_reason(self, reason: str) -> str:
        """A release's reason with the reviewer in it called so."""
        found = _DECIDED.fullmatch(reason)
        return found[1] + self.of(found[2]) if found else reason

    def in_flow(self, by: Mapping[str, int]) -> dict[str, int]:
        """Who -> count of a changelog's flow; what no person did keeps its word."""
        return {who if who == _MODEL else self._known.get(who, who): count for who, count in by.items()}
