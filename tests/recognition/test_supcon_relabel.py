"""The default recognizer against its formulas: contrast, amending head, uncertainty, relabeling."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ferclean.errors import UsageError
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.methods import supcon_relabel
from ferclean.recognition.methods.amend import AmendingHead, kernel_and_stride
from ferclean.recognition.methods.base import Batch
from ferclean.recognition.methods.contrast import ProjectionHead, supervised_contrastive
from ferclean.recognition.methods.supcon_relabel import Config
from ferclean.recognition.methods.uncertainty import (
    ESTIMATORS,
    Pairwise,
    Relative,
    SelfCure,
    group_size,
    rank_loss,
    relabel,
)

PAIR = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


# --- supervised contrast


@pytest.mark.parametrize(("labels", "expected"), [([0, 1], 0.5514447), ([0, 0], 1.2181114)])
def test_contrast_of_two_identical_views_has_the_hand_computed_value(labels: list[int], expected: float) -> None:
    loss = supervised_contrastive((PAIR, PAIR), torch.tensor(labels), temperature=1.0)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    if labels == [0, 1]:
        assert loss.item() == pytest.approx(math.log(math.e + 2) - 1, abs=1e-6)


def test_weights_multiply_anchors_and_the_sum_is_divided_by_their_number() -> None:
    weights = torch.tensor([1.0, 0.5])
    loss = supervised_contrastive((PAIR, PAIR), torch.tensor([0, 1]), temperature=1.0, weights=weights)
    assert loss.item() == pytest.approx(0.4135835, abs=1e-6)


def test_contrast_equals_a_loop_over_its_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    views = [F.normalize(torch.randn(6, 5, generator=generator), dim=1) for _ in range(2)]
    labels = torch.tensor([0, 1, 0, 2, 1, 0])
    z, y = torch.cat(views), torch.cat([labels, labels])
    terms = []
    for i in range(12):
        total = sum(math.exp(float(z[i] @ z[a]) / 0.1) for a in range(12) if a != i)
        positives = [p for p in range(12) if p != i and y[p] == y[i]]
        terms.append(-sum(math.log(math.exp(float(z[i] @ z[p]) / 0.1) / total) for p in positives) / len(positives))
    loss = supervised_contrastive((views[0], views[1]), labels, temperature=0.1)
    assert loss.item() == pytest.approx(sum(terms) / 12, rel=1e-4)


def test_anchors_without_a_positive_are_left_out() -> None:
    one_view = torch.cat([PAIR, F.normalize(torch.tensor([[1.0, 1.0]]), dim=1)])
    loss = supervised_contrastive((one_view,), torch.tensor([0, 0, 1]), temperature=1.0)
    assert torch.isfinite(loss)
    alone = supervised_contrastive((PAIR,), torch.tensor([0, 1]), temperature=1.0)
    assert alone.item() == 0


def test_projections_have_length_one_and_the_papers_sizes() -> None:
    head = ProjectionHead(512)
    assert [tuple(p.shape) for p in head.parameters() if p.dim() == 2] == [(512, 512), (128, 512)]
    torch.testing.assert_close(head(torch.randn(3, 512)).norm(dim=1), torch.ones(3))


# --- amending head


def test_a_224_pixel_resnet18_map_gives_the_papers_kernel_and_grid() -> None:
    head = AmendingHead(512, 7, 7)
    assert head.amend.kernel_size == (32, 32)
    assert head.amend.stride == (8, 8)
    assert head.amend.bias is None
    assert head.channels == 2
    assert head.positions(torch.randn(2, 512, 7, 7)).shape == (2, 11, 11)
    assert not list(head.project.parameters())


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 6, 7, 9, 14, 28])
@pytest.mark.parametrize("width", [24, 192, 512, 768])
def test_any_map_becomes_an_11_by_11_grid(side: int, width: int) -> None:
    head = AmendingHead(width, side, 7).eval()
    assert head.positions(torch.randn(2, width, side, side)).shape == (2, 11, 11)
    kernel, stride = kernel_and_stride(side * 16)
    assert kernel >= stride  # no position of the map is passed over


def test_a_width_that_does_not_divide_is_projected_first() -> None:
    assert AmendingHead(192, 3, 7).project.weight.shape == (512, 192, 1, 1)


def test_the_head_in_train_mode_adds_alpha_times_the_batch_mean_with_which_the_running_mean_starts() -> None:
    head = AmendingHead(512, 2, 7).train()
    feature_map = torch.randn(4, 512, 2, 2)
    with torch.no_grad():
        head.alpha.fill_(0.0)
        own = head.positions(feature_map)
        torch.testing.assert_close(head.running_mean, own.mean(0))
        head.alpha.fill_(2.0)
        both = head.positions(feature_map)
    torch.testing.assert_close(both, own + 2 * own.mean(0), rtol=1e-4, atol=1e-5)


def test_a_map_of_another_size_is_resampled() -> None:
    head = AmendingHead(512, 3, 7).eval()
    assert head(torch.randn(2, 512, 5, 5)).shape == (2, 7)


# --- uncertainty


@pytest.mark.parametrize(("count", "size"), [(10, 7), (4, 2), (3, 2), (2, 1), (1, 1), (64, 44), (20, 14), (30, 21)])
def test_the_high_group_has_floor_of_seventy_percent(count: int, size: int) -> None:
    assert group_size(count) == size


@pytest.mark.parametrize(("weights", "expected"), [([0.9, 0.8, 0.4, 0.3], 0.0), ([0.6, 0.55, 0.5, 0.5], 0.075)])
def test_rank_loss_has_the_hand_computed_values(weights: list[float], expected: float) -> None:
    shuffled = torch.tensor(weights)[torch.tensor([2, 0, 3, 1])]
    assert rank_loss(shuffled, margin=0.15).item() == pytest.approx(expected, abs=1e-6)


def test_rank_loss_of_a_single_sample_is_zero() -> None:
    assert rank_loss(torch.tensor([0.3]), margin=0.15).item() == 0


@pytest.mark.parametrize(
    ("p", "label", "flips_to"),
    [([0.5, 0.3, 0.2], 1, None), ([0.45, 0.3, 0.25], 1, None), ([0.2, 0.2, 0.6], 0, 2)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_label_flips_only_above_a_gap_of_one_fifth(
    p: list[float], label: int, flips_to: int | None, dtype: type
) -> None:
    pred_probs = np.array([p, [1, 0, 0]], dtype=dtype)
    rows = relabel(pred_probs, np.array([label, 0]), np.array([0.1, 0.9]), gap=0.2)
    assert rows.tolist() == ([] if flips_to is None else [0])
    if flips_to is not None:
        assert pred_probs[rows].argmax(1).tolist() == [flips_to]


def test_only_the_low_confidence_group_is_relabelled() -> None:
    pred_probs = np.tile([0.0, 1.0], (10, 1))
    rows = relabel(pred_probs, np.zeros(10, dtype=int), np.linspace(0, 1, 10), gap=0.2)
    assert rows.tolist() == [0, 1, 2]


def test_a_single_sample_is_never_relabelled() -> None:
    assert len(relabel(np.array([[0.0, 1.0]]), np.array([0]), np.array([0.0]), gap=0.2)) == 0


def test_self_cure_is_the_sigmoid_of_a_linear_map() -> None:
    module = SelfCure(5, 3)
    features = torch.randn(4, 5)
    expected = torch.sigmoid(features @ module.linear.weight[0] + module.linear.bias)
    torch.testing.assert_close(module(features, torch.zeros(4, dtype=torch.long)), expected)


def test_pairwise_cosines_are_means_over_the_other_members_of_a_class() -> None:
    module = Pairwise(6, 3).train()
    features = torch.randn(5, 6)
    labels = torch.tensor([0, 0, 1, 1, 1])
    unit = F.normalize(features, dim=1)
    cosines = module._batch_cosines(unit, F.one_hot(labels, 3).float())
    assert cosines[0, 0].item() == pytest.approx(float(unit[0] @ unit[1]), abs=1e-5)
    assert cosines[0, 1].item() == pytest.approx(float((unit[2:] @ unit[0]).mean()), abs=1e-5)
    assert cosines[:, 2].abs().max() == 0  # no member was ever seen


def test_pairwise_in_eval_mode_uses_directions_it_has_seen() -> None:
    module = Pairwise(6, 3).train()
    features, labels = torch.randn(5, 6), torch.tensor([0, 0, 1, 1, 2])
    module(features, labels)
    assert module.seen.all()
    module.eval()
    torch.testing.assert_close(module(features, labels)[:1], module(features[:1], labels[:1]))


def test_relative_uncertainty_gives_the_less_certain_image_the_larger_share() -> None:
    module = Relative(4, 3)
    with torch.no_grad():
        module.log_variance.weight.zero_()
        module.log_variance.weight[:, 0] = 1.0
        module.log_variance.bias.zero_()
    features = torch.tensor([[math.log(3.0), 0, 0, 0], [0.0, 0, 0, 0]])
    torch.testing.assert_close(module.sigma(features), torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(module(features, torch.tensor([0, 0])), torch.tensor([0.25, 0.5]))
    feature_map = torch.tensor([1.0, 0.0])[:, None, None, None].expand(2, 4, 1, 1)
    mixed = module.mix(feature_map, features, torch.tensor([1, 0]))
    torch.testing.assert_close(mixed[:, 0, 0, 0], torch.tensor([0.75, 0.75]))


# --- the method


def batch(count: int = 8, channels: int = 1, size: int = 48) -> Batch:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % 3
    views = tuple(torch.randn(count, channels, size, size, generator=generator) for _ in range(2))
    return Batch(views=views, labels=labels, given=labels, index=torch.arange(count))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_loss_is_the_sum_of_its_named_parts(estimator: str) -> None:
    cfg = Config(estimator=estimator)  # type: ignore[arg-type]
    model = supcon_relabel.build(cfg, 3, make_backbone("slim", channels=1)).train()
    out = supcon_relabel.step(model, batch(), cfg, 0.0)
    other = "mixing" if estimator == "relative" else "rank"
    expected = out["cross_entropy"] + 0.1 * out["contrast"] + out[other]
    torch.testing.assert_close(out["loss"], expected)
    out["loss"].backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_cross_entropy_is_the_mean_over_both_views(estimator: str) -> None:
    cfg = Config(estimator=estimator, erase=0)  # type: ignore[arg-type]
    model = supcon_relabel.build(cfg, 3, make_backbone("slim", channels=1)).train()
    given = batch()
    swapped = Batch(**(vars(given) | {"views": given.views[::-1]}))
    first, second = (supcon_relabel.step(model, b, cfg, 0.0) for b in (given, swapped))
    of_views = [F.cross_entropy(out["logits"], given.labels) for out in (first, second)]
    assert (of_views[0] - of_views[1]).abs() > 1e-4
    torch.testing.assert_close(first["cross_entropy"], torch.stack(of_views).mean())


def test_both_views_are_erased_where_the_settings_say_so() -> None:
    model, seen = supcon_relabel.build(Config(), 3, make_backbone("slim", channels=1)).train(), []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for chance in (1.0, 0.0):
        supcon_relabel.step(model, batch(), Config(erase=chance), 0.0)
    changed = (seen[0] != seen[1]).flatten(1)
    assert torch.equal(seen[1], torch.cat(batch().views))
    assert changed.any(1).all()
    assert (seen[0][seen[0] != seen[1]] == 0).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_weight_of_an_image_lies_between_0_and_1_alone_and_in_a_batch(estimator: str) -> None:
    cfg = Config(estimator=estimator)  # type: ignore[arg-type]
    model = supcon_relabel.build(cfg, 3, make_backbone("slim", channels=1)).train()
    supcon_relabel.step(model, batch(), cfg, 0.0)
    model.eval()
    images = batch().views[0]
    with torch.no_grad():
        together, alone = supcon_relabel.predict(model, images), supcon_relabel.predict(model, images[:1])
    for name, value in alone.items():
        torch.testing.assert_close(together[name][:1], value, rtol=1e-4, atol=1e-5)
    assert ((together["uerm_weight"] > 0) & (together["uerm_weight"] < 1)).all()


def test_without_contrast_there_is_one_view_and_no_projection() -> None:
    cfg = Config(contrast_weight=0)
    model = supcon_relabel.build(cfg, 3, make_backbone("slim", channels=1))
    assert supcon_relabel.views(cfg) == 1
    assert model.projection is None
    out = supcon_relabel.step(model, Batch(**(vars(batch()) | {"views": batch().views[:1]})), cfg, 0.0)
    assert "contrast" not in out


def test_an_unknown_estimator_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="self_cure, pairwise, relative"):
        Config(estimator="d")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="erase"):
        Config(erase=-0.1)
    with pytest.raises(UsageError, match="memory_epochs"):
        Config(memory_epochs=0)
    with pytest.raises(UsageError, match="wait_share"):
        Config(wait_share=1.1)
