"""Tables of any kind: doubled columns, rows that do not fit the header, rows of nothing, bytes as text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.sources import fer2013, table
from ferclean.sources.cards import load_card
from ferclean.sources.pred_probs import read_predictions
from ferclean.sources.tabular import LABEL_COLUMNS, columns_of, find_column, header_of
from ferclean.sources.vote_file import read_vote_file

CLASSES = ("fear", "anger")
HEADERS = {
    "table": "path,label",
    "votes": "key,fear",
    "preds": "source_key,fear,anger",
    "fer2013": "emotion,pixels,usage",
}
READERS: dict[str, Callable[[Path], object]] = {
    "table": lambda path: list(table.read(path, load_card("table"))),
    "votes": lambda path: read_vote_file(path, load_card("table")),
    "preds": lambda path: read_predictions(path, CLASSES),
    "fer2013": lambda path: list(fer2013.read(path, load_card("fer2013"))),
}


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_takes_a_column_that_comes_twice(tmp_path: Path, reader: str) -> None:
    names = HEADERS[reader].split(",")
    file = tmp_path / "t.csv"
    file.write_text(f"{HEADERS[reader]}, {names[1]} \n" + ",".join("1" * (len(names) + 1)))
    with pytest.raises(BadDataError, match=rf"names a column more than once: {names[1]} \(2 times\); rename"):
        READERS[reader](file)
    doubled = pa.Table.from_arrays([pa.array(["1"])] * (len(names) + 1), names=[*names, names[1]])
    pq.write_table(doubled, tmp_path / "t.parquet")
    with pytest.raises(BadDataError, match=rf"names a column more than once: {names[1]} \(2 times\); rename"):
        READERS[reader](tmp_path / "t.parquet")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", [1, -1])
def test_no_reader_takes_a_row_with_more_or_fewer_cells_than_columns(tmp_path: Path, reader: str, change: int) -> None:
    width = HEADERS[reader].count(",") + 1
    rows = [",".join("1" * width), "", ",".join("1" * (width + change))]
    (tmp_path / "t.csv").write_text("\n".join([HEADERS[reader], *rows]))
    with pytest.raises(BadDataError, match=rf"row 1 \(line 4\): {width + change} cells for {width} columns"):
        READERS[reader](tmp_path / "t.csv")


def test_rows_of_nothing_are_no_rows_and_columns_without_a_name_are_no_doubles(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\n,,\na,,\n1,2,3\n , ,\n\n4,5,6\n", encoding="utf-8-sig")
    assert header_of(tmp_path / "t.csv") == ["a", "", ""]
    assert columns_of(tmp_path / "t.csv")["a"] == ["1", "4"]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_table_without_commas_is_called_one(tmp_path: Path, mark: str) -> None:
    (tmp_path / "t.csv").write_text(f"path{mark}label\na{mark}fear\n")
    with pytest.raises(BadDataError, match=r"between its cells; save it with commas"):
        header_of(tmp_path / "t.csv")


def test_a_quote_that_is_never_closed_does_not_swallow_the_rest(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('path,label\n"a.png,fear\nb.png,fear\n')
    with pytest.raises(BadDataError, match="not CSV in UTF-8"):
        READERS["table"](tmp_path / "t.csv")


def test_names_that_differ_in_their_case_only_need_a_choice() -> None:
    with pytest.raises(UsageError, match=r"has the columns 'Label', 'label'; say which one is meant with label_column"):
        find_column(["Label", "label"], None, LABEL_COLUMNS, "label_column", Path("t.csv"))
    assert find_column(["Label", "label"], "label", LABEL_COLUMNS, "label_column", Path("t.csv")) == "label"


def test_bytes_are_text_in_archives_and_tables(tmp_path: Path) -> None:
    probs = np.array([[0.9, 0.1], [0.2, 0.8]])
    keys = np.array([b"k\xc3\xa9", b"k2"])
    np.savez(tmp_path / "p.npz", pred_probs=probs, source_key=keys, classes=np.array([b"anger", b"fear"]))
    found = read_predictions(tmp_path / "p.npz", CLASSES)
    assert (found.ids, found.classes) == (["ké", "k2"], ("anger", "fear"))
    assert found.pred_probs[0].tolist() == [0.1, 0.9]
    pq.write_table(pa.table({"source_key": keys.tolist(), "fear": [0.1, 0.8], "anger": [0.9, 0.2]}), tmp_path / "p.pq")
    assert read_predictions(tmp_path / "p.pq", CLASSES).ids == ["ké", "k2"]
    labels = pa.table({"path": ["a.png"], "label": [b"fear"]})
    pq.write_table(labels, tmp_path / "t.parquet")
    assert [row.given_label for row in table.read(tmp_path / "t.parquet", load_card("table"))] == ["fear"]
    np.savez(tmp_path / "odd.npz", pred_probs=probs, source_key=np.array([b"\xff", b"k"]), classes=np.array([b"a"]))
    with pytest.raises(BadDataError, match="save ids and names as text"):
        read_predictions(tmp_path / "odd.npz", CLASSES)


def test_a_parquet_file_with_damaged_rows_is_bad_data(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["a.png"] * 9, "label": ["fear"] * 9}), tmp_path / "whole.parquet")
    (tmp_path / "t.parquet").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "whole.parquet").read_bytes())
    with pytest.raises(BadDataError, match=r"t.parquet is damaged \(.*\); fetch or write it again"):
        columns_of(tmp_path / "t.parquet")
