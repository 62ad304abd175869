"""The triplet-center recognizer against its formulas: distances, negatives, loss, attention, centres, and the gap."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from ferclean.errors import UsageError
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.methods import triplet_center
from ferclean.recognition.methods.base import Batch
from ferclean.recognition.methods.triplet_center import (
    STRATEGIES,
    Config,
    Recognizer,
    SelectiveAttention,
    distances,
    fully_synthesized,
    prediction_based,
    semi_synthesized,
    triplet_center_loss,
)

ORIGIN, LABEL, EVEN = torch.zeros(1, 2), torch.tensor([0]), torch.ones(1, 2)
CENTRES = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])


def made(seed: int, *, count: int = 16, classes: int = 5, width: int = 12) -> tuple[torch.Tensor, ...]:
    """Random embeddings, labels, centres and attention."""
    generator = torch.Generator().manual_seed(seed)
    embedding, centres = (torch.randn(rows, width, generator=generator) for rows in (count, classes))
    labels = torch.randint(0, classes, (count,), generator=generator)
    return embedding, labels, centres, torch.rand(count, width, generator=generator)


def batch(count: int = 8, channels: int = 1, size: int = 48) -> Batch:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % 3
    view = torch.randn(count, channels, size, size, generator=generator)
    return Batch(views=(view,), labels=labels, given=labels, index=torch.arange(count))


def model_for(cfg: Config) -> Recognizer:
    torch.manual_seed(0)
    model = triplet_center.build(cfg, 3, make_backbone("slim", channels=1))
    assert isinstance(model, Recognizer)
    return model


# --- distances and the loss


def test_distance_weighs_dimensions_by_attention() -> None:
    f, attention = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.5]])
    assert distances(f, torch.zeros(1, 2), attention).item() == pytest.approx(1.5)
    assert distances(f, torch.zeros(1, 3, 2), attention).tolist() == [[1.5] * 3]
    assert distances(f, torch.zeros(1, 2), torch.ones(1, 2)).item() == pytest.approx(2.5)


def test_the_nearest_real_negative_gives_the_hand_computed_loss() -> None:
    nearest = semi_synthesized(ORIGIN, LABEL, CENTRES, EVEN, share=0)
    assert nearest.tolist() == [[2.0, 0.0]]
    assert triplet_center_loss(ORIGIN, LABEL, CENTRES, nearest, EVEN, margin=5).item() == pytest.approx(3.5)


def test_the_fully_synthesized_negative_gives_the_hand_computed_loss() -> None:
    negative = fully_synthesized(ORIGIN, LABEL, CENTRES)
    assert negative.tolist() == [[0.0, 0.0]]  # 0 is nearer than 2 in the first dimension, and than 3 in the second
    assert triplet_center_loss(ORIGIN, LABEL, CENTRES, negative, EVEN, margin=5).item() == pytest.approx(5.5)


def test_the_loss_is_zero_beyond_the_margin_and_a_mean_over_images() -> None:
    f, labels = torch.zeros(2, 2), torch.tensor([0, 0])
    negatives = torch.tensor([[9.0, 0.0], [2.0, 0.0]])
    attention = torch.ones(2, 2)
    assert triplet_center_loss(f[:1], labels[:1], CENTRES, negatives[:1], attention[:1], margin=5).item() == 0
    assert triplet_center_loss(f, labels, CENTRES, negatives, attention, margin=5).item() == pytest.approx(3.5 / 2)


# --- the negatives


@pytest.mark.parametrize("seed", range(5))
def test_no_other_centre_is_nearer_than_the_fully_synthesized_negative(seed: int) -> None:
    embedding, labels, centres, attention = made(seed)
    synthesized = distances(embedding, fully_synthesized(embedding, labels, centres), attention)
    to_centres = distances(embedding, centres.expand(16, -1, -1), attention)
    nearest = to_centres.scatter(1, labels[:, None], torch.inf).amin(1)
    assert (synthesized <= nearest).all()
    assert (synthesized < nearest).any()


def test_the_fully_synthesized_negative_equals_a_loop_over_its_definition() -> None:
    embedding, labels, centres, _ = made(0)
    negatives = fully_synthesized(embedding, labels, centres)
    for i, d in itertools.product(range(16), range(12)):
        others = [float(centres[k, d]) for k in range(5) if k != labels[i]]
        assert float(negatives[i, d]) == min(others, key=lambda value: abs(value - float(embedding[i, d])))


@pytest.mark.parametrize("seed", range(5))
def test_shares_0_and_1_of_semi_synthesis_are_the_nearest_centre_and_full_synthesis(seed: int) -> None:
    embedding, labels, centres, attention = made(seed)
    to_centres = distances(embedding, centres.expand(16, -1, -1), attention).scatter(1, labels[:, None], torch.inf)
    nearest = semi_synthesized(embedding, labels, centres, attention, share=0)
    assert torch.equal(nearest, centres[to_centres.argmin(1)])
    full = semi_synthesized(embedding, labels, centres, attention, share=1)
    assert torch.equal(full, fully_synthesized(embedding, labels, centres))


def test_half_of_semi_synthesis_replaces_the_dimensions_of_highest_attention() -> None:
    embedding, labels, centres, attention = made(0)
    half = semi_synthesized(embedding, labels, centres, attention, share=0.5)
    full = fully_synthesized(embedding, labels, centres)
    nearest = semi_synthesized(embedding, labels, centres, attention, share=0)
    highest = attention >= attention.sort(dim=1).values[:, 6:7]
    assert (highest.sum(1) == 6).all()
    assert torch.equal(half, torch.where(highest, full, nearest))


@pytest.mark.parametrize("seed", range(5))
def test_the_prediction_based_negative_is_the_most_likely_class_but_never_the_label(seed: int) -> None:
    _, labels, centres, _ = made(seed)
    logits = torch.randn(16, 5, generator=torch.Generator().manual_seed(seed))
    logits[:8] += 9 * F.one_hot(labels[:8], 5)  # half of the images are recognised
    negatives = prediction_based(labels, centres, logits)
    for i in range(16):
        k = max((k for k in range(5) if k != labels[i]), key=lambda k: float(logits[i, k]))
        assert torch.equal(negatives[i], centres[k])
        assert not torch.equal(negatives[i], centres[labels[i]])


def test_no_negative_holds_a_value_of_the_labels_own_centre() -> None:
    embedding, labels, centres, attention = made(1)
    embedding = centres[labels]  # the own centre is as near as can be, and still never picked
    for negatives in (
        fully_synthesized(embedding, labels, centres),
        semi_synthesized(embedding, labels, centres, attention),
    ):
        assert (negatives != centres[labels]).all()


# --- attention


@pytest.mark.parametrize("side", [1, 2, 3, 7])
def test_the_embedding_is_a_mean_over_positions_weighted_by_the_pixel_map(side: int) -> None:
    module = SelectiveAttention(6)
    feature_map = torch.randn(2, 6, side, side)
    with torch.no_grad():
        embedding, elements = module(feature_map)
        pixels = torch.sigmoid(module.pixel(feature_map))
    expected = torch.stack([(p * f).flatten(1).sum(1) / p.sum() for p, f in zip(pixels, feature_map, strict=True)])
    torch.testing.assert_close(embedding, expected)
    assert ((elements > 0) & (elements < 1)).all()
    torch.testing.assert_close(module(torch.ones(2, 6, side, side))[0], torch.ones(2, 6))


def test_attention_selects_dimensions_and_cannot_switch_all_of_them_off() -> None:
    module = SelectiveAttention(6)
    with torch.no_grad():
        module.element.bias.fill_(-100.0)
    _, elements = module(torch.randn(2, 6, 3, 3))
    torch.testing.assert_close(torch.logit(elements).mean(1), torch.zeros(2), rtol=0, atol=1e-4)
    assert (elements.amax(1) > 0.5).all()


# --- the method


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("normalise", [False, True])
def test_the_loss_is_cross_entropy_plus_a_hundredth_of_the_triplet_center_loss(strategy: Any, normalise: bool) -> None:
    cfg = Config(strategy=strategy, normalise=normalise)
    model = model_for(cfg).train()
    out = triplet_center.step(model, batch(), cfg, 0.0)
    assert out["triplet_center"] > 0
    torch.testing.assert_close(out["loss"], out["cross_entropy"] + 0.01 * out["triplet_center"])
    torch.testing.assert_close(out["cross_entropy"], F.cross_entropy(out["logits"], batch().labels))
    out["triplet_center"].backward()
    assert model.scaled_centres.grad is not None
    assert model.scaled_centres.grad.abs().sum() > 0
    assert all(p.grad is not None for p in model.backbone.parameters() if p.requires_grad)


@pytest.mark.parametrize(("normalise", "margin"), [(False, 5.0), (True, 0.5)])
def test_the_margin_is_5_and_a_half_between_vectors_of_length_1(normalise: bool, margin: float) -> None:
    losses = [
        triplet_center.step(model_for(cfg).train(), batch(), cfg, 0.0)["triplet_center"]
        for cfg in (Config(normalise=normalise), Config(normalise=normalise, margin=margin))
    ]
    assert losses[0] == losses[1]


def test_normalised_points_and_centres_have_length_1_and_the_embedding_keeps_its_own() -> None:
    model = model_for(Config(normalise=True)).eval()
    with torch.no_grad():
        _, embedding, point, _ = model(batch().views[0])
        torch.testing.assert_close(model.centres.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(point.norm(dim=1), torch.ones(8))
    torch.testing.assert_close(point, F.normalize(embedding, dim=1))


@pytest.mark.parametrize("make", [torch.optim.AdamW, torch.optim.SGD])
def test_centres_learn_centre_rate_times_as_fast(make: Any) -> None:
    moved = []
    for rate in (1.0, 10.0):
        model = model_for(Config(centre_rate=rate))
        before = model.centres.detach().clone()
        optimizer = make([model.scaled_centres], lr=1e-3, weight_decay=0.0)
        (model.centres * torch.linspace(1, 2, 3)[:, None]).sum().backward()
        optimizer.step()
        moved.append(model.centres.detach() - before)
    torch.testing.assert_close(moved[1], 10 * moved[0], rtol=1e-2, atol=1e-5)
    assert moved[0].abs().min() > 1e-4


def test_the_rate_does_not_change_where_centres_start() -> None:
    torch.testing.assert_close(model_for(Config(centre_rate=1)).centres, model_for(Config(centre_rate=25)).centres)


@pytest.mark.parametrize("normalise", [False, True])
def test_the_gap_is_the_margin_of_the_predicted_classs_centre_alone_and_in_a_batch(normalise: bool) -> None:
    cfg = Config(normalise=normalise)
    model = model_for(cfg).train()
    triplet_center.step(model, batch(), cfg, 0.0)
    model.eval()
    images = batch().views[0]
    with torch.no_grad():
        together, alone = triplet_center.predict(model, images), triplet_center.predict(model, images[2:3])
        logits, _, point, attention = model(images)
        to_centres = distances(point, model.centres.expand(8, -1, -1), attention)
    torch.testing.assert_close(together["centre_gap"][2:3], alone["centre_gap"], rtol=1e-4, atol=1e-5)
    for i, k in enumerate(logits.argmax(1).tolist()):
        other = min(float(to_centres[i, j]) for j in range(3) if j != k)
        assert float(together["centre_gap"][i]) == pytest.approx(other - float(to_centres[i, k]), abs=1e-6)


def test_an_image_at_its_predicted_centre_has_a_wider_gap_than_one_between_two() -> None:
    model = model_for(Config())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        centres = torch.randn(3, 192, generator=generator)
        model.scaled_centres.copy_(centres / model.centre_rate)
        points = torch.stack([centres[0], 0.6 * centres[0] + 0.4 * centres[1], 0.1 * centres[0] + 0.9 * centres[1]])
        logits = torch.tensor([[1.0, 0, 0]]).repeat(3, 1)
        model.forward = lambda images: (logits, points, points, torch.ones(3, 192))  # type: ignore[assignment, misc]
        gap = triplet_center.predict(model, torch.zeros(3, 1, 48, 48))["centre_gap"]
    assert gap[0] > gap[1] > 0 > gap[2]


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="fully_synthesized, semi_synthesized, prediction_based"):
        Config(strategy="hardest")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="synthesized_share"):
        Config(synthesized_share=1.5)
    with pytest.raises(UsageError, match="centre_rate"):
        Config(centre_rate=0)
