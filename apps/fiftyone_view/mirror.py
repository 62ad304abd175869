"""Keeps the FiftyOne dataset what the workspace is, by writing what is new: samples, verdicts, decisions.

It never decides anything; people's own tags, fields and saved views in the dataset stay, and what they edited waits
until it was taken or refused (`decide.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fiftyone as fo
from filelock import FileLock

from apps.fiftyone_view.looks import dress
from apps.fiftyone_view.workspace_dataset import (
    DECIDED_TAG,
    FIELDS,
    FIXED,
    LABELS,
    classification,
    dataset_name,
    declare_fields,
    is_ours,
    present,
    rows_of,
    written,
)
from ferclean import hashes
from ferclean.progress import Progress, silent
from ferclean.store.decisions import current_decisions
from ferclean.store.mark import Mark, decided_since, mark
from ferclean.store.samples import get_dataset
from ferclean.store.workspace import Workspace

_MARK = "mark"  # in the dataset's info
_FIELDS_DIGEST = hashes.of_bytes(repr(FIELDS).encode())[:16]


def _differ(field: str, kept: str) -> dict[str, Any]:
    return {"$ne": [{"$ifNull": [f"${field}", None]}, {"$ifNull": [f"${kept}", None]}]}


_EDITED = {
    "$match": {
        "$expr": {
            "$or": [_differ("corrected_label.label", "decided_label"), _differ("ground_truth.label", "given_label")]
        }
    }
}


@dataclass(frozen=True, kw_only=True)
class DatasetUpdate:
    """The dataset and what bringing it up to date did."""

    dataset: fo.Dataset
    added: int
    changed: int
    """Samples of which something was written anew."""
    left_out: dict[str, int]
    """Samples that FiftyOne cannot show, counted by reason."""


def lock_of(ws: Workspace) -> FileLock:
    """Held by whoever writes the dataset: the process behind `browse` and the operators in FiftyOne's server."""
    return FileLock(Path(ws.root) / "fiftyone" / "tags.lock", timeout=120)


def update_dataset(ws: Workspace, *, whole: bool = False, progress: Progress = silent) -> DatasetUpdate:
    """Make the dataset say what the workspace says now. The database must be connected.

    Where nothing but decisions came since the last time, only those samples are written. Otherwise (another triage,
    other samples, pictures that changed, a dataset that lacks samples), or when the `whole` is asked for, everything is
    compared and what differs is written. Samples without an image file that may be shown are counted, not added.
    """
    with lock_of(ws):
        now = mark(ws)  # first: what comes while this reads is new the next time
        name = dataset_name(ws)
        dataset = fo.load_dataset(name) if fo.dataset_exists(name) else fo.Dataset(name, persistent=True)
        then = _kept_mark(dataset)
        fresh = None
        lacks = then is not None and dataset.count() != dataset.info[_MARK]["samples"]
        if then is not None and then.everything_else == now.everything_else and not lacks and not whole:
            fresh = decided_since(ws, then)
        if fresh is None:
            return _update_whole(ws, dataset, now, progress)
        waiting = edited(dataset, "ferclean_id") if fresh else []
        mirror_decisions(ws, dataset, [key for key in fresh if (key,) not in waiting])
        if now != then:
            dataset.info = dataset.info | {_MARK: dataset.info[_MARK] | asdict(now)}
            dataset.save()
        return DatasetUpdate(dataset=dataset, added=0, changed=len(fresh), left_out=dataset.info["left_out"])


def edited(samples: Any, *columns: str) -> list[tuple[Any, ...]]:
    """These columns of those of the samples (a dataset or a view) whose corrected label, or given label, is not what
    ferclean wrote; none before it wrote."""
    if _kept_mark(samples._dataset) is None:
        return []
    return list(zip(*samples.mongo([_EDITED]).values(list(columns)), strict=True))


def mirror_decisions(ws: Workspace, dataset: fo.Dataset, ferclean_ids: Sequence[str]) -> None:
    """Write what the store now says about these samples' decisions into the dataset, tags included.

    What people edited there is replaced, and what was refused is forgotten.
    """
    if not ferclean_ids:
        return
    current = {row["sample_id"]: row for row in current_decisions(ws, ferclean_ids).to_dict("records")}
    view = dataset.match(fo.ViewField("ferclean_id").is_in(list(ferclean_ids)))
    columns = ("ferclean_id", "id", "given_label", "tags", "ground_truth.label", "ground_truth.tags",
               "corrected_label.tags")  # fmt: skip
    new: dict[str, dict[str, Any]] = {}
    given_again = {}
    for key, sample, given, tags, truth, truth_tags, own_tags in zip(*view.values(list(columns)), strict=True):
        row = current.get(key, {})
        action = present(row.get("action"))
        # the label after a decision; None where people did not agree on one or left the sample out
        label = {"keep": given, "relabel": present(row.get("label"))}.get(action or "")
        decided = [DECIDED_TAG + action] if action else []
        new[sample] = {
            "decision": action,
            "decided_label": label,
            "corrected_label": written(classification(label, tags=own_tags)),
            "refused": None,
            "tags": [tag for tag in tags or () if not tag.startswith(DECIDED_TAG)] + decided,
        }
        if truth != given:
            given_again[sample] = written(classification(given, tags=truth_tags))
    for name in ("decision", "decided_label", "corrected_label", "refused", "tags"):
        dataset.set_values(name, {sample: row[name] for sample, row in new.items()}, key_field="id")
    if given_again:
        dataset.set_values("ground_truth", given_again, key_field="id")


