"""Outside judges end to end, with small nets made here: the shelf, what is asked, and what triage hears."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from small_judges import SIDE, features, write_onnx

from ferclean.cli import run
from ferclean.errors import BadDataError, FercleanError, UsageError
from ferclean.evidence.labels import encode
from ferclean.parts.gathering import gather
from ferclean.recognition.images import load_pixels
from ferclean.recognition.judges import predicting, shelf
from ferclean.steps.judge import add_judge, ask_judge
from ferclean.steps.triage import triage
from ferclean.store import again, run_files, runs, samples
from ferclean.store.renewal import withdraw
from ferclean.store.table import sample_table
from ferclean.store.workspace import Workspace

HALF = {"mean": (0.5,), "std": (0.5,)}
THREE = ("angry", "happy", "neutral")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("FERCLEAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "judges"


def random_net(path: Path, *, outputs: int = 3, channels: int = 1, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(256 * channels, outputs)) / 8, rng.normal(size=outputs)
    write_onnx(path, weight, bias, channels=channels, **options)
    return weight, bias


def softmax(scores: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.exp(scores - scores.max(1, keepdims=True))
    return found / found.sum(1, keepdims=True)


@pytest.mark.parametrize(
    "options", [{}, {"channels": 3}, {"channels": 3, "last": True}, {"batch": 4}, {"softmax": True}], ids=str
)
def test_an_onnx_file_is_asked_in_its_own_layout_batch_and_colours(tmp_path: Path, options: dict[str, Any]) -> None:
    weight, bias = random_net(tmp_path / "net.onnx", **options)
    card = add_judge(str(tmp_path / "net.onnx"), classes=THREE, **HALF)
    assert (card["size"], card["output"]) == (SIDE, "probabilities" if options.get("softmax") else "logits")
    pixels = np.random.default_rng(1).integers(0, 256, (7, options.get("channels", 1), SIDE, SIDE), dtype=np.uint8)
    found = predicting.ready(shelf.get("net"), device="cpu")(pixels)
    np.testing.assert_allclose(found, softmax(features(pixels) @ weight + bias), atol=1e-5)


def test_what_is_no_judge_is_refused_with_the_way(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    random_net(file)
    for arguments, message in (
        ({"classes": ("a", "b")}, "3 outputs a face, and 2 classes are named"),
        ({"classes": ("a", "b", "b")}, "each named once"),
        ({"classes": THREE, "size": 64}, "takes images of 32 x 32 pixels"),
        ({"classes": THREE, "mean": (0.1, 0.2)}, "--mean has 2 numbers"),
        ({"classes": THREE, "std": (0.0,)}, "above 0"),
        ({}, "say with --classes"),
        ({"classes": THREE, "name": "../x"}, "a judge's name has letters"),
    ):
        with pytest.raises(UsageError, match=message):
            add_judge(str(file), **arguments)  # type: ignore[arg-type]
    (tmp_path / "text.onnx").write_text("no net")
    with pytest.raises(BadDataError, match="cannot be run by onnxruntime"):
        add_judge(str(tmp_path / "text.onnx"), classes=THREE)
    with pytest.raises(UsageError, match="did you mean 'face-api'"):
        add_judge("face_api")
    assert shelf.names() == []


@pytest.mark.parametrize("place", ["w.bin", "../w.bin", "/w.bin"])
def test_an_onnx_file_reads_no_weights_outside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    import onnx

    random_net(tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    weight = model.graph.initializer[0]
    (tmp_path / "here").mkdir()
    for folder in (tmp_path, tmp_path / "here"):
        (folder / "w.bin").write_bytes(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", place
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(BadDataError, match="save it with its weights in the file itself"):
        add_judge(str(tmp_path / "net.onnx"), classes=THREE)
    assert shelf.names() == []


def test_a_judge_of_another_size_or_another_file_is_refused_when_it_is_asked(tmp_path: Path, cache: Path) -> None:
    random_net(tmp_path / "net.onnx")
    add_judge(str(tmp_path / "net.onnx"), classes=THREE, **HALF)
    with pytest.raises(BadDataError, match=r"takes images of 1 x 32 x 32, not 3 x 48 x 48"):
        predicting.ready(shelf.get("net"))(np.zeros((1, 3, 48, 48), np.uint8))
    file = cache / "net" / "model.onnx"
    random_net(file, outputs=3, channels=3)
    with pytest.raises(BadDataError, match=r"model.onnx is not the file that was added"):
        predicting.ready(shelf.get("net"))
    card = cache / "net" / shelf.CARD
    card.write_text(card.read_text().replace('"size": 32', '"size": "x"'))
    with pytest.raises(BadDataError, match=r"judge.json is damaged \(size is 'x'"):
        shelf.get("net")
    card.write_text("{}")
    with pytest.raises(BadDataError, match=r"judge.json is damaged"):
        shelf.get("net")
    shelf.remove("net")
    assert shelf.names() == []


def test_a_timm_classifier_comes_from_a_folder_and_needs_it_no_longer(tmp_path: Path) -> None:
    from ferclean.recognition import backbones

    model = backbones.the_timm().create_model("test_resnet", num_classes=3).eval()
    folder = tmp_path / "expressions"
    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors")
    settings = {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.5] * 3, "label_names": list(THREE)}
    (folder / "config.json").write_text(
        json.dumps({"architecture": "test_resnet", "num_classes": 3, "pretrained_cfg": settings})
    )
    card = add_judge(hub=f"local-dir:{folder}")
    assert (card["name"], card["classes"], card["size"]) == ("expressions", THREE, 64)
    for file in folder.iterdir():
        file.unlink()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8)
    with torch.inference_mode():
        expected = model(torch.from_numpy((pixels / 255 - 0.5) / 0.5).float()).softmax(1)
    ask = predicting.ready(shelf.get("expressions"), device="cpu")
    np.testing.assert_allclose(ask(pixels), expected, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):  # it answers in float32, whatever the caller multiplies in
        np.testing.assert_allclose(ask(pixels), expected, atol=1e-5)
    with pytest.raises(FercleanError, match="cannot be loaded by timm"):
        add_judge(hub=f"local-dir:{folder}")


def trained_net(ws: Workspace, path: Path, *, words: tuple[str, ...], memory: float) -> Path:
    """A net of one layer, fitted to the workspace's own training faces: by heart, or with a firm hand."""
    frame = samples.get_samples(ws)
    frame = frame[(frame["split"] == "train") & frame["given_label"].notna()]
    labels = encode(list(frame["given_label"]), samples.get_dataset(ws).classes)
    rows = labels < len(words)
    read = features(load_pixels(list(frame["path"]), size=SIDE, channels=1))
    fitted = LogisticRegression(C=memory, max_iter=2000).fit(read[rows], labels[rows])
    return write_onnx(path, fitted.coef_.T, fitted.intercept_)


