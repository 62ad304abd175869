"""Out-of-fold: nobody judges what it has seen, and an interrupted run goes on where it stopped."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ferclean.errors import BadDataError
from ferclean.recognition import crossval
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.checkpoint import load_checkpoint
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.crossval import OutOfFold, cross_validate, ensemble, run_fold, training_digest
from ferclean.recognition.train import fit, predict
from tests.made_sets import noise_in_folds

TINY = TrainConfig(epochs=3, batch_size=8, device="cpu")
ARRAYS = ("pred_probs", "logits", "embedding", "fold", "given_prob", "margin")
KNOWN = {
    "supcon_relabel": "b363a15ef9a2",
    "cross_entropy": "1c0b32584e9f",
    "cross_layer": "de676b058004",
    "eac": "f82563234a47",
    "triplet_center": "9841049ce836",
    "coarse_contrast": "91c153f664db",
    "distilled": "0d064b37fbef",
}
"""Method -> `training_digest` of what the test below gives it, as ferclean 0.1.0 names stored folds and encoders."""


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return noise_in_folds(30)


def validate(data: tuple[np.ndarray, ...], out_dir: Path | None = None, **options: object) -> OutOfFold:
    arguments = {"num_classes": 3, "config": TINY, "out_dir": out_dir} | options
    return cross_validate("supcon_relabel", *data, **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result(data) -> OutOfFold:
    return validate(data)


def test_every_row_is_predicted_by_the_model_that_was_trained_without_its_fold(data, result: OutOfFold) -> None:
    images, labels, folds = data
    assert result.pred_probs.shape == (30, 3)
    assert result.pred_probs.dtype == np.float32
    np.testing.assert_allclose(result.pred_probs.sum(1), 1, atol=1e-5)
    rows = folds != 1
    model = fit("supcon_relabel", images[rows], labels[rows], num_classes=3, config=TINY)
    outputs = predict(model, images[~rows])
    for name in ("pred_probs", "logits", "embedding"):
        np.testing.assert_array_equal(getattr(result, name)[~rows], outputs[name])
    np.testing.assert_array_equal(result.signals["uerm_weight"][~rows], outputs["uerm_weight"])
    np.testing.assert_array_equal(result.fold, folds)


def test_a_rows_own_label_does_not_move_its_probabilities(data, result: OutOfFold) -> None:
    images, labels, folds = data
    changed = labels.copy()
    row = int(np.flatnonzero(folds == 0)[0])
    changed[row] = (changed[row] + 1) % 3
    again = validate((images, changed, folds))
    np.testing.assert_array_equal(result.pred_probs[folds == 0], again.pred_probs[folds == 0])
    assert not np.array_equal(result.pred_probs[folds == 1], again.pred_probs[folds == 1])


def test_dynamics_are_means_over_the_fits_that_trained_on_the_row(data, result: OutOfFold) -> None:
    images, labels, folds = data
    assert result.given_prob.shape == result.margin.shape == (3, 30)
    fits = [fit("supcon_relabel", images[folds != f], labels[folds != f], num_classes=3, config=TINY) for f in (1, 2)]
    in_both = np.flatnonzero(folds == 0)
    first, second = (
        f.margin[:, np.searchsorted(np.flatnonzero(folds != name), in_both)]
        for f, name in zip(fits, (1, 2), strict=True)
    )
    np.testing.assert_allclose(result.margin[:, in_both], (first + second) / 2, rtol=1e-5)


def test_flips_name_the_row_of_the_whole_set_and_the_fold() -> None:
    """Stripes that lie, stand or slant, so that there is something to learn; six of the 60 labels are wrong."""
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 3
    down, right = np.mgrid[:32, :32]
    waves = np.stack([np.sin(right / 2), np.sin(down / 2), np.sin((right + down) / 2)])
    images = (waves[truth][:, None] * 80 + 128 + rng.normal(0, 10, (60, 1, 32, 32))).clip(0, 255).astype(np.uint8)
    labels, folds = truth.copy(), rng.permutation(60) % 3
    labels[:6] = (truth[:6] + 1) % 3
    options = {"supcon_relabel": {"relabel_gap": 0.0, "warmup_share": 0.0, "settled_at": 1.0}}
    config = replace(TINY, epochs=5, rotate=0.0, method_options=options)
    flips, again = (validate((images, labels, folds), config=config).flips for _ in range(2))
    assert flips
    assert flips == again
    for flip in flips:
        assert set(flip) == {"index", "fold", "epoch", "from_label", "to_label", "p"}
        assert folds[flip["index"]] != flip["fold"]  # only training rows are relabelled
    first = {(flip["index"], flip["fold"]): flip for flip in reversed(flips)}
    assert all(labels[flip["index"]] == flip["from_label"] for flip in first.values())


def test_an_interrupted_run_goes_on_at_the_unfinished_fold(
    data, result: OutOfFold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def counted(*args: object, **options: object) -> object:
        trained.append(1)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return run_fold(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(crossval, "run_fold", counted)
    with pytest.raises(KeyboardInterrupt):
        validate(data, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    resumed = validate(data, tmp_path)
    assert len(trained) == 4  # one done, one interrupted, two more
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(result, name), getattr(resumed, name))
    np.testing.assert_array_equal(result.signals["uerm_weight"], resumed.signals["uerm_weight"])
    assert result.flips == resumed.flips
    assert [path.suffix for path in tmp_path.iterdir()] == [".parquet"] * 3
    validate(data, tmp_path)
    assert len(trained) == 4
    one, other, _ = sorted(tmp_path.iterdir())
    one.write_bytes(one.read_bytes()[:-50])
    shutil.copyfile(tmp_path / sorted(tmp_path.iterdir())[2], other)
    told: list[str] = []
    assert validate(data, tmp_path, tell=told.append).pred_probs.tobytes() == result.pred_probs.tobytes()
    assert len(trained) == 6
    assert f"fold 1/3: {one} is damaged (" in told[0]
    assert "this fold is trained again" in told[0]
    assert f"fold 2/3: {other} was made for {sorted(tmp_path.iterdir())[2].stem}, not for {other.stem}" in told[2]
    trained[4:] = []
    for times in (7, 7):  # a fold without its recognizer is trained again where that is to be kept, once
        kept = validate(data, tmp_path, keep_weights=True)
        assert len(trained) == times
        assert kept.pred_probs.tobytes() == result.pred_probs.tobytes()
    images, _, folds = data
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    for path in tmp_path.glob("*.safetensors"):
        held_out = folds == int(path.name.split("-")[1])
        said = predict(load_checkpoint(path), images[held_out])["pred_probs"]
        np.testing.assert_array_equal(said, result.pred_probs[held_out])


def test_finished_folds_of_other_settings_or_data_are_not_picked_up(
    data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels, folds = data
    validate(data, tmp_path)
    changed = labels.copy()
    changed[0] = (changed[0] + 1) % 3
    other_pixels = images.copy()
    other_pixels[0] = 0
    trained = []
    monkeypatch.setattr(crossval, "run_fold", lambda *a, **o: trained.append(1) or run_fold(*a, **o))
    validate((images, changed, folds), tmp_path)
    validate((other_pixels, labels, folds), tmp_path)
    validate(data, tmp_path, config=replace(TINY, seed=1))
    assert len(trained) == 9


def weights_file(path: Path, seed: int) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.save(make_backbone("slim", channels=1, input_size=32).network.state_dict(), path)
    return path


def test_finished_folds_belong_to_what_the_weights_file_held_not_to_its_path(
    data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []
    monkeypatch.setattr(crossval, "run_fold", lambda *a, **o: trained.append(1) or run_fold(*a, **o))
    config = replace(TINY, epochs=1, weights=weights_file(tmp_path / "w.pth", seed=1))
    first = validate(data, tmp_path / "out", config=config)
    moved = (tmp_path / "w.pth").rename(tmp_path / "elsewhere.pth")
    again = validate(data, tmp_path / "out", config=replace(config, weights=moved))
    assert len(trained) == 3
    np.testing.assert_array_equal(first.pred_probs, again.pred_probs)
    weights_file(tmp_path / "w.pth", seed=2)
    other = validate(data, tmp_path / "out", config=config)
    assert len(trained) == 6
    assert not np.array_equal(first.pred_probs, other.pred_probs)


def test_a_weights_file_that_changes_while_folds_are_trained_is_refused(
    data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(TINY, epochs=1, weights=weights_file(tmp_path / "w.pth", seed=1))

    def replaced(*args: object, **options: object) -> object:
        weights_file(tmp_path / "w.pth", seed=2)
        return run_fold(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(crossval, "run_fold", replaced)
    with pytest.raises(BadDataError, match=r"w\.pth changed while folds were trained"):
        validate(data, tmp_path / "out", config=config)
    assert not list((tmp_path / "out").glob("*"))


def test_progress_runs_from_nothing_to_all_folds(data) -> None:
    calls: list[tuple[str, int, int]] = []
    validate(data, progress=lambda *call: calls.append(call))
    assert [done for _, done, _ in calls] == list(range(1, 10))
    assert {total for _, _, total in calls} == {9}
    assert calls[0][0] == "training supcon_relabel, fold 1 of 3"


def test_a_single_fold_is_refused(data) -> None:
    images, labels, folds = data
    with pytest.raises(BadDataError, match="at least two folds"):
        validate((images, labels, np.zeros_like(folds)))
    with pytest.raises(BadDataError, match="one fold per image"):
        validate((images, labels, folds[:-1]))


def test_a_class_that_lives_in_one_fold_only_still_gets_probabilities(data) -> None:
    images, _, folds = data
    labels = np.where(folds == 0, 2, np.arange(30) % 2)
    outputs = validate((images, labels, folds))
    assert np.isfinite(outputs.pred_probs).all()


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    a, b = np.array([[0.9, 0.1]], np.float32), np.array([[0.5, 0.5]], np.float32)
    np.testing.assert_allclose(ensemble([a, b]), [[0.7, 0.3]], rtol=1e-6)
    assert ensemble([a]).dtype == np.float32
    with pytest.raises(BadDataError, match="at least one member"):
        ensemble([])
    with pytest.raises(BadDataError):
        ensemble([a, np.ones((2, 2))])


@pytest.mark.parametrize("name", KNOWN)
def test_stored_folds_and_encoders_keep_their_names(name: str) -> None:
    """Settings that are renamed, reordered or have another default are another training; so must it be meant."""
    images = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 1, 8, 8)
    assert training_digest(name, images, num_classes=3, config=TrainConfig()) == KNOWN[name]
