"""Copies of public sets as they go round, made of drawn faces: names and columns are those of the public copies.

What `ingest auto` must take each for is `LAYOUTS`. Nothing comes from a real data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ferclean.evidence.labels import ALIASES
from tests.layouts import Layout, put
from tests.made_sets import FER_CODES, fer_row, write_csv, write_fer2013
from tests.wild_copies import (
    affectnet_labels,
    affectnet_lists,
    affectnet_npy,
    affectnet_yolo,
    expw,
    ferplus_csv,
    ferplus_folders,
    ferplus_kaggle,
)

WORDS = {name: word for word, name in ALIASES.items() if word in ("angry", "happy", "sad")}


def rafdb_official(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"basic/Image/aligned/train_{n:05d}_aligned.jpg" for n in range(1, 8)])
    (root / "basic/EmoLabel").mkdir()
    lines = [f"train_{n:05d}.jpg {n}\n" for n in range(1, 8)]
    (root / "basic/EmoLabel/list_patition_label.txt").write_text("".join(lines))


def rafdb_compound(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"compound/Image/aligned/train_{n:05d}_aligned.jpg" for n in range(1, 12)])
    (root / "compound/EmoLabel").mkdir()
    lines = [f"train_{n:05d}.jpg {n}\n" for n in range(1, 12)]
    (root / "compound/EmoLabel/list_patition_label.txt").write_text("".join(lines))


def rafdb_kaggle(root: Path, faces: Sequence[bytes]) -> None:
    train = [(f"train_{n:05d}_aligned.jpg", n % 7 + 1) for n in range(1, 15)]
    test = [(f"test_{n:04d}_aligned.jpg", n % 7 + 1) for n in range(1, 8)]
    for split, rows in (("train", train), ("test", test)):
        put(root, faces, [f"DATASET/{split}/{code}/{name}" for name, code in rows])
        write_csv(root / f"{split}_labels.csv", [["image", "label"], *rows])


def rafdb_tables(root: Path, faces: Sequence[bytes]) -> None:
    for split, digits in (("train", 5), ("test", 4)):
        rows = [[f"{split}_{n:0{digits}d}_aligned.jpg", n] for n in range(1, 8)]
        put(root, faces, [f"rafdb/images/{name}" for name, _ in rows])
        write_csv(root / f"rafdb/{split}_labels.csv", [["image", "label"], *rows])


def rafdb_divided_tables(root: Path, faces: Sequence[bytes]) -> None:
    rafdb_tables(root, faces)
    for split in ("train", "test"):
        (root / "rafdb" / split).mkdir()
        for file in sorted((root / "rafdb/images").glob(f"{split}_*")):
            file.rename(root / "rafdb" / split / file.name)


def rafdb_flat(root: Path, faces: Sequence[bytes]) -> None:
    rafdb_official(root, faces)
    (root / "basic/Image/aligned").rename(root / "aligned")
    (root / "basic/EmoLabel/list_patition_label.txt").rename(root / "list_patition_label.txt")


def fer2013_folders(root: Path, faces: Sequence[bytes]) -> None:
    for split, word in (("train", "Training"), ("test", "PrivateTest")):
        names = [f"{split}/{WORDS.get(c, c)}/{word}_{n}{n}21.jpg" for n, c in enumerate(FER_CODES, 1)]
        put(root, faces, names)


def plain_folders(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, ["holiday/1.jpg"])
    put(
        root,
        faces,
        [
            f"unpacked/a/b/c/d/images/{split}/{WORDS.get(c, c)}/{n}.jpg"
            for split in ("train", "validation")
            for n, c in enumerate(FER_CODES)
        ],
    )


def fer2013_csv(root: Path, faces: Sequence[bytes]) -> None:
    write_fer2013(root / "fer2013/fer2013.csv", [fer_row(c, c) for c in range(7)])


def fer2013_backup(root: Path, faces: Sequence[bytes]) -> None:
    write_fer2013(root / "fer2013_backup.csv", [fer_row(c, c) for c in range(7)])


def icml_csv(root: Path, faces: Sequence[bytes]) -> None:
    rows = [fer_row(c, c) for c in range(7)]
    write_fer2013(root / "icml_face_data.csv", rows, ("emotion", " Usage", " pixels"))
    write_fer2013(root / "train.csv", rows, ("emotion", "pixels"))
    write_fer2013(root / "test.csv", rows, ("pixels",))


def ckplus_csv(root: Path, faces: Sequence[bytes]) -> None:
    write_fer2013(root / "ckextended.csv", [fer_row(c, c) for c in range(8)])


def ckplus_folders(root: Path, faces: Sequence[bytes]) -> None:
    classes = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    put(root, faces, [f"CK+48/{name}/S{10 + n:03d}_00{n}_000000{n + 10}.png" for n, name in enumerate(classes)])


def jaffe(root: Path, faces: Sequence[bytes]) -> None:
    codes = ("AN", "DI", "FE", "HA", "NE", "SA", "SU")
    put(root, faces, [f"jaffe/KA.{code}{n}.{n + 30}.tiff" for code in codes for n in (1, 2)])
    (root / "jaffe/README_FIRST.txt").write_text("The Japanese Female Facial Expression Database")


def jaffe_divided(root: Path, faces: Sequence[bytes]) -> None:
    for split, takes in (("train", (1, 2)), ("test", (3,))):
        classes = {"angry": "AN", "fear": "FE", "suprise": "SU"}
        names = [f"{split}/{word}/KA.{code}{n}.{n + 30}.tiff" for word, code in classes.items() for n in takes]
        put(root, faces, [f"jaffe/{name}" for name in names])


def jaffe_train_only(root: Path, faces: Sequence[bytes]) -> None:
    put(
        root, faces, [f"train/{word}/KM.{code}1.4.tiff" for word, code in (("happy", "HA"), ("sad", "SA"), ("x", "NE"))]
    )


def numbered_folders(root: Path, faces: Sequence[bytes]) -> None:
    words = ("angry", "Disgust", "fear", "happy", "neutrality", "sad", "suprise")
    put(root, faces, [f"{split}/{n}_{word}/{n}.png" for split in ("train", "val") for n, word in enumerate(words)])


def ckplus_sequences(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"cohn-kanade-images/S005/001/S005_001_{n:08d}.png" for n in range(1, 4)])
    (root / "Emotion/S005/001").mkdir(parents=True)
    (root / "Emotion/S005/001/S005_001_00000003_emotion.txt").write_text("   3.0000000e+00\n")


def roboflow_table(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"train/{n}_jpg.rf.0a.jpg" for n in range(3)])
    rows = [[f"{n}_jpg.rf.0a.jpg", *(int(n == c) for c in range(3))] for n in range(3)]
    write_csv(root / "train/_classes.csv", [["filename", " Angry", " Happy", " Sad"], *rows])


def sfew(root: Path, faces: Sequence[bytes]) -> None:
    for split in ("Train", "Val"):
        classes = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
        names = [f"{split}/{split}_Aligned_Faces/{c}/Airheads_00051924{n}_00000005.png" for n, c in enumerate(classes)]
        put(root, faces, names)
    put(root, faces, ["Test/Test_Aligned_Faces/HarryPotter_000519240_00000009.png"])


def hf_metadata(root: Path, faces: Sequence[bytes]) -> None:
    for split in ("train", "test"):
        put(root, faces, [f"{split}/{n:04d}.jpg" for n in range(7)])
        rows = [[f"{n:04d}.jpg", name] for n, name in enumerate(FER_CODES)]
        write_csv(root / split / "metadata.csv", [["file_name", "label"], *rows])


def hf_parquet(root: Path, faces: Sequence[bytes], names: Sequence[str] = tuple(FER_CODES)) -> None:
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(names))})
    cells = {"image": [{"bytes": face, "path": None} for face in faces[: len(names)]], "label": list(range(len(names)))}
    (root / "data").mkdir(parents=True)
    datasets.Dataset.from_dict(cells, features=features).to_parquet(root / "data/train-00000-of-00001.parquet")


def hf_named_parquet(root: Path, faces: Sequence[bytes]) -> None:
    hf_parquet(root, faces)
    for name in ("train.parquet", "test.parquet"):
        (root / name).write_bytes((root / "data/train-00000-of-00001.parquet").read_bytes())
    (root / "data/train-00000-of-00001.parquet").unlink()


def table_of_test(root: Path, faces: Sequence[bytes]) -> None:
    table(root, faces)
    (root / "faces.csv").rename(root / "test.csv")


def semicolons(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, ["faces/0.jpg"])
    (root / "labels.csv").write_text("path;label\nfaces/0.jpg;fear\n")


def lines_of_json(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, ["0.jpg", *(f"{'/'.join('abcdefg'[:depth])}/1.jpg" for depth in range(1, 8))])
    (root / "labels.jsonl").write_text('{"image": "0.jpg", "label": "fear"}\n')


def table(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"faces/{n}.jpg" for n in range(7)])
    write_csv(root / "faces.csv", [["path", "label"], *([f"faces/{n}.jpg", c] for n, c in enumerate(FER_CODES))])


AS_FOLDERS = {"layout": "image_folder"}
LAYOUTS: dict[str, Layout] = {
    "RAF-DB as its authors send it": Layout(rafdb_official, "rafdb", "basic", {}, {"train_00003": "disgust"}),
    "RAF-DB's compound set": Layout(rafdb_compound, "rafdb_compound", "compound", {}, {"train_00003": "sadly fearful"}),
    "RAF-DB from Kaggle": Layout(
        rafdb_kaggle, "rafdb", "DATASET", AS_FOLDERS, {"train/6/train_00005_aligned.jpg": "anger"}
    ),
    "RAF-DB's tables beside all pictures": Layout(
        rafdb_tables, "rafdb", "rafdb", {}, {"train_00003": "disgust", "test_0001": "surprise"}
    ),
    "RAF-DB's tables beside train and test": Layout(
        rafdb_divided_tables, "rafdb", "rafdb", {}, {"train_00003": "disgust", "test_0007": "neutral"}
    ),
    "RAF-DB's list beside aligned": Layout(rafdb_flat, "rafdb", "", {}, {"train_00003": "disgust"}),
    "FER2013 as folders": Layout(
        fer2013_folders, "fer2013", "", AS_FOLDERS, {"test/sad/PrivateTest_5521.jpg": "sadness"}
    ),
    "folders that say no more than classes": Layout(
        plain_folders, "image_folder", "unpacked/a/b/c/d/images", {}, {"validation/angry/0.jpg": "anger"}
    ),
    "fer2013.csv": Layout(fer2013_csv, "fer2013", "fer2013/fer2013.csv", {}, {"3": "happiness"}),
    "fer2013.csv under a name with ck in a word": Layout(
        fer2013_backup, "fer2013", "fer2013_backup.csv", {}, {"6": "neutral"}
    ),
    "icml_face_data.csv with spaces in its header": Layout(
        icml_csv, "fer2013", "icml_face_data.csv", {}, {"6": "neutral"}
    ),
    "CK+ as a csv": Layout(ckplus_csv, "ckplus", "ckextended.csv", {"layout": "fer2013"}, {"7": "contempt"}),
    "CK+48 as folders": Layout(ckplus_folders, "ckplus", "CK+48", {}, {"happy/S014_004_00000014.png": "happiness"}),
    "JAFFE": Layout(jaffe, "jaffe", "jaffe", {}, {"KA.DI2.32.tiff": "disgust", "KA.SU1.31.tiff": "surprise"}),
    "JAFFE in train and test": Layout(
        jaffe_divided,
        "jaffe",
        "jaffe",
        {},
        {"test/angry/KA.AN3.33.tiff": "anger"},
        {"test/fear/KA.FE3.33.tiff": "test"},
    ),
    "JAFFE in train alone": Layout(jaffe_train_only, "jaffe", "", {}, {"train/x/KM.NE1.4.tiff": "neutral"}),
    "folders with a number before the class": Layout(
        numbered_folders,
        "image_folder",
        "",
        {},
        {"train/0_angry/0.png": "anger", "val/4_neutrality/4.png": "neutral", "train/6_suprise/6.png": "surprise"},
    ),
    "AffectNet's lists": Layout(affectnet_lists, "affectnet", "", {}, {"5/a5.jpg": "disgust", "7/a7.jpg": "contempt"}),
    "AffectNet with numbered annotations": Layout(
        affectnet_npy, "affectnet", "", {}, {"val_set/images/6.jpg": "anger", "train_set/images/0.jpg": "neutral"}
    ),
    "AffectNet with a list of pth, label and relFCs": Layout(
        affectnet_labels,
        "affectnet",
        "labels.csv",
        {"layout": "table", "image_column": "pth"},
        {"anger/image0000000.jpg": "surprise"},
    ),
    "ExpW": Layout(expw, "expw", "", {}, {"angry_actor_5.jpg:0": "surprise"}),
    "FERPlus's votes beside fer2013.csv": Layout(ferplus_csv, "ferplus", "", {}, {"2": "surprise", "7": "contempt"}),
    "FERPlus's votes beside folders": Layout(
        ferplus_folders, "ferplus", "data", {}, {"FER2013Test/fer0000007.png": "contempt"}
    ),
    "FERPlus as folders": Layout(
        ferplus_kaggle, "ferplus", "fer_2013", AS_FOLDERS, {"test/anger/fer0000004.png": "anger"}
    ),
    "AffectNet in YOLO's form": Layout(
        affectnet_yolo,
        "affectnet",
        "affectnet-yolo-format/YOLO_format",
        {"layout": "yolo"},
        {"valid/images/ffhq_1.png": "contempt", "test/images/ffhq_6.png": "sadness"},
    ),
    "SFEW, aligned": Layout(
        sfew, "sfew", "", {}, {"Val/Val_Aligned_Faces/Sad/Airheads_000519245_00000005.png": "sadness"}
    ),
    "a Hugging Face folder with metadata.csv": Layout(hf_metadata, "hf", "", {}, {"test/0": "anger"}),
    "a Hugging Face folder of Parquet shards": Layout(hf_parquet, "hf", "", {}, {"train/5": "surprise"}),
    "Parquet files called by their splits": Layout(
        hf_named_parquet, "hf", "", {}, {"train/5": "surprise", "test/0": "anger"}
    ),
    "a table of the test split": Layout(
        table_of_test, "table", "test.csv", {"split": "test"}, {"faces/2.jpg": "fear"}, {"faces/2.jpg": "test"}
    ),
    "a table of paths and names": Layout(table, "table", "faces.csv", {}, {"faces/2.jpg": "fear"}),
}
