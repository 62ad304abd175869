"""face-api's expression net (npm `@vladmandic/face-api`, MIT): its layers, and its quantised weights as tensors.

It never trains, never fetches and never opens a pickle.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ferclean.errors import BadDataError

CLASSES = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
SIZE = 112
MEAN = (122.782, 117.001, 104.298)
"""Of red, green and blue in [0, 255]."""
SCALE = 255.0
DTYPES = {"uint8": "u1", "uint16": "<u2", "int32": "<i4", "float32": "<f4"}


class ExpressionNet(nn.Module):
    """(B, 3, 112, 112) pixels minus `MEAN` over `SCALE` -> (B, 7) logits in the order of `CLASSES`; 329,000 bytes."""

    def __init__(self) -> None:
        super().__init__()
        widths = (32, 64, 128, 256)
        entries = (3, *widths[:-1])
        self.blocks = nn.ModuleList(
            _Block(before, width, plain=before == 3) for before, width in zip(entries, widths, strict=True)
        )
        self.fc = nn.Linear(widths[-1], len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        for block in self.blocks:
            images = block(images)  # 112 -> 56 -> 28 -> 14 -> 7
        logits: Tensor = self.fc(F.avg_pool2d(images, 7, 2).flatten(1))
        return logits


class _Block(nn.Module):
    """Four convolutions, each but the first on the sum of all before it; the first halves the side."""

    def __init__(self, before: int, width: int, *, plain: bool) -> None:
        super().__init__()
        first = _Same(before, width) if plain else _Separable(before, width, stride=2)
        self.convs = nn.ModuleList([first, *(_Separable(width, width, stride=1) for _ in range(3))])

    def forward(self, images: Tensor) -> Tensor:
        total = self.convs[0](images)
        seen = F.relu(total)
        # the sum starts with the first output after its relu, the later ones enter before theirs
        total = seen
        for conv in self.convs[1:]:
            total = total + conv(seen)
            seen = F.relu(total)
        return seen


class _Same(nn.Conv2d):
    """A 3x3 convolution of stride 2 with TensorFlow's padding: the smaller half before, the larger behind."""

    def __init__(self, before: int, width: int, *, stride: int = 2, groups: int = 1, bias: bool = True) -> None:
        super().__init__(before, width, 3, stride=stride, groups=groups, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        height, width = (_padding(side, 3, self.stride[0]) for side in images.shape[-2:])
        return super().forward(F.pad(images, (*width, *height)))


class _Separable(nn.Module):
    def __init__(self, before: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.depthwise = _Same(before, before, stride=stride, groups=before, bias=False)
        self.pointwise = nn.Conv2d(before, width, 1)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.pointwise(self.depthwise(images))
        return features


def _padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def state_dict(manifest: bytes, shards: Mapping[str, bytes]) -> dict[str, Tensor]:
    """The net's tensors from a TensorFlow.js manifest and the files that it names.

    Raises BadDataError where they do not describe exactly this net, naming the first tensor that is amiss.
    """
    found = {_ours(name): _torch_layout(name, values) for name, values in _tensors(manifest, shards)}
    expected = {name: tuple(value.shape) for name, value in ExpressionNet().state_dict().items()}
    for name in sorted(found.keys() | expected):
        shape = tuple(found[name].shape) if name in found else None
        if shape != expected.get(name):
            raise BadDataError(
                f"the weights are not those of face-api's expression net: {name} is {shape or 'missing'} where "
                f"{expected.get(name) or 'nothing'} belongs; take @vladmandic/face-api 1.7"
            )
        if not torch.isfinite(found[name]).all():
            raise BadDataError(f"the weights of {name} are no numbers; fetch the package again")
    return found


def _tensors(manifest: bytes, shards: Mapping[str, bytes]) -> list[tuple[str, np.ndarray]]:
    """Every tensor that a manifest names: `value = byte * scale + min` where it is quantised."""
    tensors: list[tuple[str, np.ndarray]] = []
    try:
        for group in json.loads(manifest):
            data, at = b"".join(shards[path] for path in group["paths"]), 0
            for entry in group["weights"]:
                packing: dict[str, Any] = entry.get("quantization") or {}
                dtype = np.dtype(DTYPES[packing.get("dtype", entry["dtype"])])
                shape = [int(side) for side in entry["shape"]]
                count = math.prod(shape)
                values = np.frombuffer(data, dtype, count, at).astype(np.float32).reshape(shape)
                at += count * dtype.itemsize
                tensors.append((str(entry["name"]), values * packing.get("scale", 1) + packing.get("min", 0)))
            if at != len(data):
                raise ValueError(f"{len(data) - at} bytes are left over")
    except (ValueError, KeyError, TypeError) as error:
        raise BadDataError(
            f"the manifest of face-api's weights does not describe its file ({error}); fetch the package again"
        ) from error
    return tensors


def _ours(name: str) -> str:
    """`dense0/conv1/depthwise_filter` -> `blocks.0.convs.1.depthwise.weight`."""
    block, _, rest = name.partition("/")
    if block == "fc":
        return "fc.bias" if rest == "bias" else "fc.weight"
    conv, _, part = rest.partition("/")
    stem = f"blocks.{block.removeprefix('dense')}.convs.{conv.removeprefix('conv')}"
    separable = (block, conv) != ("dense0", "conv0")
    kinds = {
        "depthwise_filter": "depthwise.weight", "pointwise_filter": "pointwise.weight", "filters": "weight",
        "bias": "pointwise.bias" if separable else "bias",
    }  # fmt: skip
    return f"{stem}.{kinds.get(part, part)}"


def _torch_layout(name: str, values: np.ndarray) -> Tensor:
    """Height, width, in, out -> out, in, height, width; depthwise height, width, in, 1 -> in, 1, height, width."""
    if values.ndim == 4:
        order = (2, 3, 0, 1) if name.endswith("depthwise_filter") else (3, 2, 0, 1)
        values = values.transpose(order)
    elif values.ndim == 2:
        values = values.T
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
