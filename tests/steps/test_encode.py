"""Facts about encoders: what they saw is written down, probes on them score, labels never vouch for themselves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ferclean.cli import run
from ferclean.errors import BadDataError, UsageError
from ferclean.parts.ensemble import current_score_runs
from ferclean.recognition import profiles
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.checkpoint import load_checkpoint
from ferclean.recognition.encoder import train_encoder
from ferclean.recognition.methods.catalogue import METHODS
from ferclean.recognition.speed import images_per_second
from ferclean.steps.encode import encode
from ferclean.steps.probe import score_probe
from ferclean.steps.triage import triage
from ferclean.store import again, embeddings, encoders, runs, samples, scores, verdicts
from ferclean.store.workspace import Workspace
from tests.steps.test_score import image_folder

SMALL = {"epochs": 1, "input_size": 24, "batch_size": 32}
WIDTH = 192


@pytest.fixture(scope="module")
def encoded_folder(judged_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The judged workspace with an encoder `free` that saw no label and one `taught` that did; copy before writing."""
    root = tmp_path_factory.mktemp("encoded") / "W"
    shutil.copytree(judged_folder, root)
    ws = Workspace.open(root)
    encode(ws, name="free", **SMALL)
    encode(ws, name="taught", method="cross_entropy", **SMALL)
    return root


@pytest.fixture
def ws(encoded_folder: Path, stand_in: Callable[[Path], Path]) -> Workspace:
    """A copy of that workspace, W in the current folder."""
    return Workspace.open(stand_in(encoded_folder) / "W")


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    """The state of a slim backbone, as a training script elsewhere would save it."""
    file = tmp_path / "faces.pth"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        torch.save(make_backbone("slim", channels=1, input_size=24).network.state_dict(), file)
    return file


def score_runs(ws: Workspace) -> list[runs.Run]:
    return [known for known in runs.list_runs(ws) if known.kind == "score"]


def test_a_label_free_encoder_lies_in_the_workspace_beside_the_hashes_of_its_images(ws: Workspace) -> None:
    done = encode(ws, splits=["test"], **SMALL)
    frame, _ = samples.get_labelled(ws, splits=["test"])
    assert (done.name, done.method, done.saw_labels, done.weights_report) == ("distilled", "distilled", False, None)
    assert (done.images, done.dimensions) == (len(frame), WIDTH)
    path = Path(done.path)
    assert path == ws.root / "encoders" / "distilled.safetensors"
    assert (ws.root / "encoders" / "distilled.seen.parquet").is_file()
    assert not list(path.parent.glob("*.part"))
    seen = encoders.get_seen(path)
    assert seen.known
    assert seen.labels == dict.fromkeys(frame["content_hash"])
    trained = load_checkpoint(path)
    assert (trained.input_size, trained.num_classes) == (24, len(samples.get_dataset(ws).classes))


def test_an_encoder_taught_with_labels_says_which(ws: Workspace) -> None:
    frame, _ = samples.get_labelled(ws)
    seen = encoders.get_seen(encoders.find(ws, "taught"))
    assert seen.known
    assert set(seen.labels) == set(frame["content_hash"])
    given = frame.groupby("content_hash")["given_label"].agg(set)
    assert all(label in given[value] for value, label in seen.labels.items())


def test_a_label_free_encoder_has_the_same_weights_whatever_the_labels_are() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 1, 24, 24), dtype=np.uint8)
    config = profiles.get_profile("quick", **SMALL).train_config()
    classes = ["anger", "fear", "neutral"]
    states = []
    for labels in (np.arange(40) % 3, np.zeros(40, dtype=np.int64)):
        trained, saw_labels = train_encoder("distilled", images, labels, classes=classes, config=config)
        assert not saw_labels
        states.append(trained.model.get_submodule("backbone").state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_name_that_is_taken_or_no_file_name_is_a_usage_error_and_force_replaces(ws: Workspace) -> None:
    path = encoders.path_of(ws, "free")
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"'free' already.*--force"):
        encode(ws, name="free", **SMALL)
    assert path.read_bytes() == before
    for name in ("../outside", ".hidden", "a b"):
        with pytest.raises(UsageError, match="letters, digits"):
            encode(ws, name=name, **SMALL)
    with pytest.raises(UsageError, match=r"resnet.*known:.*distilled"):
        encode(ws, method="resnet")
    encode(ws, name="free", splits=["test"], seed=1, force=True, **SMALL)
    assert path.read_bytes() != before
    frame, _ = samples.get_labelled(ws, splits=["test"])
    assert set(encoders.get_seen(path).labels) == set(frame["content_hash"])


