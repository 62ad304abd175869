"""Facts about the way in for Hugging Face folders: our own exports and others, nothing from outside the folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_sets import write_csv, write_folder
from small_workspace import CLASSES, Small, picture, shared

from ferclean.errors import BadDataError, UsageError
from ferclean.sources.cards import Card, load_card
from ferclean.sources.hf import class_names, read, read_release
from ferclean.sources.rows import SourceRow
from ferclean.steps.ingest import ingest
from ferclean.store.samples import get_dataset, get_samples
from ferclean.store.workspace import Workspace


@pytest.fixture(scope="module")
def work() -> Small:
    return shared(released=True)


def card() -> Card:
    return load_card("hf").with_classes(CLASSES)


def folder(tmp_path: Path, columns: dict[str, list[Any]], features: dict[str, Any], split: str = "train") -> Path:
    """A parquet folder without a card."""
    root = tmp_path / "set"
    (root / "data").mkdir(parents=True, exist_ok=True)
    schema = datasets.Features(features).arrow_schema
    pq.write_table(pa.table(columns, schema=schema), root / "data" / f"{split}-00000-of-00001.parquet")
    return root


def test_an_exported_release_comes_back_with_its_labels_keys_and_bytes(work: Small, exported: Path) -> None:
    rows = {row.source_key: row for row in read(exported, card())}
    assert len(rows) == 8
    first = rows["train_00001"]
    assert (first.given_label, first.split, first.problem) == ("fear", "train", None)
    assert first.attributes["given_label"] == "anger"
    assert first.attributes["sample_id"] == work.ids["train_00001"]
    assert first.attributes["changed"] is True
    assert first.data == work.data["train_00001"]
    assert rows["test_0001"].split == "test"


def test_ingesting_an_exported_release_gives_the_released_labels(exported: Path, tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "again")
    summary = ingest(ws, "hf", exported)
    assert get_dataset(ws).classes == CLASSES
    assert summary.quarantined == {}
    labels = get_samples(ws).set_index("source_key")["given_label"]
    assert labels["train_00001"] == "fear"
    assert len(labels) == 8


def test_a_release_is_read_for_training_with_both_labels(work: Small, exported: Path) -> None:
    table, classes = read_release(exported)
    table = table.set_index("source_key")
    assert classes == CLASSES
    assert (table.loc["train_00001", "given_label"], table.loc["train_00001", "label"]) == ("anger", "fear")
    assert table.loc["train_00001", "image"] == work.data["train_00001"]
    assert table["included"].all()


def test_saved_to_disk_is_read_too(tmp_path: Path) -> None:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["Happy", "Sad"])})
    made = datasets.Dataset.from_dict({"image": [{"bytes": picture(0), "path": None}], "label": [1]}, features)
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    datasets.DatasetDict({"train": made}).save_to_disk(str(tmp_path / "saved"))
    if shown:
        datasets.enable_progress_bars()
    rows = list(read(tmp_path / "saved", card()))
    assert [(row.source_key, row.given_label, row.data) for row in rows] == [("train/0", "sadness", picture(0))]
    assert class_names(tmp_path / "saved") == ("Happy", "Sad")


def test_labels_by_name_and_other_split_names_are_understood(tmp_path: Path) -> None:
    root = folder(
        tmp_path,
        {"image": [{"bytes": picture(0), "path": None}] * 3, "label": ["Happy", "hungry", None]},
        {"image": datasets.Image(), "label": datasets.Value("string")},
        split="validation",
    )
    rows = list(read(root, card()))
    assert [row.split for row in rows] == ["validation"] * 3
    assert rows[0].given_label == "happiness"
    assert rows[1].problem is not None
    assert rows[1].problem.startswith("label: unknown ('hungry'")
    assert rows[2].problem == "label: missing"
    assert class_names(root) is None
    with pytest.raises(BadDataError, match="ClassLabel"):
        read_release(root)


def test_a_row_cannot_point_out_of_the_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(picture(1))
    inside = picture(2)
    root = folder(
        tmp_path,
        {
            "image": [
                {"bytes": None, "path": str(secret)},
                {"bytes": None, "path": "../secret.jpg"},
                {"bytes": None, "path": "pictures/in.jpg"},
                None,
            ],
            "label": [0, 0, 0, 0],
        },
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))},
    )
    (root / "pictures").mkdir()
    (root / "pictures" / "in.jpg").write_bytes(inside)
    rows = list(read(root, card()))
    assert [row.data for row in rows] == [None] * 4
    assert all("leaves the data set's folder" in str(row.problem) for row in rows[:2])
    assert rows[2].relative_path == "pictures/in.jpg"
    assert rows[3].problem == "image: missing"


@pytest.mark.parametrize(
    "target", ["https://example.org/x.parquet", "hf://datasets/a/b", "/etc/passwd", "../x.parquet", "~/x"]
)
def test_a_card_that_points_elsewhere_is_refused_before_anything_is_opened(tmp_path: Path, target: str) -> None:
    head = f"configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {target}\n"
    for name, text in (
        ("README.md", f"---\n{head}---\n"),
        ("README.md", f"\ufeff\n---\n{head}---\n"),
        (".huggingface.yaml", head),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(BadDataError, match="leads out of the folder"):
            list(read(tmp_path, card()))
        (tmp_path / name).unlink()


def test_no_link_and_no_list_of_files_leads_out_and_nothing_packed_is_unpacked(tmp_path: Path) -> None:
    types = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    cells = {"image": [{"bytes": picture(1), "path": None}], "label": [0]}
    other = folder(tmp_path / "other", cells, types)
    (shard,) = other.rglob("*.parquet")
    for name, pattern in (
        ("linked", "*.parquet"),
        ("pattern", "[.][.]/other/**/*.parquet"),
        ("inside/in", "a/*.parquet"),
    ):
        (tmp_path / name / "a").mkdir(parents=True)
        (tmp_path / name / "a/train.parquet").symlink_to(shard)
        (tmp_path / name / "README.md").write_text(f'---\nconfigs:\n- config_name: a\n  data_files: "{pattern}"\n---\n')
        with pytest.raises(BadDataError, match=r"leads out of the folder|No \(supported\) data files"):
            list(read(tmp_path / name, card()))
    write_csv(tmp_path / "a.csv", [["image", "label"], ["x.png", "secret"]])
    (tmp_path / "named").mkdir()
    write_csv(tmp_path / "named/a.csv", [["image", "label"], ["x.png", "fear"]])
    (tmp_path / "named/b.png").symlink_to(tmp_path / "a.csv")  # which the loader would read as a table, too
    head = '---\nconfigs:\n- config_name: default\n  data_files: ["a.csv", "b.png"]\n---\n'
    (tmp_path / "named/README.md").write_text(head)
    with pytest.raises(BadDataError, match=r"b\.png leads out of the folder"):
        list(read(tmp_path / "named", card()))
    datasets.Dataset.from_dict(cells, features=datasets.Features(types)).save_to_disk(tmp_path / "saved")
    assert len(list(read(tmp_path / "saved", card()))) == 1
    state = tmp_path / "saved/state.json"
    state.write_text(state.read_text().replace('"data-', '"../saved2/data-'))
    (tmp_path / "saved").rename(tmp_path / "saved3")
    with pytest.raises(BadDataError, match="leads out of the folder"):
        list(read(tmp_path / "saved3", card()))
    write_folder(tmp_path / "packed", ["anger/a.png", "fear/b.png"])
    shutil.make_archive(str(tmp_path / "packed/more"), "zip", tmp_path / "other")
    with pytest.raises(BadDataError, match=r"holds more\.zip, which its loader would unpack without a bound"):
        list(read(tmp_path / "packed", card()))


def test_of_several_configurations_one_is_chosen_and_the_others_are_told(tmp_path: Path) -> None:
    types = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    for number, name in enumerate(("one", "two")):
        (tmp_path / "set" / name).mkdir(parents=True)
        made = datasets.Dataset.from_dict({"image": [{"bytes": picture(number), "path": None}], "label": [number]})
        made.cast(datasets.Features(types)).to_parquet(tmp_path / f"set/{name}/train.parquet")
    heads = [f"- config_name: {name}\n  data_files: {name}/*.parquet\n" for name in ("one", "two")]
    readme = tmp_path / "set/README.md"
    readme.write_text(f"---\nconfigs:\n{''.join(heads)}---\n")
    with pytest.raises(
        BadDataError, match=r"has the configurations one, two: say with --configuration which is meant$"
    ):
        ingest(Workspace.create(tmp_path / "W"), "hf", tmp_path / "set")
    with pytest.raises(UsageError, match=r"declares no configuration 'tow'.*'two'"):
        list(read(tmp_path / "set", card(), configuration="tow"))
    done = ingest(Workspace.open(tmp_path / "W"), "hf", tmp_path / "set", configuration="two", dry_run=True)
    assert done.by_class["train"][CLASSES[1]] == 1
    assert "it has the configurations one, two: two is read" in done.notes[0]
    readme.write_text(f"---\nconfigs:\n{''.join(heads)}  default: true\n---\n")
    (row,) = read(tmp_path / "set", card())
    assert row.given_label == CLASSES[1]


def test_a_folder_whose_name_is_a_pattern_is_itself_and_not_its_neighbour(tmp_path: Path) -> None:
    for name, label in (("set", "fear"), ("se[t]", "anger")):
        write_folder(tmp_path / name, ["train/a.png"])
        (tmp_path / name / "train/metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "label": label}))
    (row,) = read(tmp_path / "se[t]", card())
    assert (row.given_label, row.relative_path, row.problem) == ("anger", "train/a.png", None)


def test_what_is_no_data_set_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        list(read(tmp_path / "nothing", card()))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadDataError, match="cannot be opened"):
        list(read(tmp_path / "empty", card()))
    root = folder(tmp_path, {"picture": [1]}, {"picture": datasets.Value("int64")})
    with pytest.raises(BadDataError, match="has no column 'image'"):
        list(read(root, card()))


def test_reading_leaves_no_cache_behind(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "home")
    before = sorted(path.name for path in exported.rglob("*"))
    assert all(isinstance(row, SourceRow) for row in read(exported, card()))
    assert not (tmp_path / "home").exists()
    assert sorted(path.name for path in exported.rglob("*")) == before


def test_the_folder_may_be_the_one_where_one_stands(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported)
    assert class_names(".") == CLASSES
    assert len(list(read(Path(), card()))) == 8
