"""Do the labels mean the classes that they are named after? Votes and outside judges tell, where there are any.

It trains nothing: what learned from these labels has learned their order, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ferclean.evidence import labels as label_names
from ferclean.evidence.class_order import permuted_classes
from ferclean.health.finding import Finding, finding
from ferclean.store import runs, scores, votes
from ferclean.store.workspace import Workspace


def order(ws: Workspace, table: pd.DataFrame, classes: Sequence[str]) -> Iterator[Finding]:
    """Another order of the classes that explains votes, or what a judge says, while the named one does no better than
    chance."""
    frame = table[table["quarantine_reason"].isna() & table["given_label"].isin(classes)]
    ids = list(frame["sample_id"])
    given = label_names.encode(list(frame["given_label"]), tuple(classes))
    counted, _ = votes.get_vote_counts(ws, ids, classes)
    yield from _against("the votes", counted.astype(np.float64), given, list(classes))
    for run in _judges(ws):
        said = scores.get_predictions(ws, run.run_id)
        place = {sample_id: row for row, sample_id in enumerate(said.sample_ids)}
        rows = np.array([place.get(one, -1) for one in ids], dtype=np.int64)
        probs = np.where(rows[:, None] >= 0, said.pred_probs[rows], 0.0)
        known = [name for name in classes if name in run.config["known"]]
        columns = [list(classes).index(name) for name in known]
        own = label_names.encode([name if name in known else None for name in frame["given_label"]], tuple(known))
        yield from _against(f"the judge {run.method}", probs[:, columns], own, known)


def _against(who: str, said: np.ndarray, given: np.ndarray, classes: Sequence[str]) -> Iterator[Finding]:
    """`said` (N, K): counts or probabilities, zero where nothing was said; `given` (N,), -1 where there is no label."""
    rows = np.flatnonzero((said.sum(1) > 0) & (given >= 0))
    if not len(rows) or len(classes) < 2:
        return
    shares = said[rows] / said[rows].sum(1, keepdims=True)
    moved = permuted_classes(given[rows], shares)
    if not moved:
        return
    told = ", ".join(
        f"what {who} call{'s' * who.startswith('the judge')} {classes[column]} is labelled {classes[k]}"
        for column, k in moved.items()
    )
    count = int(np.isin(given[rows], list(moved.values())).sum())
    kind = "swapped_labels" if len(moved) == 2 else "permuted_labels"
    yield finding(kind, "error", f"labels look permuted: {told}; check the order of the codes", count=count)


def _judges(ws: Workspace) -> list[runs.Run]:
    """The newest finished run of each judge, accepted or not: here it is asked about classes, not about faces."""
    asked = [run for run in runs.list_runs(ws) if run.kind == "score" and "judge" in run.config and run.state == "done"]
    return list({run.method: run for run in asked}.values())
