"""What stays in float32 where a network trains in half precision: heads, weights of uncertainty, contrasts, maps.

It holds no setting: which half precision there is, and whether any, is `devices.half_type`'s to say. Half precision has
8 significant bits (bfloat16) or 11; a sigmoid in bfloat16 has a few hundred values, and a cosine divided by a
temperature of .07 is wrong in its first decimal.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn


def in_float32(values: Tensor) -> Any:
    """Inside, operators compute in the types they are given, on the device of `values`; give them float32 ones."""
    kind = values.device.type
    # outside autocast there is nothing to leave, and an exported program must not hold an empty region
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def pooled(feature_map: Tensor) -> Tensor:
    """The mean over positions of (B, D, h, w), as float32: (B, D)."""
    return feature_map.float().mean((2, 3))


class Linear(nn.Linear):
    """`torch.nn.Linear` that computes in float32, under autocast too: (..., in) of any type -> (..., out) float32."""

    def forward(self, input: Tensor) -> Tensor:
        """(..., in) -> (..., out), float32."""
        with in_float32(input):
            return super().forward(input.float())
