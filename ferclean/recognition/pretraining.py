"""What first stages share: strong views, a momentum encoder, a queue of keys, the loop, and the encoder on disk.

It never sees a label; which loss is minimised, and on what, is the method's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.derived import check_owner, reading
from ferclean.errors import FercleanError
from ferclean.progress import Progress
from ferclean.recognition.augment import CENTRE, SPREAD, normalise
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.devices import half_precision
from ferclean.recognition.float32 import in_float32, pooled
from ferclean.recognition.methods.contrast import ProjectionHead
from ferclean.recognition.optimise import Descent, make_batches
from ferclean.recognition.pixels import Pixels
from ferclean.recognition.tensor_files import write_tensors

MEND = "it is trained again"

Step = Callable[[Tensor, Tensor, Tensor, float], Tensor]
"""Two views (B, C, S, S), the rows (B,) of the images and the progress in [0, 1) -> the loss, a scalar."""


def strong_view(
    images: Tensor,
    *,
    size: int,
    generator: torch.Generator | None,
    crop: float = 0.5,
    jitter: float = 0.4,
    jitter_chance: float = 0.8,
    grey: float = 0.2,
) -> Tensor:
    """One strongly changed view of each image: (B, C, S, S) uint8 -> (B, C, size, size) float32, normalised.

    A random crop of `crop` to all of the area with sides of 3:4 to 4:3, a flip in half of the cases; with
    `jitter_chance` brightness, contrast and saturation by a factor within 1 +- `jitter`; with chance `grey` no colour.
    The values are CRS-CONT's; its small change of hue is left out.
    """
    count, channels, device = len(images), images.shape[1], images.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator, device=device)

    area, ratio = uniform(crop, 1.0), torch.exp(uniform(-1.0, 1.0) * math.log(4 / 3))
    wide, high = (area * ratio).sqrt().clamp(max=1.0), (area / ratio).sqrt().clamp(max=1.0)
    mirror = 1.0 - 2.0 * (uniform(0.0, 1.0) < 0.5)  # not `where`: two numbers would be sent to the device
    # grid_sample counts from -1 to 1: a crop of `wide` may lie 1 - wide from the centre
    right, down, zero = uniform(-1.0, 1.0) * (1 - wide), uniform(-1.0, 1.0) * (1 - high), torch.zeros_like(wide)
    affine = torch.stack([torch.stack([wide * mirror, zero, right], 1), torch.stack([zero, high, down], 1)], 1)
    grid = F.affine_grid(affine, [count, channels, size, size], align_corners=False)
    views = F.grid_sample(normalise(images), grid, mode="bilinear", padding_mode="border", align_corners=False)

    changed = uniform(0.0, 1.0) < jitter_chance

    def factor() -> Tensor:
        return uniform(1 - jitter, 1 + jitter).masked_fill(~changed, 1.0)[:, None, None, None]

    black = -CENTRE / SPREAD
    views = (views - black) * factor() + black
    middle = views.mean((1, 2, 3), keepdim=True)
    views = (views - middle) * factor() + middle
    if channels == 3:
        colourless = views.mean(1, keepdim=True)
        kept = (uniform(0.0, 1.0) >= grey).float()[:, None, None, None]
        views = colourless + (views - colourless) * factor() * kept
    return views.clamp(black, -black).contiguous(memory_format=torch.channels_last)


class Encoder(nn.Module):
    """A backbone below a projection head: images -> feature map (B, D, h, h) and unit projections (B, out)."""

    def __init__(self, backbone: nn.Module, width: int, *, hidden: int, out: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = ProjectionHead(width, hidden=hidden, out=out)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, S, S) -> (B, D, h, h), (B, out)."""
        feature_map = self.backbone(images)
        return feature_map, self.projection(pooled(feature_map))


@torch.no_grad()
def follow(slow: nn.Module, model: nn.Module, momentum: float) -> None:
    """The momentum encoder: each weight of `slow` becomes momentum * its own + (1 - momentum) * the model's."""
    torch._foreach_lerp_(list(slow.parameters()), list(model.parameters()), 1 - momentum)


