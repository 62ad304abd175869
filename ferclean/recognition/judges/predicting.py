"""What an outside judge says about images, and how it gets onto the shelf: face-api's net, an ONNX file, a Hub model.

It never trains, never fetches but in `add_*` where it was asked to, and knows no workspace and no label.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ferclean.errors import BadDataError, FercleanError, UsageError
from ferclean.hashes import of_bytes
from ferclean.recognition.devices import choose_device, full_precision
from ferclean.recognition.judges import face_api, packages, shelf
from ferclean.recognition.judges.onnx_net import OnnxNet
from ferclean.recognition.judges.shelf import JudgeCard
from ferclean.recognition.timm_import import the_timm

BATCH = 64
FACE_API = "face-api"
NETS = {FACE_API: "@vladmandic/face-api@1.7.15"}
"""What can be added by name -> the npm package that ships it."""
_MANIFEST = "model/face_expression_model-weights_manifest.json"
_FILES = {
    _MANIFEST: "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
    "model/face_expression_model.bin": "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
}
_HUB_WEIGHTS = "model.safetensors"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")

Net = Callable[[np.ndarray], np.ndarray]
"""(N, C, S, S) float32, normalised -> (N, K) float32."""
Ask = Callable[[np.ndarray], np.ndarray]
"""(N, C, S, S) uint8 -> P(class | face), (N, K) float32 in the order of the card's classes, rows sum to 1."""


def ready(card: JudgeCard, *, device: str = "auto") -> Ask:
    """Load a judge, and give what asks it.

    Raises BadDataError for files that are not those that were added; so does asking it with pixels of another size or
    number of colours than it takes, or when its answers are no numbers.
    """
    net = _net(card, shelf.read(card), device)
    return lambda pixels: _answers(card, net, pixels)


def add_face_api(package: Path | None = None, *, name: str = FACE_API) -> JudgeCard:
    """face-api's expression net, out of a .tgz or, without one, through the user's npm client."""
    files = packages.read_package(package, _FILES) if package else packages.fetch_package(NETS[FACE_API], _FILES)
    mean = tuple(value / face_api.SCALE for value in face_api.MEAN)
    return _add(
        files, name=name, kind="face-api", source=f"npm {NETS[FACE_API]}", licence="MIT", classes=face_api.CLASSES,
        size=face_api.SIZE, channels=3, mean=mean, std=(1.0,) * 3,
    )  # fmt: skip


def add_onnx(
    path: Path, *, classes: Sequence[str], size: int | None, mean: Sequence[float], std: Sequence[float],
    name: str | None = None, licence: str = "unknown",
) -> JudgeCard:  # fmt: skip
    """An ONNX file with one input of images and, first, an output per class. `size` defaults to the file's own.

    `mean` and `std`, one number or one per colour, are in units of the full range: 0.5 is mid-grey.
    """
    if not path.is_file():
        raise UsageError(f"no ONNX file at {path}")
    content = path.read_bytes()
    net = OnnxNet(content, named=str(path))
    own = net.sides[0]
    if net.sides[0] != net.sides[1] or (size and own and size != own):
        raise UsageError(f"{path} takes images of {net.sides[0]} x {net.sides[1]} pixels: square ones of that --size")
    if not (size or own):
        raise UsageError(f"{path} takes images of any size: say with --size which it was trained on")
    return _add(
        {"model.onnx": content}, name=name or path.stem, kind="onnx", source=path.name, licence=licence,
        classes=classes, size=int(size or own or 0), channels=net.channels,
        mean=_per_channel(mean, net.channels, "--mean"), std=_per_channel(std, net.channels, "--std"),
    )  # fmt: skip


def add_hub(source: str, *, classes: Sequence[str] | None = None, name: str | None = None) -> JudgeCard:
    """An image classifier that timm can load: a Hub repository `owner/model`, or `local-dir:FOLDER` of one.

    The only way here that goes to a network. `classes` default to the names that the model brings.
    """
    from safetensors.torch import save

    timm = the_timm()
    local = source.startswith("local-dir:")
    if not local and not _HUB_NAME.fullmatch(source):
        raise UsageError(f"--hub names a repository of the Hugging Face Hub, OWNER/MODEL, not {source!r}")
    told_by = logging.getLogger("huggingface_hub")
    level = told_by.level
    told_by.setLevel(logging.CRITICAL)  # every attempt of a download would be a line; what failed is told once, below
    try:
        model = timm.create_model(source if local else f"hf-hub:{source}", pretrained=True)
    except Exception as error:  # network, repository and file errors of three libraries: the model did not come
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        mend = "see that it is a timm classifier"
        if not local:
            mend += ", and that the internet can be reached or huggingface's cache (HF_HOME) holds it"
        raise FercleanError(f"{source} cannot be loaded by timm: {reason}; {mend}") from error
    finally:
        told_by.setLevel(level)
    settings: dict[str, Any] = dict(model.pretrained_cfg)
    told = tuple(classes or settings.get("label_names") or ())
    if not told:
        raise UsageError(f"{source} does not name its classes: give them in its order with --classes")
    channels, size, _ = settings["input_size"]
    weights = save({key: value.contiguous() for key, value in model.state_dict().items()})
    return _add(
        {_HUB_WEIGHTS: weights}, name=name or Path(source).name, kind="hub", source=source,
        licence=str(settings.get("license") or "unknown"), classes=told, size=size, channels=channels,
        mean=tuple(settings["mean"]), std=tuple(settings["std"]),
        network=json.dumps(
            {"architecture": settings["architecture"], "num_classes": model.num_classes, "in_chans": channels}
        ),
    )  # fmt: skip


