"""What a model says about new images: one, several, or folders of them, outside any workspace.

It never writes beside the images, and never lets a broken file pass in silence or spoil the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.errors import BadDataError, UsageError, few
from ferclean.exports.content import write_csv
from ferclean.files import whole_file
from ferclean.printable import printable
from ferclean.progress import Progress, silent
from ferclean.recognition import images as image_room
from ferclean.sources.file_names import IMAGE_SUFFIXES, is_clutter
from ferclean.summary import Summary

CHUNK = 512
"""Images that are in memory at once."""
MAX_FILE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class PredictSummary(Summary):
    """`predictions`: path, label, probability (of the label) and probabilities (class -> number), in the order of the
    paths; `broken`: path and reason of each file that is no readable image.
    """

    model: str
    classes: list[str]
    predictions: list[dict[str, Any]]
    broken: list[dict[str, str]]


def write_predictions(found: PredictSummary, path: Path) -> None:
    """A .csv with one row per file: path, label, probability, a column per class, and the problem of a broken one."""
    header = ["path", "label", "probability", *(f"p_{name}" for name in found.classes), "problem"]
    good = [
        [row["path"], row["label"], row["probability"], *row["probabilities"].values(), ""] for row in found.predictions
    ]
    bad = [[row["path"], *[""] * (len(header) - 2), row["reason"]] for row in found.broken]
    # a name that is no UTF-8 is told as everywhere
    rows = [[printable(str(row[0])), *row[1:]] for row in (*good, *bad)]
    with whole_file(path, elsewhere="choose another file with --csv") as draft:
        write_csv(draft, header, rows)


def predict(model: Path, paths: Sequence[Path], *, device: str = "auto", progress: Progress = silent) -> PredictSummary:
    """Read the images at `paths` and judge each with the model in the folder `model`.

    Of a folder every picture below it is read, by its name's ending and in the order of the names, hidden files left
    out; a file that is named itself is tried whatever it is called. The same images give the same numbers, whatever
    else is judged beside them. Raises UsageError for a path with nothing there, BadDataError when nothing is readable.
    """
    from ferclean.recognition.model_folder import load_model

    files = list(dict.fromkeys(file for path in paths for file in _files(path)))
    loaded = load_model(model)
    size, channels = loaded.trained.input_size, loaded.trained.channels
    predictions: list[dict[str, Any]] = []
    broken: list[dict[str, str]] = []
    with ThreadPoolExecutor(8) as pool:
        for start in range(0, len(files), CHUNK):
            progress("judging images", start, len(files))
            chunk = files[start : start + CHUNK]
            read = list(pool.map(lambda file: _read(file, size, channels), chunk))
            broken += [{"path": str(f), "reason": r} for f, r in zip(chunk, read, strict=True) if isinstance(r, str)]
            good = [(f, r) for f, r in zip(chunk, read, strict=True) if not isinstance(r, str)]
            if not good:
                continue
            probs = loaded.probabilities(np.stack([pixels for _, pixels in good]), device=device)
            for (file, _), row in zip(good, probs.astype(float), strict=True):
                named = {name: round(value, 6) for name, value in zip(loaded.classes, row.tolist(), strict=True)}
                best = loaded.classes[int(row.argmax())]
                predictions.append(
                    {"path": str(file), "label": best, "probability": named[best], "probabilities": named}
                )
    progress("judging images", len(files), len(files))
    if not predictions:
        raise BadDataError(
            f"none of {len(files)} file(s) is a readable image: "
            + few([f"{row['path']} ({row['reason']})" for row in broken], 3)
        )
    return PredictSummary(model=str(model), classes=list(loaded.classes), predictions=predictions, broken=broken)


def save_onnx(model: Path, path: Path) -> dict[str, Any]:
    """Write the model as an ONNX file; returns `path` and the `difference` to torch. Raises as `export_onnx` does."""
    from ferclean.recognition.model_folder import load_model
    from ferclean.recognition.onnx_file import export_onnx

    return {"path": str(path), "difference": export_onnx(load_model(model), path)}


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        found = [
            file
            for file in sorted(path.rglob("*"))
            if file.suffix.lower() in IMAGE_SUFFIXES
            and not any(is_clutter(part) for part in file.relative_to(path).parts)
            and not file.is_dir()
        ]
        if not found:
            raise UsageError(f"no picture in the folder {path} (looked for {', '.join(IMAGE_SUFFIXES)})")
        yield from found
    elif path.exists():
        yield path
    else:
        raise UsageError(f"nothing at {path}: give an image or a folder of images")


def _read(file: Path, size: int, channels: int) -> np.ndarray | str:
    """The pixels (channels, size, size), or why there are none."""
    try:
        if file.exists() and not file.is_file():  # a pipe would be waited for
            return "no regular file"
        if file.stat().st_size > MAX_FILE_BYTES:
            return f"too large ({file.stat().st_size:,} bytes)"
        return image_room.readable_pixels(file.read_bytes(), size=size, channels=channels)
    except image_room.UnreadableImageError as error:
        return error.reason
    except OSError as error:
        return f"cannot be read ({error.strerror})"
