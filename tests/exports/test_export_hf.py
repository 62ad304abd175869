"""Facts about the Hugging Face form, read back with `datasets` itself and without a network."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import datasets
import mlcroissant
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from small_workspace import CLASSES, Small, p_true, shared, small

from ferclean.errors import BadDataError, UsageError
from ferclean.exports import hf
from ferclean.exports.card import inert
from ferclean.exports.content import read_content
from ferclean.recognition.images import decode
from ferclean.sources.hf import read_release
from ferclean.steps.decide import decide
from ferclean.steps.export import export
from ferclean.steps.ingest import ingest
from ferclean.steps.release import release
from ferclean.store.workspace import Workspace


@pytest.fixture(scope="module")
def work() -> Small:
    return shared(released=True)


@pytest.fixture(scope="module")
def loaded(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> datasets.DatasetDict:
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    opened = datasets.load_dataset(str(exported), cache_dir=str(tmp_path_factory.mktemp("cache")))
    if shown:
        datasets.enable_progress_bars()
    return opened


def test_load_dataset_opens_it_with_class_names_in_the_cards_order(loaded: datasets.DatasetDict) -> None:
    assert list(loaded) == ["train", "test"]
    for split in loaded.values():
        assert tuple(split.features["label"].names) == CLASSES
        assert tuple(split.features["given_label"].names) == CLASSES
        assert isinstance(split.features["image"], datasets.Image)


def test_it_opens_as_a_stream_too(exported: Path, loaded: datasets.DatasetDict) -> None:
    streamed = datasets.load_dataset(str(exported), streaming=True)
    assert list(streamed) == list(loaded)
    for split, rows in streamed.items():
        assert rows.features == loaded[split].features
        assert [row["source_key"] for row in rows] == loaded[split]["source_key"][:]


# rdflib's own parser, below mlcroissant, uses a class of rdflib that is deprecated
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_one_folder_holds_the_published_test_split_and_the_decided_one_as_two_configurations(tmp_path: Path) -> None:
    work = small(tmp_path)
    decide(work.ws, "test_0001", "relabel", label="disgust", reviewer="ann")
    decide(work.ws, "test_0002", "exclude", reviewer="ann")
    release(work.ws, "v1", policy="auto")
    out = tmp_path / "out"
    done = export(work.ws, form="hf", out=out, release="v1", configuration="both")
    assert (done.counts["test"], done.counts["decided_test"]) == (2, 1)
    assert done.rows == sum(done.counts.values())
    streams = {name: datasets.load_dataset(str(out), name, streaming=True) for name in ("default", "decided_test")}
    whole = datasets.load_dataset(str(out), "decided_test", cache_dir=str(tmp_path / "cache"))
    labels = [
        {row["source_key"]: CLASSES[row["label"]] for row in splits["test"].remove_columns("image")}
        for splits in (streams["default"], streams["decided_test"], whole)
    ]
    assert labels == [
        {"test_0001": "anger", "test_0002": "neutral"},
        {"test_0001": "disgust"},
        {"test_0001": "disgust"},
    ]
    assert list(streams["default"]["train"]) == list(streams["decided_test"]["train"]) == list(whole["train"])
    assert not list((out / "data").glob("*decided*")), "each picture of the other splits is there once"
    found = mlcroissant.Dataset(jsonld=str(out / "croissant.json"))
    assert not found.metadata.ctx.issues.errors
    rows = {
        name: {(row[f"{name}/split"], row[f"{name}/source_key"]): row[f"{name}/label"] for row in found.records(name)}
        for name in ("rows", "decided_test")
    }
    assert rows["decided_test"].pop((b"test", b"test_0001")) == CLASSES.index("disgust")
    assert (
        rows["decided_test"].items()
        == {key: label for key, label in rows["rows"].items() if key[0] == b"train"}.items()
    )
    assert "1 images, 1 of them under another label than given" in " ".join(
        (out / "README.md").read_text("utf-8").split()
    )
    assert set(read_release(out)[0].query("split == 'test'")["label"]) == {"anger", "neutral"}, (
        "by default as published"
    )
    decide(work.ws, "test_0001", "exclude", reviewer="ann")
    release(work.ws, "v2")
    none = export(work.ws, form="hf", out=tmp_path / "none", release="v2", configuration="both")
    assert (none.rows, none.counts["decided_test"]) == (len(read_release(tmp_path / "none")[0]), 0)
    assert (
        none.warnings[-1]
        == "the test split as people decided holds no image, so there is no configuration decided_test"
    )
    written = "".join(path.read_text("utf-8") for path in (tmp_path / "none").glob("*.*") if path.is_file())
    assert "decided_test" not in written + str(list((tmp_path / "none").iterdir()))


@pytest.mark.parametrize(
    ("form", "name", "words"),
    [
        ("image_folder", "v1", "hf alone holds both"),
        ("hf", "original", "name a release"),
        ("hf", None, "name a release"),
    ],
)
def test_where_two_test_splits_mean_nothing_both_is_refused(
    work: Small, tmp_path: Path, form: str, name: str | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        export(work.ws, form=form, out=tmp_path / "out", release=name, configuration="both")


def test_what_people_decided_is_a_column(tmp_path: Path) -> None:
    work = small(tmp_path)
    decide(work.ws, "train_00001", "relabel", label="fear", reviewer="ann")
    export(work.ws, form="hf", out=tmp_path / "out", release="original")
    rows = pq.read_table(tmp_path / "out" / "data" / "train-00000-of-00001.parquet").to_pylist()
    assert [row["decision"] for row in rows if row["decision"]] == ["relabel"]


def test_rows_carry_the_released_label_and_where_they_come_from(work: Small, loaded: datasets.DatasetDict) -> None:
    rows = {row["source_key"]: row for row in loaded["train"].remove_columns("image")}
    assert sorted(rows) == [f"train_0000{n}" for n in (1, 2, 3, 4, 6, 7)]
    first = rows["train_00001"]
    assert (CLASSES[first["label"]], CLASSES[first["given_label"]], first["changed"]) == ("fear", "anger", True)
    assert first["sample_id"] == work.ids["train_00001"]
    assert first["verdict"] == "mislabelled"
    assert sum(first["soft_label"]) == pytest.approx(1)
    assert rows["train_00002"]["changed"] is False


def test_image_bytes_are_the_sources_and_decode_to_the_same_pixels(
    work: Small, exported: Path, loaded: datasets.DatasetDict
) -> None:
    stored = pq.read_table(exported / "data" / "train-00000-of-00001.parquet").to_pylist()
    for row in stored:
        assert row["image"]["bytes"] == work.data[row["source_key"]]
    seen = loaded["train"][0]
    assert np.array_equal(np.asarray(seen["image"]), decode(work.data[seen["source_key"]]))


def test_class_names_survive_in_the_files_without_the_card(exported: Path, tmp_path: Path) -> None:
    file = str(exported / "data" / "test-00000-of-00001.parquet")
    features = datasets.Features.from_arrow_schema(pq.read_schema(file))
    assert tuple(features["label"].names) == CLASSES


def test_the_card_says_how_many_labels_are_expected_to_be_right(exported: Path) -> None:
    text = (exported / "README.md").read_text("utf-8")
    assert "**How many labels are right**" in text
    assert "| 0.9 to 1.0 | 2 | 1.9 | 0.1 | 0.0 | 0.0 |" in text


def test_the_cards_five_lines_train_on_the_soft_labels(exported: Path) -> None:
    import torch

    text = (exported / "README.md").read_text("utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    assert code in (Path(__file__).parents[2] / "ferclean/exports/README.md").read_text("utf-8")
    assert len([line for line in code.splitlines() if line.strip()]) <= 5
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12 * 12 * 3, len(CLASSES)))
    known = {"folder": str(exported), "model": model}
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    exec(code, known)
    if shown:
        datasets.enable_progress_bars()
    known["loss"].backward()
    assert model[1].weight.grad.abs().sum() > 0


def test_every_row_has_a_training_target_and_a_weight(loaded: datasets.DatasetDict) -> None:
    rows = {row["source_key"]: row for split in loaded.values() for row in split.remove_columns("image")}
    assert rows["train_00006"]["soft_label"] == pytest.approx(p_true("surprise", "fear", 0.6))
    assert rows["train_00006"]["weight"] == pytest.approx(0.4)
    assert rows["test_0001"]["soft_label"] == [float(name == "anger") for name in CLASSES]


def test_a_training_on_the_folder_knows_the_weights(exported: Path) -> None:
    weights = read_release(exported)[0].set_index("source_key")["weight"]
    assert weights["train_00006"] == pytest.approx(0.4)
    assert weights["train_00002"] == 1


def test_the_front_matter_is_yaml_that_names_every_split(exported: Path) -> None:
    text = (exported / "README.md").read_text("utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    assert [entry["split"] for entry in head["configs"][0]["data_files"]] == ["train", "test"]
    assert [entry["num_examples"] for entry in head["dataset_info"]["splits"]] == [6, 2]
    assert (head["license"], head["license_name"]) == ("other", "raf-db-research-only")


def test_the_card_says_policy_threshold_counts_and_limits(exported: Path) -> None:
    text = (exported / "README.md").read_text("utf-8")
    assert "Policy `auto`" in text
    assert "at least 0.9" in text
    assert "| anger | 2 → 0 | 1 → 1 |" in text
    assert "| neutral | 1 → 2 | 1 → 1 |" in text
    assert "## Limits" in text
    assert "8 images are in this release: 2 under another label than given; 2 images" in text


def test_the_card_of_decisions_says_how_many_decided_and_not_who(tmp_path: Path) -> None:
    work = small(tmp_path)
    decide(work.ws, "train_00001", "relabel", label="fear", reviewer="<script>alert(1)</script>|# x\n- y")
    release(work.ws, "v1")
    export(work.ws, form="hf", out=tmp_path / "out", release="v1")
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "people's decisions alone" in text
    assert "Decided by: reviewer 1." in text
    assert "alert" not in text


def test_the_pseudo_release_original_holds_the_given_labels(work: Small, tmp_path: Path) -> None:
    export(work.ws, form="hf", out=tmp_path / "raw", release="original")
    rows = pq.read_table(tmp_path / "raw" / "data" / "train-00000-of-00001.parquet").to_pylist()
    assert len(rows) == 7
    assert not any(row["changed"] for row in rows)
    assert "nothing was corrected" in (tmp_path / "raw" / "README.md").read_text("utf-8")


def test_counts_follow_the_cards_order_of_classes(work: Small) -> None:
    counts = read_content(work.ws, "v1").counts()
    assert list(counts) == ["train", "test"]
    assert list(counts["train"]) == [name for name in CLASSES if name in counts["train"]]


@pytest.mark.parametrize("text", ["<b>", "a|b", "a\n# b", "`x`", "[x](y)", "![x](y)", "*x*", "~~x~~", "a\\|b"])
def test_inert_text_is_one_line_without_markup(text: str) -> None:
    # what is left once the references are taken out has nothing that Markdown or HTML would act upon
    bare = re.sub(r"&(#\d+|lt|gt|amp);", "", inert(text))
    assert not set(bare) & set("<>|`*[]#!~\\\n")
    assert html.unescape(inert(text)) == " ".join(text.split())


def test_rows_of_pixels_leave_as_the_lossless_images_that_the_workspace_keeps(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2, 48 * 48))
    lines = [f"{label},{' '.join(map(str, row))},Training" for label, row in zip((0, 3), pixels, strict=True)]
    (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n", encoding="ascii")
    ws = Workspace.create(tmp_path / "workspace")
    ingest(ws, "fer2013", tmp_path / "fer2013.csv")
    export(ws, form="hf", out=tmp_path / "out", release="original")
    rows = pq.read_table(tmp_path / "out" / "data" / "train-00000-of-00001.parquet").to_pylist()
    assert [row["image"]["path"] for row in rows] == ["0.png", "1.png"]
    for row, given in zip(rows, pixels, strict=True):
        assert np.array_equal(decode(row["image"]["bytes"])[..., 0].ravel(), given)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("weight", 5.0, "its weight is 5.0, not a number from 0 to 1"),
        ("weight", float("nan"), "its weight is 'nan', not a number from 0 to 1"),
        ("soft_label", [0.5, 0.5], "its soft label is not 7 shares that sum to 1"),
        ("soft_label", [0.0] * 7, "its soft label is not 7 shares that sum to 1"),
    ],
)
def test_a_folder_whose_targets_were_spoilt_is_refused_by_its_row(
    exported: Path, tmp_path: Path, column: str, value: object, told: str
) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(exported, spoilt)
    file = next(spoilt.rglob("train*.parquet"))
    rows = pq.read_table(file)
    values = [value, *rows[column].to_pylist()[1:]]
    place = rows.schema.get_field_index(column)
    pq.write_table(
        rows.set_column(place, rows.schema.field(column), pa.array(values, rows.schema.field(column).type)), file
    )
    with pytest.raises(BadDataError, match=rf"train row 'train_00001': {re.escape(told)}"):
        read_release(spoilt)


def test_a_large_split_is_several_files_and_the_same_rows(
    work: Small, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf, "_BATCH", 2)
    monkeypatch.setattr(hf, "SHARD_BYTES", 1)
    export(work.ws, form="hf", out=tmp_path / "out", release="v1")
    files = sorted((tmp_path / "out" / "data").glob("train-*"))
    whole = pq.read_table(exported / "data" / "train-00000-of-00001.parquet").to_pylist()
    assert [file.name for file in files] == [
        f"train-{number:05d}-of-{len(files):05d}.parquet" for number in range((len(whole) + 1) // 2)
    ]
    assert len(files) > 1
    assert [row for file in files for row in pq.read_table(file).to_pylist()] == whole
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"]["sample_id"][:] == [row["sample_id"] for row in whole]
