"""Backbones: sizes of maps, small stems, weights from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from ferclean.errors import BadDataError, UsageError
from ferclean.recognition import backbones
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.checkpoint import load_checkpoint, save_checkpoint
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.train import fit, predict


@pytest.mark.parametrize(("size", "side"), [(40, 3), (48, 3), (100, 7), (112, 7), (224, 14)])
@pytest.mark.parametrize("channels", [1, 3])
def test_slim_ends_with_a_sixteenth_of_the_side(size: int, side: int, channels: int) -> None:
    backbone = make_backbone("slim", channels=channels, input_size=size)
    feature_map = backbone.eval()(torch.zeros(2, channels, size, size))
    assert feature_map.shape == (2, 192, side, side)
    assert (backbone.width, backbone.map_size) == (192, side)


def test_slim_costs_about_twenty_million_multiply_adds_at_48_pixels() -> None:
    backbone = make_backbone("slim", channels=1, input_size=48)
    total = 0

    def count(module: nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal total
        total += module.weight.numel() * output.shape[2] * output.shape[3]

    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    backbone.eval()(torch.zeros(1, 1, 48, 48))
    assert 15e6 < total < 25e6


@pytest.mark.parametrize(
    ("name", "channels", "size", "width", "side"),
    [
        ("resnet18", 1, 48, 512, 6),
        ("resnet18", 3, 112, 512, 4),
        ("convnextv2_atto", 3, 48, 320, 3),
        ("mobilenetv3_small_050", 3, 64, 288, 2),
        ("vit_tiny_patch16_224", 3, 48, 192, 3),
    ],
)
def test_any_timm_model_becomes_a_feature_map(name: str, channels: int, size: int, width: int, side: int) -> None:
    backbone = make_backbone(name, channels=channels, input_size=size).eval()
    assert backbone(torch.zeros(1, channels, size, size)).shape == (1, width, side, side)
    assert (backbone.width, backbone.map_size) == (width, side)


def test_a_resnet_for_small_images_starts_with_a_3x3_of_stride_1_and_no_max_pool() -> None:
    network = make_backbone("resnet18", input_size=48).network
    assert network.conv1.kernel_size == (3, 3)
    assert network.conv1.stride == (1, 1)
    assert isinstance(network.maxpool, nn.Identity)
    large = make_backbone("resnet18", input_size=64).network
    assert large.conv1.kernel_size == (7, 7)
    assert isinstance(large.maxpool, nn.MaxPool2d)


@pytest.mark.parametrize("name", ["slim", "resnet18"])
def test_stages_are_four_maps_with_the_stated_widths(name: str) -> None:
    backbone = make_backbone(name, channels=1, input_size=48).eval()
    maps = backbone.stages(torch.zeros(1, 1, 48, 48), last=4)
    assert [m.shape[1] for m in maps] == backbone.stage_widths[-4:]
    assert maps[0].shape[2] > maps[-1].shape[2]


def test_parameters_that_the_map_does_not_depend_on_are_frozen() -> None:
    backbone = make_backbone("convnextv2_atto", input_size=64)
    backbone(torch.rand(2, 3, 64, 64)).square().sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in backbone.parameters())


@pytest.mark.parametrize(
    ("name", "size", "network_size"),
    [
        ("slim", 29, 29),
        ("resnet18", 44, 44),
        ("resnet18", 103, 103),
        ("convnextv2_atto", 61, 61),
        ("vit_tiny_patch16_224", 44, 48),
        ("vit_tiny_patch16_224", 103, 112),
        ("vit_tiny_patch16_224", 224, 224),
        ("maxvit_nano_rw_256", 44, 48),
    ],
)
def test_the_map_depends_on_the_whole_image_from_border_to_border(name: str, size: int, network_size: int) -> None:
    backbone = make_backbone(name, channels=1, input_size=size).eval()
    assert backbone.network_size == network_size
    image = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(1)).requires_grad_()
    feature_map = backbone(image)
    assert feature_map.shape[2:] == (backbone.map_size, backbone.map_size)
    feature_map.square().sum().backward()
    assert image.grad is not None
    for axis in (2, 3):
        read = torch.nonzero(image.grad[0, 0].abs().sum(axis - 2)).flatten()
        assert int(read[-1] - read[0]) + 1 >= 0.95 * size


def test_measuring_a_network_leaves_it_as_it_was_drawn() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        state = make_backbone("resnet18", channels=3, input_size=64).network.state_dict()
        torch.manual_seed(5)
        drawn = backbones.the_timm().create_model("resnet18", pretrained=False, num_classes=0, in_chans=3).state_dict()
    assert all(torch.equal(value, drawn[name]) for name, value in state.items())
    assert not state["layer1.0.bn2.weight"].any()


def test_a_recognizer_on_enlarged_images_is_the_same_from_disk(tmp_path: Path) -> None:
    images, labels = np.random.default_rng(0).integers(0, 256, (4, 1, 44, 44), dtype=np.uint8), np.arange(4) % 2
    config = TrainConfig(backbone="vit_tiny_patch16_224", epochs=1, batch_size=4, device="cpu")
    trained = fit("cross_entropy", images, labels, num_classes=2, config=config)
    save_checkpoint(trained, tmp_path / "vit.safetensors")
    loaded = load_checkpoint(tmp_path / "vit.safetensors")
    np.testing.assert_array_equal(predict(loaded, images)["pred_probs"], predict(trained, images)["pred_probs"])
    # made when the network was built for 44 pixels, of which it read 32
    state = load_file(tmp_path / "vit.safetensors")
    state["backbone.network.pos_embed"] = state["backbone.network.pos_embed"][:, :5].contiguous()
    with safe_open(tmp_path / "vit.safetensors", framework="pt") as file:
        save_file(state, tmp_path / "old.safetensors", metadata=file.metadata())
    with pytest.raises(BadDataError, match=r"old\.safetensors .* another version .* again"):
        load_checkpoint(tmp_path / "old.safetensors")


def test_an_unknown_backbone_lists_near_ones() -> None:
    with pytest.raises(UsageError, match="resnet18"):
        make_backbone("resnet19")


def test_images_have_one_or_three_channels() -> None:
    with pytest.raises(UsageError, match="1 or 3"):
        make_backbone("slim", channels=2)


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.model.", "features."])
@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_weights_are_found_under_common_prefixes(tmp_path: Path, prefix: str, kind: str) -> None:
    source = make_backbone("slim", channels=1)
    tensors = {prefix + name: value.clone() for name, value in source.network.state_dict().items()}
    tensors["classifier.weight"] = torch.zeros(7, 192)
    path = tmp_path / f"weights.{kind}"
    if kind == "safetensors":
        save_file(tensors, path)
    else:
        torch.save({"state_dict": tensors, "epoch": 3}, path)
    target = make_backbone("slim", channels=1, weights=path)
    report = target.weights_report
    assert report is not None
    assert len(report.matched) == len(tensors) - 1
    assert report.unexpected == ["classifier.weight"]
    assert report.missing == report.reshaped == []
    assert f"{len(report.matched)} tensors matched" in str(report)
    for name, value in source.network.state_dict().items():
        assert torch.equal(target.network.state_dict()[name], value)


def test_colour_weights_serve_grey_images_by_their_sum(tmp_path: Path) -> None:
    source = make_backbone("slim", channels=3)
    path = tmp_path / "w.safetensors"
    save_file(source.network.state_dict(), path)
    target = make_backbone("slim", channels=1, weights=path)
    grey = torch.randn(2, 1, 48, 48)
    torch.testing.assert_close(target.eval()(grey), source.eval()(grey.expand(2, 3, 48, 48)), rtol=1e-4, atol=1e-4)


def test_tensors_of_another_shape_are_reported_and_left(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(make_backbone("resnet18", input_size=224).network.state_dict(), path)
    report = make_backbone("resnet18", input_size=48, weights=path).weights_report
    assert report is not None
    assert report.reshaped == ["conv1.weight"]


def test_weights_that_match_nothing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"something.weight": torch.zeros(3)}, path)
    with pytest.raises(UsageError, match="none of its 1 tensors"):
        make_backbone("slim", weights=path)


def test_a_missing_weights_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weights file"):
        make_backbone("slim", weights=tmp_path / "absent.pth")


class _Payload:
    """Something that a pickle would rebuild by running code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code ran",)


def test_a_pth_file_with_more_than_tensors_is_not_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": _Payload()}, path)
    with pytest.raises(BadDataError, match="more than tensors"):
        make_backbone("slim", weights=path)
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_of_garbage_is_no_weights_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"garbage" * 10)
    with pytest.raises(BadDataError):
        make_backbone("slim", weights=tmp_path / name)


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 1}, tmp_path / "w.pth")
    with pytest.raises(BadDataError, match="no named tensors"):
        make_backbone("slim", weights=tmp_path / "w.pth")
