"""Turn untrusted image bytes into upright RGB arrays, facts and thumbnails, the same way for every room.

It never goes to a network, never changes Pillow's global settings for good and never imports torch.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from ferclean.errors import BadDataError, UsageError

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
"""What is decoded. Named, because Pillow also knows formats that start other programs (EPS)."""

MAX_PIXELS = 64_000_000
"""Larger images are refused from their header, before any memory is taken for them."""

MIN_SIDE = 8
"""Pixels; a smaller side holds no readable face."""

MAX_ASPECT = 5.0
"""Long side over short side; the centre crop of a longer strip would show next to nothing of it."""

BLANK_CONTRAST = 0.02
"""Standard deviation of grey in [0, 1] below which an image is blank: about five of 256 grey levels."""

THUMBNAIL_SIDE = 16
_ORIENTATION_TAG = 0x0112
_ALPHA_MODES = {"RGBA", "LA", "PA", "La", "RGBa"}
_BACKGROUND = (255, 255, 255)


class Images(Protocol):
    """(N, C, S, S) uint8 images on the host: an array, a memory map, or what reads rows when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def ndim(self) -> int: ...
    def __len__(self) -> int: ...
    def __getitem__(self, rows: Any, /) -> np.ndarray:
        """The images of a slice or of an array of rows."""
        ...


