"""What differs between two releases, like a pull request: labels, who is in, splits, soft labels and weights.

It changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ferclean.evidence import labels as label_names
from ferclean.parts.changelog import items_of
from ferclean.parts.curating import changes, keys_of, moved
from ferclean.store.samples import get_dataset
from ferclean.store.table import sample_table
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

SOFT_MOVED = 0.1
"""Total variation distance (0 to 1: the share that lies on other classes than before) or change of a weight from which
a face counts as moved: a tenth of what it is trained towards lies elsewhere."""
LARGEST = 10
"""How many of them are named."""


@dataclass(frozen=True, kw_only=True)
class ReleaseDiff(Summary):
    """The label changes that lead from one release to another."""

    before: str
    after: str
    changes: list[dict[str, Any]] = field(repr=False)
    """One dict per row: sample_id, source_key, split, change (added, removed, relabelled), from, to, reason."""
    moved: list[dict[str, Any]] = field(repr=False)
    """Faces in both whose split is another one, as between a release by `--splits` and one without: one dict per row
    with sample_id, source_key, from, to. One whose label differs too is also among the `changes`."""
    soft_labels: int
    """Faces in both whose training target moved by more than SOFT_MOVED, by a soft label in at least one of them."""
    largest_soft: list[dict[str, Any]] = field(repr=False)
    """The LARGEST of them, the farthest first: sample_id, source_key, split, moved (total variation distance, 0 to 1),
    from, to (the likeliest class), from_p, to_p (its share)."""
    weights: int
    """Faces in both whose weight moved by more than SOFT_MOVED."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `added`, `removed`, `relabelled`, `soft_labels` and `weights` are counts, `moves`
        those of `moved`, most first: from, to, count."""
        kinds = Counter(change["change"] for change in self.changes)
        counts = {kind: kinds[kind] for kind in ("added", "removed", "relabelled")}
        return super().as_dict() | counts | {"moves": self.moves()}

    def moves(self) -> list[dict[str, Any]]:
        """How many faces moved from which split to which, most first: from, to, count."""
        flows = Counter((one["from"], one["to"]) for one in self.moved)
        return [{"from": old, "to": new, "count": count} for (old, new), count in flows.most_common()]


def diff(ws: Workspace, before: str, after: str) -> ReleaseDiff:
    """The rows whose label, presence, split, soft label or weight differs; "original" is the set as it was given.

    Raises UsageError for an unknown release.
    """
    with ws.reading("diff"):
        table = sample_table(ws, lists=(), lost_ok=True)

        old, new, keys = items_of(ws, before, table), items_of(ws, after, table), keys_of(table)
        count, largest, weights = _soft_changes(old, new, keys, get_dataset(ws).classes)
    return ReleaseDiff(
        before=before, after=after, changes=changes(old, new, keys), moved=moved(old, new, keys), soft_labels=count,
        largest_soft=largest, weights=weights,
    )  # fmt: skip


def _soft_changes(
    before: pd.DataFrame, after: pd.DataFrame, keys: Mapping[str, str], classes: tuple[str, ...]
) -> tuple[int, list[dict[str, Any]], int]:
    """What `ReleaseDiff` says of soft labels and weights. Without a soft label all of it lies on the label."""
    columns = ["sample_id", "split", "label", "soft_label", "weight"]
    old, new = (frame.loc[frame["included"].astype(bool), columns] for frame in (before, after))
    both = old.merge(new.drop(columns="split"), on="sample_id", suffixes=("_old", "_new"))
    weights = int(((both["weight_old"] - both["weight_new"]).abs() > SOFT_MOVED).sum())
    both = both[both["soft_label_old"].notna() | both["soft_label_new"].notna()]
    if both.empty:
        return 0, [], weights
    was, now = (_targets(both[f"soft_label_{side}"], both[f"label_{side}"], classes) for side in ("old", "new"))
    moved = np.abs(was - now).sum(1) / 2
    largest = np.argsort(-moved, kind="stable")[:LARGEST]
    rows = [
        {
            "sample_id": both["sample_id"].iloc[i], "source_key": keys.get(both["sample_id"].iloc[i]),
            "split": both["split"].iloc[i], "moved": round(float(moved[i]), 4),
            "from": classes[was[i].argmax()], "from_p": round(float(was[i].max()), 4),
            "to": classes[now[i].argmax()], "to_p": round(float(now[i].max()), 4),
        }
        for i in largest if moved[i] > SOFT_MOVED
    ]  # fmt: skip
    return int((moved > SOFT_MOVED).sum()), rows, weights


def _targets(soft: pd.Series, label: pd.Series, classes: tuple[str, ...]) -> np.ndarray:
    """(N, K): what each row is trained towards."""
    found = np.eye(len(classes))[label_names.encode(list(label), classes)]
    has = soft.notna().to_numpy()
    if has.any():
        found[has] = np.stack(list(soft[has]))
    return found
