"""What every recognizer promises, checked for all of them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from ferclean.errors import UsageError
from ferclean.recognition.augment import normalise
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.methods import METHODS, catalogue, check_methods, get_method
from ferclean.recognition.methods.base import Batch, hook, make_config
from ferclean.recognition.profiles import get_profile
from ferclean.recognition.slim import Slim
from ferclean.recognition.train import fit, predict
from tests.loaded import loaded

every_method = pytest.mark.parametrize("name", METHODS)


def batch_for(name: str, *, count: int = 8, channels: int = 1, size: int = 48, classes: int = 4) -> Batch:
    cfg = get_method(name).Config()
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    views = tuple(
        torch.randn(count, channels, size, size, generator=generator)
        for _ in range(hook(get_method(name), "views")(cfg))
    )
    return Batch(views=views, labels=labels, given=labels, index=torch.arange(count))


def model_for(name: str, *, backbone: str = "slim", channels: int = 1, size: int = 48) -> torch.nn.Module:
    torch.manual_seed(0)
    method = get_method(name)
    return method.build(method.Config(), 4, make_backbone(backbone, channels=channels, input_size=size))


@every_method
def test_the_loss_is_finite_and_its_gradient_reaches_every_trainable_parameter(name: str) -> None:
    method, model = get_method(name), model_for(name).train()
    out = method.step(model, batch_for(name), method.Config(), 0.5)
    assert torch.isfinite(out["loss"])
    assert out["logits"].shape == (8, 4)
    out["loss"].backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


@every_method
def test_one_hot_targets_are_labels_and_soft_ones_are_read_whole(name: str) -> None:
    method, hard = get_method(name), batch_for(name)
    one_hot = torch.nn.functional.one_hot(hard.labels, 4).float()
    losses = []
    for targets in (None, one_hot, 0.5 * one_hot + 0.5 * one_hot.roll(1, 1)):
        model = model_for(name).train()
        torch.manual_seed(1)
        losses.append(method.step(model, replace(hard, targets=targets), method.Config(), 0.5)["loss"].detach())
    torch.testing.assert_close(losses[1], losses[0])
    assert abs(float(losses[2] - losses[0])) > 1e-3


@every_method
def test_equal_weights_change_nothing_and_the_target_of_a_row_without_weight_is_not_learned(name: str) -> None:
    method, plain = get_method(name), batch_for(name)
    one_hot = torch.nn.functional.one_hot(plain.labels, 4).float()
    other = torch.cat([one_hot[:1].roll(1, 1), one_hot[1:]])
    without_first = torch.tensor([0.0, *[8 / 7] * 7])

    def loss(targets: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        model = model_for(name).train()
        torch.manual_seed(1)
        batch = replace(plain, targets=targets, weights=weights)
        return method.step(model, batch, method.Config(), 0.5)["loss"].detach()

    torch.testing.assert_close(loss(one_hot, torch.ones(8)), loss(one_hot, None))
    torch.testing.assert_close(loss(other, without_first), loss(one_hot, without_first))
    assert abs(float(loss(other, None) - loss(one_hot, None))) > 1e-3


@every_method
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [48, 100, 112, 224])
def test_every_input_size_works_in_grey_and_colour(name: str, channels: int, size: int) -> None:
    method, model = get_method(name), model_for(name, channels=channels, size=size)
    out = method.step(model.train(), batch_for(name, count=2, channels=channels, size=size), method.Config(), 0.0)
    assert torch.isfinite(out["loss"])


@every_method
@pytest.mark.parametrize("size", [32, 72, 112])
def test_training_and_prediction_see_the_profiles_share_of_the_face(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (4, 1, size, size), dtype=np.uint8), np.arange(4) % 2
    config = get_profile("quick", input_size=size, epochs=1, batch_size=4).train_config(device="cpu")
    seen = round(size * 44 / 48)
    sides, stages = set(), Slim.stages

    def look(network: Slim, views: torch.Tensor) -> list[torch.Tensor]:
        sides.update(views.shape[2:])
        return stages(network, views)

    monkeypatch.setattr(Slim, "stages", look)
    trained = fit(name, images, labels, num_classes=2, config=config)
    before = predict(trained, images)["pred_probs"]
    assert sides == {seen}
    start = (size - seen) // 2
    outside, inside = np.full_like(images, 255), slice(start, start + seen)
    outside[:, :, inside, inside] = images[:, :, inside, inside]
    np.testing.assert_array_equal(predict(trained, outside)["pred_probs"], before)
    for corner in (start, start + seen - 1):
        touched = images.copy()
        touched[:, :, corner, corner] ^= 255
        assert not np.array_equal(predict(trained, touched)["logits"], predict(trained, images)["logits"])


@every_method
@pytest.mark.parametrize("backbone", ["resnet18", "convnextv2_atto"])
def test_timm_backbones_work(name: str, backbone: str) -> None:
    method, model = get_method(name), model_for(name, backbone=backbone, channels=3, size=48)
    out = method.step(model.train(), batch_for(name, count=2, channels=3), method.Config(), 0.0)
    out["loss"].backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@every_method
def test_an_image_is_judged_alike_alone_and_in_a_batch(name: str) -> None:
    method, model = get_method(name), model_for(name).train()
    method.step(model, batch_for(name), method.Config(), 0.0)
    model.eval()
    images = normalise(torch.randint(0, 256, (5, 1, 48, 48), dtype=torch.uint8))
    with torch.no_grad():
        together, alone = method.predict(model, images), method.predict(model, images[2:3])
    for key, value in alone.items():
        torch.testing.assert_close(together[key][2:3], value, rtol=1e-4, atol=1e-5)


@every_method
def test_probabilities_sum_to_one_and_follow_from_the_logits(name: str) -> None:
    method, model = get_method(name), model_for(name).eval()
    with torch.no_grad():
        out = method.predict(model, torch.randn(3, 1, 48, 48))
    torch.testing.assert_close(out["pred_probs"].sum(1), torch.ones(3))
    torch.testing.assert_close(out["pred_probs"], torch.softmax(out["logits"], 1))
    assert out["embedding"].ndim == 2
    assert all(value.shape == (3,) for key, value in out.items() if key not in ("logits", "pred_probs", "embedding"))
    assert all(value.dtype == torch.float32 for value in out.values())


@every_method
def test_sixteen_images_can_be_learnt_by_heart(name: str) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, 1, 32, 32), dtype=np.uint8)
    labels = np.arange(16) % 4
    config = TrainConfig(
        epochs=30, batch_size=16, flip=0, rotate=0, scale=0, shift=0, brightness=0, contrast=0, erase=0,
        ema_epochs=0, flip_average=False, device="cpu",
    )  # fmt: skip
    result = fit(name, images, labels, num_classes=4, config=config)
    assert (predict(result, images)["pred_probs"].argmax(1) == labels).mean() >= 15 / 16


@every_method
def test_given_labels_and_images_are_left_as_they_were(name: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 1, 32, 32), dtype=np.uint8)
    labels = np.arange(12) % 3
    before = images.copy(), labels.copy()
    for array in (images, labels):
        array.flags.writeable = False
    fit(name, images, labels, num_classes=3, config=TrainConfig(epochs=3, batch_size=4, device="cpu"))
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(labels, before[1])


@every_method
def test_the_catalogue_names_paper_and_year(name: str) -> None:
    info = METHODS[name]
    assert info.as_dict().keys() >= {"name", "paper", "year"}
    assert info.name == name
    assert 2000 < info.year < 2100
    assert get_method(name).__doc__


@every_method
def test_every_option_of_a_method_is_explained(name: str) -> None:
    import ast
    import inspect

    classes = [base for base in get_method(name).Config.__mro__ if base is not object]
    bodies = [ast.parse(inspect.getsource(base)).body[0].body[1:] for base in classes]  # type: ignore[attr-defined]
    for field, text in itertools.chain.from_iterable(map(itertools.pairwise, bodies)):
        if isinstance(field, ast.AnnAssign):
            assert isinstance(text, ast.Expr), ast.unparse(field)
            assert isinstance(text.value, ast.Constant)


def test_the_default_method_comes_first() -> None:
    assert catalogue()[0].name == "supcon_relabel"


def test_an_unknown_method_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="supcon_relabel, cross_entropy"):
        get_method("nothing")
    with pytest.raises(UsageError, match="at least one"):
        check_methods([])
    assert check_methods(["cross_entropy", "cross_entropy"]) == ("cross_entropy",)


def test_an_unknown_option_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="temperature"):
        make_config(get_method("supcon_relabel"), {"temprature": 1})


def test_catalogue_and_profiles_load_neither_torch_nor_numpy() -> None:
    code = "import ferclean.recognition.profiles, ferclean.recognition.methods.catalogue"
    assert loaded(code, of=("torch", "timm", "numpy")) == []
