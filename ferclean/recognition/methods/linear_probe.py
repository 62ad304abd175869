"""The second stage of two: a linear layer on an encoder that no longer changes, under the contract of a method.

It never moves a weight or a statistic of the encoder, whatever mode the whole network is put in.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.recognition.backbones import Backbone
from ferclean.recognition.float32 import Linear, pooled
from ferclean.recognition.methods.cross_entropy import predict, step

__all__ = ["LinearProbe", "build", "predict", "step"]


class Standardise(nn.BatchNorm1d):
    """Features (B, D) less their mean over their spread: of the batch in training, of all batches so far in eval mode.

    `torch.nn.BatchNorm1d` without momentum reads its counter from the device in every step; here it is read once an
    epoch. The numbers are the same.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=False, momentum=None)
        self.counted: int | None = None

    def train(self, mode: bool = True) -> Standardise:
        """As usual; the counter is read anew."""
        self.counted = None
        return super().train(mode)

    def forward(self, input: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        if not self.training:
            return super().forward(input)
        assert self.num_batches_tracked is not None
        self.counted = (int(self.num_batches_tracked) if self.counted is None else self.counted) + 1
        self.num_batches_tracked.add_(1)
        # each batch counts alike, which is right from the first one on because the encoder stands still
        return F.batch_norm(
            input, self.running_mean, self.running_var, training=True, momentum=1 / self.counted, eps=self.eps
        )


class LinearProbe(nn.Module):
    """Images (B, C, S, S) -> logits (B, K) and the frozen encoder's pooled features (B, width).

    Ours: the features are standardised over the training images before the linear layer. It stays a linear layer of
    the features, and learns in a tenth of the steps, whatever their scale.
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False).eval()
        self.standardise = Standardise(backbone.width)
        self.classifier = Linear(backbone.width, num_classes)

    def train(self, mode: bool = True) -> LinearProbe:
        """As usual, except that the encoder stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, S, S) -> (B, K), (B, width)."""
        with torch.no_grad():
            features = pooled(self.backbone(images))
        return self.classifier(self.standardise(features)), features


def build(cfg: Any, num_classes: int, backbone: Backbone) -> nn.Module:
    """A linear layer on the backbone, which is frozen as it is."""
    return LinearProbe(backbone, num_classes)
