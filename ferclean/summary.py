"""What a function tells its caller, as a frozen dataclass that is one JSON object.

It computes nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The base of everything that a verb returns.

    >>> @dataclass(frozen=True, kw_only=True)
    ... class Counted(Summary):
    ...     samples: int
    >>> Counted(samples=3).as_dict()
    {'samples': 3}
    """

    def as_dict(self) -> dict[str, Any]:
        """For JSON: plain values, nested ones too."""
        return asdict(self)
