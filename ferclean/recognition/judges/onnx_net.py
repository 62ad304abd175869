"""A judge as an ONNX file, run by onnxruntime on the CPU (`pip install 'ferclean[onnx]'`).

It reads one file, never what that file points to outside itself, and never pickles.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from ferclean import extras
from ferclean.errors import BadDataError


class OnnxNet:
    """(N, C, S, S) float32 -> (N, K) float32, whichever layout and batch size the file asks for."""

    def __init__(self, content: bytes, *, named: str) -> None:
        extras.require("onnx", "a judge as an ONNX file", modules=("onnxruntime",))
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what it says is told once, below
        with tempfile.TemporaryDirectory(prefix="ferclean-onnx-") as nothing:
            # weights beside the file are looked for here, not where the user happens to be: nobody has checked those
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", nothing)
            try:
                self._session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            except Exception as error:  # its errors have no common kind; all of them mean an unreadable file
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                mend = "; save it with its weights in the file itself" if "External data" in reason else ""
                raise BadDataError(f"{named} cannot be run by onnxruntime: {reason}{mend}") from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = list(inputs[0].shape)
        if len(inputs) != 1 or len(shape) != 4 or inputs[0].type != "tensor(float)":
            told = "; ".join(f"{one.name} {one.shape} {one.type}" for one in inputs)
            raise BadDataError(f"{named} takes {told}: a judge takes one batch of images as float numbers, four axes")
        self._input, self._output = inputs[0].name, outputs[0].name
        self._last = shape[3] in (1, 3) and shape[1] not in (1, 3)
        channels = shape[3] if self._last else shape[1]
        if channels not in (1, 3):
            raise BadDataError(f"{named} takes images of shape {shape[1:]}: neither 1 nor 3 colours")
        self.channels = int(channels)
        sides = shape[1:3] if self._last else shape[2:]
        self.sides: tuple[int | None, ...] = tuple(side if isinstance(side, int) else None for side in sides)
        self._batch: int | None = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The file's first output, rows by rows."""
        batch = np.ascontiguousarray(images.transpose(0, 2, 3, 1) if self._last else images, dtype=np.float32)
        step = self._batch or max(len(batch), 1)
        parts = []
        for start in range(0, len(batch), step):
            piece = batch[start : start + step]
            # a file with a fixed batch gets a whole one, the last image repeated
            whole = np.concatenate([piece, np.repeat(piece[-1:], step - len(piece), axis=0)])
            found = np.asarray(self._session.run([self._output], {self._input: whole})[0], dtype=np.float32)
            parts.append(found.reshape(len(whole), -1)[: len(piece)])
        return np.concatenate(parts)
