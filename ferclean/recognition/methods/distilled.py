"""ASDC-FER, attention-guided self-supervised distilled contrastive learning (JEI, 2024), then a linear layer.

It never lets a label into its encoder, so one encoder serves every fold, and never lets a gradient into its teacher.

The paper's (its abstract): a teacher that guides a student inside self-supervised contrast, by features joined under
attention and by facial key features; the family's (MoCo-v2): queue, momentum encoder, InfoNCE at temperature 0.2 in
128 dimensions. Ours, because only the abstract is public: what attention is (softmax over positions of the feature
map's energy over its mean), the joined vector (attention-pooled features and query, each of length one, normalised
together), the key positions (the quarter that the teacher attends most) and their loss, the weights of the losses,
the bent faces (see `bending`) that both stages must read: the contrast alone tells people and backgrounds apart and
hardly expressions, so it weighs a tenth of them; the rising momentum, no shuffling of batches between devices, no
older key of an image as its own negative, standardised features before the linear layer, and the run's own optimizer
at a third of its learning rate for a share of its epochs. The teacher is a momentum-contrast network of the student's
kind, or of another one; with `weights` its backbone is that file's and only its head is learnt.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.errors import UsageError
from ferclean.progress import Progress
from ferclean.recognition.backbones import Backbone, make_backbone
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.methods.base import FirstStage
from ferclean.recognition.methods.bending import BendReader, bend, bend_loss
from ferclean.recognition.methods.linear_probe import build, predict, step
from ferclean.recognition.pixels import Pixels
from ferclean.recognition.pretraining import Encoder, Queue, follow, share_of, state_of, train_encoder

__all__ = ["LABEL_FREE", "Config", "build", "predict", "pretrain", "starts_from", "step"]

LABEL_FREE = True


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the method, with the values of the family where they are known."""

    teacher: str | None = None
    """Backbone of the teacher (`resnet50`, say, where there is a GPU); None takes the student's own."""
    teacher_share: float = 0.5
    """Epochs of the teacher as a multiple of the run's."""
    pretrain_share: float = 1.0
    """Epochs of the student as a multiple of the run's."""
    rate_share: float = 1 / 3
    """Highest learning rate of both as a share of the run's: at the whole rate the contrast learns little."""
    temperature: float = 0.2
    """Temperature of InfoNCE."""
    contrast_weight: float = 0.1
    """Weight of InfoNCE in both stages."""
    bend_weight: float = 1.0
    """Weight of reading how a face was bent, in both stages; 0 leaves it out, and its cost."""
    bend_strength: float = 0.08
    """Spread of the points' moves, as a share of half the side."""
    queue: int = 4096
    """Largest number of keys to tell an image from; never more than there are images. MoCo-v2 has 65,536, of over a
    million images."""
    momentum: tuple[float, float] = (0.99, 0.999)
    """Momentum of the key encoder at the start and at the end, rising along a line."""
    joint_weight: float = 1.0
    """Weight of the joint features' loss."""
    key_weight: float = 0.5
    """Weight of the key features' loss."""
    key_share: float = 0.25
    """Share of positions, those the teacher attends most, whose features are compared."""
    projection_hidden: int = 512
    """Units in the middle of the projection heads."""
    projection_out: int = 128
    """Dimensions in which views are compared."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "momentum", tuple(self.momentum))  # JSON has lists
        weights = ("contrast_weight", "bend_weight", "joint_weight", "key_weight", "bend_strength")
        if low := [name for name in weights if getattr(self, name) < 0]:
            raise UsageError(f"{low[0]} is at least 0, not {getattr(self, low[0])}")
        if not 0 < self.key_share <= 1:
            raise UsageError(f"key_share lies in (0, 1], not {self.key_share}")


def starts_from(cfg: Config, config: TrainConfig) -> tuple[str, bool]:
    """The teacher, which is never trained where there is a file."""
    return cfg.teacher or config.backbone, True


def attention(feature_map: Tensor) -> Tensor:
    """(B, D, h, w) -> (B, h*w) shares of attention, rows sum to 1: softmax of the energy relative to its mean."""
    energy = feature_map.float().square().mean(1).flatten(1)
    return torch.softmax(energy / energy.mean(1, keepdim=True).clamp(min=1e-6), 1)


def joint(feature_map: Tensor, queries: Tensor) -> Tensor:
    """Attention-pooled features beside the query: (B, D, h, w), (B, Q) -> (B, D + Q) of length 1."""
    pooled = (feature_map.float().flatten(2) * attention(feature_map)[:, None]).sum(2)
    return F.normalize(torch.cat([F.normalize(pooled, dim=1), queries.float()], 1), dim=1)


def joint_loss(theirs: Tensor, ours: Tensor) -> Tensor:
    """Mean squared distance of joint vectors (B, J): in [0, 4], 0 only when all are equal."""
    return (theirs - ours).square().sum(1).mean()


def key_positions(teacher_attention: Tensor, share: float) -> Tensor:
    """(B, P) -> (B, k) ascending: the `share` of positions with most attention, rounded up (13 of 49)."""
    count = max(1, math.ceil(share * teacher_attention.shape[1] - 1e-9))
    return teacher_attention.topk(count, dim=1).indices.sort(1).values


def key_feature_loss(teacher_map: Tensor, student_map: Tensor, share: float) -> Tensor:
    """Mean squared distance of unit features (B, D, h, w) at the teacher's key positions; elsewhere no gradient."""
    chosen = key_positions(attention(teacher_map), share)
    theirs, ours = (F.normalize(m.float().flatten(2), dim=1) for m in (teacher_map, student_map))
    return (theirs - ours).square().sum(1).gather(1, chosen).mean()


