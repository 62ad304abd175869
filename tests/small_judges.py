"""Small nets as ONNX files, made on the spot, for the tests of outside judges: an average over tiles, one layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

SIDE, TILE = 32, 2


def write_onnx(
    path: Path, weight: np.ndarray, bias: np.ndarray, *, channels: int = 1, last: bool = False, batch: Any = "n",
    softmax: bool = False,
) -> Path:  # fmt: skip
    """A file of the net `features(images) @ weight + bias`; `last`: colours are the last axis of its input."""
    shape = [batch, SIDE, SIDE, channels] if last else [batch, channels, SIDE, SIDE]
    nodes = [helper.make_node("Transpose", ["images"], ["first"], perm=[0, 3, 1, 2])] if last else []
    nodes += [
        helper.make_node(
            "AveragePool", ["first" if last else "images"], ["tiles"], kernel_shape=[TILE] * 2, strides=[TILE] * 2
        ),
        helper.make_node("Flatten", ["tiles"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["scores"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], ["shares"], axis=1))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("shares" if softmax else "scores", TensorProto.FLOAT, [batch, len(bias)])],
        [
            numpy_helper.from_array(weight.astype(np.float32), "weight"),
            numpy_helper.from_array(bias.astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def features(pixels: np.ndarray) -> np.ndarray:
    """What the layer of such a net reads of (N, C, 32, 32) uint8 pixels with mean 0.5 and std 0.5: (N, C * 256)."""
    count, channels = pixels.shape[:2]
    side = SIDE // TILE
    tiles = (pixels / 255 - 0.5) / 0.5
    return tiles.reshape(count, channels, side, TILE, side, TILE).mean((3, 5)).reshape(count, -1)
