"""Inputs that went wrong once, one test per kind: read with the right labels, or refused with the way to mend them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ferclean import sources
from ferclean.cli import run
from ferclean.errors import BadDataError, UsageError
from ferclean.parts.recognised import recognise
from ferclean.sources.cards import load_card
from ferclean.sources.rows import SourceRow
from ferclean.steps.doctor import doctor
from ferclean.steps.ingest import IngestSummary, ingest
from ferclean.store import samples
from ferclean.store.workspace import Workspace
from tests.made_sets import fer_row, image_bytes, pixels, write_csv, write_fer2013, write_folder, write_rafdb

FER = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "W")


def rows_of(path: Path, layout: str, **options: object) -> list[SourceRow]:
    return list(sources.read(path, load_card(layout), options))


def hf_folder(root: Path, columns: dict[str, Any], features: dict[str, Any]) -> Path:
    """A data set as `datasets` saves it, of one split without a name."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(columns, datasets.Features(features)).save_to_disk(str(root))
    if shown:
        datasets.enable_progress_bars()
    return root


# ---- pictures


def test_a_column_of_pictures_wins_over_one_of_paths_and_the_choice_is_told(ws: Workspace, tmp_path: Path) -> None:
    data = [image_bytes(seed) for seed in range(2)]
    cells = [{"bytes": one, "path": None} for one in data]
    table = pa.table({"file": ["a.jpg", "b.jpg"], "emotion": ["?", "?"], "label": ["fear", "anger"], "image": cells})
    pq.write_table(table, tmp_path / "t.parquet")
    summary = ingest(ws, "table", tmp_path / "t.parquet")
    assert summary.by_split == {"train": 2}
    assert summary.notes[:2] == (
        "pictures are read from column 'image', not from file; --image-column says otherwise",
        "labels are read from column 'label', not from emotion; --label-column says otherwise",
    )
    named = table.rename_columns(["path", "emotion", "label", "face_crop"])
    pq.write_table(named, tmp_path / "named.parquet")
    assert [row.data for row in rows_of(tmp_path / "named.parquet", "table")] == data
    hashed = pa.table({"path": ["a.png"], "label": ["fear"], "md5": [b"0123456789abcdef"]})
    pq.write_table(hashed, tmp_path / "hashed.parquet")
    assert rows_of(tmp_path / "hashed.parquet", "table")[0].relative_path == "a.png"
    assert rows_of(tmp_path / "named.parquet", "table", image_column="path")[0].relative_path == "a.jpg"


