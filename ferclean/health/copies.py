"""Which pictures are there twice, across splits and under two labels?

It never compares pictures itself: equal bytes are counted, all else is the first look's (`parts/copies.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ferclean.errors import FercleanError, WorkspaceBusyError
from ferclean.health.finding import Finding, finding
from ferclean.parts.copies import MIRRORED, find_duplicates
from ferclean.progress import Progress, Tell
from ferclean.store.workspace import Workspace


def equal(table: pd.DataFrame) -> Iterator[Finding]:
    """Rows whose files hold the same bytes."""
    usable = table[table["quarantine_reason"].isna()]
    copies = usable[usable["content_hash"].duplicated(keep=False)]
    if not len(copies):
        return
    groups = copies.groupby("content_hash")
    labels, splits = groups["given_label"].transform("nunique"), groups["split"].transform("nunique")
    count = groups.ngroups
    yield finding(
        "exact_duplicates", "warning", f"{len(copies):,} samples in {count:,} groups of exactly equal images", copies
    )
    if (labels > 1).any():
        rows = copies[labels > 1]
        message = f"{rows['content_hash'].nunique():,} groups of equal images carry different labels"
        yield finding("conflicting_labels", "error", message, rows)
    if (splits > 1).any():
        rows = copies[splits > 1]
        message = f"{rows['content_hash'].nunique():,} groups of equal images lie in several splits"
        yield finding("leak", "error", message, rows)


def near(ws: Workspace, table: pd.DataFrame, progress: Progress, tell: Tell) -> Iterator[Finding]:
    """Rows whose pictures are nearly equal, or are once one of them is mirrored."""
    try:
        pairs = find_duplicates(ws, progress=progress, tell=tell)
    except WorkspaceBusyError:
        raise
    except FercleanError as error:
        message = f"near copies were not looked for: {error}"
        yield finding("not_looked", "warning", message, count=len(table))
        return
    pairs = pairs[pairs["kind"] != "exact"]
    if not len(pairs):
        return
    by_id = table.set_index("sample_id")
    known = pairs[pairs["sample_a"].isin(by_id.index) & pairs["sample_b"].isin(by_id.index)]
    involved = table[table["sample_id"].isin({*known["sample_a"], *known["sample_b"]})]
    flipped = int((known["kind"] == MIRRORED).sum())
    message = f"{len(known):,} pairs of nearly equal images" + (f", {flipped:,} of them mirrored" if flipped else "")
    yield finding("near_duplicates", "warning", message, involved)
    one, other = (by_id.loc[known[side], "split"].to_numpy() for side in ("sample_a", "sample_b"))
    across = known[one != other]
    if len(across):
        rows = table[table["sample_id"].isin({*across["sample_a"], *across["sample_b"]})]
        yield finding("near_leak", "error", f"{len(across):,} pairs of nearly equal images lie in two splits", rows)
