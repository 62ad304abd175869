"""First stages: their shared parts by hand, and who sees which labels when a method has two stages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.errors import FercleanError
from ferclean.progress import silent
from ferclean.recognition import crossval
from ferclean.recognition.augment import CENTRE, SPREAD, normalise
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.crossval import cross_validate
from ferclean.recognition.methods import coarse_contrast, cross_entropy, distilled
from ferclean.recognition.methods.base import hook, with_class_names
from ferclean.recognition.methods.linear_probe import LinearProbe
from ferclean.recognition.pixels import Pixels
from ferclean.recognition.pretraining import (
    Queue,
    follow,
    read_state,
    share_of,
    state_of,
    strong_view,
    train_encoder,
    write_state,
)
from ferclean.recognition.train import fit, predict, pretrain
from tests.made_sets import noise_in_folds

TINY = TrainConfig(epochs=2, batch_size=8, device="cpu")
TWO_STAGES = ("coarse_contrast", "distilled")
MODULES = {"coarse_contrast": coarse_contrast, "distilled": distilled}


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return noise_in_folds(24)


def same(first: Any, second: Any) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# --- queue, momentum encoder, views


def test_the_queue_wraps_first_in_first_out() -> None:
    queue = Queue(5, 1, torch.device("cpu"))
    for start in (0, 2, 4):
        rows = torch.arange(start, start + 2)
        queue.push(rows[:, None].float(), rows)
        assert queue.filled == min(start + 2, 5)
    assert queue.rows.tolist() == [5, 1, 2, 3, 4]  # the sixth key took the place of the first
    assert queue.keys[:, 0].tolist() == [5, 1, 2, 3, 4]
    queue.push(torch.arange(10.0, 17.0)[:, None], torch.arange(10, 17))
    assert sorted(queue.rows.tolist()) == [12, 13, 14, 15, 16]  # of a large batch the newest stay


def test_info_nce_has_the_hand_computed_value_and_an_older_key_of_an_image_is_no_negative() -> None:
    queue = Queue(4, 2, torch.device("cpu"))
    query = torch.tensor([[1.0, 0.0]], requires_grad=True)
    key, row = torch.tensor([[1.0, 0.0]]), torch.tensor([7])
    assert queue.info_nce(query, key, row, temperature=1.0).item() == 0  # nobody to be told from yet
    queue.push(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([3, 7]))
    loss = queue.info_nce(query, key, row, temperature=1.0)
    assert loss.item() == pytest.approx(math.log(math.e + 1) - 1, abs=1e-6)
    queue.push(torch.tensor([[1.0, 0.0]]), torch.tensor([8]))
    loss.backward()  # what backward needs has outlived the push
    both = queue.info_nce(query, key, row, temperature=0.2)
    assert both.item() == pytest.approx(math.log(2 * math.exp(5) + 1) - 5, abs=1e-5)


def test_the_momentum_encoder_is_the_exact_running_mean() -> None:
    slow, model = nn.Linear(2, 1), nn.Linear(2, 1)
    for p, q in zip(slow.parameters(), model.parameters(), strict=True):
        nn.init.constant_(p, 1.0)
        nn.init.constant_(q, 2.0)
    follow(slow, model, 0.99)
    torch.testing.assert_close(slow.weight, torch.full((1, 2), 1.01))
    follow(slow, model, 0.99)
    torch.testing.assert_close(slow.bias, torch.tensor([0.99 * 1.01 + 0.01 * 2]))
    assert model.weight.tolist() == [[2.0, 2.0]]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_strong_view_is_repeatable_stays_in_range_and_leaves_the_images(channels: int) -> None:
    images = torch.randint(0, 256, (16, channels, 32, 32), dtype=torch.uint8)
    before = images.clone()
    first, again = (strong_view(images, size=28, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (16, channels, 28, 28)
    assert torch.equal(first, again)
    assert torch.equal(images, before)
    assert first.abs().max() <= CENTRE / SPREAD


def test_a_view_shows_at_least_half_of_the_image_and_never_its_outside() -> None:
    ramp = torch.arange(0, 256, 4, dtype=torch.uint8).expand(200, 1, 64, 64).contiguous()
    views = strong_view(ramp, size=64, generator=torch.Generator().manual_seed(0), jitter=0.0)
    width = (views.amax((1, 2, 3)) - views.amin((1, 2, 3))) * SPREAD / 252
    assert width.min() > math.sqrt(0.5 * 3 / 4) - 0.02
    assert width.max() <= 1
    rising = (views[:, 0, 0, -1] > views[:, 0, 0, 0]).float().mean()
    assert 0.35 < rising < 0.65  # half are mirrored


def test_without_chances_nothing_but_the_crop_changes_and_grey_takes_the_colour() -> None:
    images = torch.randint(0, 256, (40, 3, 24, 24), dtype=torch.uint8)
    whole = strong_view(images, size=24, generator=torch.Generator().manual_seed(0), grey=1.0)
    assert (whole - whole.mean(1, keepdim=True)).abs().max() < 1e-5
    flat = torch.full((8, 1, 24, 24), 200, dtype=torch.uint8)
    plain = strong_view(flat, size=24, generator=torch.Generator().manual_seed(0), jitter_chance=0.0)
    torch.testing.assert_close(plain, normalise(flat), rtol=1e-4, atol=1e-4)


def test_a_share_of_the_epochs_is_at_least_one() -> None:
    assert [share_of(replace(TINY, epochs=14), share) for share in (0.01, 0.5, 1.0, 2.0)] == [1, 7, 14, 28]


def test_a_first_stage_that_stops_being_a_number_says_so(data) -> None:
    weight = nn.Linear(1, 1)

    def step(first: Tensor, second: Tensor, index: Tensor, progress: float) -> Tensor:
        return weight.weight.sum() * math.nan

    with pytest.raises(FercleanError, match="a title slim stopped being a number in epoch 1"):
        train_encoder(
            weight, step, Pixels(data[0], torch.device("cpu")), TINY,
            epochs=1, seed=0, learning_rate=0.1, title="a title", progress=silent,
        )  # fmt: skip


def test_an_encoder_on_disk_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = state_of(make_backbone("slim", channels=1))
    write_state(tmp_path / "deep" / "encoder.safetensors", state)
    assert same(read_state(tmp_path / "deep" / "encoder.safetensors"), state)

    def broken(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(KeyboardInterrupt):
        write_state(tmp_path / "deep" / "other.safetensors", state)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["encoder.safetensors"]


# --- the linear layer


@pytest.mark.parametrize("backbone", ["slim", "resnet18"])
def test_the_frozen_encoder_stays_in_eval_mode_and_takes_no_gradient(backbone: str) -> None:
    model = LinearProbe(make_backbone(backbone, channels=1, input_size=32), 3).train()
    assert model.training
    assert not any(module.training for module in model.backbone.modules())
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["classifier.weight", "classifier.bias"]


@pytest.mark.parametrize(
    ("name", "backbone"), [("coarse_contrast", "slim"), ("distilled", "slim"), ("coarse_contrast", "resnet18")]
)
def test_weights_and_batch_statistics_are_bit_identical_after_linear_evaluation(data, name: str, backbone: str) -> None:
    images, labels, _ = data
    config = replace(TINY, backbone=backbone, batch_size=12)
    state = pretrain(name, images, labels, num_classes=3, config=config)
    assert any("running_mean" in key for key in state)
    kept = {key: value.clone() for key, value in state.items()}
    result = fit(name, images, labels, num_classes=3, config=config, pretrained=state)
    assert same(state_of(result.model.backbone), kept)
    assert same(state, kept)


# --- the hook


def test_a_method_without_a_first_stage_gives_no_state(data) -> None:
    assert pretrain("cross_entropy", *data[:2], num_classes=3, config=TINY) == {}
    assert hook(cross_entropy, "LABEL_FREE") is False
    assert with_class_names(TINY, "cross_entropy", ["fear", "anger"]) is TINY


@pytest.mark.parametrize("name", TWO_STAGES)
def test_both_stages_give_the_same_bytes_for_the_same_seed_in_one_call_or_two(data, name: str) -> None:
    images, labels, _ = data
    torch.manual_seed(5)
    state = pretrain(name, images, labels, num_classes=3, config=TINY)
    expected = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), expected)  # the caller's random state is left alone
    assert same(state, pretrain(name, images, labels, num_classes=3, config=TINY))
    assert not same(state, pretrain(name, images, labels, num_classes=3, config=replace(TINY, seed=1)))
    together = fit(name, images, labels, num_classes=3, config=TINY)
    apart = fit(name, images, labels, num_classes=3, config=TINY, pretrained=state)
    assert same(together.model.state_dict(), apart.model.state_dict())
    assert predict(together, images)["pred_probs"].tobytes() == predict(apart, images)["pred_probs"].tobytes()


@pytest.mark.parametrize("name", TWO_STAGES)
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_tiny_sets_go_through_both_stages(data, name: str, count: int) -> None:
    result = fit(name, data[0][:count], data[1][:count], num_classes=3, config=TINY)
    assert np.isfinite(predict(result, data[0])["pred_probs"]).all()


def test_a_label_free_method_never_receives_labels(data, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels, _ = data
    seen = []
    original = distilled.pretrain
    monkeypatch.setattr(distilled, "pretrain", lambda start, cfg: seen.append(start.labels) or original(start, cfg))
    pretrain("distilled", images, labels, num_classes=3, config=TINY)
    assert seen == [None]


# --- cross-validation


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, Any]]]:
    """(images, state) of every first stage that runs."""
    found: list[tuple[int, Any]] = []
    for module in MODULES.values():
        original = module.pretrain

        def spy(start: Any, cfg: Any, original: Any = original) -> Any:
            state = original(start, cfg)
            found.append((len(start.images), state))
            return state

        monkeypatch.setattr(module, "pretrain", spy)
    return found


def test_a_label_free_first_stage_runs_once_on_all_images(data, calls) -> None:
    images, labels, folds = data
    result = cross_validate("distilled", images, labels, folds, num_classes=3, config=TINY)
    assert [count for count, _ in calls] == [24]
    rows = folds != 1
    model = fit("distilled", images[rows], labels[rows], num_classes=3, config=TINY, pretrained=calls[0][1])
    np.testing.assert_array_equal(result.pred_probs[~rows], predict(model, images[~rows])["pred_probs"])


def test_a_first_stage_that_reads_labels_runs_once_per_fold_and_never_sees_the_held_out_ones(data, calls) -> None:
    images, labels, folds = data
    result = cross_validate("coarse_contrast", images, labels, folds, num_classes=3, config=TINY)
    assert [count for count, _ in calls] == [16, 16, 16]
    changed = np.where(folds == 0, (labels + 1) % 3, labels)
    again = cross_validate("coarse_contrast", images, changed, folds, num_classes=3, config=TINY)
    assert same(calls[0][1], calls[3][1])  # fold 0 was held out: its labels change nothing
    assert not same(calls[1][1], calls[4][1])
    np.testing.assert_array_equal(result.pred_probs[folds == 0], again.pred_probs[folds == 0])


def test_an_interrupted_run_reuses_its_folds_and_its_encoder(
    data, calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels, folds = data
    whole = cross_validate("distilled", images, labels, folds, num_classes=3, config=TINY)
    trained = []
    original = crossval.run_fold

    def counted(*args: Any, **options: Any) -> Any:
        trained.append(1)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(crossval, "run_fold", counted)
    calls.clear()
    options = {"num_classes": 3, "config": TINY, "out_dir": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        cross_validate("distilled", images, labels, folds, **options)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".parquet", ".safetensors"]
    resumed = cross_validate("distilled", images, labels, folds, **options)
    assert (len(calls), len(trained)) == (1, 4)
    assert whole.pred_probs.tobytes() == resumed.pred_probs.tobytes()
    # other labels use the encoder that no label went into; other images or settings do not
    cross_validate("distilled", images, (labels + 1) % 3, folds, **options)
    assert len(calls) == 1
    cross_validate("distilled", images[:, :, ::-1], labels, folds, **options)
    cross_validate("distilled", images, labels, folds, **(options | {"config": replace(TINY, seed=1)}))
    assert len(calls) == 3


def test_progress_names_both_stages(data) -> None:
    images, labels, folds = data
    said: list[tuple[str, int, int]] = []
    cross_validate(
        "distilled", images, labels, folds, num_classes=3, config=TINY, progress=lambda *call: said.append(call)
    )
    assert said[:4] == [
        ("pretraining the teacher of distilled", 1, 1),  # half of the epochs
        ("pretraining distilled", 1, 2),
        ("pretraining distilled", 2, 2),
        ("training distilled, fold 1 of 3", 1, 6),
    ]


# --- does it teach anything?


def mouths(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lines that curve up, down or not at all, anywhere near the middle, in any light.

    As in faces, the class is in the geometry of a part; of texture (stripes in three directions) bends teach nothing.
    """
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(count) % 3)
    down, right = np.mgrid[:32, :32]
    x, y = rng.uniform(13, 19, (2, count, 1, 1))
    line = y + (truth - 1)[:, None, None] * 0.05 * ((right - x) ** 2 - 30)
    images = 60 * np.exp(-(((down - line) / 1.6) ** 2)) * (abs(right - x) < 10) + rng.normal(0, 12, (count, 32, 32))
    images = images * rng.uniform(0.5, 1.2, (count, 1, 1)) + rng.uniform(-40, 40, (count, 1, 1)) + 110
    return images[:, None].clip(0, 255).astype(np.uint8), truth


