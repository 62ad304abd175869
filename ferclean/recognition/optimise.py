"""How weights move: batches, the optimizer and its learning rate, for the training loop and for first stages.

It never sees an image or a label.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ferclean.recognition.config import TrainConfig
from ferclean.recognition.devices import half_type


def schedule(config: TrainConfig, progress: float) -> float:
    """Learning rate at `progress` in [0, 1), as a share of its maximum."""
    rise = config.warmup_share if config.schedule == "one_cycle" else 0.0
    if progress < rise:
        return 0.05 + 0.95 * progress / rise
    return 0.5 * (1 + math.cos(math.pi * (progress - rise) / (1 - rise)))


def make_batches(order: Tensor, size: int) -> list[Tensor]:
    """Cut an order into batches; a batch of one row joins the one before it, and a lone image trains beside itself."""
    if len(order) == 1:
        return [order.repeat(2)]
    batches = list(order.split(max(size, 2)))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The configured optimizer of all weights that are not frozen."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.dim() < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


class Descent:
    """Steps of the configured optimizer under its schedule, `total` of them, with the gradient's norm clipped.

    Gradients of float16 are scaled up before they are halved and down again, and a step whose gradient overflowed is
    left out. Nothing here waits for the device.
    """

    def __init__(
        self, network: nn.Module, config: TrainConfig, device: torch.device, *, total: int, learning_rate: float
    ) -> None:
        self.network, self.config, self.total, self.learning_rate = network, config, total, learning_rate
        self.optimizer = make_optimizer(network, config)
        self.scaler = torch.amp.GradScaler(device.type, enabled=half_type(device) is torch.float16)
        self.done = 0

    @property
    def progress(self) -> float:
        """The share of the steps that is over, in [0, 1)."""
        return self.done / self.total

    def step(self, loss: Tensor) -> None:
        """Move the weights down the gradient of a scalar."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * schedule(self.config, self.progress)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if self.config.clip_gradient:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_gradient)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.done += 1
