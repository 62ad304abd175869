"""The second stage of two: a linear layer on an encoder that no longer changes, under the contract of a method.

It never moves a weight or a statistic of the encoder, whatever mode the whole network is put in.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ferclean.recognition.backbones import Backbone
from ferclean.recognition.methods.base import Batch, as_predictions, cross_entropy

__all__ = ["LinearProbe", "build", "predict", "step"]


class LinearProbe(nn.Module):
    """Images (B, C, S, S) -> logits (B, K) and the frozen encoder's pooled features (B, width).

    Ours: the features are standardised over the training images before the linear layer. It stays a linear layer of
    the features, and learns in a tenth of the steps, whatever their scale.
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False).eval()
        # no momentum: the mean over all batches, which is right from the first one on because the encoder stands still
        self.standardise = nn.BatchNorm1d(backbone.width, affine=False, momentum=None)
        self.classifier = nn.Linear(backbone.width, num_classes)

    def train(self, mode: bool = True) -> LinearProbe:
        """As usual, except that the encoder stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, S, S) -> (B, K), (B, width)."""
        with torch.no_grad():
            features = self.backbone(images).mean((2, 3))
        return self.classifier(self.standardise(features.float())), features


def build(cfg: Any, num_classes: int, backbone: Backbone) -> nn.Module:
    """A linear layer on the backbone, which is frozen as it is."""
    return LinearProbe(backbone, num_classes)


def step(model: nn.Module, batch: Batch, cfg: Any, progress: float) -> dict[str, Tensor]:
    """Cross-entropy of one view; only the linear layer has gradients."""
    logits, _ = model(batch.views[0])
    return {"loss": cross_entropy(logits, batch), "logits": logits}


def predict(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Logits, probabilities and the encoder's pooled features as embedding."""
    logits, features = model(images)
    return as_predictions(logits, features)
