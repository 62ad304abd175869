"""Tiny data sets in every layout, made on the spot, for the tests of the ways in and out.

Every picture is coarse noise that differs by its seed; nothing comes from a real data set.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

RAFDB_CODES = {"surprise": 1, "fear": 2, "disgust": 3, "happiness": 4, "sadness": 5, "anger": 6, "neutral": 7}
FER_CODES = {"anger": 0, "disgust": 1, "fear": 2, "happiness": 3, "sadness": 4, "surprise": 5, "neutral": 6}


def pixels(seed: int, side: int = 24, *, grey: bool = False) -> np.ndarray:
    """(side, side, 3) or (side, side) uint8, smooth enough to survive JPEG."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5) if grey else (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def noise_in_folds(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (N, 1, 32, 32) of noise, labels of three classes in turn, and three folds; not to be written to."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 1, 32, 32), dtype=np.uint8)
    arrays = images, np.arange(count) % 3, rng.permutation(count) % 3
    for array in arrays:
        array.flags.writeable = False
    return arrays


def image_bytes(seed: int, kind: str = "JPEG", side: int = 24) -> bytes:
    """The picture of a seed as a file."""
    target = io.BytesIO()
    Image.fromarray(pixels(seed, side)).save(target, kind)
    return target.getvalue()


def write_rafdb(root: Path, labels: Sequence[tuple[str, object]]) -> Path:
    """The RAF-DB layout for (key, code) pairs such as ("train_00001", 5); the picture's seed is its position."""
    (root / "EmoLabel").mkdir(parents=True)
    (root / "Image/aligned").mkdir(parents=True)
    for seed, (key, _) in enumerate(labels):
        (root / f"Image/aligned/{key}_aligned.jpg").write_bytes(image_bytes(seed))
    lines = [f"{key}.jpg {code}\n" for key, code in labels]
    (root / "EmoLabel/list_patition_label.txt").write_text("".join(lines))
    return root


def rafdb_pairs(per_class: int = 2, test: int = 1) -> list[tuple[str, object]]:
    """(key, code) for every class in train and test."""
    train = [code for code in RAFDB_CODES.values() for _ in range(per_class)]
    others = [code for code in RAFDB_CODES.values() for _ in range(test)]
    return [
        *((f"train_{number:05d}", code) for number, code in enumerate(train, 1)),
        *((f"test_{number:04d}", code) for number, code in enumerate(others, 1)),
    ]


def fer_row(seed: int, code: object, usage: str = "Training") -> dict[str, str]:
    """One row of fer2013.csv."""
    return {"emotion": str(code), "pixels": " ".join(map(str, pixels(seed, 48, grey=True).ravel())), "Usage": usage}


def write_fer2013(
    file: Path, rows: Sequence[dict[str, str]], header: Sequence[str] = ("emotion", "pixels", "Usage")
) -> Path:
    """A csv of FER2013's form; the header's names may be padded or in another order."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as handle:
        lines = csv.writer(handle)
        lines.writerow(header)
        lines.writerows([row[name.strip()] for name in header] for row in rows)
    return file


def write_folder(root: Path, files: Sequence[str]) -> Path:
    """An image folder with these relative paths; the picture's seed is its position."""
    for seed, name in enumerate(files):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes(seed, "PNG"))
    return root


def write_csv(file: Path, rows: Sequence[Sequence[object]]) -> Path:
    """A CSV of rows, the header first."""
    with file.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(rows)
    return file