def attention_loss(teacher_map: Tensor, student_map: Tensor) -> Tensor:
    """Mean KL(a_T || a_S) over the batch; scalar >= 0."""
    theirs, ours = attention(teacher_map), attention(student_map)
    return (theirs * (theirs.log() - ours.log())).sum(1).mean()


class Guided(nn.Module):
    """An encoder with what reads bends from its maps."""

    def __init__(self, encoder: Encoder, width: int, cfg: Config) -> None:
        super().__init__()
        self.encoder, self.strength = encoder, cfg.bend_strength
        # a head whose loss has no weight would only slow the optimizer down
        self.reader = BendReader(width) if cfg.bend_weight else None

    def bend_loss(self, images: Tensor, feature_map: Tensor) -> Tensor:
        """How wrongly the bends of these views (B, C, S, S), whose map is at hand, are read; 0 without a reader."""
        if self.reader is None:
            return feature_map.new_zeros(())
        bent, drawn = bend(images, strength=self.strength)
        return bend_loss(self.reader(feature_map, self.encoder.backbone(bent)), drawn)


class Student(Guided):
    """An encoder whose map is also given in the teacher's width."""

    def __init__(self, encoder: Encoder, width: int, teacher_width: int, cfg: Config) -> None:
        super().__init__(encoder, width, cfg)
        self.adapt = nn.Conv2d(width, teacher_width, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, S, S) -> own map (B, D, h, w), the same in the teacher's width (B, D_T, h, w), queries (B, Q)."""
        feature_map, queries = self.encoder(images)
        return feature_map, self.adapt(feature_map), queries


class MomentumContrast:
    """InfoNCE of an encoder's queries against keys of its slow copy and a queue of earlier ones."""

    def __init__(self, encoder: Encoder, cfg: Config, count: int, device: torch.device) -> None:
        self.encoder, self.cfg = encoder, cfg
        # in train mode as MoCo's: statistics of a slow copy would lag behind its weights, and it would not learn
        self.slow = copy.deepcopy(encoder).train().requires_grad_(False)
        self.queue = Queue(min(cfg.queue, count), cfg.projection_out, device)

    def loss(self, queries: Tensor, second: Tensor, index: Tensor, progress: float) -> Tensor:
        """Let the slow copy follow, make the keys of the second views, compare, and queue them."""
        start, end = self.cfg.momentum
        follow(self.slow, self.encoder, start + (end - start) * progress)
        with torch.no_grad():
            _, keys = self.slow(second)
        loss = self.queue.info_nce(queries, keys, index, temperature=self.cfg.temperature)
        self.queue.push(keys, index)
        return loss


