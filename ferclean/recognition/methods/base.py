"""What a recognizer is: the functions its module has, what they receive and return, and defaults for optional ones.

It holds no training loop (that is `recognition.train`) and no layer of any one method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ferclean.errors import UsageError, among
from ferclean.progress import Progress
from ferclean.recognition.backbones import Backbone, make_backbone
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.methods.catalogue import get_method
from ferclean.recognition.pixels import Pixels
from ferclean.recognition.weights import WeightsReport


@dataclass(frozen=True, kw_only=True)
class FirstStage:
    """What `pretrain` receives. `images`: (N, C, S, S) uint8, on the device that it runs on. `labels`: (N,) int64, None
    for a label-free method. All randomness follows `config.seed`."""

    images: Pixels
    labels: np.ndarray | None
    num_classes: int
    config: TrainConfig
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What `step` receives. All tensors are on the model's device.

    `views`: one or two (B, C, S, S) float32 views of the same images. `labels`: (B,) int64 working labels, which a
    method may have corrected. `given`: (B,) int64, as published. `index`: (B,) int64 rows of the training set.
    `targets`: (B, K) float32, rows sum to 1, where training is given soft targets; then `labels` are their likeliest
    classes, for what needs one class (contrast, centres), and the classification loss reads `targets`. `weights`: (B,)
    float32, 0 or more, 1 on average over the training set: what each row counts for in the classification loss.
    """

    views: tuple[Tensor, ...]
    labels: Tensor
    given: Tensor
    index: Tensor
    targets: Tensor | None = None
    weights: Tensor | None = None
    label_smoothing: float = 0.0

    def rows(self, index: Tensor) -> Batch:
        """What logits of these rows (M,) are to be compared with; a row may come several times. The views stay."""
        return replace(
            self, labels=self.labels[index], given=self.given[index], index=self.index[index],
            targets=None if self.targets is None else self.targets[index],
            weights=None if self.weights is None else self.weights[index],
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EpochEnd:
    """What `after_epoch` receives. `epoch` counts from 0.

    `labels`: (N,) int64 working labels (a copy). `given`: (N,) int64. `predict()` runs the averaged weights in eval
    mode over all training images, as they are, and returns `predict`'s dictionary as numpy arrays. `memory` is one
    dictionary for the whole training, empty at first: what the method wants to know again after the next epoch.
    """

    epoch: int
    epochs: int
    labels: np.ndarray
    given: np.ndarray
    predict: Callable[[], dict[str, np.ndarray]]
    memory: dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Flips:
    """Working labels to change: rows of the training set (M,), new labels (M,) and the probability of each (M,)."""

    index: np.ndarray
    to_label: np.ndarray
    p: np.ndarray


class Method(Protocol):
    """The module of a recognizer. `Config` is a frozen dataclass; optional: the hooks
    `views`, `after_epoch`, `pretrain`, `starts_from` and `options_from_classes`, and the constant `LABEL_FREE`.
    """

    __name__: str
    Config: Any

    def build(self, cfg: Any, num_classes: int, backbone: Backbone) -> nn.Module:
        """The whole network, with random heads."""
        ...

    def step(self, model: nn.Module, batch: Batch, cfg: Any, progress: float) -> dict[str, Tensor]:
        """Forward a batch in train mode -> `loss` (scalar) and `logits` (B, K) of view 1; other scalars are recorded.

        `progress` in [0, 1) is the share of the training that is over.
        """
        ...

    def predict(self, model: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """Normalised images (B, C, S, S) -> `logits` and `pred_probs` (B, K), `embedding` (B, D).

        Anything else of shape (B,) becomes a signal of that name. An image's output never depends on its batch.
        """
        ...


def views(cfg: Any) -> int:
    """How many random views of each image a step wants: 1 or 2."""
    return 1


def after_epoch(end: EpochEnd, cfg: Any) -> Flips | None:
    """What to do with the working labels after an epoch; by default nothing."""
    return None


LABEL_FREE = False
"""Whether `pretrain` does without labels: then it runs once for all folds, on all images."""


def pretrain(start: FirstStage, cfg: Any) -> dict[str, Tensor]:
    """The first of two stages: gives the state of `build`'s backbone. By default there is none."""
    return {}


def options_from_classes(classes: Sequence[str]) -> dict[str, Any]:
    """Fields of `Config` that follow from the names of the classes, in index order; by default none."""
    return {}


def with_class_names(config: TrainConfig, method_name: str, classes: Sequence[str]) -> TrainConfig:
    """`config` that also says what the method wants to know of the classes' names; options that are set stay."""
    options = hook(get_method(method_name), "options_from_classes")(classes)
    if not options:
        return config
    own = options | dict(config.method_options.get(method_name, {}))
    return replace(config, method_options={**config.method_options, method_name: own})


def starts_from(cfg: Any, config: TrainConfig) -> tuple[str, bool]:
    """The network that `config.weights` is first loaded into, and whether it stays as the file has it; by default the
    backbone, which is trained."""
    return config.backbone, False


def starting_weights(method_name: str, config: TrainConfig, *, channels: int, input_size: int) -> WeightsReport | None:
    """What `config.weights` brings to a training on images of `input_size`; None without such a file.

    Loaded and thrown away, so that a file that does not fit is refused before an image is read. Raises what
    `make_backbone` raises.
    """
    if config.weights is None:
        return None
    name, frozen = hook(get_method(method_name), "starts_from")(config_of(config, method_name), config)
    with torch.random.fork_rng(devices=[]):
        return make_backbone(
            name, channels=channels, input_size=config.network_size(input_size), weights=config.weights, frozen=frozen
        ).weights_report


def hook(method: Method, name: str) -> Any:
    """The method's own optional function or constant, or the default of this module."""
    return getattr(method, name, globals()[name])


def make_config(method: Method, options: Mapping[str, Any]) -> Any:
    """The method's `Config` with `options` set. Raises UsageError that lists the known fields."""
    known = method.Config.__dataclass_fields__
    if unknown := sorted(set(options) - set(known)):
        name = method.__name__.rpartition(".")[2]
        raise UsageError(f"{name} has no option {', '.join(unknown)}; {among(unknown, known)}")
    return method.Config(**options)


def config_of(config: TrainConfig, method_name: str) -> Any:
    """The method's `Config` as `config.method_options` sets it."""
    return make_config(get_method(method_name), config.method_options.get(method_name, {}))


def cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    """Mean cross-entropy of (B, K) logits against the soft targets or else the working labels, in float32; each row
    counts by its weight, where there are weights."""
    wanted = batch.labels if batch.targets is None else batch.targets
    if batch.weights is None:
        return F.cross_entropy(logits.float(), wanted, label_smoothing=batch.label_smoothing)
    each = F.cross_entropy(logits.float(), wanted, label_smoothing=batch.label_smoothing, reduction="none")
    return (batch.weights * each).mean()


def as_predictions(logits: Tensor, embedding: Tensor, **signals: Tensor) -> dict[str, Tensor]:
    """The dictionary that `predict` returns, in float32, with softmax probabilities."""
    logits = logits.float()
    named = {"logits": logits, "pred_probs": torch.softmax(logits, 1), "embedding": embedding.float()}
    return named | {name: value.float() for name, value in signals.items()}
