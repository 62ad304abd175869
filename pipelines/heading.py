"""The JSON of every measurement: what it begins with (which pipeline, of which code, on which day), and its file.

It measures nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ferclean.store.version import code_version


def heading(pipeline: str) -> dict[str, Any]:
    """`schema`, `pipeline`, `version` (with the commit, in a checkout) and `date` (UTC), for `heading(...) | {...}`.

    >>> list(heading("noise_sweep"))
    ['schema', 'pipeline', 'version', 'date']
    """
    return {"schema": 1, "pipeline": pipeline, "version": code_version(), "date": today()}


def write_figures(path: Path, result: Mapping[str, Any]) -> None:
    """The whole object as a JSON file. Raises ValueError where one of its numbers is none."""
    path.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", "utf-8")


def today() -> str:
    """The day in UTC, such as 2026-01-31."""
    return datetime.now(UTC).strftime("%Y-%m-%d")
