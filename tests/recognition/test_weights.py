"""Files of weights: what they hold is found, what they are is said, and no network is filled in part unawares."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ferclean.errors import BadDataError, UsageError
from ferclean.recognition.backbones import SMALL_IMAGE, make_backbone
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.methods.base import starting_weights
from ferclean.recognition.methods.catalogue import METHODS
from ferclean.recognition.train import pretrain
from ferclean.recognition.weights import load_weights

State = dict[str, Tensor]


def state_of(name: str = "slim", *, channels: int = 1, size: int = 48) -> State:
    network = make_backbone(name, channels=channels, input_size=size).network
    return {key: value.clone() for key, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-18 of random weights as torchvision and timm save theirs: colour, 7x7 stem, 1000 classes."""
    path = tmp_path_factory.mktemp("imagenet") / "resnet18.pth"
    head = {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(state_of("resnet18", channels=3, size=224) | head, path)
    return path


# --- nested checkpoints


@pytest.mark.parametrize(
    ("where", "prefix", "nest"),
    [
        ("net", "", lambda state: {"net": state, "epoch": 3}),
        (
            "model",
            "module.",
            lambda state: {"model": state, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "lr": 0.1}},
        ),
        ("state_dict", "_orig_mod.module.", lambda state: {"state_dict": state}),
        ("model_state_dict", "backbone.", lambda state: {"model_state_dict": state, "loss": torch.tensor(0.3)}),
        ("module", "encoder.", lambda state: {"module": state}),
        ("ema", "features.", lambda state: {"ema": state}),
        ("ema.module", "module.model.", lambda state: {"ema": {"module": state, "decay": 0.99}, "epoch": 1}),
        ("model.state_dict", "net.", lambda state: {"model": {"state_dict": state}}),
        ("model", "", lambda state: {"ema": {"decay": torch.tensor(0.99)}, "model": state}),
        ("encoder", "module.backbone.", lambda state: {"encoder": state, "head": {"weight": torch.zeros(7, 192)}}),
    ],
)
def test_nested_checkpoints_are_looked_into(
    tmp_path: Path, where: str, prefix: str, nest: Callable[[State], dict[str, Any]]
) -> None:
    state = state_of()
    path = tmp_path / "w.pth"
    torch.save(nest({prefix + name: value for name, value in state.items()}), path)
    loaded = make_backbone("slim", channels=1, weights=path, frozen=True)
    report = loaded.weights_report
    assert report is not None
    assert (report.where, report.missing, report.reshaped) == (where, [], [])
    assert f"w.pth ({where}): {len(state)} tensors matched" in str(report)
    assert all(torch.equal(value, state[name]) for name, value in loaded.network.state_dict().items())


def test_of_two_whole_sets_the_averaged_one_is_taken_and_named(tmp_path: Path) -> None:
    plain, averaged = state_of(), state_of()
    torch.save({"state_dict": plain, "state_dict_ema": averaged}, tmp_path / "w.pth")
    loaded = make_backbone("slim", channels=1, weights=tmp_path / "w.pth")
    assert torch.equal(loaded.network.state_dict()["stem.0.weight"], averaged["stem.0.weight"])
    assert "(state_dict_ema)" in str(loaded.weights_report)


def test_of_two_encoders_under_prefixes_one_is_taken_whole(tmp_path: Path) -> None:
    # MoCo: the query encoder under a known prefix, its slow copy beside it
    query, key = state_of(), state_of()
    both = {f"module.encoder_q.{name}": value for name, value in query.items()}
    both |= {f"module.encoder_k.{name}": value for name, value in key.items()} | {"module.queue": torch.zeros(8, 16)}
    torch.save({"state_dict": both}, tmp_path / "w.pth")
    loaded = make_backbone("slim", channels=1, weights=tmp_path / "w.pth", frozen=True)
    assert all(torch.equal(value, query[name]) for name, value in loaded.network.state_dict().items())


# --- what a file is


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("faces/a.png", b"x")


