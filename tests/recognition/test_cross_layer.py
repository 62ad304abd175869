"""The cross-layer recognizer against its formulas: kernels, the multi-scale head, clusters, contrast, the signal."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ferclean.errors import UsageError
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.methods import cross_layer
from ferclean.recognition.methods.amend import kernel_and_stride
from ferclean.recognition.methods.base import Batch
from ferclean.recognition.methods.cross_layer import Config, Recognizer, divergence, gradient_norms
from ferclean.recognition.methods.latent_semantics import (
    LatentSemantics,
    agreement_loss,
    channel_codes,
    cluster_means,
    info_nce,
    kmeans,
    negative_cosine,
)
from ferclean.recognition.methods.multi_scale import FACTORS, MultiScaleHead, grid_kernel

PAPER_WIDTHS, PAPER_SIDES = [64, 128, 256, 512], [56, 28, 14, 7]
PAPER_KERNELS = [(4, 11, 1), (8, 11, 3), (16, 10, 2), (32, 8, 0)]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(count: int = 8, channels: int = 1, size: int = 48) -> Batch:
    labels = torch.arange(count) % 3
    images = random(count, channels, size, size, seed=1)
    return Batch(views=(images,), labels=labels, given=labels, index=torch.arange(count))


def model(cfg: Config | None = None, backbone: str = "slim", size: int = 48) -> Recognizer:
    torch.manual_seed(0)
    built = cross_layer.build(cfg or Config(), 3, make_backbone(backbone, channels=1, input_size=size))
    assert isinstance(built, Recognizer)
    return built.train()


# --- multi-scale head


def test_at_224_pixels_the_kernels_and_shapes_are_the_papers() -> None:
    head = MultiScaleHead(PAPER_WIDTHS, PAPER_SIDES, 7)
    maps = [random(2, width, side, side) for width, side in zip(PAPER_WIDTHS, PAPER_SIDES, strict=True)]
    for branch, stage_map, channels, kernel in zip(head.branches, maps, (16, 8, 4, 2), PAPER_KERNELS, strict=True):
        assert branch.shuffle(stage_map).shape == (2, channels, 112, 112)
        assert not list(branch.project.parameters())
        conv = branch.to_grid
        assert (conv.kernel_size[0], conv.stride[0], conv.padding[0]) == kernel
        assert conv.bias is None
    logits, representations = head(maps)
    assert [r.shape for r in representations] == [(2, 128, 11, 11)] * 4
    assert head.positions(representations).shape == (2, 11, 11)
    assert logits.shape == (2, 7)


def test_the_last_stages_kernel_at_224_pixels_is_the_amending_heads() -> None:
    assert grid_kernel(7, 16) == (*kernel_and_stride(112), 0)


@pytest.mark.parametrize("factor", FACTORS)
def test_every_side_becomes_eleven_positions_with_the_least_padding(factor: int) -> None:
    for side in range(1, 130):
        kernel, stride, padding = grid_kernel(side, factor)
        assert side * factor + 2 * padding - kernel == 10 * stride
        assert stride >= 1
        assert kernel % 2 == 0
        assert padding < 6
        if padding:
            less = side * factor + 2 * (padding - 1) - kernel
            assert less < 10 or less % 10


@pytest.mark.parametrize(("size", "sides"), [(48, [24, 12, 6, 3]), (100, [50, 25, 13, 7]), (32, [16, 8, 4, 2])])
def test_other_sizes_and_widths_reach_the_same_grid(size: int, sides: list[int]) -> None:
    recognizer = model(size=size).eval()
    assert [branch.side for branch in recognizer.head.branches] == sides
    representations = recognizer.head(recognizer(batch(2, size=size).views[0]))[1]
    assert [r.shape for r in representations] == [(2, 128, 11, 11)] * 4
    projected = [bool(list(branch.project.parameters())) for branch in recognizer.head.branches]
    assert projected == [False, False, True, True]  # 96 and 192 channels do not divide by 64 and 256


def test_a_resnets_stem_is_not_one_of_the_four_stages() -> None:
    recognizer = model(backbone="resnet18", size=64)
    assert recognizer.head.branches[0].to_grid.in_channels == 16
    assert [m.shape[1] for m in recognizer(batch(2, size=64).views[0])] == PAPER_WIDTHS


def test_a_backbone_with_three_stages_does_without_the_fourth() -> None:
    backbone = make_backbone("slim", channels=1)
    stages = backbone.stages
    backbone.stage_widths = backbone.stage_widths[1:]
    backbone.stages = lambda images, last=None: stages(images)[1:]  # type: ignore[method-assign]
    recognizer = cross_layer.build(Config(), 3, backbone).train()
    assert cross_layer.step(recognizer, batch(), Config(), 0.0)["image_semantics"] > 0
    backbone.stage_widths = backbone.stage_widths[1:]
    with pytest.raises(UsageError, match="only 2"):
        cross_layer.build(Config(), 3, backbone)


def test_stage_weights_are_positive_and_sum_to_one_for_each_image() -> None:
    recognizer = model()
    with torch.no_grad():
        representations = recognizer.head(recognizer(batch().views[0]))[1]
        weights = recognizer.head.stage_weights(representations)
    assert weights.shape == (8, 4)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(8))
    assert weights.std(0).min() > 0  # adapted to the image


def test_the_head_adds_the_batch_mean_in_training_and_a_running_mean_afterwards() -> None:
    head = model().head
    representations = [random(4, 128, 11, 11, seed=seed) for seed in range(4)]
    with torch.no_grad():
        both = head.positions(representations)
        own = both - both.mean(0) / 2  # the mean of own + mean(own) is twice that of own
        torch.testing.assert_close(head.running_mean, own.mean(0), rtol=1e-4, atol=1e-5)
        head.eval()
        before = head.positions(representations)
        head.running_mean += 1
        torch.testing.assert_close(head.positions(representations), before + 1)


def test_an_image_of_another_size_is_resampled() -> None:
    out = cross_layer.predict(model().eval(), random(2, 1, 64, 64))
    assert out["logits"].shape == (2, 3)


# --- clusters


def test_kmeans_finds_separate_groups_in_every_set_at_once() -> None:
    centres = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    sets = torch.stack([centres[torch.arange(30) % 3] + 0.1 * random(30, 2, seed=s) + 20 * s for s in range(4)])
    together = kmeans(sets, 3)
    assert together.shape == (4, 3, 2)
    for i in range(4):
        torch.testing.assert_close(kmeans(sets[i : i + 1], 3)[0], together[i])
        expected = torch.stack([sets[i, c::3].mean(0) for c in range(3)])
        assert torch.cdist(expected, together[i]).min(1).values.max() < 1e-4


def test_kmeans_reaches_scikit_learns_inertia_from_the_same_start() -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    items = random(64, 5, seed=3)
    start = kmeans(items[None], 6, iterations=0)[0].numpy()
    theirs = cluster.KMeans(6, init=start, n_init=1, max_iter=100, tol=0).fit(items.numpy())
    ours = kmeans(items[None], 6, iterations=100)[0]
    inertia = torch.cdist(items, ours).min(1).values.square().sum()
    assert inertia.item() == pytest.approx(theirs.inertia_, rel=1e-4)


@pytest.mark.parametrize("items", [torch.zeros(1, 5, 3), torch.ones(2, 2, 4), random(1, 2, 8)])
@pytest.mark.parametrize("clusters", [2, 7])
def test_kmeans_of_few_or_equal_items_is_finite(items: torch.Tensor, clusters: int) -> None:
    centroids = kmeans(items, clusters)
    assert centroids.shape == (len(items), min(clusters, items.shape[1]), items.shape[2])
    assert torch.isfinite(centroids).all()


def test_the_mean_of_an_empty_cluster_is_its_centroid() -> None:
    items, centroids = torch.tensor([[[1.0, 3.0], [3.0, 5.0]]]), torch.tensor([[[7.0, 7.0], [8.0, 8.0]]])
    means = cluster_means(items, torch.tensor([[1, 1]]), centroids)
    assert means.tolist() == [[[7.0, 7.0], [2.0, 4.0]]]


@pytest.mark.parametrize("temperature", [0.0, 0.2])
def test_an_empty_cluster_never_gives_nan(temperature: float) -> None:
    deep = F.one_hot(torch.arange(4), 4).float()[None]
    for shallow in (deep[:, :1].repeat(1, 4, 1), torch.zeros(1, 4, 4), -deep):  # three clusters empty, no direction
        shallow = shallow.clone().requires_grad_()
        loss = agreement_loss(shallow, deep, 4, temperature=temperature)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(shallow.grad).all()


# --- losses


def test_the_published_loss_has_the_hand_computed_value() -> None:
    loss = negative_cosine(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[1.0, 1.0]]]) / math.sqrt(2))
    assert loss.item() == pytest.approx(-0.353553, abs=1e-6)


def test_the_contrast_of_orthogonal_centroids_has_the_hand_computed_value() -> None:
    unit = torch.eye(2)[None]
    assert info_nce(unit, 3 * unit, temperature=0.2).item() == pytest.approx(math.log(1 + math.exp(-5)), abs=1e-6)
    assert info_nce(unit.flip(1), unit, temperature=0.2).item() == pytest.approx(
        5 + math.log(1 + math.exp(-5)), abs=1e-5
    )


@pytest.mark.parametrize("temperature", [0.0, 0.2])
def test_agreement_follows_a_loop_over_its_definition(temperature: float) -> None:
    deep, shallow = random(1, 12, 3, seed=1), random(1, 9, 3, seed=2)
    centroids = kmeans(deep, 4)[0]
    groups: list[list[int]] = [[] for _ in range(4)]
    for i in range(9):
        groups[int(np.argmax([float(F.cosine_similarity(shallow[0, i], c, dim=0)) for c in centroids]))].append(i)
    terms = []
    for k, members in enumerate(groups):
        mean = shallow[0, members].mean(0) if members else centroids[k]
        cosines = torch.stack([F.cosine_similarity(mean, c, dim=0) for c in centroids])
        terms.append(F.cross_entropy(cosines / 0.2, torch.tensor(k)) if temperature else -cosines[k] / 2)
    loss = agreement_loss(shallow, deep, 4, temperature=temperature)
    assert loss.item() == pytest.approx(float(torch.stack(terms).mean()), abs=1e-5)


def test_a_channels_code_is_near_one_where_it_responds_alone() -> None:
    representation = torch.zeros(1, 2, 11, 11)
    representation[0, 0, :3, :3], representation[0, 1, 8:, 8:] = 5.0, 5.0
    codes = channel_codes(representation)[0]
    assert codes.shape == (2, 25)
    assert codes.argmax(1).tolist() == [0, 24]
    assert codes.max(1).values.min() > 0.9
    torch.testing.assert_close(codes.sum(1), torch.ones(2))
    torch.testing.assert_close(channel_codes(7 + 3 * representation)[0], codes, rtol=1e-4, atol=1e-4)  # no unit


@pytest.mark.parametrize("level", ["batch_level", "image_level"])
@pytest.mark.parametrize("temperature", [0.0, 0.2])
def test_the_gradient_reaches_the_shallow_stage_and_never_the_deep_one(level: str, temperature: float) -> None:
    torch.manual_seed(0)
    semantics = LatentSemantics(16)
    shallow = random(8, 16, 11, 11, seed=1).requires_grad_()
    deep = random(8, 16, 11, 11, seed=2).requires_grad_()
    getattr(semantics, level)(shallow, deep, 3, temperature=temperature).backward()
    assert shallow.grad.norm() > 0
    assert deep.grad is None


@pytest.mark.parametrize("name", ["batch_semantics", "image_semantics"])
def test_the_gradients_of_both_losses_at_stage_2_of_the_network_are_not_zero(name: str) -> None:
    recognizer = model()
    maps = recognizer(batch().views[0])
    _, parts = cross_layer._losses(recognizer, maps, batch(), Config())
    first, second, third = torch.autograd.grad(parts[name], maps[:3], allow_unused=True)
    assert second.norm() > 0
    assert first.norm() > 0  # through stage 2
    assert third is None  # its weight is zero, and nothing flows back from the deep stage


# --- the method


@pytest.mark.parametrize("weights", [(0.0, 0.1, 0.0), (0.3, 0.2, 0.1), (0.0, 0.0, 0.0)])
def test_the_loss_is_the_sum_of_its_named_parts(weights: tuple[float, ...]) -> None:
    cfg = Config(stage_weights=weights)
    recognizer = model(cfg)
    out = cross_layer.step(recognizer, batch(), cfg, 0.0)
    torch.testing.assert_close(out["cross_entropy"], F.cross_entropy(out["logits"], batch().labels))
    semantic = [out[name] for name in ("batch_semantics", "image_semantics") if name in out]
    torch.testing.assert_close(out["loss"], out["cross_entropy"] + out["shallow"] + sum(semantic))
    assert len(semantic) == (2 if any(weights) else 0)
    assert (recognizer.semantics is None) == (not any(weights))  # what has no weight is not built
    out["loss"].backward()
    assert all(p.grad is not None for p in recognizer.parameters() if p.requires_grad)


def test_each_stages_losses_are_multiplied_by_its_weight() -> None:
    recognizer = model()
    maps = recognizer(batch().views[0])
    once = cross_layer._losses(recognizer, maps, batch(), Config())[1]
    twice = cross_layer._losses(recognizer, maps, batch(), Config(stage_weights=(0.0, 0.2, 0.0)))[1]
    for name in ("batch_semantics", "image_semantics"):
        torch.testing.assert_close(twice[name], 2 * once[name])


def test_the_losses_raise_the_gradients_of_the_shallow_stages_and_leave_the_model_as_it_was() -> None:
    recognizer = model().eval()
    before = {name: value.clone() for name, value in recognizer.state_dict().items()}
    norms = gradient_norms(recognizer, batch(), Config())
    assert list(norms) == ["stage1_with", "stage1_without", "stage2_with", "stage2_without"]
    assert norms["stage2_with"] > norms["stage2_without"] > 0
    assert norms["stage1_with"] > norms["stage1_without"] > 0
    assert norms == gradient_norms(recognizer, batch(), Config())
    off = gradient_norms(recognizer, batch(), Config(stage_weights=(0, 0, 0)))
    assert off["stage2_with"] == off["stage2_without"]
    assert not recognizer.training
    assert all(p.grad is None for p in recognizer.parameters())
    for name, value in recognizer.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_the_small_classifier_trains_nothing_but_itself() -> None:
    recognizer = model()
    cross_layer.step(recognizer, batch(), Config(), 0.0)["shallow"].backward()
    touched = [name for name, p in recognizer.named_parameters() if p.grad is not None]
    assert touched == ["shallow.weight", "shallow.bias"]


def test_divergence_is_zero_for_equal_and_one_for_disjoint_distributions() -> None:
    p = torch.softmax(random(50, 5, seed=1) * 4, 1)
    q = torch.softmax(random(50, 5, seed=2) * 4, 1)
    torch.testing.assert_close(divergence(p, p), torch.zeros(50), rtol=0, atol=1e-6)
    torch.testing.assert_close(divergence(p, q), divergence(q, p))
    distance = pytest.importorskip("scipy.spatial.distance")
    expected = [distance.jensenshannon(a, b, base=2) ** 2 for a, b in zip(p.double(), q.double(), strict=True)]
    np.testing.assert_allclose(divergence(p, q).numpy(), expected, atol=1e-5)
    assert divergence(torch.eye(2), torch.eye(2).flip(0)).tolist() == [1.0, 1.0]


def test_disagreement_lies_between_0_and_1() -> None:
    recognizer = model()
    cross_layer.step(recognizer, batch(), Config(), 0.0)
    recognizer.eval()
    with torch.no_grad():
        disagreement = cross_layer.predict(recognizer, batch().views[0])["layer_disagreement"]
    assert ((disagreement >= 0) & (disagreement <= 1)).all()


def test_layers_agree_on_stripes_that_both_have_learnt_to_tell_apart() -> None:
    labels = torch.arange(64) % 3
    right, down = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="xy")
    waves = torch.stack([torch.sin(right / 2), torch.sin(down / 2), torch.sin((right + down) / 2)])
    images = waves[labels][:, None] + 0.3 * random(64, 1, 32, 32)
    stripes = Batch(views=(images,), labels=labels, given=labels, index=torch.arange(64))
    recognizer = model(size=32)
    optimizer = torch.optim.AdamW(recognizer.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        cross_layer.step(recognizer, stripes, Config(), 0.0)["loss"].backward()
        optimizer.step()
    recognizer.eval()
    with torch.no_grad():
        out = cross_layer.predict(recognizer, images)
        shallow = recognizer.shallow_logits(recognizer(images))
    assert (out["pred_probs"].argmax(1) == labels).float().mean() > 0.95
    assert (shallow.argmax(1) == labels).float().mean() > 0.95
    assert out["layer_disagreement"].mean() < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage_weights": (0.1, 0.1)}, "three numbers"),
        ({"stage_weights": (0, -0.1, 0)}, "at least 0"),
        ({"temperature": -1}, "temperature"),
        ({"image_clusters": 1}, "image_clusters"),
        ({"channels": 0}, "channels"),
    ],
)
def test_impossible_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Config(**options)
