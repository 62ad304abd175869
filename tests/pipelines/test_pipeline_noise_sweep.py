"""The noisy-label protocol on a few drawn faces: noise as asked, alike for all, and figures that follow from hits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.recognition.profiles import PROFILES, get_profile
from ferclean.recognition.train import fit, predict
from pipelines import noise_sweep
from pipelines.faces_to_train import drawn_or_ingested


def test_symmetric_noise_changes_exactly_its_share_and_never_to_the_same_label() -> None:
    labels = np.arange(700) % 7
    noisy = noise_sweep.plant_symmetric(labels, 0.2, num_classes=7, seed=3)
    assert (noisy != labels).sum() == 140
    assert set(noisy) == set(range(7))
    np.testing.assert_array_equal(noisy, noise_sweep.plant_symmetric(labels, 0.2, num_classes=7, seed=3))
    assert (noisy != noise_sweep.plant_symmetric(labels, 0.2, num_classes=7, seed=4)).any()
    moves = np.bincount((noisy - labels)[noisy != labels] % 7, minlength=7)
    assert moves[1:].min() > 10  # each of the others alike likely


@pytest.fixture(autouse=True)
def small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROFILES, "quick", replace(PROFILES["quick"], input_size=32, crop=28 / 32))


def test_methods_are_compared_on_the_same_noise_and_test_images(tmp_path: Path) -> None:
    result = noise_sweep.run(
        tmp_path / "W", drawn=120, methods=["cross_entropy", "supcon_relabel"], noises=[0.2], seeds=2, epochs=2
    )
    json.dumps(result, allow_nan=False)
    assert (result["train_images"], result["test_images"]) == (120, 60)
    plain, other = result["table"]
    own = [row for row in result["rows"] if row["method"] == "supcon_relabel"]
    assert other["last_epoch"] == pytest.approx(np.mean([row["last_epoch"] for row in own]), abs=1e-4)
    assert other["minus_plain"]["mean"] == pytest.approx(other["last_epoch"] - plain["last_epoch"], abs=2e-4)
    assert "minus_plain" not in plain
    for row in own:
        assert (row["flip_precision"] is None) == (row["changed"] == 0)
    text = noise_sweep.markdown(result)
    assert text.count("\n") == 4
    assert "| `supcon_relabel` | 20% |" in text
    readme = tmp_path / "README.md"
    readme.write_text("# A\n\n<!-- noise sweep -->\nold\n<!-- /noise sweep -->\n\nbelow\n", "utf-8")
    for _ in range(2):
        noise_sweep.write_readme(result, readme)
    written = readme.read_text("utf-8")
    assert text in written
    assert "old" not in written
    assert "2 paired seeds" in written
    assert written.startswith("# A\n\n<!-- noise sweep -->\n|")
    assert written.endswith("\n<!-- /noise sweep -->\n\nbelow\n")
    plots = [tmp_path / "plot.svg", tmp_path / "again.svg"]
    for path in plots:
        noise_sweep.plot(result, path)
    assert "<svg" in plots[0].read_text("utf-8")
    assert plots[0].read_bytes() == plots[1].read_bytes()


def test_a_training_that_was_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = {"drawn": 60, "noises": [0.2], "epochs": 1}
    first = noise_sweep.run(tmp_path / "W", methods=["cross_entropy"], seeds=1, **shared)  # type: ignore[arg-type]
    second = noise_sweep.run(tmp_path / "W", methods=["eac"], seeds=1, **shared)  # type: ignore[arg-type]

    def stopped(method: str, *rest: object) -> None:
        raise RuntimeError(f"{method} is trained")

    monkeypatch.setattr(noise_sweep, "_train", stopped)
    both = noise_sweep.run(  # type: ignore[arg-type]
        tmp_path / "W", methods=["cross_entropy", "eac"], seeds=1, **shared
    )
    assert both["rows"] == first["rows"] + second["rows"]
    assert both["table"][1]["minus_plain"]["mean"] == pytest.approx(
        second["rows"][0]["last_epoch"] - first["rows"][0]["last_epoch"]
    )
    with pytest.raises(RuntimeError, match="eac is trained"):  # other settings are another training
        noise_sweep.run(tmp_path / "W", methods=["eac"], seeds=1, **(shared | {"epochs": 2}))  # type: ignore[arg-type]
    kept = tmp_path / "W" / "runs" / "noise_sweep" / "trainings.jsonl"
    whole = kept.read_text("utf-8")
    assert whole.count("\n") == 2
    kept.write_text(whole[:-20], "utf-8")
    with pytest.raises(RuntimeError, match="eac is trained"):  # an unfinished last line is not there
        noise_sweep.run(tmp_path / "W", methods=["eac"], seeds=1, **shared)  # type: ignore[arg-type]
    kept.write_text(whole[:-20] + "\n", "utf-8")
    with pytest.raises(BadDataError, match=r"line 2 of .*trainings\.jsonl is cut off"):
        noise_sweep.run(tmp_path / "W", methods=["distilled"], seeds=1, **shared)  # type: ignore[arg-type]


def test_a_label_free_first_stage_is_shared_by_all_shares_of_noise_and_changes_nothing(tmp_path: Path) -> None:
    result = noise_sweep.run(
        tmp_path / "W", drawn=60, methods=["distilled"], noises=[0.1, 0.3, 0.3], seeds=1, seed=1, epochs=2
    )
    low, high = result["rows"]
    folder = tmp_path / "W" / "runs" / "noise_sweep"
    assert len(list(folder.glob("encoder-*.safetensors"))) == 1
    assert low["first_stage_seconds"] > high["first_stage_seconds"]
    # the same training by hand, first stage included
    chosen = get_profile("quick", methods=["distilled"], seeds=1, epochs=2)
    faces = drawn_or_ingested(tmp_path / "W", chosen)
    noisy = noise_sweep.plant_symmetric(faces.given[faces.train], 0.3, num_classes=7, seed=1)
    own = np.random.default_rng(1).random(len(faces.train)) >= 0.1
    alone = fit(
        "distilled", faces.pixels[faces.train[own]], noisy[own],
        num_classes=7, config=chosen.train_config(seed=1, device="auto"),
    )  # fmt: skip
    right = predict(alone, faces.pixels[faces.test])["pred_probs"].argmax(1) == faces.given[faces.test]
    assert high["hits"] == "".join("01"[int(each)] for each in right)
    assert high["last_epoch"] == pytest.approx(right.mean())


def test_a_readme_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- /noise sweep -->\n<!-- noise sweep -->\n", "utf-8")
    result = {"table": [], "data": "d", "train_images": 1, "test_images": 1}
    with pytest.raises(UsageError, match="once each"):
        noise_sweep.write_readme(result, readme)
    assert readme.read_text("utf-8") == "<!-- /noise sweep -->\n<!-- noise sweep -->\n"
