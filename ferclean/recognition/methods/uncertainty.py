"""How sure a recognizer is of each label: three estimators, the loss that ranks them, a memory, the rule that relabels.

Nothing here stores labels: the rule proposes, training keeps working labels, the given ones stay as they are.

The rank loss and the rule (a low group, a gap) are those of self-cure networks (Wang et al., "Suppressing Uncertainties
for Large-Scale Facial Expression Recognition", 2020), the groups within each class are ours; estimator C follows
relative uncertainty learning (Zhang et al., 2021). Which estimator the UERM of "Contrastive Learning and
Uncertainty-Guided Relabeling" uses is not public; all three are ours.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.recognition.ema import weight_of_newest
from ferclean.recognition.float32 import Linear, in_float32

HIGH_SHARE = 0.7
"""Share of the samples that form the high-confidence group."""


def group_size(count: int, share: float = HIGH_SHARE) -> int:
    """How many of `count` are in the high group: floor(share * count), with at least one in each group."""
    # 0.7 * 10 is 7.000000000000001 or 6.999999999999999, depending on how it is computed
    return min(max(int(np.floor(share * count + 1e-9)), 1), max(count - 1, 1))


def rank_loss(weights: Tensor, *, margin: float, share: float = HIGH_SHARE) -> Tensor:
    """max(0, margin - (mean of the high group - mean of the low group)) over a batch's (B,) weights; 0 for B = 1."""
    if len(weights) < 2:
        return weights.sum() * 0.0
    ordered = weights.sort(descending=True).values
    high = group_size(len(weights), share)
    return torch.relu(margin - (ordered[:high].mean() - ordered[high:].mean()))


def relabel(
    pred_probs: np.ndarray,
    labels: np.ndarray,
    certainty: np.ndarray,
    *,
    gap: float,
    classes: np.ndarray | None = None,
    share: float = HIGH_SHARE,
) -> np.ndarray:
    """Rows whose working label should become argmax of `pred_probs`: (M,) int64, ascending.

    A row is relabelled iff it is in the low-confidence group by `certainty` (N,) and p_max - p_label > `gap`, strictly.
    With `classes` (N,) every class has its own two groups. Of equally certain rows the earlier one counts as more
    confident.
    """
    if len(labels) < 2:
        return np.zeros(0, dtype=np.int64)
    p = np.asarray(pred_probs, dtype=np.float64)
    difference = p.max(1) - p[np.arange(len(labels)), labels]
    # float32 probabilities that differ by exactly the gap must not pass by a rounding
    return np.flatnonzero(low_confidence(certainty, classes, share=share) & (difference > gap + 1e-7))


def low_confidence(
    certainty: np.ndarray, classes: np.ndarray | None = None, *, share: float = HIGH_SHARE
) -> np.ndarray:
    """(N,) bool: in the low group of all rows, or of those of its own class; a class of one row has no low group."""
    is_low = np.zeros(len(certainty), dtype=bool)
    for rows in (
        [np.arange(len(certainty))] if classes is None else [np.flatnonzero(classes == c) for c in set(classes)]
    ):
        order = rows[np.argsort(-certainty[rows], kind="stable")]
        is_low[order[group_size(len(rows), share) :]] = True
    return is_low


def running_mean(mean: np.ndarray | None, value: np.ndarray, *, updates: int, time_constant: float) -> np.ndarray:
    """The exponential mean after its `updates`-th value; a change has arrived to 63 % after `time_constant` updates.

    At first it runs over what there is, as that of weights does: with None it is the value itself.
    """
    if mean is None:
        return value.copy()
    return mean + (value - mean) * weight_of_newest(updates, time_constant)


class SelfCure(nn.Module):
    """Estimator A: a_i = sigmoid(w . f_i), which multiplies the logits."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.linear = Linear(width, 1)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (B, D) -> weights in (0, 1), (B,); the labels play no part."""
        return torch.sigmoid(self.linear(features)).squeeze(1)


