"""One cell of a table or a data set as a picture: encoded bytes, a path below a folder, or numbers.

It never decodes an image and never reads a file outside of the folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.sources.rows import contained_file, kept_path
from ferclean.sources.tabular import text_of

_CHANNELS = (1, 3, 4)


def picture_of(cell: Any, folder: Path, *, real: str | None = None) -> tuple[dict[str, Any], str | None]:
    """(where the picture is, as fields of a SourceRow; problem). A mapping holds `bytes` or else a `path`. `real` is
    the real path of `folder`, as `contained_file` takes it."""
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes | bytearray | memoryview):
        return {"data": bytes(cell)}, None
    if isinstance(cell, list | tuple | np.ndarray):
        return _numbers(cell)
    text = text_of(cell)
    if not text:
        return {}, "image: missing"
    slashes = text.replace("\\", "/")
    relative = text if slashes == text or not contained_file(folder, text, real=real)[1] else slashes
    problem = contained_file(folder, relative, real=real)[1]
    kept = kept_path(folder, relative, problem)
    return ({} if kept is None else {"relative_path": kept}), problem


def holds_pictures(kind: Any) -> bool:
    """True for an Arrow type of encoded bytes, of {bytes, path}, or of rows of numbers."""
    import pyarrow as pa

    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return (_is_list(kind) and _is_list(kind.value_type)) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _numbers(cell: Sequence[Any] | np.ndarray) -> tuple[dict[str, Any], str | None]:
    """(H, W) grey, (H, W, C) or (C, H, W) with one, three or four channels, whole numbers from 0 to 255."""
    try:
        array = np.asarray(cell)
    except ValueError:
        return {}, "image: rows of numbers of different lengths"
    if array.ndim == 3 and array.shape[2] not in _CHANNELS and array.shape[0] in _CHANNELS:
        array = np.moveaxis(array, 0, 2)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not array.size or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        return {}, f"image: no picture has the shape ({'x'.join(map(str, array.shape))})"
    if array.dtype.kind not in "iuf" or (array < 0).any() or (array > 255).any() or (array % 1 != 0).any():
        return {}, "image: numbers that are not whole from 0 to 255"
    return {"pixels": array.astype(np.uint8)}, None
