"""The one training loop: images in, a recognizer and its training dynamics out; and prediction with it.

It never reads the store, never trains on an image twice per epoch, and never changes the labels it is given.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ferclean.errors import BadDataError, FercleanError, UsageError
from ferclean.progress import Progress, silent
from ferclean.recognition.augment import augment
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.devices import choose_device, half_precision, out_of_memory, repeatable
from ferclean.recognition.ema import WeightAverage
from ferclean.recognition.images import Images
from ferclean.recognition.inference import Trained, forward, predict
from ferclean.recognition.methods.base import Batch, EpochEnd, FirstStage, Flips, Method, config_of, hook
from ferclean.recognition.methods.catalogue import get_method
from ferclean.recognition.optimise import Descent, make_batches
from ferclean.recognition.pixels import Pixels, as_pixels

__all__ = ["FitResult", "Trained", "fit", "predict", "pretrain"]

EMA_EVERY = 4
"""Steps between two updates of the averaged weights: less often costs less and changes nothing visible."""


@dataclass(kw_only=True)
class FitResult(Trained):
    """What `fit` gives back: the recognizer (averaged weights) and what happened on the way.

    `given_prob`, `margin`: (E, N) float32, the probability of the *given* label and its logit minus the best other
    logit, from the training forward of each epoch (in-sample, before that step's update). `labels`: (N,) int64 working
    labels at the end. `flips`: one dictionary per changed label: index, epoch, from_label, to_label, p. `history`: one
    dictionary per epoch: loss, accuracy against the given labels, seconds, and what else the method reports.
    """

    given_prob: np.ndarray
    margin: np.ndarray
    labels: np.ndarray
    flips: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)


def fit(
    method_name: str,
    images: Images,
    labels: np.ndarray,
    *,
    num_classes: int,
    weights: np.ndarray | None = None,
    config: TrainConfig | None = None,
    method_config: Any = None,
    validation: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    pretrained: Mapping[str, Tensor] | None = None,
    watch: Callable[[int, Trained], None] | None = None,
    progress: Progress = silent,
) -> FitResult:
    """Train a recognizer on (N, C, S, S) uint8 images with (N,) integer labels in 0..num_classes-1, or on soft targets.
    Images are an array, a store that is read batch by batch, or `Pixels` that lie on the device already.

    Soft targets are (N, num_classes) floats, rows sum to 1: the probability of each class's being the true label. The
    classification loss of every method reads them whole; what needs one class (contrast, centres, the dynamics, a first
    stage with labels) takes the likeliest, and no label is changed on the way, since the targets say already how sure
    each one is. `weights` (N,) of 0 or more say how much each image counts in the classification loss, relative to
    their mean; contrast, centres and a first stage count all alike, and a label that a method changes on the way keeps
    its weight. By default all count the same. `method_config` is the method's own `Config`; by default it is made from
    its `config.method_options`. `validation`, a name -> (images, labels), is only measured after each epoch
    (`NAME_accuracy` in `history`), never selected on. `watch` receives each epoch, from 0, and the recognizer as it is
    then, to look at and not to keep. `pretrained` is what `pretrain` gave; by default a method with a first stage runs
    it here, on these images. The same inputs and seed give the same bytes on a CPU with the same number of threads.
    `progress` is called after each epoch.

    Raises BadDataError for arrays that cannot be trained on, UsageError for impossible settings and FercleanError when
    the loss stops being a number.
    """
    config = config or TrainConfig()
    labels, targets = _checked(images, labels, num_classes)
    weights = None if weights is None else _checked_weights(weights, len(images))
    device = choose_device(config.device)
    images = as_pixels(images, device)
    method = get_method(method_name)
    cfg = _method_config(method_name, method_config, config)
    if pretrained is None:
        pretrained = pretrain(
            method_name, images, labels,
            num_classes=num_classes, config=config, method_config=cfg, progress=progress,
        )  # fmt: skip
    with repeatable(config.seed, device), out_of_memory(device, _size(config)):
        backbone = make_backbone(
            config.backbone,
            channels=images.shape[1],
            input_size=config.network_size(images.shape[2]),
            # a first stage has started from the file already
            weights=None if pretrained else config.weights,
        )
        if pretrained:
            backbone.load_state_dict(dict(pretrained))
        model = method.build(cfg, num_classes, backbone).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        run = _Run(method, cfg, model, config, images, labels, targets, weights, num_classes, device)
        for epoch in range(config.epochs):
            run.epoch(epoch)
            for name, (own_images, own_labels) in (validation or {}).items():
                predicted = predict(run.trained(), own_images)["pred_probs"].argmax(1)
                run.history[-1][f"{name}_accuracy"] = float(np.mean(predicted == own_labels))
            if watch is not None:
                watch(epoch, run.trained())
            progress(f"training {method_name}", epoch + 1, config.epochs)
        return run.result()


def pretrain(
    method_name: str,
    images: Images,
    labels: np.ndarray | None,
    *,
    num_classes: int,
    config: TrainConfig,
    method_config: Any = None,
    progress: Progress = silent,
) -> dict[str, Tensor]:
    """The first stage of a method that has two: the state of the backbone, on the CPU; {} for all others.

    A label-free method never receives `labels`, and may do without them. The same inputs and seed give the same bytes.
    """
    device = choose_device(config.device)
    method = get_method(method_name)
    cfg = _method_config(method_name, method_config, config)
    known = None if hook(method, "LABEL_FREE") else labels
    with repeatable(config.seed, device), out_of_memory(device, _size(config)):
        start = FirstStage(
            images=as_pixels(images, device), labels=known, num_classes=num_classes, config=config, progress=progress
        )
        state: dict[str, Tensor] = hook(method, "pretrain")(start, cfg)
    return state


def _size(config: TrainConfig) -> str:
    return f"training {config.backbone} on {config.batch_size} images at once"


def _method_config(method_name: str, method_config: Any, config: TrainConfig) -> Any:
    if method_config is not None:
        return method_config
    return config_of(config, method_name)


class _Run:
    """The state of one training: everything that lives from step to step."""

    def __init__(
        self,
        method: Method,
        cfg: Any,
        model: nn.Module,
        config: TrainConfig,
        images: Pixels,
        labels: np.ndarray,
        targets: np.ndarray | None,
        weights: np.ndarray | None,
        num_classes: int,
        device: torch.device,
    ) -> None:
        self.method, self.cfg, self.model, self.config, self.device = method, cfg, model, config, device
        self.num_classes = num_classes
        self.images = images
        self.given = torch.from_numpy(labels).to(device)
        self.working = self.given.clone()
        self.targets = None if targets is None else torch.from_numpy(targets).to(device)
        self.weights = None if weights is None else torch.from_numpy(weights).to(device)
        self.size = config.network_size(images.shape[2])
        self.views = int(hook(method, "views")(cfg))
        self.order = torch.Generator().manual_seed(config.seed)
        self.randomness = torch.Generator(device=device).manual_seed(config.seed + 1)
        self.steps_per_epoch = len(make_batches(torch.arange(len(labels)), config.batch_size))
        self.descent = Descent(
            model, config, device, total=self.steps_per_epoch * config.epochs, learning_rate=config.learning_rate
        )
        updates = config.ema_epochs * self.steps_per_epoch / EMA_EVERY
        self.average = WeightAverage(model, time_constant=updates) if config.ema_epochs > 0 else None
        self.given_prob = np.full((config.epochs, len(labels)), np.nan, dtype=np.float32)
        self.margin = np.full((config.epochs, len(labels)), np.nan, dtype=np.float32)
        self.memory: dict[str, np.ndarray] = {}
        self.flips: list[dict[str, Any]] = []
        self.history: list[dict[str, float]] = []

    def epoch(self, epoch: int) -> None:
        """One pass over the images, then the method's hook."""
        start = time.monotonic()
        self.model.train()
        count = len(self.given)
        logits = torch.zeros(count, self.num_classes, device=self.device)
        sums: dict[str, Tensor] = {}
        order = torch.randperm(count, generator=self.order)
        seen = 0
        for index, pixels in self.images.shuffled(order, self.config.batch_size):
            for name, value in self._step(index, pixels, logits).items():
                sums[name] = sums[name] + value * len(index) if name in sums else value * len(index)
            seen += len(index)
        # the only time that an epoch waits for the device, before its dynamics
        totals = torch.stack(list(sums.values())).tolist()
        means = {name: total / seen for name, total in zip(sums, totals, strict=True)}
        if not math.isfinite(means["loss"]):
            raise FercleanError(
                f"training {self.config.backbone} stopped being a number in epoch {epoch + 1}: lower the learning rate "
                f"({self.config.learning_rate:g})"
            )
        if self.average is not None:
            self.average.update()
        prob, margin = given_label_dynamics(logits, self.given)
        self.given_prob[epoch], self.margin[epoch] = prob.cpu().numpy(), margin.cpu().numpy()
        accuracy = float((logits.argmax(1) == self.given).float().mean())
        flipped = self._relabel(epoch)
        self.history.append(
            means | {"accuracy": accuracy, "flips": float(flipped), "seconds": time.monotonic() - start}
        )

    def _step(self, index: Tensor, pixels: Tensor, logits: Tensor) -> dict[str, Tensor]:
        views = tuple(
            augment(pixels, self.config, size=self.size, generator=self.randomness) for _ in range(self.views)
        )
        batch = Batch(
            views=views,
            labels=self.working[index],
            given=self.given[index],
            index=index,
            targets=None if self.targets is None else self.targets[index],
            weights=None if self.weights is None else self.weights[index],
            label_smoothing=self.config.label_smoothing,
        )
        with half_precision(self.device):
            result = self.method.step(self.model, batch, self.cfg, self.descent.progress)
        self.descent.step(result["loss"])
        if self.average is not None and self.descent.done % EMA_EVERY == 0:
            self.average.update()
        logits[index] = result["logits"].detach().float()
        return {name: value.detach().float() for name, value in result.items() if value.dim() == 0}

    def _relabel(self, epoch: int) -> int:
        if self.targets is not None:
            return 0
        end = EpochEnd(
            epoch=epoch,
            epochs=self.config.epochs,
            labels=self.working.cpu().numpy().copy(),
            given=self.given.cpu().numpy().copy(),
            predict=lambda: forward(self.method, self.predictor, self.images, flip_average=False, size=self.size),
            memory=self.memory,
        )
        flips: Flips | None = hook(self.method, "after_epoch")(end, self.cfg)
        if flips is None:
            return 0
        for index, to_label, p in zip(flips.index, flips.to_label, flips.p, strict=True):
            self.flips.append(
                {
                    "index": int(index),
                    "epoch": epoch,
                    "from_label": int(end.labels[index]),
                    "to_label": int(to_label),
                    "p": float(p),
                }
            )
        self.working[torch.from_numpy(flips.index).to(self.device)] = torch.from_numpy(flips.to_label).to(self.device)
        return len(flips.index)

    @property
    def predictor(self) -> nn.Module:
        """The model that predictions come from: the averaged weights, where there are any."""
        return self.average.model if self.average is not None else self.model

    def trained(self) -> Trained:
        return Trained(
            method=self.method.__name__.rpartition(".")[2],
            model=self.predictor.eval(),
            config=self.config,
            method_config=self.cfg,
            num_classes=self.num_classes,
            channels=int(self.images.shape[1]),
            input_size=int(self.images.shape[2]),
        )

    def result(self) -> FitResult:
        return FitResult(
            **vars(self.trained()),
            given_prob=self.given_prob,
            margin=self.margin,
            labels=self.working.cpu().numpy(),
            flips=self.flips,
            history=self.history,
        )


def given_label_dynamics(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(N, K) logits, (N,) labels -> probability of the label and its logit margin over the best other, each (N,)."""
    at_label = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return torch.exp(at_label - torch.logsumexp(logits, 1)), at_label - others.amax(1)


def _checked_weights(weights: np.ndarray, count: int) -> np.ndarray:
    """(N,) float32, 1 on average."""
    found = np.asarray(weights)
    numbers = found.shape == (count,) and np.issubdtype(found.dtype, np.number)
    if not numbers or not (np.isfinite(found) & (found >= 0)).all() or not found.any():
        raise BadDataError(f"weights are {count} numbers of 0 or more, one per image, and not all 0")
    shares = found.astype(np.float64) / found.max()  # so that no sum overflows
    return (shares / shares.mean()).astype(np.float32)


def _checked(images: Images, labels: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray | None]:
    """(N,) int64 labels, and (N, K) float32 targets where `labels` are such."""
    labels = np.asarray(labels)
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[2] != images.shape[3]:
        raise BadDataError(f"images are (N, C, S, S) uint8, not {images.dtype} of shape {images.shape}")
    if num_classes < 2:
        raise UsageError(f"a recognizer needs at least two classes, not {num_classes}")
    targets = None
    if labels.shape == (len(images), num_classes) and np.issubdtype(labels.dtype, np.floating):
        targets = labels.astype(np.float32)
        bad = ~np.isclose(labels.sum(1), 1, atol=1e-3) | ~(labels >= 0).all(1)  # NaN is neither
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise BadDataError(f"row {row} of the soft targets is {labels[row].tolist()}: shares of 0 or more sum to 1")
        targets /= targets.sum(1, keepdims=True)
        labels = targets.argmax(1) if len(targets) else np.zeros(0, dtype=np.int64)
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise BadDataError(
            f"labels are {len(images)} integers, one per image, or {len(images)} rows of {num_classes} shares, not "
            f"{labels.dtype} of shape {labels.shape}"
        )
    if not len(labels):
        raise BadDataError("there are no images to train on")
    if labels.min() < 0 or labels.max() >= num_classes:
        row = int(np.flatnonzero((labels < 0) | (labels >= num_classes))[0])
        raise BadDataError(f"row {row} has label {labels[row]}; labels lie in 0..{num_classes - 1}")
    return labels.astype(np.int64), targets
