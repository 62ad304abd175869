"""What a check found: its name, how grave it is, and which samples show it.

It knows no check and no verb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
EXAMPLES = 5
"""Source keys that a finding names."""
SHOWN = 12
"""Pictures, or pairs of them, that the page shows of a finding."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to know: `kind` is stable, `count` says how many samples, `examples` are source keys of some."""

    kind: str
    severity: Severity
    count: int
    message: str
    examples: list[str]
    shown: tuple[tuple[str, ...], ...] = ()
    """Sample ids to look at, those that belong together (a copy and its original) in one tuple."""
    exclude: tuple[str, ...] = ()
    """Sample ids that `--fix` excludes: those about which nobody has to be asked."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what is excluded as a number."""
        told = asdict(self)
        return {name: told[name] for name in ("kind", "severity", "count", "message", "examples")} | {
            "fixable": len(self.exclude)
        }


def finding(
    kind: str,
    severity: Severity,
    message: str,
    rows: pd.DataFrame | None = None,
    *,
    count: int | None = None,
    shown: Sequence[tuple[str, ...]] | None = None,
    exclude: Sequence[str] = (),
) -> Finding:
    """A finding about the `rows` (sample_id, source_key); `shown` is the first of them where nothing is paired."""
    keys = [] if rows is None else [str(key) for key in rows["source_key"].head(EXAMPLES)]
    if shown is None:
        shown = [] if rows is None else [(str(one),) for one in rows["sample_id"].head(SHOWN)]
    return Finding(
        kind=kind,
        severity=severity,
        count=(0 if rows is None else len(rows)) if count is None else count,
        message=message,
        examples=keys,
        shown=tuple(shown[:SHOWN]),
        exclude=tuple(exclude),
    )
