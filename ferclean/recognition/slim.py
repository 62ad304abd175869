"""A residual network of about 20 million multiply-adds for 48-pixel faces: small enough to train on two CPU cores.

It never loads weights and knows nothing of classes: it ends with a feature map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTHS = (24, 48, 96, 192)


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut; the first may halve the map. (B, in, H, W) -> (B, out, H/s, W/s)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            # mean before projecting: no pixel is skipped, and it is cheaper than a strided 1x1 on the full map
            pool: nn.Module = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            self.shortcut = nn.Sequential(
                pool if stride > 1 else nn.Identity(),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H/s, W/s)."""
        inner = self.conv2(torch.relu_(self.bn1(self.conv1(x))))
        return torch.relu_(self.bn2(inner) + self.shortcut(x))


class Slim(nn.Module):
    """Stem to half size, then four stages of one block each; a 48-pixel face ends as 192 x 3 x 3."""

    def __init__(self, channels: int, *, widths: tuple[int, int, int, int] = WIDTHS) -> None:
        super().__init__()
        self.widths = widths
        self.stem = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        inputs = (widths[0], *widths[:3])
        self.blocks = nn.ModuleList(
            Block(i, o, stride) for i, o, stride in zip(inputs, widths, (1, 2, 2, 2), strict=True)
        )

    def stages(self, x: Tensor) -> list[Tensor]:
        """The output of each of the four stages, shallow first."""
        maps = []
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps
