"""The RAF-DB layout: keys, labels, attributes, votes, and what does not fit together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.sources import rafdb
from ferclean.sources.cards import load_card
from ferclean.sources.rows import SourceRow
from tests.made_sets import rafdb_pairs, write_csv, write_folder, write_rafdb

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
    assert rows["Thumbs.db"].ignored


@pytest.mark.parametrize(
    ("line", "key", "problem"),
    [
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


@pytest.mark.parametrize(
    "line",
    ["{key}.jpg\t{code}", "{key}.jpg   {code}\r", "  {key}_aligned.jpg \t {code} ", "{key}_aligned.jpg {code}.0"],
    ids=["tab", "spaces-crlf", "aligned", "float"],
)
def test_a_line_is_a_name_and_a_code_whatever_stands_between_them(tmp_path: Path, line: str) -> None:
    write_rafdb(tmp_path, rafdb_pairs())
    plain = list(rafdb.read(tmp_path, CARD))
    text = "\n".join(line.format(key=key, code=code) for key, code in rafdb_pairs())
    (tmp_path / rafdb.LABELS).write_text(text, encoding="utf-8-sig")
    rows = list(rafdb.read(tmp_path, CARD))
    assert [row.source_key for row in rows] == [row.source_key for row in plain]
    assert [(row.given_label, row.problem) for row in rows] == [(row.given_label, None) for row in plain]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train_00002.jpg 6 1", r"txt, line 2: 3 fields instead of a file name and a code: 'train_00002.jpg 6 1'"),
        ("my train_00002.jpg 6", "line 2: 3 fields"),
        ("train_00002.jpg 9", r"line 2: unknown code '9' \(1 of 2 lines\); known: .*7=neutral"),
        ("train_00002.jpg bored", "line 2: unknown code 'bored'"),
    ],
)
def test_a_list_with_a_third_field_or_a_code_of_another_card_is_refused(
    tmp_path: Path, line: str, message: str
) -> None:
    write_rafdb(tmp_path, [("train_00001", 4)])
    with (tmp_path / rafdb.LABELS).open("a") as handle:
        handle.write(line + "\n")
    with pytest.raises(BadDataError, match=message):
        rows_of(tmp_path)


def test_the_compound_set_is_not_the_basic_set(tmp_path: Path) -> None:
    codes = [(f"train_{number:05d}", number % 11 + 1) for number in range(22)]
    by_codes = write_rafdb(tmp_path / "set", codes)
    by_name = write_rafdb(tmp_path / "compound", [pair for pair in codes if int(str(pair[1])) < 8])
    for root in (by_codes, by_name):
        with pytest.raises(
            BadDataError,
            match=r"compound set .* not the basic set that card 'rafdb' describes; ingest it with card rafdb_compound",
        ):
            rows_of(root)
    compound = load_card("rafdb_compound")
    rows = list(rafdb.read(by_codes, compound))
    assert {row.problem for row in rows} == {None}
    assert (rows[0].given_label, rows[10].given_label) == ("happily surprised", "disgustedly surprised")
    assert len(list(rafdb.read(tmp_path, compound))) == len(list(rafdb.read(by_name, compound)))
    with pytest.raises(BadDataError, match="as RAF-DB's basic set: ingest it with card rafdb"):
        list(
            rafdb.read(write_rafdb(tmp_path / "basic", [(f"train_{code:05d}", code) for code in range(1, 8)]), compound)
        )
    own = CARD.with_classes([f"class {letter}" for letter in "abcdefghijkl"])
    assert {row.problem for row in rafdb.read(by_codes, own)} == {None}


def test_two_files_for_one_key_are_both_told(tmp_path: Path) -> None:
    write_rafdb(tmp_path, [("train_00001", 4)])
    for name in ("train_00001.jpg", "train_00001_aligned.png"):
        (tmp_path / "Image/aligned" / name).write_bytes(b"x")
    rows = rows_of(tmp_path)
    assert rows["train_00001"].relative_path == "Image/aligned/train_00001_aligned.jpg"
    for name in ("train_00001_aligned.png", "train_00001.jpg"):
        assert rows[name].problem == "label: no line in list_patition_label.txt"


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
    file.write_text("train_00001.jpg 0 0 0 .75 0 0 .25\ntrain_00002_aligned.jpg 0 0 0 0 .75 0 .25\n")
    assert {row.votes is None for row in rows_of(tmp_path).values()} == {True}
    rows = rows_of(tmp_path, votes=file)
    assert rows["train_00001"].votes == {"happiness": 30, "neutral": 10}
    assert rows["train_00002"].votes == {"sadness": 30, "neutral": 10}
    assert rows["train_00003"].votes is None
    file.write_text("train_00001.jpg 0 0 0 30.0 0 0 10\n")
    assert rows_of(tmp_path, votes=file)["train_00001"].votes == {"happiness": 30, "neutral": 10}


def test_shares_weigh_the_same_in_every_row_of_a_file(tmp_path: Path) -> None:
    write_rafdb(tmp_path, [("train_00001", 4), ("train_00002", 5), ("train_00003", 6), ("train_00004", 6)])
    file = tmp_path / "votes.txt"
    shares = ["0 0 0 1 0 0 0", "0 0 0 0 .75 0 .25", ".333 .333 .334 0 0 0 0", "0 0 0 0 0 0 0"]
    file.write_text("".join(f"train_0000{number}.jpg {row}\n" for number, row in enumerate(shares, 1)))
    votes = [row.votes for row in rows_of(tmp_path, votes=file).values()]
    assert votes[:2] == [{"happiness": 40}, {"sadness": 30, "neutral": 10}]
    assert [sum((one or {}).values()) for one in votes] == [40, 40, 40, 0]
    file.write_text("train_00001.jpg 0 0 0 1 0 0 0\ntrain_00002.jpg 0 0 0 0 1 0 0\n")
    assert [row.votes for row in rows_of(tmp_path, votes=file).values()][:2] == [{"happiness": 1}, {"sadness": 1}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train_00001.jpg 0 0 0 30 0 0 10\ntrain_00002.jpg 0 0 0 0 .75 0 .25", "1 of 2 rows do not add up to 1, first"),
        ("train_0001.jpg 0 0 0 0 .75 0 .25\ntrain_00001.jpg 0 0 0 1 0 0 0", "1 of 2 keys are no sample's.*train_0001;"),
        ("train_00001.jpg 0 0 0 1 0 0 0\ntrain_00001_aligned.jpg 0 0 0 1 0 0 0", "line 2: .* has votes already"),
    ],
    ids=["mixed", "strangers", "twice"],
)
def test_votes_of_two_kinds_on_other_names_or_twice_are_refused(tmp_path: Path, text: str, message: str) -> None:
    write_rafdb(tmp_path, [("train_00001", 4), ("train_00002", 5)])
    (tmp_path / "votes.txt").write_text(text)
    with pytest.raises(BadDataError, match=message):
        rows_of(tmp_path, votes=tmp_path / "votes.txt")


@pytest.mark.parametrize(
    "line", ["train_00001.jpg 1 2 3", "train_00001.jpg a b c d e f g", "train_00001.jpg -1 0 0 0 0 0 2"]
)
def test_votes_that_do_not_fit_name_the_line(tmp_path: Path, line: str) -> None:
    write_rafdb(tmp_path, [("train_00001", 4)])
    (tmp_path / "votes.txt").write_text(line)
    with pytest.raises(BadDataError, match=r"votes.txt, line 1: expected a name and 7 numbers"):
        rows_of(tmp_path, votes=tmp_path / "votes.txt")


def test_a_table_keeps_rows_without_a_name_and_is_refused_without_its_columns(tmp_path: Path) -> None:
    write_folder(tmp_path, ["aligned/train_00001_aligned.jpg"])
    write_csv(tmp_path / "train_labels.csv", [["image", "label"], ["a\\train_00001_aligned.jpg", 4.0], ["", 5]])
    assert {key: (row.given_label, row.problem) for key, row in rows_of(tmp_path).items()} == {
        "train_00001": ("happiness", None),
        "train_labels line 3": ("sadness", "file: missing"),
    }
    write_csv(tmp_path / "train_labels.csv", [["a", "b"], ["train_00001_aligned.jpg", 4]])
    with pytest.raises(BadDataError, match=r"train_labels.csv has no two columns such as image and label; it has a, b"):
        rows_of(tmp_path)


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
    (listed,) = (tmp_path / "other/EmoLabel").iterdir()
    listed.rename(tmp_path / "secret")
    listed.symlink_to(tmp_path / "secret")
    with pytest.raises(BadDataError, match=r"label\.txt is not read \(file: symlink leaves the data set's folder\)"):
        rows_of(tmp_path / "other")


def test_beside_the_list_of_a_flat_copy_only_pictures_are_the_sets(tmp_path: Path) -> None:
    (tmp_path / "list_patition_label.txt").write_text("train_00001.jpg 1\ntest_0002.jpg 2\n", encoding="utf-8")
    pictures = ("train_00001.jpg", "train_00001.jpg.png", "train_00001.png", "test_0002.jpg")
    for name in (*pictures, "README.md", ".DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("Annotation", "train_00001"):
        (tmp_path / name).mkdir()
    (tmp_path / "loop").symlink_to("loop")
    rows = rows_of(tmp_path)
    assert {row.relative_path for row in rows.values() if not row.ignored} == set(pictures)
    assert [key for key, row in rows.items() if row.ignored] == [".DS_Store"]
    assert (rows["train_00001"].relative_path, rows["train_00001"].problem) == ("train_00001.jpg", None)
