"""CRS-CONT, a general expression encoder (TIP, 2022): contrast over coarse groups of labels, then a linear layer.

It never changes a label, and its encoder is made of the training rows only, because coarse labels are labels.

The paper's: two strong views; the weighted supervised contrastive loss over coarse groups, the cross-entropy of a
coarse head on view 1, and 0.4 times the contrast of the normalised coarse probabilities; anchors of the negative group
weigh one half; the sizes of the heads; evaluation by a linear layer on the frozen encoder in eval mode. Ours: who
belongs to which group (see `evidence.labels`), that the half weight goes to every group of several classes (which is
the negative one when the names are expressions), the temperature of the third loss (that of the first), views without
a change of hue, standardised features before the linear layer, and the run's own optimizer and schedule with a share of
its epochs where the paper has 100 epochs of SGD at 0.5, halved every 20: short profiles have no time for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.errors import UsageError
from ferclean.evidence.labels import COARSE_GROUPS, canonical_name
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.float32 import Linear
from ferclean.recognition.methods.base import FirstStage
from ferclean.recognition.methods.contrast import supervised_contrastive
from ferclean.recognition.methods.linear_probe import build, predict, step
from ferclean.recognition.pretraining import Encoder, share_of, state_of, train_encoder

__all__ = ["Config", "build", "options_from_classes", "predict", "pretrain", "step"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the method, with the paper's values where they are known."""

    groups: tuple[int, ...] | None = None
    """Coarse group (0, 1, ...) of each class index; None: every class is a group of its own. `score` and `retrain` take
    the groups from the names of the classes."""
    pretrain_share: float = 1.0
    """Epochs of the first stage as a multiple of the run's."""
    temperature: float = 0.07
    """Temperature of both contrasts."""
    shared_weight: float = 0.5
    """Weight of anchors whose group holds several classes (the negative one): over-tight groups hurt fine classes."""
    simclr_weight: float = 0.4
    """Weight of the contrast of coarse probabilities."""
    projection_hidden: int = 512
    """Units in the middle of the projection head."""
    projection_out: int = 128
    """Dimensions in which views are compared, and which the coarse head reads."""

    def __post_init__(self) -> None:
        if self.groups is not None:
            object.__setattr__(self, "groups", tuple(int(group) for group in self.groups))  # JSON has lists
            if sorted(set(self.groups)) != list(range(len(set(self.groups)))):
                raise UsageError(f"coarse groups are counted from 0 without a gap, not {list(self.groups)}")


def options_from_classes(classes: Sequence[str]) -> dict[str, Any]:
    """`groups` of the classes by their names; a word that is no expression, or contempt, is a group of its own.

    >>> options_from_classes(["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral", "contempt"])
    {'groups': [0, 1, 1, 2, 1, 1, 3, 4]}
    """
    keys = [_group_key(name) for name in classes]
    number = {key: position for position, key in enumerate(dict.fromkeys(keys))}
    # a single group would teach nothing
    return {"groups": [number[key] for key in keys]} if len(number) > 1 else {}


def _group_key(name: str) -> object:
    try:
        word = canonical_name(name)
    except UsageError:
        return name
    return next((group for group in COARSE_GROUPS if word in group), name)


def class_groups(cfg: Config, num_classes: int) -> Tensor:
    """(K,) int64 coarse group of each class. Raises UsageError when the settings speak of another number of classes."""
    groups = cfg.groups if cfg.groups is not None else tuple(range(num_classes))
    if len(groups) != num_classes:
        raise UsageError(f"coarse_contrast has groups for {len(groups)} classes, but there are {num_classes}")
    return torch.tensor(groups)


def anchor_weights(groups: Tensor, cfg: Config) -> Tensor:
    """(K,) weight of each class's anchors: `shared_weight` where its group holds several classes, else 1."""
    return torch.where(torch.bincount(groups)[groups] > 1, cfg.shared_weight, 1.0)


class CoarseEncoder(nn.Module):
    """Images -> unit projections (B, out) and coarse logits (B, G)."""

    def __init__(self, encoder: Encoder, out: int, num_groups: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.coarse = Linear(out, num_groups)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, S, S) -> (B, out), (B, G)."""
        _, projections = self.encoder(images)
        return projections, self.coarse(projections)


def loss_of(
    projections: tuple[Tensor, Tensor], logits: tuple[Tensor, Tensor], coarse: Tensor, weights: Tensor, cfg: Config
) -> Tensor:
    """Weighted contrast + cross-entropy of view 1 + 0.4 contrast of coarse probabilities; `coarse`, `weights`: (B,)."""
    contrast = supervised_contrastive(projections, coarse, temperature=cfg.temperature, weights=weights)
    probabilities = tuple(F.normalize(torch.softmax(view, 1), dim=1) for view in logits)
    # every image is its own label: the contrast without labels (SimCLR)
    own = torch.arange(len(coarse), device=coarse.device)
    agreement = supervised_contrastive(probabilities, own, temperature=cfg.temperature)
    return contrast + F.cross_entropy(logits[0], coarse) + cfg.simclr_weight * agreement


def pretrain(start: FirstStage, cfg: Config) -> dict[str, Tensor]:
    """Train the encoder on coarse labels of these images; returns the backbone's state."""
    assert start.labels is not None, "coarse groups come from labels"
    images, config = start.images, start.config
    groups = class_groups(cfg, start.num_classes)
    fine = torch.tensor(start.labels, dtype=torch.long)
    coarse, weights = groups[fine].to(images.device), anchor_weights(groups, cfg)[fine].to(images.device)
    backbone = make_backbone(
        config.backbone,
        channels=images.shape[1],
        input_size=config.network_size(images.shape[2]),
        weights=config.weights,
    )
    encoder = Encoder(backbone, backbone.width, hidden=cfg.projection_hidden, out=cfg.projection_out)
    network = CoarseEncoder(encoder, cfg.projection_out, int(groups.max()) + 1)
    network.to(device=images.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]

    def step_of(first: Tensor, second: Tensor, index: Tensor, progress: float) -> Tensor:
        count = len(index)
        z, logits = network(torch.cat([first, second]))
        return loss_of((z[:count], z[count:]), (logits[:count], logits[count:]), coarse[index], weights[index], cfg)

    train_encoder(
        network, step_of, images, config,
        epochs=share_of(config, cfg.pretrain_share), seed=config.seed, progress=start.progress,
        learning_rate=config.learning_rate, title="pretraining coarse_contrast",
    )  # fmt: skip
    return state_of(backbone)
