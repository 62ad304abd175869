"""What every export form does alike: it lands whole, touches nothing of others, repeats itself, and warns."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from disks import fill, small_disk
from small_workspace import CLASSES, Small, decide, shared, small

from ferclean.errors import FercleanError, UsageError
from ferclean.exports import EXPORTS
from ferclean.exports.content import read_content
from ferclean.exports.soft_targets import FILE
from ferclean.exports.target import MANIFEST
from ferclean.steps.export import export
from ferclean.steps.release import release
from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace

FOLDERS = [form for form, module in EXPORTS.items() if not module.SINGLE_FILE]
PIXELS = [form for form, module in EXPORTS.items() if module.HOLDS_PIXELS]


@pytest.fixture(params=list(EXPORTS))
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def work() -> Small:
    return shared(released=True)


def target(tmp_path: Path, form: str) -> Path:
    return tmp_path / "out" / ("x.parquet" if EXPORTS[form].SINGLE_FILE else "x")


def content(path: Path) -> dict[str, str]:
    """Relative path -> digest, of one file or of a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {os.path.relpath(file, path): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_the_listed_forms_have_what_the_protocol_asks(form: str) -> None:
    module = EXPORTS[form]
    assert isinstance(module.SINGLE_FILE, bool)
    assert isinstance(module.HOLDS_PIXELS, bool)
    assert callable(module.check)
    assert callable(module.write)
    assert "never" in str(module.__doc__)


def test_an_export_is_whole_and_counted(work: Small, tmp_path: Path, form: str) -> None:
    out = target(tmp_path, form)
    summary = export(work.ws, form=form, out=out, release="v1")
    files = [name for name in content(out) if name != MANIFEST]
    assert summary.files == len(files)
    assert summary.bytes == sum((out / name if out.is_dir() else out).stat().st_size for name in files)
    assert summary.counts == {"train": 6, "test": 2}
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert summary.as_dict()["form"] == form


def test_the_test_split_is_as_published_unless_another_configuration_is_asked_for(tmp_path: Path) -> None:
    work = small(tmp_path)
    decide(work, "test_0001", "relabel", label="fear")
    decide(work, "test_0002", "exclude")
    decide(work, "train_00001", "relabel", label="fear")
    release(work.ws, "v1")

    def labels(configuration: str) -> dict[str, str]:
        rows = read_content(work.ws, "v1", configuration).rows
        return dict(zip(rows["source_key"], rows["release_label"], strict=True))

    whole, decided = labels("default"), labels("decided_test")
    assert (whole["train_00001"], whole["test_0001"], whole["test_0002"]) == ("fear", "anger", "neutral")
    assert {key: whole.get(key) for key in decided} | {"test_0001": "fear"} == decided
    assert "test_0002" not in decided
    assert labels("test") == {"test_0001": "anger", "test_0002": "neutral"}
    assert set(labels("train")) | set(labels("test")) == set(whole)
    out = tmp_path / "out"
    export(work.ws, form="image_folder", out=out, release="v1", configuration="test")
    assert [path.name for path in out.iterdir() if path.is_dir()] == ["test"]
    assert "this is the split `test` alone" in " ".join((out / "README.md").read_text("utf-8").split())
    with pytest.raises(UsageError, match="no image to export in the split validation"):
        labels("validation")


def test_an_export_repeats_byte_for_byte(work: Small, tmp_path: Path, form: str) -> None:
    first, second = target(tmp_path / "a", form), target(tmp_path / "b", form)
    export(work.ws, form=form, out=first, release="v1")
    export(work.ws, form=form, out=second, release="v1")
    assert content(first) == content(second)


FIRST = {"patch": "v1"}
"""What is exported before another release, of a form that has no "original": nothing was changed there."""
LACKS = {
    **{(form, "triage"): ["verdict"] for form in ("hf", "coco", "fiftyone", "patch")},
    ("table", "score"): ["pred_probs", "fold", "vote_m"],
    ("table", "triage"): [
        "suggested_label", "label_quality", "p_mislabelled", "p_ambiguous", "p_unusable", "p_clean", "verdict", "rank",
        "soft_label", "run_id", "reasons", "pred_probs", "fold", "vote_m",
    ],
}  # fmt: skip
"""(form, what was deleted) -> the columns that are then empty."""


@pytest.mark.parametrize("gone", ["triage", "score"])
def test_a_release_is_exported_from_the_database_alone_and_what_it_lacks_is_told_in_a_line(
    work: Small, tmp_path: Path, form: str, gone: str
) -> None:
    ws = Workspace(tmp_path / "backup")
    ws.root.mkdir()
    shutil.copy2(work.ws.database, ws.database)
    if gone == "score":
        shutil.copytree(work.ws.runs, ws.runs, ignore=shutil.ignore_patterns("score-*"))
    whole, bare = target(tmp_path / "whole", form), target(tmp_path / "bare", form)
    if form == "cleanlab":  # it is made of what was deleted
        with pytest.raises(UsageError, match=r"run ferclean score and .*status` tells what is missing"):
            export(ws, form=form, out=bare, release="v1")
        return
    export(work.ws, form=form, out=whole, release="v1")
    told = [line for line in export(ws, form=form, out=bare, release="v1").warnings if "empty" in line]
    lacks = LACKS.get((form, gone), [])
    assert len(told) == bool(lacks)
    if not lacks:
        assert content(bare) == content(whole)
        return
    assert re.search(
        rf"files of .*score-m-\w+ are not in runs/, so these .*: {', '.join(lacks)}; `ferclean sta", told[0]
    )
    for old, new in zip(parquets(whole), parquets(bare), strict=True):
        assert all(new[name].isna().all() and old[name].notna().any() for name in lacks)
        pd.testing.assert_frame_equal(new.drop(columns=lacks), old.drop(columns=lacks))
    for file in sorted(whole.rglob("*.json")):
        old_text, new_text = (path.read_text("utf-8") for path in (file, bare / file.relative_to(whole)))
        assert new_text == re.sub(r'"verdict": "\w+"', '"verdict": null', old_text)


def parquets(path: Path) -> list[pd.DataFrame]:
    return [pd.read_parquet(file) for file in ([path] if path.is_file() else sorted(path.rglob("*.parquet")))]


def test_a_table_without_a_release_is_one_of_verdicts_and_is_refused_where_they_were_deleted(tmp_path: Path) -> None:
    ws = small(tmp_path, released=True).ws
    shutil.rmtree(ws.runs)
    with pytest.raises(FercleanError, match=r"verdicts\.parquet was deleted; `ferclean status` tells which"):
        export(ws, form="table", out=tmp_path / "x.csv")


def test_a_dry_run_counts_and_writes_nothing(work: Small, tmp_path: Path, form: str) -> None:
    out = target(tmp_path, form)
    summary = export(work.ws, form=form, out=out, release="v1", dry_run=True)
    assert summary.dry_run
    assert summary.counts["train"] == 6
    assert not out.parent.exists()


def test_a_target_with_anything_in_it_is_refused(work: Small, tmp_path: Path, form: str) -> None:
    out = target(tmp_path, form)
    out.parent.mkdir()
    mine = out if EXPORTS[form].SINGLE_FILE else out / "mine.txt"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine", encoding="ascii")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="--out"):
            export(work.ws, form=form, out=out, release="v1", overwrite=overwrite)
        assert mine.read_text("ascii") == "mine"


def test_overwriting_replaces_an_earlier_export(work: Small, tmp_path: Path, form: str) -> None:
    out = target(tmp_path, form)
    export(work.ws, form=form, out=out, release=FIRST.get(form, "original"))
    with pytest.raises(UsageError, match="--overwrite"):
        export(work.ws, form=form, out=out, release="v1")
    export(work.ws, form=form, out=out, release="v1", overwrite=True)
    fresh = target(tmp_path / "fresh", form)
    export(work.ws, form=form, out=fresh, release="v1")
    assert content(out) == content(fresh)


def test_a_full_disk_is_one_line_and_the_earlier_export_stands(work: Small, tmp_path: Path, form: str) -> None:
    with small_disk(tmp_path / "disk", "400k") as disk:
        out = target(disk, form)
        export(work.ws, form=form, out=out, release=FIRST.get(form, "original"))
        before = content(out)
        filler = fill(disk)
        with pytest.raises(FercleanError, match=r"cannot write .*/x.*: No space left on device; .*pass another --out"):
            export(work.ws, form=form, out=out, release="v1", overwrite=True)
        filler.unlink()
        assert content(out) == before
        assert [path.name for path in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize("form", FOLDERS)
def test_overwriting_keeps_the_files_of_others(work: Small, tmp_path: Path, form: str) -> None:
    out = target(tmp_path, form)
    export(work.ws, form=form, out=out, release=FIRST.get(form, "original"))
    (out / "notes").mkdir()
    (out / "notes" / "mine.txt").write_text("mine", encoding="ascii")
    export(work.ws, form=form, out=out, release="v1", overwrite=True)
    assert (out / "notes" / "mine.txt").read_text("ascii") == "mine"
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    (out / MANIFEST).write_bytes((out / MANIFEST).read_bytes()[:20])
    with pytest.raises(FercleanError, match=r"is damaged \(.*pass another --out"):
        export(work.ws, form=form, out=out, release="v1", overwrite=True)


@pytest.mark.parametrize("form", FOLDERS)
def test_an_empty_folder_may_be_the_target(work: Small, tmp_path: Path, form: str) -> None:
    out = target(tmp_path, form)
    out.mkdir(parents=True)
    export(work.ws, form=form, out=out, release="v1")
    assert (out / MANIFEST).is_file()


@pytest.mark.parametrize("form", FOLDERS)
def test_a_target_that_is_a_link_is_refused(work: Small, tmp_path: Path, form: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="plain folder"):
        export(work.ws, form=form, out=tmp_path / "link", release="v1")


@pytest.mark.parametrize("form", PIXELS)
def test_forms_of_pixels_warn_of_a_licence_that_forbids_publication(work: Small, tmp_path: Path, form: str) -> None:
    summary = export(work.ws, form=form, out=target(tmp_path, form), release="v1")
    assert "must not be published" in summary.warnings[0]
    assert "must not be published" in (target(tmp_path, form) / "README.md").read_text("utf-8")


@pytest.mark.parametrize("form", PIXELS)
def test_forms_of_pixels_do_not_warn_where_the_licence_allows(tmp_path: Path, form: str) -> None:
    work = shared(redistributable=True)
    summary = export(work.ws, form=form, out=target(tmp_path, form), release="original")
    assert summary.warnings == ()
    assert "must not be published" not in (target(tmp_path, form) / "README.md").read_text("utf-8")


@pytest.mark.parametrize("form", FOLDERS)
def test_forms_of_one_label_per_image_need_a_release(work: Small, tmp_path: Path, form: str) -> None:
    with pytest.raises(UsageError, match="--release"):
        export(work.ws, form=form, out=target(tmp_path, form))


@pytest.mark.parametrize("form", PIXELS)
def test_images_that_are_no_longer_what_was_ingested_are_left_out_and_told(tmp_path: Path, form: str) -> None:
    work = small(tmp_path, released=True)
    included = len(read_content(work.ws, "v1").rows)
    work.path("train_00002").write_bytes(work.data["train_00003"])
    work.path("train_00003").unlink()
    work.path("test_0001").unlink()
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(work.data["train_00004"])
    work.path("train_00004").unlink()
    work.path("train_00004").symlink_to(outside)
    told = {
        "file: changed since ingest": 1, "file: missing since ingest": 2,
        "file: leads out of the data set's folder since ingest": 1,
    }  # fmt: skip
    before = get_samples(work.ws)
    planned = export(work.ws, form=form, out=target(tmp_path, form), release="v1", dry_run=True)
    assert (planned.rows, planned.quarantined) == (included - 4, told)
    assert get_samples(work.ws).equals(before)
    done = export(work.ws, form=form, out=target(tmp_path, form), release="v1")
    assert (done.rows, done.quarantined) == (included - 4, told)
    assert sum(done.counts.values()) == included - 4
    assert len(get_samples(work.ws)) == len(before) - 4
    # which the next says, too, in the same bytes
    twice = export(work.ws, form=form, out=target(tmp_path / "twice", form), release="v1")
    assert (twice.quarantined, content(target(tmp_path / "twice", form))) == (told, content(target(tmp_path, form)))
    # the release stays frozen as it was: with the files put back it is whole again
    work.path("train_00002").write_bytes(work.data["train_00002"])
    again = export(work.ws, form=form, out=target(tmp_path, form), release="v1", overwrite=True)
    assert again.rows == included - 3


def test_an_unknown_release_or_form_names_the_known_ones(work: Small, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="v1"):
        export(work.ws, form="table", out=tmp_path / "x.csv", release="v9")
    with pytest.raises(UsageError, match="hf, rafdb, image_folder, coco, cleanlab, fiftyone, table"):
        export(work.ws, form="zip", out=tmp_path / "x")


@pytest.mark.parametrize("form", FOLDERS)
def test_a_hand_made_manifest_cannot_make_foreign_files_vanish_over_a_clash(
    work: Small, tmp_path: Path, form: str
) -> None:
    out = target(tmp_path, form)
    out.mkdir(parents=True)
    (out / MANIFEST).write_text('{"files": []}', encoding="ascii")
    (out / "README.md").write_text("mine", encoding="ascii")
    with pytest.raises(UsageError, match=r"README\.md"):
        export(work.ws, form=form, out=out, release="v1", overwrite=True)
    assert (out / "README.md").read_text("ascii") == "mine"


@pytest.mark.parametrize("form", [form for form in PIXELS if form != "hf"])
def test_soft_labels_lie_beside_the_images_and_the_cards_lines_train_on_them(
    work: Small, tmp_path: Path, form: str
) -> None:
    out = target(tmp_path, form)
    export(work.ws, form=form, out=out, release="v1")
    table = pd.read_csv(out / FILE)
    assert list(table.columns) == ["file", "split", "weight", *CLASSES]
    assert len(table) == len(read_content(work.ws, "v1").rows)
    assert all((out / file).is_file() for file in table["file"])
    assert table[list(CLASSES)].sum(axis=1).to_numpy() == pytest.approx(1)
    assert sorted(table.loc[table["split"] == "train", "fear"])[-2:] == pytest.approx([0.6, 0.97])
    code = (out / "README.md").read_text("utf-8").split("```python\n")[1].split("```")[0]
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, len(CLASSES)))
    known = {"folder": str(out), "model": model, "images": torch.ones((table["split"] == "train").sum(), 8)}
    exec(code, known)
    known["loss"].backward()
    assert model[1].weight.grad.abs().sum() > 0


def test_no_form_but_the_table_tells_who_decided(tmp_path: Path) -> None:
    work, who = small(tmp_path), ("zoe@lab.example", "ann@lab.example")
    decide(work, "train_00001", "relabel", label="fear", reviewer=who[0])
    for reviewer in who:
        decide(work, "train_00002", "exclude", reviewer=reviewer)
    release(work.ws, "v1")
    decide(work, "train_00001", "keep", reviewer=who[1])
    decide(work, "train_00001", "keep", reviewer=who[0])
    release(work.ws, "v2")
    for form, module in EXPORTS.items():
        for name in ("v1", "v2"):
            out = target(tmp_path / name / form, form)
            export(work.ws, form=form, out=out, release=name)
            if module.SINGLE_FILE:
                continue
            files = [file.read_bytes() for file in out.rglob("*") if file.is_file()]
            assert not any(b"lab.example" in file or b"zoe" in file for file in files), form
            if form == "patch":  # it does not even count them
                continue
            card = (out / "README.md").read_text("utf-8")
            assert "Decided by: reviewer 1, reviewer 2." in card
            assert "decision: exclude by reviewer" in card
    assert who[0] in "".join(pd.read_parquet(target(tmp_path / "v1" / "table", "table"))["release_reason"].dropna())
