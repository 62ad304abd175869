"""The RAF-DB layout: keys, labels, attributes, votes, and what does not fit together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.sources import rafdb
from ferclean.sources.cards import load_card
from ferclean.sources.rows import SourceRow
from tests.made_sets import rafdb_pairs, write_rafdb

CARD = load_card("rafdb")


def rows_of(root: Path, **options: object) -> dict[str, SourceRow]:
    return {row.source_key: row for row in rafdb.read(root, CARD, **options)}


def test_rows_follow_the_list_with_its_labels_and_splits(tmp_path: Path) -> None:
    write_rafdb(tmp_path, rafdb_pairs())
    rows = list(rafdb.read(tmp_path, CARD))
    assert [row.source_key for row in rows] == [key for key, _ in rafdb_pairs()]
    assert [row.given_label for row in rows if row.split == "test"] == list(CARD.classes)
    assert rows[0].relative_path == "Image/aligned/train_00001_aligned.jpg"
    assert not [row.problem for row in rows if row.problem]


def test_the_folder_above_basic_is_accepted(tmp_path: Path) -> None:
    write_rafdb(tmp_path / "basic", rafdb_pairs())
    rows = rows_of(tmp_path)
    assert rows["train_00001"].relative_path == "basic/Image/aligned/train_00001_aligned.jpg"


def test_original_images_stand_in_for_missing_aligned_ones(tmp_path: Path) -> None:
    write_rafdb(tmp_path, [("train_00001", 4)])
    (tmp_path / "Image/aligned").rename(tmp_path / "Image/original")
    (tmp_path / "Image/original/train_00001_aligned.jpg").rename(tmp_path / "Image/original/train_00001.jpg")
    assert rows_of(tmp_path)["train_00001"].relative_path == "Image/original/train_00001.jpg"


def test_lines_without_image_and_images_without_line_are_told(tmp_path: Path) -> None:
    write_rafdb(tmp_path, rafdb_pairs())
    (tmp_path / "Image/aligned/train_00001_aligned.jpg").unlink()
    (tmp_path / "Image/aligned/train_99999_aligned.jpg").write_bytes(b"x")
    (tmp_path / "Image/aligned/Thumbs.db").write_bytes(b"x")
    (tmp_path / "Image/aligned/.DS_Store").write_bytes(b"x")
    with open(os.path.join(os.fsencode(tmp_path), b"Image/aligned/\xff.jpg"), "wb") as handle:
        handle.write(b"x")
    rows = rows_of(tmp_path)
    assert rows["train_00001"].problem == "file: missing"
    assert rows["train_00001"].given_label == "surprise"
    assert rows["train_99999"].problem == "label: no line in list_patition_label.txt"
    assert rows["train_99999"].given_label is None
    assert rows["\\xff"].problem == "file: the name is not UTF-8"
    assert rows["\\xff"].relative_path is None
    assert rows[".DS_Store"].ignored
    assert rows["Thumbs.db"].problem == "label: no line in list_patition_label.txt"


@pytest.mark.parametrize(
    ("line", "key", "problem"),
    [
        ("train_00002.jpg 9", "train_00002", "label: unknown code ('9'"),
        ("train_00002.jpg", "train_00002", "label: missing (line 2"),
        ("exam_00002.jpg 4", "exam_00002", "split: unknown ('exam_00002'"),
    ],
)
def test_a_bad_line_is_a_row_with_the_reason(tmp_path: Path, line: str, key: str, problem: str) -> None:
    write_rafdb(tmp_path, [("train_00001", 4)])
    with (tmp_path / rafdb.LABELS).open("a") as handle:
        handle.write(line + "\n\n")
    (tmp_path / f"Image/aligned/{key}_aligned.jpg").write_bytes(b"x")
    found = rows_of(tmp_path)[key].problem
    assert found is not None
    assert found.startswith(problem)


def test_an_image_listed_twice_is_two_rows(tmp_path: Path) -> None:
    write_rafdb(tmp_path, [("train_00001", 4), ("train_00001", 5)])
    rows = list(rafdb.read(tmp_path, CARD))
    assert [(row.source_key, row.given_label, row.problem) for row in rows] == [
        ("train_00001", "happiness", None),
        ("train_00001", "sadness", None),
    ]


def test_attributes_are_read_in_words(tmp_path: Path) -> None:
    write_rafdb(tmp_path, [("train_00001", 4), ("train_00002", 4)])
    folder = tmp_path / "Annotation/manual"
    folder.mkdir(parents=True)
    points = "10.5 20\n30 20\n20 30\n12 40\n28 40\n"
    (folder / "train_00001_manu_attri.txt").write_text(points + "1\n2\n3\n")
    (folder / "train_00002_manu_attri.txt").write_text("nothing of the kind\n")
    rows = rows_of(tmp_path)
    first = rows["train_00001"].attributes
    assert (first["gender"], first["race"], first["age"]) == ("female", "asian", "40-69")
    assert first["landmarks"] == {
        "left_eye": [10.5, 20.0], "right_eye": [30.0, 20.0], "nose": [20.0, 30.0],
        "left_mouth": [12.0, 40.0], "right_mouth": [28.0, 40.0],
    }  # fmt: skip
    assert "attributes_problem" in rows["train_00002"].attributes


def test_votes_come_in_only_when_asked_for_as_counts_or_shares(tmp_path: Path) -> None:
    write_rafdb(tmp_path, [("train_00001", 4), ("train_00002", 5), ("train_00003", 6)])
    file = tmp_path / "distribution_basic.txt"
    file.write_text("train_00001.jpg 0 0 0 30 0 0 10\ntrain_00002_aligned.jpg 0 0 0 0 .75 0 .25\n")
    assert {row.votes is None for row in rows_of(tmp_path).values()} == {True}
    rows = rows_of(tmp_path, votes=file)
    assert rows["train_00001"].votes == {"happiness": 30, "neutral": 10}
    assert rows["train_00002"].votes == {"sadness": 30, "neutral": 10}
    assert rows["train_00003"].votes is None


@pytest.mark.parametrize(
    "line", ["train_00001.jpg 1 2 3", "train_00001.jpg a b c d e f g", "train_00001.jpg -1 0 0 0 0 0 2"]
)
def test_votes_that_do_not_fit_name_the_line(tmp_path: Path, line: str) -> None:
    write_rafdb(tmp_path, [("train_00001", 4)])
    (tmp_path / "votes.txt").write_text(line)
    with pytest.raises(BadDataError, match=r"votes.txt, line 1: expected a name and 7 numbers"):
        rows_of(tmp_path, votes=tmp_path / "votes.txt")


def test_another_layout_is_named_precisely(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match=r"list_patition_label.txt is missing"):
        rows_of(tmp_path)
    write_rafdb(tmp_path / "set", [("train_00001", 4)])
    (tmp_path / "set/Image/aligned").rename(tmp_path / "set/Image/cropped")
    with pytest.raises(BadDataError, match="neither Image/aligned nor Image/original"):
        rows_of(tmp_path / "set")
    write_rafdb(tmp_path / "other", [("train_00001", 4)])
    with pytest.raises(UsageError, match="no such file of votes"):
        rows_of(tmp_path / "other", votes=tmp_path / "none.txt")
