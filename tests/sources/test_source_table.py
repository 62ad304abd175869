"""CSV and Parquet tables: columns found or named, keys, codes, votes, and paths that lead away."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.sources import table
from ferclean.sources.cards import Card, load_card
from ferclean.sources.rows import SourceRow
from tests.made_sets import image_bytes, write_csv, write_folder

CARD = load_card("table")


def rows_of(path: Path, card: Card = CARD, **options: object) -> list[SourceRow]:
    return list(table.read(path, card, **options))


def parquet(path: Path, columns: dict[str, object], metadata: dict[str, object] | None = None) -> Path:
    made = pa.table(columns)
    if metadata:
        made = made.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pq.write_table(made, path)
    return path


@pytest.mark.parametrize("column", ["path", "file", "filename", "filepath", "image", "IMG"])
def test_usual_column_names_are_found(tmp_path: Path, column: str) -> None:
    write_folder(tmp_path, ["a.png", "sub/b.png"])
    file = write_csv(
        tmp_path / "t.csv", [[column, "Label", "split"], ["a.png", "Happy", "train"], ["sub/b.png", "sad", "val"]]
    )
    assert [(row.source_key, row.given_label, row.split, row.relative_path, row.problem) for row in rows_of(file)] == [
        ("a.png", "happiness", "train", "a.png", None),
        ("sub/b.png", "sadness", "validation", "sub/b.png", None),
    ]


def test_named_columns_win_and_keys_and_attributes_are_kept(tmp_path: Path) -> None:
    write_folder(tmp_path, ["a.png"])
    file = write_csv(
        tmp_path / "t.csv", [["path", "where", "what", "id", "label", "age"], ["x", "a.png", "fear", "k7", "?", "9"]]
    )
    (row,) = rows_of(file, image_column="where", label_column="what", key_column="id", attributes="age")
    assert (row.source_key, row.given_label, row.relative_path, row.attributes) == ("k7", "fear", "a.png", {"age": "9"})
    assert row.split == "train"


def test_parquet_bytes_structs_and_paths_are_read(tmp_path: Path) -> None:
    write_folder(tmp_path, ["a.png"])
    data = [image_bytes(1), image_bytes(2)]
    plain = parquet(tmp_path / "plain.parquet", {"png": data, "label": ["fear", "anger"]})
    assert [(row.source_key, row.data) for row in rows_of(plain)] == [("0", data[0]), ("1", data[1])]
    cells = [{"bytes": data[0], "path": "x.png"}, {"bytes": None, "path": "a.png"}, {"bytes": None, "path": None}, None]
    struct = parquet(tmp_path / "struct.parquet", {"image": cells, "label": ["fear"] * 4})
    rows = rows_of(struct)
    assert rows[0].data == data[0]
    assert rows[1].relative_path == "a.png"
    assert [row.problem for row in rows] == [None, None, "image: missing", "image: missing"]


def test_codes_need_names_and_take_them_from_options_the_card_or_the_file(tmp_path: Path) -> None:
    file = parquet(tmp_path / "t.parquet", {"png": [image_bytes(1)] * 2, "label": [0, 3]})
    assert [row.given_label for row in rows_of(file)] == [None, None]
    fer = load_card("fer2013")
    assert [row.given_label for row in rows_of(file, fer)] == ["anger", "happiness"]
    own = CARD.with_classes(["a", "b", "c", "d"])
    assert [row.given_label for row in rows_of(file, own)] == ["a", "d"]
    info = {"info": {"features": {"label": {"names": ["Happy", "Sad", "Angry", "Fear"], "_type": "ClassLabel"}}}}
    declared = parquet(tmp_path / "hf.parquet", {"png": [image_bytes(1)], "label": [3]}, info)
    assert table.class_names(declared) == ("Happy", "Sad", "Angry", "Fear")
    assert table.class_names(file) is None


@pytest.mark.parametrize("cell", ["3", "3.0", " 3 ", 3.0, 3])
def test_whole_numbers_are_codes_however_they_are_written(tmp_path: Path, cell: object) -> None:
    file = parquet(tmp_path / "t.parquet", {"png": [image_bytes(1)], "label": [cell]})
    (row,) = rows_of(file, load_card("fer2013"))
    assert row.given_label == "happiness"


def test_a_bad_label_is_a_row_with_the_reason(tmp_path: Path) -> None:
    labels = ["fear", "bored", None, "9"]
    file = parquet(tmp_path / "t.parquet", {"png": [image_bytes(1)] * 4, "label": labels})
    problems = [row.problem or "" for row in rows_of(file)]
    assert problems[0] == ""
    assert problems[1].startswith("label: unknown ('bored'; known: surprise")
    assert problems[2] == "label: missing"
    assert problems[3].startswith("label: unknown ('9'")


def test_splits_are_translated_or_refused_with_the_row(tmp_path: Path) -> None:
    columns = {"png": [image_bytes(1)] * 3, "label": ["fear"] * 3, "usage": ["Training", "Exam", None]}
    file = parquet(tmp_path / "t.parquet", columns)
    with pytest.raises(BadDataError, match="row 1: unknown split 'Exam'"):
        rows_of(file)
    for mapping in ("Exam=test", {"Exam": "test"}):
        rows = rows_of(file, split_map=mapping)
        assert [row.split for row in rows] == ["train", "test", "train"]
        assert rows[2].problem == "split: missing"
    with pytest.raises(UsageError, match="mapped to 'exam'"):
        rows_of(file, split_map="Exam=exam")


def test_votes_are_read_only_with_a_prefix(tmp_path: Path) -> None:
    columns = {"png": [image_bytes(1)] * 2, "label": ["fear"] * 2, "v_fear": [7, 0], "v_sad": [3, 0], "v_NF": [0, 10]}
    file = parquet(tmp_path / "t.parquet", columns)
    assert [row.votes for row in rows_of(file)] == [None, None]
    assert [row.votes for row in rows_of(file, vote_prefix="v_")] == [{"fear": 7, "sadness": 3}, {"not_a_face": 10}]
    with pytest.raises(UsageError, match="no column that starts with 'w_'"):
        rows_of(file, vote_prefix="w_")
    odd = parquet(tmp_path / "odd.parquet", {**columns, "v_fear": [0.5, -1.0]})
    with pytest.raises(BadDataError, match=r"1 votes are negative or no numbers, first '-1' \(v_fear of row 1\)"):
        rows_of(odd, vote_prefix="v_")
    shares = parquet(tmp_path / "shares.parquet", {**columns, "v_fear": [0.7, 0.0], "v_sad": [0.3, 0], "v_NF": [0, 1]})
    fer = load_card("fer2013")
    assert [row.votes for row in rows_of(shares, fer, vote_prefix="v_", label_column="label")] == [
        {"fear": 7, "sadness": 3},
        {"not_a_face": 10},
    ]


def test_paths_stay_inside_the_tables_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", ["a.png"])
    (tmp_path / "outside.png").write_bytes(image_bytes(1))
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    cells = ["a.png", str(folder / "a.png"), "../outside.png", "/etc/passwd", "link.png", "gone.png", "a\0b.png", ""]
    file = parquet(folder / "t.parquet", {"path": cells, "label": ["fear"] * len(cells)})
    rows = rows_of(file)
    assert [row.relative_path for row in rows] == ["a.png", "a.png", None, None, None, "gone.png", None, None]
    assert [row.problem for row in rows] == [
        None,
        None,
        "file: path leaves the data set's folder",
        "file: path leaves the data set's folder",
        "file: symlink leaves the data set's folder",
        "file: missing",
        "file: the name holds a NUL character",
        "image: missing",
    ]


def test_windows_paths_are_understood(tmp_path: Path) -> None:
    write_folder(tmp_path, ["sub/a.png"])
    file = write_csv(tmp_path / "t.csv", [["path", "label"], ["sub\\a.png", "fear"]])
    assert rows_of(file)[0].relative_path == "sub/a.png"


def test_hostile_names_round_trip_through_csv(tmp_path: Path) -> None:
    names = ["=1+1.png", "<i>.png", "two\nlines.png", 'quote".png', "😀, and comma.png", "3.0", " padded .png"]
    write_folder(tmp_path, names)
    file = write_csv(tmp_path / "t.csv", [["path", "label"], *[[name, "fear"] for name in names]])
    rows = rows_of(file)
    assert [row.relative_path for row in rows] == names
    assert not [row.problem for row in rows if row.problem]


def test_missing_columns_list_what_the_table_has(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "t.csv", [["photo", "mood"], ["a.png", "fear"]])
    with pytest.raises(UsageError, match=r"name one with image_column. It has photo, mood"):
        rows_of(file)
    with pytest.raises(UsageError, match=r"no column 'nope' \(label_column\)"):
        rows_of(file, image_column="photo", label_column="nope")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"\xff\xfe\x00", "neither Parquet"),
        ("t.parquet", b"not parquet", "not a Parquet file"),
        ("t.parquet", b"", "not a Parquet file"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadDataError, match=message):
        rows_of(tmp_path / name)


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="not a file"):
        rows_of(tmp_path)
