"""What labelling tools export is known by a bounded look, and not taken for a set of faces where it holds other things.

Each form is written as the tool of that name writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ferclean.errors import BadDataError
from ferclean.parts.recognised import recognise
from tests.layouts import Layout, put
from tests.made_sets import FER_CODES, write_csv

PROJECT = "project-3-at-2026-01-01-10-00-1a2b3c4d"


def label_studio_task(number: int, image: str, *words: str) -> dict[str, Any]:
    """A task as Label Studio's JSON has it, one annotator to a word."""
    answers = [
        {
            "id": 10 * number + who,
            "completed_by": who,
            "result": [{"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": [word]}}],
            "was_cancelled": False,
            "ground_truth": False,
            "lead_time": 3.2,
        }
        for who, word in enumerate(words, 1)
    ]
    data = {"image": image}
    return {"id": number, "annotations": answers, "drafts": [], "predictions": [], "data": data, "meta": {}}


def label_studio(root: Path, faces: Sequence[bytes]) -> None:
    names = [f"0a1b2c{n:02d}-face_{n}.jpg" for n in range(7)]
    put(root, faces, [f"media/upload/3/{name}" for name in names])
    tasks = [label_studio_task(n, f"/data/upload/3/{names[n]}", c, c) for n, c in enumerate(FER_CODES)]
    (root / f"{PROJECT}.json").write_text(json.dumps(tasks))


def label_studio_csv(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"faces/{n}.jpg" for n in range(7)])
    header = ["annotation_id", "annotator", "choice", "created_at", "id", "image", "lead_time", "updated_at"]
    day = "2026-01-01T10:00:00Z"
    rows = [
        [n, 1, c.capitalize(), day, n, f"/data/local-files/?d=faces/{n}.jpg", 2.5, day] for n, c in enumerate(FER_CODES)
    ]
    write_csv(root / f"{PROJECT}.csv", [header, *rows])


def coco_form(images: Sequence[str], names: Sequence[str] = tuple(FER_CODES)) -> dict[str, Any]:
    """One whole-image box each, the categories in turn, as Roboflow has them: a heading first."""
    return {
        "info": {"year": "2026"},
        "licenses": [],
        "categories": [
            {"id": 0, "name": "expressions", "supercategory": "none"},
            *({"id": n, "name": name, "supercategory": "expressions"} for n, name in enumerate(names, 1)),
        ],
        "images": [{"id": n, "file_name": name, "height": 100, "width": 100} for n, name in enumerate(images)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": n % len(names) + 1, "bbox": [9, 9, 80, 80], "iscrowd": 0}
            for n in range(len(images))
        ],
    }


def coco_roboflow(root: Path, faces: Sequence[bytes]) -> None:
    for split in ("train", "valid", "test"):
        names = [f"{n}_jpg.rf.0a1b2c.jpg" for n in range(7)]
        put(root / f"Faces.v1i.coco/{split}", faces, names)
        (root / f"Faces.v1i.coco/{split}/_annotations.coco.json").write_text(json.dumps(coco_form(names)))


def coco_instances(root: Path, faces: Sequence[bytes]) -> None:
    (root / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        names = [f"{n:012d}.jpg" for n in range(7)]
        put(root / f"{split}2017", faces, names)
        (root / f"annotations/instances_{split}2017.json").write_text(json.dumps(coco_form(names)))


def coco_label_studio(root: Path, faces: Sequence[bytes]) -> None:
    names = [f"images/0a1b2c3d-{n}.jpg" for n in range(7)]
    put(root, faces, names)
    (root / "result.json").write_text(json.dumps(coco_form(names)))


def fiftyone_samples(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"data/{n:06d}.jpg" for n in range(7)])
    samples = [
        {
            "_id": {"$oid": "6b0a744e040a1c2d9e3cd8cf"},
            "filepath": f"data/{n:06d}.jpg",
            "tags": ["train"],
            "_media_type": "image",
            "ground_truth": {"_cls": "Classification", "tags": [], "label": name},
            "predictions": {"_cls": "Classification", "tags": [], "label": "sad", "confidence": 0.25},
        }
        for n, name in enumerate(FER_CODES)
    ]
    (root / "samples.json").write_text(json.dumps({"samples": samples}))
    (root / "metadata.json").write_text(json.dumps({"name": "faces", "classes": {}, "default_classes": []}))


def fiftyone_labels(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"data/{n:06d}.jpg" for n in range(7)])
    labels = {f"{n:06d}": n for n in range(7)}
    (root / "labels.json").write_text(json.dumps({"classes": list(FER_CODES), "labels": labels}))


