"""Rows that lost their file, and files that no row names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ferclean.health.finding import Finding
from ferclean.health.orphans import orphans
from ferclean.steps.ingest import ingest
from ferclean.store import pictures as pictures_of
from ferclean.store import samples
from ferclean.store.workspace import Workspace
from tests.made_sets import image_bytes, rafdb_pairs, write_csv, write_folder, write_rafdb


def found(ws: Workspace, *, limited: bool = False) -> dict[str, Finding]:
    table = samples.get_samples(ws, include_quarantined=True)
    return {one.kind: one for one in orphans(ws, table, Path(samples.get_dataset(ws).root), limited=limited)}


def test_a_file_that_went_after_ingest_and_one_that_no_line_names_are_told(tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", rafdb_pairs(per_class=1, test=1))
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "rafdb", root)
    assert found(ws) == {}
    pictures = root / "Image/aligned"
    for name in ("train_00002_aligned.jpg", "train_00003_aligned.jpg", "train_00004_aligned.jpg"):
        (pictures / name).unlink()
    os.mkfifo(pictures / "train_00003_aligned.jpg")
    (pictures / "train_00004_aligned.jpg").symlink_to("/etc/passwd")
    (pictures / "stray<b>.jpg").write_bytes(image_bytes(99))
    (pictures / ".DS_Store").write_bytes(b"")
    (pictures / "folder.jpg").mkdir()  # what no ingest would read is no picture
    (pictures / "out.jpg").symlink_to("/etc/passwd")
    (pictures / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(pictures / "pipe.jpg")
    (root / "Image/original").mkdir()
    (root / "Image/original/train_00001.jpg").write_bytes(image_bytes(1))  # another form of the set, beside it
    told = found(ws)
    assert (told["lost_files"].count, told["lost_files"].examples) == (
        3,
        ["train_00002", "train_00003", "train_00004"],
    )
    reasons = {one.reason for one in pictures_of.lost_pictures(ws).values()}  # and nobody waits for a pipe
    assert {"file: not a regular file since ingest", "file: leads out of the data set's folder since ingest"} < reasons

    assert told["files_without_row"].message == (
        "1 pictures lie in the set's folders that no row names: Image/aligned/stray<b>.jpg"
    )
    assert told["files_without_row"].severity == "info"
    # ingested, the layout itself calls it a stray, and what cannot be read one too
    ingest(ws, "rafdb", root)
    told = found(ws)
    assert set(told) == {"files_without_row"}
    assert (told["files_without_row"].severity, told["files_without_row"].count) == ("warning", 4)
    shutil.rmtree(root)
    assert "is not there: put it back" in found(ws)["lost_files"].message


def test_a_limit_leaves_no_orphans_and_a_table_names_what_it_does_not_list(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", ["a.png", "b.png", "c.png"])
    write_csv(root / "faces.csv", [["path", "label"], ["a.png", "fear"], ["b.png", "anger"]])
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "table", root / "faces.csv")
    assert found(ws)["files_without_row"].examples == ["c.png"]
    assert found(ws, limited=True) == {}


@pytest.mark.parametrize("name", ["a.png", "a.data"])
def test_a_named_file_is_there_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    root = write_folder(tmp_path / "set", [name, "b.png"])
    (root / "linked").symlink_to(root)
    write_csv(root / "faces.csv", [["path", "label"], [f"linked/{name}", "fear"], ["b.png", "anger"]])
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "table", root / "faces.csv")
    assert "lost_files" not in found(ws)
