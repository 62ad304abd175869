"""The networks below a recognizer: any timm model, or our own slim one, as a function from images to a feature map.

It never downloads weights: `--weights FILE` is the only way to start from a trained network.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.errors import UsageError
from ferclean.recognition.slim import Slim
from ferclean.recognition.timm_import import the_timm
from ferclean.recognition.weights import WeightsReport, load_weights

SLIM = "slim"
SMALL_IMAGE = 64
"""Pixels a side from which a network made for 224 keeps its own stem, and with it the whole of an ImageNet file.

A ResNet's 7x7 convolution and max-pool leave a quarter of the side, and the stages an eighth of that: 64 pixels end as
2 x 2 positions, fewer pixels as one or as two that are mostly padding, too few for heads that weigh places."""


UNREAD = 1 / 20
"""Largest share of the side that a network may leave unread at a border: patches that do not fit are dropped."""
STRIDES = (2, 4, 8, 16, 32)
"""Images are enlarged to the next multiple of the smallest of these that makes a network read them whole."""


class Backbone(nn.Module):
    """Images (B, channels, S, S) -> feature map (B, width, h, h).

    A network of patches or windows leaves out what does not fill one: a ViT of 16-pixel patches would read 32 of 44
    pixels. Where more than `UNREAD` of the side would be lost, or the network takes no such size, images are enlarged
    to `network_size`, the next size that it reads whole; elsewhere that is `input_size`.

    `width` and `map_size` (= h at `input_size`) are measured, not assumed, so heads can be built for any network.
    `stage_widths` are the widths of the maps that `stages` returns. Parameters that the feature map does not depend
    on (a classifier's last norm, say) are frozen. `weights_report` says what `--weights` brought, or is None.
    """

    weights_report: WeightsReport | None = None

    def __init__(self, name: str, *, channels: int, input_size: int) -> None:
        super().__init__()
        self.name, self.channels, self.input_size = name, channels, input_size
        refused: UsageError | None = None
        for self.network_size in sorted({-(-input_size // stride) * stride for stride in (1, *STRIDES)}):
            self.network = Slim(channels) if name == SLIM else _timm_network(name, channels, self.network_size)
            try:
                read = self._measure()
            except UsageError as error:
                refused = refused or error
                continue
            if read >= (1 - UNREAD) * input_size:
                return
        raise refused or UsageError(f"backbone {name} reads images of {input_size} pixels a side only in part")

    def forward(self, images: Tensor) -> Tensor:
        """The deepest feature map, (B, width, h, h)."""
        return self.stages(images, last=1)[-1]

    def stages(self, images: Tensor, *, last: int | None = None) -> list[Tensor]:
        """Feature maps of the network's stages, shallow first; only the deepest ones when `last` says how many."""
        if self.network_size != self.input_size:
            side = round(images.shape[2] * self.network_size / self.input_size)
            images = F.interpolate(images, (side, side), mode="bilinear", align_corners=False)
        if isinstance(self.network, Slim):
            maps = self.network.stages(images)
            return maps if last is None else maps[-last:]
        return list(
            self.network.forward_intermediates(images, indices=last, intermediates_only=True, output_fmt="NCHW")
        )

    def _measure(self) -> int:
        """Set widths, sizes and what is frozen; returns how many pixels a side the map depends on."""
        side = self.input_size
        probe = torch.rand(2, self.channels, side, side, generator=torch.Generator().manual_seed(0)).requires_grad_()
        # what begins at zero (the last norm of a residual block) would hide what lies before it
        silent = [parameter for parameter in self.parameters() if not parameter.any()]
        with torch.no_grad():
            for parameter in silent:
                parameter.fill_(1.0)
        was_training = self.training
        self.eval()
        try:
            maps = self.stages(probe)
        except (RuntimeError, AssertionError, ValueError, TypeError, ArithmeticError) as error:
            raise UsageError(f"backbone {self.name} cannot take {self.input_size}-pixel images: {error}") from error
        self.stage_widths = [feature_map.shape[1] for feature_map in maps]
        deepest = self.forward(probe)
        self.width, self.map_size = deepest.shape[1], deepest.shape[2]
        deepest.square().sum().backward()
        for parameter in self.parameters():
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None
        with torch.no_grad():
            for parameter in silent:
                parameter.zero_()
        self.train(was_training)
        assert probe.grad is not None
        touched = probe.grad.abs().sum((0, 1))
        across, down = torch.nonzero(touched.sum(0)), torch.nonzero(touched.sum(1))
        return min(int(places.max() - places.min()) + 1 if len(places) else 0 for places in (across, down))


def make_backbone(
    name: str, *, channels: int = 3, input_size: int = 48, weights: str | Path | None = None, frozen: bool = False
) -> Backbone:
    """Build a backbone by name (`slim` or any timm model with a feature map) for square images of `input_size`.

    Networks for large images get a stem of half the stride when `input_size` is under `SMALL_IMAGE`: a ResNet a 3x3
    convolution with stride 1 and no max-pool. `weights` is a local .safetensors or weights-only .pth file; `frozen`
    says that the network will not be trained, so that they must be whole. Raises UsageError for an unknown name (with
    near ones), a size the network cannot take, or weights that do not fit (see `load_weights`).
    """
    if channels not in (1, 3):
        raise UsageError(f"images have 1 or 3 channels, not {channels}")
    backbone = Backbone(name, channels=channels, input_size=input_size)
    if weights is not None:
        small = name != SLIM and backbone.network_size < SMALL_IMAGE
        backbone.weights_report = load_weights(
            backbone.network,
            Path(weights),
            frozen=frozen,
            idle=[path for path, parameter in backbone.network.named_parameters() if not parameter.requires_grad],
            hint=f"{name} keeps its own first layer where it sees at least {SMALL_IMAGE} pixels a side, and here it "
            f"sees {backbone.network_size}: give a larger --input-size, such as 112" if small else "",
        )  # fmt: skip
    return backbone


def timm_options(name: str, *, channels: int, input_size: int, num_classes: int = 0) -> tuple[Any, dict[str, Any]]:
    """A network as timm makes it, and the options that `timm.create_model` made it with. Raises UsageError."""
    timm = the_timm()
    options: dict[str, Any] = {"num_classes": num_classes, "in_chans": channels}
    try:
        if not timm.is_model(name):
            near = difflib.get_close_matches(name, timm.list_models(), n=5) or ["resnet18"]
            raise UsageError(f"unknown backbone {name!r}; use {SLIM!r} or a timm model such as {', '.join(near)}")
        try:
            sized = options | {"img_size": input_size}
            return timm.create_model(name, pretrained=False, **sized), sized
        except TypeError:  # a convolutional network has no fixed image size
            return timm.create_model(name, pretrained=False, **options), options
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UsageError(f"timm cannot build {name}: {error}") from error


def _timm_network(name: str, channels: int, input_size: int) -> Any:
    network, _ = timm_options(name, channels=channels, input_size=input_size)
    if not hasattr(network, "forward_intermediates"):
        raise UsageError(f"timm's {name} gives no feature maps; choose another, such as resnet18")
    if input_size < SMALL_IMAGE:
        _make_stem_small(network)
    return network


def _make_stem_small(network: nn.Module) -> None:
    """Halve the stride of the first convolution that reduces the map, and take out a ResNet's max-pool."""
    if hasattr(network, "pos_embed"):
        return  # positions are counted at construction
    if isinstance(getattr(network, "maxpool", None), nn.Module):
        network.maxpool = nn.Identity()
    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.stride[0] > 1:
            parent_path, _, attribute = path.rpartition(".")
            parent = network.get_submodule(parent_path)
            setattr(parent, attribute, _smaller(module))
            return


def _smaller(conv: nn.Conv2d) -> nn.Conv2d:
    patch = conv.kernel_size[0] == conv.stride[0]  # a patch embedding stays one, with patches of half the side
    stride = max(1, conv.stride[0] // 2)
    kernel, padding = (stride, 0) if patch and stride > 1 else (3, 1)
    small = nn.Conv2d(
        conv.in_channels, conv.out_channels, kernel, stride, padding, bias=conv.bias is not None, groups=conv.groups
    )
    nn.init.kaiming_normal_(small.weight, mode="fan_out", nonlinearity="relu")
    if small.bias is not None:
        nn.init.zeros_(small.bias)
    return small