def cvat(root: Path, faces: Sequence[bytes], names: Sequence[str] = tuple(FER_CODES)) -> None:
    put(root, faces, [f"images/{n}.jpg" for n in range(len(names))])
    labels = "".join(f"<label><name>{name}</name><type>tag</type></label>" for name in names)
    images = "".join(
        f'<image id="{n}" name="{n}.jpg" width="100" height="100"><tag label="{name}" source="manual"></tag></image>\n'
        for n, name in enumerate(names)
    )
    meta = f"<meta><task><id>3</id><labels>{labels}</labels></task><dumped>2026-01-01</dumped></meta>"
    (root / "annotations.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{images}</annotations>\n'
    )


def cvat_boxes(root: Path, faces: Sequence[bytes]) -> None:
    put(root / "project", faces, [f"images/Train/{n}.jpg" for n in range(7)])
    images = "".join(
        f'<image id="{n}" name="{n}.jpg" subset="Train" task_id="1" width="100" height="100">'
        '<box label="face" source="manual" occluded="0" xtl="9.5" ytl="9" xbr="90" ybr="90" z_order="0">'
        f'<attribute name="emotion">{name}</attribute></box></image>'
        for n, name in enumerate(FER_CODES)
    )
    (root / "project/annotations.xml").write_text(f"<annotations><version>1.1</version>{images}</annotations>")


LAYOUTS: dict[str, Layout] = {
    "Label Studio's JSON": Layout(
        label_studio, "label_studio", f"{PROJECT}.json", {}, {"upload/3/0a1b2c03-face_3.jpg": "happiness"}
    ),
    "Label Studio's CSV": Layout(label_studio_csv, "label_studio", f"{PROJECT}.csv", {}, {"faces/2.jpg": "fear"}),
    "COCO as Roboflow writes it": Layout(
        coco_roboflow,
        "coco",
        "Faces.v1i.coco",
        {},
        {"train/2_jpg.rf.0a1b2c.jpg": "fear", "test/6_jpg.rf.0a1b2c.jpg": "neutral"},
    ),
    "COCO's instances": Layout(coco_instances, "coco", "", {}, {"validation/000000000001.jpg": "disgust"}),
    "COCO as Label Studio writes it": Layout(coco_label_studio, "coco", "", {}, {"images/0a1b2c3d-0.jpg": "anger"}),
    "CVAT's tags": Layout(cvat, "cvat", "annotations.xml", {}, {"2.jpg": "fear"}),
    "CVAT's boxes with an attribute": Layout(
        cvat_boxes, "cvat", "project/annotations.xml", {}, {"Train/6.jpg": "neutral"}
    ),
    "a FiftyOneDataset": Layout(fiftyone_samples, "fiftyone", "", {}, {"data/000003.jpg": "happiness"}),
    "a FiftyOneImageClassificationDataset": Layout(fiftyone_labels, "fiftyone", "", {}, {"000001": "disgust"}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_export_is_recognised_and_read(name: str, faces: list[bytes], tmp_path: Path) -> None:
    LAYOUTS[name].check(tmp_path, faces)


def _label_studio_cats(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, ["a.jpg"])
    tasks = [label_studio_task(n, "a.jpg", word) for n, word in enumerate(("cat", "dog"))]
    (root / "export.json").write_text(json.dumps(tasks))


def _label_studio_elsewhere(root: Path, faces: Sequence[bytes]) -> None:
    tasks = [label_studio_task(n, f"/data/upload/1/{n}.jpg", c) for n, c in enumerate(FER_CODES)]
    (root / "export.json").write_text(json.dumps(tasks))


def _coco_cats(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, ["a.jpg", "b.jpg"])
    (root / "labels.json").write_text(json.dumps(coco_form(["a.jpg", "b.jpg"], ["cat", "dog"])))


def _coco_elsewhere(root: Path, faces: Sequence[bytes]) -> None:
    (root / "labels.json").write_text(json.dumps(coco_form(["a.jpg", "b.jpg"])))


NOT_KNOWN: dict[str, tuple[Callable[[Path, Sequence[bytes]], None], str]] = {
    "Label Studio's, of other choices": (_label_studio_cats, r"its choices \(cat, dog\) are no expressions"),
    "Label Studio's without pictures": (_label_studio_elsewhere, "its pictures are not beside it: give --images"),
    "CVAT's, of other things": (
        lambda root, faces: cvat(root, faces, ("cat", "dog")),
        r"its tags and boxes \(cat, dog\) name no expressions",
    ),
    "COCO's, of other categories": (_coco_cats, r"its categories \(cat, dog\) are no expressions"),
    "COCO's without pictures": (_coco_elsewhere, r"its images \(a\.jpg\) are not there: give --images"),
}


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_an_export_of_other_things_is_said_to_be_unknown(name: str, faces: list[bytes], tmp_path: Path) -> None:
    make, why = NOT_KNOWN[name]
    make(tmp_path, faces)
    with pytest.raises(BadDataError, match=f"is no data set that is known here: .*{why}.*Name what it is"):
        recognise(tmp_path)
