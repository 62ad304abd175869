"""What leaves in a form and comes in again is the same set: labels, splits, names, order, classes and their order."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_workspace import picture, shared

from ferclean.errors import UsageError
from ferclean.evidence.labels import vocabulary
from ferclean.exports import rafdb
from ferclean.sources.cards import load_card
from ferclean.steps.export import export
from ferclean.steps.ingest import ingest
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
        ]
    ),
    st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1, max_size=12),
)
KEYS = st.one_of(
    st.sampled_from(["<img src=x>.png", "=HYPERLINK(1)", "../../up.png", 'a,b"c', "'=x", "sub/face.png", "😀", " x "]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12),
)
SPLITS = ("train", "validation", "test")


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


@pytest.mark.parametrize("form", ["hf", "image_folder"])
@settings(max_examples=8)
@given(data=st.data())
def test_a_set_of_any_names_comes_back_as_it_was(form: str, data: st.DataObject) -> None:
    names = data.draw(st.lists(CLASS_NAMES, min_size=2, max_size=5, unique=True))
    try:
        classes = vocabulary(names, declared=True)
    except UsageError:
        assume(False)
    assume(vocabulary(classes, declared=True) == classes)
    keys = data.draw(st.lists(KEYS, min_size=3, max_size=6, unique=True))
    rows = [(key, data.draw(st.sampled_from(SPLITS)), data.draw(st.sampled_from(classes))) for key in keys]
    # by splits, as every form has them
    rows.sort(key=lambda row: SPLITS.index(row[1]))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ws = workspace(root, classes, rows, card="image_folder")
        export(ws, form=form, out=root / "out", release="original")
        again = Workspace.create(root / "again")
        ingest(again, form, root / "out")
        assert told(again) == rows
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
