"""Bent faces: a label-free task whose answer is where a face's parts are, which is what an expression moves.

Ours. A view is bent by a smooth random field, and a linear layer must read the field from how the pooled features
changed. Features from which that can be read follow mouth, brows and lids, whoever the person is, while a contrast
between images is content with hair and background. It never sees a label and never bends what a recognizer judges.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GRID = 4
"""Points a side at which the field is drawn."""


def bend(images: Tensor, *, strength: float, grid: int = GRID) -> tuple[Tensor, Tensor]:
    """Bend each image by a field of its own: (B, C, S, S) -> bent images, and what was drawn, (B, 2 * grid * grid).

    At each of `grid` x `grid` points both coordinates move by a standard normal draw times `strength`, a share of half
    the side; between the points the field is bicubic. The draws are torch's own, which training seeds.
    """
    count, _, side, _ = images.shape
    drawn = torch.randn(count, 2, grid, grid, device=images.device)
    # half precision would round places to a tenth of a pixel
    with torch.autocast(images.device.type, enabled=False):
        field = F.interpolate(drawn * strength, size=(side, side), mode="bicubic", align_corners=True)
        still = torch.eye(2, 3, device=images.device).expand(count, 2, 3)
        places = F.affine_grid(still, [count, 1, side, side], align_corners=False) + field.permute(0, 2, 3, 1)
        bent = F.grid_sample(images.float(), places, mode="bilinear", padding_mode="border", align_corners=False)
    return bent.contiguous(memory_format=torch.channels_last), drawn.flatten(1)


class BendReader(nn.Module):
    """Reads the field from two feature maps (B, D, h, w), of the view as it was and bent: (B, 2 * grid * grid)."""

    def __init__(self, width: int, *, grid: int = GRID) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * grid * grid)

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """What the field was, in the units of the draws: 0 mean and 1 spread."""
        with torch.autocast(before.device.type, enabled=False):
            read: Tensor = self.linear((after.float() - before.float()).mean((2, 3)))
        return read


def bend_loss(read: Tensor, drawn: Tensor) -> Tensor:
    """Mean squared error (B, P), (B, P) -> scalar: 1 says as much as a guess of 0, 0 is a field read exactly."""
    return F.mse_loss(read.float(), drawn)
