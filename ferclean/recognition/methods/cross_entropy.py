"""The plain baseline: backbone, mean over positions, one linear layer, cross-entropy with the given labels.

Nothing of it comes from a paper; it never changes a label and adds no signal of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ferclean.recognition.backbones import Backbone
from ferclean.recognition.float32 import Linear, pooled
from ferclean.recognition.methods.base import Batch, as_predictions
from ferclean.recognition.methods.base import cross_entropy as loss_of


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the baseline."""

    dropout: float = 0.0
    """Chance that a value of the pooled features is zeroed before the linear layer."""


class Recognizer(nn.Module):
    """Images (B, C, S, S) -> logits (B, K) and pooled features (B, width)."""

    def __init__(self, backbone: Backbone, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.classifier = Linear(backbone.width, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, S, S) -> (B, K), (B, width)."""
        features = pooled(self.backbone(images))
        return self.classifier(self.dropout(features)), features


def build(cfg: Config, num_classes: int, backbone: Backbone) -> nn.Module:
    """The backbone with a linear layer on top."""
    return Recognizer(backbone, num_classes, cfg.dropout)


def step(model: nn.Module, batch: Batch, cfg: Config, progress: float) -> dict[str, Tensor]:
    """Cross-entropy of one view."""
    logits, _ = model(batch.views[0])
    return {"loss": loss_of(logits, batch), "logits": logits}


def predict(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Logits, probabilities and the pooled features as embedding."""
    logits, features = model(images)
    return as_predictions(logits, features)