class UnreadableImageError(BadDataError):
    """The bytes are no image that can be decoded safely; `reason` says why in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What one decoding tells about an image.

    `width` and `height` are pixels after the EXIF orientation is applied; `mode` and `format` are Pillow's
    names for what the file held; `contrast` is the standard deviation of grey in [0, 1] (low = flat).
    """

    width: int
    height: int
    mode: str
    format: str
    contrast: float


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The first frame of an encoded image as it should be looked at: (H, W, 3) uint8 RGB, upright.

    EXIF orientation is applied (a broken EXIF block counts as upright), 16-bit and float greys are scaled to
    8 bits, CMYK and palettes are converted, and transparency is laid on white. Raises UnreadableImageError.

    >>> png = io.BytesIO(); Image.new("1", (9, 8), 1).save(png, "PNG")
    >>> decode(png.getvalue()).shape, int(decode(png.getvalue()).min())
    ((8, 9, 3), 255)
    """
    return np.array(_open(data, max_pixels)[0])


def inspect(data: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageFacts:
    """Decode once and measure; raises UnreadableImageError like `decode`."""
    return inspect_and_fit(data, (), max_pixels=max_pixels)[0]


def inspect_and_fit(
    data: bytes, forms: Sequence[tuple[int, int]], *, max_pixels: int = MAX_PIXELS
) -> tuple[ImageFacts, list[np.ndarray]]:
    """`inspect`, and from the same decoding the image as `load_pixels` gives it in each form (size, channels)."""
    image, mode, kind = _open(data, max_pixels)
    grey = image.convert("L")
    facts = ImageFacts(width=image.width, height=image.height, mode=mode, format=kind, contrast=_contrast(grey))
    return facts, [_square(grey if channels == 1 else image, size, channels) for size, channels in forms]


def unusable_reason(facts: ImageFacts) -> str | None:
    """Why an image that decodes still cannot be scored (too small, too long a strip); None when it can."""
    return _unusable_size(facts.width, facts.height)


def readable_pixels(data: bytes, *, size: int, channels: int) -> np.ndarray:
    """One encoded image as `load_pixels` gives it: (channels, size, size) uint8.

    Raises UnreadableImageError, for what `unusable_reason` names too.
    """
    image = _open(data, MAX_PIXELS)[0]
    if reason := _unusable_size(image.width, image.height):
        raise UnreadableImageError(reason)
    return _square(image, size, channels)


def is_blank(contrast: float) -> bool:
    """True for an image without visible content: contrast below `BLANK_CONTRAST`."""
    return contrast < BLANK_CONTRAST


def load_pixels(
    images: Sequence[str | os.PathLike[str] | bytes | Callable[[], bytes]],
    *,
    size: int,
    channels: int = 3,
    workers: int | None = None,
) -> np.ndarray:
    """All images at one size in memory: (N, channels, size, size) uint8, in the given order.

    Each item is a path, the encoded bytes, or a callable that returns them. The largest centred square is cut
    out and resized with antialiasing, so proportions stay and no border is invented; `channels` is 3 (RGB) or
    1 (grey). Raises UnreadableImageError naming the item: ingest quarantines broken files, so one met here
    has changed since.
    """
    return load_forms(images, [(size, channels)], workers=workers)[0]


def load_forms(
    images: Sequence[str | os.PathLike[str] | bytes | Callable[[], bytes]],
    forms: Sequence[tuple[int, int]],
    *,
    workers: int | None = None,
) -> list[np.ndarray]:
    """`load_pixels` in several forms (size, channels) at once: each image is read and decoded one time for all."""
    for size, channels in forms:
        if channels not in (1, 3) or size < 1:
            raise UsageError(f"load images with 1 or 3 channels and a positive size, not {channels} and {size}")
    pixels = [np.empty((len(images), channels, size, size), dtype=np.uint8) for size, channels in forms]

    def fill(index: int) -> None:
        image = _open(_read(images[index]), MAX_PIXELS)[0]
        for whole, (size, channels) in zip(pixels, forms, strict=True):
            whole[index] = _square(image, size, channels)

    if workers is None:
        workers = min(8, os.cpu_count() or 1)
    if workers <= 1 or len(images) < 64:
        for index in range(len(images)):
            _named(fill, index, images[index])
    else:
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(lambda index: _named(fill, index, images[index]), range(len(images))):
                pass
    return pixels


def thumbnails(pixels: Images) -> np.ndarray:
    """Vectors whose dot product says how alike two images look: (N, 256) float32 from (N, C, S, S) uint8.

    Each is the 16x16 area average of grey, its mean removed, scaled to length 1: the product is their
    correlation in [-1, 1] and does not change with brightness or contrast. A flat image is all zeros, so it
    resembles nothing.
    """
    count, channels, height, width = pixels.shape
    weights = np.array([1.0] if channels == 1 else [0.299, 0.587, 0.114], dtype=np.float32)
    rows, columns = _area_average(height), _area_average(width)
    small = np.empty((count, THUMBNAIL_SIDE * THUMBNAIL_SIDE), dtype=np.float32)
    for start in range(0, count, 2048):  # blocks, so that the float copy stays small
        block = pixels[start : start + 2048].astype(np.float32)
        grey = np.tensordot(block, weights, axes=(1, 0))  # (n, S, S)
        small[start : start + len(block)] = (rows @ grey @ columns.T).reshape(len(block), -1)
    small -= small.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(small, axis=1, keepdims=True)
    # below a hundredth of a grey level per cell there is only rounding to compare
    return np.where(norm > 0.01 * THUMBNAIL_SIDE, small / np.maximum(norm, 1e-6), 0.0).astype(np.float32)


def mirrored(small: np.ndarray) -> np.ndarray:
    """The `thumbnails` (N, 256) of the mirrored images: (N, 256).

    >>> mirrored(np.arange(256.0)[None])[0, :3].tolist()
    [15.0, 14.0, 13.0]
    """
    return small.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)[:, :, ::-1].reshape(len(small), -1)


def encode_png(pixels: np.ndarray) -> bytes:
    """Lossless PNG bytes of (H, W) grey or (H, W, 3) RGB uint8 pixels."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def encode_jpeg(pixels: np.ndarray, *, quality: int = 88) -> bytes:
    """JPEG bytes of the same, for a glance: a tenth of a PNG's time and size, and a few grey values off."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "JPEG", quality=quality)
    return target.getvalue()


# ---- decoding


def _open(data: bytes, max_pixels: int) -> tuple[Image.Image, str, str]:
    if not data:
        raise UnreadableImageError("empty")
    with _pillow_quiet():
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > max_pixels:
                raise UnreadableImageError(f"too many pixels ({image.width}x{image.height}; at most {max_pixels:,})")
            mode, kind = image.mode, image.format or ""
            image.load()
            # read after load(): TIFF is turned upright by Pillow itself, which then drops the tag
            orientation = _orientation(image)
            return _upright(_to_rgb(image), orientation), mode, kind
        except UnreadableImageError:
            raise
        except UnidentifiedImageError:
            raise UnreadableImageError("not an image in a known format") from None
        except Image.DecompressionBombError:
            raise UnreadableImageError(f"too many pixels (at most {max_pixels:,})") from None
        except Exception as error:
            # hostile bytes make the decoders fail in a dozen ways (OSError, SyntaxError, struct.error,
            # zlib.error, MemoryError ...): every one of them means the same thing here
            detail = " ".join(str(error).split())[:120] or type(error).__name__
            raise UnreadableImageError(f"cannot be decoded ({detail})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image), image.mode)).convert("RGB")
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        layer = image.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (*_BACKGROUND, 255))
        canvas.alpha_composite(layer)
        return canvas.convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Grey with more than 8 bits, scaled by what the type can hold, never by one image's own range."""
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise UnreadableImageError("holds pixels that are not numbers")
    peak = values.max(initial=0.0)
    if mode == "F":
        scale = 255.0 if peak <= 1.0 else 1.0 if peak <= 255.0 else 255.0 / 65535.0
    else:
        # "I" is also how 8-bit data arrives from some writers
        scale = 1.0 if mode == "I" and peak <= 255.0 else 255.0 / 65535.0
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a damaged EXIF block says nothing about the picture itself
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


