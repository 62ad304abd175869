"""The multi-scale head of `cross_layer`: every stage of the network on one 11 x 11 grid, weighed, summed, classified.

It knows no loss; an image's output in eval mode never depends on the other images of the batch.

The paper's: spreading each stage out by PixelShuffle, one bias-free convolution per stage to 128 channels on the grid,
sum, 3x3 convolution, batch norm, channel mean plus batch-and-channel mean, 121 values to a linear layer. Ours: the rule
that gives kernels at other sizes, the 1x1 projection for widths that do not divide, the form of the attention over
stages, and a running mean in place of the batch mean in eval mode.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.recognition.float32 import Linear, pooled
from ferclean.recognition.methods.amend import GRID

FACTORS = (2, 4, 8, 16)
"""How far PixelShuffle spreads each stage out: a network that halves its map per stage ends with four equal sides."""
PROJECTED = (64, 128, 256, 512)
"""Channels of each stage after the 1x1 projection, where one is needed: the paper's widths."""
PAPER_SIDE = 112
"""Side of the paper's spread-out maps (a 224-pixel image)."""
ATTENTION_CHANNELS = 8
"""Channels of the small convolution that a stage's weight is read from."""


def grid_kernel(side: int, factor: int, *, grid: int = GRID) -> tuple[int, int, int]:
    """Kernel, stride and padding that take a map of `side` positions, spread out `factor` times, to `grid` positions.

    The kernel covers the paper's share of the spread-out side (2 x factor of 112, even, at least 2); the padding is the
    least with which ten strides fit exactly. A side of 112 gives the paper's four.

    >>> [grid_kernel(side, factor) for side, factor in ((56, 2), (28, 4), (14, 8), (7, 16))]
    [(4, 11, 1), (8, 11, 3), (16, 10, 2), (32, 8, 0)]

    48 pixels, where a network's stages have 24, 12, 6 and 3 positions a side:

    >>> [grid_kernel(side, factor) for side, factor in ((24, 2), (12, 4), (6, 8), (3, 16))]
    [(2, 5, 2), (4, 5, 3), (6, 5, 4), (14, 4, 3)]

    and where a ResNet-18 for small images keeps 48, 24, 12 and 6:

    >>> [grid_kernel(side, factor) for side, factor in ((48, 2), (24, 4), (12, 8), (6, 16))]
    [(4, 10, 4), (6, 9, 0), (14, 9, 4), (28, 7, 1)]
    """
    spread, strides = side * factor, grid - 1
    kernel = max(2, 2 * round(factor * spread / PAPER_SIDE))
    padding = 0
    while (room := spread + 2 * padding - kernel) < strides or room % strides:
        padding += 1  # room and ten are even, so that five steps are enough once there is any
    return kernel, room // strides, padding


class StageBranch(nn.Module):
    """One stage's map (B, width, h, h) -> its representation (B, channels, 11, 11); another h is resampled."""

    def __init__(self, width: int, side: int, factor: int, projected: int, channels: int) -> None:
        super().__init__()
        self.side = side
        keeps = width % factor**2 == 0
        self.project = nn.Identity() if keeps else nn.Conv2d(width, projected, 1, bias=False)
        self.shuffle = nn.PixelShuffle(factor)
        kernel, stride, padding = grid_kernel(side, factor)
        spread_channels = (width if keeps else projected) // factor**2
        self.to_grid = nn.Conv2d(spread_channels, channels, kernel, stride, padding, bias=False)
        for layer in (self.project, self.to_grid):
            if isinstance(layer, nn.Conv2d):  # unit gain: torch's default would start the deep stages near zero
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")

    def forward(self, stage_map: Tensor) -> Tensor:
        """(B, width, h, h) -> (B, channels, 11, 11)."""
        if stage_map.shape[2] != self.side:
            stage_map = F.interpolate(stage_map, (self.side, self.side), mode="bilinear", align_corners=False)
        return self.to_grid(self.shuffle(self.project(stage_map)))


class StageWeight(nn.Module):
    """(B, channels, 11, 11) -> (B,) in (0, 1): how much of a stage an image needs, before the stages are compared.

    sigmoid(FC(mean over positions of ReLU(3x3 convolution))). Without the ReLU it would be one linear map; a stride of
    three still looks at each position once, for a ninth of the work.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, ATTENTION_CHANNELS, 3, stride=3, padding=1)
        self.linear = Linear(ATTENTION_CHANNELS, 1)

    def forward(self, representation: Tensor) -> Tensor:
        """(B, channels, 11, 11) -> (B,)."""
        return torch.sigmoid(self.linear(pooled(torch.relu(self.conv(representation))))).squeeze(1)


class MultiScaleHead(nn.Module):
    """Maps of up to four stages, shallow first, -> logits (B, K). `sides` are those of the maps that training sees."""

    running_mean: Tensor
    batches: Tensor

    def __init__(
        self, widths: list[int], sides: list[int], num_classes: int, *, channels: int = 128, momentum: float = 0.1
    ) -> None:
        super().__init__()
        self.momentum = momentum
        rows = zip(widths, sides, FACTORS, PROJECTED, strict=False)  # a network may have three stages
        self.branches = nn.ModuleList(StageBranch(*row, channels) for row in rows)
        self.weights = nn.ModuleList(StageWeight(channels) for _ in widths)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.register_buffer("running_mean", torch.zeros(GRID, GRID))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))
        self.classifier = Linear(GRID * GRID, num_classes)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Stage maps -> logits (B, K), and the stages' representations, each (B, channels, 11, 11)."""
        representations = [branch(stage_map) for branch, stage_map in zip(self.branches, maps, strict=True)]
        return self.classifier(self.positions(representations).flatten(1)), representations

    def stage_weights(self, representations: list[Tensor]) -> Tensor:
        """(B, stages), positive, rows sum to 1: the share of each stage in the sum."""
        pairs = zip(self.weights, representations, strict=True)
        weights = torch.stack([weight(representation) for weight, representation in pairs], 1)
        return weights / weights.sum(1, keepdim=True)

    def positions(self, representations: list[Tensor]) -> Tensor:
        """Representations of the stages -> the multi-scale representation (B, 11, 11)."""
        shares = self.stage_weights(representations)[:, :, None, None, None]
        summed = shares[:, 0] * representations[0]
        for i, representation in enumerate(representations[1:], 1):
            summed = summed + shares[:, i] * representation
        own = self.norm(self.conv(summed)).float().mean(1)
        if self.training:
            shared = own.mean(0)
            self._remember(shared)
        else:
            shared = self.running_mean
        return own + shared

    @torch.no_grad()
    def _remember(self, shared: Tensor) -> None:
        self.batches += 1
        self.running_mean.lerp_(shared.detach(), torch.clamp(1.0 / self.batches, min=self.momentum))
