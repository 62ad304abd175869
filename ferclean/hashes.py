"""What a thing is: the SHA-256 of its content, for files, bytes and pixels alike. A path is only where it lies today.

It never trusts a name, a size or a date, and never holds a whole file in memory.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from ferclean.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

_MOST_PIXELS = 64_000_000  # what the workspace kept was smaller; a file put in its place may be a bomb


def of_bytes(data: bytes) -> str:
    """64 hex digits.

    >>> of_bytes(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path, *, what: str = "file") -> str:
    """`of_bytes` of a file's content, read in pieces. Raises UsageError, calling it `what`, when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UsageError(f"no {what} at {path}") from None
    except OSError as error:
        raise UsageError(f"the {what} {path} cannot be read: {error.strerror or error}") from None


def of_pixels(pixels: np.ndarray) -> str:
    """Of shape and values of (H, W) or (H, W, 3) uint8 pixels, for rows that hold no file."""
    return hashlib.sha256(f"{'x'.join(map(str, pixels.shape))}\0".encode() + pixels.tobytes()).hexdigest()


def is_content(data: bytes, content_hash: str, *, kept: bool) -> bool:
    """Whether a picture's file holds what `content_hash` was taken of.

    That is the file's bytes; of a picture that the workspace `kept` for a row of pixels, the pixels of its PNG.
    """
    return of_bytes(data) == content_hash or (kept and _png_pixels(data) == content_hash)


def _png_pixels(data: bytes) -> str | None:
    """`of_pixels` of a grey or RGB PNG, read without any conversion; None for everything else."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.mode not in ("L", "RGB") or image.width * image.height > _MOST_PIXELS:
                return None
            return of_pixels(np.asarray(image))
    except Exception:  # damaged bytes make decoders fail in a dozen ways: none of them is what was kept
        return None
