"""Cross-layer contrastive learning of latent semantics (IEEE TIP, 2024): shallow stages learn what deep ones group.

It never changes a label, and what it says about an image never depends on the images beside it.

The paper's: the multi-scale head on four stages, clusters of images in a batch and of channels in an image as latent
semantics, and cross-entropy + sum of lambda (image level + batch level) with lambda = (0, 0.1, 0) for stages 1 to 3.
Ours: the form of the two losses that gives a gradient (see `latent_semantics`), what the head does at other sizes and
how it weighs the stages (see `multi_scale`), and a small classifier of stage 2 whose disagreement with the recognizer
is reported. That classifier is trained on detached features, so it changes no other weight, except that its gradient
counts where the training loop clips the norm of all gradients.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.errors import UsageError
from ferclean.recognition.backbones import Backbone
from ferclean.recognition.float32 import Linear, pooled
from ferclean.recognition.methods.base import Batch, as_predictions, cross_entropy
from ferclean.recognition.methods.latent_semantics import LatentSemantics
from ferclean.recognition.methods.multi_scale import FACTORS, MultiScaleHead

SHALLOW = 1
"""Place, from 0, of the stage that the small classifier reads: the second."""
POOLED = 4
"""Positions a side to which the small classifier's map is pooled."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the method, with the paper's values where they are known."""

    stage_weights: tuple[float, ...] = (0.0, 0.1, 0.0)
    """Lambda: weight of the latent-semantics losses of stages 1 to 3, each against the last stage."""
    temperature: float = 0.2
    """Temperature of the contrast with the other clusters; 0 takes the published -1/2 cos, without negatives."""
    image_clusters: int = 4
    """Groups of channels in one image; images of a batch fall into as many groups as there are classes."""
    channels: int = 128
    """Channels of each stage on the 11 x 11 grid."""

    def __post_init__(self) -> None:
        if len(self.stage_weights) != 3 or min(self.stage_weights) < 0:
            raise UsageError(f"stage_weights are three numbers of at least 0, not {self.stage_weights}")
        if self.temperature < 0:
            raise UsageError(f"temperature is at least 0, not {self.temperature}")
        for name, least in (("image_clusters", 2), ("channels", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is at least {least}, not {getattr(self, name)}")


class Recognizer(nn.Module):
    """Backbone, multi-scale head, latent semantics of stages that have a weight, and the small classifier."""

    def __init__(self, cfg: Config, num_classes: int, backbone: Backbone) -> None:
        super().__init__()
        self.backbone, self.num_classes = backbone, num_classes
        self.stages = min(len(FACTORS), len(backbone.stage_widths))
        if self.stages < 3:
            raise UsageError(f"cross_layer compares stages; backbone {backbone.name} has only {self.stages}")
        widths = backbone.stage_widths[-self.stages :]
        self.head = MultiScaleHead(widths, self._sides(), num_classes, channels=cfg.channels)
        self.semantics = LatentSemantics(cfg.channels) if any(cfg.stage_weights[: self.stages - 1]) else None
        self.shallow = Linear(widths[SHALLOW] * POOLED**2, num_classes)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, C, S, S) -> maps of the last four stages, shallow first."""
        return self.backbone.stages(images, last=self.stages)

    def shallow_logits(self, maps: list[Tensor]) -> Tensor:
        """What the small classifier says: (B, K), from stage 2 pooled to 4 x 4, which it cannot change."""
        pooled = F.adaptive_avg_pool2d(maps[SHALLOW].detach().float(), POOLED).flatten(1)
        return self.shallow(F.layer_norm(pooled, pooled.shape[1:]))

    @torch.no_grad()
    def _sides(self) -> list[int]:
        size = self.backbone.input_size
        was_training = self.backbone.training
        maps = self.backbone.eval().stages(torch.zeros(1, self.backbone.channels, size, size), last=self.stages)
        self.backbone.train(was_training)
        return [stage_map.shape[2] for stage_map in maps]


