"""Triplet-center loss with negative-sample strategies and selective attention (CISS, 2023).

It never changes a label; centres are weights like any other, and no image's output depends on its batch.

The paper's: a triplet-center loss max(0, D(f, c_y) + m - D(f, n)) on the embedding f, where n is a fully synthesized,
semi-synthesized or prediction-based negative, and a selective attention module that combines pixel-wise and
element-wise coefficients. From the loss's own literature: D = 1/2 ||.||^2, centres that are learnt with a rate of
their own, m = 5 and a weight of 0.01 beside the cross-entropy. Ours, reconstructed from the abstract: how each
negative is made, which one is the default, the form of the attention (one sigmoid per position weighs the mean over
positions, and one per dimension weighs D, so that in D a feature counts pixel coefficient times element coefficient,
and the latter is relative to the other dimensions), the small random centres at the start, and the signal
`centre_gap`. The one training loop has one learning rate: centres are stored divided by `centre_rate`, which makes
them learn that many times as fast under AdamW; merely scaling their gradient would do nothing there. A hook scales it
as well, so that the same holds under SGD.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.errors import UsageError, among
from ferclean.recognition.backbones import Backbone
from ferclean.recognition.float32 import Linear, in_float32
from ferclean.recognition.methods.base import Batch, as_predictions, cross_entropy

STRATEGIES = ("fully_synthesized", "semi_synthesized", "prediction_based")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the method, with the paper's values where they are known."""

    strategy: Literal["fully_synthesized", "semi_synthesized", "prediction_based"] = "semi_synthesized"
    """What an embedding is kept away from: values picked per dimension from all other centres, the nearest other centre
    with some of its dimensions so picked, or the centre of the class it is most confused with. The second is the
    default because it pushes away what is near, and nothing else: the centre of a frequent class, which many others
    are confused with, is driven off its own images by the third, and the first is nobody's centre."""
    weight: float = 0.01
    """Weight of the triplet-center loss beside the cross-entropy."""
    normalise: bool = False
    """Whether distances are between vectors of length 1."""
    margin: float | None = None
    """By how much D to the negative should exceed D to the own centre; None means 5, or 0.5 with `normalise`."""
    synthesized_share: float = 0.5
    """`semi_synthesized`: share of the dimensions, those of highest attention, that are synthesized."""
    centre_rate: float = 10.0
    """Learning rate of the centres, as a multiple of the other weights' rate."""

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise UsageError(f"unknown strategy {self.strategy!r}; {among(self.strategy, STRATEGIES)}")
        if not 0 <= self.synthesized_share <= 1 or self.centre_rate <= 0:
            raise UsageError("synthesized_share lies in [0, 1], and centre_rate is above 0")


def distances(embedding: Tensor, points: Tensor, attention: Tensor) -> Tensor:
    """D = 1/2 sum_d A_d (f_d - c_d)^2 between f (B, D) and points (B, D) or (B, K, D): (B,) or (B, K), >= 0.

    `attention`: A (B, D) in [0, 1]. A = (1, .5), f = (1, 2), c = 0 give 1.5.
    """
    if points.dim() == 3:
        embedding, attention = embedding[:, None], attention[:, None]
    return (attention * (embedding - points).square()).sum(-1) / 2


