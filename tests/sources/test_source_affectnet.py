"""AffectNet's two forms: every line, annotation and picture is told of, valence and arousal are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.sources import affectnet
from ferclean.sources.cards import load_card
from ferclean.sources.rows import SourceRow
from tests.made_sets import write_csv, write_folder

CARD = load_card("affectnet")
HEADER = ["subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "expression", "valence", "arousal"]


def lists(root: Path) -> Path:
    write_folder(root, [f"Manually_Annotated_Images/1/{name}.png" for name in "abcd"])
    train = [
        ["1/a.png", 1, 2, 3, 4, 7, "-0.5", "0.25"],
        ["1/b.png", "NULL", "NULL", "NULL", "NULL", 10, -2, -2],
        ["1/lost.png", 1, 2, 3, 4, 0, 0, 0],
        ["../../secret.png", 1, 2, 3, 4, 0, 0, 0],
        ["/etc/secret.png", 1, 2, 3, 4, 0, 0, 0],
        ["1/a.png", 1, 2, 3, 4, 11, 0, 0],
    ]
    write_csv(root / "training.csv", [HEADER, *train])
    write_csv(root / "validation.csv", [HEADER, ["1/c.png", 1, 2, 3, 4, 4, 1, "x"]])
    return root


def numbered(root: Path) -> Path:
    write_folder(root, ["val_set/images/2.png", "val_set/images/10.png", "val_set/images/11.png"])
    (root / "val_set/annotations").mkdir()
    for key, code in ((2, "5"), (10, "8"), (12, "1")):
        for kind, value in (("exp", code), ("val", "0.5"), ("aro", "-2")):
            np.save(root / f"val_set/annotations/{key}_{kind}.npy", np.array(value))
    return root


def by_key(path: Path, **options: object) -> dict[str, list[SourceRow]]:
    found: dict[str, list[SourceRow]] = {}
    for row in affectnet.read(path, CARD, **options):
        found.setdefault(row.source_key, []).append(row)
    return found


def test_every_line_and_every_picture_of_the_lists_is_a_row(tmp_path: Path) -> None:
    rows = by_key(lists(tmp_path))
    first, again = rows["1/a.png"]
    assert (first.given_label, first.split, first.problem) == ("contempt", "train", None)
    assert first.relative_path == "Manually_Annotated_Images/1/a.png"
    assert first.attributes == {"valence": -0.5, "arousal": 0.25, "box": [1.0, 2.0, 3.0, 4.0]}
    assert str(again.problem).startswith("label: unknown code ('11'")
    assert rows["1/b.png"][0].problem == "label: none of the classes, but 'no face'"
    assert rows["1/b.png"][0].attributes == {}
    assert rows["1/lost.png"][0].problem == "file: missing"
    for outside in ("../../secret.png", "/etc/secret.png"):
        assert rows[outside][0].problem == "file: path leaves the data set's folder"
        assert rows[outside][0].relative_path is None
    assert (rows["1/c.png"][0].split, rows["1/c.png"][0].attributes["valence"]) == ("validation", 1.0)
    assert rows["1/d.png"][0].leftover
    assert rows["1/d.png"][0].problem == "label: no row names this picture"


def test_one_list_speaks_for_its_own_pictures_alone(tmp_path: Path) -> None:
    lists(tmp_path)
    (tmp_path / "lists").mkdir()
    moved = (tmp_path / "validation.csv").rename(tmp_path / "lists/validation.csv")
    assert set(by_key(moved, images=tmp_path)) == {"1/c.png"}
    assert by_key(moved)["1/c.png"][0].problem == "file: missing"
    assert by_key(moved, images=tmp_path, split="test")["1/c.png"][0].split == "test"


def test_numbered_annotations_are_joined_by_number(tmp_path: Path) -> None:
    rows = {key: found[0] for key, found in by_key(numbered(tmp_path)).items()}
    assert list(rows) == [f"val_set/images/{name}" for name in ("2.png", "10.png", "12.jpg", "11.png")]
    two, ten, lost, stranger = rows.values()
    assert (two.given_label, two.split, two.attributes) == ("disgust", "validation", {"valence": 0.5})
    assert ten.problem == "label: none of the classes, but 'none'"
    assert lost.problem == "file: missing"
    assert stranger.leftover
    assert by_key(tmp_path / "val_set")["images/2.png"][0].split == "validation"


def test_an_annotation_that_is_no_number_is_not_loaded(tmp_path: Path) -> None:
    numbered(tmp_path)
    np.save(tmp_path / "val_set/annotations/2_exp.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "val_set/annotations/10_exp.npy").write_bytes(b"\x93NUMPY" + bytes(5000))
    rows = by_key(tmp_path)
    assert [rows[f"val_set/images/{n}.png"][0].problem for n in (2, 10)] == ["label: missing"] * 2


def test_a_folder_of_neither_form_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match=r"neither training\.csv nor validation\.csv nor annotations"):
        by_key(write_folder(tmp_path / "x", ["a.png"]))
    write_folder(numbered(tmp_path / "y"), ["train_set/images/1.png", "train_set/annotations/x.txt"])
    with pytest.raises(UsageError, match="leave --split out"):
        by_key(tmp_path / "y", split="test")
