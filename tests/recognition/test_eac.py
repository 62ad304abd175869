"""Erasing attention consistency against its formulas: activation maps, the loss between them, and the signal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ferclean.errors import UsageError
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.methods import cross_entropy, eac
from ferclean.recognition.methods.base import Batch
from ferclean.recognition.methods.eac import Config, Recognizer, consistency_loss, map_likeness, weight_at


def batch(count: int = 8, channels: int = 1, size: int = 48) -> Batch:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % 3
    view = torch.randn(count, channels, size, size, generator=generator)
    return Batch(views=(view,), labels=labels, given=labels, index=torch.arange(count))


def model_for(backbone: str = "slim", channels: int = 1, size: int = 48) -> Recognizer:
    torch.manual_seed(0)
    model = eac.build(Config(), 3, make_backbone(backbone, channels=channels, input_size=size))
    assert isinstance(model, Recognizer)
    return model


class Pointwise(nn.Module):
    """A made backbone that looks at each position alone, so mirroring the image mirrors its feature map."""

    width, map_size = 5, 6

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 5, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(images))


# --- activation maps


@pytest.mark.parametrize(
    ("backbone", "channels", "size"),
    [("slim", 1, 32), ("slim", 1, 48), ("slim", 3, 112), ("resnet18", 3, 48), ("convnextv2_atto", 3, 112)],
)
def test_the_mean_of_a_map_over_positions_plus_the_bias_is_the_logit(backbone: str, channels: int, size: int) -> None:
    model = model_for(backbone, channels, size).eval()
    with torch.no_grad():
        feature_map, logits, _ = model(batch(2, channels, size).views[0])
        maps = model.activation_maps(feature_map)
    assert maps.shape == (2, 3, *feature_map.shape[2:])
    torch.testing.assert_close(maps.mean((2, 3)) + model.classifier.bias, logits, rtol=1e-4, atol=1e-5)


def test_the_maps_teach_the_features_and_not_the_classifier() -> None:
    model = model_for().train()
    feature_map, _, _ = model(batch().views[0])
    model.activation_maps(feature_map).square().sum().backward()
    assert model.classifier.weight.grad is None
    assert all(p.grad is not None for p in model.backbone.parameters() if p.requires_grad)


# --- the loss


def test_consistency_of_made_maps_has_the_hand_computed_value() -> None:
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    mirrored = torch.tensor([[[[2.0, 0.0], [4.0, 6.0]]]])  # mirrored back: 0 2 / 6 4
    assert consistency_loss(maps, mirrored).item() == pytest.approx((1 + 0 + 9 + 0) / 4)


def test_maps_that_mirror_one_another_cost_nothing() -> None:
    maps = torch.randn(2, 3, 3, 3)
    assert consistency_loss(maps, maps.flip(3)).item() == 0
    assert consistency_loss(maps, maps).item() > 0.1
    symmetric = maps + maps.flip(3)
    assert consistency_loss(symmetric, symmetric).item() == 0


def test_up_and_down_are_not_exchanged() -> None:
    maps = torch.randn(2, 3, 3, 3)
    assert consistency_loss(maps, maps.flip(2, 3)).item() > 0.1


def test_a_symmetric_face_costs_nothing_where_its_map_is_symmetric() -> None:
    torch.manual_seed(0)
    model: Any = Recognizer(Pointwise(), 3)  # type: ignore[arg-type]
    face = torch.randn(2, 1, 6, 6)
    for images in (face + face.flip(3), face):  # and, as positions are looked at alone, neither does any other
        out = eac.step(model, Batch(**(vars(batch(2)) | {"views": (images,)})), Config(erase=0), 0.0)
        assert out["consistency"].item() == pytest.approx(0, abs=1e-12)


PAPER = Config(consistency_weight=5, ramp_power=0, erase_apart=False)


def test_with_the_papers_settings_the_loss_is_cross_entropy_plus_five_times_the_inconsistency() -> None:
    model = model_for().train()
    out = eac.step(model, batch(), PAPER, 0.0)
    assert out["consistency"] > 0
    torch.testing.assert_close(out["loss"], out["cross_entropy"] + 5 * out["consistency"])
    torch.testing.assert_close(out["cross_entropy"], nn.functional.cross_entropy(out["logits"], batch().labels))


def test_the_weight_rises_with_a_power_of_the_progress() -> None:
    assert [weight_at(p, Config()) for p in (0.0, 0.5, 1.0)] == [0.0, 1.25, 20.0]
    assert [weight_at(p, PAPER) for p in (0.0, 0.9)] == [5.0, 5.0]
    out = eac.step(model_for().train(), batch(), Config(), 0.5)
    torch.testing.assert_close(out["loss"], out["cross_entropy"] + 1.25 * out["consistency"])


def test_the_chosen_share_of_the_images_is_seen_with_one_grey_rectangle() -> None:
    model, seen = model_for().train(), []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    view = batch().views[0]
    for chance in (1.0, 0.0):
        eac.step(model, batch(), Config(erase=chance), 0.0)
    all_hit, none_hit = (images[: len(view)] for images in seen)
    assert torch.equal(none_hit, view)
    changed = (all_hit != view).flatten(1)
    assert changed.any(1).all()
    assert changed.float().mean() < 0.25
    assert (all_hit[all_hit != view] == 0).all()


def test_the_mirror_image_is_erased_on_its_own_unless_the_settings_say_otherwise() -> None:
    model, seen, view = model_for().train(), [], batch().views[0]
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for apart in (True, False):
        eac.step(model, batch(), Config(erase=1.0, erase_apart=apart), 0.0)
    (own, mirrored), (same, same_mirrored) = (images.split(len(view)) for images in seen)
    assert (mirrored != view.flip(3)).flatten(1).any(1).all()
    assert not torch.equal(mirrored, own.flip(3))
    assert torch.equal(same_mirrored, same.flip(3))


def test_inconsistency_alone_moves_the_backbone() -> None:
    model = model_for().train()
    eac.step(model, batch(), Config(), 0.0)["consistency"].backward()
    norms = [float(p.grad.norm()) for p in model.backbone.parameters() if p.requires_grad and p.grad is not None]
    assert len(norms) == sum(p.requires_grad for p in model.backbone.parameters())
    assert max(norms) > 0


def test_without_weight_there_is_one_pass_and_the_plain_baseline() -> None:
    model, cfg = model_for().train(), Config(consistency_weight=0, erase=0)
    seen: list[int] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    out = eac.step(model, batch(), cfg, 0.0)
    assert seen == [8]
    assert "consistency" not in out
    torch.manual_seed(0)
    plain = cross_entropy.build(cross_entropy.Config(), 3, make_backbone("slim", channels=1)).train()
    expected = cross_entropy.step(plain, batch(), cross_entropy.Config(), 0.0)
    assert torch.equal(out["logits"], expected["logits"])
    assert torch.equal(out["loss"], expected["loss"])


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="consistency_weight"):
        Config(consistency_weight=-1)
    with pytest.raises(UsageError, match="ramp_power"):
        Config(ramp_power=-1)
    with pytest.raises(UsageError, match="erase"):
        Config(erase=1.5)


# --- the signal


def test_likeness_is_1_for_mirrored_maps_and_minus_1_for_opposite_ones() -> None:
    maps = torch.randn(4, 3, 2, 2)
    torch.testing.assert_close(map_likeness(maps, maps.flip(3)), torch.ones(4))
    torch.testing.assert_close(map_likeness(maps, 3 * maps.flip(3)), torch.ones(4))
    torch.testing.assert_close(map_likeness(maps, -maps.flip(3)), -torch.ones(4))


def test_likeness_ignores_what_all_classes_share() -> None:
    maps, shared = torch.randn(4, 3, 2, 2), 100 * torch.randn(4, 1, 2, 2)
    other = torch.randn(4, 3, 2, 2)
    torch.testing.assert_close(map_likeness(maps + shared, other), map_likeness(maps, other), rtol=1e-3, atol=1e-3)
    assert map_likeness(shared.expand(4, 3, 2, 2), other).abs().max() < 1e-3


def test_likeness_ranks_the_lopsided_map_lowest() -> None:
    even = torch.tensor([[[1.0, 1.0]], [[0.0, 0.0]]])
    lopsided = torch.tensor([[[2.0, 0.0]], [[0.0, 0.0]]])
    leaning = torch.tensor([[[1.5, 0.5]], [[0.0, 0.0]]])
    maps = torch.stack([even, leaning, lopsided])
    # maps that stay where they are when the image is mirrored: (a, b) against (b, a) has cosine 2ab / (a² + b²)
    np.testing.assert_allclose(map_likeness(maps, maps).numpy(), [1.0, 0.6, 0.0], atol=1e-6)


@pytest.mark.parametrize("size", [32, 48])
def test_an_image_is_as_consistent_alone_as_in_a_batch_and_as_its_mirror_image(size: int) -> None:
    model = model_for(size=size).train()
    eac.step(model, batch(size=size), Config(), 0.0)
    model.eval()
    images = batch(size=size).views[0]
    with torch.no_grad():
        together, alone = eac.predict(model, images), eac.predict(model, images[2:3])
        mirrored = eac.predict(model, images.flip(3))
    signal = together["flip_consistency"]
    assert signal.shape == (8,)
    assert (signal.abs() <= 1 + 1e-6).all()
    assert signal.std() > 0
    torch.testing.assert_close(signal[2:3], alone["flip_consistency"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(signal, mirrored["flip_consistency"], rtol=1e-4, atol=1e-5)
