"""What every measurement's JSON begins with: which pipeline, of which code, on which day.

It measures nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ferclean.store.version import code_version


def heading(pipeline: str) -> dict[str, Any]:
    """`schema`, `pipeline`, `version` (with the commit, in a checkout) and `date` (UTC), for `heading(...) | {...}`.

    >>> list(heading("noise_sweep"))
    ['schema', 'pipeline', 'version', 'date']
    """
    return {"schema": 1, "pipeline": pipeline, "version": code_version(), "date": today()}


def today() -> str:
    """The day in UTC, such as 2026-01-31."""
    return datetime.now(UTC).strftime("%Y-%m-%d")
