"""Which pictures are there twice, across splits and under two labels?

Equal bytes are counted. Others are compared where their thumbnails are alike, mirrored too, and each such pair is laid
upon the other (`recognition.registration`): faces that only look alike are no finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ferclean.errors import FercleanError, WorkspaceBusyError
from ferclean.evidence import splits
from ferclean.health.finding import Finding, Severity, finding
from ferclean.parts.copies import MIRRORED, find_duplicates
from ferclean.parts.pixels import LOOK, Kept, pixels_of
from ferclean.progress import Progress, Tell
from ferclean.recognition import images as image_room
from ferclean.recognition.registration import are_copies
from ferclean.store.workspace import Workspace

ALIKE = 0.95
"""Agreement of two thumbnails from which a pair is looked at."""
MOST_PAIRS = 10_000
"""Pairs that are looked at, the most alike first: 16 seconds of one core."""
RANK = {"train": 0, "validation": 1, "test": 2}
"""Of a picture in two splits the one of the higher stays: what is measured on is never changed."""
_TOGETHER = 500


def equal(table: pd.DataFrame) -> Iterator[Finding]:
    """Rows whose files hold the same bytes."""
    usable = table[table["quarantine_reason"].isna()]
    copies = usable[usable["content_hash"].duplicated(keep=False)]
    if not len(copies):
        return
    groups = copies.groupby("content_hash")
    labels, where = groups["given_label"].transform("nunique"), groups["split"].transform("nunique")
    count = groups.ngroups
    message = f"{len(copies):,} samples in {count:,} groups of exactly equal images"
    # one training row of each stays; which of two labels is right, only a person can say
    again = copies[(copies["split"] == "train") & (labels == 1)].duplicated("content_hash")
    spare = list(copies.loc[again[again].index, "sample_id"])
    yield finding("exact_duplicates", "warning", message, copies, shown=_groups(copies), exclude=spare)
    if (labels > 1).any():
        rows = copies[labels > 1]
        message = f"{rows['content_hash'].nunique():,} groups of equal images carry different labels"
        yield finding("conflicting_labels", "error", message, rows, shown=_groups(rows))
    if (where > 1).any():
        rows = copies[where > 1]
        message = f"{rows['content_hash'].nunique():,} groups of equal images lie in several splits"
        rank = rows["split"].map(RANK)
        behind = rank < rank.groupby(rows["content_hash"]).transform("max")
        yield finding("leak", "error", message, rows, shown=_groups(rows), exclude=list(rows["sample_id"][behind]))


def near(ws: Workspace, table: pd.DataFrame, progress: Progress, tell: Tell) -> Iterator[Finding]:
    """Rows whose pictures are one photograph, recompressed, cut or turned a little, or mirrored.

    What it costs: `splits.near_duplicate_pairs`, twice, once a set; and `MOST_PAIRS` pairs looked at each time.
    """
    usable = table[table["quarantine_reason"].isna()].reset_index(drop=True)
    try:
        find_duplicates(ws, progress=progress, tell=tell)  # what scoring needs; its faces are asked about below
        pairs, passed = _copies(ws, usable, progress, tell)
    except WorkspaceBusyError:
        raise
    except FercleanError as error:
        message = f"near copies were not looked for: {error}"
        yield finding("not_looked", "warning", message, count=len(table))
        return
    if passed:
        message = f"{passed:,} pairs of alike pictures were not compared: only the {MOST_PAIRS:,} most alike were"
        yield finding("not_compared", "info", message, count=passed)
    if not len(pairs):
        return
    one, other = usable.iloc[pairs["one"]], usable.iloc[pairs["other"]]
    flipped = int((pairs["kind"] == MIRRORED).sum())
    shared = f"{len(pairs):,} pairs of nearly equal images"
    shared += f", {flipped:,} of them mirrored" if flipped else ""
    yield _pairs("near_duplicates", "warning", shared, one, other)
    apart = one["given_label"].to_numpy() != other["given_label"].to_numpy()
    if apart.any():
        message = f"{int(apart.sum()):,} pairs of nearly equal images carry different labels"
        yield _pairs("conflicting_copies", "error", message, one[apart], other[apart])
    across = one["split"].to_numpy() != other["split"].to_numpy()
    if across.any():
        mirrored = int((pairs["kind"].to_numpy()[across] == MIRRORED).sum())
        message = f"{int(across.sum()):,} pairs of nearly equal images lie in two splits"
        message += f", {mirrored:,} of them mirrored" if mirrored else ""
        yield _pairs("near_leak", "error", message, one[across], other[across], mend=True)


def _copies(ws: Workspace, usable: pd.DataFrame, progress: Progress, tell: Tell) -> tuple[pd.DataFrame, int]:
    pixels = pixels_of(ws, usable, size=LOOK[0], channels=LOOK[1], progress=progress, tell=tell)
    assert isinstance(pixels, Kept)  # the first look is small
    return copies_among(pixels, usable["content_hash"].to_numpy(), progress)


def copies_among(pixels: Kept | np.ndarray, contents: np.ndarray, progress: Progress) -> tuple[pd.DataFrame, int]:
    """The pairs that are one photograph: columns one, other (rows), kind (near, mirrored), similarity (of thumbnails),
    the surest first; and how many alike pairs were passed over.

    `pixels` (N, 1, S, S) as the first look has them, `contents` (N,) the hashes of the files: equal ones are no pair.
    """
    starts = range(0, len(pixels), 8192)
    small = np.concatenate([image_room.thumbnails(pixels[start : start + 8192]) for start in starts])
    found = []
    for kind, turned in (("near", None), (MIRRORED, image_room.mirrored(small))):
        pairs, similarity = splits.near_duplicate_pairs(small, threshold=ALIKE, mirrored=turned)
        found.append(pd.DataFrame({"one": pairs[:, 0], "other": pairs[:, 1], "kind": kind, "similarity": similarity}))
    alike = pd.concat(found, ignore_index=True)
    alike = alike[contents[alike["one"]] != contents[alike["other"]]]
    # what is alike both ways (a face from the front) is looked at the better way first
    alike = alike.sort_values(["similarity", "one", "other"], ascending=[False, True, True], kind="stable")
    looked, passed = alike.head(MOST_PAIRS), max(len(alike) - MOST_PAIRS, 0)
    sure = []
    for start in range(0, len(looked), _TOGETHER):
        part = looked.iloc[start : start + _TOGETHER]
        first, second = pixels[part["one"].to_numpy()][:, 0], pixels[part["other"].to_numpy()][:, 0]
        back = (part["kind"] == MIRRORED).to_numpy()
        first = np.where(back[:, None, None], first[:, :, ::-1], first)
        sure.append(are_copies(first, second, part["similarity"].to_numpy()))
        progress("comparing alike pictures", start + len(part), len(looked))
    found_ones = looked[np.concatenate(sure)] if sure else looked
    return found_ones.drop_duplicates(["one", "other"], ignore_index=True), passed


def _pairs(
    kind: str, severity: Severity, message: str, one: pd.DataFrame, other: pd.DataFrame, *, mend: bool = False
) -> Finding:
    both = pd.concat([one, other]).drop_duplicates("sample_id").sort_index()
    shown = list(zip(one["sample_id"], other["sample_id"], strict=True))
    behind: list[str] = []
    if mend:
        first, second = one["split"].map(RANK).to_numpy(), other["split"].map(RANK).to_numpy()
        behind = [*one["sample_id"][first < second], *other["sample_id"][second < first]]
    return finding(kind, severity, message, both, shown=shown, exclude=list(dict.fromkeys(behind)))


def _groups(rows: pd.DataFrame) -> Sequence[tuple[str, ...]]:
    return [tuple(members["sample_id"].head(4)) for _, members in rows.groupby("content_hash", sort=False)]
