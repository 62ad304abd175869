"""ExpW's boxes are cut out at ingest, every line and picture is told of; FERPlus's label is what most people said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferclean.errors import BadDataError
from ferclean.recognition.cropping import crop
from ferclean.recognition.images import UnreadableImageError, decode
from ferclean.sources import expw, ferplus
from ferclean.sources.cards import load_card
from ferclean.steps.ingest import ingest
from ferclean.store import samples
from ferclean.store.workspace import Workspace
from tests.made_sets import image_bytes, write_csv, write_folder

LINES = """a.png 0 2 3 20 21 55.5 3
a.png 1 -4 -4 99 99 7 6
a.png 2 30 30 40 40 7 6
lost.png 0 1 1 9 9 7 0
../../x.png 0 1 1 9 9 7 9
"""


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Pictures of 24 pixels a side; a.png has three boxes."""
    write_folder(tmp_path / "set", ["origin/a.png", "origin/b.png"])
    (tmp_path / "set/label.lst").write_text(LINES)
    return tmp_path / "set"


def test_each_line_is_a_row_with_its_box(faces: Path) -> None:
    rows = {row.source_key: row for row in expw.read(faces, load_card("expw"))}
    assert list(rows) == ["a.png:0", "a.png:1", "a.png:2", "lost.png:0", "../../x.png:0", "b.png"]
    first = rows["a.png:0"]
    assert (first.given_label, first.box, first.attributes["confidence"]) == ("happiness", (3, 2, 20, 21), 55.5)
    assert rows["lost.png:0"].problem == "file: missing"
    assert rows["../../x.png:0"].relative_path is None
    assert rows["b.png"].leftover
    assert next(expw.read(faces, load_card("expw"), split="test")).split == "test"


def test_ingest_keeps_the_face_alone_and_the_whole_picture_where_the_box_holds_it(faces: Path, tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "W")
    told = ingest(ws, "expw", faces)
    assert told.by_class["train"]["happiness"] == 1
    table = samples.get_samples(ws, include_quarantined=True).set_index("source_key")
    cut, whole, outside = (table.loc[f"a.png:{n}"] for n in range(3))
    assert (cut["width"], cut["height"]) == (17, 19)
    pixels = np.asarray(Image.open(faces / "origin/a.png").convert("RGB"))
    assert (decode(Path(cut["path"]).read_bytes()) == pixels[2:21, 3:20]).all()
    assert Path(whole["path"]) == (faces / "origin/a.png").resolve()
    assert outside["quarantine_reason"] == "image: the box holds nothing of the picture"
    assert ingest(ws, "expw", faces).unchanged == told.added


def test_a_box_is_in_the_unit_that_its_source_states_however_small_it_is() -> None:
    data = image_bytes(0, "PNG")
    one, other = crop(data, (0.25, 0.5, 0.75, 1.0), "shares"), crop(data, (6, 12, 18, 24), "pixels")
    assert one is not None
    assert other is not None
    assert (one == other).all()
    assert crop(data, (0, 0, 1, 1), "shares") is None
    corner = crop(data, (0, 0, 1, 1), "pixels")
    assert corner is not None
    assert corner.shape == (1, 1, 3)
    with pytest.raises(UnreadableImageError, match="nothing"):
        crop(data, (5, 5, 5, 9), "pixels")


@pytest.mark.parametrize("line", ["a.png 0 2 3 20 21 3", "a.png 0 2 3 x 21 55 3", "a.png 0 2 3 nan 21 55 3"])
def test_a_line_of_another_form_is_refused_by_its_number(faces: Path, line: str) -> None:
    (faces / "label.lst").write_text(LINES + line)
    with pytest.raises(BadDataError, match=r"label\.lst, line 6"):
        list(expw.read(faces, load_card("expw")))
    with pytest.raises(BadDataError, match=r"label\.lst is no folder; give the folder that holds label\.lst, and"):
        list(expw.read(faces / "label.lst", load_card("expw")))


def test_the_label_of_ferplus_is_what_most_people_said(tmp_path: Path) -> None:
    write_folder(tmp_path, [f"FER2013Train/fer000000{n}.png" for n in range(6)])
    votes = [[0] * 7 + [6, 4, 0], [5, 5] + [0] * 8, [3, *[0] * 7, 7, 0], [0] * 9 + [10], [0] * 10]
    rows = [["Training", f"fer000000{n}.png", *counts] for n, counts in enumerate(votes)]
    write_csv(tmp_path / "fer2013new.csv", [["Usage", "Image name", *range(10)], *rows, ["Training", "", *votes[3]]])
    rows_by = {row.source_key: row for row in ferplus.read(tmp_path, load_card("ferplus"))}
    told = [(row.given_label, row.problem) for row in rows_by.values()]
    assert told == [
        ("contempt", None),
        (None, "label: no class has the most votes"),
        (None, "label: none of the classes, but 'unknown'"),
        (None, "label: none of the classes, but 'not_a_face'"),
        (None, "label: missing"),
        (None, "file: missing"),
        (None, "label: no row of votes names this picture"),
    ]
    assert rows_by["FER2013Train/fer0000000.png"].votes == {"contempt": 6, "unknown": 4}
    write_csv(tmp_path / "fer2013new.csv", [["Usage", "Image name", *range(10)]])
    assert {row.problem for row in ferplus.read(tmp_path, load_card("ferplus"))} == {
        "label: no row of votes names this picture"
    }


def test_ferplus_takes_the_votes_of_label_csv_beside_the_pictures(tmp_path: Path) -> None:
    write_folder(tmp_path, ["FER2013Valid/fer0000001.png"])
    write_csv(tmp_path / "FER2013Valid/label.csv", [["fer0000001.png", "(0, 0, 48, 48)", 0, 9, *[0] * 7, 1]])
    (row,) = ferplus.read(tmp_path, load_card("ferplus"))
    assert (row.given_label, row.split, row.votes) == ("happiness", "validation", {"happiness": 9, "not_a_face": 1})
    write_csv(tmp_path / "FER2013Valid/label.csv", [["fer0000001.png", "(0, 0, 48, 48)", 0.5, 9, *[0] * 7, 1]])
    with pytest.raises(BadDataError, match=r"label\.csv, line 1: votes are whole numbers"):
        list(ferplus.read(tmp_path, load_card("ferplus")))
