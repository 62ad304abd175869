"""Facts about before/after: the same test images, no copies of them in training, and an honest word at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.splits import group_ids
from ferclean.parts.copies import pair_rows
from ferclean.parts.training_rows import copies_of
from ferclean.recognition import images
from ferclean.recognition.backbones import make_backbone
from ferclean.steps.export import export
from ferclean.steps.ingest import ingest
from ferclean.steps.predict import predict
from ferclean.steps.release import release
from ferclean.steps.report import report
from ferclean.steps.retrain import retrain
from ferclean.steps.status import status
from ferclean.store import retrains, runs, samples, verdicts
from ferclean.store.decisions import Decision, append_decisions
from ferclean.store.workspace import Workspace

TINY = {"epochs": 2, "input_size": 32, "batch_size": 32}


def test_retrain_needs_a_release(judged_folder: Path) -> None:
    with pytest.raises(UsageError, match="ferclean release"):
        retrain(Workspace.open(judged_folder), **TINY)


def copies_of_test(ws: Workspace) -> int:
    """How many training images the first look found to be copies of test images."""
    frame = samples.get_samples(ws)
    pairs = pair_rows(list(frame["sample_id"]), verdicts.get_pairs(ws, mirrored=True))
    groups = group_ids(len(frame), pairs, list(frame["content_hash"]))
    return int(((frame["split"] == "train") & np.isin(groups, groups[frame["split"] == "test"])).sum())


def test_both_arms_are_tested_on_the_same_images_and_the_result_is_kept(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    release(ws, "v1", policy="auto", threshold=0.3)
    done = retrain(ws, release="v1", method="cross_entropy", seeds=2, **TINY)
    assert set(done.accuracy) == {"given", "cleaned"}
    assert all(len(values) == 2 for values in done.accuracy.values())
    assert done.test_images == len(samples.get_samples(ws, splits=["test"]))
    assert done.left_out_copies_of_test == copies_of_test(ws) > 0
    paired = np.subtract(done.accuracy["cleaned"], done.accuracy["given"])
    assert done.difference["per_seed"] == pytest.approx(paired.tolist())
    assert done.gain in ("measurable gain", "measurable loss", "no measurable gain")
    assert "given" in done.warning
    results = retrains.get_results(ws, done.run_id)
    assert set(results["arm"]) == {"given", "cleaned"}
    assert {"accuracy", "macro_f1", "calibration_error", "recall:happiness"} <= set(results["metric"])
    assert len(results[results["metric"] == "accuracy"]) == 4
    again = retrain(ws, release="v1", method="cross_entropy", seeds=2, **TINY)
    assert again.reused
    assert again.accuracy == done.accuracy
    assert status(ws).next == "report"
    page = Path(report(ws).path).read_text("utf-8")
    assert done.gain in page


def test_the_recognizer_of_the_cleaned_labels_is_kept_where_it_is_asked_for(judged_copy: Path, tmp_path: Path) -> None:
    ws = Workspace.open(judged_copy)
    release(ws, "v1", policy="auto", threshold=0.3)
    options = TINY | {"epochs": 1}
    first = retrain(ws, release="v1", method="cross_entropy", seeds=1, **options)
    assert first.kept is None
    # a run that is done kept no weights: only the arm that is asked for is trained again, to the same figures
    lines: list[str] = []
    kept = retrain(
        ws, release="v1", method="cross_entropy", seeds=1, keep=tmp_path / "model", tell=lines.append, **options
    )
    assert kept.kept == str(tmp_path / "model")
    assert kept.accuracy == first.accuracy
    assert sum("reused" in line for line in lines) == 1
    tests = samples.get_samples(ws, splits=["test"])
    found = predict(tmp_path / "model", [Path(path) for path in tests["path"]], device="cpu")
    right = [row["label"] for row in found.predictions] == tests["given_label"].to_numpy()
    assert right.mean() == pytest.approx(kept.accuracy["cleaned"][0])
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert "| labels | release v1 |" in card
    assert samples.get_dataset(ws).licence.split()[0] in card
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else than a model"):
        retrain(ws, release="v1", keep=tmp_path / "mine", **options)


def test_the_original_labels_gain_nothing_over_themselves(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    release(ws, "same")
    state = make_backbone("slim", channels=1, input_size=32).network.state_dict()
    torch.save({name: value for name, value in state.items() if not name.startswith("stem.")}, judged_copy / "w.pth")
    options = TINY | {"epochs": 1, "weights": judged_copy / "w.pth"}
    done = retrain(ws, release="same", method="cross_entropy", seeds=1, **options)
    assert "not loaded, but left as a new network has them: stem.0.weight (24x1x3x3)" in (done.weights_report or "")
    assert done.changed_labels == 0
    assert done.difference["mean"] == 0
    assert done.gain == "no measurable gain"
    whole = samples.get_samples(ws).set_index("split")["sample_id"]
    copy = pd.DataFrame(
        {"sample_a": [whole["train"].iloc[0]], "sample_b": [whole["test"].iloc[0]], "kind": "near", "similarity": 0.99}
    )
    look = runs.latest_run(ws, "pairs")
    assert look is not None
    verdicts.put_pairs(ws, look.run_id, pd.concat([verdicts.get_pairs(ws, look.run_id, mirrored=True), copy]))
    again = retrain(ws, release="same", method="cross_entropy", seeds=1, **options)
    assert (again.reused, again.left_out_copies_of_test) == (False, done.left_out_copies_of_test + 1)
    assert again.run_id != done.run_id


def test_what_was_exported_in_another_form_is_sent_back_for_the_one_that_holds_both_labels(
    judged_copy: Path, tmp_path: Path
) -> None:
    ws = Workspace.open(judged_copy)
    release(ws, "v1")
    for form, out in (("image_folder", "if"), ("table", "t.parquet")):
        export(ws, form=form, release="v1", out=tmp_path / out)
        with pytest.raises(UsageError, match="ferclean export --form hf"):
            retrain(ws, dataset=tmp_path / out, **TINY)
    # as anybody's folder it has no labels of before: the same labels would be compared with themselves
    (tmp_path / "if" / ".ferclean-export.json").unlink()
    with pytest.raises(BadDataError, match="does not hold the labels before curation"):
        retrain(ws, dataset=tmp_path / "if", **TINY)


def test_an_exported_folder_can_be_trained_on(judged_copy: Path, tmp_path: Path) -> None:
    ws = Workspace.open(judged_copy)
    # a recognizer of two epochs suggests nothing with certainty: people change labels
    of_training = samples.get_samples(ws).query("split == 'train'")
    told = zip(of_training["sample_id"].head(20), of_training["given_label"].head(20), strict=True)
    append_decisions(
        ws,
        [
            Decision(sample_id=one, action="relabel", label="fear" if given != "fear" else "anger", reviewer="ann")
            for one, given in told
        ],
    )
    release(ws, "v1", policy="auto")
    exported = export(ws, form="hf", release="v1", out=tmp_path / "hf")
    elsewhere = Workspace.create(tmp_path / "other")
    done = retrain(elsewhere, dataset=Path(exported.path), method="cross_entropy", seeds=1, **(TINY | {"epochs": 1}))
    assert done.changed_labels > 0
    assert done.source == "dataset hf"
    # the same folder elsewhere is the same run; other pictures under the same ids are not
    moved = Path(exported.path).rename(tmp_path / "moved")
    again = retrain(elsewhere, dataset=moved, method="cross_entropy", seeds=1, **(TINY | {"epochs": 1}))
    assert (again.reused, again.run_id, again.source) == (True, done.run_id, "dataset moved")
    shard = next(moved.rglob("train*.parquet"))
    table = pq.read_table(shard)
    cells = table["image"].to_pylist()
    cells[0]["bytes"] = cells[1]["bytes"]
    pq.write_table(table.set_column(0, "image", pa.array(cells, table.schema.field("image").type)), shard)
    other = retrain(elsewhere, dataset=moved, method="cross_entropy", seeds=1, **(TINY | {"epochs": 1}))
    assert (other.reused, other.run_id == done.run_id) == (False, False)


def test_a_release_of_few_decisions_is_trained_on_as_hard_labels_and_one_of_many_as_soft_ones(
    judged_copy: Path,
) -> None:
    ws = Workspace.open(judged_copy)
    train = samples.get_samples(ws, splits=["train"])["sample_id"]
    said = {"action": "keep", "reviewer": "ann", "source": "cli"}
    append_decisions(ws, [Decision(sample_id=one, bulk_id="doctor-1", **said) for one in train[:100]])
    release(ws, "few", policy="auto", threshold=0.3)
    options = TINY | {"epochs": 1}
    few = retrain(ws, release="few", method="cross_entropy", seeds=1, **options)
    assert few.arm == "cleaned"
    assert few.why.startswith("hard labels: the release stands on 0 decisions and no judge")
    append_decisions(ws, [Decision(sample_id=one, **said) for one in train[:100]])
    release(ws, "many", policy="auto", threshold=0.3)
    lines: list[str] = []
    many = retrain(ws, release="many", method="cross_entropy", seeds=1, tell=lines.append, **options)
    assert (many.arm, many.why) == ("soft", "soft labels: the release stands on 100 decisions")
    assert set(many.accuracy) == {"given", "soft"}
    # the given labels were trained on for the other release already
    assert [line.endswith("reused") for line in lines] == [True, False]
    assert many.accuracy["given"] == few.accuracy["given"]


def test_all_arms_that_a_set_can_have_are_compared_with_the_given_labels(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    release(ws, "v1", policy="auto", threshold=0.3)
    names = ["soft", "cleaned", "self_distillation", "random_relabel", "random_removal"]
    done = retrain(ws, release="v1", method="cross_entropy", seeds=2, arms=names, **(TINY | {"epochs": 1}))
    assert list(done.accuracy) == ["given", *names]
    assert set(done.differences) == set(names)
    assert (done.arm, done.difference) == ("soft", done.differences["soft"])
    assert done.train_images["random_removal"] < done.train_images["given"] == done.train_images["random_relabel"]
    assert {len(values) for measured in done.metrics.values() for values in measured.values()} == {2}
    assert done.share_of_oracle is None
    assert all(row["images"] >= 30 and row["low"] <= row["mean"] <= row["high"] for row in done.slices)
    page = Path(report(ws).path).read_text("utf-8")
    assert "self_distillation" in page
    with pytest.raises(UsageError, match="--votes"):
        retrain(ws, release="v1", arms=["oracle"], **TINY)
    with pytest.raises(UsageError, match="unknown arm"):
        retrain(ws, release="v1", arms=["softer"], **TINY)


def test_a_validation_split_chooses_an_epoch_that_is_measured_beside_the_last(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for split in ("train", "val", "test"):
        for number, name in enumerate(("happiness", "sadness")):
            (folder / split / name).mkdir(parents=True)
            for k in range(12):
                rng = np.random.default_rng([k, number, len(split)])
                pixels = rng.integers(0, 120 + 100 * number, (32, 32), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{k}.png")
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "image_folder", folder)
    release(ws, "same")
    done = retrain(ws, method="cross_entropy", seeds=1, arms=["cleaned"], **TINY)
    assert done.test_split == "test"
    measured = done.metrics["given"]
    assert "best_epoch:accuracy" in measured
    assert {name.removeprefix("best_epoch:") for name in measured} <= set(measured)
    assert "best_epoch:macro_f1" in set(retrains.get_results(ws, done.run_id)["metric"])


def test_an_unknown_test_split_lists_the_known(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    release(ws, "v1")
    with pytest.raises(UsageError, match="train, test"):
        retrain(ws, test_split="dev", **TINY)


def test_copies_of_test_images_are_told_from_other_images() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (6, 1, 48, 48), dtype=np.uint8)
    pixels[1] = np.clip(pixels[0].astype(int) + 4, 0, 255).astype(np.uint8)
    is_test = np.array([True, False, False, False, False, False])
    assert copies_of(pixels, list("abcdef"), is_test).tolist() == [False, True, False, False, False, False]
    assert copies_of(pixels, list("aacdea"), is_test).tolist() == [False, True, False, False, False, True]
    assert images.thumbnails(pixels).shape == (6, 256)
