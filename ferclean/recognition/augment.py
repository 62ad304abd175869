"""Random views of a whole batch at once, on the device where the images live.

It never changes the images it is given and draws only from the generator it is given.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ferclean.recognition.config import TrainConfig

CENTRE, SPREAD = 127.5, 64.0
"""Grey value that becomes 0 and grey levels that become 1: about what faces have."""


def normalise(images: Tensor) -> Tensor:
    """(B, C, S, S) uint8 -> float32 of about zero mean and unit spread, channels last."""
    return ((images.float() - CENTRE) / SPREAD).contiguous(memory_format=torch.channels_last)


def centre(images: Tensor, size: int) -> Tensor:
    """The central `size` x `size` pixels of (B, C, S, S) images.

    A network that was trained on crops is asked about crops: whole images would show it borders and paddings that it
    has never seen, which costs more than the border's pixels are worth.
    """
    start = (images.shape[2] - size) // 2
    return images[:, :, start : start + size, start : start + size]


def augment(images: Tensor, config: TrainConfig, *, size: int, generator: torch.Generator | None) -> Tensor:
    """One random view of each image: (B, C, S, S) uint8 -> (B, C, size, size) float32, normalised.

    Rotation, magnification, shift and flip are one resampling; brightness, contrast and erasing follow. With `size`
    under S the view is a crop at the same magnification, whose place is random.
    """
    views = normalise(images)
    views = _moved(views, config, size, generator)
    count, device = len(views), views.device

    def uniform(*shape: int, reach: float) -> Tensor:
        return (torch.rand(*shape, generator=generator, device=device) * 2 - 1) * reach

    if config.contrast:
        views = views * (1 + uniform(count, 1, 1, 1, reach=config.contrast))
    if config.brightness:
        views = views + uniform(count, 1, 1, 1, reach=config.brightness * 255 / SPREAD)
    views = erased(views, config.erase, generator)
    return views.contiguous(memory_format=torch.channels_last)


def _moved(images: Tensor, config: TrainConfig, size: int, generator: torch.Generator | None) -> Tensor:
    count, _, side, _ = images.shape
    device = images.device

    def uniform(reach: float) -> Tensor:
        return (torch.rand(count, generator=generator, device=device) * 2 - 1) * reach

    angle = uniform(math.radians(config.rotate))
    zoom = torch.exp(uniform(math.log1p(config.scale)))
    # not `where`: two numbers would be sent to the device, which is waited for
    mirror = 1.0 - 2.0 * (torch.rand(count, generator=generator, device=device) < config.flip)
    # grid_sample counts from -1 to 1 over the source: a view of `size` covers size / side of it
    share = size / side
    room = (1 - share) + 2 * config.shift
    right, down = uniform(room), uniform(room)
    cosine, sine = torch.cos(angle) * zoom * share, torch.sin(angle) * zoom * share
    affine = torch.stack(
        [torch.stack([cosine * mirror, -sine, right], 1), torch.stack([sine * mirror, cosine, down], 1)], 1
    )
    grid = F.affine_grid(affine, [count, images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def erased(views: Tensor, chance: float, generator: torch.Generator | None = None) -> Tensor:
    """Set one rectangle of 2 to 20 % of the area to the centre grey, in a share of the images (B, C, S, S).

    Without a generator the draws are torch's own, which training seeds; at chance 0 there are none.
    """
    if not chance:
        return views
    count, _, side, _ = views.shape
    device = views.device
    draws = torch.rand(5, count, generator=generator, device=device)
    area = 0.02 + 0.18 * draws[0]
    ratio = torch.exp((draws[1] * 2 - 1) * math.log(2.5))
    height, width = (area / ratio).sqrt().clamp(max=1.0) * side, (area * ratio).sqrt().clamp(max=1.0) * side
    top, left = draws[2] * (side - height), draws[3] * (side - width)
    line = torch.arange(side, device=device) + 0.5
    rows = (line >= top[:, None]) & (line < (top + height)[:, None])  # (B, S)
    columns = (line >= left[:, None]) & (line < (left + width)[:, None])
    hit = rows[:, None, :, None] & columns[:, None, None, :] & (draws[4] < chance)[:, None, None, None]
    return views.masked_fill(hit, 0.0)
