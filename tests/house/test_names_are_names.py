"""A class name is a name, a code is a code, a position is a position: on every way in, every way out, and in again.

Vocabularies are random: numbers, numbers as text, capitals, other words for expressions, other scripts, up to 40.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from made_sets import image_bytes, write_csv

from ferclean import sources
from ferclean.errors import UsageError
from ferclean.evidence.labels import ALIASES, EXPRESSIONS, ClassName, encode, find_class, vocabulary
from ferclean.exports.hf import features
from ferclean.sources import hf
from ferclean.sources.cards import Card, SourceCode, load_card
from ferclean.sources.rows import name_list
from ferclean.steps.export import export
from ferclean.steps.ingest import ingest
from ferclean.store.samples import get_dataset, get_samples
from ferclean.store.workspace import Workspace

EXAMPLES = int(os.environ.get("FERCLEAN_NAME_EXAMPLES", "8"))
"""Whole journeys per run of the suite; more on request."""

PICTURES = [image_bytes(seed, "PNG") for seed in range(8)]
_NUMBERS = st.one_of(st.integers(-2, 12).map(str), st.sampled_from(["1.0", "3.0", "01", "007", "1e3", "٣", "²"]))
_WORDS = st.sampled_from(
    [
        "nan",
        "None",
        *EXPRESSIONS,
        *ALIASES,
        "Happy",
        "ANGER",
        "a",
        "A",
        "b",
        "train",
        "test",
        "Val",
        "con",
        "unknown",
        "nan",
        "None",
        "..",
        ".x",
        "a.b",
    ]
)
_TEXT = st.text(
    st.characters(exclude_categories=("C", "Z")) | st.sampled_from(" _-/\\.'\"=+@,;:#é"), min_size=1, max_size=12
)
_NAMES = st.one_of(
    st.integers(1, 11).map(lambda k: [str(n) for n in range(1, k + 2)]),
    st.lists(_NUMBERS, min_size=2, max_size=8),
    st.lists(_WORDS, min_size=2, max_size=9),
    st.lists(st.one_of(_NUMBERS, _WORDS, _TEXT), min_size=2, max_size=9),
    st.lists(st.one_of(_NUMBERS, _WORDS, _TEXT), min_size=40, max_size=40),
)


def _settled(names: Sequence[str], *, declared: bool = False) -> tuple[ClassName, ...]:
    """The vocabulary, for names that are one at all."""
    try:
        return vocabulary(names, declared=declared)
    except UsageError:
        assume(False)
        raise


@given(names=_NAMES)
@example(names=["1", "2", "3", "4", "5", "6", "7"])
@example(names=["happiness", "Happy", "happy"])
@settings(max_examples=120)
def test_every_name_of_a_vocabulary_finds_itself_and_its_own_position(names: list[str]) -> None:
    classes = _settled(names, declared=True)
    assert [find_class(name, classes) for name in classes] == list(classes)
    assert encode(classes, classes).tolist() == list(range(len(classes)))
    card = load_card("hf").with_classes(names, declared=True)
    assert [card.label_of(name) for name in card.classes] == list(classes)
    assert card.class_label(names, "a column") == list(classes)
    assert all(card.label_of(code) == name for code, name in card.codes.items())


@pytest.mark.parametrize("cell", ["2", 2, 2.0, "2.0", " 2 "])
def test_a_number_is_the_name_where_classes_are_called_so_and_the_position_elsewhere(cell: object) -> None:
    card = load_card("table")
    assert card.with_classes(["1", "2", "3"]).label_of(cell) == "2"
    assert card.with_classes(["a", "b", "c"]).label_of(cell) == "c"
    assert card.with_classes(["a", "2", "c"]).label_of(cell) == "2"
    assert card.with_classes(["1", "a", "3"]).label_of(cell) is None


def test_declared_classes_are_read_by_name_then_by_declared_code_then_renamed_in_order() -> None:
    plain = load_card("hf")
    coded = Card(name="x", layout="hf", classes=(ClassName("fear"),), codes={SourceCode("1"): ClassName("fear")})
    assert plain.with_classes(["2", "1"]).class_label(["1", "2"], "here") == ["1", "2"]
    assert coded.class_label(["1"], "here") == ["fear"]
    assert plain.with_classes(["fear", "anger"]).class_label(["1", "2"], "here") == ["fear", "anger"]
    with pytest.raises(UsageError, match=r"here declares the classes fear, 1, .*: 1; leave --classes out"):
        plain.with_classes(["fear", "anger"]).class_label(["fear", "1"], "here")


@pytest.mark.parametrize("names", [list("0123456"), list("2345678"), list("abcdefg")])
def test_declared_classes_that_a_card_does_not_know_are_no_positions_of_it(names: list[str]) -> None:
    with pytest.raises(UsageError, match=r"are not those of card 'rafdb' .*; say with --classes what they are"):
        load_card("rafdb").class_label(names, "here")


def test_a_class_called_nan_is_a_class_and_a_missing_number_is_none() -> None:
    card = load_card("table").with_classes(["nan", "None", "null"])
    assert [card.label_of(cell) for cell in ("nan", "NaN", "None", "null")] == ["nan", "nan", "None", "null"]
    assert [card.label_of(cell) for cell in (float("nan"), None, "")] == [None, None, None]
    assert load_card("table").label_of("nan") is None


def test_a_gap_between_class_names_moves_no_code() -> None:
    with pytest.raises(UsageError, match=r"'a,,b' has an empty name between its commas"):
        name_list("a,,b")
    assert name_list("a, b") == name_list(["a", "b"]) == ("a", "b")
    assert name_list(None) == name_list("") == ()


# ---- whole journeys


def _hf(root: Path, names: Sequence[str], labels: Sequence[int]) -> None:
    columns = {"image": [{"bytes": data, "path": None} for data in _pictures(labels)], "label": list(labels)}
    wanted = features(tuple(names))
    schema = datasets.Features({name: wanted[name] for name in columns}).arrow_schema
    pq.write_table(pa.table(columns, schema=schema), root / "train-0.parquet")


def _pictures(labels: Sequence[int]) -> list[bytes]:
    return [PICTURES[place] for place in range(len(labels))]


def _enter(
    way: str, root: Path, names: Sequence[str], labels: Sequence[int]
) -> tuple[str | Card, Path, list[str] | None]:
    """(card, path, classes to name) of a source in which picture i has the class at position labels[i]."""
    if way == "hf":
        _hf(root, names, labels)
        return "hf", root, None
    if way == "table_declared":
        _hf(root, names, labels)
        return "table", root / "train-0.parquet", None
    if way == "image_folder":
        for place, label in enumerate(labels):
            (root / names[label]).mkdir(exist_ok=True)
            (root / names[label] / f"{place}.png").write_bytes(PICTURES[place])
        return "image_folder", root, list(names)
    if way == "rafdb":
        card = Card(
            name="coded", layout="rafdb", classes=vocabulary(names),
            # codes that are other classes' names where names are numbers
            codes={SourceCode(str(place)): name for place, name in enumerate(reversed(vocabulary(names)), 1)},
        )  # fmt: skip
        code = {name: code for code, name in card.codes.items()}
        (root / "EmoLabel").mkdir()
        (root / "Image/aligned").mkdir(parents=True)
        for place in range(len(labels)):
            (root / f"Image/aligned/train_{place:05d}_aligned.jpg").write_bytes(PICTURES[place])
        lines = [f"train_{place:05d}.jpg {code[card.classes[label]]}\n" for place, label in enumerate(labels)]
        (root / "EmoLabel/list_patition_label.txt").write_text("".join(lines), "utf-8")
        return card, root, None
    for place in range(len(labels)):
        (root / f"{place}.png").write_bytes(PICTURES[place])
    cells = [names[label] if way == "table_names" else str(label) for label in labels]
    rows = [["file", "label"], *([f"{place}.png", cell] for place, cell in enumerate(cells))]
    return "table", write_csv(root / "faces.csv", rows), list(names)


def _labels(ws: Workspace) -> dict[bytes, str]:
    frame = get_samples(ws, include_quarantined=True)
    assert not frame["quarantine_reason"].notna().any(), list(frame["quarantine_reason"])
    return {Path(path).read_bytes(): label for path, label in zip(frame["path"], frame["given_label"], strict=True)}


WAYS_IN = ["hf", "table_declared", "table_names", "table_positions", "image_folder", "rafdb"]


@given(
    names=_NAMES,
    way=st.sampled_from(WAYS_IN),
    form=st.sampled_from(["hf", "image_folder", "table", "rafdb"]),
    labels=st.lists(st.integers(0, 39), min_size=2, max_size=8),
)
@example(names=["1", "2", "3", "4", "5", "6", "7"], way="hf", form="hf", labels=[0, 1, 2, 3, 4, 5, 6])
@example(
    names=["1", "2", "3", "4", "5", "6", "7"], way="image_folder", form="image_folder", labels=[0, 1, 2, 3, 4, 5, 6]
)
@example(names=["2", "1"], way="rafdb", form="rafdb", labels=[0, 1])
@example(names=["train", "test"], way="image_folder", form="image_folder", labels=[0, 1])
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
def test_labels_stay_the_same_in_out_and_in_again(names: list[str], way: str, form: str, labels: list[int]) -> None:
    form = "hf" if (way == "rafdb") < (form == "rafdb") else form  # only that layout holds any names
    classes = _settled(names, declared=way in ("hf", "table_declared"))
    labels = [label % len(classes) for label in labels]
    if way == "table_positions":
        assume(load_card("table").with_classes(names).codes != {})
    if way == "image_folder":
        assume(all("/" not in name and not name.startswith(".") and len(name.encode()) < 250 for name in names))
        names = [name.strip() for name in names]
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "in").mkdir()
        card, path, asked = _enter(way, root / "in", names, labels)
        ws = Workspace.create(root / "ws")
        ingest(ws, card, path, classes=asked)
        truth = {data: classes[label] for data, label in zip(_pictures(labels), labels, strict=True)}
        assert _labels(ws) == truth
        assert asked is None or get_dataset(ws).classes == classes
        kept = get_dataset(ws).classes
        out = root / ("out.csv" if form == "table" else "out")
        export(ws, form=form, out=out, release="original")
        if form == "table":  # it holds no pixels: labels by name, formulas escaped
            options = {"image_column": "source_key", "label_column": "release_label"}
            rows = sources.read(out, load_card("table").with_classes(kept, declared=True), options)
            assert sorted(str(row.given_label) for row in rows) == sorted(truth.values())
            return
        again = Workspace.create(root / "again")
        ingest(again, card if form == "rafdb" else form, out)
        assert _labels(again) == truth
        assert get_dataset(again).classes == kept
        if form == "hf":
            table, order = hf.read_release(out)
            assert order == kept
            assert dict(zip(table["image"].map(_bytes), table["label"], strict=True)) == truth
            opened = datasets.load_dataset(str(out), cache_dir=str(root / "cache"), split="train")
            named = opened.features["label"].names
            opened = opened.cast_column("image", datasets.Image(decode=False))
            assert {row["image"]["bytes"]: named[row["label"]] for row in opened} == truth


def _bytes(image: bytes | str) -> bytes:
    return image if isinstance(image, bytes) else Path(image).read_bytes()
