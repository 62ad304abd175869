"""YOLO's form: each box is a sample, the order of classes is data.yaml's, and what is wrong is told per line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.parts.recognised import recognise
from ferclean.sources import yolo
from ferclean.sources.cards import load_card
from ferclean.steps.ingest import ingest
from ferclean.store.workspace import Workspace
from tests.made_sets import write_csv, write_folder


def made(root: Path, names: str = "[Anger, Happy, Sad]") -> Path:
    write_folder(root, [f"images/{split}/{name}.png" for split in ("train", "val") for name in "abc"])
    lines = {"a": "2 0.5 0.5 0.5 0.5\n0 .25 .25 .5 .5", "b": "5 .5 .5 1 1\n1 .5 .5 1", "lost": "0 .5 .5 1 1"}
    for split in ("train", "val"):
        (root / f"labels/{split}").mkdir(parents=True)
        for name, text in lines.items():
            (root / f"labels/{split}/{name}.txt").write_text(text)
    (root / "data.yaml").write_text(f"train: /etc\nnames: {names}\n")
    return root


def test_each_box_is_a_row_in_the_order_of_the_files_own_classes(tmp_path: Path) -> None:
    card = load_card("affectnet")
    rows = {row.source_key: row for row in yolo.read(made(tmp_path), card)}
    first, second = rows["images/train/a.png"], rows["images/train/a.png:2"]
    assert (first.given_label, first.box, first.split) == ("sadness", (0.25, 0.25, 0.75, 0.75), "train")
    assert first.box_unit == second.box_unit == "shares"
    assert (second.given_label, second.box) == ("anger", (0, 0, 0.5, 0.5))
    told = {key: row.problem for key, row in rows.items() if row.problem and "val" in key}
    assert told == {
        "images/val/b.png": "label: outside of the 3 classes",
        "images/val/b.png:2": "label: no class and box (line 2 of b.txt)",
        "images/val/c.png": "label: missing",
        "images/val/lost": "file: missing",
    }
    assert {row.split for key, row in rows.items() if "val" in key} == {"validation"}


def test_its_faces_are_ingested_with_the_classes_that_it_declares(tmp_path: Path) -> None:
    told = ingest(Workspace.create(tmp_path / "W"), "yolo", made(tmp_path / "set"))
    assert told.classes == ["anger", "happiness", "sadness"]
    assert told.by_class["train"] == {"anger": 1, "happiness": 0, "sadness": 1}


def test_classes_may_be_named_by_position_and_must_be_the_cards(tmp_path: Path) -> None:
    assert yolo.class_names(made(tmp_path / "a", "{1: Happy, 0: Anger}")) == ("Anger", "Happy")
    with pytest.raises(UsageError, match="declares the classes cat, dog"):
        list(yolo.read(made(tmp_path / "b", "[cat, dog]"), load_card("affectnet")))
    with pytest.raises(BadDataError, match=r"data\.yaml is not YAML"):
        yolo.class_names(made(tmp_path / "c", "["))
    with pytest.raises(BadDataError, match=r"holds none of data\.yaml"):
        list(yolo.read(write_folder(tmp_path / "d", ["a.png"]), load_card("yolo")))


def test_label_studios_form_of_it_names_the_classes_in_lines(tmp_path: Path) -> None:
    write_folder(tmp_path, ["images/a.png", "images/b.png"])
    (tmp_path / "labels").mkdir()
    for place, name in enumerate("ab"):
        (tmp_path / f"labels/{name}.txt").write_text(f"{place} 0.5 0.5 0.5 0.5\n")
    (tmp_path / "labels/classes.txt").write_text("Happy\r\nangry\r\n")
    (guess,) = recognise(tmp_path)
    assert (guess.card, guess.path) == ("yolo", tmp_path)
    assert guess.evidence[0] == "labels/classes.txt names the classes Happy, angry, in this order"
    write_csv(tmp_path / "t.csv", [["path", "label"], ["images/a.png", "sad"], ["images/b.png", "fear"]])
    assert [other.card for other in recognise(tmp_path / "t.csv")] == ["table"]
    (tmp_path / "t.csv").unlink()
    told = ingest(Workspace.create(tmp_path / "W"), "auto", tmp_path)
    assert (told.classes, told.by_class["train"]) == (["happiness", "anger"], {"happiness": 1, "anger": 1})
