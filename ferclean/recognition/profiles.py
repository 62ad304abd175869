"""Named sets of settings, from a demo in seconds to every recognizer on a GPU: what `--profile` chooses.

It imports neither torch nor numpy and never trains: `Profile.train_config` is what training receives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ferclean.errors import UsageError, among
from ferclean.recognition.config import MIN_CROP, TrainConfig
from ferclean.recognition.methods.catalogue import METHODS, check_methods


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How `score` and `retrain` train; every field can be overridden on its own."""

    name: str
    """What `--profile` calls it."""
    methods: tuple[str, ...] = ("supcon_relabel",)
    """Recognizers whose out-of-fold probabilities are averaged; the first one is used for retraining."""
    seeds: int = 1
    """Trainings per method and fold, with different seeds."""
    folds: int = 5
    """Parts of the set; each is judged by a recognizer trained on the others."""
    backbone: str = "slim"
    """`slim` or any timm model."""
    weights: str | Path | None = None
    """Local weights file for the backbone."""
    input_size: int = 48
    """Pixels a side that images are resized to."""
    crop: float = 1.0
    """Share of the side that a random crop in training and the central one in prediction show, at any input size; 1 is
    the whole image."""
    channels: int = 1
    """1 for grey, 3 for colour."""
    epochs: int = 20
    """Passes over the training images of a fold."""
    batch_size: int = 64
    """Images per step."""
    optimizer: str = "adamw"
    """`adamw` or `sgd`."""
    learning_rate: float = 2e-3
    """Highest learning rate."""
    weight_decay: float = 0.05
    """Decay of the weights."""
    label_smoothing: float = 0.0
    """Mass of the target spread over all classes."""
    rotate: float = 8.0
    """Largest rotation in augmentation, degrees."""
    scale: float = 0.1
    """Largest relative change of magnification in augmentation."""
    shift: float = 0.02
    """Largest shift in augmentation beside the crop's, as a share of the side."""
    contrast: float = 0.2
    """Largest relative change of contrast in augmentation."""
    erase: float = 0.2
    """Chance that a rectangle is blanked in augmentation."""
    method_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Method name -> fields of its `Config` that differ from the defaults."""

    def __post_init__(self) -> None:
        if not MIN_CROP <= self.crop <= 1:
            raise UsageError(
                f"crop is a share of the side from {MIN_CROP:g} to 1, not {self.crop:g}: 44 of 48 pixels are 0.917"
            )

    @property
    def train_size(self) -> int | None:
        """Pixels a side of the crop at this input size; None where training sees the whole image."""
        return None if self.crop == 1 else round(self.crop * self.input_size)

    def train_config(self, *, seed: int = 0, device: str = "auto") -> TrainConfig:
        """The settings of one training under this profile."""
        shared = {f.name for f in fields(TrainConfig)} & {f.name for f in fields(self)}
        values = {name: getattr(self, name) for name in shared} | {"train_size": self.train_size}
        return TrainConfig(**values, seed=seed, device=device)

    def as_dict(self) -> dict[str, Any]:
        """What runs are named by. The crop is given in pixels, so that the same training has the same name whichever
        way its crop was asked for."""
        settings = asdict(self)
        del settings["crop"]
        return settings | {"train_size": self.train_size}


_ON_A_GPU: dict[str, Any] = {
    "backbone": "resnet18", "input_size": 112, "channels": 3, "epochs": 50, "batch_size": 128, "learning_rate": 1e-3,
}  # fmt: skip

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="demo",
            # the relabelling recognizer needs more epochs than a demo has time for
            methods=("cross_entropy",),
            # few steps on aligned faces: little to undo teaches faster than much variety
            folds=3,
            epochs=18,
            input_size=44,
            crop=40 / 44,
            learning_rate=3e-3,
            batch_size=24,
            rotate=3.0,
            scale=0.03,
            shift=0.0,
            contrast=0.1,
            erase=0.0,
        ),
        Profile(
            name="quick",
            # two ways of looking: their mean ranks errors better than either (FER2013: AUPRC .71 against .70 and .68)
            methods=("supcon_relabel", "cross_entropy"),
            folds=4,
            epochs=14,
            crop=44 / 48,
            learning_rate=3e-3,
        ),
        Profile(
            name="standard",
            methods=("supcon_relabel", "cross_entropy"),
            **_ON_A_GPU,
        ),
        Profile(
            name="thorough",
            methods=tuple(METHODS),
            seeds=3,
            **_ON_A_GPU,
        ),
    )
}
"""Name -> profile: demo (seconds), quick (CPU minutes), standard and thorough (made for a GPU)."""


def get_profile(name: str, *, methods: Sequence[str] | None = None, **overrides: Any) -> Profile:
    """A profile with some fields replaced; an override of None leaves the profile's value.

    Raises UsageError for an unknown profile, method or field, or a value out of range.
    """
    if name not in PROFILES:
        raise UsageError(f"unknown profile {name!r}; {among(name, PROFILES)}")
    changes = {key: value for key, value in overrides.items() if value is not None}
    known = {f.name for f in fields(Profile)} - {"name"}
    if unknown := sorted(set(changes) - known):
        raise UsageError(f"a profile has no {', '.join(unknown)}; {among(unknown, sorted(known))}")
    if methods is not None:
        changes["methods"] = check_methods(methods)
    for key, least in (("folds", 2), ("seeds", 1), ("epochs", 1), ("batch_size", 2), ("input_size", 24)):
        if changes.get(key, least) < least:
            raise UsageError(f"{key} is at least {least}, not {changes[key]}")
    return replace(PROFILES[name], **changes)