@pytest.mark.parametrize(("name", "epochs"), [("coarse_contrast", 5), ("distilled", 12)])
def test_a_linear_layer_on_the_encoder_beats_one_on_the_same_encoder_untrained(name: str, epochs: int) -> None:
    images, labels = mouths(320, 0)
    others, truth = mouths(300, 1)
    config = TrainConfig(epochs=epochs, batch_size=16, learning_rate=3e-3, device="cpu")
    torch.manual_seed(0)
    untrained = state_of(make_backbone("slim", channels=1, input_size=32))
    trained = pretrain(name, images, labels, num_classes=3, config=config)
    right = []
    for state in (untrained, trained):
        # what a linear layer can read, without the luck of how it is trained
        backbone = make_backbone("slim", channels=1, input_size=32).eval()
        backbone.load_state_dict(state)
        with torch.no_grad():
            features, held_out = (
                F.normalize(backbone(normalise(torch.from_numpy(x))).mean((2, 3)), dim=1) for x in (images, others)
            )
        mean, spread = features.mean(0), features.std(0) + 1e-6
        inputs, outputs = (features - mean) / spread, F.one_hot(torch.from_numpy(labels), 3).float()
        ridge = inputs.T @ inputs + 100 * torch.eye(inputs.shape[1])
        weights = torch.linalg.solve(ridge, inputs.T @ (outputs - outputs.mean(0)))
        right.append((((held_out - mean) / spread @ weights).argmax(1).numpy() == truth).mean())
    assert right[1] > right[0] + 0.05
