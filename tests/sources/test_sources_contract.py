"""What every way in promises: the same rows twice, one key each, no path that leads away, nothing without a reason."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ferclean import sources
from ferclean.errors import BadDataError, FercleanError, UsageError
from ferclean.sources.cards import Card, layouts, load_card
from ferclean.sources.rows import SPLITS, SourceRow, contained_file, kept_path, leads_out, name_list, split_names
from ferclean.store import arrivals
from tests.made_sets import fer_row, rafdb_pairs, write_csv, write_fer2013, write_folder, write_rafdb


def rafdb(root: Path) -> Path:
    return write_rafdb(root, rafdb_pairs())


def fer2013(root: Path) -> Path:
    return write_fer2013(root / "fer2013.csv", [fer_row(code, code) for code in range(7)])


def image_folder(root: Path) -> Path:
    return write_folder(root, ["train/happy/a.png", "test/sad/b.png", "test/sad/c.txt"])


def table(root: Path) -> Path:
    write_folder(root, ["a.png"])
    return write_csv(root / "t.csv", [["path", "label"], ["a.png", "fear"], ["b.png", "bored"]])


def hf(root: Path) -> Path:
    import datasets

    images = [{"bytes": (root.parent / "p.png").read_bytes(), "path": None}] * 2
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["fear", "anger"])})
    datasets.DatasetDict(
        train=datasets.Dataset.from_dict({"image": images, "label": [0, 1]}, features=features)
    ).save_to_disk(str(root))
    return root


def affectnet(root: Path) -> Path:
    write_folder(root, ["Manually_Annotated_Images/1/a.png", "Manually_Annotated_Images/2/b.png"])
    header = ["subDirectory_filePath", "expression", "valence", "arousal"]
    write_csv(root / "training.csv", [header, ["1/a.png", 5, -0.4, 0.2], ["1/lost.png", 1, 0, 0]])
    write_csv(root / "validation.csv", [header, ["2/b.png", 10, -2, -2]])
    return root


def expw(root: Path) -> Path:
    write_folder(root, ["origin/a.png", "origin/b.png"])
    (root / "label.lst").write_text("a.png 0 2 3 20 20 55.5 3\na.png 1 1 1 9 9 7 6\nlost.png 0 1 1 9 9 7 6\n")
    return root


def ferplus(root: Path) -> Path:
    write_folder(root, ["FER2013Train/fer0000000.png", "FER2013Train/fer0000001.png", "FER2013Train/fer0000009.png"])
    votes = [[8, 2, *[0] * 8], [0] * 10]
    rows = [["Training", f"fer000000{n}.png", *counts] for n, counts in enumerate(votes)]
    write_csv(root / "fer2013new.csv", [["Usage", "Image name", *map(str, range(10))], *rows])
    return root


def yolo(root: Path) -> Path:
    write_folder(root, ["train/images/a.png", "train/images/b.png"])
    (root / "train/labels").mkdir()
    (root / "train/labels/a.txt").write_text("1 0.5 0.5 1 1\n0 0.25 0.25 0.5 0.5\n7 0.5 0.5 1 1\n")
    (root / "data.yaml").write_text("nc: 2\nnames: [Anger, Happy]\n")
    return root


def label_studio(root: Path) -> Path:
    write_folder(root, ["upload/1/0a1b2c3d-a.png", "b.png"])
    tasks = [
        {
            "id": number,
            "data": {"image": f"/data/upload/1/{name}"},
            "annotations": [{"completed_by": who, "result": [{"from_name": "e", "value": {"choices": [word]}}]}],
        }
        for number, (name, who, word) in enumerate(
            [("0a1b2c3d-a.png", 1, "Fear"), ("00000000-b.png", 2, "Happy"), ("lost.png", 2, "Happy"), ("a", 1, "?")]
        )
    ]
    (root / "export.json").write_text(json.dumps(tasks))
    return root / "export.json"


def coco(root: Path) -> Path:
    write_folder(root, ["train/a.png", "valid/b.png"])
    categories = [{"id": 2, "name": "anger"}, {"id": 1, "name": "fear"}]
    images = [{"id": n, "file_name": name, "width": 24, "height": 24} for n, name in enumerate(("a.png", "b.png"))]
    found = [(0, 1, [0, 0, 24, 24]), (0, 2, [1, 2, 9, 9]), (5, 1, [0, 0, 9, 9]), (1, 7, None)]
    annotations = [
        {"id": n, "image_id": image, "category_id": code, "bbox": box} for n, (image, code, box) in enumerate(found)
    ]
    for split in ("train", "valid"):
        told = {"images": images, "categories": categories, "annotations": annotations}
        (root / split / "_annotations.coco.json").write_text(json.dumps(told))
    return root


def fiftyone(root: Path) -> Path:
    write_folder(root, ["data/a.png", "data/b.png", "data/c.png"])
    (root / "labels.json").write_text(json.dumps({"classes": ["fear", "anger"], "labels": {"a": 1, "b": 7, "d": 0}}))
    return root


def cvat(root: Path) -> Path:
    write_folder(root, ["images/a.png", "images/b.png"])
    box = '<box label="face" xtl="1" ytl="2" xbr="9" ybr="9"><attribute name="emotion">Fear</attribute></box>'
    images = [("a.png", '<tag label="Anger"/>'), ("b.png", box), ("c.png", '<tag label="?"/>')]
    told = "".join(f'<image id="{n}" name="{name}">{said}</image>' for n, (name, said) in enumerate(images))
    (root / "annotations.xml").write_text(f"<annotations>{told}</annotations>")
    return root


def drawn_faces(root: Path) -> Path:
    from ferclean.sources.drawn_faces.drawing import draw_set

    draw_set(root, train=20, test=10, seed=0)
    return root


MAKERS: dict[str, Callable[[Path], Path]] = {layout: globals()[layout] for layout in layouts()}
"""Each layout's maker of a tiny set is the function of its name."""


