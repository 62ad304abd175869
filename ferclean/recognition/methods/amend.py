"""The amending representation module: a classifier head that spreads the feature map out to undo padding's erosion.

It knows no loss; an image's output in eval mode never depends on the other images of the batch.

After Shi, Zhu and Liang, "Learning to Amend Facial Expression Representation via De-albino and Affinity" (2021), whose
numbers hold for a 512 x 7 x 7 map. Ours: the same construction for any other map, by a 1x1 projection where the width
does not divide by 16 x 16, and kernels computed so that the grid is 11 x 11 wherever the map allows it; and a running
mean in place of the batch mean in eval mode.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.recognition.float32 import Linear

SHUFFLE = 16
"""Factor by which the map is spread out: 16 x 16 channels become one channel of 16 times the side."""
GRID = 11
"""Positions a side that the last convolution leaves, as in the paper."""
PROJECTED = 512
"""Channels after the 1x1 projection, where one is needed: the paper's width."""


def kernel_and_stride(side: int, *, grid: int = GRID) -> tuple[int, int]:
    """Kernel and stride, without padding, that take a side to `grid` positions with the paper's overlap.

    112 gives (32, 8): the stride is the side / 14 rounded down, and the kernel covers what ten strides leave.
    """
    stride = max(1, side // 14)
    return side - (grid - 1) * stride, stride


class AmendingHead(nn.Module):
    """Feature map (B, width, h, h) -> logits (B, K).

    PixelShuffle, one bias-free 1 -> 1 convolution shared by all channels ("de-albino": it weighs eroded border values
    less), batch norm, mean over channels, plus alpha times the mean over channels and batch ("affinity"), then a linear
    layer on the 121 positions. `map_size` is h of the images that training ends with; another h is resampled to it.
    """

    running_mean: Tensor
    batches: Tensor

    def __init__(self, width: int, map_size: int, num_classes: int, *, momentum: float = 0.1) -> None:
        super().__init__()
        self.map_size, self.momentum = map_size, momentum
        keeps = width % SHUFFLE**2 == 0
        self.project = nn.Identity() if keeps else nn.Conv2d(width, PROJECTED, 1, bias=False)
        self.channels = (width if keeps else PROJECTED) // SHUFFLE**2
        self.shuffle = nn.PixelShuffle(SHUFFLE)
        kernel, stride = kernel_and_stride(map_size * SHUFFLE)
        self.amend = nn.Conv2d(1, 1, kernel, stride, bias=False)
        self.norm = nn.BatchNorm2d(self.channels)
        self.alpha = nn.Parameter(torch.ones(()))
        self.register_buffer("running_mean", torch.zeros(GRID, GRID))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))
        self.classifier = Linear(GRID * GRID, num_classes)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, width, h, h) -> (B, K)."""
        return self.classifier(self.positions(feature_map).flatten(1))

    def positions(self, feature_map: Tensor) -> Tensor:
        """(B, width, h, h) -> the amended representation (B, 11, 11)."""
        if feature_map.shape[2] != self.map_size:
            size = (self.map_size, self.map_size)
            feature_map = F.interpolate(feature_map, size, mode="bilinear", align_corners=False)
        spread = self.shuffle(self.project(feature_map))  # (B, c, 16h, 16h)
        # one kernel for every channel: channels are folded into the batch
        amended = self.amend(spread.flatten(0, 1).unsqueeze(1))
        amended = self.norm(amended.unflatten(0, (-1, self.channels)).squeeze(2))  # (B, c, 11, 11)
        own = amended.float().mean(1)
        if self.training:
            shared = own.mean(0)
            self._remember(shared)
        else:
            shared = self.running_mean
        return own + self.alpha * shared

    @torch.no_grad()
    def _remember(self, shared: Tensor) -> None:
        self.batches += 1
        weight = torch.clamp(1.0 / self.batches, min=self.momentum)
        self.running_mean.lerp_(shared.detach().float(), weight)