def test_new_weights_never_stand_beside_an_old_account(
    ws: Workspace, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    assert encoders.get_seen(encoders.path_of(ws, "free")).known
    monkeypatch.setattr(encoders, "put_seen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        encode(ws, name="free", import_file=weights_file, force=True, input_size=24)
    assert not encoders.get_seen(encoders.path_of(ws, "free")).known


def test_an_imported_encoder_has_the_files_weights_and_an_unknown_past(ws: Workspace, weights_file: Path) -> None:
    done = encode(ws, import_file=weights_file, input_size=24)
    assert (done.name, done.method, done.images, done.saw_labels) == ("faces", "imported", 0, None)
    assert done.weights_report is not None
    assert "faces.pth" in done.weights_report
    assert "tensors matched, 0 missing, 0 unexpected" in done.weights_report
    path = encoders.find(ws, "faces")
    assert encoders.get_seen(path) == encoders.Seen(labels={}, known=False)
    loaded = load_checkpoint(path)
    network = loaded.model.get_submodule("backbone.network").state_dict()
    assert all(torch.equal(value, network[name]) for name, value in torch.load(weights_file).items())
    # the file may go: the encoder carries the weights itself
    assert loaded.config.weights is None
    weights_file.unlink()
    probed = score_probe(ws, "faces", folds=2)
    assert (probed.training_known, probed.seen, probed.embedding) == (False, 0, WIDTH)
    # without its account an encoder is of unknown past, too
    shutil.copy(encoders.find(ws, "free"), "alone.safetensors")
    assert not encoders.get_seen(Path("alone.safetensors")).known


def test_a_file_that_matches_nothing_is_refused_and_leaves_no_encoder(ws: Workspace, tmp_path: Path) -> None:
    torch.save({"somewhere.else": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UsageError, match="none of its 1 tensors fits"):
        encode(ws, import_file=tmp_path / "other.pth", input_size=24)
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(BadDataError, match=r"text\.pth"):
        encode(ws, import_file=tmp_path / "text.pth", input_size=24)
    with pytest.raises(UsageError, match="no weights file"):
        encode(ws, import_file=tmp_path / "absent.pth", input_size=24)
    assert sorted(path.stem for path in (ws.root / "encoders").glob("*.safetensors")) == ["free", "taught"]


def test_a_file_that_fills_the_network_in_part_makes_no_encoder_and_trains_with_a_word(
    ws: Workspace, weights_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torch.load(weights_file)
    del state["blocks.3.conv1.weight"]
    torch.save({"net": state}, weights_file)
    assert run(["-w", "W", "encode", "--import", str(weights_file), "--input-size", "24"]) == 2
    assert "never trained: missing in the file: blocks.3.conv1.weight (192x96x3x3)" in capsys.readouterr().err
    assert not encoders.path_of(ws, "faces").exists()
    word = "71 tensors matched, 1 missing, 0 unexpected, 0 of another shape; not loaded, but left as a new network has "
    word += "them: blocks.3.conv1.weight (192x96x3x3)"
    call = ["score", "--methods", "cross_entropy", "--folds", "2", "--epochs", "1", "--input-size", "24"]
    assert run(["-w", "W", *call, "--weights", str(weights_file)]) == 0
    said = capsys.readouterr()
    assert f"note: faces.pth (net): {word}\n" in said.err
    assert "tensors matched" not in said.out
    taught = encode(ws, name="new", method="cross_entropy", weights=weights_file, **SMALL)
    assert taught.weights_report == f"faces.pth (net): {word}"
    with pytest.raises(UsageError, match="never trained"):
        encode(ws, name="newer", weights=weights_file, **SMALL)
    weights_file.write_text("<!DOCTYPE html><html>")
    assert run(["-w", "W", "score", "--force", "--weights", str(weights_file)]) == 4
    assert "faces.pth is a web page" in capsys.readouterr().err


def test_a_probe_stores_predictions_embeddings_and_signals_and_triage_judges_them(ws: Workspace) -> None:
    before = {known.run_id for known in score_runs(ws)}
    done = score_probe(ws, "free", folds=3)
    frame, _ = samples.get_labelled(ws)
    (run_id,) = (entry["run_id"] for entry in done.runs)
    assert run_id not in before
    assert (done.samples, done.folds, done.reused) == (len(frame), 3, 0)
    assert (done.seen, done.training_known) == (len(frame), True)
    stored = scores.get_predictions(ws, run_id)
    assert sorted(stored.sample_ids) == sorted(frame["sample_id"])
    np.testing.assert_allclose(stored.pred_probs.sum(1), 1, atol=1e-5)
    assert set(np.unique(stored.fold)) == {0, 1, 2}
    given = frame.set_index("sample_id")["given_label"].loc[stored.sample_ids]
    classes = samples.get_dataset(ws).classes
    agree = np.mean([classes[k] == label for k, label in zip(stored.pred_probs.argmax(1), given, strict=True)])
    assert done.accuracy_on_given == pytest.approx(agree)
    fold = dict(zip(stored.sample_ids, stored.fold, strict=True))
    pairs = verdicts.get_pairs(ws)[["sample_a", "sample_b"]].itertuples(index=False)
    inside = [(a, b) for a, b in pairs if a in fold and b in fold]
    assert inside
    assert all(fold[a] == fold[b] for a, b in inside)
    ids, embedding = embeddings.read_embeddings(ws, run_id)
    assert sorted(ids) == sorted(stored.sample_ids)
    assert embedding.shape == (len(frame), WIDTH)
    signals = scores.get_signals(ws, run_id)
    assert {"self_confidence", "logit_margin", "knn_agreement", "entropy"} <= set(signals.columns)
    assert len(signals) == len(frame)
    # the newest scoring is judged, and it alone: other probes and trainings are other experiments
    assert triage(ws).score_runs == [run_id]
    assert set(frame["sample_id"]) <= set(verdicts.get_verdicts(ws)["sample_id"])

    again = score_probe(ws, "free", folds=3)
    assert (again.reused, again.runs, again.accuracy_on_given) == (1, done.runs, done.accuracy_on_given)
    forced = score_probe(ws, encoders.path_of(ws, "free"), folds=3, force=True)
    assert (forced.reused, forced.runs) == (0, done.runs)
    assert scores.get_predictions(ws, run_id).pred_probs.tobytes() == stored.pred_probs.tobytes()
    other = score_probe(ws, "free", folds=2)
    assert other.reused == 0
    assert [known.run_id for known in current_score_runs(ws)] == [other.runs[0]["run_id"]]


def test_an_encoder_is_known_by_what_it_holds_wherever_it_lies(ws: Workspace, tmp_path: Path) -> None:
    first = score_probe(ws, "free", folds=2)
    (tmp_path / "elsewhere").mkdir()
    copy = Path(shutil.copy(encoders.find(ws, "free"), tmp_path / "elsewhere"))
    assert score_probe(ws, copy, folds=2).runs == first.runs
    # the labels that it learned are known by its content, too, though no account lies beside the copy
    renamed = Path(shutil.copy(encoders.find(ws, "taught"), tmp_path / "elsewhere" / "innocent.safetensors"))
    with pytest.raises(BadDataError, match="innocent was trained on the labels"):
        score_probe(ws, renamed)


def test_an_account_never_speaks_for_other_weights_under_its_name(ws: Workspace) -> None:
    shutil.copy(encoders.find(ws, "taught"), encoders.path_of(ws, "free"))
    with pytest.raises(BadDataError, match=r"other weights than those that free\.seen\.parquet is about"):
        score_probe(ws, "free")


def test_another_encoder_of_the_same_name_is_not_taken_for_the_first(ws: Workspace) -> None:
    first = score_probe(ws, "free", folds=2)
    encode(ws, name="free", seed=1, force=True, **SMALL)
    second = score_probe(ws, "free", folds=2)
    assert second.reused == 0
    assert second.runs[0]["run_id"] != first.runs[0]["run_id"]


def test_an_encoder_taught_with_these_labels_is_refused_and_nothing_is_stored(ws: Workspace) -> None:
    encode(ws, name="coarse", method="coarse_contrast", **SMALL)
    before = score_runs(ws)
    count = len(samples.get_labelled(ws)[0])
    for name in ("taught", "coarse"):
        with pytest.raises(BadDataError, match=f"{name} was trained on the labels of {count} of these {count} images"):
            score_probe(ws, name)
    assert score_runs(ws) == before
    # its file, wherever it is called from, is no way round
    with pytest.raises(BadDataError, match="trained on the labels"):
        score_probe(ws, ws.root / "encoders" / "taught.safetensors")


def test_an_encoder_taught_with_other_images_may_be_probed_but_not_with_some_of_its_own(ws: Workspace) -> None:
    train, test = (samples.get_labelled(ws, splits=[name])[0] for name in ("train", "test"))
    done = score_probe(ws, "taught", splits=["test"], folds=2)
    assert (done.samples, done.seen, done.training_known) == (len(test), 0, True)
    assert done.near == 5  # the planted leaks: near copies of training faces
    both = len(train) + len(test)
    with pytest.raises(BadDataError, match=f"labels of {len(train)} of these {both} images"):
        score_probe(ws, "taught", splits=["train", "test"], folds=2)


def test_a_damaged_account_of_what_an_encoder_saw_is_an_error_that_names_it(ws: Workspace) -> None:
    beside = ws.root / "encoders" / "taught.seen.parquet"
    beside.write_bytes(beside.read_bytes()[:40])
    with pytest.raises(BadDataError, match=r"taught\.seen\.parquet .* damaged"):
        score_probe(ws, "taught")


def test_a_single_fold_is_refused_before_anything_is_written(ws: Workspace) -> None:
    before = runs.list_runs(ws)
    with pytest.raises(UsageError, match="at least 2"):
        score_probe(ws, "free", folds=1)
    assert runs.list_runs(ws) == before


def test_an_unknown_encoder_lists_the_known(ws: Workspace, judged_folder: Path, weights_file: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no encoder 'fre' here; did you mean 'free'\? known: free, taught;.*ferclean encode"
    ):
        score_probe(ws, "fre")
    with pytest.raises(UsageError, match="known: none"):
        score_probe(Workspace.open(judged_folder), "free")
    with pytest.raises(BadDataError, match=r"faces\.pth .* no ferclean recognizer .*encode --import"):
        score_probe(ws, weights_file)
    weights_file.write_text("<html>Sign in</html>")
    with pytest.raises(BadDataError, match=r"faces\.pth is a web page"):
        score_probe(ws, weights_file)


def test_one_class_or_one_image_is_not_probed(tmp_path: Path, weights_file: Path) -> None:
    from ferclean.steps.ingest import ingest

    for name, count in (("many", 4), ("one", 1)):
        ws = Workspace.create(tmp_path / f"W{name}")
        ingest(ws, "image_folder", image_folder(tmp_path / name, {"anger": count}))
        encode(ws, name="it", import_file=weights_file, input_size=24)
        with pytest.raises(BadDataError, match="at least two classes"):
            score_probe(ws, "it")
        assert not score_runs(ws)


def test_the_command_line_encodes_and_probes(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["-w", "W", "encode", "--epochs", "1", "--input-size", "24", "--name", "mine", "--splits", "test"]
    assert run([*call, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["verb"], made["name"], made["saw_labels"]) == ("encode", "mine", False)
    assert run(call) == 2
    assert "--force" in capsys.readouterr().err
    assert run(["-w", "W", "probe", "mine", "--folds", "2", "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert (scored["verb"], scored["encoder"], scored["folds"]) == ("probe", "mine", 2)
    assert scored["runs"][0]["method"] == "probe:mine"
    assert run(["-w", "W", "score", "--probe", "mine", "--folds", "2"]) == 0
    assert "reused" in capsys.readouterr().out
    run_id = scored["runs"][0]["run_id"]
    shutil.rmtree(ws.runs / run_id)
    (command,) = again.commands([known for known in runs.list_runs(ws) if known.run_id == run_id])
    assert run(["-w", "W", *command.split()]) == 0
    assert runs.get_run(ws, run_id).state == "done"  # type: ignore[union-attr]


def test_an_imported_encoder_is_announced_in_words(
    ws: Workspace, weights_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-w", "W", "encode", "--import", str(weights_file), "--input-size", "24"]) == 0
    said = capsys.readouterr()
    assert "tensors matched" in said.out
    assert "unknown" in said.out
    assert "ferclean probe faces" in " ".join(said.err.split()).replace("-w W ", "")
    assert run(["-w", "W", "probe", "faces", "--folds", "2"]) == 0
    assert "not written down" in capsys.readouterr().out


def test_the_command_line_refuses_what_contradicts_itself(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    for options, word in (
        (["--probe", "free", "--methods", "cross_entropy"], "--methods"),
        (["--probe"], "`ferclean probe`"),
        (["--probe", "free", "--from-file", "x.parquet"], "name one"),
        (["--probe", "nobody"], "free, taught"),
    ):
        assert run(["-w", "W", "score", *options]) == 2
        assert word in capsys.readouterr().err
    assert run(["-w", "W", "probe", "taught"]) == 4
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "trained on the labels of" in captured.err


def test_methods_say_where_they_were_published_and_what_they_need(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["methods", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in listed] == list(METHODS)
    assert all(row["published"] and row["needs"] for row in listed)
    assert not any("images_per_second" in row for row in listed)


@pytest.mark.parametrize("method", ["cross_entropy", "distilled"])
def test_the_speed_of_a_method_is_a_possible_number(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = profiles.Profile(name="small", input_size=24, batch_size=8)
    monkeypatch.setitem(profiles.PROFILES, "small", small)
    # no processor here trains a million images a second
    assert 0 < images_per_second(method, profile="small", device="cpu") < 1e6
