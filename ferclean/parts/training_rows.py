"""What a retraining reads: a release of this workspace or an exported one as a table, its test split, copies of that.

It trains nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence import splits as split_room
from ferclean.exports.target import form_of
from ferclean.parts.copies import find_duplicates, pair_rows
from ferclean.progress import Progress, Tell
from ferclean.recognition import images as image_room
from ferclean.recognition.images import Images
from ferclean.store import releases, samples
from ferclean.store.assignments import LEFT_OUT
from ferclean.store.workspace import Workspace

_EXPORT = "retrain reads what `ferclean export --form hf --release NAME --out FOLDER` writes"


def from_release(ws: Workspace, name: str | None) -> tuple[pd.DataFrame, tuple[str, ...], str]:
    """(rows of a release of this name, or the newest, that can be trained or tested on; classes; what it is called).

    Raises UsageError where there is none.
    """
    if name is None:
        known = releases.list_releases(ws)
        if not known:
            raise UsageError("there is no release yet: make one with `ferclean release NAME`, or give --dataset PATH")
        name = known[-1].name
    items = releases.get_release_items(ws, name)
    items = items[~items["reason"].fillna("").str.startswith(LEFT_OUT)]  # it belongs with the test split
    frame = samples.get_samples(ws, include_quarantined=True).rename(columns={"path": "image"})
    # a quarantined row is trained on only when a person gave it the label that it lacked
    usable = frame["quarantine_reason"].isna() | frame["sample_id"].isin(items.loc[items["included"], "sample_id"])
    frame = frame.loc[usable, ["sample_id", "image", "content_hash"]]
    return items.merge(frame, on="sample_id", how="inner"), samples.get_dataset(ws).classes, f"release {name}"


def from_export(path: Path) -> tuple[pd.DataFrame, tuple[str, ...], str]:
    """`from_release` of an exported folder. Raises UsageError for another form, BadDataError for one that does not hold
    the labels before curation."""
    from ferclean.sources import hf

    form = form_of(path)
    if form not in (None, "hf"):
        raise UsageError(f"{path} is an export in the form {form}, which does not hold all that it needs; {_EXPORT}")
    if not path.is_dir():
        raise UsageError(f"no folder at {path}; {_EXPORT}")
    rows, classes = hf.read_release(path)
    # without it both arms would be the labels of the export, and nothing to compare
    if rows["given_label"].isna().all():
        raise BadDataError(f"{path} does not hold the labels before curation (a column given_label); {_EXPORT}")
    rows["reason"] = None
    return rows, classes, f"dataset {path.name}"


def test_split_of(table: pd.DataFrame, wanted: str | None) -> str:
    """The split to measure on: the one that is wanted, else test, else validation.

    Raises UsageError for one that is not there, or without a training split, BadDataError where there is none.
    """
    present = list(dict.fromkeys(table["split"]))
    if wanted is not None and wanted not in present:
        raise UsageError(f"no split named {wanted}; {among(wanted, present)}")
    if "train" not in present:
        raise UsageError(f"retrain needs a split named train; {among('train', present)}")
    for name in [wanted] if wanted else ["test", "validation"]:
        if name in present:
            return name
    raise BadDataError("there is no test or validation split to measure on; name one with --test-split")


def copies_of_test(
    ws: Workspace | None,
    table: pd.DataFrame,
    pixels: Callable[[], Images],
    is_test: np.ndarray,
    progress: Progress,
    tell: Tell,
) -> np.ndarray:
    """(N,) bool: rows outside the test split that are exact, near or mirrored copies of a test image; from the pairs
    that are known of a workspace, and `pixels` are asked for only where those are not."""
    contents = list(table["content_hash"])
    if ws is None:
        return copies_of(pixels(), contents, is_test)
    pairs = find_duplicates(ws, progress=progress, tell=tell)
    groups = split_room.group_ids(len(table), pair_rows(list(table["sample_id"]), pairs), contents)
    found: np.ndarray = ~is_test & np.isin(groups, np.unique(groups[is_test]))
    if not table["sample_id"].isin(samples.get_samples(ws)["sample_id"]).all():
        # the first look leaves out what came without a label, which people have given one since
        found |= copies_of(pixels(), contents, is_test)
    return found


def copies_of(pixels: Images, contents: Sequence[str], is_test: np.ndarray) -> np.ndarray:
    """`copies_of_test` by a look at all pictures."""
    small = image_room.thumbnails(pixels)
    straight, _ = split_room.near_duplicate_pairs(small)
    mirrored, _ = split_room.near_duplicate_pairs(small, mirrored=image_room.mirrored(small))
    groups = split_room.group_ids(len(pixels), np.concatenate([straight, mirrored]), list(contents))
    return ~is_test & np.isin(groups, np.unique(groups[is_test]))
