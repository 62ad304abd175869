"""A trained recognizer, and what it says about images: probabilities, embeddings and its own signals.

It never trains, and an image's output never depends on the images beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ferclean.errors import BadDataError
from ferclean.recognition.augment import centre, normalise
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.devices import choose_device, full_precision, out_of_memory
from ferclean.recognition.images import Images
from ferclean.recognition.methods.base import Method
from ferclean.recognition.methods.catalogue import get_method
from ferclean.recognition.pixels import Pixels, as_pixels


@dataclass(kw_only=True)
class Trained:
    """A recognizer that can predict: `model` in eval mode and everything needed to build it again."""

    method: str
    model: nn.Module
    config: TrainConfig
    method_config: Any
    num_classes: int
    channels: int
    input_size: int


def predict(
    trained: Trained,
    images: Images,
    *,
    batch_size: int = 256,
    device: str | None = None,
    flip_average: bool | None = None,
) -> dict[str, np.ndarray]:
    """Run a recognizer over (N, C, S, S) uint8 images, in eval mode.

    Returns `logits` and `pred_probs` (N, K) float32 (rows sum to 1), `embedding` (N, D) float32 and the method's own
    signals (N,). With `flip_average` (default: as the recognizer was configured) every output is the mean over the
    image and its mirror image. An image's output does not depend on the other images, and is computed in float32 on
    every device. An array is streamed to a GPU; `Pixels` are read where they lie.
    """
    if images.ndim != 4 or images.shape[1:] != (trained.channels, trained.input_size, trained.input_size):
        raise BadDataError(
            f"this recognizer takes images of {trained.channels} x {trained.input_size} x {trained.input_size}, "
            f"not {' x '.join(map(str, images.shape[1:]))}"
        )
    where = choose_device(device or trained.config.device)
    trained.model.to(where)
    average = trained.config.flip_average if flip_average is None else flip_average
    return forward(
        get_method(trained.method),
        trained.model,
        as_pixels(images, where, resident=False),
        batch_size=batch_size,
        flip_average=average,
        size=trained.config.network_size(trained.input_size),
    )


@torch.no_grad()
def forward(
    method: Method, model: nn.Module, images: Pixels, *, batch_size: int = 256, flip_average: bool, size: int
) -> dict[str, np.ndarray]:
    """Run a method's `predict` in eval mode and float32 over normalised batches of uint8 images (N, C, S, S)."""
    was_training = model.training
    model.eval()
    found: dict[str, Tensor] = {}
    on_cuda = images.device.type == "cuda"
    with full_precision(images.device), out_of_memory(images.device, f"predicting {batch_size} images at once"):
        for rows, batch in images.in_turn(batch_size):
            pixels = normalise(centre(batch, size))
            outputs = method.predict(model, pixels)
            if flip_average:
                mirrored = method.predict(model, pixels.flip(3))
                outputs = {name: (value + mirrored[name]) / 2 for name, value in outputs.items()}
            for name, value in outputs.items():
                if name not in found:
                    shape = (len(images), *value.shape[1:])
                    found[name] = torch.empty(shape, dtype=value.dtype, pin_memory=on_cuda)
                # into pinned memory, so that the next batch does not wait for this one
                found[name][rows].copy_(value, non_blocking=on_cuda)
        if on_cuda:
            torch.cuda.current_stream(images.device).synchronize()
    model.train(was_training)
    return {name: values.numpy() for name, values in found.items()}
