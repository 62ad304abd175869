"""FiftyOne's own form: metadata.json, samples.json and data/, which `fiftyone.Dataset.from_dir` opens.

It never imports FiftyOne, never re-encodes an image, and never lets a source's file name choose where a file lands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ferclean.exports.card import licence_warning, write_card
from ferclean.exports.content import Content, needs_release, records
from ferclean.exports.pictures import Picture, write_lists, write_pictures
from ferclean.exports.soft_targets import told
from ferclean.progress import Progress

SINGLE_FILE = False
HOLDS_PIXELS = True

_VERSION = "1.1.0"
"""The oldest FiftyOne that reads what is written here; newer ones bring it up to date as they open it."""
_FIELDS, _DOCUMENT = "fiftyone.core.fields", "EmbeddedDocumentField"
_LABEL, _METADATA = "fiftyone.core.labels.Classification", "fiftyone.core.metadata.ImageMetadata"


def check(content: Content, out: Path) -> list[str]:
    """No content is beyond this form; it only needs a release. Warns of verdicts that were deleted."""
    needs_release(content, "fiftyone")
    return content.empty_columns(["verdict"])


def write(content: Content, target: Path, *, progress: Progress) -> None:
    """Write data/SPLIT/file, samples.json, metadata.json (fields, classes in the card's order), mapping.csv (files to
    the source's names), soft_labels.csv (files to training targets) and README.md.

    A sample has the tag of its split, the released label as `ground_truth`, and beside it split, source_key,
    ferclean_id, given_label, changed, soft_label, weight, verdict and decision, under the names that `browse` has, too.
    """
    written = write_pictures(content, target, lambda row: f"data/{row['split']}", progress=progress)
    (target / "metadata.json").write_text(json.dumps(_metadata(content), indent=1) + "\n", "ascii", newline="\n")
    with (target / "samples.json").open("w", encoding="ascii", newline="\n") as out:
        out.write('{"samples": [\n')
        for place, (picture, row) in enumerate(zip(written, records(content.rows), strict=True)):
            out.write((",\n" if place else "") + json.dumps(_sample(picture, row, content.dataset.classes)))
        out.write("\n]}\n")
    write_lists(content, target, (picture.file for picture in written))
    write_card(content, target / "README.md", form="fiftyone")


def _sample(picture: Picture, row: Mapping[str, Any], classes: tuple[str, ...]) -> dict[str, Any]:
    known = told(row, classes)
    sample_id = known.pop("sample_id")
    return {
        "_id": {"$oid": f"{sample_id}0000"},  # 24 hex digits; the same again in every export of the sample
        "filepath": picture.file,
        "tags": [row["split"]],
        "metadata": {
            "_cls": "ImageMetadata", "size_bytes": picture.bytes, "width": picture.width, "height": picture.height,
        },
        "_media_type": "image",
        "_rand": int(sample_id[:12], 16) / 16**12,  # by it FiftyOne shuffles
        "ground_truth": {
            "_id": {"$oid": f"{sample_id}0001"}, "_cls": "Classification", "tags": [], "label": row["release_label"],
        },
        "split": row["split"],
        "ferclean_id": sample_id,
        **known,
    }  # fmt: skip


def _metadata(content: Content) -> dict[str, Any]:
    dataset, classes = content.dataset, list(content.dataset.classes)
    about = {"dataset": dataset.name, "release": content.name, "licence": dataset.licence, "classes": classes}
    return {
        "name": f"{dataset.name}-{content.name}",
        "version": _VERSION,
        "media_type": "image",
        "persistent": False,
        "tags": [],
        "info": {"ferclean": about | {"warning": licence_warning(content)}},
        "classes": {"ground_truth": classes},
        "default_classes": classes,
        "sample_fields": list(_fields()),
        "frame_fields": [],
        "saved_views": [],
        "workspaces": [],
    }


def _fields() -> Iterator[dict[str, Any]]:
    """What FiftyOne must know of every field before it reads a sample."""
    yield _field("id", "ObjectIdField", stored="_id")
    yield _field("_rand", "FloatField")
    yield _field("_dataset_id", "ObjectIdField")
    yield _field("tags", "ListField", of="StringField")
    yield _field("filepath", "StringField")
    of_image = {"size_bytes": "IntField", "mime_type": "StringField", "width": "IntField", "height": "IntField",
                "num_channels": "IntField"}  # fmt: skip
    yield _field("metadata", _DOCUMENT, document=_METADATA, parts=[_field(*one) for one in of_image.items()])
    yield _field("_media_type", "StringField")
    for name in ("created_at", "last_modified_at"):
        yield _field(name, "DateTimeField") | {"read_only": True}
    of_label = [
        _field("id", "ObjectIdField", stored="_id"), _field("tags", "ListField", of="StringField"),
        _field("label", "StringField"), _field("confidence", "FloatField"), _field("logits", "VectorField"),
    ]  # fmt: skip
    yield _field("ground_truth", _DOCUMENT, document=_LABEL, parts=of_label)
    for name in ("split", "ferclean_id", "source_key", "given_label", "verdict", "decision"):
        yield _field(name, "StringField")
    yield _field("changed", "BooleanField")
    yield _field("soft_label", "ListField", of="FloatField")
    yield _field("weight", "FloatField")


def _field(
    name: str,
    kind: str,
    *,
    of: str | None = None,
    document: str | None = None,
    parts: list[dict[str, Any]] | None = None,
    stored: str | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "ftype": f"{_FIELDS}.{kind}",
        "subfield": f"{_FIELDS}.{of}" if of else None,
        "embedded_doc_type": document,
        "fields": parts or [],
        "db_field": stored or name,
        "read_only": False,
    }
