"""Copies of AffectNet, ExpW and FERPlus as they go round, made of drawn faces: for `tests/public_copies.py`.

Nothing comes from a real data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.layouts import put
from tests.made_sets import fer_row, write_csv, write_fer2013

_AFFECTNET = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "expression", "valence", "arousal",
)  # fmt: skip


def affectnet_lists(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"Manually_Annotated_Images/{n}/a{n}.jpg" for n in range(8)])
    (root / "Manually_Annotated_file_lists").mkdir()
    rows = [[f"{n}/a{n}.jpg", 1, 2, 30, 40, n, 0.5, -0.25] for n in range(8)]
    write_csv(root / "Manually_Annotated_file_lists/training.csv", [_AFFECTNET, *rows[:7]])
    write_csv(root / "Manually_Annotated_file_lists/validation.csv", [_AFFECTNET, *rows[7:]])


def affectnet_npy(root: Path, faces: Sequence[bytes]) -> None:
    for split in ("train_set", "val_set"):
        put(root, faces, [f"{split}/images/{n}.jpg" for n in range(8)])
        (root / split / "annotations").mkdir()
        for n in range(8):
            for kind, value in (("exp", str(n)), ("val", "0.25"), ("aro", "-0.5")):
                np.save(root / split / f"annotations/{n}_{kind}.npy", np.array(value))
            np.save(root / split / f"annotations/{n}_lnd.npy", np.zeros(136))


def affectnet_yolo(root: Path, faces: Sequence[bytes]) -> None:
    names = ("Anger", "Contempt", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
    root = root / "affectnet-yolo-format/YOLO_format"
    for split in ("train", "valid", "test"):
        put(root, faces, [f"{split}/images/ffhq_{n}.png" for n in range(8)])
        (root / split / "labels").mkdir()
        for n in range(8):
            (root / split / f"labels/ffhq_{n}.txt").write_text(f"{n} 0.5 0.5 0.9 0.9\n")
    (root / "data.yaml").write_text(f"train: ../train/images\nval: ../valid/images\nnc: 8\nnames: {list(names)}\n")


def affectnet_labels(root: Path, faces: Sequence[bytes]) -> None:
    names = ("anger", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    put(root, faces, [f"{name}/image000000{n}.jpg" for n, name in enumerate(names)])
    # the folder says anger, the list surprise
    rows = [[n, f"{names[n]}/image000000{n}.jpg", names[n - 1], 0.87] for n in range(8)]
    write_csv(root / "labels.csv", [["", "pth", "label", "relFCs"], *rows])


def expw(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"image/origin/angry_actor_{n}.jpg" for n in range(7)])
    (root / "label").mkdir()
    lines = [f"angry_actor_{n}.jpg 0 10 12 90 88 59.6 {n}\n" for n in range(7)]
    (root / "label/label.lst").write_text("".join(lines))


FERPLUS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")


def ferplus_votes(root: Path, faces: Sequence[bytes], usages: Sequence[str] = ("Training",) * 8) -> None:
    """fer2013new.csv: eight of ten people say class n of row n."""
    rows = [[usage, f"fer{n:07d}.png", *(8 * (c == n) for c in range(8)), 2, 0] for n, usage in enumerate(usages)]
    write_csv(root / "fer2013new.csv", [["Usage", "Image name", *FERPLUS], *rows])


def ferplus_csv(root: Path, faces: Sequence[bytes]) -> None:
    write_fer2013(root / "fer2013.csv", [fer_row(c, c % 7) for c in range(8)])
    ferplus_votes(root, faces)


def ferplus_folders(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"data/FER2013Train/fer{n:07d}.png" for n in range(6)])
    put(root, faces, ["data/FER2013Valid/fer0000006.png", "data/FER2013Test/fer0000007.png"])
    ferplus_votes(root / "data", faces, (*["Training"] * 6, "PublicTest", "PrivateTest"))


def ferplus_kaggle(root: Path, faces: Sequence[bytes]) -> None:
    names = [f"fer_2013/{s}/{c}/fer{n:07d}.png" for s in ("train", "test") for n, c in enumerate(FERPLUS[:8])]
    put(root, faces, names)
