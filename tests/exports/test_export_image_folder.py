"""Facts about the image-folder form: safe places for unsafe names, and nothing re-encoded."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from small_workspace import ROWS, photos, picture, shared

from ferclean.exports.cells import NameBook, class_folders, safe_file_name, true_suffix
from ferclean.sources.tabular import unescape_cell
from ferclean.steps.export import export
from ferclean.steps.ingest import ingest
from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace

HOSTILE = (
    "<img src=x onerror=alert(1)>.png",
    "line\nbreak.png",
    "=HYPERLINK(1).png",
    "😀 face.png",
    "a" * 251 + ".png",
    "..\\..\\up.png",
    "CON.png",
    ".hidden.png",
    "sub/Same.png",
    "same.png",
)


def mapping(out: Path) -> list[dict[str, str]]:
    with (out / "mapping.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def hostile_set(tmp_path: Path) -> Workspace:
    classes = ("anger", "../../up")
    labels = [classes[number == 0] for number in range(len(HOSTILE))]
    return photos(tmp_path, HOSTILE, classes=classes, labels=labels)


def test_hostile_names_land_safely_and_lead_back(tmp_path: Path) -> None:
    ws = hostile_set(tmp_path)
    export(ws, form="image_folder", out=tmp_path / "deep" / "out", release="original")
    out = tmp_path / "deep" / "out"
    rows = mapping(out)
    assert [unescape_cell(row["source_key"]) for row in rows] == list(HOSTILE)
    assert len({row["file"].lower() for row in rows}) == len(HOSTILE)
    for row, key in zip(rows, HOSTILE, strict=True):
        assert row["file"].isascii()
        assert not set(row["file"]) & set("<>=\n\\ ")
        assert not row["source_key"].startswith("=")
        assert (out / row["file"]).read_bytes() == (tmp_path / "photos" / key).read_bytes()
    assert rows[0]["file"].startswith("train/up-1/")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "photos", "workspace"]


def test_every_released_image_lies_under_its_split_and_class(tmp_path: Path) -> None:
    work = shared(released=True)
    export(work.ws, form="image_folder", out=tmp_path / "out", release="v1")
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg"))
    assert "train/fear/train_00001.jpg" in files
    assert "test/anger/test_0001.jpg" in files
    assert len(files) == 8
    assert (tmp_path / "out" / "train" / "fear" / "train_00001.jpg").read_bytes() == work.data["train_00001"]


def test_ingesting_the_folder_again_gives_the_same_labels(tmp_path: Path) -> None:
    work = shared(released=True)
    export(work.ws, form="image_folder", out=tmp_path / "out", release="original")
    again = Workspace.create(tmp_path / "again")
    ingest(again, "image_folder", tmp_path / "out")
    found = get_samples(again)
    labels = {Path(key).stem: label for key, label in zip(found["source_key"], found["given_label"], strict=True)}
    assert labels == {key: given for key, given, *_ in ROWS}


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a/b/face.jpg", "face.jpg"),
        ("face.JPG", "face.JPG"),
        ("17", "17.png"),
        ("..", "image-0123abcd.png"),
        ("", "image.png"),
        ("aux.tar.png", "aux.tar-0123abcd.png"),
        ("-rf.png", "rf-0123abcd.png"),
        ("x.html", "x.html.png"),
        ("face.jfif", "face.jfif"),
    ],
)
def test_file_names_keep_what_is_safe(name: str, safe: str) -> None:
    assert safe_file_name(name, sample_id="0123abcd4567", data=picture(0, form="PNG")) == safe


@pytest.mark.parametrize(
    "name",
    [
        "anger",
        "7",
        "02",
        "Very Happy",
        "très triste",
        "怒り",
        "злость",
        "a.b",
        "x_y-z",
        "it's",
        "100 %",
        "_other",
        "é" * 100,
    ],
)
def test_class_folders_keep_their_text_where_every_file_system_allows_it(name: str, tmp_path: Path) -> None:
    assert class_folders(["fear", name]) == {"fear": "fear", name: name}
    (tmp_path / name).mkdir()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../x", "x-1"), ("a/b", "a_b-1"), ("a\\b:c", "a_b_c-1"), ("nul", "nul-1"), ("CON.x", "CON.x-1"),
        ("..", "class-1"), ("/", "class-1"), ("a/", "a-1"),
        (".hidden", "hidden-1"), ("__dunder", "dunder-1"), ("-rf", "rf-1"), ("end.", "end-1"),
        ("Thumbs.db", "Thumbs.db-1"),
        ("é" * 200, "é" * 100 + "-1"), ("Fear", "Fear-1"), ("ＦＥＡＲ", "ＦＥＡＲ-1"),
    ],
)  # fmt: skip
def test_what_a_file_system_may_mind_is_altered_and_numbered(name: str, safe: str) -> None:
    assert class_folders(["fear", name]) == {"fear": "fear", name: safe}


def test_class_folders_never_meet() -> None:
    names = ["a/b", "a_b-0", "a:b", "A_B-2", "a_b-0-0", "cafe\u0301", "caf\u00e9"]
    folders = list(class_folders(names).values())
    assert len({folder.casefold() for folder in folders}) == len(names)
    assert folders[1] == "a_b-0"


@pytest.mark.parametrize(
    ("form", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("GIF", ".gif"), ("BMP", ".bmp")]
)
def test_the_true_suffix_is_read_from_the_bytes(form: str, suffix: str) -> None:
    assert true_suffix(picture(0, form=form)) == suffix


def test_the_true_suffix_of_text_is_unknown() -> None:
    assert true_suffix(b"hello") is None


def test_a_name_is_handed_out_once_whatever_its_case() -> None:
    book = NameBook()
    assert book.claim("Face.png", sample_id="0123456789ab") == "Face.png"
    assert book.claim("face.png", sample_id="0123456789ab") == "face-01234567.png"