GREY, COLOUR = pixels(1, 24, grey=True), pixels(2, 24)
ARRAYS = {
    "grey": (GREY, GREY),
    "grey of one channel": (GREY[:, :, None], GREY),
    "colour": (COLOUR, COLOUR),
    "channels first": (np.moveaxis(COLOUR, 2, 0), COLOUR),
    "whole floats": (COLOUR.astype(float), COLOUR),
    "shares of white": (COLOUR / 255, "image: numbers that are not whole from 0 to 255"),
    "above white": (COLOUR.astype(int) + 200, "image: numbers that are not whole from 0 to 255"),
    "a vector": (GREY.ravel(), "image: no picture has the shape (576)"),
    "two channels": (COLOUR[:, :, :2], "image: no picture has the shape (24x24x2)"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_rows_of_numbers_are_read_as_the_picture_they_are(tmp_path: Path, kind: str) -> None:
    given, expected = ARRAYS[kind]
    table = pa.table({"image": [given.tolist()], "label": ["fear"]})
    pq.write_table(table, tmp_path / "t.parquet")
    hf_folder(tmp_path / "hf", table.to_pydict(), datasets.Features.from_arrow_schema(table.schema))
    for row in (*rows_of(tmp_path / "t.parquet", "table"), *rows_of(tmp_path / "hf", "hf")):
        if isinstance(expected, str):
            assert row.problem == expected
        else:
            assert row.problem is None
            assert row.pixels is not None
            assert row.pixels.dtype == np.uint8
            assert np.array_equal(row.pixels, expected)


def test_arrays_of_a_hugging_face_set_are_stored_once_and_stay_the_same(ws: Workspace, tmp_path: Path) -> None:
    features = {"image": datasets.Array3D((24, 24, 3), "uint8"), "label": datasets.ClassLabel(names=["fear", "anger"])}
    root = hf_folder(tmp_path / "hf", {"image": [pixels(0, 24), pixels(1, 24)], "label": [0, 1]}, features)
    assert ingest(ws, "hf", root).by_class == {"train": {"fear": 1, "anger": 1}}
    again = ingest(ws, "hf", root)
    assert (again.added, again.unchanged) == (0, 2)


def test_paths_as_text_in_a_hugging_face_set_are_read_below_its_folder(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path / "hf", ["img/a.png", "img/b.png"])
    (tmp_path / "outside.png").write_bytes(image_bytes(9))
    paths = ["img/a.png", "img\\b.png", "../outside.png", str(tmp_path / "outside.png"), "img/gone.png", ""]
    columns = {"image": paths, "label": ["fear", "anger", "fear", "fear", "fear", "fear"]}
    text = datasets.Value("string")
    summary = ingest(ws, "hf", hf_folder(tmp_path / "hf", columns, {"image": text, "label": text}))
    assert summary.by_class == {"train": {"fear": 1, "anger": 1}}
    assert summary.quarantined == {
        "file: path leaves the data set's folder": 2, "file: missing": 1, "image: missing": 1,
    }  # fmt: skip
    assert summary.notes == (f"1 pictures are not where they should be, first {tmp_path}/hf/img/gone.png",)


def test_pictures_elsewhere_are_found_by_images_and_where_they_were_looked_for_is_told(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "images", ["a.png", "sub/b.png"])
    (tmp_path / "secret.png").write_bytes(image_bytes(9))
    (tmp_path / "lists").mkdir()
    lines = [["path", "label"], ["a.png", "fear"], ["sub/b.png", "anger"]]
    file = write_csv(tmp_path / "lists/faces.csv", lines)
    with pytest.raises(BadDataError, match=rf"first {tmp_path}/lists/a.png; say with --images DIR where"):
        ingest(ws, "table", file)
    with pytest.raises(UsageError, match="is not a folder; --images is where"):
        ingest(ws, "table", file, images=file)
    write_csv(file, [*lines, ["../secret.png", "fear"], [str(tmp_path / "secret.png"), "fear"], ["c.png", "fear"]])
    assert run(["-w", str(ws.root), "ingest", "table", str(file), "--images", str(tmp_path / "images")]) == 0
    said = capsys.readouterr().err
    assert f"note: 1 pictures are not where they should be, first {tmp_path}/images/c.png; say with --images" in said
    table = samples.get_samples(ws, include_quarantined=True).set_index("source_key")
    assert table.loc["sub/b.png", "path"] == str(tmp_path / "images/sub/b.png")
    assert set(table["quarantine_reason"].dropna()) == {"file: path leaves the data set's folder", "file: missing"}


# ---- splits


@pytest.mark.parametrize("name", ["test_labels.csv", "PrivateTest.csv", "eval-set.csv", "my list val.csv"])
def test_a_table_whose_name_says_another_split_is_not_taken_for_training_data(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path, ["a.png"])
    file = write_csv(tmp_path / name, [["image", "label"], ["a.png", "fear"]])
    with pytest.raises(
        UsageError, match=r"does not say the splits of its rows, and by its name it holds (test|val).*:"
    ):
        rows_of(file, "table")
    assert [row.split for row in rows_of(file, "table", split="Test")] == ["test"]
    assert [row.split for row in rows_of(file, "table", split="train")] == ["train"]
    with pytest.raises(UsageError, match="unknown split 'exam'; known: train"):
        rows_of(file, "table", split="exam")


def test_two_lists_of_one_set_come_in_with_their_splits(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path, [f"{split}_{code}.png" for split in ("train", "test") for code in range(1, 8)])
    for split in ("train", "test"):
        lines = [["image", "label"], *[[f"{split}_{code}.png", code] for code in range(1, 8)]]
        write_csv(tmp_path / f"{split}_labels.csv", lines)
    assert ingest(ws, "rafdb", tmp_path / "train_labels.csv", layout="table").by_split == {"train": 7}
    assert ingest(ws, "rafdb", tmp_path / "test_labels.csv", layout="table", split="test").by_split == {"test": 7}
    assert samples.get_samples(ws)["split"].value_counts().to_dict() == {"train": 7, "test": 7}


def test_a_second_list_from_another_folder_does_not_lose_the_firsts_pictures(ws: Workspace, tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_folder(tmp_path / split, [f"{split}{code}.png" for code in range(1, 8)])
        lines = [[f"{split}{code}.png", code] for code in range(1, 8)]
        write_csv(tmp_path / split / "list.csv", [["path", "label"], *lines])
        write_csv(tmp_path / f"{split}.csv", [["path", "label"], *[[f"{split}/{name}", code] for name, code in lines]])
    assert ingest(ws, "rafdb", tmp_path / "train/list.csv", layout="table").added == 7
    with pytest.raises(
        BadDataError, match=rf"7 samples .* lie below {tmp_path}/train, and these below .*--images FOLDER"
    ):
        ingest(ws, "rafdb", tmp_path / "test/list.csv", layout="table", split="test")
    (tmp_path / "train").rename(tmp_path / "moved")
    assert ingest(ws, "rafdb", tmp_path / "moved/list.csv", layout="table").unchanged == 7
    other = Workspace.create(tmp_path / "other")
    (tmp_path / "moved").rename(tmp_path / "train")
    for split in ("train", "test"):
        ingest(other, "rafdb", tmp_path / f"{split}.csv", layout="table", split=split, images=tmp_path)
    assert all(Path(path).exists() for path in samples.get_samples(other)["path"])


def undivided(root: Path, layout: str) -> Path:
    """A set that does not say its split, in a folder called test where the layout is one."""
    if layout == "image_folder":
        return write_folder(root / "test", ["happy/a.png", "sad/b.png"])
    if layout == "fer2013":
        return write_fer2013(root / "test.csv", [fer_row(0, 0), fer_row(1, 3)], ("emotion", "pixels"))
    if layout == "rafdb":
        return write_rafdb(root / "set", [("a", 1), ("b", 2)])
    features = {"image": datasets.Image(), "label": datasets.Value("string")}
    return hf_folder(root / "test", {"image": [{"bytes": image_bytes(0), "path": None}], "label": ["fear"]}, features)


@pytest.mark.parametrize("layout", ["image_folder", "fer2013", "rafdb", "hf"])
def test_every_layout_that_may_lack_a_split_takes_it_from_the_caller(tmp_path: Path, layout: str) -> None:
    path = undivided(tmp_path, layout)
    assert {row.split for row in rows_of(path, layout, split="test")} == {"test"}
    assert {row.problem for row in rows_of(path, layout, split="test")} == {None}
    if layout == "rafdb":
        assert {(row.problem or "").partition(" (")[0] for row in rows_of(path, layout)} == {"split: unknown"}
    else:
        with pytest.raises(UsageError, match="holds test: give --split test"):
            rows_of(path, layout)


def test_a_split_from_the_caller_never_overrides_the_sets_own(tmp_path: Path) -> None:
    divided = {
        "table": write_csv(tmp_path / "t.csv", [["path", "label", "Usage"], ["a.png", "fear", "train"]]),
        "image_folder": write_folder(tmp_path / "folder", ["train/happy/a.png"]),
        "fer2013": write_fer2013(tmp_path / "fer2013.csv", [fer_row(0, 0)]),
        "rafdb": write_rafdb(tmp_path / "rafdb", [("train_00001", 1), ("b", 2)]),
    }
    for layout, path in divided.items():
        with pytest.raises(UsageError, match=r"says the splits of its rows itself \(.*leave --split out"):
            rows_of(path, layout, split="test")


# ---- codes


def test_floats_are_codes_and_nan_is_missing_in_a_hugging_face_set_too(ws: Workspace, tmp_path: Path) -> None:
    cells = [{"bytes": image_bytes(seed), "path": None} for seed in range(3)]
    features = {"image": datasets.Image(), "label": datasets.Value("float64")}
    root = hf_folder(tmp_path / "hf", {"image": cells, "label": [0.0, 3.0, float("nan")]}, features)
    summary = ingest(ws, "hf", root, classes=FER)
    assert summary.quarantined == {"label: missing": 1}
    assert {name for name, count in summary.by_class["train"].items() if count} == {"anger", "happiness"}


def coded(ws: Workspace, folder: Path, card: str, codes: list[int], **options: object) -> IngestSummary:
    """Ingest a table of pictures with these codes."""
    write_folder(folder, [f"{number}.png" for number in range(len(codes))])
    lines = [[f"{number}.png", code] for number, code in enumerate(codes)]
    return ingest(ws, card, write_csv(folder / "t.csv", [["path", "label"], *lines]), layout="table", **options)


@pytest.mark.parametrize(
    ("card", "codes", "absent"),
    [("fer2013", range(1, 7), "0 (anger)"), ("rafdb", range(1, 7), "7 (neutral)"), ("table", range(1, 7), "0 (anger)")],
    ids=["from-0", "from-1", "classes"],
)
def test_codes_that_may_be_shifted_are_a_note_and_a_finding(
    ws: Workspace, tmp_path: Path, card: str, codes: range, absent: str
) -> None:
    classes = {"classes": FER} if card == "table" else {}
    summary = coded(ws, tmp_path / "set", card, [*codes], **classes)
    assert f"code {absent} never occurs: the codes may count from {0 if card == 'rafdb' else 1}" in summary.notes[-1]
    report = doctor(ws)
    finding = next(finding for finding in report.findings if finding.kind == "shifted_codes")
    assert (finding.severity, finding.count, report.gate_crossed) == ("error", 6, True)
    assert finding.message == summary.notes[-1]


def test_codes_that_cannot_be_shifted_are_no_finding(ws: Workspace, tmp_path: Path) -> None:
    coded(ws, tmp_path / "set", "fer2013", [0, 1, 2])
    write_folder(tmp_path / "set", ["x.png"])
    more = write_csv(tmp_path / "set/more.csv", [["path", "label"], ["x.png", 4]])
    assert "never occurs" not in "".join(ingest(ws, "fer2013", more, layout="table").notes)
    assert "shifted_codes" not in {finding.kind for finding in doctor(ws).findings}
    named = Workspace.create(tmp_path / "named")
    write_csv(tmp_path / "set/names.csv", [["path", "label"], ["x.png", "fear"]])
    assert "never occurs" not in "".join(ingest(named, "table", tmp_path / "set/names.csv", classes=FER).notes)
    numbers = Workspace.create(tmp_path / "numbers")
    summary = ingest(numbers, "table", more, classes=["2", "3", "4"])
    assert summary.by_class == {"train": {"2": 0, "3": 0, "4": 1}}
    assert "never occurs" not in "".join(summary.notes)


# ---- folders


def test_clutter_is_ignored_and_counted_wherever_it_lies(ws: Workspace, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", ["train/happy/a.png", "test/sad/b.png"])
    clutter = [
        "desktop.ini",
        "train/Thumbs.db",
        "train/happy/._a.png",
        "test/sad/.DS_Store",
        "README.md",
        "mapping.csv",
    ]
    for name in (*clutter, "__MACOSX/train/happy/._a.png", "train/@eaDir/x.png", "test/sad/__MACOSX/y.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    summary = ingest(ws, "image_folder", root)
    assert (summary.added, summary.quarantined, summary.ignored) == (2, {}, len(clutter) + 3)
    rafdb = write_rafdb(tmp_path / "rafdb", [("train_00001", 1)])
    for name in ("Thumbs.db", "._train_00001_aligned.jpg", "desktop.ini"):
        (rafdb / "Image/aligned" / name).write_bytes(b"x")
    assert [row.source_key for row in rows_of(rafdb, "rafdb") if not row.ignored] == ["train_00001"]


def test_unlabelled_and_unknown_folders_are_quarantined_when_others_are_known(ws: Workspace, tmp_path: Path) -> None:
    root = write_folder(
        tmp_path / "set",
        ["train/happy/a.png", "train/_unlabeled/b.png", "train/masks/deep/c.png", "val_set/sad/d.png", "masks/e.png"],
    )
    summary = ingest(ws, "image_folder", root)
    assert summary.by_split == {"train": 1, "validation": 1}
    assert summary.quarantined == {"label: unknown folder": 2, "label: missing": 1}
    assert summary.notes == ("files in folders that name no class are quarantined: train/masks, masks",)
    assert (
        samples.get_samples(ws, include_quarantined=True).set_index("source_key").loc["train/masks/deep/c.png", "path"]
    )
    write_folder(tmp_path / "strange", ["train/masks/a.png", "train/bored/b.png"])
    with pytest.raises(
        BadDataError, match=r"'train/bored' names no known class, nor does any other; known: .*--classes"
    ):
        rows_of(tmp_path / "strange", "image_folder")


def test_splits_inside_all_class_folders_are_read_and_inside_some_not_read_over(ws: Workspace, tmp_path: Path) -> None:
    names = ["happy/train/a.png", "happy/Test/7/b.png", "happy/c.png", "sad/val/d.png", "masks/e.png"]
    root = write_folder(tmp_path / "test", names)
    summary = ingest(ws, "auto", root)
    assert summary.by_split == {"train": 1, "validation": 1, "test": 1}
    assert summary.quarantined == {"split: lies outside of the folders of splits": 1, "label: unknown folder": 1}
    assert summary.notes[1:] == ("files in folders that name no class are quarantined: masks",)
    assert "its folders are called happy, sad; in them lie Test, train, val" in summary.notes[0]
    with pytest.raises(UsageError, match="by its folders Test, train, val"):
        rows_of(root, "image_folder", split="test")
    write_folder(root, ["sad/7/f.png"])
    with pytest.raises(
        BadDataError, match=r"the split 'happy/Test' lies in a class folder, and 'sad/7' does not follow that"
    ):
        rows_of(root, "image_folder")
    with pytest.raises(BadDataError, match=r"the split 'happy/test' lies in a class folder, and 'sad' does not follow"):
        rows_of(write_folder(tmp_path / "some", ["happy/a.png", "happy/test/b.png", "sad/c.png"]), "image_folder")
    for mixed in (root, tmp_path / "some"):
        with pytest.raises(BadDataError, match="lie inside some of the folders happy, sad: put them on top"):
            recognise(mixed)
    write_folder(tmp_path / "clutter", ["happy/test/b.png", "sad/train/c.png", "fear/.DS_Store"])
    assert [row.split for row in rows_of(tmp_path / "clutter", "image_folder") if not row.ignored] == ["test", "train"]


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("train_set", "train"), ("Training", "train"), ("Train Images", "train"), ("val_set", "validation"),
        ("PublicTest", "validation"), ("dev", "validation"), ("PrivateTest", "test"), ("test-set", "test"),
        ("eval", "test"), ("Public_Test", "validation"),
    ],
)  # fmt: skip
def test_usual_words_for_a_split_are_known_in_every_layout(tmp_path: Path, word: str, split: str) -> None:
    folder = write_folder(tmp_path / "folder", [f"{word}/happy/a.png", "other_test/x.png"][:1])
    table = write_csv(tmp_path / "t.csv", [["path", "label", "usage"], ["a.png", "fear", word]])
    fer = write_fer2013(tmp_path / "fer2013.csv", [fer_row(0, 0, word)])
    for path, layout in ((folder, "image_folder"), (table, "table"), (fer, "fer2013")):
        assert [row.split for row in rows_of(path, layout)] == [split]


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JFIF", ".jpeg", ".pjpeg"])
def test_every_ending_of_jpeg_is_a_picture(ws: Workspace, tmp_path: Path, suffix: str) -> None:
    rafdb = write_rafdb(tmp_path / "rafdb", [("train_00001", 1)])
    (rafdb / "Image/aligned/train_00001_aligned.jpg").rename(rafdb / f"Image/aligned/train_00001_aligned{suffix}")
    assert [row.problem for row in rows_of(rafdb, "rafdb")] == [None]
    write_folder(tmp_path / "set", [f"happy/a{suffix}"])
    assert ingest(ws, "image_folder", tmp_path / "set").quarantined == {}
