"""Facts about the table form: every sample has a row, the columns are the agreed ones, cells are inert."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_workspace import BROKEN, CLASSES, ROWS, Small, p_true, small

from ferclean.errors import UsageError
from ferclean.exports import content
from ferclean.sources.tabular import escape_cell, unescape_cell
from ferclean.steps.decide import decide
from ferclean.steps.export import export
from ferclean.steps.release import release

AGREED = {
    "sample_id", "source_key", "split", "given_label", "suggested_label", "label_quality", "p_mislabelled",
    "p_ambiguous", "verdict", "rank", "decision", "corrected_label", "pred_probs",
}  # fmt: skip


@pytest.fixture
def work(tmp_path: Path) -> Small:
    return small(tmp_path)


def test_every_sample_has_a_row_in_the_sources_order(work: Small, tmp_path: Path) -> None:
    summary = export(work.ws, form="table", out=tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert [row["source_key"] for row in table] == [key for key, *_ in ROWS] + [BROKEN]
    assert summary.rows == len(ROWS) + 1
    assert set(table[0]) >= AGREED
    assert "included" not in table[0]


def test_values_keep_their_meaning_and_type(work: Small, tmp_path: Path) -> None:
    decide(work.ws, "train_00001", "relabel", label="fear", reviewer="ann")
    export(work.ws, form="table", out=tmp_path / "x.parquet")
    rows = {row["source_key"]: row for row in pq.read_table(tmp_path / "x.parquet").to_pylist()}
    first = rows["train_00001"]
    assert (first["given_label"], first["suggested_label"], first["corrected_label"]) == ("anger", "fear", "fear")
    assert (first["decision"], first["verdict"], first["rank"]) == ("relabel", "mislabelled", 1)
    assert first["label_quality"] == pytest.approx(0.03)
    assert first["pred_probs"] == pytest.approx([1 / len(CLASSES)] * len(CLASSES))
    broken = rows[BROKEN]
    assert broken["quarantine_reason"] == "image: empty"
    assert broken["pred_probs"] is None
    assert broken["rank"] is None


def test_a_release_adds_its_label_and_whether_a_sample_is_in(work: Small, tmp_path: Path) -> None:
    release(work.ws, "v1", policy="auto")
    export(work.ws, form="table", out=tmp_path / "x.parquet", release="v1")
    rows = {row["source_key"]: row for row in pq.read_table(tmp_path / "x.parquet").to_pylist()}
    assert (rows["train_00001"]["release_label"], rows["train_00001"]["included"]) == ("fear", True)
    assert rows["train_00005"]["included"] is False
    assert rows["train_00005"]["release_reason"].startswith("automatic: unusable")
    assert rows["train_00001"]["release_soft_label"] == pytest.approx(p_true("anger", "fear", 0.97))
    assert rows["test_0002"]["release_soft_label"] == [float(name == "neutral") for name in CLASSES]
    assert (rows["train_00001"]["release_weight"], rows["train_00005"]["release_soft_label"]) == (1.0, None)


def test_csv_holds_the_same_with_lists_as_json(work: Small, tmp_path: Path) -> None:
    export(work.ws, form="table", out=tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert set(rows[0]) >= AGREED
    assert json.loads(rows[0]["pred_probs"]) == pytest.approx([1 / len(CLASSES)] * len(CLASSES))
    assert rows[-1]["pred_probs"] == ""


def test_each_recognizer_has_a_column_with_its_vote(work: Small, tmp_path: Path) -> None:
    for name in ("x.parquet", "x.csv"):
        export(work.ws, form="table", out=tmp_path / name)
    row = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert list(row[0])[-1] == "vote_m"
    assert row[0]["vote_m"] == CLASSES[0]  # all classes are alike probable: the first one
    assert row[-1]["vote_m"] is None
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as lines:
        assert [r["vote_m"] or None for r in csv.DictReader(lines)] == [r["vote_m"] for r in row]
    export(work.ws, form="table", out=tmp_path / "x.csv", overwrite=True)  # still known as ferclean's own


def test_a_workspace_without_scores_has_a_table_of_given_labels(tmp_path: Path) -> None:
    work = small(tmp_path, triaged=False)
    export(work.ws, form="table", out=tmp_path / "x.parquet")
    rows = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert rows[0]["given_label"] == "anger"
    assert rows[0]["verdict"] is None


def test_the_schema_says_the_order_of_the_classes(work: Small, tmp_path: Path) -> None:
    export(work.ws, form="table", out=tmp_path / "x.parquet")
    told = json.loads(pq.read_schema(tmp_path / "x.parquet").metadata[b"ferclean.table"])
    assert tuple(told["classes"]) == CLASSES


def test_another_suffix_is_refused(work: Small, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.parquet or \.csv"):
        export(work.ws, form="table", out=tmp_path / "x.xlsx")


def test_a_folder_is_refused_with_a_file_to_take_instead(work: Small, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"table\.parquet"):
        export(work.ws, form="table", out=tmp_path)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''-", "plain", "", "'plain", "\n="])
def test_an_escaped_cell_is_no_formula_and_leads_back(text: str) -> None:
    assert not escape_cell(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert unescape_cell(escape_cell(text)) == text


@pytest.mark.parametrize("name", ["x.parquet", "x.csv"])
def test_it_is_the_same_table_however_many_rows_are_in_memory_at_once(
    work: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    release(work.ws, "v1", policy="auto")
    monkeypatch.setattr(content, "BLOCK", 3)
    export(work.ws, form="table", out=tmp_path / name, release="v1")
    monkeypatch.undo()
    export(work.ws, form="table", out=tmp_path / f"whole-{name}", release="v1")
    if name == "x.csv":
        assert (tmp_path / name).read_text("utf-8") == (tmp_path / f"whole-{name}").read_text("utf-8")
    else:
        assert pq.read_table(tmp_path / name).equals(pq.read_table(tmp_path / f"whole-{name}"), check_metadata=True)
