"""A model as one ONNX file, for programs without torch: exported, then run, and refused unless it says the same.

It never keeps a file whose answers differ from torch's. Needs the extra `onnx`.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ferclean import extras
from ferclean.errors import FercleanError
from ferclean.files import whole_file
from ferclean.recognition.inference import Trained
from ferclean.recognition.methods.catalogue import get_method
from ferclean.recognition.model_folder import Model

AGREE = 1e-4
"""Largest difference of a logit or a probability between the file under onnxruntime and torch."""
OPSET = 18


class _Answers(nn.Module):
    """Normalised images (N, C, S, S) -> logits and probabilities (N, K), the mean over mirror images included."""

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.model, self.method = trained.model, get_method(trained.method)
        self.mirror = trained.config.flip_average

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        found = self.method.predict(self.model, images)
        if not self.mirror:
            return found["logits"], found["pred_probs"]
        other = self.method.predict(self.model, images.flip(3))
        return (found["logits"] + other["logits"]) / 2, (found["pred_probs"] + other["pred_probs"]) / 2


def export_onnx(model: Model, path: Path) -> float:
    """Write `path` (.onnx), and return the largest difference to torch under onnxruntime, which is at most `AGREE`.

    Input `images` (N, C, S, S) float32, normalised as `preprocessing` in config.json says, with S = its crop; outputs
    `logits` and `pred_probs` (N, K) float32. Class names and preprocessing are the file's metadata, under `ferclean`.
    Raises FercleanError without the extra, where the network cannot be exported, and where answers differ.
    """
    extras.require("onnx", "an ONNX file")
    import onnxruntime

    trained = model.trained
    trained.model.cpu().eval()
    size = trained.config.network_size(trained.input_size)
    probe = torch.randn(3, trained.channels, size, size, generator=torch.Generator().manual_seed(0))
    answers = _Answers(trained).eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # the exporter warns of its own ways; what counts is checked below
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                answers, (probe,), dynamo=True, opset_version=OPSET, verbose=False,
                input_names=["images"], output_names=["logits", "pred_probs"],
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            )  # fmt: skip
    except Exception as error:  # the exporter has its own kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FercleanError(f"{trained.config.backbone} with {trained.method} cannot become ONNX: {reason}") from error
    about = {name: model.config[name] for name in ("classes", "preprocessing", "mirror_average")}
    program.model.metadata_props["ferclean"] = json.dumps(about, ensure_ascii=False)
    with whole_file(path, elsewhere="choose another file") as draft:
        program.save(draft, external_data=False)
        session = onnxruntime.InferenceSession(draft, providers=["CPUExecutionProvider"])
        # one image and several: the number of images is the file's only free size
        apart = 0.0
        for images in (probe, probe[:1]):
            with torch.no_grad():
                own = answers(images)
            said = session.run(None, {"images": images.numpy()})
            apart = max(apart, *(float(np.abs(a.numpy() - b).max()) for a, b in zip(own, said, strict=True)))
        if not apart <= AGREE:
            raise FercleanError(f"the ONNX file differs from torch by {apart:.1g}, more than {AGREE:g}: not written")
    return apart
