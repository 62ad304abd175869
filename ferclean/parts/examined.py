"""What `doctor` found when it looked last: kept as a run, for status, the report and the overview.

It looks at nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ferclean.store import runs, samples
from ferclean.store.workspace import Workspace

KIND = "doctor"
"""The kind of run that a look of doctor's is; nothing but the list of runs knows it."""


def keep(ws: Workspace, findings: Sequence[dict[str, Any]], *, count: int) -> None:
    """Store what doctor found of `count` samples in place of what it found before of the same ones.

    `findings` as `Finding.as_dict`. Raises UnwritableError where nothing can be written.
    """
    run_id = runs.start_run(
        ws, kind=KIND, method="health", config={}, seed=0, fingerprint=samples.fingerprint(ws), metrics={}
    )
    runs.finish_run(ws, run_id, {"findings": list(findings), "samples": count})


def last_look(ws: Workspace) -> dict[str, Any] | None:
    """What doctor found last: `looked_at` (UTC), `samples`, `errors`, `warnings` (numbers of findings), `kinds` (of the
    errors), `outdated` (samples came, went or changed since), `findings`; None before its first look."""
    run = runs.latest_run(ws, KIND)
    if run is None or run.finished_at is None:
        return None
    found = run.metrics["findings"]
    return {
        "looked_at": run.finished_at.isoformat(timespec="seconds"),
        "samples": run.metrics["samples"],
        "errors": sum(one["severity"] == "error" for one in found),
        "warnings": sum(one["severity"] == "warning" for one in found),
        "kinds": list(dict.fromkeys(one["kind"] for one in found if one["severity"] == "error")),
        "outdated": run.fingerprint != samples.fingerprint(ws),
        "findings": found,
    }


def in_words(look: dict[str, Any] | None) -> str:
    """What `last_look` says in a sentence without its full stop.

    >>> in_words(None)
    'doctor has not looked at this set yet'
    """
    if look is None:
        return "doctor has not looked at this set yet"
    told = [f"{look[name]:,} {name if look[name] != 1 else name[:-1]}" for name in ("errors", "warnings") if look[name]]
    kinds = f" ({', '.join(look['kinds'])})" if look["kinds"] else ""
    since = "; the samples changed since, look again" if look["outdated"] else ""
    return f"doctor found {' and '.join(told) or 'nothing wrong'}{kinds}{since}"
