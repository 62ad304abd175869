"""The COCO form: per split annotations/instances_SPLIT.json and images/SPLIT/file, one annotation per picture.

It never re-encodes an image, never lets a source's file name choose where a file lands, and never holds the annotations
of a whole set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import ferclean
from ferclean.exports.card import licence_warning, write_card
from ferclean.exports.content import Content, needs_release, records, split_order
from ferclean.exports.pictures import Picture, write_lists, write_pictures
from ferclean.exports.soft_targets import told
from ferclean.progress import Progress
from ferclean.sources.own_fields import OWN

SINGLE_FILE = False
HOLDS_PIXELS = True


def check(content: Content, out: Path) -> list[str]:
    """No content is beyond this form; it only needs a release. Warns of verdicts that were deleted."""
    needs_release(content, "coco")
    return content.empty_columns(["verdict"])


def write(content: Content, target: Path, *, progress: Progress) -> None:
    """Write the images, the annotations of each split, mapping.csv (files to the source's names and order),
    soft_labels.csv (files to training targets) and README.md.

    Categories count from 1 in the card's order, images from 1 over all splits in the source's order. A box is the whole
    picture held upright: a face's own place in it is not known. What COCO has no word for stands in `info` and in each
    image under OWN; tools that do not know it pass over it.
    """
    written = write_pictures(content, target, lambda row: f"images/{row['split']}", progress=progress)
    (target / "annotations").mkdir()
    for split in sorted(content.rows["split"].unique(), key=split_order):
        _write_split(content, written, split, target / "annotations" / f"instances_{split}.json")
    write_lists(content, target, (picture.file for picture in written))
    write_card(content, target / "README.md", form="coco")


def _write_split(content: Content, written: list[Picture], split: str, path: Path) -> None:
    numbers = {name: number for number, name in enumerate(content.dataset.classes, start=1)}

    rows = content.rows
    at = np.flatnonzero(rows["split"] == split).tolist()

    def of_split() -> Iterator[tuple[int, Picture, dict[str, Any]]]:
        return zip((n + 1 for n in at), (written[n] for n in at), records(rows.iloc[at]), strict=True)

    head = {
        "info": _info(content, split),
        "licenses": [{"id": 1, "name": content.dataset.licence, "url": content.dataset.card.get("homepage") or ""}],
        "categories": [{"id": number, "name": name, "supercategory": "none"} for name, number in numbers.items()],
    }
    with path.open("w", encoding="ascii", newline="\n") as out:
        out.write(json.dumps(head)[:-1] + ', "images": [\n')
        out.writelines(_lines(_image(number, picture, row, content) for number, picture, row in of_split()))
        out.write('\n], "annotations": [\n')
        found = ((number, picture, numbers[row["release_label"]]) for number, picture, row in of_split())
        out.writelines(_lines(_annotation(*one) for one in found))
        out.write("\n]}\n")


def _info(content: Content, split: str) -> dict[str, Any]:
    dataset, made, warning = content.dataset, content.release, licence_warning(content)
    return {
        "description": f"{dataset.card.get('title') or dataset.name}, release {content.name}, split {split}"
        + (f"; {warning}" if warning else ""),
        "version": made.config.get("version", "1.0.0") if made else "1.0.0",
        "contributor": f"ferclean {ferclean.__version__}",
        **({"date_created": str(made.created_at)} if made else {}),
        OWN: {"dataset": dataset.name, "release": content.name, "split": split, "classes": dataset.classes},
    }


def _image(number: int, picture: Picture, row: dict[str, Any], content: Content) -> dict[str, Any]:
    name = picture.file.rpartition("/")[2]
    own = {"split": row["split"], **told(row, content.dataset.classes)}
    return {
        "id": number, "file_name": name, "width": picture.width, "height": picture.height, "license": 1, OWN: own,
    }  # fmt: skip


def _annotation(number: int, picture: Picture, category: int) -> dict[str, Any]:
    box, area = [0, 0, picture.width, picture.height], picture.width * picture.height
    return {"id": number, "image_id": number, "category_id": category, "bbox": box, "area": area, "iscrowd": 0}


def _lines(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """One entry a line, with commas between them."""
    for place, entry in enumerate(entries):
        yield (",\n" if place else "") + json.dumps(entry)