_quiet_lock = threading.Lock()
_quiet_depth = 0
_quiet_context: Any = None


@contextmanager
def _pillow_quiet() -> Iterator[None]:
    """Pillow's remarks on odd files are not ours to print: what matters becomes an UnreadableImageError.

    `warnings.catch_warnings` restores wrongly when threads overlap, so they share one: the first in opens it,
    the last out closes it.
    """
    global _quiet_depth, _quiet_context
    with _quiet_lock:
        if _quiet_depth == 0:
            _quiet_context = warnings.catch_warnings()
            _quiet_context.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                _quiet_context.__exit__(None, None, None)


# ---- loading


def _read(item: str | os.PathLike[str] | bytes | Callable[[], bytes]) -> bytes:
    if isinstance(item, bytes):
        return item
    if callable(item):
        return item()
    return Path(item).read_bytes()


def _named(fill: Callable[[int], None], index: int, item: object) -> None:
    try:
        fill(index)
    except (UnreadableImageError, OSError) as error:
        where = str(item) if isinstance(item, str | os.PathLike) else f"image {index}"
        raise UnreadableImageError(
            f"{where!r} can no longer be read ({error}); run `ferclean ingest` again to quarantine it"
        ) from error


def _unusable_size(width: int, height: int) -> str | None:
    short, long = sorted((width, height))
    if short < MIN_SIDE:
        return f"too small ({width}x{height}; at least {MIN_SIDE} pixels a side)"
    if long > MAX_ASPECT * short:
        return f"too long a strip ({width}x{height}; at most {MAX_ASPECT:g}:1)"
    return None


def _contrast(grey: Image.Image) -> float:
    """The standard deviation of grey in [0, 1], from how often each level occurs: exact, and no pixel is copied."""
    counts = np.array(grey.histogram())
    levels = np.arange(len(counts)) - counts @ np.arange(len(counts)) / counts.sum()
    return float(np.sqrt(counts @ levels**2 / counts.sum()) / 255.0)


def _square(image: Image.Image, size: int, channels: int) -> np.ndarray:
    if channels == 1 and image.mode != "L":
        image = image.convert("L")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    if image.size != (size, size):
        box = (left, top, left + side, top + side)
        image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


# ---- measures


@lru_cache(maxsize=32)
def _area_average(side: int) -> np.ndarray:
    """(16, side) float32: row i averages the i-th sixteenth of a line, shared pixels by their overlap."""
    edges = np.linspace(0, side, THUMBNAIL_SIDE + 1)
    pixel = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixel[None] + 1) - np.maximum(edges[:-1, None], pixel[None])
    overlap = np.clip(overlap, 0, None)
    averages: np.ndarray = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
    return averages