def _kept_mark(dataset: fo.Dataset) -> Mark | None:
    """What the dataset was last brought up to; None where a ferclean with other fields did."""
    kept = dataset.info.get(_MARK)
    if kept is None or kept["fields"] != _FIELDS_DIGEST:
        return None
    return Mark(everything_else=kept["everything_else"], decision=kept["decision"], decided_at=kept["decided_at"])


def _update_whole(ws: Workspace, dataset: fo.Dataset, now: Mark, progress: Progress) -> DatasetUpdate:
    rows, left_out = rows_of(ws)
    declare_fields(dataset)
    present_already = set(dataset.values("ferclean_id"))
    if gone := sorted(present_already - rows.keys()):
        dataset.delete_samples(dataset.match(fo.ViewField("ferclean_id").is_in(gone)))
    new = [row for key, row in rows.items() if key not in present_already]
    # a generator: everything after is twenty times slower while Python holds the sample objects
    dataset.add_samples(_new_samples(new, progress), progress=False, num_samples=len(new))
    changed = _set_changed(dataset, rows, progress) if present_already else 0
    data = get_dataset(ws)
    kept = asdict(now) | {"fields": _FIELDS_DIGEST, "samples": len(rows)}
    about = {"workspace": str(ws.root), "data_set": data.name, "licence": data.licence}
    dataset.info = dataset.info | about | {"left_out": left_out, _MARK: kept}
    dataset.classes = {name: list(data.classes) for name in LABELS}
    dress(dataset, data.classes)
    dataset.save()
    return DatasetUpdate(dataset=dataset, added=len(new), changed=changed, left_out=left_out)


def _new_samples(rows: list[dict[str, Any]], progress: Progress) -> Iterator[fo.Sample]:
    for done, row in enumerate(rows):
        if done % 500 == 0:
            progress("adding samples to FiftyOne", done, len(rows))
        yield fo.Sample(**{name: written(value) for name, value in row.items() if value is not None})
    if rows:
        progress("adding samples to FiftyOne", len(rows), len(rows))


def _set_changed(dataset: fo.Dataset, rows: dict[str, dict[str, Any]], progress: Progress) -> int:
    """Set what differs from the dataset, field by field; writing all of it again would take ten times as long.

    Returns how many samples that were. Those that people edited keep their labels until they were looked at.
    """
    keys, ids, old_tags = dataset.values(["ferclean_id", "id", "tags"])
    waiting = {sample for (sample,) in edited(dataset, "id")}
    splits = {row["split"] for row in rows.values()}
    for key, tags in zip(keys, old_tags, strict=True):
        own = rows[key]["tags"]
        # in the old order, so that an unchanged list compares equal
        kept = [tag for tag in tags or () if tag in own or not is_ours(tag, splits)]
        rows[key]["tags"] = kept + [tag for tag in own if tag not in kept]
    kinds: dict[str, type] = {name: kind for name, kind, _ in FIELDS if name not in FIXED}
    changed: set[str] = set()
    for done, name in enumerate(["filepath", "tags", *kinds]):
        progress("comparing FiftyOne fields", done, len(kinds) + 2)
        is_label = kinds.get(name) is fo.Classification
        if is_label:
            label, confidence, label_tags = dataset.values([f"{name}.label", f"{name}.confidence", f"{name}.tags"])
            old: list[Any] = list(zip(label, confidence, strict=True))
        else:
            old, label_tags = dataset.values(name), [None] * len(keys)
        asked = name in ("ground_truth", "given_label", "corrected_label", "decided_label", "decision")
        values = {
            sample: written(_tagged(rows[key][name], tags))
            for key, sample, was, tags in zip(keys, ids, old, label_tags, strict=True)
            if was != _comparable(rows[key][name], is_label) and not (asked and sample in waiting)
        }
        if values:
            dataset.set_values(name, values, key_field="id")
            changed.update(values)
    progress("comparing FiftyOne fields", len(kinds) + 2, len(kinds) + 2)
    return len(changed)


def _comparable(value: Any, is_label: bool) -> Any:
    if is_label:
        return (None, None) if value is None else (value["label"], value["confidence"])
    return value


def _tagged(value: Any, tags: list[str] | None) -> Any:
    """A label's new value, with the tags that people put on the old one."""
    return value | {"tags": tags} if isinstance(value, dict) and tags else value
