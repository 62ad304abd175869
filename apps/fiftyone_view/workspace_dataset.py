"""The workspace as a FiftyOne dataset: one sample per image, with FiftyOne's own field names.

It never decides anything; people's own tags, fields and saved views in the dataset stay when it is updated.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fiftyone as fo

from ferclean.parts.calibrated import calibrated_probs
from ferclean.progress import Progress, silent
from ferclean.store.decisions import current_decisions
from ferclean.store.pictures import lost_pictures
from ferclean.store.samples import get_dataset
from ferclean.store.table import sample_table
from ferclean.store.verdicts import get_pairs
from ferclean.store.workspace import Workspace

VERDICT_TAG = "verdict:"
DECIDED_TAG = "decided:"
LEFT_OUT_NO_FILE = "no image file"
LEFT_OUT_OUTSIDE = "image outside the data set's folder and the workspace"

# name, type, what it means (shown in the App beside the field)
FIELDS: tuple[tuple[str, type, str], ...] = (
    ("ferclean_id", fo.StringField, "ferclean's sample_id"),
    ("source_key", fo.StringField, "original row or file name in the data set"),
    ("split", fo.StringField, "published split: train, validation, test"),
    ("ground_truth", fo.Classification, "given label, as published; never changed"),
    (
        "predictions",
        fo.Classification,
        "most probable expression, out-of-fold; confidence is its calibrated probability, softmax(logits) all of them",
    ),
    ("suggested_label", fo.Classification, "what ferclean proposes instead of the given label"),
    ("corrected_label", fo.Classification, "label after a person's decision"),
    ("label_quality", fo.FloatField, "0..1, LOW = likely mislabelled"),
    ("mistakenness", fo.FloatField, "0..1, HIGH = likely mislabelled: 1 - label_quality"),
    ("hardness", fo.FloatField, "0..1, entropy of the calibrated class probabilities over log(classes)"),
    ("p_mislabelled", fo.FloatField, "probability that a panel would agree on another expression"),
    ("p_ambiguous", fo.FloatField, "probability that a panel would not agree"),
    ("p_unusable", fo.FloatField, "probability that no readable face is there"),
    ("p_clean", fo.FloatField, "probability that the given label stands"),
    ("verdict", fo.StringField, "mislabelled, ambiguous, unusable, duplicate, leak or clean"),
    ("reasons", fo.ListField, "why the verdict was given"),
    ("rank", fo.IntField, "place in the queue, 1 = look first"),
    ("duplicates", fo.ListField, "ferclean_id of exact and near duplicates"),
    ("decision", fo.StringField, "what people decided: keep, relabel, ambiguous, exclude"),
    ("quarantine_reason", fo.StringField, "why the sample takes no part in scoring"),
)
# these are given once, when a sample is added
_FIXED = ("ferclean_id", "source_key", "split", "ground_truth")
_NUMBERS = ("label_quality", "p_mislabelled", "p_ambiguous", "p_unusable", "p_clean")


@dataclass(frozen=True, kw_only=True)
class DatasetUpdate:
    """The dataset and what bringing it up to date did."""

    dataset: fo.Dataset
    added: int
    left_out: dict[str, int]
    """Samples that FiftyOne cannot show, counted by reason."""


def dataset_name(ws: Workspace) -> str:
    """Name of the workspace's dataset; the folder is part of it, so that workspaces can share one database."""
    readable = re.sub(r"[^a-z0-9]+", "-", get_dataset(ws).name.lower()).strip("-") or "dataset"
    place = hashlib.sha256(os.fsencode(os.path.realpath(ws.root))).hexdigest()[:8]
    return f"ferclean-{readable}-{place}"


def update_dataset(ws: Workspace, *, progress: Progress = silent) -> DatasetUpdate:
    """Make the dataset say what the workspace says now: new samples are added, all derived fields set again.

    The database must be connected. Samples without an image file that may be shown are counted, not added.
    """
    rows, left_out = _rows(ws)
    name = dataset_name(ws)
    dataset = fo.load_dataset(name) if fo.dataset_exists(name) else fo.Dataset(name, persistent=True)
    _declare_fields(dataset)
    present = set(dataset.values("ferclean_id"))
    if gone := sorted(present - rows.keys()):
        dataset.delete_samples(dataset.match(fo.ViewField("ferclean_id").is_in(gone)))
    new = [row for key, row in rows.items() if key not in present]
    # a generator: everything after is twenty times slower while Python holds the sample objects
    dataset.add_samples(_new_samples(new, progress), progress=False, num_samples=len(new))
    if present:
        _set_changed(dataset, rows, progress)
    data = get_dataset(ws)
    dataset.info |= {"workspace": str(ws.root), "data_set": data.name, "licence": data.licence}
    dataset.classes = {"ground_truth": list(data.classes), "predictions": list(data.classes)}
    dataset.save()
    _arrange_sidebar(dataset)
    return DatasetUpdate(dataset=dataset, added=len(new), left_out=left_out)


