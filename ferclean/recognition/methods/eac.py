"""Erasing attention consistency (ECCV, 2022): a face and its mirror image must be judged by mirrored evidence.

It never changes a label. The rectangles that it erases come on top of those of the common augmentation.

The paper's: cross-entropy of the image alone, plus 5 times the mean squared difference between its class activation
maps and those of its mirror image, mirrored back; rectangles of some images are erased. A network that memorises wrong
labels does so by accidental features, which seldom mirror, so the second term slows that down. As in the authors'
released code, the classifier's weights are constants in the maps: only the features learn to be consistent.

Ours: the weight rises with the fourth power of the progress, to 20, because the paper starts from a network that knows
faces. One that starts from nothing learns little under a heavy second term, and memorises late, when the weight is high
(drawn faces with 20 % wrong labels: 5 throughout or rising along a line learn less and memorise more). The mirror image
is erased on its own: what one of the two lacks must be judged from the rest (the same faces: 1 and 4 points more on two
sets). Both pass the network as one batch, so that batch norm sees the same statistics for both. And the signal
`flip_consistency`. The optimizer (Adam, 1e-4, batch 32 in the paper) is a setting of the training loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.errors import UsageError
from ferclean.recognition.augment import erased
from ferclean.recognition.backbones import Backbone
from ferclean.recognition.float32 import Linear, in_float32, pooled
from ferclean.recognition.methods.base import Batch, as_predictions, cross_entropy


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the method; the paper's are `consistency_weight=5, ramp_power=0, erase_apart=False`, for a network
    that knows faces."""

    consistency_weight: float = 20.0
    """Weight that the difference between the maps has at the end, beside the cross-entropy; 0 leaves it out, and its
    cost."""
    ramp_power: float = 4.0
    """The weight rises with this power of the training's progress; 0 keeps it the same throughout."""
    erase: float = 0.5
    """Chance that a rectangle of up to a fifth of the image is blanked."""
    erase_apart: bool = True
    """Whether the mirror image has a rectangle (or none) of its own, and not the image's."""

    def __post_init__(self) -> None:
        if self.consistency_weight < 0 or self.ramp_power < 0 or not 0 <= self.erase <= 1:
            raise UsageError("consistency_weight and ramp_power are at least 0, and erase lies in [0, 1]")


class Recognizer(nn.Module):
    """Images (B, C, S, S) -> feature map (B, width, h, h), logits (B, K) and pooled features (B, width)."""

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = Linear(backbone.width, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, S, S) -> (B, width, h, h), (B, K), (B, width)."""
        feature_map = self.backbone(images)
        features = pooled(feature_map)
        return feature_map, self.classifier(features), features

    def activation_maps(self, feature_map: Tensor) -> Tensor:
        """(B, width, h, h) -> (B, K, h, h): what each position adds to each class's logit. No gradient to the weights.

        The mean over positions plus the classifier's bias is the logits, so maps count in logits for every backbone,
        width and size of map, and one weight of the loss serves all of them.
        """
        with in_float32(feature_map):
            return torch.einsum("bdhw,kd->bkhw", feature_map.float(), self.classifier.weight.detach())


def consistency_loss(maps: Tensor, mirrored_maps: Tensor) -> Tensor:
    """Mean squared difference between maps (B, K, h, h) and the mirror images' maps, mirrored back: a scalar >= 0."""
    return F.mse_loss(maps, mirrored_maps.flip(3))


def map_likeness(maps: Tensor, mirrored_maps: Tensor) -> Tensor:
    """How alike the maps (B, K, h, h) of images and of their mirror images are: (B,) in [-1, 1], high = consistent.

    The cosine between the two sets of maps of an image, the second mirrored back, after subtracting at each position
    what all classes share there, which no probability depends on. 1 for equal or proportional maps; 0 where a map is
    the same for all classes.
    """
    first, second = maps, mirrored_maps.flip(3)
    first, second = first - first.mean(1, keepdim=True), second - second.mean(1, keepdim=True)
    return F.cosine_similarity(first.flatten(1), second.flatten(1), dim=1)


def weight_at(progress: float, cfg: Config) -> float:
    """Weight of the consistency loss at `progress` in [0, 1)."""
    return cfg.consistency_weight * float(progress**cfg.ramp_power)


def build(cfg: Config, num_classes: int, backbone: Backbone) -> nn.Module:
    """The backbone with a linear layer on top: activation maps need nothing more."""
    return Recognizer(backbone, num_classes)


def step(model: nn.Module, batch: Batch, cfg: Config, progress: float) -> dict[str, Tensor]:
    """Cross-entropy of the erased view + the weighted inconsistency of its maps with those of the mirror image."""
    assert isinstance(model, Recognizer)
    view = erased(batch.views[0], cfg.erase)
    if not cfg.consistency_weight:
        _, logits, _ = model(view)
        return {"loss": cross_entropy(logits, batch), "logits": logits}
    mirrored = (erased(batch.views[0], cfg.erase) if cfg.erase_apart else view).flip(3)
    feature_map, all_logits, _ = model(torch.cat([view, mirrored]))
    logits = all_logits[: len(view)]
    maps, mirrored_maps = model.activation_maps(feature_map).split(len(view))
    parts = {"cross_entropy": cross_entropy(logits, batch), "consistency": consistency_loss(maps, mirrored_maps)}
    loss = parts["cross_entropy"] + weight_at(progress, cfg) * parts["consistency"]
    return {"loss": loss, "logits": logits} | parts


def predict(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Probabilities of the image alone, pooled features, and `flip_consistency` in [-1, 1], high = consistent.

    The signal is the likeness of the activation maps of the image and of its mirror image (see `map_likeness`). It
    knows no label and costs a second pass through the network.
    """
    assert isinstance(model, Recognizer)
    feature_map, logits, features = model(images)
    mirrored_map = model.backbone(images.flip(3))
    likeness = map_likeness(model.activation_maps(feature_map), model.activation_maps(mirrored_map))
    return as_predictions(logits, features, flip_consistency=likeness)