def _cut(path: Path) -> None:
    torch.save(state_of(), path)
    path.write_bytes(path.read_bytes()[:9999])


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "is a web page.*download the file itself"),
        (b"\n  <HTML><head><title>404</title>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "Git LFS pointer.*git lfs pull"),
        (b"", "is empty"),
        ('{"error": "not f\u00f6und"}'.encode(), r"a text file \('\{\"error\": \"not föund\"\}'"),
        (b"\x1f\x8b\x08\x00", "packed with gzip"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
        (bytes(range(256)), "begins with 00 01 02 03"),
        (_zip, r"a zip archive of faces/a\.png, not a checkpoint"),
        (_cut, "cut off or damaged"),
        (lambda path: torch.save(torch.nn.Linear(2, 2), path), r"more than tensors \(torch\.nn.*Linear\).*state_dict"),
        (lambda path: torch.save({"args": argparse.Namespace(a=1)}, path), r"more than tensors \(argparse\.Namespace"),
        (lambda path: torch.save({"epoch": 3, "best": 0.5}, path), r"no named tensors \(it holds epoch, best\)"),
    ],
)
def test_what_is_no_weights_file_is_called_what_it_is(
    tmp_path: Path, suffix: str, content: bytes | Callable[[Path], None], words: str
) -> None:
    path = tmp_path / f"w.{suffix}"
    content(path) if callable(content) else path.write_bytes(content)
    with pytest.raises(BadDataError, match=words) as refused:
        make_backbone("slim", weights=path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("kind", "value"), [(torch.float32, float("nan")), (torch.float16, float("inf"))])
def test_weights_that_are_no_numbers_are_refused_by_layer(tmp_path: Path, kind: torch.dtype, value: float) -> None:
    state = {name: tensor.to(kind) if tensor.is_floating_point() else tensor for name, tensor in state_of().items()}
    name = next(iter(state))
    state[name].view(-1)[0] = value
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(BadDataError, match=rf"w.pth holds NaN or infinite weights in 1 of \d+ tensors \({name}\)"):
        load_weights(make_backbone("slim", channels=1, input_size=48).network, tmp_path / "w.pth")


def test_a_folder_is_no_weights_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        make_backbone("slim", weights=tmp_path)


def test_a_file_is_read_by_its_bytes_whatever_its_name(tmp_path: Path) -> None:
    state = state_of()
    save_file(state, tmp_path / "w.pth")
    torch.save(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    for name in ("w.pth", "w.safetensors", "old.bin"):
        report = make_backbone("slim", channels=1, weights=tmp_path / name).weights_report
        assert report is not None
        assert len(report.matched) == len(state)


# --- whole, or refused, or told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("blocks.3.conv2.weight"), r"missing in the file: blocks\.3\.conv2\.weight \(192x192x3x3\)"),
        (lambda s: s.pop("stem.1.running_mean"), r"missing in the file: stem\.1\.running_mean \(24\)"),
        (
            lambda s: s.update({"blocks.2.conv1.weight": torch.zeros(96, 48, 1, 1)}),
            r"of another shape: blocks\.2\.conv1\.weight \(96x48x1x1 in the file, 96x48x3x3 here\)",
        ),
        (
            lambda s: s.update({"blocks.4.conv1.weight": torch.zeros(8, 8, 3, 3)}),
            r"the network has no: blocks\.4\.conv1\.weight \(8x8x3x3\)",
        ),
        (lambda s: s.update({"stage5.weight": torch.zeros(8, 8, 3, 3)}), r"the network has no: stage5\.weight"),
    ],
)
def test_a_frozen_network_is_filled_whole_or_the_file_is_refused_by_layer_and_shape(
    tmp_path: Path, change: Callable[[State], object], words: str
) -> None:
    state = state_of()
    change(state)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=words):
        make_backbone("slim", channels=1, weights=tmp_path / "w.pth", frozen=True)