def mirror_decisions(ws: Workspace, dataset: fo.Dataset, ferclean_ids: list[str]) -> None:
    """Copy what the store now says about these samples' decisions into the dataset, tags included."""
    current = {row["sample_id"]: row for row in current_decisions(ws, ferclean_ids).to_dict("records")}
    view = dataset.match(fo.ViewField("ferclean_id").is_in(ferclean_ids))
    keys, ids, given, tags = view.values(["ferclean_id", "id", "ground_truth.label", "tags"])
    decision, corrected, new_tags = {}, {}, {}
    for key, sample, label, old in zip(keys, ids, given, tags, strict=True):
        row = current.get(key, {})
        action = _present(row.get("action"))
        decision[sample] = action
        corrected[sample] = _written(_classification(_after(action, label, row.get("label"))))
        decided = [DECIDED_TAG + action] if action else []
        new_tags[sample] = [tag for tag in old if not tag.startswith(DECIDED_TAG)] + decided
    dataset.set_values("decision", decision, key_field="id")
    dataset.set_values("corrected_label", corrected, key_field="id")
    dataset.set_values("tags", new_tags, key_field="id")


def _after(action: str | None, given: str | None, label: Any) -> str | None:
    """The label after a decision; None where people did not agree on one or left the sample out."""
    return {"keep": given, "relabel": _present(label)}.get(action or "")


def _rows(ws: Workspace) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Field values by sample_id, in the workspace's order, and how many samples cannot be shown, by reason."""
    data = get_dataset(ws)
    roots = [os.path.realpath(root) + os.sep for root in (data.root, ws.images)]
    duplicates: dict[str, list[str]] = {}
    for pair in get_pairs(ws).to_dict("records"):
        duplicates.setdefault(pair["sample_a"], []).append(pair["sample_b"])
        duplicates.setdefault(pair["sample_b"], []).append(pair["sample_a"])
    rows: dict[str, dict[str, Any]] = {}
    left_out: Counter[str] = Counter()
    table = sample_table(ws)
    table["pred_probs"] = calibrated_probs(table, data.classes)
    records: list[dict[Any, Any]] = table.to_dict("records")
    # FiftyOne serves whatever lies at a path: another picture must not stand for the one that was judged
    lost = lost_pictures(ws, list(table["sample_id"]))
    for record in records:
        path = _present(record["path"])
        if path is None or not os.path.isfile(path):
            left_out[LEFT_OUT_NO_FILE] += 1
        elif not os.path.realpath(path).startswith(tuple(roots)):
            left_out[LEFT_OUT_OUTSIDE] += 1  # a link that leads elsewhere: FiftyOne would serve whatever it names
        elif record["sample_id"] in lost:
            left_out[lost[record["sample_id"]].reason] += 1
        else:
            linked = duplicates.get(record["sample_id"])
            rows[record["sample_id"]] = _row(record, path, data.classes, linked)
    return rows, dict(left_out)


def _row(record: dict[str, Any], path: str, classes: tuple[str, ...], duplicates: list[str] | None) -> dict[str, Any]:
    quality = _present(record["label_quality"])
    verdict, action = _present(record["verdict"]), _present(record["decision"])
    probabilities = _listed(record["pred_probs"])
    chances = dict(zip(classes, probabilities or (), strict=bool(probabilities)))
    suggested = _present(record["suggested_label"])
    rank = _present(record["rank"])
    row: dict[str, Any] = {
        "filepath": os.path.abspath(path),
        "ferclean_id": record["sample_id"],
        "source_key": str(record["source_key"]),
        "split": record["split"],
        "ground_truth": _classification(_present(record["given_label"])),
        "predictions": _prediction(chances),
        "suggested_label": _classification(suggested, chances.get(suggested or "")),
        "corrected_label": _classification(_present(record["corrected_label"])),
        "mistakenness": None if quality is None else 1.0 - float(quality),
        "hardness": _normalised_entropy(list(chances.values())),
        "verdict": verdict,
        "reasons": _listed(record["reasons"]),
        "rank": None if rank is None else int(rank),
        "duplicates": duplicates,
        "decision": action,
        "quarantine_reason": _present(record["quarantine_reason"]),
    }
    row |= {name: None if (value := _present(record[name])) is None else float(value) for name in _NUMBERS}
    row["tags"] = [record["split"]] if _present(record["split"]) else []
    row["tags"] += [VERDICT_TAG + verdict] if verdict else []
    row["tags"] += [DECIDED_TAG + action] if action else []
    return row


