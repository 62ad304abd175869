"""Encoders: a recognizer of which only the embedding is wanted, trained on a whole set or made from a weights file.

It knows no workspace, and never looks at a label for a method that needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ferclean.progress import Progress, silent
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.devices import choose_device, repeatable
from ferclean.recognition.images import Images
from ferclean.recognition.inference import Trained
from ferclean.recognition.methods.base import config_of, hook, with_class_names
from ferclean.recognition.methods.catalogue import get_method
from ferclean.recognition.train import fit, pretrain

PLAIN = "cross_entropy"


def train_encoder(
    method_name: str,
    images: Images,
    labels: np.ndarray,
    *,
    classes: Sequence[str],
    config: TrainConfig,
    progress: Progress = silent,
) -> tuple[Trained, bool]:
    """Train `method_name` on all (N, C, S, S) uint8 `images`; returns it, and whether it saw the `labels` (N,).

    Of a label-free method only the first stage runs; its classifier stays random and is not to be used.
    """
    method = get_method(method_name)
    config = with_class_names(config, method_name, classes)
    if not hook(method, "LABEL_FREE"):
        return fit(
            method_name, images, labels, num_classes=len(classes), config=config, progress=progress
        ), True  # fmt: skip
    state = pretrain(method_name, images, None, num_classes=len(classes), config=config, progress=progress)
    # the file that the first stage started from is in its state
    trained = _untrained(method_name, replace(config, weights=None), len(classes), images.shape[1], images.shape[2])
    trained.model.get_submodule("backbone").load_state_dict(state)
    return trained, False


def imported_encoder(path: Path, config: TrainConfig, *, channels: int, input_size: int) -> tuple[Trained, str]:
    """The profile's backbone with the weights of a local file, and what of the file fitted, in words.

    Raises UsageError when there is no file or it does not fill the backbone, which would stay random in part for good;
    BadDataError when it is no safe weights file.
    """
    trained = _untrained(PLAIN, replace(config, weights=str(path)), 2, channels, input_size)
    report = str(trained.model.get_submodule("backbone").weights_report)
    # the encoder carries the weights itself from here on
    trained.config = replace(config, weights=None)
    return trained, report


def _untrained(method_name: str, config: TrainConfig, num_classes: int, channels: int, input_size: int) -> Trained:
    method = get_method(method_name)
    cfg = config_of(config, method_name)
    device = choose_device(config.device)
    with repeatable(config.seed, device):
        backbone = make_backbone(
            config.backbone, channels=channels, input_size=config.network_size(input_size), weights=config.weights,
            frozen=True,
        )  # fmt: skip
        model = method.build(cfg, num_classes, backbone).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Trained(
        method=method_name, model=model.eval(), config=config, method_config=cfg,
        num_classes=num_classes, channels=channels, input_size=input_size,
    )  # fmt: skip
