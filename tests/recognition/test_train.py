"""The training loop: repeatable, honest about the given label, and steady with odd inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ferclean.errors import BadDataError, FercleanError, UsageError
from ferclean.recognition import train
from ferclean.recognition.checkpoint import load_checkpoint, save_checkpoint
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.ema import WeightAverage
from ferclean.recognition.optimise import schedule
from ferclean.recognition.train import fit, given_label_dynamics, predict

TINY = TrainConfig(epochs=2, batch_size=8, device="cpu")


def tiny(count: int = 21, *, classes: int = 3, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, channels, 32, 32), dtype=np.uint8), np.arange(count) % classes


@pytest.mark.parametrize("method", ["cross_entropy", "supcon_relabel"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(method: str) -> None:
    images, labels = tiny()
    first, second, other = (
        fit(method, images, labels, num_classes=3, config=replace(TINY, seed=seed)) for seed in (1, 1, 2)
    )
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    assert first.given_prob.tobytes() == second.given_prob.tobytes()
    assert predict(first, images)["pred_probs"].tobytes() == predict(second, images)["pred_probs"].tobytes()
    assert predict(first, images)["pred_probs"].tobytes() != predict(other, images)["pred_probs"].tobytes()


def test_training_leaves_the_callers_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit("cross_entropy", *tiny(), num_classes=3, config=TINY)
    assert torch.equal(torch.rand(3), expected)


def test_dynamics_have_a_row_per_epoch_and_are_against_the_given_label() -> None:
    images, labels = tiny()
    result = fit("cross_entropy", images, labels, num_classes=3, config=TINY)
    assert result.given_prob.shape == result.margin.shape == (2, 21)
    assert result.given_prob.dtype == result.margin.dtype == np.float32
    assert np.isfinite(result.margin).all()
    assert ((result.given_prob > 0) & (result.given_prob < 1)).all()
    # a positive margin is the same as a correct training prediction
    assert (result.margin[-1] > 0).mean() == pytest.approx(result.history[-1]["accuracy"])


def test_a_method_remembers_from_epoch_to_epoch_of_one_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from ferclean.recognition.methods import cross_entropy
    from ferclean.recognition.methods.base import EpochEnd

    counted = []

    def count(end: EpochEnd, cfg: object) -> None:
        end.memory["epochs"] = end.memory.get("epochs", np.zeros(1)) + 1
        counted.append(float(end.memory["epochs"][0]))

    monkeypatch.setattr(cross_entropy, "after_epoch", count, raising=False)
    images, labels = tiny()
    for _ in range(2):
        fit("cross_entropy", images, labels, num_classes=3, config=TINY)
    assert counted == [1, 2, 1, 2]


def test_dynamics_stay_with_the_given_label_after_relabeling(monkeypatch: pytest.MonkeyPatch) -> None:
    from ferclean.recognition.methods import cross_entropy
    from ferclean.recognition.methods.base import EpochEnd, Flips

    seen = []

    def to_class_two(end: EpochEnd, cfg: object) -> Flips | None:
        seen.append(end.labels.copy())
        if end.epoch:
            return None
        return Flips(index=np.arange(21), to_label=np.full(21, 2), p=np.ones(21))

    monkeypatch.setattr(cross_entropy, "after_epoch", to_class_two, raising=False)
    images, labels = tiny(classes=2)
    result = fit("cross_entropy", images, labels, num_classes=3, config=replace(TINY, epochs=12, learning_rate=5e-3))
    assert len(result.flips) == 21
    assert seen[0].tolist() == labels.tolist()
    assert set(seen[1]) == {2}
    np.testing.assert_array_equal(result.labels, 2)
    assert result.flips[3] == {"index": 3, "epoch": 0, "from_label": 1, "to_label": 2, "p": 1.0}
    # everything is trained towards class 2, so the given labels lose
    assert result.given_prob[-1].mean() < 0.1
    assert result.margin[-1].max() < 0


# --- soft targets


def test_hard_labels_are_trained_on_with_pytorchs_loss_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    from ferclean.recognition.methods import cross_entropy
    from ferclean.recognition.methods.base import Batch

    images, labels = tiny()
    ours = fit("cross_entropy", images, labels, num_classes=3, config=TINY)

    def plainly(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits.float(), batch.labels)

    monkeypatch.setattr(cross_entropy, "loss_of", plainly)
    plain = fit("cross_entropy", images, labels, num_classes=3, config=TINY)
    assert ours.given_prob.tobytes() == plain.given_prob.tobytes()
    assert predict(ours, images)["pred_probs"].tobytes() == predict(plain, images)["pred_probs"].tobytes()


def test_a_label_teaches_as_much_as_it_weighs() -> None:
    images, labels = tiny(32, classes=2)
    images[labels == 0] //= 4
    said = labels.copy()
    said[labels == 0] = np.arange(int((labels == 0).sum())) % 2  # half of the dark faces are called bright
    config = replace(TINY, epochs=14, learning_rate=0.01)
    weights = np.where(said != labels, 0.2, 1.0)
    for count, weighed in ((0.5, None), (0.2 / 1.2, weights), (0.2 / 1.2, 1e308 * weights)):
        result = fit("cross_entropy", images, said, num_classes=2, weights=weighed, config=config)
        predicted = predict(result, images)["pred_probs"]
        assert predicted[labels == 0, 1].mean() == pytest.approx(count, abs=0.12)


@pytest.mark.parametrize(
    "weights",
    [np.zeros(24), np.ones(23), np.r_[np.nan, np.ones(23)], np.r_[-1.0, np.ones(23)], np.full(24, "1")],
    ids=["nothing", "too few", "no number", "less than nothing", "text"],
)
def test_weights_that_weigh_nothing_are_refused(weights: np.ndarray) -> None:
    images, labels = tiny(24)
    with pytest.raises(BadDataError, match="weights are 24 numbers of 0 or more"):
        fit("cross_entropy", images, labels, num_classes=3, weights=weights, config=TINY)


def test_a_recognizer_learns_the_shares_of_its_soft_targets() -> None:
    images, labels = tiny(32, classes=2)
    images[labels == 0] //= 4
    shares = np.where(labels[:, None] == 0, [[0.7, 0.3, 0.0]], [[0.1, 0.3, 0.6]])
    config = replace(TINY, epochs=14, learning_rate=0.01)
    result = fit("cross_entropy", images, shares, num_classes=3, config=config)
    predicted = predict(result, images)["pred_probs"]
    for kind in (0, 1):
        np.testing.assert_allclose(predicted[labels == kind].mean(0), shares[labels == kind][0], atol=0.1)
    # what needs one class takes the likeliest
    assert result.labels.tolist() == shares.argmax(1).tolist()
    assert result.history[-1]["accuracy"] > 0.9


@pytest.mark.parametrize("estimator", ["self_cure", "pairwise", "relative"])
def test_training_changes_no_soft_target(estimator: str) -> None:
    images, labels = tiny()
    options = {"supcon_relabel": {"estimator": estimator, "warmup_share": 0.0, "relabel_gap": -1.0, "settled_at": 1.0}}
    config = replace(TINY, epochs=4, learning_rate=0.01, method_options=options)
    assert fit("supcon_relabel", images, labels, num_classes=3, config=config).flips
    soft = fit("supcon_relabel", images, np.eye(3)[labels], num_classes=3, config=config)
    assert soft.flips == []
    assert soft.labels.tolist() == labels.tolist()


def test_margin_and_probability_of_a_label_by_hand() -> None:
    prob, margin = given_label_dynamics(torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 3.0]]), torch.tensor([0, 0]))
    torch.testing.assert_close(margin, torch.tensor([1.0, -3.0]))
    torch.testing.assert_close(prob[0], torch.softmax(torch.tensor([2.0, 0.0, 1.0]), 0)[0])


@pytest.mark.parametrize("count", [1, 2, 3, 9, 17])
@pytest.mark.parametrize("method", ["cross_entropy", "supcon_relabel"])
def test_tiny_sets_train_and_every_image_is_seen(method: str, count: int) -> None:
    images, labels = tiny(count)
    result = fit(method, images, labels, num_classes=3, config=TINY)
    assert np.isfinite(result.given_prob).all()
    assert (result.given_prob > 0).all()
    assert predict(result, images)["pred_probs"].shape == (count, 3)


def test_no_batch_has_a_single_row_and_all_rows_are_in_one() -> None:
    for count in range(2, 40):
        batches = train.make_batches(torch.randperm(count), 8)
        assert min(len(b) for b in batches) >= 2
        assert sorted(torch.cat(batches).tolist()) == list(range(count))


def test_one_class_alone_can_be_trained_on() -> None:
    images, _ = tiny(10)
    result = fit("supcon_relabel", images, np.full(10, 1), num_classes=3, config=TINY)
    assert np.isfinite(result.margin).all()


@pytest.mark.parametrize(
    ("images", "labels", "classes", "message"),
    [
        (np.zeros((2, 1, 8, 8), np.float32), np.zeros(2, int), 2, "uint8"),
        (np.zeros((2, 1, 8, 9), np.uint8), np.zeros(2, int), 2, "shape"),
        (np.zeros((2, 1, 32, 32), np.uint8), np.zeros(3, int), 2, "2 integers"),
        (np.zeros((2, 1, 32, 32), np.uint8), np.zeros(2), 2, "integers"),
        (np.zeros((2, 1, 32, 32), np.uint8), np.array([0, 2]), 2, "row 1 has label 2"),
        (np.zeros((2, 1, 32, 32), np.uint8), np.array([-1, 0]), 2, "row 0 has label -1"),
        (np.zeros((0, 1, 32, 32), np.uint8), np.zeros(0, int), 2, "no images"),
        (np.zeros((0, 1, 32, 32), np.uint8), np.zeros((0, 2)), 2, "no images"),
        (np.zeros((2, 1, 32, 32), np.uint8), np.full((2, 3), 1 / 3), 2, "2 rows of 2 shares"),
        (np.zeros((2, 1, 32, 32), np.uint8), np.array([[1, 0], [0, 1]]), 2, "2 rows of 2 shares"),
        (np.zeros((2, 1, 32, 32), np.uint8), np.array([[0.5, 0.5], [0.5, 0.4]]), 2, "row 1 of the soft targets"),
        (np.zeros((2, 1, 32, 32), np.uint8), np.array([[1.5, -0.5], [0.5, 0.5]]), 2, "row 0 of the soft targets"),
        (np.zeros((2, 1, 32, 32), np.uint8), np.array([[np.nan, 1], [0.5, 0.5]]), 2, "row 0 of the soft targets"),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_refused(
    images: np.ndarray, labels: np.ndarray, classes: int, message: str
) -> None:
    with pytest.raises(BadDataError, match=message):
        fit("cross_entropy", images, labels, num_classes=classes, config=TINY)


def test_a_single_class_vocabulary_is_refused() -> None:
    with pytest.raises(UsageError, match="two classes"):
        fit("cross_entropy", tiny()[0], np.zeros(21, int), num_classes=1, config=TINY)


def test_images_of_another_size_are_refused_at_prediction() -> None:
    result = fit("cross_entropy", *tiny(), num_classes=3, config=TINY)
    with pytest.raises(BadDataError, match="1 x 32 x 32"):
        predict(result, np.zeros((2, 1, 48, 48), np.uint8))


def test_an_empty_set_gets_empty_predictions() -> None:
    result = fit("supcon_relabel", *tiny(), num_classes=3, config=TINY)
    outputs = predict(result, np.zeros((0, 1, 32, 32), np.uint8))
    assert outputs["pred_probs"].shape == (0, 3)
    assert outputs["uerm_weight"].shape == (0,)


def test_flip_averaging_makes_an_image_and_its_mirror_image_equal() -> None:
    images, labels = tiny()
    result = fit("cross_entropy", images, labels, num_classes=3, config=TINY)
    mirrored = np.ascontiguousarray(images[..., ::-1])
    averaged = predict(result, images, flip_average=True)["pred_probs"]
    np.testing.assert_allclose(averaged, predict(result, mirrored, flip_average=True)["pred_probs"], atol=1e-5)
    plain = [predict(result, x, flip_average=False)["pred_probs"] for x in (images, mirrored)]
    np.testing.assert_allclose(averaged, (plain[0] + plain[1]) / 2, atol=1e-5)


def test_the_batch_size_of_prediction_changes_nothing() -> None:
    images, labels = tiny()
    result = fit("supcon_relabel", images, labels, num_classes=3, config=TINY)
    for name, value in predict(result, images, batch_size=5).items():
        np.testing.assert_allclose(value, predict(result, images)[name], rtol=1e-4, atol=1e-5)


def test_a_loss_that_is_no_number_says_to_lower_the_learning_rate() -> None:
    config = replace(TINY, learning_rate=1e30, clip_gradient=0, epochs=4)
    with pytest.raises(FercleanError, match="lower the learning rate"):
        fit("cross_entropy", *tiny(), num_classes=3, config=config)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("kind", ["one_cycle", "cosine"])
def test_every_optimizer_and_schedule_lowers_the_loss(optimizer: str, kind: str) -> None:
    images, labels = tiny(24)
    images[labels == 0] //= 4
    config = replace(TINY, optimizer=optimizer, schedule=kind, epochs=8, learning_rate=0.01, flip_average=False)  # type: ignore[arg-type]
    history = fit("cross_entropy", images, labels, num_classes=3, config=config).history
    assert history[-1]["loss"] < history[0]["loss"]


def test_a_one_cycle_schedule_rises_then_falls_to_nothing() -> None:
    rates = [schedule(TrainConfig(warmup_share=0.2), step / 100) for step in range(100)]
    assert np.argmax(rates) == 20
    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == pytest.approx(1)
    assert rates[-1] < 0.001
    assert schedule(TrainConfig(schedule="cosine"), 0.0) == 1


def test_progress_is_told_after_every_epoch() -> None:
    calls: list[tuple[str, int, int]] = []
    fit("cross_entropy", *tiny(), num_classes=3, config=TINY, progress=lambda *call: calls.append(call))
    assert calls == [("training cross_entropy", 1, 2), ("training cross_entropy", 2, 2)]


def test_validation_is_measured_and_changes_nothing() -> None:
    images, labels = tiny()
    plain = fit("cross_entropy", images, labels, num_classes=3, config=TINY)
    watched = fit(
        "cross_entropy", images, labels, num_classes=3, config=TINY, validation={"validation": (images, labels)}
    )
    accuracy = (predict(watched, images)["pred_probs"].argmax(1) == labels).mean()
    assert watched.history[-1]["validation_accuracy"] == pytest.approx(accuracy)
    assert plain.given_prob.tobytes() == watched.given_prob.tobytes()


def test_a_recognizer_trained_on_crops_judges_the_central_crop() -> None:
    images, labels = tiny()
    result = fit("supcon_relabel", images, labels, num_classes=3, config=replace(TINY, train_size=24))
    framed = images.copy()
    framed[:, :, :4] = framed[:, :, -4:] = 0
    framed[..., :4] = framed[..., -4:] = 255
    np.testing.assert_array_equal(predict(result, images)["pred_probs"], predict(result, framed)["pred_probs"])
    framed[:, :, 12] = 255
    assert not np.array_equal(predict(result, images)["pred_probs"], predict(result, framed)["pred_probs"])


# --- averaged weights


def test_the_averaged_weights_begin_as_the_model_and_follow_it() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    average = WeightAverage(model, time_constant=1 / np.log(2))  # decay of one half
    model.weight.data.fill_(4.0)
    average.update()
    assert average.model.weight.item() == 4.0
    model.weight.data.fill_(0.0)
    average.update()
    assert average.model.weight.item() == pytest.approx(2.0)
    average.update()
    assert average.model.weight.item() == pytest.approx(1.0)
    assert model.weight.item() == 0.0


def test_the_average_takes_over_batch_statistics() -> None:
    model = torch.nn.BatchNorm1d(2).train()
    average = WeightAverage(model, time_constant=1.0)
    model(torch.randn(8, 2) + 5)
    average.update()
    torch.testing.assert_close(average.model.running_mean, model.running_mean)
    assert average.model.num_batches_tracked.item() == 1


# --- checkpoints


@pytest.mark.parametrize("method", ["cross_entropy", "supcon_relabel"])
@pytest.mark.parametrize("backbone", ["slim", "resnet18"])
def test_a_checkpoint_predicts_like_the_recognizer_it_was_saved_from(
    tmp_path: Path, method: str, backbone: str
) -> None:
    images, labels = tiny(8)
    config = replace(TINY, backbone=backbone, epochs=1)
    result = fit(method, images, labels, num_classes=3, config=config)
    save_checkpoint(result, tmp_path / "deep" / "model.safetensors")
    loaded = load_checkpoint(tmp_path / "deep" / "model.safetensors")
    assert (loaded.config, loaded.method_config) == (result.config, result.method_config)
    for name, value in predict(result, images).items():
        np.testing.assert_array_equal(value, predict(loaded, images)[name])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model.safetensors"]


def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(UsageError, match="no recognizer at"):
        load_checkpoint(tmp_path / "absent.safetensors")
    (tmp_path / "garbage.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(BadDataError, match=r"garbage\.safetensors is a text file"):
        load_checkpoint(tmp_path / "garbage.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "weights.safetensors").read_bytes()[:-1])
    with pytest.raises(BadDataError, match=r"cut\.safetensors is no whole \.safetensors file"):
        load_checkpoint(tmp_path / "cut.safetensors")
    with pytest.raises(BadDataError, match="--weights"):
        load_checkpoint(tmp_path / "weights.safetensors")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("method", ["cross_entropy", "supcon_relabel"])
def test_cuda_trains_and_predicts_close_to_the_cpu(method: str) -> None:
    images, labels = tiny()
    result = fit(method, images, labels, num_classes=3, config=replace(TINY, device="cuda"))
    there = predict(result, images, device="cuda")["pred_probs"]
    np.testing.assert_allclose(there, predict(result, images, device="cpu")["pred_probs"], atol=0.03)
