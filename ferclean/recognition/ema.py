"""A running mean of a model's weights, which predicts better and changes its mind less than the weights themselves.

It never changes the model it follows.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential mean of all weights and floating-point buffers of `model`; `.model` is the averaged copy.

    `time_constant` is counted in updates: after that many, a change has arrived to 63 %. In the first updates the mean
    runs over what there is, so that it never remembers the random start.
    """

    def __init__(self, model: nn.Module, *, time_constant: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = math.exp(-1 / max(time_constant, 1e-9))
        self.updates = 0
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._copied: list[tuple[Tensor, Tensor]] = []
        for mean, value in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            (self._pairs if mean.is_floating_point() else self._copied).append((mean, value))

    @torch.no_grad()
    def update(self) -> None:
        """Move the mean towards the model's present weights."""
        self.updates += 1
        weight = max(1 - self.decay, 1 / self.updates)
        torch._foreach_lerp_([mean for mean, _ in self._pairs], [value for _, value in self._pairs], weight)
        for mean, value in self._copied:
            mean.copy_(value)
