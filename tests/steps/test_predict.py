"""`ferclean predict`: each readable image is judged, each other file is listed, and nothing depends on its company."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferclean.cli import run
from ferclean.errors import BadDataError, UsageError
from ferclean.recognition.model_folder import load_model
from ferclean.steps.predict import PredictSummary, predict, write_predictions
from tests.recognition.test_model_folder import CLASSES, saved, trained

BROKEN = {
    "cut.png": "cannot be decoded",
    "empty.jpg": "empty",
    "strip.png": "too long a strip",
    "text.png": "not an image in a known format",
    "tiny.png": "too small",
}
GOOD = ("a.png", "deep/b.png", "deep/c.JPG", "wide.png")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("models") / "model", trained())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures of different sizes and kinds, five broken ones, and what is no picture by its name."""
    root = tmp_path_factory.mktemp("faces")
    (root / "deep").mkdir()
    rng = np.random.default_rng(1)

    def picture(name: str, *shape: int) -> Path:
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(root / name)
        return root / name

    picture("a.png", 32, 32)
    picture("deep/b.png", 48, 48, 3)
    picture("deep/c.JPG", 40, 40)
    picture("wide.png", 30, 90, 3)
    picture("strip.png", 10, 300)
    picture("tiny.png", 4, 4)
    whole = picture("cut.png", 32, 32).read_bytes()
    (root / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "empty.jpg").write_bytes(b"")
    (root / "text.png").write_text("no picture")
    (root / "notes.txt").write_text("a label file, say")
    (root / ".hidden.png").write_text("left by a system")
    return root


@pytest.fixture(scope="module")
def found(model: Path, folder: Path) -> PredictSummary:
    return predict(model, [folder], device="cpu")


def test_every_readable_image_of_a_folder_is_judged_and_every_broken_one_listed(
    found: PredictSummary, folder: Path
) -> None:
    assert [Path(row["path"]).relative_to(folder).as_posix() for row in found.predictions] == list(GOOD)
    for row in found.predictions:
        assert list(row["probabilities"]) == list(CLASSES)
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert row["probability"] == row["probabilities"][row["label"]] == max(row["probabilities"].values())
    assert [Path(row["path"]).name for row in found.broken] == list(BROKEN)
    for row in found.broken:
        assert BROKEN[Path(row["path"]).name] in row["reason"]


def test_an_image_is_judged_alike_alone_and_in_company(found: PredictSummary, model: Path, folder: Path) -> None:
    assert predict(model, [folder], device="cpu") == found
    # named twice, and inside a folder that is named too: once
    again = predict(model, [folder / "wide.png", folder / "wide.png", folder / "deep"], device="cpu")
    assert [Path(row["path"]).name for row in again.predictions] == ["wide.png", "b.png", "c.JPG"]
    for row in again.predictions:
        other = next(each for each in found.predictions if each["path"] == row["path"])
        assert row["probabilities"] == pytest.approx(other["probabilities"], abs=2e-6)


def test_a_file_that_is_named_itself_is_tried_whatever_it_is_called(model: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes((folder / "a.png").read_bytes())
    assert predict(model, [tmp_path / "photo"]).predictions[0]["label"] in CLASSES
    with pytest.raises(BadDataError, match=r"none of 1 file\(s\) is a readable image: .*notes.txt \(not an image"):
        predict(model, [folder / "notes.txt"])
    with pytest.raises(UsageError, match=r"nothing at .*absent"):
        predict(model, [tmp_path / "absent"])
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="no picture in the folder"):
        predict(model, [tmp_path / "none"])


def test_the_verb_lists_broken_files_and_fails_only_when_it_is_strict(
    model: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(model), str(folder), "--device", "cpu"]
    assert run(words) == 0
    shown = capsys.readouterr()
    assert all(name.split("/")[-1] in shown.out for name in (*GOOD, *BROKEN))
    assert "5 file(s) are no readable images" in shown.err
    assert run([*words, "--json", "--strict"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert (len(told["predictions"]), len(told["broken"])) == (4, 5)
    assert run(["predict", str(model), str(folder / "a.png"), "--strict"]) == 0
    assert run(["predict", str(model)]) == 2
    assert "name an image or a folder" in capsys.readouterr().err


def test_the_table_has_a_row_per_file(model: Path, folder: Path, tmp_path: Path, found: PredictSummary) -> None:
    assert run(["predict", str(model), str(folder), "--csv", str(tmp_path / "out.csv"), "--quiet"]) == 0
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 9
    assert [row["label"] for row in rows[:4]] == [row["label"] for row in found.predictions]
    assert [float(row["p_joy"]) for row in rows[:4]] == [row["probabilities"]["joy"] for row in found.predictions]
    assert all(row["problem"] and not row["label"] for row in rows[4:])


def test_files_that_are_there_are_replaced_only_when_told(
    model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, net = tmp_path / "out.csv", tmp_path / "model.onnx"
    words = ["predict", str(model), str(folder / "a.png"), "--device", "cpu", "--quiet"]
    for option, file in (("--csv", table), ("--onnx", net)):
        file.write_text("somebody's")
        assert run([*words, option, str(file)]) == 2
        assert f"pass --overwrite, or name another file with {option}" in capsys.readouterr().err
        assert file.read_text() == "somebody's"
    assert run([*words, "--csv", str(table), "--overwrite"]) == 0
    assert table.read_text().startswith("path,label")
    assert run([*words, "--csv", str(net), "--onnx", str(net), "--overwrite"]) == 2
    assert run(["predict", str(model), "--onnx", str(tmp_path / "new"), "--csv", str(table), "--overwrite"]) == 2
    assert "name the images" in capsys.readouterr().err


def test_the_verb_writes_onnx_without_any_image(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript", reason="needs ferclean[onnx]")
    assert run(["predict", str(model), "--onnx", str(tmp_path / "model.onnx"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["onnx"]["difference"] <= 1e-4
    assert (tmp_path / "model.onnx").stat().st_size > 1e5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_a_pipe_is_not_waited_for_and_a_name_that_is_no_text_stands_in_the_table(
    model: Path, folder: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    name = os.fsencode(tmp_path) + b"/bad\xff.png"
    try:
        Path(os.fsdecode(name)).write_bytes((folder / "a.png").read_bytes())
    except OSError:
        pytest.skip("names are text on this disk")
    found = predict(model, [tmp_path])
    assert [row["reason"] for row in found.broken] == ["no regular file"]
    write_predictions(found, tmp_path / "table.csv")
    assert "bad\\udcff.png" in (tmp_path / "table.csv").read_text("utf-8")


def test_a_folder_that_is_no_model_is_told_what_one_is_and_how_it_is_made(model: Path, tmp_path: Path) -> None:
    for missing in ("config.json", "model.safetensors", "both"):
        folder = tmp_path / missing
        folder.mkdir()
        for name in {"config.json", "model.safetensors"} - {missing} if missing != "both" else ():
            (folder / name).write_bytes((model / name).read_bytes())
        with pytest.raises(
            UsageError, match=r"holds model\.safetensors and config\.json.*retrain --release NAME --keep"
        ):
            load_model(folder)


@pytest.mark.parametrize("classes", [5, ["fear", "fear"], ["fear", 1]])
def test_an_edited_configuration_is_told(model: Path, tmp_path: Path, classes: object) -> None:
    told = json.loads((model / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(told | {"classes": classes}), "utf-8")
    with pytest.raises(BadDataError, match="list of names"):
        load_model(tmp_path)
