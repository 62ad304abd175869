"""How plain timm, without ferclean, loads the weights of a recognizer that stands on one of timm's networks.

It changes no weight, and promises the same answers only where it has compared them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ferclean.recognition.backbones import SLIM, timm_options
from ferclean.recognition.inference import Trained
from ferclean.recognition.methods.catalogue import get_method

BACKBONE = "backbone.network."
"""Where a recognizer keeps timm's network."""
AGREE = 1e-4
"""Largest difference of logits at which timm's network is called the same one."""


@dataclass(frozen=True, kw_only=True)
class TimmTwin:
    """`names`: how tensors are written in the file (`checkpoint.save_checkpoint`). `code`: Python that loads it.
    `options`: what `timm.create_model` takes. `whole`: the same logits come out, where it is not the backbone alone.
    `plain`: timm's network as it is, no layer exchanged.
    """

    names: dict[str, str]
    code: str
    options: dict[str, Any]
    whole: bool
    plain: bool


def twin_of(trained: Trained) -> TimmTwin | None:
    """The twin of a recognizer, which is whole where its head is one linear layer on the mean over positions, as timm's
    own classifier is; None where the backbone is none of timm's.
    """
    name = trained.config.backbone
    if name == SLIM:
        return None
    backbone: Any = trained.model.backbone
    network, size = backbone.network, backbone.network_size
    head = _linear_head(trained.model)
    if head is not None:
        made, options = timm_options(name, channels=trained.channels, input_size=size, num_classes=trained.num_classes)
        classifier = made.default_cfg.get("classifier")
        if isinstance(classifier, str):
            changes = _exchange(made, network, but=classifier)
            names = {BACKBONE: "", f"{head}.": f"{classifier}."}
            if _same_answers(made, trained, names):
                code = _code(name, options, changes, ['model.load_state_dict(load_file("model.safetensors"))'])
                return TimmTwin(names=names, code=code, options=options, whole=True, plain=not changes)
    made, options = timm_options(name, channels=trained.channels, input_size=size)
    loading = [
        f'state = {{k.removeprefix("{BACKBONE}"): v for k, v in load_file("model.safetensors").items()',
        f'         if k.startswith("{BACKBONE}")}}',
        "model.load_state_dict(state)",
    ]
    changes = _exchange(made, network)
    return TimmTwin(names={}, code=_code(name, options, changes, loading), options=options, whole=False, plain=False)


def _linear_head(model: nn.Module) -> str | None:
    """The name of the only layer with weights beside the backbone, where that is a linear one."""
    beside = [(name, part) for name, part in model.named_children() if name != "backbone" and part.state_dict()]
    return beside[0][0] if len(beside) == 1 and isinstance(beside[0][1], nn.Linear) else None


def _exchange(made: nn.Module, network: nn.Module, but: str = "") -> dict[str, str]:
    """Put into `made` the layers in which `network` is otherwise (its smaller stem); path -> how torch.nn writes it."""
    changes = {}
    for path, layer in network.named_modules():
        if path and path != but and not list(layer.children()) and repr(made.get_submodule(path)) != repr(layer):
            changes[path] = repr(layer)
    for path in changes:
        parent, _, attribute = path.rpartition(".")
        setattr(made.get_submodule(parent), attribute, copy.deepcopy(network.get_submodule(path)))
    return changes


@torch.no_grad()
def _same_answers(made: nn.Module, trained: Trained, names: dict[str, str]) -> bool:
    state = {
        written + key.removeprefix(beginning): value.cpu()
        for key, value in trained.model.state_dict().items()
        for beginning, written in names.items()
        if key.startswith(beginning)
    }
    try:
        made.load_state_dict(state)
    except RuntimeError:  # timm's network ends otherwise: with a norm, or a hidden layer
        return False
    size = trained.config.network_size(trained.input_size)
    probe: Tensor = torch.randn(4, trained.channels, size, size, generator=torch.Generator().manual_seed(0))
    model = trained.model.eval()
    own = get_method(trained.method).predict(model, probe.to(next(model.parameters()).device))["logits"].cpu()
    try:
        return bool(torch.allclose(made.eval()(probe), own, rtol=0, atol=AGREE))
    except (RuntimeError, AssertionError):  # it takes no images of this size
        return False


def _code(name: str, options: dict[str, Any], changes: dict[str, str], loading: list[str]) -> str:
    arguments = "".join(f", {key}={value!r}" for key, value in options.items())
    return "\n".join(
        [
            "import timm",
            *(["import torch"] if changes else []),
            "from safetensors.torch import load_file",
            "",
            f'model = timm.create_model("{name}"{arguments})',
            *(f'model.set_submodule("{path}", torch.nn.{layer})' for path, layer in changes.items()),
            *loading,
            "model.eval()",
        ]
    )
