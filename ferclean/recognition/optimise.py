"""How weights move: batches, the optimizer and its learning rate, for the training loop and for first stages.

It never sees an image or a label.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ferclean.recognition.config import TrainConfig


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
