"""Drawn faces in one small file, made where there is time for it and carried to a machine that is rented by the minute.

It plants no errors, and reading it needs neither a workspace nor a database.

    python -m pipelines.gpu_faces faces.parquet [--count 12271]
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ferclean import files
from ferclean.errors import BadDataError, UsageError
from ferclean.evidence import labels as label_names
from ferclean.progress import Progress, silent
from ferclean.recognition import images as image_room
from ferclean.recognition.profiles import Profile
from ferclean.sources.drawn_faces import drawing as drawn_faces
from ferclean.sources.drawn_faces.face_expressions import CLASSES

COUNT = 12_271
"""As many as RAF-DB's training images."""
QUALITY = 75
"""Of WebP: 1.3 KB a face, less than half of what its JPEG takes; what is carried is limited."""


@dataclass(frozen=True, kw_only=True)
class Faces:
    """Encoded images in the order of their `labels` (N,) int64."""

    encoded: list[bytes]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, profile: Profile, count: int | None = None) -> np.ndarray:
        """The first `count` (default: all) as the profile sees them: (n, C, S, S) uint8."""
        return image_room.load_pixels(self.encoded[:count], size=profile.input_size, channels=profile.channels)


def draw(path: Path, *, count: int = COUNT, seed: int = 0, progress: Progress = silent) -> int:
    """Write `count` clean drawn faces with their labels; returns the file's bytes. 15 ms a face."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as folder:
        truth = drawn_faces.draw_set(
            Path(folder) / "faces", train=count, test=len(CLASSES), seed=seed,
            noise=0.0, blends=0.0, duplicates=0.0, broken=0.0, blank=0.0, progress=progress,
        )  # fmt: skip
        rows = truth.table[truth.table["split"] == "train"]
        images = truth.root / "Image" / "aligned"
        encoded = [_smaller(images / f"{key}_aligned.jpg") for key in rows["source_key"]]
        labels = label_names.encode(list(rows["given_label"]), CLASSES)
    with files.whole_file(path) as draft:
        pq.write_table(pa.table({"image": pa.array(encoded, pa.binary()), "label": labels}), draft)
    return path.stat().st_size


def read(path: Path) -> Faces:
    """What `draw` wrote. Raises UsageError without such a file, BadDataError for one that holds something else."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UsageError(f"no faces at {path}; draw them first: python -m pipelines.gpu_faces {path}")
    try:
        table = pq.read_table(path, columns=["image", "label"])
    except (pa.ArrowInvalid, KeyError) as error:
        raise BadDataError(f"{path} holds no drawn faces ({str(error).splitlines()[0]}); draw them again") from error
    return Faces(encoded=table["image"].to_pylist(), labels=table["label"].to_numpy().astype(np.int64))


def _smaller(path: Path) -> bytes:
    target = io.BytesIO()
    Image.open(path).save(target, "WEBP", quality=QUALITY)
    return target.getvalue()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Draw faces for `pipelines.gpu_check` into one file.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    size = draw(
        options.file, count=options.count, seed=options.seed,
        progress=lambda what, done, total: print(f"{done}/{total} {what}", file=sys.stderr, flush=True),
    )  # fmt: skip
    print(f"{options.count:,} faces, {size / 1e6:.1f} MB: {options.file}")


if __name__ == "__main__":
    main()