class Queue:
    """The newest `size` keys (unit vectors) and the rows of their images; first in, first out.

    It begins empty: no made-up vector is ever a negative.
    """

    def __init__(self, size: int, width: int, device: torch.device) -> None:
        self.keys = torch.zeros(size, width, device=device)
        self.rows = torch.full((size,), -1, dtype=torch.long, device=device)
        self.next = 0
        self.filled = 0

    def push(self, keys: Tensor, rows: Tensor) -> None:
        """Put (B, width) keys of images `rows` (B,) in the places of the oldest."""
        size = len(self.keys)
        keys, rows = keys.detach()[-size:].to(self.keys.dtype), rows[-size:]
        places = (self.next + torch.arange(len(keys), device=keys.device)) % size
        self.keys[places], self.rows[places] = keys, rows
        self.next = (self.next + len(keys)) % size
        self.filled = min(self.filled + len(keys), size)

    def info_nce(self, queries: Tensor, keys: Tensor, rows: Tensor, *, temperature: float) -> Tensor:
        """Mean -log share of each query's own key among it and the queue (MoCo, 2020); scalar >= 0.

        Ours: an older key of the same image is no negative. Sets that are hardly larger than the queue need that.
        """
        positive = (queries * keys).sum(1, keepdim=True)
        # a copy: what backward needs must outlive the next push
        with in_float32(queries):
            negative = queries @ self.keys[: self.filled].T.clone()
        negative = negative.masked_fill(rows[:, None] == self.rows[None, : self.filled], -torch.inf)
        logits = torch.cat([positive, negative], 1) / temperature  # (B, 1 + filled)
        return (torch.logsumexp(logits, 1) - logits[:, 0]).mean()


def train_encoder(
    network: nn.Module,
    step: Step,
    images: Pixels,
    config: TrainConfig,
    *,
    epochs: int,
    seed: int,
    learning_rate: float,
    title: str,
    progress: Progress,
) -> None:
    """Minimise `step` over two strong views of uint8 images (N, C, S, S), with the run's own optimizer
    and schedule, which peaks at `learning_rate`.

    `network` holds the weights to train and stays in the mode it is given in. Raises FercleanError when the loss stops
    being a number.
    """
    device = images.device
    order = torch.Generator().manual_seed(seed)
    randomness = torch.Generator(device=device).manual_seed(seed + 1)
    size = config.network_size(images.shape[2])
    total = epochs * len(make_batches(torch.arange(len(images)), config.batch_size))
    descent = Descent(network, config, device, total=total, learning_rate=learning_rate)
    for epoch in range(epochs):
        summed = torch.zeros((), device=device)
        shuffled = torch.randperm(len(images), generator=order)
        for index, pixels in images.shuffled(shuffled, config.batch_size):
            first, second = (strong_view(pixels, size=size, generator=randomness) for _ in range(2))
            with half_precision(device):
                loss = step(first, second, index, descent.progress)
            descent.step(loss)
            summed += loss.detach()
        if not math.isfinite(float(summed)):
            raise FercleanError(
                f"{title} {config.backbone} stopped being a number in epoch {epoch + 1}: lower the learning rate "
                f"({learning_rate:g})"
            )
        progress(title, epoch + 1, epochs)


def share_of(config: TrainConfig, share: float) -> int:
    """`share` of the run's epochs, rounded, at least one."""
    return max(1, round(share * config.epochs))


def state_of(backbone: nn.Module) -> dict[str, Tensor]:
    """A copy of the backbone's weights and statistics on the CPU."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in backbone.state_dict().items()}


def write_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a backbone's state as .safetensors, whole or not at all."""
    write_tensors(path, state, {"name": path.stem})


def read_state(path: Path) -> dict[str, Tensor]:
    """The counterpart of `write_state`. Raises DamagedFileError for a damaged file, and for one written as another."""
    from safetensors import safe_open

    with reading(path, MEND), safe_open(path, framework="pt") as file:
        check_owner(path, (file.metadata() or {}).get("name"), path.stem, MEND)
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