def build(cfg: Config, num_classes: int, backbone: Backbone) -> nn.Module:
    """The whole network."""
    return Recognizer(cfg, num_classes, backbone)


def step(model: nn.Module, batch: Batch, cfg: Config, progress: float) -> dict[str, Tensor]:
    """Cross-entropy + lambda (batch level + image level) of each stage + the small classifier's cross-entropy."""
    assert isinstance(model, Recognizer)
    maps = model(batch.views[0])
    logits, parts = _losses(model, maps, batch, cfg)
    parts["shallow"] = cross_entropy(model.shallow_logits(maps), batch)
    return {"loss": torch.stack(list(parts.values())).sum(), "logits": logits} | parts


def predict(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Probabilities, the last stage's mean over positions as embedding, and `layer_disagreement` in [0, 1].

    High = the layers disagree: the Jensen-Shannon divergence, in bits, between the probabilities that a linear layer
    reads from stage 2 and those of the recognizer; 0 where they are equal, 1 where they share no class. It does not
    know the given label: it may say how hard a face is, never by itself that a label is wrong.
    """
    assert isinstance(model, Recognizer)
    maps = model(images)
    logits, _ = model.head(maps)
    disagreement = divergence(torch.softmax(model.shallow_logits(maps), 1), torch.softmax(logits, 1))
    return as_predictions(logits, pooled(maps[-1]), layer_disagreement=disagreement)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence of two (B, K) distributions, in bits: (B,) in [0, 1], 0 = equal, 1 = disjoint.

    >>> divergence(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.0, 1.0], [0.5, 0.5]])).tolist()
    [1.0, 0.0]
    """
    middle = (p + q) / 2
    nats = torch.stack([torch.special.xlogy(each, each / middle.clamp(min=1e-30)).sum(1) for each in (p, q)]).mean(0)
    return (nats / math.log(2)).clamp(0, 1)


def gradient_norms(model: nn.Module, batch: Batch, cfg: Config) -> dict[str, float]:
    """How much stages 1 and 2 are asked to change (the paper's "learning intensity"), with and without its losses.

    Norm of the gradient at the stage's output, over the whole batch, of cross-entropy plus latent semantics (`_with`)
    and of cross-entropy alone (`_without`): `stage1_with`, `stage1_without`, `stage2_with`, `stage2_without`. The
    model is left as it was.
    """
    trial = copy.deepcopy(model).train()
    assert isinstance(trial, Recognizer)
    norms: dict[str, float] = {}
    maps = trial(batch.views[0])
    _, parts = _losses(trial, maps, batch, cfg)
    losses = {"with": torch.stack(list(parts.values())).sum(), "without": parts["cross_entropy"]}
    for name, loss in losses.items():
        for stage, gradient in enumerate(torch.autograd.grad(loss, maps[:2], retain_graph=True), 1):
            norms[f"stage{stage}_{name}"] = float(gradient.norm())
    return dict(sorted(norms.items()))


def _losses(model: Recognizer, maps: list[Tensor], batch: Batch, cfg: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits (B, K), and the losses that train the recognizer itself; those of latent semantics already weighted."""
    logits, representations = model.head(maps)
    parts = {"cross_entropy": cross_entropy(logits, batch)}
    *shallow, deep = representations
    for weight, representation in zip(cfg.stage_weights, shallow, strict=False):  # a network may have three stages
        if not weight:
            continue
        assert model.semantics is not None
        groups, t = model.num_classes, cfg.temperature
        of_batch = model.semantics.batch_level(representation, deep, groups, temperature=t)
        of_image = model.semantics.image_level(representation, deep, cfg.image_clusters, temperature=t)
        for name, value in (("batch_semantics", of_batch), ("image_semantics", of_image)):
            parts[name] = parts.get(name, torch.zeros_like(value)) + weight * value
    return logits, parts