def test_triage_hears_a_judge_beside_the_recognizers_and_is_as_before_without_it(
    judged_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ws = Workspace.open(judged_copy)
    classes = samples.get_dataset(ws).classes
    before = gather(ws)
    assert before.judge_probs.shape == (0, len(before.ids), len(classes))
    file = trained_net(ws, tmp_path / "weak.onnx", words=classes, memory=1e-4)
    assert run(["judge", "add", str(file), "--classes", ",".join(classes), "--mean", "0.5", "--std", "0.5"]) == 0
    assert run(["-w", str(judged_copy), "judge", "test", "weak", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["independence"]["verdict"] != "contaminated"
    assert not told["accepted"]
    assert not gather(ws).judge_names
    assert run(["-w", str(judged_copy), "judge", "run", "weak", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reused"]
    found = gather(ws)
    assert found.judge_names == ("weak",)
    np.testing.assert_allclose(found.judge_probs.sum(2), 1, atol=1e-5)
    np.testing.assert_array_equal(found.pred_probs, before.pred_probs)
    with_it, without = triage(ws), triage(ws, outside=False)
    assert (with_it.judges, without.judges) == (["weak"], [])
    assert with_it.run_id != without.run_id
    # a judge is no recognizer: neither the mean nor the votes of those hold its word, but the reasons name it
    assert with_it.score_runs == without.score_runs
    triage(ws)
    whole = sample_table(ws)
    assert not any("weak" in votes for votes in whole["method_votes"].dropna())
    judged = whole[whole["split"].eq("train") & whole["fold"].notna()]
    assert judged["reasons"].map(lambda told: any("weak, an outside judge, gives" in one for one in told)).all()
    assert whole.loc[whole["split"] == "test", "pred_probs"].isna().all()
    # what it says rests on pictures alone, so a test afterwards takes nothing back
    assert ask_judge(ws, "weak").accepted
    assert ask_judge(ws, "weak", force=True).accepted
    # with other images it is another question, and that its answer is heard no longer is told
    tested = samples.get_samples(ws).query("split == 'test'")["sample_id"].iloc[0]
    withdraw(ws, {tested: "file: changed since ingest"})
    assert gather(ws).judge_names == ("weak",)
    capsys.readouterr()
    assert run(["-w", str(judged_copy), "judge", "test", "weak"]) == 0
    assert "triage no longer hears it until `ferclean judge run weak`" in " ".join(capsys.readouterr().err.split())
    assert not gather(ws).judge_names
    assert not ask_judge(ws, "weak").lapsed  # told once: now it is as everybody knows
    assert not ask_judge(ws, "weak", accept=True).lapsed


def test_a_judge_that_is_asked_again_and_stopped_keeps_what_people_accepted(
    judged_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = Workspace.open(judged_copy)
    classes = samples.get_dataset(ws).classes
    add_judge(str(trained_net(ws, tmp_path / "weak.onnx", words=classes, memory=1e-4)), classes=classes, **HALF)
    run_id = ask_judge(ws, "weak", accept=True, insist=True).run_id

    def stop(description: object, *_: object) -> None:
        if description != "checking images":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask_judge(ws, "weak", force=True, progress=stop)
    assert gather(ws).judge_names == ("weak",)
    with monkeypatch.context() as later:
        later.setattr("ferclean.steps.judge._weigh", stop)
        with pytest.raises(KeyboardInterrupt):
            ask_judge(ws, "weak", force=True)
    assert gather(ws).judge_names == ("weak",)
    run_files.path_of(ws, run_id, "scores").unlink()
    with pytest.raises(KeyboardInterrupt):
        ask_judge(ws, "weak", progress=stop)
    assert not gather(ws).judge_names
    assert [line for line in gather(ws).notes if "asking again is not finished (interrupted)" in line]
    assert ask_judge(ws, "weak").accepted
    assert gather(ws).judge_names == ("weak",)


def test_a_judge_says_nothing_about_classes_that_it_does_not_know(judged_copy: Path, tmp_path: Path) -> None:
    ws = Workspace.open(judged_copy)
    classes = samples.get_dataset(ws).classes
    file = trained_net(ws, tmp_path / "three.onnx", words=classes[:3], memory=1e-4)
    add_judge(str(file), classes=[*classes[:2], "bored"], **HALF)
    told = ask_judge(ws, "three", accept=True)
    assert (told.known, told.unknown, told.elsewhere) == (list(classes[:2]), list(classes[2:]), ["bored"])
    probs = gather(ws).judge_probs[0]
    assert np.isnan(probs[:, 2:]).all()
    np.testing.assert_allclose(probs[:, :2].sum(1), 1, atol=1e-5)
    add_judge(str(file), classes=["bored", "tired", classes[0]], name="one", **HALF)
    with pytest.raises(UsageError, match="a judge needs two classes of the set"):
        ask_judge(ws, "one")


def test_a_contaminated_judge_is_refused_unless_insisted_on(
    judged_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ws = Workspace.open(judged_copy)
    classes = samples.get_dataset(ws).classes
    file = trained_net(ws, tmp_path / "memory.onnx", words=classes, memory=1e4)
    add_judge(str(file), classes=classes, **HALF)
    words = ["-w", str(judged_copy), "judge", "run", "memory"]
    assert run(words) == 4
    assert "judge memory is contaminated" in capsys.readouterr().err
    assert gather(ws).judge_names == ()
    assert run([*words, "--insist"]) == 0
    assert gather(ws).judge_names == ("memory",)
    judge = next(known for known in runs.list_runs(ws) if known.method == "memory")
    assert list(again.commands([judge])) == ["judge run memory --insist"]


def test_options_that_say_nothing_about_an_action_or_a_kind_of_judge_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random_net(tmp_path / "net.onnx")
    file = str(tmp_path / "net.onnx")
    for words, message in (
        (["add", "face-api", "--classes", "a,b"], "--classes would be ignored: the judge is face-api"),
        (["add", "face-api", "--mean", "0", "--size", "64"], "--mean, --size would be ignored"),
        (["add", "--hub", "a/b", "--std", "1"], "--std would be ignored: the judge is a Hub model"),
        (["add", "--hub", "a/b", "--from", file], "--from would be ignored"),
        (["add", "--hub", "no repository"], "--hub names a repository"),
        (["add", file, "--classes", "a,b,c", "--insist"], "judge add would ignore --insist"),
        (["test", "net", "--insist"], "judge test would ignore --insist"),
        (["run", "net", "--classes", "a,b"], "judge run would ignore --classes"),
        (["remove", "net", "--force"], "judge remove would ignore --force"),
        (["list", "net"], "judge list would ignore a judge's name"),
    ):
        assert run(["judge", *words]) == 2
        assert message in capsys.readouterr().err
    assert shelf.names() == []


def test_a_hub_model_that_cannot_be_fetched_is_one_line_that_names_the_internet_and_the_cache(
    tmp_path: Path,
) -> None:
    script = "import sys; from ferclean.cli import main; sys.argv[1:] = ['judge', 'add', '--hub', 'no/model']; main()"
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | offline, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no/model cannot be loaded by timm" in done.stderr
    assert "the internet can be reached or huggingface's cache (HF_HOME) holds it" in done.stderr


def test_shares_that_do_not_sum_to_1_are_told_when_they_are_said(tmp_path: Path) -> None:
    random_net(tmp_path / "net.onnx")
    add_judge(str(tmp_path / "net.onnx"), classes=THREE, **HALF)
    ask = predicting.ready(replace(shelf.get("net"), output="probabilities"))
    with pytest.raises(BadDataError, match="do not sum to 1"):
        ask(np.zeros((1, 1, SIDE, SIDE), np.uint8))


def test_before_anything_was_scored_out_of_fold_no_judge_is_asked(drawn_set: Path, tmp_path: Path) -> None:
    from ferclean.steps.ingest import ingest

    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "drawn_faces", drawn_set)
    random_net(tmp_path / "net.onnx")
    add_judge(str(tmp_path / "net.onnx"), classes=THREE, **HALF)
    with pytest.raises(FercleanError, match="run `ferclean score` first"):
        ask_judge(ws, "net")


def test_the_verb_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["judge", "test"], "needs a judge's name"),
        (["judge", "remove", "nobody"], "no judge 'nobody' here"),
        (["judge", "add"], "name one judge"),
        (["judge", "add", "x.onnx", "--classes", "a,b", "--mean", "half"], "--mean is a number"),
    ):
        assert run(words) == 2
        assert message in capsys.readouterr().err
    assert run(["judge", "list"]) == 0
    assert "ferclean judge add face-api" in capsys.readouterr().out


def test_numbers_that_are_none_an_edited_card_and_a_cache_of_nobody_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERCLEAN_CACHE", str(tmp_path / "cache"))
    path = write_onnx(tmp_path / "net.onnx", np.zeros((256, 3)), np.zeros(3))
    with pytest.raises(UsageError, match="--mean are finite"):
        add_judge(str(path), classes=["a", "b", "c"], mean=(float("nan"),))
    broken = write_onnx(tmp_path / "nan.onnx", np.full((256, 3), np.nan), np.zeros(3))
    with pytest.raises(BadDataError, match="NaN or infinite"):
        add_judge(str(broken), classes=["a", "b", "c"])
    add_judge(str(path), classes=["a", "b", "c"])
    card = tmp_path / "cache" / "judges" / "net" / "judge.json"
    told = json.loads(card.read_text())
    for change, size, said in (({"size": 64}, 64, "cannot judge"), ({"classes": ["a", "b"]}, SIDE, "3 outputs")):
        card.write_text(json.dumps(told | change))
        with pytest.raises(BadDataError, match=said):
            predicting.ready(shelf.get("net"))(np.zeros((1, 1, size, size), np.uint8))
    monkeypatch.setenv("FERCLEAN_CACHE", "~nosuchperson/x")
    with pytest.raises(UsageError, match="FERCLEAN_CACHE"):
        shelf.names()
