"""Facts about the RAF-DB form: the same layout back, with only the corrected lines changed."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from small_workspace import BROKEN, CLASSES, CODES, photos, shared, small

from ferclean.errors import BadDataError, UsageError
from ferclean.exports import rafdb
from ferclean.sources.cards import load_card
from ferclean.sources.rafdb import read
from ferclean.steps.decide import decide
from ferclean.steps.export import export
from ferclean.steps.ingest import ingest
from ferclean.steps.release import release
from ferclean.store.releases import get_release_items
from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace


def lines(root: Path) -> list[str]:
    return (root / rafdb.LIST_FILE).read_text("ascii").splitlines()


def test_the_list_differs_from_the_original_only_in_corrected_and_excluded_lines(tmp_path: Path) -> None:
    work = small(tmp_path)
    decide(work.ws, "train_00001", "relabel", label="fear", reviewer="ann")
    decide(work.ws, "train_00002", "exclude", reviewer="ann")
    decide(work.ws, "train_00004", "ambiguous", reviewer="ann")
    release(work.ws, "v1")
    export(work.ws, form="rafdb", out=tmp_path / "out", release="v1")
    before, after = lines(work.source), lines(tmp_path / "out")
    assert [line for line in before if line not in after] == [
        f"train_00001.jpg {CODES['anger']}", f"train_00002.jpg {CODES['happiness']}", f"{BROKEN}.jpg {CODES['anger']}",
    ]  # fmt: skip
    assert [line for line in after if line not in before] == [f"train_00001.jpg {CODES['fear']}"]
    assert [line.split()[0] for line in after] == [
        line.split()[0] for line in before if line.split()[0] not in ("train_00002.jpg", f"{BROKEN}.jpg")
    ]


def test_the_original_comes_back_line_by_line_and_byte_by_byte(tmp_path: Path) -> None:
    work = shared(released=True)
    summary = export(work.ws, form="rafdb", out=tmp_path / "out", release="original")
    assert lines(tmp_path / "out") == [line for line in lines(work.source) if not line.startswith(BROKEN)]
    for key, data in work.data.items():
        copy = tmp_path / "out" / "Image" / "aligned" / f"{key}_aligned.jpg"
        assert copy.exists() == (key != BROKEN)
        assert key == BROKEN or copy.read_bytes() == data
    assert not (tmp_path / "out" / "mapping.csv").exists()
    assert len(summary.warnings) == 1  # the licence, nothing about made-up keys


def test_ingesting_the_export_again_gives_the_released_labels(tmp_path: Path) -> None:
    work = shared(released=True)
    export(work.ws, form="rafdb", out=tmp_path / "out", release="v1")
    again = Workspace.create(tmp_path / "again")
    ingest(again, "rafdb", tmp_path / "out")
    labels = get_samples(again).set_index("source_key")["given_label"].to_dict()
    items = get_release_items(work.ws, "v1")
    keys = {sample: key for key, sample in work.ids.items()}
    assert labels == {
        keys[row.sample_id]: row.label for row in items.itertuples() if row.included
    }  # fmt: skip


def test_annotations_of_the_released_images_are_copied_as_they_are(tmp_path: Path) -> None:
    work = small(tmp_path)
    votes = [f"{key}.jpg 1 0 0 0 0 0 0\n" for key in work.data]
    (work.source / "EmoLabel" / "distribution_basic.txt").write_text("".join(votes), encoding="ascii")
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="ascii")
    linked = work.source / "Annotation" / "manual" / "train_00002_manu_attri.txt"
    linked.unlink()
    linked.symlink_to(secret)
    export(work.ws, form="rafdb", out=tmp_path / "out", release="original")
    copied = sorted(path.name for path in (tmp_path / "out" / "Annotation" / "manual").iterdir())
    assert "train_00001_manu_attri.txt" in copied
    # neither a link out of the source nor the file of a left-out image
    assert "train_00002_manu_attri.txt" not in copied
    assert f"{BROKEN}_manu_attri.txt" not in copied
    kept = (tmp_path / "out" / "EmoLabel" / "distribution_basic.txt").read_text("ascii")
    assert kept == "".join(line for line in votes if not line.startswith(BROKEN))
    card = load_card("rafdb")
    rows = {row.source_key: row for row in read(tmp_path / "out", card)}
    assert rows["train_00001"].attributes["gender"] == "male"


def other_set(tmp_path: Path, *, split: str = "train", label: str = "anger") -> Workspace:
    """Two samples of another layout: a PNG under a hostile name, and a JPEG."""
    keys = ["=cmd|'x'!A1.png", "b.jpg"]
    return photos(tmp_path, keys, classes=(*CLASSES, "contempt"), labels=[label] * 2, split=split)


def test_other_sets_get_made_up_keys_and_a_mapping_that_is_inert(tmp_path: Path) -> None:
    ws = other_set(tmp_path)
    summary = export(ws, form="rafdb", out=tmp_path / "out", release="original")
    assert lines(tmp_path / "out") == ["train_00001.jpg 6", "train_00002.jpg 6"]
    with (tmp_path / "out" / "mapping.csv").open(encoding="utf-8", newline="") as text:
        mapping = list(csv.DictReader(text))
    assert mapping[0]["source_key"] == "'=cmd|'x'!A1.png"
    assert [row["format"] for row in mapping] == ["png", "jpg"]
    # nothing is re-encoded: the PNG stays a PNG under the name that the layout fixes, and the summary says so
    image = tmp_path / "out" / "Image" / "aligned" / "train_00001_aligned.jpg"
    assert image.read_bytes() == (tmp_path / "photos" / "=cmd|'x'!A1.png").read_bytes()
    assert "PNG stays a PNG" in summary.warnings[0]
    again = Workspace.create(tmp_path / "again")
    assert ingest(again, "rafdb", tmp_path / "out").quarantined == {}


def test_a_class_without_a_code_is_refused_by_name(tmp_path: Path) -> None:
    ws = other_set(tmp_path, label="contempt")
    with pytest.raises(BadDataError, match="no code for contempt"):
        export(ws, form="rafdb", out=tmp_path / "out", release="original")


def test_a_split_that_the_layout_lacks_is_refused_by_name(tmp_path: Path) -> None:
    ws = other_set(tmp_path, split="validation")
    with pytest.raises(UsageError, match="not validation"):
        export(ws, form="rafdb", out=tmp_path / "out", release="original")


def test_one_image_on_two_lines_comes_back_on_two_lines(tmp_path: Path) -> None:
    work = shared()
    copy = tmp_path / "copy"
    shutil.copytree(work.source, copy)
    with (copy / rafdb.LIST_FILE).open("a", encoding="ascii") as text:
        text.write("train_00001.jpg 2\n")
    ws = Workspace.create(tmp_path / "workspace")
    ingest(ws, "rafdb", copy)
    export(ws, form="rafdb", out=tmp_path / "out", release="original")
    assert [line for line in lines(tmp_path / "out") if "train_00001" in line] == [
        "train_00001.jpg 6", "train_00001.jpg 2",
    ]  # fmt: skip
    assert not (tmp_path / "out" / "mapping.csv").exists()


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_list_as_others_write_it_comes_back_byte_for_byte_but_for_changes(tmp_path: Path, ending: bytes) -> None:
    work = small(tmp_path)
    keys = [key for key in work.data if key != BROKEN][::-1]
    code_of = dict(line.split(".jpg ") for line in lines(work.source))
    listed = [f"{key}_aligned.jpg\t{code_of[key]} ".encode() for key in keys] + [f"{keys[0]}.jpg 2".encode()]
    (work.source / rafdb.LIST_FILE).write_bytes(b"\xef\xbb\xbf" + ending.join(listed))
    ws = Workspace.create(tmp_path / "again")
    ingest(ws, "rafdb", work.source)
    export(ws, form="rafdb", out=tmp_path / "same", release="original")
    assert (tmp_path / "same" / rafdb.LIST_FILE).read_bytes() == (work.source / rafdb.LIST_FILE).read_bytes()
    decide(ws, "train_00002", "relabel", label="fear", reviewer="ann")
    decide(ws, "train_00003", "exclude", reviewer="ann")
    release(ws, "v1")
    export(ws, form="rafdb", out=tmp_path / "out", release="v1")
    places = {key: number for number, key in enumerate(keys)}
    listed[places["train_00002"]] = f"train_00002_aligned.jpg\t{CODES['fear']} ".encode()
    del listed[places["train_00003"]]
    assert (tmp_path / "out" / rafdb.LIST_FILE).read_bytes() == b"\xef\xbb\xbf" + ending.join(listed)