def train_teacher(images: Pixels, cfg: Config, config: TrainConfig, progress: Progress) -> tuple[Encoder, int]:
    """A frozen momentum-contrast network in eval mode, and the width of its map."""
    name, frozen = starts_from(cfg, config)
    encoder, backbone = _encoder(name, images, cfg, config, from_file=True, frozen=frozen)
    if config.weights is not None:
        cfg = replace(cfg, bend_weight=0.0)  # a backbone that stands still learns nothing from bends
    guided = Guided(encoder, backbone.width, cfg).to(images.device).train()
    if config.weights is not None:
        backbone.requires_grad_(False).eval()
    contrast = MomentumContrast(encoder, cfg, len(images), images.device)

    def step_of(first: Tensor, second: Tensor, index: Tensor, progress: float) -> Tensor:
        feature_map, queries = encoder(first)
        loss = cfg.contrast_weight * contrast.loss(queries, second, index, progress)
        return loss + cfg.bend_weight * guided.bend_loss(first, feature_map)

    train_encoder(
        guided, step_of, images, config,
        epochs=share_of(config, cfg.teacher_share), seed=config.seed + 2, progress=progress,
        learning_rate=cfg.rate_share * config.learning_rate, title="pretraining the teacher of distilled",
    )  # fmt: skip
    return encoder.requires_grad_(False).eval(), backbone.width


def distil(
    student: Student, teacher: Encoder, contrast: MomentumContrast, first: Tensor, second: Tensor, index: Tensor,
    progress: float,
) -> Tensor:  # fmt: skip
    """0.1 InfoNCE + bends + joint + 0.5 (key features + attention), of the first views under the teacher's eyes."""
    cfg = contrast.cfg
    with torch.no_grad():
        teacher_map, teacher_queries = teacher(first)
    feature_map, student_map, queries = student(first)
    loss = cfg.contrast_weight * contrast.loss(queries, second, index, progress)
    loss = loss + cfg.bend_weight * student.bend_loss(first, feature_map)
    if student_map.shape[2:] != teacher_map.shape[2:]:
        student_map = F.adaptive_avg_pool2d(student_map, teacher_map.shape[2:])
    key = key_feature_loss(teacher_map, student_map, cfg.key_share) + attention_loss(teacher_map, student_map)
    together = joint_loss(joint(teacher_map, teacher_queries), joint(student_map, queries))
    return loss + cfg.joint_weight * together + cfg.key_weight * key


def pretrain(start: FirstStage, cfg: Config) -> dict[str, Tensor]:
    """Train a teacher, distil a student from it, return the student's backbone; `labels` are not read."""
    images, config = start.images, start.config
    teacher, width = train_teacher(images, cfg, config, start.progress)
    # the student begins where the teacher did, if the file is of its kind
    same = cfg.teacher in (None, config.backbone)
    encoder, backbone = _encoder(config.backbone, images, cfg, config, from_file=same)
    student = Student(encoder, backbone.width, width, cfg)
    student.to(device=images.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    contrast = MomentumContrast(encoder, cfg, len(images), images.device)

    def step_of(first: Tensor, second: Tensor, index: Tensor, progress: float) -> Tensor:
        return distil(student, teacher, contrast, first, second, index, progress)

    train_encoder(
        student, step_of, images, config,
        epochs=share_of(config, cfg.pretrain_share), seed=config.seed, progress=start.progress,
        learning_rate=cfg.rate_share * config.learning_rate, title="pretraining distilled",
    )  # fmt: skip
    return state_of(backbone)


def _encoder(
    name: str, images: Pixels, cfg: Config, config: TrainConfig, *, from_file: bool, frozen: bool = False
) -> tuple[Encoder, Backbone]:
    backbone = make_backbone(
        name,
        channels=images.shape[1],
        input_size=config.network_size(images.shape[2]),
        weights=config.weights if from_file else None,
        frozen=frozen,
    )
    encoder = Encoder(backbone, backbone.width, hidden=cfg.projection_hidden, out=cfg.projection_out)
    encoder.to(device=images.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    return encoder, backbone
