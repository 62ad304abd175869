"""Facts about the page: self-contained, complete, inert, and free of pixels when asked."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from ferclean.errors import FercleanError, UsageError
from ferclean.parts import report_plots
from ferclean.steps.report import report
from ferclean.store import decisions, table
from ferclean.store.workspace import Workspace


def test_the_page_stands_alone_and_names_what_was_found(judged_folder: Path, tmp_path: Path) -> None:
    ws = Workspace.open(judged_folder)
    done = report(ws, out=tmp_path / "page.html", faces=3)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert "<script" not in page
    assert "<svg" in page
    whole = table.sample_table(ws)
    assert str(int((whole["verdict"] == "mislabelled").sum())) in page
    assert done.samples == len(whole)
    assert page.count("data:image/jpeg") <= 9


def test_without_faces_no_pixel_is_in_the_page(judged_folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html>an earlier one")
    with pytest.raises(UsageError, match="pass --overwrite"):
        report(Workspace.open(judged_folder), out=page, faces=0)
    report(Workspace.open(judged_folder), out=page, overwrite=True, faces=0)
    assert "<html" in page.read_text("utf-8")
    assert "data:image" not in page.read_text("utf-8")


def test_decisions_and_hostile_names_are_shown_inert(judged_copy: Path, tmp_path: Path) -> None:
    ws = Workspace.open(judged_copy)
    sample = table.queue(ws, limit=1).iloc[0]
    decision = decisions.Decision(
        sample_id=sample["sample_id"], action="keep", label=None, reviewer="<script>alert(1)</script>",
        note="", seconds=None, shown=None, source="api", inclusion_probability=None, bulk_id=None,
    )  # fmt: skip
    decisions.append_decisions(ws, [decision])
    page = Path(report(ws, out=tmp_path / "page.html").path).read_text("utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_class_that_looks_like_a_formula_is_written_as_it_is() -> None:
    """Half a formula would end the report, a whole one would be drawn."""
    classes = ("$x$", "$\\frac{$", "_")
    whole = pd.DataFrame(
        {"given_label": classes, "suggested_label": [*classes[1:], classes[0]], "verdict": "mislabelled", "samples": 1}
    )
    for drawn in (report_plots.flow_heatmap(whole, classes), report_plots.class_bars(whole, classes)):
        assert all(f">{name}" in drawn for name in classes)


def test_a_folder_that_cannot_be_written_is_named(judged_folder: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(FercleanError, match="--out"):
        report(Workspace.open(judged_folder), out=blocked / "page.html")
