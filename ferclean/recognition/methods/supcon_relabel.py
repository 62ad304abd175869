"""Contrastive learning and uncertainty-guided relabeling (IJNS, 2023): the default recognizer.

It never overwrites a given label: training follows working labels, and every change of one is reported.

The paper's: a supervised contrastive loss over two views, an uncertainty module that relabels, and an amending
representation module as the classifier's head. The projection head (512-512-128) and the temperature are those of the
supervised contrastive loss, the head's numbers those of the amending paper. Ours, because only the abstract is public:
the form of the uncertainty estimator and its place (it multiplies the logits), the weights of the three losses, the
cross-entropy of both views and not of one, since both are there; a rectangle that is erased in every second view,
without which wrong labels are memorised before they can be found; relabeling by eval-mode predictions of averaged
weights, which change less from epoch to epoch than those of the weights themselves; and a warm-up of two fifths of the
epochs. The family starts from a network that knows faces and waits for a sixth (10 of 60 epochs); one that starts from
nothing is then right so seldom that most of its changes spoil labels (drawn faces with 20 % wrong labels: after a sixth
the working labels end worse than they began).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from ferclean.errors import UsageError
from ferclean.recognition.augment import erased
from ferclean.recognition.backbones import Backbone
from ferclean.recognition.methods.amend import AmendingHead
from ferclean.recognition.methods.base import Batch, EpochEnd, Flips, as_predictions, cross_entropy
from ferclean.recognition.methods.contrast import ProjectionHead, supervised_contrastive
from ferclean.recognition.methods.uncertainty import ESTIMATORS, Relative, rank_loss, relabel


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the method, with the paper's values where they are known."""

    estimator: Literal["self_cure", "pairwise", "relative"] = "self_cure"
    """How certainty is estimated: from the features alone (A), from neighbours in the batch (B), or by mixing (C)."""
    contrast_weight: float = 0.1
    """Weight of the supervised contrastive loss beside the cross-entropy."""
    temperature: float = 0.1
    """Temperature of the contrast; the literature uses 0.07 to 0.1."""
    projection_hidden: int = 512
    """Units in the middle of the projection head."""
    projection_out: int = 128
    """Dimensions in which views are compared."""
    rank_margin: float = 0.15
    """By how much the mean weight of the confident 70 % should exceed that of the rest."""
    relabel_gap: float = 0.2
    """A label is changed only if p_max exceeds p_label by more than this."""
    warmup_share: float = 0.4
    """Share of the epochs before the first relabeling; 1/6 for a network that begins with `weights` that know faces."""
    relabel_rounds: int = 6
    """How many of the later epochs end with a relabeling, evenly spread; 0 means all but the last."""
    erase: float = 0.5
    """Chance that a rectangle of up to a fifth of a view is blanked, on top of the common augmentation."""

    def __post_init__(self) -> None:
        if self.estimator not in ESTIMATORS:
            raise UsageError(f"unknown estimator {self.estimator!r}; known: {', '.join(ESTIMATORS)}")
        if not 0 <= self.erase <= 1:
            raise UsageError(f"erase lies in [0, 1], not {self.erase}")


class Recognizer(nn.Module):
    """Backbone, amending head, projection head and uncertainty estimator."""

    def __init__(self, cfg: Config, num_classes: int, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = AmendingHead(backbone.width, backbone.map_size, num_classes)
        # a head whose loss has no weight would only slow the optimizer down
        self.projection = (
            ProjectionHead(backbone.width, hidden=cfg.projection_hidden, out=cfg.projection_out)
            if cfg.contrast_weight
            else None
        )
        self.estimator = ESTIMATORS[cfg.estimator](backbone.width, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, S, S) -> feature map (B, D, h, h) and its mean over positions (B, D)."""
        feature_map = self.backbone(images)
        return feature_map, feature_map.mean((2, 3))


def build(cfg: Config, num_classes: int, backbone: Backbone) -> nn.Module:
    """The whole network."""
    return Recognizer(cfg, num_classes, backbone)


def views(cfg: Config) -> int:
    """Two, for the contrast; one when it has no weight."""
    return 2 if cfg.contrast_weight else 1


def step(model: nn.Module, batch: Batch, cfg: Config, progress: float) -> dict[str, Tensor]:
    """Cross-entropy of all views + 0.1 contrast between them + rank loss (A, B) or mixing loss (C)."""
    assert isinstance(model, Recognizer)
    count = len(batch.labels)
    views = torch.cat(batch.views)
    feature_map, features = model(erased(views, cfg.erase) if cfg.erase else views)
    both = replace(batch, labels=batch.labels.repeat(len(batch.views)))
    raw = model.head(feature_map)
    # one view at a time: an image's other view is no witness for its label
    weights = torch.cat([model.estimator(view, batch.labels) for view in features.split(count)])
    parts: dict[str, Tensor] = {}
    if isinstance(model.estimator, Relative):
        logits = raw
        partner = torch.roll(torch.arange(len(raw), device=raw.device), 1)
        mixed = model.head(model.estimator.mix(feature_map, features, partner))
        # the mixture is to be recognised as either of its two faces
        theirs = replace(both, labels=both.labels[partner])
        parts["mixing"] = (cross_entropy(mixed, both) + cross_entropy(mixed, theirs)) / 2
    else:
        logits = weights[:, None] * raw.float()
        parts["rank"] = rank_loss(weights, margin=cfg.rank_margin)
    parts["cross_entropy"] = cross_entropy(logits, both)
    loss = torch.stack(list(parts.values())).sum()
    if model.projection is not None:
        parts["contrast"] = supervised_contrastive(
            model.projection(features).split(count), batch.labels, temperature=cfg.temperature
        )
        loss = loss + cfg.contrast_weight * parts["contrast"]
    return {"loss": loss, "logits": logits[:count]} | parts


def predict(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Probabilities as in training (weighted logits), pooled features, and `uerm_weight` in (0, 1), high = certain.

    Without a label, estimator B asks about the predicted one.
    """
    assert isinstance(model, Recognizer)
    feature_map, features = model(images)
    raw = model.head(feature_map).float()
    weights = model.estimator(features, raw.argmax(1))
    logits = raw if isinstance(model.estimator, Relative) else weights[:, None] * raw
    return as_predictions(logits, features, uerm_weight=weights)


def after_epoch(end: EpochEnd, cfg: Config) -> Flips | None:
    """After the warm-up, propose the predicted label wherever the present one is uncertain and clearly less likely."""
    if not relabels_after(end.epoch, end.epochs, cfg):
        return None
    outputs = end.predict()
    rows = relabel(outputs["pred_probs"], end.labels, outputs["uerm_weight"], gap=cfg.relabel_gap)
    pred_probs = outputs["pred_probs"][rows]
    return Flips(index=rows, to_label=pred_probs.argmax(1), p=pred_probs.max(1))


def relabels_after(epoch: int, epochs: int, cfg: Config) -> bool:
    """Whether the epoch (from 0) ends with a relabeling: never in the warm-up, nor after the last epoch."""
    first = max(1, math.ceil(cfg.warmup_share * epochs - 1e-9))
    eligible = range(first, epochs - 1)
    if not cfg.relabel_rounds or cfg.relabel_rounds >= len(eligible):
        return epoch in eligible
    spacing = len(eligible) / cfg.relabel_rounds
    return epoch in {eligible[int(round_ * spacing)] for round_ in range(cfg.relabel_rounds)}
