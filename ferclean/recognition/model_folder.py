"""A recognizer as a folder for other people: weights, configuration with class names and preprocessing, a model card.

It never pickles, never leaves half a folder, and names no file of the machine that it was made on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.errors import BadDataError, UsageError
from ferclean.files import whole_folder
from ferclean.recognition.augment import CENTRE, SPREAD
from ferclean.recognition.checkpoint import load_checkpoint, save_checkpoint
from ferclean.recognition.inference import Trained, predict
from ferclean.recognition.timm_twin import TimmTwin

FORMAT = "ferclean model 1"
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
_MEND = (
    f"a model folder holds {WEIGHTS} and {CONFIG}, and `ferclean -w WORKSPACE retrain --release NAME --keep FOLDER` "
    "writes one"
)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A recognizer from its folder. `classes`: names in the order of its outputs; `config`: all of config.json."""

    trained: Trained
    classes: tuple[str, ...]
    config: dict[str, Any]

    def probabilities(self, images: np.ndarray, *, device: str = "auto") -> np.ndarray:
        """(N, channels, input_size, input_size) uint8, as `images.readable_pixels` makes them -> (N, K)."""
        return predict(self.trained, images, device=device)["pred_probs"]


def model_config(
    trained: Trained, classes: Sequence[str], *, made_from: Mapping[str, Any], twin: TimmTwin | None
) -> dict[str, Any]:
    """What `config.json` says; `made_from` tells where the labels came from and what was measured."""
    crop = trained.config.network_size(trained.input_size)
    config: dict[str, Any] = {
        "format": FORMAT,
        "classes": list(classes),
        "method": trained.method,
        "backbone": trained.config.backbone,
        "preprocessing": {
            "channels": trained.channels,
            "input_size": trained.input_size,
            "crop": crop,
            "mean": CENTRE / 255,
            "std": SPREAD / 255,
            "steps": "upright; grey where channels is 1; the largest centred square, resized to input_size (bilinear, "
            "antialiased); its central crop; (value / 255 - mean) / std",
        },
        "mirror_average": trained.config.flip_average,
        "made_from": dict(made_from),
        "timm": None if twin is None else "whole" if twin.whole else "backbone",
    }
    if twin is not None and twin.whole and twin.plain:
        # the words of timm's own folders, so that timm.create_model("local-dir:FOLDER", pretrained=True) takes it
        config |= {
            "architecture": trained.config.backbone,
            "num_classes": trained.num_classes,
            "model_args": {key: value for key, value in twin.options.items() if key != "num_classes"},
            "label_names": list(classes),
            "pretrained_cfg": {
                "input_size": [trained.channels, crop, crop],
                "mean": [CENTRE / 255] * trained.channels,
                "std": [SPREAD / 255] * trained.channels,
                "num_classes": trained.num_classes,
                "interpolation": "bilinear",
                "crop_pct": crop / trained.input_size,
            },
        }
    return config


def save_model(
    trained: Trained, folder: Path, *, config: Mapping[str, Any], card: str, twin: TimmTwin | None = None
) -> None:
    """Write the folder, whole or not at all; an earlier model there is replaced, and anything else is left alone.

    Raises UsageError where something else stands, FercleanError where nothing can be written.
    """
    check_free(folder)
    # where its training began is nobody's business: these weights replace it
    bare = replace(trained, config=replace(trained.config, weights=None, device="auto"))
    with whole_folder(folder, elsewhere="choose another folder with --keep") as draft:
        save_checkpoint(bare, draft / WEIGHTS, names=twin.names if twin is not None else None)
        (draft / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (draft / CARD).write_text(card, encoding="utf-8", newline="\n")


def check_free(folder: Path) -> None:
    """Raise UsageError unless nothing, an empty folder or an earlier model is at `folder`."""
    if folder.exists() and not (folder.is_dir() and ((folder / CONFIG).is_file() or not any(folder.iterdir()))):
        raise UsageError(f"{folder} holds something else than a model: choose a new folder")
    if (folder / CONFIG).is_file():
        _config(folder)


def load_model(folder: Path) -> Model:
    """The model in a folder, on the CPU. Raises UsageError when there is none, BadDataError when it is damaged."""
    if not folder.is_dir():
        raise UsageError(f"no model folder at {folder}; {_MEND}")
    config = _config(folder)
    if not (folder / WEIGHTS).is_file():
        raise UsageError(f"{folder} is no whole model folder: there is no {WEIGHTS}; copy the model again, or: {_MEND}")
    trained = load_checkpoint(folder / WEIGHTS)
    classes = tuple(config["classes"])
    if len(classes) != trained.num_classes:
        raise BadDataError(
            f"{folder / CONFIG} names {len(classes)} classes for weights of {trained.num_classes}: put back the file "
            "that was written with them"
        )
    return Model(trained=trained, classes=classes, config=config)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise UsageError(f"{folder} is no model folder: there is no {CONFIG}; {_MEND}")
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise BadDataError(f"{path} is not JSON ({error}); copy the model again") from error
    known = config.get("format") if isinstance(config, dict) else None
    if known != FORMAT:
        raise BadDataError(f"{path} describes no {FORMAT} but {known!r}; {_MEND}")
    if missing := [name for name in ("classes", "preprocessing", "mirror_average") if name not in config]:
        raise BadDataError(f"{path} does not say {', '.join(missing)}; copy the model again")
    names = config["classes"]
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not texts or len(set(names)) < len(names):
        raise BadDataError(f"{path}: classes is not a list of names, each once; copy the model again")
    return dict(config)
