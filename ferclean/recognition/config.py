"""What one training run is made of, as one frozen dataclass that is saved with the run.

It imports neither torch nor numpy, so that the command line can show settings at once.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ferclean import hashes
from ferclean.errors import UsageError

MIN_CROP = 0.5
"""Smallest share of the side that a network may be shown: under a quarter of the pixels a face has no mouth or no
brows, and a size in pixels that was meant for smaller images is likelier than the wish for it."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of the one training loop; what belongs to a single method is in that method's own `Config`."""

    backbone: str = "slim"
    """`slim`, or the name of any timm model with a feature map."""
    weights: str | Path | None = None
    """Local .safetensors or weights-only .pth file that the backbone starts from."""
    epochs: int = 20
    """Passes over the training images."""
    batch_size: int = 64
    """Images per step (each may be seen in two views)."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """`adamw`, or `sgd` with Nesterov momentum 0.9."""
    learning_rate: float = 2e-3
    """Highest learning rate of the schedule."""
    weight_decay: float = 0.05
    """Decay of weights with two or more dimensions; norms, biases and scalars are not decayed."""
    schedule: Literal["one_cycle", "cosine"] = "one_cycle"
    """`one_cycle` rises linearly over `warmup_share`, then falls to zero along a cosine; `cosine` only falls."""
    warmup_share: float = 0.2
    """Share of all steps in which a one-cycle schedule rises."""
    label_smoothing: float = 0.0
    """Mass of the target spread evenly over all classes, in [0, 1)."""
    clip_gradient: float = 5.0
    """Largest norm of the gradient; 0 leaves it."""
    ema_epochs: float = 1.0
    """Time constant, in epochs, of the running mean of the weights that predictions come from; 0 turns it off."""
    train_size: int | None = None
    """Pixels a side that the network sees, at full magnification: a random crop in training, the central one in
    prediction. None takes the images' own size."""
    flip: float = 0.5
    """Chance of a horizontal flip."""
    rotate: float = 8.0
    """Largest rotation either way, in degrees."""
    scale: float = 0.1
    """Largest relative change of magnification either way."""
    shift: float = 0.02
    """Largest shift either way, as a share of the side; comes on top of the room that a crop has."""
    brightness: float = 0.0
    """Largest change of brightness either way, as a share of the full range."""
    contrast: float = 0.2
    """Largest relative change of contrast either way."""
    erase: float = 0.2
    """Chance that a rectangle of up to a fifth of the image is blanked."""
    flip_average: bool = True
    """Whether predictions are the mean over an image and its mirror image."""
    seed: int = 0
    """Start of everything random: initial weights, order, augmentation."""
    device: str = "auto"
    """`auto` (CUDA where there is one), `cpu` or `cuda`."""
    method_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Method name -> fields of its `Config` that differ from the defaults."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is at least 1, not {getattr(self, name)}")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"label_smoothing lies in [0, 1), not {self.label_smoothing}")
        if self.optimizer not in ("adamw", "sgd") or self.schedule not in ("one_cycle", "cosine"):
            raise UsageError("optimizer is adamw or sgd, schedule one_cycle or cosine")

    def network_size(self, side: int) -> int:
        """Pixels a side that the network sees of images with `side` pixels a side.

        Raises UsageError for a crop that is larger than the images or shows under `MIN_CROP` of their side.
        """
        if self.train_size is None:
            return side
        share = self.train_size / side
        if not MIN_CROP <= share <= 1:
            what = "more than there is" if share > 1 else f"{100 * share**2:.1f} % of the pixels"
            raise UsageError(
                f"train_size {self.train_size} of images with {side} pixels a side shows the network {what}; "
                f"give {math.ceil(MIN_CROP * side)} to {side}, or None for the whole image"
            )
        return self.train_size

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"weights": str(self.weights) if self.weights else None}

    def weights_sha256(self) -> str | None:
        """SHA-256 of the file of weights as it is now; None without one. Raises UsageError when it cannot be read."""
        return hashes.of_file(Path(self.weights), what="weights file") if self.weights else None

    def digest(self) -> str:
        """16 hex digits that change with any setting that changes results (the device is not one).

        A file of weights counts by what it holds, wherever it lies. Raises UsageError when it cannot be read.
        """
        settings = {name: value for name, value in self.as_dict().items() if name != "device"}
        settings["weights"] = self.weights_sha256()
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
