"""COCO's form: categories by their numbers, boxes in pixels, splits by folder or file, and a reason for each gap."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.sources import coco
from ferclean.sources.cards import load_card
from ferclean.sources.rows import SourceRow
from ferclean.steps.ingest import ingest
from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace
from tests.made_sets import write_folder

NAMES = ("fear", "anger", "happiness")
CARD = load_card("coco").with_classes(NAMES)


def image(number: Any, name: Any, **told: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 24, "height": 24, **told}


def write(
    file: Path, images: Sequence[Any], found: Sequence[tuple[Any, Any, Any]], names: Sequence[str] = NAMES
) -> Path:
    """`found` are (image's number, category's number from 1, box)."""
    told = {
        "images": list(images),
        "annotations": [{"id": n, "image_id": i, "category_id": c, "bbox": b} for n, (i, c, b) in enumerate(found)],
        "categories": [{"id": n, "name": name, "supercategory": "face"} for n, name in enumerate(names, 1)][::-1],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told))
    return file


def rows(path: Path, **options: Any) -> dict[str, SourceRow]:
    return {row.source_key: row for row in coco.read(path, CARD, **options)}


def test_each_box_is_a_row_and_each_gap_has_a_reason(tmp_path: Path) -> None:
    write_folder(tmp_path, [f"images/{name}.png" for name in "abcdefg"])
    images = [image(n, f"{name}.png") for n, name in enumerate("abcdefg")]
    images += [image(7, "lost.png"), image(8, "../a.png"), image(9, None), image(6, "g2.png"), image(10, "\ud800")]
    write(
        tmp_path / "labels.json",
        images,
        [
            (0, 1, [0, 0, 24, 24]), (0, 2.0, [2, 3, 10, 11]),  # two faces
            (1, 3, None), (2, 1, [0, 0, 24, 24]), (2, 2, [0, 0, 24, 24]),  # no box; two answers
            (3, 9, [0, 0, 24, 24]), (4, 1, [0, 0, "x"]), (4, 1, [0, 0, -1, 5]),
            (6, 1, None), (7, 1, None), (8, 1, None), (77, 1, None),
        ],
    )  # fmt: skip
    found = rows(tmp_path)
    first, second = found["a.png"], found["a.png:2"]
    assert (first.given_label, first.relative_path, first.attributes) == ("fear", "images/a.png", {})
    assert (second.given_label, second.box, second.attributes) == ("anger", (2, 3, 12, 14), {"box": [2, 3, 12, 14]})
    assert first.box_unit == second.box_unit == "pixels"
    assert (found["b.png"].given_label, found["b.png"].box) == ("happiness", None)
    assert {key: row.problem for key, row in found.items() if row.problem} == {
        "c.png": "label: several (fear, anger)",
        "d.png": "label: unknown category (9)",
        "e.png": "image: its box is not left, top, width and height",
        "e.png:2": "image: its box is empty or endless",
        "f.png": "label: missing",
        "g.png": "label: several images have the number (6)",
        "g2.png": "file: missing",
        "lost.png": "file: missing",
        "../a.png": "file: path leaves the data set's folder",
        "labels.json, image 9": "file: missing",
        "\\ud800": "file: the name is not UTF-8",
        "labels.json, image 77": "file: missing (no image has the number of the annotation)",
    }


def test_splits_are_told_by_folder_by_file_name_or_by_the_image(tmp_path: Path) -> None:
    whole = [(1, 1, [0, 0, 24, 24])]
    for split in ("train", "valid"):
        write_folder(tmp_path / "a", [f"{split}/one.png"])
        write(tmp_path / f"a/{split}/_annotations.coco.json", [image(1, "one.png")], whole)
    assert [(row.split, row.relative_path) for row in coco.read(tmp_path / "a", CARD)] == [
        ("train", "train/one.png"),
        ("validation", "valid/one.png"),
    ]
    for split in ("train", "val"):
        write_folder(tmp_path / "b", [f"{split}2017/one.png"])
        write(tmp_path / f"b/annotations/instances_{split}2017.json", [image(1, "one.png")], whole)
    assert [(row.split, row.relative_path) for row in coco.read(tmp_path / "b", CARD)] == [
        ("train", "train2017/one.png"),
        ("validation", "val2017/one.png"),
    ]
    with pytest.raises(UsageError, match="leave --split out"):
        rows(tmp_path / "b", split="test")
    with pytest.raises(UsageError, match="by its name it holds validation"):
        rows(tmp_path / "b/annotations/instances_val2017.json")
    own = {"source_key": "train_00001", "split": "test", "soft_label": [0.5, 0.5, 0], "weight": 0.5, "changed": True}
    write_folder(tmp_path / "c", ["one.png"])
    write(tmp_path / "c/labels.json", [image(1, "one.png", ferclean=own)], whole)
    (row,) = coco.read(tmp_path / "c", CARD)
    assert (row.source_key, row.split) == ("train_00001", "test")
    assert row.attributes == {"changed": True, "soft_label": [0.5, 0.5, 0], "weight": 0.5}


def test_classes_are_the_categories_by_number_without_their_heading(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", [], [], ["Happy", "face", "none"])
    assert coco.class_names(file) == ("Happy", "none")
    write_folder(tmp_path / "set", ["one.png", "two.png"])
    write(tmp_path / "set/a.json", [image(1, "one.png"), image(2, "two.png")], [(1, 3, [1, 2, 9, 9]), (2, 1, None)])
    ws = Workspace.create(tmp_path / "W")
    told = ingest(ws, "coco", tmp_path / "set")
    assert (told.classes, told.added, told.quarantined) == (list(NAMES), 2, {})
    found = get_samples(ws).set_index("source_key")
    assert found["width"].to_dict() == {"one.png": 9, "two.png": 24}


def test_what_is_not_its_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="holds no JSON file with COCO's"):
        rows(tmp_path)
    for told, why in (
        ({"images": []}, "has no categories with names"),
        ({"images": [1], "categories": [{"id": 1, "name": "fear"}]}, "images holds '1', which is no object"),
        ({"categories": [{"id": 1, "name": "fear"}, {"id": 1, "name": "anger"}]}, "have a number twice"),
    ):
        (tmp_path / "a.json").write_text(json.dumps(told))
        with pytest.raises(BadDataError, match=why):
            rows(tmp_path / "a.json")
    with pytest.raises(UsageError, match="declares the classes cat, dog"):
        rows(write(tmp_path / "a.json", [], [], ["cat", "dog"]))