def _prediction(chances: dict[str, float]) -> dict[str, Any] | None:
    if not chances:
        return None
    label = max(chances, key=lambda name: chances[name])
    # a probability of exactly zero has no logarithm; 1e-12 is below what float32 softmax tells apart from it
    logits = [math.log(max(chance, 1e-12)) for chance in chances.values()]
    return {"label": label, "confidence": chances[label], "logits": logits}


def _classification(label: str | None, confidence: float | None = None) -> dict[str, Any] | None:
    """What a Classification is made of. The object itself is slow to make, so only for what gets written."""
    return None if label is None else {"label": label, "confidence": confidence}


def _normalised_entropy(chances: list[float]) -> float | None:
    if len(chances) < 2:
        return None
    return -sum(chance * math.log(chance) for chance in chances if chance > 0) / math.log(len(chances))


def _present(value: Any) -> Any:
    """The value, or None for any of the ways a table says that there is none."""
    if value is None or isinstance(value, str):
        return value
    return None if str(value) in ("nan", "<NA>", "NaT") else value


def _listed(values: Any) -> list[Any] | None:
    """A list column's value as plain Python; None where there is none."""
    if values is None or isinstance(values, float):
        return None
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _declare_fields(dataset: fo.Dataset) -> None:
    """Fields exist even while they are empty, so that views and filters can name them."""
    schema = dataset.get_field_schema()
    for name, kind, description in FIELDS:
        if name in schema:
            if schema[name].description != description:
                schema[name].description = description
                schema[name].save()
            continue
        options: dict[str, Any] = {"description": description}
        if issubclass(kind, fo.Classification):
            kind, options["embedded_doc_type"] = fo.EmbeddedDocumentField, kind
        elif kind is fo.ListField:
            options["subfield"] = fo.StringField
        dataset.add_sample_field(name, kind, **options)


def _new_samples(rows: list[dict[str, Any]], progress: Progress) -> Iterator[fo.Sample]:
    for done, row in enumerate(rows):
        if done % 500 == 0:
            progress("adding samples to FiftyOne", done, len(rows))
        yield fo.Sample(**{name: _written(value) for name, value in row.items() if value is not None})
    if rows:
        progress("adding samples to FiftyOne", len(rows), len(rows))


def _set_changed(dataset: fo.Dataset, rows: dict[str, dict[str, Any]], progress: Progress) -> None:
    """Set what differs from the dataset, field by field; writing all of it again would take ten times as long."""
    keys, ids, old_tags = dataset.values(["ferclean_id", "id", "tags"])
    splits = {row["split"] for row in rows.values()}
    for key, tags in zip(keys, old_tags, strict=True):
        own = rows[key]["tags"]
        # in the old order, so that an unchanged list compares equal
        kept = [tag for tag in tags if tag in own or not _is_ours(tag, splits)]
        rows[key]["tags"] = kept + [tag for tag in own if tag not in kept]
    kinds: dict[str, type] = {name: kind for name, kind, _ in FIELDS if name not in _FIXED}
    for done, name in enumerate(["filepath", "tags", *kinds]):
        progress("comparing FiftyOne fields", done, len(kinds) + 2)
        if kinds.get(name) is fo.Classification:
            old = list(zip(*dataset.values([f"{name}.label", f"{name}.confidence"]), strict=True))
        else:
            old = dataset.values(name)
        values = {
            sample: _written(rows[key][name])
            for key, sample, was in zip(keys, ids, old, strict=True)
            if was != _comparable(rows[key][name], kinds.get(name))
        }
        if values:
            dataset.set_values(name, values, key_field="id")
    progress("comparing FiftyOne fields", len(kinds) + 2, len(kinds) + 2)


def _comparable(value: Any, kind: type | None) -> Any:
    if kind is fo.Classification:
        return (None, None) if value is None else (value["label"], value["confidence"])
    return value


def _written(value: Any) -> Any:
    return fo.Classification(**value) if isinstance(value, dict) else value


def _is_ours(tag: str, splits: set[str]) -> bool:
    return tag in splits or tag.startswith((VERDICT_TAG, DECIDED_TAG))


def _arrange_sidebar(dataset: fo.Dataset) -> None:
    """What a person looks at first is ticked: given and suggested label on the tiles."""
    dataset.app_config.active_fields = fo.ActiveFields(paths=["ground_truth", "suggested_label", "label_quality"])
    dataset.save()
