"""What a killed verb left: torn results, unstored decisions, hidden drafts. For `kill_sweep.py`.

It only looks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ferclean.files import DRAFT
from ferclean.store import decisions, lock, releases, retrains, runs, samples, scores, verdicts
from ferclean.store.workspace import Workspace

BULK = 12
"""Rows of the decision file."""
BULKER = "bulker"
"""Who decided them."""


def digest(path: Path) -> str | None:
    """Of every name and byte below `path`; None when nothing is there."""
    if not path.exists():
        return None
    made = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            made.update(f"{file.relative_to(path)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return made.hexdigest()


def hidden(place: Path) -> list[str]:
    """Drafts of writers and tickets of the queue, anywhere below."""
    return [
        str(path.relative_to(place)) for path in place.rglob("*") if path.name.startswith((DRAFT, f"{lock.LOCK_NAME}."))
    ]


def counted(place: Path) -> dict[str, int]:
    """How many rows a whole ingest, score and triage of this set have, from a workspace that nobody killed."""
    ws = Workspace.open(place / "W")
    found = {"ingest": len(samples.get_samples(ws, include_quarantined=True))}
    return found | {run.kind: rows_of(ws, run) for run in runs.list_runs(ws)}


def rows_of(ws: Workspace, run: runs.Run) -> int:
    """What a run stored."""
    if run.kind == "score":
        return len(scores.get_predictions(ws, run.run_id).sample_ids)
    if run.kind == "triage":
        return len(verdicts.get_verdicts(ws, run.run_id))
    return len(retrains.get_results(ws, run.run_id)) if run.kind == "retrain" else 0


def torn(place: Path, whole: Mapping[str, int]) -> list[str]:
    """What in the workspace looks finished and is not; [] when all is well. Raises when it does not open.

    `whole` is what `counted` says of a workspace that nobody killed.
    """
    ws = Workspace.open(place / "W")
    found = []
    history = decisions.decision_history(ws)
    bulk = int((history["reviewer"] == BULKER).sum())
    if bulk not in (0, BULK):
        found.append(f"a bulk of {bulk}")
    ingested = len(samples.get_samples(ws, include_quarantined=True)) if _filled(ws) else 0
    if ingested not in (0, whole["ingest"]):
        found.append(f"{ingested} samples")
    known = runs.list_runs(ws)
    found += [f"{run.run_id} is done without a file" for run in known if run.state == "deleted"]
    done = {run.run_id: (run.kind, rows_of(ws, run)) for run in known if run.state == "done"}
    found += [f"{run} is done with {rows} rows" for run, (kind, rows) in done.items() if rows < whole.get(kind, 1)]
    for release in releases.list_releases(ws):
        rows = len(releases.get_release_items(ws, release.name))
        folder = ws.releases / release.name
        if rows != ingested:
            found.append(f"release {release.name} of {rows} rows")
        if folder.exists() and len(pd.read_parquet(folder / "labels.parquet")) != rows:
            found.append(f"the files of release {release.name}")
    return found


def _filled(ws: Workspace) -> bool:
    with ws.reading("looking") as con:
        return bool(con.execute("SELECT count(*) FROM dataset").fetchall()[0][0])


def unstored(place: Path, printed: str) -> int:
    """How many decisions were acknowledged in `printed` and are not in the store."""
    told: set[int] = set()
    for line in printed.splitlines():
        try:
            told.update(json.loads(line).get("decision_ids", ()))
        except (ValueError, AttributeError):  # a line that was cut by the kill was not acknowledged
            continue
    if not told:
        return 0
    return len(told - set(decisions.decision_history(Workspace.open(place / "W"))["decision_id"]))


def unlike(place: Path, out: str, allowed: Sequence[str | None]) -> list[str]:
    """[] when what stands at `out` is nothing, or whole."""
    path = place / out
    if out.endswith(".html"):
        whole = not path.exists() or path.read_text("utf-8").rstrip().endswith("</html>")
    else:
        whole = digest(path) in allowed
    return [] if whole else [f"what stands at {out}"]
