"""Losses that compare the images of a batch with one another.

They never normalise weights or look at logits: they take projections and labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.recognition.float32 import Linear, in_float32


class ProjectionHead(nn.Module):
    """Features (B, D) -> unit-length projections (B, out): linear, ReLU, linear, all in float32."""

    def __init__(self, width: int, *, hidden: int = 512, out: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(Linear(width, hidden), nn.ReLU(inplace=True), Linear(hidden, out))

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, out), each of length 1."""
        return F.normalize(self.layers(features), dim=1)


def supervised_contrastive(
    projections: tuple[Tensor, ...], labels: Tensor, *, temperature: float, weights: Tensor | None = None
) -> Tensor:
    """Supervised contrastive loss (Khosla et al., 2020), the form with the sum over positives outside the logarithm.

    `projections`: one (B, D) tensor of unit vectors per view; `labels`: (B,). Every vector of every view is an anchor;
    its positives are all others with its label, its own other view included. Anchors without a positive are left out
    of the mean. `weights` (B,) multiply the anchors' terms; the sum is still divided by the number of anchors.
    Returns a scalar >= 0; 0 when no anchor has a positive. Computed in float32.

    Two identical views (1,0), (0,1) with t = 1: labels [0, 1] give ln(e + 2) - 1 = 0.5514, labels [0, 0] give 1.2181.
    """
    vectors = torch.cat([view.float() for view in projections])  # (V*B, D)
    labels = labels.repeat(len(projections))
    with in_float32(vectors):
        similarity = vectors @ vectors.T / temperature
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    log_share = similarity - torch.logsumexp(similarity.masked_fill(itself, -torch.inf), dim=1, keepdim=True)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    counts = positive.sum(1)
    terms = -log_share.masked_fill(~positive, 0.0).sum(1) / counts.clamp(min=1)  # (V*B,)
    if weights is not None:
        terms = terms * weights.repeat(len(projections))
    return terms.sum() / (counts > 0).sum().clamp(min=1)
