"""Contrastive learning and uncertainty-guided relabeling (IJNS, 2023): the default recognizer.

It never overwrites a given label: training follows working labels, and every change of one is reported.

The paper's: a supervised contrastive loss over two views, an uncertainty module that relabels, and an amending
representation module as the classifier's head. The projection head (512-512-128) and the temperature are those of the
supervised contrastive loss, the head's numbers those of the amending paper. Ours, because only the abstract is public:
the form of the uncertainty estimator and its place (it multiplies the logits), the weights of the three losses, the
cross-entropy of both views and not of one, since both are there; a rectangle that is erased in every second view,
without which wrong labels are memorised before they can be found; and what relabeling goes by. The family asks the
network of the moment, ranks samples by a weight that knows no label, and begins after 10 of 60 epochs, because it
starts from a network that knows faces. One that starts from nothing is then right so seldom that its changes spoil
labels, and a few epochs later it has memorised the wrong ones. So we ask the running mean, over epochs, of eval-mode
predictions of averaged weights. A label may change only among the least certain 30 % of its own class, so that a rare
class that is learned late is not swept away; certain is what has a high weight and, which tells far more, a high
probability of the given label. A class that is predicted for nobody keeps its labels. And labels change only after
epochs that left the predictions as they were, or, where half of the epochs did not suffice for that, in the other half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ferclean.errors import UsageError, among
from ferclean.recognition.augment import erased
from ferclean.recognition.backbones import Backbone
from ferclean.recognition.float32 import pooled
from ferclean.recognition.methods.amend import AmendingHead
from ferclean.recognition.methods.base import Batch, EpochEnd, Flips, as_predictions, cross_entropy
from ferclean.recognition.methods.contrast import ProjectionHead, supervised_contrastive
from ferclean.recognition.methods.uncertainty import ESTIMATORS, Relative, rank_loss, relabel, running_mean


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
    warmup_share: float = 1 / 6
    """Share of the epochs before the first relabeling, however settled the predictions are."""
    settled_at: float = 0.1
    """From then on relabeling follows each epoch whose predictions differ from the running mean before it in at most
    this share of the images."""
    wait_share: float = 0.5
    """After this share of the epochs relabeling no longer waits for that."""
    low_share: float = 0.3
    """Share of each given class, its least certain, whose labels may change; at least one of a class, and 0 none. Where
    most labels of a class are wrong (FER2013) 0.5 finds slightly more; where a fifth are (drawn faces) it costs
    accuracy."""
    memory_epochs: float = 5.0
    """Time constant, in epochs, of the running mean of the predictions."""
    erase: float = 0.5
    """Chance that a rectangle of up to a fifth of a view is blanked, on top of the common augmentation."""

    def __post_init__(self) -> None:
        if self.estimator not in ESTIMATORS:
            raise UsageError(f"unknown estimator {self.estimator!r}; {among(self.estimator, ESTIMATORS)}")
        if not 0 <= self.erase <= 1:
            raise UsageError(f"erase lies in [0, 1], not {self.erase}")
        if self.memory_epochs <= 0:
            raise UsageError(f"memory_epochs is above 0, not {self.memory_epochs}")
        for name in ("warmup_share", "wait_share", "settled_at", "low_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} lies in [0, 1], not {getattr(self, name)}")


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
        return feature_map, pooled(feature_map)


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
    feature_map, features = model(erased(views, cfg.erase))
    both = batch.rows(torch.arange(count, device=views.device).repeat(len(batch.views)))
    raw = model.head(feature_map)
    # one view at a time: an image's other view is no witness for its label
    weights = torch.cat([model.estimator(view, batch.labels) for view in features.split(count)])
    parts: dict[str, Tensor] = {}
    if isinstance(model.estimator, Relative):
        logits = raw
        partner = torch.roll(torch.arange(len(raw), device=raw.device), 1)
        mixed = model.head(model.estimator.mix(feature_map, features, partner))
        # the mixture is to be recognised as either of its two faces
        parts["mixing"] = (cross_entropy(mixed, both) + cross_entropy(mixed, both.rows(partner))) / 2
    else:
        logits = weights[:, None] * raw
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
    raw = model.head(feature_map)
    weights = model.estimator(features, raw.argmax(1))
    logits = raw if isinstance(model.estimator, Relative) else weights[:, None] * raw
    return as_predictions(logits, features, uerm_weight=weights)


def after_epoch(end: EpochEnd, cfg: Config) -> Flips | None:
    """Propose the likeliest label where the given one is uncertain and the present one clearly less likely.

    Not in the warm-up, nor after an epoch that changed the predictions unless half of the training is over, nor after
    the last epoch, when nothing would be trained on the new labels.
    """
    first, patient = (max(1, math.ceil(share * end.epochs - 1e-9)) for share in (cfg.warmup_share, cfg.wait_share))
    if not cfg.low_share or end.epoch == end.epochs - 1 or first >= end.epochs - 1:
        return None
    outputs, before = end.predict(), end.memory.get("pred_probs")
    for name in ("pred_probs", "uerm_weight"):
        end.memory[name] = running_mean(
            end.memory.get(name), outputs[name], updates=end.epoch + 1, time_constant=cfg.memory_epochs
        )
    if end.epoch < first or before is None:
        return None
    changed = float(np.mean(outputs["pred_probs"].argmax(1) != before.argmax(1)))
    if end.epoch < patient and changed > cfg.settled_at:
        return None
    pred_probs = end.memory["pred_probs"]
    likeliest = pred_probs.argmax(1)
    certainty = end.memory["uerm_weight"] * pred_probs[np.arange(len(likeliest)), end.given]
    # what was changed stays in the low group: it may change again, and makes no room for more of its class
    certainty = np.where(end.labels == end.given, certainty, -1.0)
    rows = relabel(pred_probs, end.labels, certainty, gap=cfg.relabel_gap, classes=end.given, share=1 - cfg.low_share)
    rows = rows[np.isin(end.given[rows], likeliest)]
    return Flips(index=rows, to_label=likeliest[rows], p=pred_probs[rows].max(1))
