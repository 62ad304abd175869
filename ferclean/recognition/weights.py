"""Load a network's starting weights from a local file, and say what fitted.

It never unpickles anything but tensors, never fetches a file, and never goes on when nothing matched.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ferclean import hashes
from ferclean.errors import BadDataError, UsageError

PREFIXES = ("module.", "backbone.", "features.", "model.", "network.", "encoder.")
NESTED = ("state_dict", "model_state_dict", "model")
"""Under which names training scripts keep the tensors inside a `.pth` file."""


@dataclass(frozen=True, kw_only=True)
class WeightsReport:
    """What a weights file brought: names of tensors by what became of them, and the file's SHA-256.

    `missing` are the network's own that the file lacks; `unexpected` the file's that the network lacks; `reshaped`
    exist on both sides but with shapes that do not fit, so they were left as initialised.
    """

    file: str
    sha256: str
    matched: list[str]
    missing: list[str]
    unexpected: list[str]
    reshaped: list[str]

    def __str__(self) -> str:
        return (
            f"{Path(self.file).name}: {len(self.matched)} tensors matched, {len(self.missing)} missing, "
            f"{len(self.unexpected)} unexpected, {len(self.reshaped)} of another shape"
        )


def load_weights(network: nn.Module, path: Path) -> WeightsReport:
    """Copy every tensor that fits by name and shape into `network`.

    Names are compared after common prefixes (`module.`, `backbone.`, `features.`, `model.` ...) are taken off. A first
    convolution for colour serves grey images too: its weights are summed over the colours. Raises UsageError when the
    file is absent or matches nothing, BadDataError when it is no safe weights file.
    """
    tensors = {_stripped(name): tensor for name, tensor in read_tensors(path).items()}
    own = {_stripped(name): tensor for name, tensor in network.state_dict().items()}
    matched, reshaped = [], []
    with torch.no_grad():
        for name, target in own.items():
            source = tensors.get(name)
            if source is None:
                continue
            if source.dim() == 4 and target.dim() == 4 and source.shape[1] == 3 and target.shape[1] == 1:
                source = source.sum(1, keepdim=True)
            if source.shape != target.shape:
                reshaped.append(name)
                continue
            target.copy_(source)
            matched.append(name)
    # a buffer that counts batches says nothing about whose weights these are
    if not any(not name.endswith("num_batches_tracked") for name in matched):
        raise UsageError(
            f"{path}: none of its {len(tensors)} tensors fits this backbone (it has e.g. {_some(tensors)}; "
            f"expected e.g. {_some(own)}); choose the matching --backbone or another file"
        )
    return WeightsReport(
        file=str(path),
        sha256=hashes.of_file(path, what="weights file"),
        matched=matched,
        missing=[name for name in own if name not in tensors],
        unexpected=[name for name in tensors if name not in own],
        reshaped=reshaped,
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All named tensors of a .safetensors or a weights-only .pth/.pt/.bin file, on the CPU."""
    if not path.is_file():
        raise UsageError(f"no weights file at {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadDataError(f"{path} holds more than tensors and is not opened: save its state_dict alone") from error
    except Exception as error:  # safetensors and zip readers raise their own kinds
        raise BadDataError(f"{path} is not a readable weights file: {error}") from error
    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise BadDataError(f"{path} holds no named tensors")
    return tensors


def _stripped(name: str) -> str:
    while True:
        shorter = next((name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)), name)
        if shorter == name:
            return name
        name = shorter


def _some(names: Mapping[str, Any]) -> str:
    return ", ".join(list(names)[:3])