def _add(files: Mapping[str, bytes], *, classes: Sequence[str], **about: Any) -> JudgeCard:
    """Try the net once, then lay it on the shelf."""
    card = JudgeCard(
        files={name: of_bytes(content) for name, content in files.items()}, classes=tuple(classes),
        output="logits", **about,
    )  # fmt: skip
    shelf.checked_name(card.name)
    if len(set(card.classes)) < max(len(card.classes), 2):
        raise UsageError(
            f"a judge needs at least two classes, each named once, not {', '.join(card.classes) or 'none'}"
        )
    net = _net(card, files, "cpu")
    noise = np.random.default_rng(0).integers(0, 256, (4, card.channels, card.size, card.size), dtype=np.uint8)
    said = _asked(card, net, noise)
    if not np.isfinite(said).all():
        raise BadDataError(f"{card.source} answers with NaN or infinite numbers: its weights, --mean or --std are off")
    if said.shape != (len(noise), len(card.classes)):
        raise UsageError(
            f"{card.source} has {said.shape[1]} outputs a face, and {len(card.classes)} classes are named: "
            f"{', '.join(card.classes)}; name them all, in its order, with --classes"
        )
    whole = (said >= 0).all() and np.abs(said.sum(1) - 1).max() < 1e-3
    card = JudgeCard(**{**card.as_dict(), "output": "probabilities" if whole else "logits"})
    shelf.put(card, files)
    return card


def _asked(card: JudgeCard, net: Net, pixels: np.ndarray) -> np.ndarray:
    try:
        return net(_normalised(card, pixels))
    except Exception as error:  # whichever library runs the net: these images do not go through it
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadDataError(
            f"{card.source} cannot judge images of {card.channels} x {card.size} x {card.size}: {reason}"
        ) from error


def _answers(card: JudgeCard, net: Net, pixels: np.ndarray) -> np.ndarray:
    wanted = (card.channels, card.size, card.size)
    if pixels.ndim != 4 or pixels.shape[1:] != wanted:
        raise BadDataError(
            f"judge {card.name} takes images of {' x '.join(map(str, wanted))}, not "
            f"{' x '.join(map(str, pixels.shape[1:]))}"
        )
    found = np.empty((len(pixels), len(card.classes)), dtype=np.float32)
    for start in range(0, len(pixels), BATCH):
        said = _asked(card, net, pixels[start : start + BATCH]).astype(np.float64)
        if said.shape[1] != len(card.classes):
            raise BadDataError(
                f"judge {card.name} has {said.shape[1]} outputs a face for {len(card.classes)} classes: add it again"
            )
        if not np.isfinite(said).all():
            raise BadDataError(f"judge {card.name} answers with NaN or infinite numbers; remove it, or add it again")
        if card.output == "probabilities" and ((said < 0).any() or np.abs(said.sum(1) - 1).max() > 0.05):
            raise BadDataError(
                f"judge {card.name} answers with shares that do not sum to 1; remove it, or add it again"
            )
        if card.output == "logits":
            said = np.exp(said - said.max(1, keepdims=True))
        # half precision, and files that round, leave rows a little off
        found[start : start + BATCH] = said / said.sum(1, keepdims=True)
    return found


def _normalised(card: JudgeCard, pixels: np.ndarray) -> np.ndarray:
    mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (card.mean, card.std))
    result: np.ndarray = (pixels.astype(np.float32) / 255 - mean) / std
    return result


def _net(card: JudgeCard, files: Mapping[str, bytes], device: str) -> Net:
    if card.kind == "onnx":
        return OnnxNet(files["model.onnx"], named=card.source)
    model = _face_api_net(files) if card.kind == "face-api" else _hub_net(card, files)
    where = choose_device(device)
    model.eval().to(where)

    @torch.inference_mode()
    def ask(images: np.ndarray) -> np.ndarray:
        with full_precision(where):
            answer: Tensor = model(torch.from_numpy(images).to(where))
        return answer.float().cpu().numpy()

    return ask


def _face_api_net(files: Mapping[str, bytes]) -> nn.Module:
    net = face_api.ExpressionNet()
    net.load_state_dict(face_api.state_dict(files[_MANIFEST.rpartition("/")[2]], files))
    return net


def _hub_net(card: JudgeCard, files: Mapping[str, bytes]) -> nn.Module:
    from safetensors.torch import load

    about = json.loads(card.network)
    model: nn.Module = the_timm().create_model(
        about["architecture"], pretrained=False, num_classes=about["num_classes"], in_chans=about["in_chans"]
    )
    model.load_state_dict(load(files[_HUB_WEIGHTS]))
    return model


def _per_channel(values: Sequence[float], channels: int, what: str) -> tuple[float, ...]:
    if len(values) not in (1, channels):
        raise UsageError(f"{what} has {len(values)} numbers: one, or one for each of the {channels} colours")
    if not np.isfinite(values).all():
        raise UsageError(f"{what} are finite numbers")
    if what == "--std" and not all(value > 0 for value in values):
        raise UsageError("--std are numbers above 0")
    return tuple(float(value) for value in values) * (channels if len(values) == 1 else 1)