class Pairwise(nn.Module):
    """Estimator B: does an image sit with the members of its class? Cosines and label -> 2K -> K -> 1 -> sigmoid.

    The mean cosine to a class's members is the cosine with their mean direction, so a running mean direction per class
    stands in for classes that a batch lacks, and for the batch itself in eval mode.
    """

    directions: Tensor
    seen: Tensor

    def __init__(self, width: int, num_classes: int, *, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_classes, self.momentum = num_classes, momentum
        self.layers = nn.Sequential(Linear(2 * num_classes, num_classes), nn.ReLU(), Linear(num_classes, 1))
        self.register_buffer("directions", torch.zeros(num_classes, width))
        self.register_buffer("seen", torch.zeros(num_classes, dtype=torch.bool))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (B, D), labels (B,) -> weights in (0, 1), (B,)."""
        unit = F.normalize(features.float(), dim=1)
        one_hot = F.one_hot(labels, self.num_classes).float()  # (B, K)
        with in_float32(unit):
            cosines = self._batch_cosines(unit, one_hot) if self.training else unit @ self.directions.T
        low, high = cosines.amin(1, keepdim=True), cosines.amax(1, keepdim=True)
        scaled = (cosines - low) / (high - low).clamp(min=1e-6)
        return torch.sigmoid(self.layers(torch.cat([scaled, one_hot], 1))).squeeze(1)

    def _batch_cosines(self, unit: Tensor, one_hot: Tensor) -> Tensor:
        counts = one_hot.sum(0)  # (K,)
        means = (one_hot.T @ unit) / counts.clamp(min=1)[:, None]
        # what was known before this batch: the batch itself is no witness, and backward needs it unchanged
        directions = self.directions.clone()
        self._remember(means.detach(), counts > 0)
        # an image is no witness for itself: it is taken out of its own class's mean, unless it is the only member
        similar = unit @ unit.T
        others = one_hot.sum(0) - one_hot
        sums = similar @ one_hot - one_hot * similar.diagonal()[:, None]
        return torch.where(others > 0, sums / others.clamp(min=1), unit @ directions.T)

    @torch.no_grad()
    def _remember(self, means: Tensor, present: Tensor) -> None:
        weight = torch.ones_like(self.seen, dtype=torch.float32).masked_fill(self.seen, self.momentum)[:, None]
        moved = torch.lerp(self.directions, means, weight)
        self.directions.copy_(torch.where(present[:, None], moved, self.directions))
        self.seen |= present


class Relative(nn.Module):
    """Estimator C: sigma_i = mean over dimensions of exp(logvar_i); the weight is 1 / (1 + sigma_i).

    It is trained by mixing pairs of feature maps: the less certain one gets the larger share, so that the easier one
    must be recognised through it. Raising sigma is only worth it for images that need the share.
    """

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.log_variance = Linear(width, width)

    def sigma(self, features: Tensor) -> Tensor:
        """(B, D) -> (B,), positive."""
        return torch.exp(self.log_variance(features).clamp(-8, 8)).mean(1)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (B, D) -> weights in (0, 1), (B,); high = certain."""
        return 1 / (1 + self.sigma(features))

    def mix(self, feature_map: Tensor, features: Tensor, partner: Tensor) -> Tensor:
        """Each map (B, D, h, h) mixed with its partner's, by shares sigma_i / (sigma_i + sigma_j)."""
        sigma = self.sigma(features)
        share = (sigma / (sigma + sigma[partner]))[:, None, None, None].to(feature_map.dtype)
        return share * feature_map + (1 - share) * feature_map[partner]


ESTIMATORS: dict[str, type[SelfCure] | type[Pairwise] | type[Relative]] = {
    "self_cure": SelfCure,
    "pairwise": Pairwise,
    "relative": Relative,
}
"""A, B and C of the house's notes."""
