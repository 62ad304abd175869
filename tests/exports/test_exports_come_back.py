"""What leaves in a form and comes in again is the same set: labels, splits, names, order, classes and their order."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from small_workspace import judged, picture, shared

from ferclean import sources
from ferclean.errors import UsageError
from ferclean.evidence.labels import vocabulary
from ferclean.exports import EXPORTS, rafdb
from ferclean.sources.cards import Card, SourceCode, layouts, load_card
from ferclean.steps.export import export
from ferclean.steps.ingest import ingest
from ferclean.store.releases import Release, put_release
from ferclean.store.samples import Dataset, Sample, get_dataset, get_samples, make_sample_id, put_dataset, put_samples
from ferclean.store.workspace import Workspace

CLASS_NAMES = st.one_of(
    st.sampled_from(
        [
            "anger",
            "Happy",
            "happy",
            "7",
            "<b>sad</b>",
            "😀 joy",
            "très triste",
            "怒り",
            "a/b",
            "=1+1",
            "con",
            "test",
            "é",
            "NaN",
            "None",
            "true",
            'say "hm", twice',
            "none",
        ]
    ),
    st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1, max_size=12),
)
KEYS = st.one_of(
    st.sampled_from(["<img src=x>.png", "=HYPERLINK(1)", "../../up.png", 'a,b"c', "'=x", "sub/face.png", "😀", " x "]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12),
)
SPLITS = ("train", "validation", "test")


Drawn = tuple[tuple[str, ...], list[tuple[str, str, str]], dict[str, list[float]]]
"""Classes in order; rows of (key, split, label); key -> soft label."""

A_CLASS_CALLED_TEST: Drawn = (
    ("test", "anger"),
    [("a.png", "train", "test"), ("b.png", "test", "test")],
    {"a.png": [0.0, 1.0], "b.png": [0.5, 0.5]},
)


@st.composite
def sets(draw: st.DrawFn) -> Drawn:
    names = draw(st.lists(CLASS_NAMES, min_size=2, max_size=5, unique=True))
    try:
        classes = vocabulary(names, declared=True)
    except UsageError:
        assume(False)
    assume(vocabulary(classes, declared=True) == classes)
    keys = draw(st.lists(KEYS, min_size=3, max_size=6, unique=True))
    rows = [(key, draw(st.sampled_from(SPLITS)), draw(st.sampled_from(classes))) for key in keys]
    parts = st.lists(st.integers(0, 8), min_size=len(classes), max_size=len(classes)).filter(any)
    return classes, rows, {key: _shares(draw(parts)) for key in keys}


def _shares(parts: list[int]) -> list[float]:
    """In steps of 1/64, which every form writes exactly."""
    whole = [64 * part // sum(parts) for part in parts]
    return [share / 64 for share in (whole[0] + 64 - sum(whole), *whole[1:])]


def judge(ws: Workspace, rows: list[tuple[str, str, str]], targets: dict[str, list[float]]) -> None:
    """Flat probabilities, and the release v1 of the labels as given with these soft labels."""
    samples = get_samples(ws)
    ids = samples["sample_id"].tolist()
    classes = get_dataset(ws).classes
    judged(ws, {id_: [1 / len(classes)] * len(classes) for id_ in ids})
    items = pd.DataFrame(
        {
            "sample_id": ids, "split": [split for _, split, _ in rows], "label": [label for *_, label in rows],
            "included": True, "reason": None, "soft_label": [targets[key] for key, *_ in rows], "weight": 1.0,
        }
    )  # fmt: skip
    items["given_label"] = items["label"]
    about = {"policy": "decisions", "threshold": None, "created_at": "2026-01-01T00:00:00+00:00", "fingerprint": "f"}
    put_release(ws, Release(name="v1", **about, config={"ambiguous": "keep"}, counts={}), items)


def told(ws: Workspace) -> list[tuple[str, str, str]]:
    rows = get_samples(ws)
    assert rows["quarantine_reason"].isna().all(), rows["quarantine_reason"].tolist()
    return list(rows[["source_key", "split", "given_label"]].itertuples(index=False, name=None))


def workspace(root: Path, classes: tuple[str, ...], rows: list[tuple[str, str, str]], *, card: str) -> Workspace:
    """A workspace of (key, split, label) with a picture each, whatever the keys are."""
    ws, folder = Workspace.create(root / "W"), root / "faces"
    folder.mkdir()
    about = load_card(card).as_dict()
    put_dataset(ws, Dataset(name="faces", classes=classes, root=str(folder), card=about, licence="mit",
                            redistributable=True))  # fmt: skip
    samples = []
    for number, (key, split, label) in enumerate(rows):
        data = picture(number, form="PNG")
        (folder / f"{number}.png").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        samples.append(Sample(sample_id=make_sample_id("faces", key, digest), source_key=key, split=split,
                              given_label=label, relative_path=f"{number}.png", content_hash=digest))  # fmt: skip
    put_samples(ws, samples)
    return ws


@pytest.mark.parametrize("form", [form for form in EXPORTS if form in layouts() and form not in ("rafdb", "table")])
@settings(max_examples=3)
@example(drawn=A_CLASS_CALLED_TEST)
@given(drawn=sets())
def test_a_set_of_any_names_comes_back_as_it_was(form: str, drawn: Drawn) -> None:
    classes, rows, targets = drawn
    if form == "hf":  # which has a file per split
        rows = sorted(rows, key=lambda row: SPLITS.index(row[1]))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ws = workspace(root, classes, rows, card="image_folder")
        judge(ws, rows, targets)
        export(ws, form=form, out=root / "out", release="v1", configuration="decided_test")
        again = Workspace.create(root / "again")
        ingest(again, form, root / "out")
        assert told(again) == rows
        assert get_dataset(again).classes == classes
        if form != "hf":
            soft = pd.read_csv(root / "out" / "soft_labels.csv", keep_default_na=False)
            assert np.array_equal(soft.iloc[:, 3:].to_numpy(dtype=float), [targets[key] for key, *_ in rows])


@settings(max_examples=3)
@given(drawn=sets())
def test_a_set_of_any_names_comes_back_from_the_forms_without_pictures(drawn: Drawn) -> None:
    classes, rows, targets = drawn
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ws = workspace(root, classes, rows, card="image_folder")
        judge(ws, rows, targets)
        for name in ("t.csv", "t.parquet"):
            export(ws, form="table", out=root / name, release="v1", configuration="decided_test")
            card = load_card("table").with_classes(classes, declared=True)
            read = sources.read(root / name, card, {"image_column": "source_key", "label_column": "release_label"})
            assert [(row.source_key, row.split, row.given_label) for row in read] == rows
        export(ws, form="cleanlab", out=root / "out", release="v1", configuration="decided_test")
        data = datasets.load_from_disk(str(root / "out" / "data"))
        names = data.features["label"].names
        assert tuple(names) == tuple(data.features["given_label"].names) == classes
        found = zip(data["source_key"], data["split"], [names[label] for label in data["label"]], strict=True)
        assert list(found) == rows
        assert [classes[label] for label in np.load(root / "out" / "labels.npy")] == [label for *_, label in rows]
        assert data["soft_label"][:] == [targets[key] for key, *_ in rows]


@settings(max_examples=3)
@given(drawn=sets())
def test_a_set_in_rafdbs_layout_with_codes_of_its_own_comes_back_byte_for_byte(drawn: Drawn) -> None:
    classes, rows, _ = drawn
    with tempfile.TemporaryDirectory() as folder:
        root, source = Path(folder), Path(folder) / "in"
        codes = {SourceCode(str(place)): name for place, name in enumerate(classes, start=3)}
        card = Card(name="coded", layout="rafdb", classes=classes, codes=codes)
        (source / "EmoLabel").mkdir(parents=True)
        (source / "Image" / "aligned").mkdir(parents=True)
        code_of = {name: code for code, name in codes.items()}
        listed = [(f"{split}_{n:05d}", code_of[label]) for n, (_, split, label) in enumerate(rows) if "v" not in split]
        for number, (key, _) in enumerate(listed):
            (source / "Image" / "aligned" / f"{key}_aligned.jpg").write_bytes(picture(number))
        lines = "".join(f"{key}.jpg {code}\n" for key, code in listed)
        (source / rafdb.LIST_FILE).write_text(lines, "ascii", newline="\n")
        assume(listed)
        ws, again = Workspace.create(root / "W"), Workspace.create(root / "again")
        ingest(ws, card, source)
        export(ws, form="rafdb", out=root / "out", release="original")
        assert (root / "out" / rafdb.LIST_FILE).read_bytes() == lines.encode()
        ingest(again, card, root / "out")
        assert told(again) == told(ws)
        assert get_dataset(again).classes == classes


def test_rows_of_another_layout_come_back_from_the_rafdb_form_under_their_own_names(tmp_path: Path) -> None:
    rows = [("b/<i>.png", "train", "fear"), ("=a", "test", "anger"), ("😀", "train", "neutral")]
    ws = workspace(tmp_path, load_card("rafdb").classes, rows, card="image_folder")
    export(ws, form="rafdb", out=tmp_path / "out", release="original")
    again = Workspace.create(tmp_path / "again")
    ingest(again, "rafdb", tmp_path / "out")
    assert told(again) == rows


def test_the_rafdb_form_of_an_unchanged_set_is_the_source_byte_for_byte(tmp_path: Path) -> None:
    work = shared()
    out = tmp_path / "out"
    export(work.ws, form="rafdb", out=out, release="original")
    kept = set(get_samples(work.ws).query("quarantine_reason.isna()")["source_key"])
    for file in work.source.rglob("*.*"):
        name = file.relative_to(work.source)
        if str(name) == rafdb.LIST_FILE:
            lines = [
                line for line in file.read_bytes().splitlines(keepends=True) if line.split(b".")[0].decode() in kept
            ]
            assert (out / name).read_bytes() == b"".join(lines)
        elif "_".join(file.stem.split("_")[:2]) in kept:
            assert (out / name).read_bytes() == file.read_bytes()