@pytest.fixture(scope="module", params=layouts())
def made(request, tmp_path_factory) -> tuple[str, Path, Card]:
    root = tmp_path_factory.mktemp(request.param)
    write_folder(root, ["p.png"])
    path = MAKERS[request.param](root / "set")
    card = load_card(request.param)
    if not card.classes and (names := sources.class_names(path, card, {})):
        card = card.with_classes(names)
    return request.param, path, card


def same(one: SourceRow, other: SourceRow) -> bool:
    if one.pixels is not None and other.pixels is not None and not np.array_equal(one.pixels, other.pixels):
        return False
    names = set(SourceRow.__dataclass_fields__) - {"pixels"}
    return all(getattr(one, name) == getattr(other, name) for name in names)


def test_the_same_rows_come_twice(made) -> None:
    _, path, card = made
    first, second = (list(sources.read(path, card, {})) for _ in range(2))
    assert len(first) == len(second) > 0
    assert all(same(one, other) for one, other in zip(first, second, strict=True))


def test_rows_have_keys_canonical_splits_and_known_labels(made) -> None:
    _, path, card = made
    rows = list(sources.read(path, card, {}))
    assert len({row.source_key for row in rows}) == len(rows)
    for row in rows:
        assert row.source_key
        row.source_key.encode()  # storable
        assert row.split in ("train", "validation", "test")
        assert row.given_label is not None or row.problem or row.ignored
        assert row.given_label is None or not card.classes or row.given_label in card.classes
        assert row.problem is None or row.problem.partition(": ")[0] in ("label", "file", "image", "split", "votes")
        assert row.votes is None or row.source_key.startswith("FER2013")


def test_a_row_holds_one_picture_inside_the_set(made) -> None:
    _, path, card = made
    root = path if path.is_dir() else path.parent
    for row in sources.read(path, card, {}):
        held = [value for value in (row.relative_path, row.data, row.pixels) if value is not None]
        assert len(held) == 1 or (row.problem and not held)
        if row.relative_path is not None and row.problem is None:
            assert contained_file(root, row.relative_path)[1] is None


def test_a_source_leaves_its_data_set_untouched(made) -> None:
    _, path, card = made
    root = path if path.is_dir() else path.parent
    before = sorted((str(file), file.stat().st_size) for file in root.rglob("*"))
    list(sources.read(path, card, {}))
    assert before == sorted((str(file), file.stat().st_size) for file in root.rglob("*"))


def test_a_source_says_what_it_reads_and_refuses_other_options(made) -> None:
    layout, path, card = made
    module = sources.source(layout)
    assert inspect.getdoc(module.read)
    with pytest.raises(UsageError, match="colour"):
        list(sources.read(path, card, {"colour": "red"}))


def test_a_missing_path_is_an_error_that_names_it(made, tmp_path: Path) -> None:
    _, _, card = made
    with pytest.raises(FercleanError, match="nowhere"):
        list(sources.read(tmp_path / "nowhere", card, {}))


def test_an_unknown_layout_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'zip'.*rafdb"):
        sources.source("zip")


