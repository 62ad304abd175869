"""ASDC-FER against its formulas: attention, joint and key losses, and a teacher that nothing reaches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ferclean.progress import silent
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.methods import distilled
from ferclean.recognition.methods.distilled import (
    Config,
    MomentumContrast,
    Student,
    attention,
    attention_loss,
    distil,
    joint,
    joint_loss,
    key_feature_loss,
    key_positions,
    train_teacher,
)
from ferclean.recognition.pixels import Pixels
from ferclean.recognition.pretraining import Encoder, state_of
from ferclean.recognition.train import pretrain

TINY = TrainConfig(epochs=1, batch_size=8, device="cpu")


def maps(side: int = 7, width: int = 6, count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(count, width, side, side, generator=generator) for _ in range(2))
    return first, second


def encoder(width: int = 192) -> Encoder:
    return Encoder(make_backbone("slim", channels=1, input_size=32), width, hidden=16, out=8)


def test_attention_is_a_distribution_that_follows_the_energy() -> None:
    feature_map = torch.ones(1, 2, 1, 3)
    torch.testing.assert_close(attention(feature_map), torch.full((1, 3), 1 / 3))
    feature_map[..., 2] = 2.0  # energies 1, 1, 4: over their mean 0.5, 0.5, 2
    torch.testing.assert_close(attention(feature_map), torch.softmax(torch.tensor([[0.5, 0.5, 2.0]]), 1))
    torch.testing.assert_close(attention(10 * feature_map), attention(feature_map))
    torch.testing.assert_close(attention(torch.zeros(1, 2, 1, 3)).sum(), torch.tensor(1.0))


@pytest.mark.parametrize(("positions", "expected"), [(49, 13), (9, 3), (4, 1), (1, 1), (16, 4)])
def test_a_quarter_of_the_positions_are_key_positions(positions: int, expected: int) -> None:
    shares = torch.softmax(torch.randn(5, positions), 1)
    chosen = key_positions(shares, 0.25)
    assert chosen.shape == (5, expected)
    assert (chosen.diff(dim=1) > 0).all()
    assert shares.gather(1, chosen).amin(1).ge(shares.scatter(1, chosen, 0).amax(1)).all()


def test_elsewhere_the_feature_term_has_no_gradient_and_the_attention_term_has() -> None:
    theirs, ours = maps()
    ours.requires_grad_()
    key_feature_loss(theirs, ours, 0.25).backward()
    assert ours.grad is not None
    reached = ours.grad.abs().sum(1).flatten(1) > 0
    assert torch.equal(reached, torch.zeros_like(reached).scatter(1, key_positions(attention(theirs), 0.25), True))
    assert reached.sum(1).tolist() == [13] * 4
    ours.grad = None
    attention_loss(theirs, ours).backward()
    assert (ours.grad.abs().sum(1).flatten(1) > 0).all()


def test_key_losses_are_zero_for_equal_maps_and_positive_for_others() -> None:
    theirs, ours = maps()
    assert key_feature_loss(theirs, theirs, 0.25).item() == 0
    assert attention_loss(theirs, theirs).item() == pytest.approx(0, abs=1e-7)
    assert key_feature_loss(theirs, ours, 0.25) > 0
    assert attention_loss(theirs, ours) > 0
    a, b = attention(theirs), attention(ours)
    torch.testing.assert_close(
        attention_loss(theirs, ours), torch.nn.functional.kl_div(b.log(), a, reduction="batchmean")
    )


def test_the_joint_loss_is_zero_if_and_only_if_the_joint_vectors_are_equal() -> None:
    theirs, ours = maps()
    queries = torch.nn.functional.normalize(torch.randn(4, 3), dim=1)
    j = joint(theirs, queries)
    assert j.shape == (4, 9)
    torch.testing.assert_close(j.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(j[:, 6:] * 2**0.5, queries)  # both halves weigh the same
    assert joint_loss(j, joint(theirs, queries)).item() == 0
    assert joint_loss(j, joint(ours, queries)) > 1e-4
    assert joint_loss(j, joint(theirs, queries.roll(1, 0))) > 1e-4
    assert joint_loss(j, -j).item() == pytest.approx(4, abs=1e-5)


def test_no_gradient_reaches_the_teacher_or_the_momentum_encoder_and_both_stay_apart() -> None:
    images = np.random.default_rng(0).integers(0, 256, (16, 1, 32, 32), dtype=np.uint8)
    teacher, width = train_teacher(Pixels(images, torch.device("cpu")), Config(), TINY, silent)
    before = state_of(teacher)
    assert width == 192
    student = Student(encoder(), 192, width, Config()).train()
    contrast = MomentumContrast(student.encoder, Config(projection_out=8), 16, torch.device("cpu"))
    views = torch.randn(2, 8, 1, 32, 32)
    teacher.projection = encoder().projection.eval()
    for part in teacher.parameters():
        part.requires_grad_(True)  # even then
        part.grad = None  # of its own training
    for start in (0, 8):
        loss = distil(student, teacher, contrast, views[0], views[1], torch.arange(start, start + 8), 0.5)
        loss.backward()
    assert all(p.grad is None for p in (*teacher.parameters(), *contrast.slow.parameters()))
    assert all(p.grad is not None for p in student.parameters())
    assert contrast.queue.filled == 16
    assert all(torch.equal(before[f"backbone.{k}"], v) for k, v in state_of(teacher.backbone).items())


def test_the_momentum_rises_along_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr(distilled, "follow", lambda slow, model, momentum: seen.append(momentum))
    network = encoder()
    contrast = MomentumContrast(network, Config(projection_out=8), 4, torch.device("cpu"))
    for progress in (0.0, 0.5, 1.0):
        view = torch.randn(4, 1, 32, 32)
        contrast.loss(network(view)[1], view, torch.arange(4), progress)
    assert seen == pytest.approx([0.99, 0.9945, 0.999])


def test_the_queue_is_never_longer_than_the_set() -> None:
    sizes = [
        len(MomentumContrast(encoder(), Config(projection_out=8), count, torch.device("cpu")).queue.keys)
        for count in (100, 12000)
    ]
    assert sizes == [100, 4096]


def test_a_weights_file_is_the_teachers_backbone_and_stays_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = make_backbone("slim", channels=1, input_size=32)
    save_file(source.network.state_dict(), tmp_path / "w.safetensors")
    config = replace(TINY, weights=tmp_path / "w.safetensors")
    images = np.random.default_rng(0).integers(0, 256, (16, 1, 32, 32), dtype=np.uint8)
    teacher, _ = train_teacher(Pixels(images, torch.device("cpu")), Config(), config, silent)
    assert all(torch.equal(value, state_of(teacher.backbone)[name]) for name, value in state_of(source).items())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher.training
    state = pretrain("distilled", images, None, num_classes=3, config=config)
    assert state.keys() == state_of(source).keys()


def test_a_teacher_of_another_kind_and_map_is_followed() -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 1, 40, 40), dtype=np.uint8)
    options = {"distilled": {"teacher": "convnextv2_atto"}}
    state = pretrain("distilled", images, None, num_classes=3, config=replace(TINY, method_options=options))
    assert all(torch.isfinite(value).all() for value in state.values())
