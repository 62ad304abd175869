"""The workspace as a FiftyOne dataset: one sample per image, with FiftyOne's own field names.

It never decides anything; people's own tags, fields and saved views in the dataset stay when it is updated.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections import Counter
from typing import Any

import fiftyone as fo

from ferclean.parts.calibrated import calibrated_probs
from ferclean.review.offers import offer
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
    (
        "suggested_label",
        fo.Classification,
        "what ferclean proposes instead of the given label; empty where it is the same",
    ),
    (
        "corrected_label",
        fo.Classification,
        "label after a person's decision; edit it to decide: the given label keeps, another one relabels",
    ),
    ("proposal", fo.StringField, "what accepting records: keep, relabel:CLASS, ambiguous or exclude"),
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
    ("refused", fo.StringField, "why ferclean did not take the last tag or edit of this sample"),
    ("given_label", fo.StringField, "the given label again: by it ferclean knows an edit of ground_truth"),
    ("decided_label", fo.StringField, "corrected_label as ferclean wrote it: by it ferclean knows an edit"),
)
FIXED = ("ferclean_id", "source_key", "split", "refused")
"""Written once, when a sample is added, or not from the workspace."""
LABELS = tuple(name for name, kind, _ in FIELDS if kind is fo.Classification)
_NUMBERS = ("label_quality", "p_mislabelled", "p_ambiguous", "p_unusable", "p_clean")


def dataset_name(ws: Workspace) -> str:
    """Name of the workspace's dataset; the folder is part of it, so that workspaces can share one database."""
    readable = re.sub(r"[^a-z0-9]+", "-", get_dataset(ws).name.lower()).strip("-") or "dataset"
    place = hashlib.sha256(os.fsencode(os.path.realpath(ws.root))).hexdigest()[:8]
    return f"ferclean-{readable}-{place}"


def rows_of(ws: Workspace) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
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
        path = present(record["path"])
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
    quality = present(record["label_quality"])
    verdict, action = present(record["verdict"]), present(record["decision"])
    probabilities = _listed(record["pred_probs"])
    chances = dict(zip(classes, probabilities or (), strict=bool(probabilities)))
    given, suggested = present(record["given_label"]), present(record["suggested_label"])
    corrected = present(record["corrected_label"])
    proposed = offer(verdict=verdict, given_label=given, suggested_label=suggested) if verdict else None
    # the screens show no suggestion that suggests nothing; what is proposed then is to keep
    suggested = None if suggested == given else suggested
    rank = present(record["rank"])
    row: dict[str, Any] = {
        "filepath": os.path.abspath(path),
        "ferclean_id": record["sample_id"],
        "source_key": str(record["source_key"]),
        "split": record["split"],
        "ground_truth": classification(given),
        "given_label": given,
        "predictions": _prediction(chances),
        "suggested_label": classification(suggested, chances.get(suggested or "")),
        "corrected_label": classification(corrected),
        "decided_label": corrected,
        "proposal": None if proposed is None else ":".join(filter(None, (proposed.action, proposed.label))),
        "refused": None,
        "mistakenness": None if quality is None else 1.0 - float(quality),
        "hardness": _normalised_entropy(list(chances.values())),
        "verdict": verdict,
        "reasons": _listed(record["reasons"]),
        "rank": None if rank is None else int(rank),
        "duplicates": duplicates,
        "decision": action,
        "quarantine_reason": present(record["quarantine_reason"]),
    }
    row |= {name: None if (value := present(record[name])) is None else float(value) for name in _NUMBERS}
    row["tags"] = [record["split"]] if present(record["split"]) else []
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


def classification(
    label: str | None, confidence: float | None = None, tags: list[str] | None = None
) -> dict[str, Any] | None:
    """What a Classification is made of. The object itself is slow to make, so only for what gets written."""
    return None if label is None else {"label": label, "confidence": confidence} | ({"tags": tags} if tags else {})


def _normalised_entropy(chances: list[float]) -> float | None:
    if len(chances) < 2:
        return None
    return -sum(chance * math.log(chance) for chance in chances if chance > 0) / math.log(len(chances))


def present(value: Any) -> Any:
    """The value, or None for any of the ways a table says that there is none."""
    if value is None or isinstance(value, str):
        return value
    return None if str(value) in ("nan", "<NA>", "NaT") else value


def _listed(values: Any) -> list[Any] | None:
    """A list column's value as plain Python; None where there is none."""
    if values is None or isinstance(values, float):
        return None
    return values.tolist() if hasattr(values, "tolist") else list(values)


def declare_fields(dataset: fo.Dataset) -> None:
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


def written(value: Any) -> Any:
    return fo.Classification(**value) if isinstance(value, dict) else value


def is_ours(tag: str, splits: set[str]) -> bool:
    return tag in splits or tag.startswith((VERDICT_TAG, DECIDED_TAG))
