"""Latent semantics of `cross_layer`: clusters that a deep stage shows, and how far a shallow stage agrees with them.

It never looks at labels, and no gradient flows from these losses into the deep stage.

The paper's: clusters of the batch's images and of one image's channels, found by k-means on the deep stage; shallow
members join the most cosine-similar centroid; an empty cluster's mean is its centroid; loss -1/2 mean cos. Ours, as
the published form of the channel codes is an index, which has no gradient: soft-argmax codes, and a contrast with the
other centroids (InfoNCE) in place of the plain cosine, which has no negatives. Ours too: one 3x3 convolution for all
stages, so that shallow and deep vectors lie in the same space, and so that it is trained at all; and vectors of images
less their stage's batch mean, without which all of them point the same way (cosines above .999).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ITERATIONS = 4
"""Lloyd steps of k-means; far more than a batch of vectors, which changes with every step, deserves."""
SHARPNESS = 2.0
"""Standard deviations of a channel's responses are multiplied by this before the softmax over positions."""


def cluster_means(items: Tensor, member: Tensor, otherwise: Tensor) -> Tensor:
    """Items (G, N, D) and their clusters (G, N) -> means (G, k, D); an empty cluster takes its row of `otherwise`."""
    belongs = (member[:, :, None] == torch.arange(otherwise.shape[1], device=member.device)).to(items.dtype)
    count = belongs.sum(1)[:, :, None]  # (G, k, 1)
    return torch.where(count > 0, belongs.mT @ items / count.clamp(min=1), otherwise)


@torch.no_grad()
def kmeans(items: Tensor, clusters: int, *, iterations: int = ITERATIONS) -> Tensor:
    """Centroids (G, k, D) of G sets of N items (G, N, D), k = min(clusters, N); all sets at once, without randomness.

    Starts from the first item and, again and again, the item farthest from those chosen; then Lloyd's iterations. A
    cluster that loses all members stays where it was.

    >>> kmeans(torch.tensor([[[0.0], [10.0], [1.0], [11.0]]]), 2).flatten().tolist()
    [0.5, 10.5]
    """
    chosen = [items[:, :1]]
    distance = torch.full(items.shape[:2], torch.inf, device=items.device)
    for _ in range(min(clusters, items.shape[1]) - 1):
        distance = torch.minimum(distance, (items - chosen[-1]).square().sum(2))
        farthest = distance.argmax(1)[:, None, None].expand(-1, 1, items.shape[2])
        chosen.append(items.gather(1, farthest))
    centroids = torch.cat(chosen, 1)
    for _ in range(iterations):
        nearest = (items @ centroids.mT - centroids.square().sum(2)[:, None] / 2).argmax(2)
        centroids = cluster_means(items, nearest, centroids)
    return centroids


def negative_cosine(means: Tensor, centroids: Tensor) -> Tensor:
    """The published loss, -1/2 mean_k cos(m_k, c_k), of (G, k, D) means and centroids: in [-1/2, 1/2].

    >>> round(negative_cosine(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[1.0, 1.0]]]) / 2**0.5).item(), 6)
    -0.353553
    """
    return -F.cosine_similarity(means, centroids, dim=2).mean() / 2


def info_nce(means: Tensor, centroids: Tensor, *, temperature: float) -> Tensor:
    """How hard it is to tell from a mean (G, k, D) which of its set's centroids (G, k, D) it belongs to: >= 0."""
    similarity = F.normalize(means, dim=2) @ F.normalize(centroids, dim=2).mT / temperature  # (G, k, k)
    return -torch.log_softmax(similarity, 2).diagonal(dim1=1, dim2=2).mean()


def agreement_loss(shallow: Tensor, deep: Tensor, clusters: int, *, temperature: float) -> Tensor:
    """Loss of shallow items (G, N, D) against the clusters of deep ones (G, M, D), both float32 -> scalar.

    `temperature` 0 gives the published loss. The gradient reaches the shallow items only.
    """
    centroids = kmeans(deep.detach(), clusters)
    cosine = F.normalize(shallow.detach(), dim=2) @ F.normalize(centroids, dim=2).mT
    means = cluster_means(shallow, cosine.argmax(2), centroids)
    if temperature:
        return info_nce(means, centroids, temperature=temperature)
    return negative_cosine(means, centroids)


def channel_codes(representation: Tensor) -> Tensor:
    """(B, C, h, h) -> (B, C, P): where each channel responds, as weights of the P pooled positions that sum to 1.

    A soft argmax: softmax over the channel's standardised responses after 3x3 mean pooling (stride 2: 5 x 5 positions
    of an 11 x 11 grid). We keep the weights and do not reduce them to a mean coordinate: the cosine of two coordinates
    would forget how far from the centre they are, and is not defined in the centre.
    """
    responses = F.avg_pool2d(representation.float(), 3, 2).flatten(2)  # (B, C, P)
    responses = responses - responses.mean(2, keepdim=True)
    spread = responses.square().mean(2, keepdim=True).add(1e-6).sqrt()
    return torch.softmax(SHARPNESS * responses / spread, 2)


class LatentSemantics(nn.Module):
    """Shallow and deep representations, each (B, channels, 11, 11), -> batch-level and image-level loss, two scalars.

    Everything in float32: clusters of vectors that are nearly alike do not survive half precision.
    """

    def __init__(self, channels: int, *, maps: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, maps, 3, padding=1)

    def batch_level(self, shallow: Tensor, deep: Tensor, clusters: int, *, temperature: float) -> Tensor:
        """Clusters of the batch's images: do the shallow stage's vectors fall into the deep stage's groups?"""
        with torch.autocast(shallow.device.type, enabled=False):
            vectors = self.vectors(shallow)
            with torch.no_grad():
                targets = self.vectors(deep)
            return agreement_loss(vectors, targets, clusters, temperature=temperature)

    def image_level(self, shallow: Tensor, deep: Tensor, clusters: int, *, temperature: float) -> Tensor:
        """Clusters of each image's channels: do the shallow stage's channels look where the deep stage's look?"""
        with torch.autocast(shallow.device.type, enabled=False):
            return agreement_loss(
                channel_codes(shallow), channel_codes(deep.detach()), clusters, temperature=temperature
            )

    def vectors(self, representation: Tensor) -> Tensor:
        """(B, channels, 11, 11) -> one set of B vectors of mean zero, (1, B, maps * 121)."""
        vectors = self.conv(torch.sigmoid(representation.float())).flatten(1)
        return (vectors - vectors.mean(0))[None]