def test_contained_files_are_real_files_below_the_root(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", ["a.png", "sub/b.png"])
    (tmp_path / "setting").mkdir()
    write_folder(tmp_path / "setting", ["c.png"])
    (tmp_path / "alias").symlink_to(tmp_path / "set")
    root = tmp_path / "set"
    assert contained_file(root, "sub/../a.png") == ((root / "a.png").resolve(), None)
    assert contained_file(tmp_path / "alias", "a.png") == ((root / "a.png").resolve(), None)
    assert contained_file(root, "../setting/c.png") == (None, "file: path leaves the data set's folder")
    for outside in ("../nothing.png", "sub/../../nothing.png", str(tmp_path / "nothing.png")):
        assert contained_file(root, outside) == (None, "file: path leaves the data set's folder")
    assert contained_file(root, str(root / "nothing.png")) == (None, "file: missing")
    assert kept_path(root, str(root / "nothing.png"), "file: missing") == "nothing.png"
    assert contained_file(root, "sub") == (None, "file: not a regular file")
    (root / "inside").symlink_to(root / "sub")
    (root / "outside").symlink_to(tmp_path / "setting")
    (root / "sub/loop").symlink_to(root / "sub/loop")
    os.mkfifo(root / "sub/pipe.png")
    for base in (root, tmp_path / "alias"):
        assert contained_file(base, "inside/b.png", real=str(root)) == (root / "sub/b.png", None)
        assert contained_file(base, "outside/c.png") == (None, "file: symlink leaves the data set's folder")
        assert contained_file(base, "sub/loop/b.png")[1] == f"file: cannot be followed ({os.strerror(40)})"
        assert contained_file(base, "sub/pipe.png") == (None, "file: not a regular file")
        assert contained_file(base, "a.png/b.png")[0] is None
    assert contained_file(root, "x" * 300)[1] == f"file: cannot be followed ({os.strerror(36)})"


@pytest.mark.parametrize(("layout", "listed"), [
    ("rafdb", "EmoLabel/list_patition_label.txt"), ("fer2013", "fer2013.csv"), ("affectnet", "validation.csv"),
    ("expw", "label.lst"), ("ferplus", "fer2013new.csv"), ("yolo", "data.yaml"), ("fiftyone", "labels.json"),
    ("coco", "valid/_annotations.coco.json"), ("cvat", "annotations.xml"),
])  # fmt: skip
def test_a_list_that_is_a_link_out_of_the_set_is_not_read(layout: str, listed: str, tmp_path: Path) -> None:
    root, card = tmp_path / "set", load_card(layout)
    file = MAKERS[layout](root) / listed if layout != "fer2013" else MAKERS[layout](root)
    inside = file.rename(file.with_name("inside"))
    file.symlink_to(inside)
    assert list(sources.read(root, card, {}))
    file.unlink()
    file.symlink_to(inside.rename(tmp_path / "secret"))
    with pytest.raises(BadDataError, match=f"{file.name} is not read .*symlink leaves"):
        list(sources.read(root, card, {}))


def test_a_name_that_leads_out_is_refused_without_a_look_at_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path, ["other/a.png", "set/b.png"])
    names = ["../other/a.png", str(tmp_path / "other/a.png"), "..\\other\\a.png", "x/../../other/a.png"]
    root = tmp_path / "set"
    made = {
        "table": write_csv(root / "t.csv", [["path", "label"], *([name, "fear"] for name in names)]),
        "fiftyone": root / "samples.json",
        "rafdb": write_rafdb(root / "rafdb", [("train_00001", 1)]),
    }
    samples = [{"filepath": name, "ground_truth": {"_cls": "Classification", "label": "fear"}} for name in names]
    made["fiftyone"].write_text(json.dumps({"samples": samples}))
    with (made["rafdb"] / "EmoLabel/list_patition_label.txt").open("a") as lines:
        lines.writelines(f"{'../' * 4 if name[0] == '.' else ''}{name} 1\n" for name in names)
    asked: list[str] = []
    for name in ("lstat", "stat", "listdir", "scandir"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda path, *a, real=real, **k: (asked.append(str(path)), real(path, *a, **k))[1]
        )
    rows = {layout: list(sources.read(path, load_card(layout), {})) for layout, path in made.items()}
    monkeypatch.undo()
    assert asked
    assert not [path for path in asked if os.path.normpath(path).startswith(str(tmp_path / "other"))]
    for layout, found in rows.items():
        kept = [row.relative_path for row in found if row.relative_path is not None]
        assert not any(leads_out(made[layout] if layout == "rafdb" else root, name) for name in kept)
        assert len(found) - len(kept) >= 2


def test_lists_and_maps_are_taken_from_text_too() -> None:
    assert name_list(" a, b") == name_list(["a", "b"]) == ("a", "b")
    assert name_list(None) == name_list("") == ()
    for gap in ("a,,b", "a,b,"):
        with pytest.raises(UsageError, match="an empty name between its commas"):
            name_list(gap)
    assert split_names("A=train,B = test") == split_names({"A": "train", "B": "test"})
    assert split_names(None) == {}
    assert SPLITS == arrivals.SPLITS
