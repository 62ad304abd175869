"""A running mean of a model's weights, which predicts better and changes its mind less than the weights themselves.

It never changes the model it follows.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn


def weight_of_newest(updates: int, time_constant: float) -> float:
    """The weight of the `updates`-th value in an exponential mean; `time_constant` is counted in updates.

    After that many a change has arrived to 63 %. At first it is 1 / updates, so that the mean runs over what there is.
    """
    return max(1 - math.exp(-1 / max(time_constant, 1e-9)), 1 / updates)


class WeightAverage:
    """Exponential mean of all weights and floating-point buffers of `model`; `.model` is the averaged copy.

    `time_constant` is counted in updates: after that many, a change has arrived to 63 %. In the first updates the mean
    runs over what there is, so that it never remembers the random start.
    """

    def __init__(self, model: nn.Module, *, time_constant: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.time_constant = time_constant
        self.updates = 0
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._copied: list[tuple[Tensor, Tensor]] = []
        for mean, value in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            (self._pairs if mean.is_floating_point() else self._copied).append((mean, value))

    @torch.no_grad()
    def update(self) -> None:
        """Move the mean towards the model's present weights."""
        self.updates += 1
        weight = weight_of_newest(self.updates, self.time_constant)
        torch._foreach_lerp_([mean for mean, _ in self._pairs], [value for _, value in self._pairs], weight)
        for mean, value in self._copied:
            mean.copy_(value)
