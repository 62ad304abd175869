"""The part of an encoded image inside a box, for sets that list faces in pictures.

It never reads a file, and never invents pixels outside of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ferclean.recognition.images import UnreadableImageError, decode


def crop(data: bytes, box: Sequence[float], unit: Literal["pixels", "shares"]) -> np.ndarray | None:
    """What a box holds of an encoded image: (H, W, 3) uint8; None where that is all of it.

    `box` is left, top, right, bottom of the upright image, in pixels or in shares of its width and height, as `unit`
    says; what lies outside of the image is cut off. Raises UnreadableImageError, also for a box that holds
    nothing of it.
    """
    pixels = decode(data)
    height, width = pixels.shape[:2]
    sides = (width, height, width, height)
    scale = sides if unit == "shares" else (1, 1, 1, 1)
    left, top, right, bottom = (
        min(max(round(value * factor), 0), side) for value, factor, side in zip(box, scale, sides, strict=True)
    )
    if right <= left or bottom <= top:
        raise UnreadableImageError("the box holds nothing of the picture")
    if (left, top, right, bottom) == (0, 0, width, height):
        return None
    return np.ascontiguousarray(pixels[top:bottom, left:right])
