"""Facts about the COCO form: the format's own keys, the card's order, and what COCO has no word for under one key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from small_workspace import CLASSES, p_true, photos, shared

from ferclean.steps.export import export


def annotations(out: Path, split: str) -> dict:
    return json.loads((out / "annotations" / f"instances_{split}.json").read_text("ascii"))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coco") / "out"
    export(shared(released=True).ws, form="coco", out=folder, release="v1")
    return folder


def test_categories_are_the_classes_in_the_cards_order_and_no_id_is_zero(out: Path) -> None:
    told = annotations(out, "train")
    assert [(one["id"], one["name"]) for one in told["categories"]] == list(enumerate(CLASSES, start=1))
    assert told["licenses"] == [
        {"id": 1, "name": "raf-db-research-only", "url": "http://www.whdeng.cn/RAF/model1.html"}
    ]
    assert "must not be published" in told["info"]["description"]
    assert [one["id"] for split in ("train", "test") for one in annotations(out, split)["images"]] == [*range(1, 9)]


def test_every_picture_lies_where_its_entry_says_with_one_annotation_whose_box_is_all_of_it(out: Path) -> None:
    data = shared(released=True).data
    for split in ("train", "test"):
        told = annotations(out, split)
        for image, one in zip(told["images"], told["annotations"], strict=True):
            file = out / "images" / split / image["file_name"]
            assert file.read_bytes() == data[image["ferclean"]["source_key"]]
            assert one["image_id"] == image["id"]
            with Image.open(file) as picture:
                assert one["bbox"] == [0, 0, *picture.size]
            assert one["area"] == image["width"] * image["height"]


def test_an_image_has_its_label_and_tells_given_label_target_weight_and_verdict(out: Path) -> None:
    told = annotations(out, "train")
    categories = {one["image_id"]: one["category_id"] for one in told["annotations"]}
    found = {one["ferclean"]["source_key"]: (categories[one["id"]], one["ferclean"]) for one in told["images"]}
    (first, own), (_, doubtful) = found["train_00001"], found["train_00006"]
    assert CLASSES[first - 1] == "fear"
    assert {name: own[name] for name in ("split", "given_label", "changed", "verdict", "decision", "weight")} == {
        "split": "train", "given_label": "anger", "changed": True, "verdict": "mislabelled", "decision": None,
        "weight": 1.0,
    }  # fmt: skip
    assert doubtful["soft_label"] == pytest.approx(p_true("surprise", "fear", 0.6))
    assert doubtful["weight"] == pytest.approx(0.4)


def test_hostile_names_stay_text_and_inside(tmp_path: Path) -> None:
    keys, names = ['"}]<b>.png', "..\\..\\up.png", "😀.png"], ('"}], "x": [{', "../../up", "très triste")
    ws = photos(tmp_path / "in" / "deep", keys, classes=names, labels=names)
    export(ws, form="coco", out=tmp_path / "out", release="original")
    told = annotations(tmp_path / "out", "train")
    assert [one["name"] for one in told["categories"]] == list(names)
    assert [one["ferclean"]["source_key"] for one in told["images"]] == keys
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert all((tmp_path / "out/images/train" / one["file_name"]).is_file() for one in told["images"])