def fully_synthesized(embedding: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """Per dimension the value among the other classes' centres (K, D) that is nearest to f: (B, D).

    No point is harder: it is at least as near as any other class's centre. Gradients reach the picked centres.
    """
    gaps = (embedding.detach()[:, None] - centres.detach()).abs()  # (B, K, D)
    gaps = gaps.masked_fill(F.one_hot(labels, len(centres)).bool()[:, :, None], torch.inf)
    return centres.gather(0, gaps.argmin(1))


def semi_synthesized(
    embedding: Tensor, labels: Tensor, centres: Tensor, attention: Tensor, *, share: float = 0.5
) -> Tensor:
    """The nearest other centre, its `share` of dimensions of highest attention replaced by synthesized values: (B, D).

    A share of 0 is the nearest other centre itself; 1 is `fully_synthesized`.
    """
    gaps = distances(embedding.detach(), centres.detach().expand(len(labels), -1, -1), attention.detach())
    nearest = centres[gaps.scatter(1, labels[:, None], torch.inf).argmin(1)]
    count = round(share * centres.shape[1])
    highest = torch.zeros_like(attention).scatter(1, attention.topk(count, dim=1).indices, 1.0).bool()
    return torch.where(highest, fully_synthesized(embedding, labels, centres), nearest)


def prediction_based(labels: Tensor, centres: Tensor, logits: Tensor) -> Tensor:
    """The centre of the most likely class that is not the label: (B, D)."""
    return centres[logits.detach().float().scatter(1, labels[:, None], -torch.inf).argmax(1)]


def triplet_center_loss(
    embedding: Tensor, labels: Tensor, centres: Tensor, negatives: Tensor, attention: Tensor, *, margin: float
) -> Tensor:
    """Mean of max(0, D(f, c_y) + margin - D(f, n)) over the batch: a scalar >= 0.

    `embedding`, `negatives`, `attention`: (B, D); `labels`: (B,); `centres`: (K, D).
    """
    own = distances(embedding, centres[labels], attention)
    return torch.relu(own + margin - distances(embedding, negatives, attention)).mean()


class SelectiveAttention(nn.Module):
    """Feature map (B, D, h, h) -> embedding (B, D) and element coefficients A (B, D) in (0, 1); any h."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pixel = nn.Conv2d(width, 1, 1)
        self.element = Linear(width, width)

    def forward(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """The mean over positions, weighted by a sigmoid map (B, 1, h, h), and the sigmoid of a linear layer on it."""
        feature_map = feature_map.float()
        with in_float32(feature_map):
            pixels = torch.sigmoid(self.pixel(feature_map))
        # divided by the map's sum: otherwise attention would set the scale of the embedding, and so of all distances
        embedding = (pixels * feature_map).sum((2, 3)) / pixels.sum((2, 3))
        element = self.element(embedding)
        # relative to the other dimensions: otherwise A falls to 0 as long as negatives are nearer, and D with it
        return embedding, torch.sigmoid(F.layer_norm(element, element.shape[1:]))


class Recognizer(nn.Module):
    """Backbone, attention, one linear layer, and one centre per class."""

    def __init__(self, cfg: Config, num_classes: int, backbone: Backbone) -> None:
        super().__init__()
        self.backbone, self.normalise, self.centre_rate = backbone, cfg.normalise, cfg.centre_rate
        self.attention = SelectiveAttention(backbone.width)
        self.classifier = Linear(backbone.width, num_classes)
        start = torch.randn(num_classes, backbone.width) / math.sqrt(backbone.width)
        self.scaled_centres = nn.Parameter(start / cfg.centre_rate)
        # without it SGD would move centres centre_rate^2 times as fast; AdamW does not care
        self.scaled_centres.register_hook(lambda gradient: gradient / cfg.centre_rate)

    @property
    def centres(self) -> Tensor:
        """(K, D), of length 1 with `normalise`."""
        return self._placed(self.scaled_centres.float() * self.centre_rate)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, C, S, S) -> logits (B, K), embedding, the point that D compares with centres, and A, each (B, D)."""
        embedding, attention = self.attention(self.backbone(images))
        return self.classifier(embedding), embedding, self._placed(embedding), attention

    def _placed(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=1) if self.normalise else vectors


def build(cfg: Config, num_classes: int, backbone: Backbone) -> nn.Module:
    """The whole network, with small random centres."""
    return Recognizer(cfg, num_classes, backbone)


def step(model: nn.Module, batch: Batch, cfg: Config, progress: float) -> dict[str, Tensor]:
    """Cross-entropy of the view + 0.01 triplet-center loss against the strategy's negatives."""
    assert isinstance(model, Recognizer)
    logits, _, point, attention = model(batch.views[0])
    centres, labels = model.centres, batch.labels
    if cfg.strategy == "fully_synthesized":
        negatives = fully_synthesized(point, labels, centres)
    elif cfg.strategy == "semi_synthesized":
        negatives = semi_synthesized(point, labels, centres, attention, share=cfg.synthesized_share)
    else:
        negatives = prediction_based(labels, centres, logits)
    margin = cfg.margin if cfg.margin is not None else (0.5 if cfg.normalise else 5.0)
    parts = {
        "cross_entropy": cross_entropy(logits, batch),
        "triplet_center": triplet_center_loss(point, labels, centres, negatives, attention, margin=margin),
    }
    loss = parts["cross_entropy"] + cfg.weight * parts["triplet_center"]
    return {"loss": loss, "logits": logits} | parts


def predict(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Probabilities, the attended embedding, and `centre_gap`, high = clear.

    The gap is D to the nearest centre of another class minus D to the predicted class's centre, in units of D: below 0
    where another class's centre is nearer than the predicted one's. It knows no label.
    """
    assert isinstance(model, Recognizer)
    logits, embedding, point, attention = model(images)
    to_centres = distances(point, model.centres.expand(len(images), -1, -1), attention)  # (B, K)
    predicted = logits.argmax(1, keepdim=True)
    others = to_centres.scatter(1, predicted, torch.inf).amin(1)
    return as_predictions(logits, embedding, centre_gap=others - to_centres.gather(1, predicted).squeeze(1))
