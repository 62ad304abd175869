"""FiftyOne's exports: the field of labels, splits by tags, pictures of other machines, and a reason for each gap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.sources import fiftyone
from ferclean.sources.cards import load_card
from ferclean.sources.rows import SourceRow
from tests.made_sets import write_folder

CARD = load_card("fiftyone")


def one(label: Any, **told: Any) -> dict[str, Any]:
    return {"_id": {"$oid": "0a"}, "_cls": "Classification", "tags": [], "label": label, **told}


def sample(name: str, **fields: Any) -> dict[str, Any]:
    return {"_id": {"$oid": "0a"}, "filepath": name, "tags": ["train"], "_media_type": "image", **fields}


def rows(root: Path, *samples: Any, **options: Any) -> dict[str, SourceRow]:
    root.mkdir(exist_ok=True)
    (root / "samples.json").write_text(json.dumps({"samples": samples}))
    return {row.source_key: row for row in fiftyone.read(root, CARD, **options)}


def test_a_sample_has_the_label_of_its_field_and_the_split_of_its_tags(tmp_path: Path) -> None:
    write_folder(tmp_path, [f"data/{name}.png" for name in "abcdef"])
    nan = {"$numberDouble": "NaN"}
    found = rows(
        tmp_path,
        sample("data/a.png", ground_truth=one("Happy", confidence=0.5), guess=one("Sad"), hardness=nan),
        sample("data/b.png", ground_truth=None),
        sample("data/c.png", ground_truth=one("bored"), tags=["val", "odd"]),
        sample("data/d.png", ground_truth=one("Sad"), tags=["train", "test"]),
        sample("data/e.png", ground_truth=one("Sad"), tags=[]),
        sample("data/f.png", ground_truth=one("Sad", confidence=float("nan")), split="test"),
        sample("data/lost.png", ground_truth=one("Sad")),
        sample("../a.png", ground_truth=one("Sad")),
    )
    first = found["data/a.png"]
    assert (first.given_label, first.split, first.attributes) == ("happiness", "train", {"confidence": 0.5})
    assert {key: row.split for key, row in found.items() if row.split != "train"} == {
        "data/c.png": "validation",
        "data/f.png": "test",
    }
    assert {key: row.problem and row.problem.partition(";")[0] for key, row in found.items() if row.problem} == {
        "data/b.png": "label: missing",
        "data/c.png": "label: unknown ('bored'",
        "data/d.png": "split: several",
        "data/e.png": "split: missing",
        "data/lost.png": "file: missing",
        "../a.png": "file: path leaves the data set's folder",
    }
    assert (
        rows(tmp_path, sample("data/a.png", tags=["x"], label=one("Sad")), split="test")["data/a.png"].split == "test"
    )
    with pytest.raises(UsageError, match="leave --split out"):
        rows(tmp_path, sample("data/a.png", label=one("Sad")), split="test")


def test_several_labels_are_a_reason_and_each_detection_is_a_face(tmp_path: Path) -> None:
    write_folder(tmp_path, ["data/a.png", "data/b.png"])
    several = {"_cls": "Classifications", "classifications": [one("Happy"), one("Sad")]}
    found = rows(
        tmp_path, sample("data/a.png", label=several), sample("data/b.png", label={**several, "classifications": []})
    )
    assert [row.problem for row in found.values()] == ["label: several (happiness, sadness)", "label: missing"]
    boxes = [
        one("Happy", bounding_box=[0.25, 0.5, 0.5, 0.5]),
        one("Sad", bounding_box=[0, 0, 1, 1]),
        one("Sad", bounding_box=[1]),
    ]
    found = rows(tmp_path, sample("data/a.png", faces={"_cls": "Detections", "detections": boxes}))
    assert [(row.given_label, row.box, row.box_unit) for row in found.values()] == [
        ("happiness", (0.25, 0.5, 0.75, 1.0), "shares"),
        ("sadness", (0, 0, 1, 1), "shares"),
        ("sadness", None, "shares"),
    ]
    assert found["data/a.png:3"].problem == "image: its box is not left, top, width and height"


def test_the_field_is_asked_for_where_nobody_could_tell(tmp_path: Path) -> None:
    write_folder(tmp_path, ["data/a.png"])
    two = sample("data/a.png", mine=one("Happy"), yours=one("Sad"))
    with pytest.raises(UsageError, match="fields of labels mine, yours; say with --label-column"):
        rows(tmp_path, two)
    assert rows(tmp_path, two, label_column="yours")["data/a.png"].given_label == "sadness"
    with pytest.raises(UsageError, match="no field of labels 'ours'"):
        rows(tmp_path, two, label_column="ours")
    (tmp_path / "metadata.json").write_text(
        json.dumps({"classes": {"yours": ["x"]}, "default_classes": ["Sad", "odd"]})
    )
    assert fiftyone.class_names(tmp_path, label_column="yours") == ("x",)
    assert fiftyone.class_names(tmp_path, label_column="mine") == ("Sad", "odd")


def test_pictures_of_another_machine_are_found_by_their_end(tmp_path: Path) -> None:
    write_folder(tmp_path, ["data/train/1.png", "data/test/1.png"])
    label = one("Sad")
    found = rows(
        tmp_path,
        sample("/home/me/set/train/1.png", label=label),
        sample("/home/me/set/test/1.png", label=label),
        sample("/home/me/set/1.png", label=label),
    )
    assert [(key, row.relative_path, row.problem) for key, row in found.items()] == [
        ("data/train/1.png", "data/train/1.png", None),
        ("data/test/1.png", "data/test/1.png", None),
        ("1.png", "1.png", "file: missing"),
    ]
    found = rows(tmp_path, sample("C:\\set\\train\\1.png", label=label))
    assert found["data/train/1.png"].problem is None


def test_labels_json_names_pictures_without_their_ending(tmp_path: Path) -> None:
    write_folder(tmp_path, [f"data/{name}.png" for name in "abcdef"] + ["data/f.jpg", "data/in/g.png", "data/h.png"])
    labels = {
        "a": 1,
        "b": 9,
        "c": None,
        "d": {"label": 0, "confidence": 0.5},
        "e": [0, 1],
        "f": 0,
        "in/g": "sad",
        "i": 0,
    }
    (tmp_path / "labels.json").write_text(json.dumps({"classes": ["Happy", "Sad"], "labels": labels}))
    assert fiftyone.class_names(tmp_path) == ("Happy", "Sad")
    found = {row.source_key: row for row in fiftyone.read(tmp_path, CARD)}
    assert found["a"].given_label == found["in/g"].given_label == "sadness"
    assert found["in/g"].relative_path == "data/in/g.png"
    assert found["d"].attributes == {"confidence": 0.5}
    assert {key: row.problem for key, row in found.items() if row.problem} == {
        "b": "label: 9 is outside of the 2 classes",
        "c": "label: missing",
        "e": "label: several (happiness, sadness)",
        "f": "file: several pictures are called so (data/f.jpg, data/f.png)",
        "i": "file: missing",
        "data/h.png": "label: no entry in labels.json",
    }
    assert found["data/h.png"].leftover


def test_what_is_not_its_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match=r"neither samples\.json nor labels\.json"):
        list(fiftyone.read(tmp_path, CARD))
    for name, told, why in (
        ("samples.json", [1], "is not FiftyOne's: sample 0 is '1'"),
        ("samples.json", {"samples": [1]}, "is not FiftyOne's"),
        ("labels.json", {"labels": ["a"]}, "labels is no mapping"),
    ):
        for old in tmp_path.iterdir():
            old.unlink()
        (tmp_path / name).write_text(json.dumps(told))
        with pytest.raises(BadDataError, match=why):
            list(fiftyone.read(tmp_path, CARD))