def test_heads_and_counters_are_not_asked_for(tmp_path: Path) -> None:
    state = {name: value for name, value in state_of().items() if not name.endswith("num_batches_tracked")}
    state |= {
        "fc.weight": torch.zeros(7, 192),
        "head.conv.weight": torch.zeros(1, 1, 9, 9),
        "centers": torch.zeros(7, 9),
    }
    torch.save(state, tmp_path / "w.pth")
    report = make_backbone("slim", channels=1, weights=tmp_path / "w.pth", frozen=True).weights_report
    assert report is not None
    assert report.unexpected == ["fc.weight", "head.conv.weight", "centers"]
    # what a map does not depend on may be missing: the norm of a classifier
    atto = {k: v for k, v in state_of("convnextv2_atto", size=64).items() if not k.startswith("head.")}
    torch.save(atto, tmp_path / "atto.pth")
    report = make_backbone(
        "convnextv2_atto", channels=1, input_size=64, weights=tmp_path / "atto.pth", frozen=True
    ).weights_report
    assert report is not None
    assert report.missing == ["head.norm.weight", "head.norm.bias"]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_imagenet_file_is_loaded_whole_from_the_size_on_at_which_its_stem_is_kept(
    imagenet: Path, channels: int
) -> None:
    loaded = make_backbone("resnet18", channels=channels, input_size=SMALL_IMAGE, weights=imagenet, frozen=True)
    report = loaded.weights_report
    assert report is not None
    assert (report.missing, report.reshaped, report.unexpected) == ([], [], ["fc.weight", "fc.bias"])
    theirs = torch.load(imagenet)["conv1.weight"]
    ours = loaded.network.state_dict()["conv1.weight"]
    torch.testing.assert_close(ours, theirs if channels == 3 else theirs.sum(1, keepdim=True))


def test_a_small_stem_is_told_where_it_is_trained_and_refused_where_it_would_stay_random(imagenet: Path) -> None:
    shapes = r"conv1\.weight \(64x3x7x7 in the file, 64x1x3x3 here\)"
    told = make_backbone("resnet18", channels=1, input_size=SMALL_IMAGE - 1, weights=imagenet).weights_report
    assert told is not None
    assert told.reshaped == ["conv1.weight"]
    with pytest.raises(UsageError, match=shapes + ".*at least 64 pixels a side, and here it sees 63: .*--input-size"):
        make_backbone("resnet18", channels=1, input_size=SMALL_IMAGE - 1, weights=imagenet, frozen=True)
    assert "not loaded, but left as a new network has them: conv1.weight (64x3x7x7 in the file" in str(told)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("other", ["resnet50", "resnet10t"])
def test_another_networks_file_is_refused_naming_layers_and_shapes(imagenet: Path, other: str, frozen: bool) -> None:
    with pytest.raises(
        UsageError, match=r"layer\d\.\d\.\w+.*\(\d[\dx]* in the file, \d+x.* here\).*matching --backbone"
    ):
        make_backbone(other, channels=3, input_size=112, weights=imagenet, frozen=frozen)


def test_a_file_of_a_deeper_network_of_the_same_shapes_is_refused_for_a_frozen_one(tmp_path: Path) -> None:
    torch.save(state_of("resnet34", channels=3, size=64), tmp_path / "resnet34.pth")
    with pytest.raises(UsageError, match=r"the network has no: layer1\.2\.conv1\.weight"):
        make_backbone("resnet18", channels=3, input_size=64, weights=tmp_path / "resnet34.pth", frozen=True)
    report = make_backbone("resnet18", channels=3, input_size=64, weights=tmp_path / "resnet34.pth").weights_report
    assert "not used: layer1.2.conv1.weight" in str(report)


def test_a_long_list_of_tensors_is_cut_and_counted(tmp_path: Path) -> None:
    state = {name: value for name, value in state_of().items() if name.startswith("stem.")}
    torch.save(state, tmp_path / "w.pth")
    text = str(make_backbone("slim", channels=1, weights=tmp_path / "w.pth").weights_report)
    assert "blocks.0.conv1.weight (24x24x3x3)" in text
    assert text.count("blocks.") == 6
    assert "more" in text


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_a_file_brought_and_distilled_asks_for_all_of_it(tmp_path: Path, name: str) -> None:
    state = state_of()
    del state["blocks.3.conv1.weight"]
    torch.save(state, tmp_path / "w.pth")
    config = TrainConfig(weights=tmp_path / "w.pth", epochs=1, batch_size=4, device="cpu")
    if name != "distilled":
        before = torch.random.get_rng_state()
        report = starting_weights(name, config, channels=1, input_size=48)
        assert "new network has them: blocks.3.conv1.weight" in str(report)
        assert torch.equal(before, torch.random.get_rng_state())
        return
    # its teacher is that file's and never trained
    with pytest.raises(UsageError, match=r"never trained: missing in the file: blocks\.3\.conv1\.weight"):
        starting_weights(name, config, channels=1, input_size=48)
    with pytest.raises(UsageError, match=r"never trained: missing in the file: blocks\.3\.conv1\.weight"):
        pretrain(name, np.zeros((4, 1, 48, 48), dtype=np.uint8), None, num_classes=2, config=config)
