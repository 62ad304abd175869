"""Copies of public sets are known by a bounded look; what nothing speaks for is said to be unknown."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from ferclean import sources
from ferclean.bundled_files import known_cards
from ferclean.errors import BadDataError
from ferclean.parts.recognised import recognise, sure
from ferclean.sources import glimpse
from ferclean.sources.cards import Card, load_card
from ferclean.sources.glimpse import Glimpse
from tests.layouts import put
from tests.made_sets import fer_row, write_csv, write_fer2013
from tests.public_copies import (
    LAYOUTS,
    ckplus_sequences,
    hf_parquet,
    lines_of_json,
    rafdb_compound,
    rafdb_divided_tables,
    rafdb_kaggle,
    rafdb_official,
    roboflow_table,
    semicolons,
)
from tests.wild_copies import affectnet_lists, expw


# `datasets` leaves a metadata.csv open
@pytest.mark.filterwarnings("ignore:Exception ignored in.*metadata.csv:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_public_copy_is_recognised_and_read(name: str, faces: list[bytes], tmp_path: Path) -> None:
    LAYOUTS[name].check(tmp_path, faces)
    gc.collect()  # while what is left open is still this test's


def test_the_beginning_of_a_text_ends_with_a_whole_line_in_any_alphabet(tmp_path: Path) -> None:
    (tmp_path / "label.lst").write_text("é 0 2 3 20 21 55.5 3\n" * 4000, encoding="utf-8")
    lines = Glimpse(tmp_path).text(PurePosixPath("label.lst")).splitlines()
    assert len(lines) > 2000
    assert set(lines) == {"é 0 2 3 20 21 55.5 3"}


NOT_KNOWN: dict[str, tuple[Callable[[Path, Sequence[bytes]], None], str]] = {
    "cats and dogs": (
        lambda root, faces: put(root, faces, [f"train/{c}/{n}.jpg" for c in ("cats", "dogs") for n in range(3)]),
        "cats, dogs in . name no expressions",
    ),
    "numbers of nobody knows what": (
        lambda root, faces: put(root, faces, [f"train/{c}/{n}.jpg" for c in range(7) for n in range(2)]),
        "are numbers, and nothing says which expressions they stand for",
    ),
    "RAF-DB's pictures under other numbers than its codes": (
        lambda root, faces: put(root, faces, [f"train/{c}/train_{c:05d}_aligned.jpg" for c in range(7)]),
        "called as those of RAF-DB .* but the folders 0 are none of its classes",
    ),
    "an empty folder": (lambda root, faces: None, "it is empty"),
    "pictures without labels": (
        lambda root, faces: put(root, faces, [f"faces/{n}.jpg" for n in range(4)]),
        "pictures lie in faces, but nothing says what they show",
    ),
    "a table of numbers": (
        lambda root, faces: _numbered_table(root, faces),
        r"its labels \(label: 0, 1, 2, 3\) are no names of expressions",
    ),
    "a Hugging Face folder of other classes": (
        lambda root, faces: hf_parquet(root, faces, ["cat", "dog", "horse"]),
        r"its labels \(cat, dog, horse\) are no expressions",
    ),
    "a csv of pixels with other codes": (
        lambda root, faces: write_fer2013(root / "digits.csv", [fer_row(c, c) for c in range(10)]) and None,
        "but not the codes 0, 1, 2, 3, 4, 5, 6 and 2304 pixels",
    ),
    "CK+ as its authors send it": (
        ckplus_sequences,
        "Emotion/S005/001/S.* is of CK.* which is not read .* as CK.48 has",
    ),
    "Roboflow's table of classes": (
        roboflow_table,
        "train/_classes.csv is Roboflow's table .*angry, happy, sad.*folders of classes",
    ),
    "a table with semicolons": (semicolons, "labels.csv has ';' between its cells; save it with commas"),
    "a list in lines of JSON": (
        lines_of_json,
        r"nothing says what they show \(if labels.jsonl does: write it as a CSV .*\) \(folders are looked into 5 deep",
    ),
    "one class": (
        lambda root, faces: put(root, faces, ["train/happy/1.jpg"]),
        "train/happy alone is called as an expression, and one class is no set",
    ),
    "documents": (lambda root, faces: (root / "notes.txt").write_text("x") and None, "it holds notes.txt"),
}


def _numbered_table(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"{n}.jpg" for n in range(4)])
    write_csv(root / "faces.csv", [["path", "label"], *([f"{n}.jpg", n] for n in range(4))])


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_what_nothing_speaks_for_is_said_to_be_unknown(name: str, faces: list[bytes], tmp_path: Path) -> None:
    make, why = NOT_KNOWN[name]
    make(tmp_path, faces)
    with pytest.raises(BadDataError, match=f"is no data set that is known here: .*{why}.*Name what it is"):
        recognise(tmp_path)


def test_small_letters_and_capitals_are_the_same_names(faces: list[bytes], tmp_path: Path) -> None:
    put(tmp_path / "jaffe", faces, [f"ka.{code}1.{n}.tiff" for n, code in enumerate(("an", "su", "ne"), 40)])
    put(tmp_path / "raf", faces, [f"{s}/{n}/{s.upper()}_0000{n}.JPG" for s in ("train", "test") for n in (1, 2)])
    (jaffe, raf) = recognise(tmp_path)
    rows = list(sources.read(jaffe.path, load_card(jaffe.card), jaffe.options))
    assert [(row.given_label, row.given_code, row.attributes) for row in rows] == [
        ("anger", "AN", {"person": "KA"}), ("neutral", "NE", {"person": "KA"}), ("surprise", "SU", {"person": "KA"}),
    ]  # fmt: skip
    assert (jaffe.card, raf.card, raf.path) == ("jaffe", "rafdb", tmp_path / "raf")


ROUND: dict[str, tuple[Callable[[Path, Sequence[bytes]], None], str, str]] = {
    "RAF-DB as folders, under a picture of its paper": (rafdb_kaggle, "sample.jpg", ""),
    "RAF-DB's tables, without the test pictures": (rafdb_divided_tables, "", "rafdb/test"),
    "AffectNet's lists, without the first picture": (affectnet_lists, "", "Manually_Annotated_Images/0"),
    "ExpW, without the first picture": (expw, "", "image/origin/angry_actor_0.jpg"),
}
"""Copies with a file more, or a file or folder less."""


@pytest.mark.parametrize("name", ROUND)
def test_what_is_recognised_is_read_also_where_a_copy_has_more_or_less(
    name: str, faces: list[bytes], tmp_path: Path
) -> None:
    make, more, less = ROUND[name]
    make(tmp_path, faces)
    put(tmp_path, faces, [more] if more else [])
    if less:
        shutil.rmtree(tmp_path / less) if (tmp_path / less).is_dir() else (tmp_path / less).unlink()
    guess = sure(recognise(tmp_path))
    assert guess is not None
    options = dict(guess.options)
    card = load_card(guess.card)
    card = replace(card, layout=options.pop("layout", card.layout))
    rows = list(sources.read(guess.path, card, options))
    assert len([row for row in rows if not row.problem]) > 5
    assert {row.problem for row in rows} <= {None, "file: missing"}


def test_lists_in_a_folder_where_they_are_not_looked_for_are_told_with_what_to_do(
    faces: list[bytes], tmp_path: Path
) -> None:
    affectnet_lists(tmp_path, faces)
    (tmp_path / "Manually_Annotated_file_lists").rename(tmp_path / "file_lists")
    with pytest.raises(BadDataError, match=r"file_lists/training.csv has AffectNet's columns, but .*: give --images"):
        recognise(tmp_path)


def test_two_sets_in_one_folder_are_a_choice(faces: list[bytes], tmp_path: Path) -> None:
    rafdb_official(tmp_path, faces)
    rafdb_compound(tmp_path, faces)
    guesses = recognise(tmp_path)
    assert {guess.card for guess in guesses} == {"rafdb", "rafdb_compound"}
    assert sure(guesses) is None


def test_a_look_opens_no_picture_and_a_bounded_number_of_folders(
    faces: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, [b"no picture"], [f"train/{c}/{n}.jpg" for c in ("happy", "sad") for n in range(30)])
    for n in range(60):
        (tmp_path / f"more/{n}/{n}").mkdir(parents=True)
    (tmp_path / "circle").symlink_to(tmp_path)
    opened: list[Path] = []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *args, **kw: opened.append(self) or real(self, *args, **kw))
    (guess,) = recognise(tmp_path)
    assert guess.card == "image_folder"
    assert not [path for path in opened if path.suffix == ".jpg"]
    assert len(sources.Glimpse(tmp_path).folders) < 100


def test_a_look_says_what_it_passed_over(faces: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(50):
        (tmp_path / f"wide/a{n:02}").mkdir(parents=True)
    put(tmp_path / "wide/b", faces, [f"{c}/{n}.jpg" for c in ("happy", "sad") for n in range(2)])
    with pytest.raises(BadDataError, match=r"no file was seen \(40 folders of one are looked into: name the folder"):
        recognise(tmp_path)
    (tmp_path / "wide").rename(tmp_path / "wide_one")
    put(tmp_path / "set", faces, [f"{c}/{n}.jpg" for c in ("happy", "sad") for n in range(2)])
    real = os.scandir  # a folder that nobody may open is none for root, which tests may be
    monkeypatch.setattr(os, "scandir", lambda path: real(path if Path(path).name != "a07" else tmp_path / "gone"))
    assert Glimpse(tmp_path).unseen == (
        " (40 folders of one are looked into, wide_one/a07 cannot be read: name the folder that holds the set)"
    )
    assert "a07" not in Glimpse(tmp_path).subfolders(PurePosixPath("wide_one"))
    (guess,) = recognise(tmp_path)
    beside = "wide_one (40 folders of one are looked into), wide_one/a07 (cannot be read)"
    assert (guess.path, guess.beside) == (tmp_path / "set", beside)
    monkeypatch.setattr(os, "scandir", real)
    monkeypatch.setattr("ferclean.sources.glimpse._ENTRIES", 2)
    put(tmp_path / "table", faces, [f"faces/{n}.jpg" for n in range(3)])
    listed = [[f"faces/{n}.jpg", name] for n, name in enumerate(("anger", "fear", "sadness"))]
    write_csv(tmp_path / "table/faces.csv", [["image", "label"], *listed])
    (guess,) = recognise(tmp_path / "table")
    assert (guess.card, guess.beside) == ("table", "")  # the pictures that it lists are no other set
    write_csv(tmp_path / "table/faces/labels.csv", [["image", "label"]])
    (guess,) = recognise(tmp_path / "table")
    assert guess.beside == "faces (2 names of a folder are read)"
    monkeypatch.setattr(os, "scandir", lambda path: real(path if Path(path).name != "a07" else tmp_path / "gone"))
    for bound in ("_FOLDERS", "_ENTRIES"):
        monkeypatch.setattr(f"ferclean.sources.glimpse.{bound}", 2)
    assert Glimpse(tmp_path / "set").unseen.startswith(" (2 folders are looked into: name")
    assert Glimpse(tmp_path / "wide_one").unseen.startswith(" (2 names of a folder are read, 2 folders are looked into")
    monkeypatch.setattr(os, "scandir", lambda path: real(tmp_path / "gone"))
    with pytest.raises(BadDataError, match="cannot be read: No such file"):
        Glimpse(tmp_path)


def test_a_look_opens_a_table_once_and_asks_few_names_whose_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, [b"x"], [f"some/{part}/{n}.jpg" for part in "abcde" for n in range(150)])
    for name in ("some/one.csv", "some/two.csv"):
        (tmp_path / name).write_text("a;b\n1;2\n", encoding="utf-8")
    opened, asked = [], []
    header_of, told_by = glimpse.header_of, Card.told_by
    monkeypatch.setattr(glimpse, "header_of", lambda path: opened.append(path.name) or header_of(path))
    monkeypatch.setattr(Card, "told_by", lambda self, name: asked.append(name) or told_by(self, name))
    with pytest.raises(BadDataError, match="name no expressions"):
        recognise(tmp_path)
    assert sorted(opened) == ["one.csv", "two.csv"]
    named = sum(bool(load_card(name).naming) for name in known_cards())
    assert 750 < len(asked) <= named * (200 + 5 * 150)  # of the folder, and of each in it
