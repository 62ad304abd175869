"""A recognizer on disk: one safetensors file with the weights, and in its header everything to build the network again.

It never pickles, and never leaves half a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from ferclean.errors import BadDataError, UsageError
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.inference import Trained
from ferclean.recognition.methods.catalogue import get_method
from ferclean.recognition.tensor_files import write_tensors
from ferclean.recognition.weight_files import checked_head

FORMAT = "ferclean recognizer 1"


def save_checkpoint(trained: Trained, path: Path, *, names: Mapping[str, str] | None = None) -> None:
    """Write `trained` to `path` (.safetensors), replacing it at once.

    `names` says how the beginnings of the tensors' names are written in the file, for readers that know the network by
    other names: {"backbone.network.": ""}; the header keeps it.
    """
    about = {
        "method": trained.method,
        "config": trained.config.as_dict(),
        "method_config": asdict(trained.method_config),
        "num_classes": trained.num_classes,
        "channels": trained.channels,
        "input_size": trained.input_size,
    } | ({"names": dict(names)} if names else {})
    tensors = {
        _in_file(name, names or {}): value.cpu().contiguous() for name, value in trained.model.state_dict().items()
    }
    write_tensors(path, tensors, {"format": FORMAT, "ferclean": json.dumps(about)})


def load_checkpoint(path: Path) -> Trained:
    """The counterpart of `save_checkpoint`, on the CPU; `predict` moves it to its device.

    Raises UsageError when there is no such file and BadDataError when it is no recognizer of ours.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    if not path.is_file():
        raise UsageError(f"no recognizer at {path}")
    checked_head(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        tensors = load_file(path)
    except SafetensorError as error:
        raise BadDataError(
            f"{path} is no whole .safetensors file, so no ferclean recognizer ({error}); if it holds weights, give it "
            "as --weights, or to `ferclean encode --import`"
        ) from error
    if header.get("format") != FORMAT:
        raise BadDataError(
            f"{path} holds weights but no ferclean recognizer; give it as --weights, or to `ferclean encode --import`"
        )
    about = json.loads(header["ferclean"])
    method = get_method(about["method"])
    config = TrainConfig(**about["config"])
    cfg = method.Config(**about["method_config"])
    # the file the training started from may be gone: these weights replace it anyway
    with torch.random.fork_rng(devices=[]):
        size = config.network_size(about["input_size"])
        backbone = make_backbone(config.backbone, channels=about["channels"], input_size=size)
        model = method.build(cfg, about["num_classes"], backbone)
    own = {_in_file(name, about.get("names", {})): name for name in model.state_dict()}
    try:
        model.load_state_dict({own.get(name, name): value for name, value in tensors.items()})
    except RuntimeError as error:
        raise BadDataError(
            f"{path} was made by another version of ferclean, whose {config.backbone} was built otherwise: train or "
            f"import it again ({' '.join(str(error).split())[:200]})"
        ) from error
    # the layout it was trained in, so that sums are rounded alike
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Trained(
        method=about["method"],
        model=model.eval(),
        config=config,
        method_config=cfg,
        num_classes=about["num_classes"],
        channels=about["channels"],
        input_size=about["input_size"],
    )


def _in_file(name: str, names: Mapping[str, str]) -> str:
    for beginning, written in names.items():
        if name.startswith(beginning):
            return written + name.removeprefix(beginning)
    return name
