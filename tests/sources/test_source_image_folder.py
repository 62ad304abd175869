"""Folders of images: splits and classes from folder names, and everything else that lies around in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ferclean.errors import BadDataError
from ferclean.sources import image_folder
from ferclean.sources.cards import Card, load_card
from ferclean.sources.rows import SourceRow
from tests.made_sets import image_bytes, write_folder

CARD = load_card("image_folder")


def rows_of(root: Path, card: Card = CARD) -> dict[str, SourceRow]:
    rows = list(image_folder.read(root, card))
    assert len({row.source_key for row in rows}) == len(rows)
    return {row.source_key: row for row in rows}


def test_split_class_file_is_read_with_usual_spellings(tmp_path: Path) -> None:
    write_folder(tmp_path, ["train/Happy/a.png", "val/sadness/b.png", "TEST/angry/c.png"])
    rows = rows_of(tmp_path)
    assert {key: (row.split, row.given_label, row.problem) for key, row in rows.items()} == {
        "train/Happy/a.png": ("train", "happiness", None),
        "val/sadness/b.png": ("validation", "sadness", None),
        "TEST/angry/c.png": ("test", "anger", None),
    }


def test_class_file_without_splits_is_training_data(tmp_path: Path) -> None:
    write_folder(tmp_path, ["happy/deep/er/a.png", "sad/b.png"])
    rows = rows_of(tmp_path)
    assert {(row.split, row.given_label) for row in rows.values()} == {("train", "happiness"), ("train", "sadness")}
    assert "happy/deep/er/a.png" in rows


def test_class_folders_may_be_codes_of_the_card(tmp_path: Path) -> None:
    write_folder(tmp_path, ["train/1/a.png", "test/7/b.png"])
    rows = rows_of(tmp_path, load_card("rafdb"))
    assert [rows[key].given_label for key in ("train/1/a.png", "test/7/b.png")] == ["surprise", "neutral"]


def test_an_unknown_folder_lists_the_known_classes(tmp_path: Path) -> None:
    write_folder(tmp_path, ["keen/a.png", "bored/b.png"])
    with pytest.raises(BadDataError, match=r"'bored' names no known class.*surprise.*--classes"):
        rows_of(tmp_path)
    write_folder(tmp_path, ["happy/a.png", "bored/b.png"])
    assert rows_of(tmp_path)["bored/b.png"].problem == "label: unknown folder ('bored')"
    rows = rows_of(tmp_path, CARD.with_classes(["happy", "bored"]))
    assert rows["bored/b.png"].given_label == "bored"
    assert rows["happy/a.png"].given_label == "happiness"


def test_a_class_folder_beside_split_folders_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, ["train/happy/a.png", "sad/b.png"])
    with pytest.raises(BadDataError, match="the class folder 'sad' stands beside the splits train"):
        rows_of(tmp_path)


def test_what_is_no_image_is_reported_and_hidden_files_are_counted(tmp_path: Path) -> None:
    write_folder(tmp_path, ["happy/a.png"])
    for name in ("happy/Thumbs.db", "happy/notes.txt", "happy/.DS_Store", ".DS_Store", "readme.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "happy/.cache").mkdir()
    rows = rows_of(tmp_path)
    assert rows["happy/notes.txt"].problem == "file: not an image by its name (.txt)"
    assert rows["readme.png"].problem == "label: lies outside of a class folder"
    assert {key for key, row in rows.items() if row.ignored} == {
        "happy/Thumbs.db", "happy/.DS_Store", ".DS_Store", "happy/.cache",
    }  # fmt: skip
    assert rows["happy/a.png"].problem is None


def test_hidden_folders_beside_splits_or_classes_are_ignored(tmp_path: Path) -> None:
    write_folder(tmp_path, ["train/happy/a.png", ".git/objects/x.png", "train/.cache/y.png"])
    rows = rows_of(tmp_path)
    assert {key for key, row in rows.items() if row.ignored} == {".git", "train/.cache"}
    assert len(rows) == 3


def test_links_that_leave_or_circle_are_reported_and_keep_no_path(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", ["happy/a.png"])
    (tmp_path / "secret.png").write_bytes(image_bytes(1))
    (tmp_path / "outside").mkdir()
    (root / "happy/leaves.png").symlink_to(tmp_path / "secret.png")
    (root / "happy/passwd.jpg").symlink_to("/etc/passwd")
    (root / "happy/loop.png").symlink_to(root / "happy/loop.png")
    (root / "happy/folder").symlink_to(tmp_path / "outside")
    (root / "happy/up").symlink_to(root)
    (root / "happy/nothing.png").symlink_to(root / "gone.png")
    (root / "happy/inside.png").symlink_to(root / "happy/a.png")
    rows = rows_of(root)
    problems = {key.removeprefix("happy/"): row.problem for key, row in rows.items()}
    assert problems["leaves.png"] == problems["passwd.jpg"] == "file: symlink leaves the data set's folder"
    assert str(problems["loop.png"]).startswith("file: cannot be followed")
    assert problems["folder"] == problems["up"] == "file: link to a folder is not followed"
    assert problems["nothing.png"] == "file: link to nothing"
    assert problems["inside.png"] is None
    assert {row.relative_path for row in rows.values() if row.problem} == {None}


def test_a_linked_class_folder_is_not_followed(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", ["happy/a.png"])
    write_folder(tmp_path / "other", ["b.png"])
    (root / "sad").symlink_to(tmp_path / "other")
    assert rows_of(root)["sad"].problem == "file: link to a folder is not followed"


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["happy/a.png"])
    os.mkfifo(root / "happy/pipe.png")
    assert rows_of(root)["happy/pipe.png"].problem == "file: not a regular file"


def test_hostile_names_are_kept_as_they_are(tmp_path: Path) -> None:
    names = ["<b>x</b>.png", "=cmd|' /C calc'!A0.png", "two\nlines.png", "😀.png", "é" * 125 + ".png", "a b;c,d.png"]
    write_folder(tmp_path, [f"happy/{name}" for name in names])
    rows = rows_of(tmp_path)
    assert {key.removeprefix("happy/") for key in rows} == set(names)
    assert not [row.problem for row in rows.values() if row.problem]


def test_a_name_that_is_not_utf8_is_reported_in_print(tmp_path: Path) -> None:
    write_folder(tmp_path, ["happy/a.png"])
    with open(os.path.join(os.fsencode(tmp_path), b"happy/\xff.png"), "wb") as handle:
        handle.write(image_bytes(1))
    assert rows_of(tmp_path)["happy/\\xff.png"].problem == "file: the name is not UTF-8"


def test_a_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(BadDataError, match="not a folder"):
        rows_of(tmp_path / "x")


def test_a_class_folder_in_another_one_says_no_label_and_a_number_in_one_is_a_persons(tmp_path: Path) -> None:
    write_folder(tmp_path, ["anger/fear/a.png", "anger/Angry/b.png", "anger/7/c.png", "fear/d.png"])
    found = {key: (row.given_label, row.problem) for key, row in rows_of(tmp_path).items()}
    assert found["anger/fear/a.png"] == (None, "label: a class folder in another one ('fear' in 'anger')")
    assert {label for key, (label, _) in found.items() if key.startswith("anger/") and "fear" not in key} == {"anger"}


def test_a_split_inside_a_class_folder_is_refused_below_splits_too(tmp_path: Path) -> None:
    write_folder(tmp_path, ["train/anger/test/a.png", "train/fear/b.png", "test/fear/c.png"])
    with pytest.raises(
        BadDataError, match=r"the split 'train/anger/test' lies in a class folder, and that in another split"
    ):
        rows_of(tmp_path)
    (tmp_path / "train/anger/test").rename(tmp_path / "train/anger/Train_Aligned_Faces")
    assert rows_of(tmp_path, load_card("sfew"))["train/anger/Train_Aligned_Faces/a.png"].split == "train"
