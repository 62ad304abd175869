"""Facts about scoring: out-of-fold, copies together, resumed, refused where it means nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY

from ferclean.errors import BadDataError, UsageError
from ferclean.parts.copies import faces_seen, find_duplicates
from ferclean.steps.ingest import ingest
from ferclean.steps.score import score
from ferclean.steps.triage import triage
from ferclean.store import embeddings, runs, samples, scores, verdicts
from ferclean.store.workspace import Workspace
from tests.recognition.test_crossval import weights_file

SMALL = TINY | {"epochs": 1, "methods": ["cross_entropy"], "device": "auto"}


def small_set(folder: Path) -> Workspace:
    """18 pictures of noise in two classes."""
    ws = Workspace.create(folder / "W")
    ingest(ws, "image_folder", image_folder(folder / "a", {"anger": 9, "fear": 9}))
    return ws


def only_run(ws: Workspace) -> runs.Run:
    return next(run for run in runs.list_runs(ws) if run.kind == "score")


def test_every_readable_training_sample_is_scored_once(judged_folder: Path) -> None:
    ws = Workspace.open(judged_folder)
    frame = samples.get_samples(ws, splits=["train"])
    stored = scores.get_predictions(ws, only_run(ws).run_id)
    assert sorted(stored.sample_ids) == sorted(frame["sample_id"])
    np.testing.assert_allclose(stored.pred_probs.sum(1), 1, atol=1e-5)
    assert set(np.unique(stored.fold)) == {0, 1}


def test_copies_share_a_fold(judged_folder: Path) -> None:
    ws = Workspace.open(judged_folder)
    stored = scores.get_predictions(ws, only_run(ws).run_id)
    fold = dict(zip(stored.sample_ids, stored.fold, strict=True))
    pairs = verdicts.get_pairs(ws)
    inside = [(a, b) for a, b in pairs[["sample_a", "sample_b"]].itertuples(index=False) if a in fold and b in fold]
    assert inside
    assert all(fold[a] == fold[b] for a, b in inside)


def test_embeddings_lie_beside_the_run_and_signals_in_the_store(judged_folder: Path) -> None:
    ws = Workspace.open(judged_folder)
    run = only_run(ws)
    ids, embedding = embeddings.read_embeddings(ws, run.run_id)
    signals = scores.get_signals(ws, run.run_id)
    assert len(ids) == len(embedding) == len(signals)
    assert {"self_confidence", "logit_margin", "aum", "knn_agreement", "entropy", "uerm_weight"} <= set(signals.columns)
    assert np.isfinite(signals["self_confidence"]).all()


def test_a_finished_run_is_reused_and_force_gives_the_same_bytes(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    before = scores.get_predictions(ws, only_run(ws).run_id)
    again = score(ws, profile="quick", methods=["supcon_relabel"], **TINY)
    assert again.reused == len(again.runs) == 1
    forced = score(ws, profile="quick", methods=["supcon_relabel"], force=True, keep_weights=True, **TINY)
    assert forced.reused == 0
    kept = list((ws.runs / forced.runs[0]["run_id"]).glob("fold-*.safetensors"))
    assert len(kept) == forced.folds
    assert score(ws, profile="quick", methods=["supcon_relabel"], keep_weights=True, **TINY).reused == 1
    kept[0].unlink()
    mended = score(ws, profile="quick", methods=["supcon_relabel"], keep_weights=True, **TINY)
    assert (mended.reused, mended.folds_reused) == (0, forced.folds - 1)
    after = scores.get_predictions(ws, forced.runs[0]["run_id"])
    assert before.sample_ids == after.sample_ids
    assert before.pred_probs.tobytes() == after.pred_probs.tobytes()


def test_weights_are_added_to_a_run_that_stays_done_when_this_is_stopped(tmp_path: Path) -> None:
    ws = small_set(tmp_path)
    whole = score(ws, **SMALL).runs
    before = scores.get_predictions(ws, only_run(ws).run_id)

    def stop(line: str) -> None:
        if "images in" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(ws, **SMALL, keep_weights=True, tell=stop)
    assert only_run(ws).state == "done"
    triage(ws)
    mended = score(ws, **SMALL, keep_weights=True)
    assert (mended.runs, mended.reused, mended.folds_reused) == (whole, 0, 1)
    after = scores.get_predictions(ws, only_run(ws).run_id)
    assert before.pred_probs.tobytes() == after.pred_probs.tobytes()


def test_weights_that_a_run_of_another_device_lacks_are_trained_in_a_run_of_this_one(tmp_path: Path) -> None:
    ws = small_set(tmp_path)
    score(ws, **SMALL)
    here = only_run(ws)
    about = {"kind": "score", "method": here.method, "seed": here.seed, "fingerprint": here.fingerprint}
    there = runs.start_run(ws, config=here.config | {"device": "cuda", "precision": "bfloat16"}, **about)  # type: ignore[arg-type]
    held = embeddings.read_embeddings(ws, here.run_id)
    (ws.runs / here.run_id).rename(ws.runs / there)
    embeddings.write_embeddings(ws, there, *held)
    runs.finish_run(ws, there)
    reused = score(ws, **SMALL)
    assert (reused.reused, reused.runs[0]["run_id"]) == (1, there)
    kept = score(ws, **SMALL, keep_weights=True)
    assert (kept.reused, kept.runs[0]["run_id"]) == (0, here.run_id)
    assert list((ws.runs / there).glob("*.safetensors")) == []
    assert score(ws, **SMALL, keep_weights=True).runs == kept.runs


def test_other_settings_make_another_run(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    first = only_run(ws).run_id
    other = score(ws, profile="quick", methods=["cross_entropy"], **(TINY | {"epochs": 1}))
    assert other.reused == 0
    assert other.runs[0]["run_id"] != first
    assert other.runs[0]["method"] == "cross_entropy"


def test_a_weights_file_is_known_by_what_it_holds_not_by_its_path(judged_copy: Path, tmp_path: Path) -> None:
    ws = Workspace.open(judged_copy)
    options = TINY | {"methods": ["cross_entropy"], "epochs": 1}
    first = score(ws, weights=weights_file(tmp_path / "w.pth", seed=1), **options)
    moved = (tmp_path / "w.pth").rename(tmp_path / "elsewhere.pth")
    again = score(ws, weights=moved, **options)
    assert (again.reused, again.runs) == (1, first.runs)
    other = score(ws, weights=weights_file(tmp_path / "w.pth", seed=2), **options)
    assert other.reused == 0
    assert other.runs[0]["run_id"] != first.runs[0]["run_id"]
    with pytest.raises(UsageError, match=r"no weights file at .*absent\.pth"):
        score(ws, weights=tmp_path / "absent.pth", **options)


def test_changed_defaults_of_a_method_make_another_run(judged_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ferclean.recognition.methods import supcon_relabel

    ws = Workspace.open(judged_copy)
    first = runs.get_run(ws, only_run(ws).run_id)
    assert first is not None
    assert first.config["method_config"]["relabel_gap"] == 0.2

    @dataclass(frozen=True, kw_only=True)
    class Newer(supcon_relabel.Config):
        relabel_gap: float = 0.3

    monkeypatch.setattr(supcon_relabel, "Config", Newer)
    newer = score(ws, profile="quick", methods=["supcon_relabel"], **TINY)
    assert newer.reused == 0
    assert newer.runs[0]["run_id"] != first.run_id


def test_planted_copies_are_found(judged_folder: Path, drawn_set: Path) -> None:
    from ferclean.sources.drawn_faces.drawing import read_truth

    ws = Workspace.open(judged_folder)
    truth = read_truth(drawn_set).set_index("source_key")
    key = samples.get_samples(ws).set_index("sample_id")["source_key"]
    pairs = find_duplicates(ws)
    found = {frozenset((key[a], key[b])) for a, b in pairs[["sample_a", "sample_b"]].itertuples(index=False)}
    planted = {
        frozenset((name, original)) for name, original in truth["duplicate_of"].dropna().items() if name in set(key)
    }
    assert planted
    assert len(planted & found) >= 0.8 * len(planted)


def test_the_first_look_finds_no_face_in_blank_images_and_one_in_the_others(judged_folder: Path) -> None:
    ws = Workspace.open(judged_folder)
    frame = samples.get_samples(ws)
    blank = frame["contrast"].to_numpy() < 0.02
    seen = faces_seen(ws, list(frame["sample_id"]))
    assert blank.any()
    assert np.isfinite(seen).all()
    assert seen[blank].max() < -3 < np.quantile(seen[~blank], 0.05)


def test_an_unknown_method_or_split_lists_the_known(judged_folder: Path) -> None:
    ws = Workspace.open(judged_folder)
    with pytest.raises(UsageError, match="supcon_relabel"):
        score(ws, methods=["resnet"])
    with pytest.raises(UsageError, match="train"):
        score(ws, splits=["training"])
    with pytest.raises(UsageError, match="standard"):
        score(ws, profile="fast")


def image_folder(root: Path, classes: dict[str, int]) -> Path:
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(root / name / f"{i}.png")
    return root


def test_one_class_and_one_image_are_refused_with_the_reason(tmp_path: Path) -> None:
    one_class = Workspace.create(tmp_path / "A")
    ingest(one_class, "image_folder", image_folder(tmp_path / "a", {"anger": 3}))
    with pytest.raises(BadDataError, match="only one class"):
        score(one_class, **TINY)
    one_image = Workspace.create(tmp_path / "B")
    ingest(one_image, "image_folder", image_folder(tmp_path / "b", {"anger": 1}))
    with pytest.raises(BadDataError, match="at least two"):
        score(one_image, **TINY)


def test_a_class_smaller_than_the_folds_is_scored(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "A")
    ingest(ws, "image_folder", image_folder(tmp_path / "a", {"anger": 6, "fear": 1}))
    done = score(ws, **(TINY | {"folds": 5, "epochs": 1}))
    assert done.samples == 7
