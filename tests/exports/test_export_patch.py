"""What a patch holds of a release, and what it must never hold: pixels, places, people."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scenes import CLASSES, coded, said, scene, workspace_of
from small_workspace import decide, shared, small

from ferclean.cli import run
from ferclean.errors import UsageError
from ferclean.exports.content import read_content
from ferclean.exports.patch import (
    FILE,
    MOST_WORDS,
    changed_items,
    header,
    key_leads_out,
    public_key,
    public_keys,
    write_patch,
)
from ferclean.parts.patch_file import read_patch
from ferclean.steps.apply import apply
from ferclean.steps.diff import diff
from ferclean.steps.export import export
from ferclean.steps.release import release
from ferclean.steps.revert import revert


def test_a_patch_is_the_default_where_the_licence_forbids_passing_pictures_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closed, open_ = shared(released=True).ws, shared(redistributable=True, released=True).ws
    assert export(closed, release="v1", out=tmp_path / "a", dry_run=True).form == "patch"
    assert export(open_, release="v1", out=tmp_path / "b", dry_run=True).form == "hf"
    assert run(["-w", str(closed.root), "release", "v2", "--dry-run"]) == 0
    assert "export --release v2 --out PATH" in capsys.readouterr().err, "the form is what the licence lets out"
    assert run(["-w", str(closed.root), "export", "--release", "v1", "--out", str(tmp_path / "c")]) == 0
    told = capsys.readouterr()
    assert "this is a patch; --form hf writes them for your own use" in told.err
    assert "apply" in told.err
    with pytest.raises(UsageError, match="pass --release NAME"):
        export(closed, out=tmp_path / "d")
    with pytest.raises(UsageError, match="a patch is a whole release: leave --configuration train out"):
        export(closed, form="patch", release="v1", out=tmp_path / "d", configuration="train")
    with pytest.raises(UsageError, match="the form hf holds a whole release"):
        export(open_, form="hf", release="v1", since="v1", out=tmp_path / "d")
    with pytest.raises(UsageError, match="unknown release 'v9'"):
        export(closed, form="patch", release="v1", since="v9", out=tmp_path / "d")


def test_only_what_changed_is_in_it_and_no_name_of_a_person(tmp_path: Path) -> None:
    work = small(tmp_path)
    name = "Zoë <zoe@lab.example>\nof the lab"
    decide(work, "train_00001", "relabel", "fear", reviewer=name)
    decide(work, "train_00002", "keep", reviewer=name)
    decide(work, "test_0001", "exclude", reviewer=name)
    release(work.ws, "v1")
    out = tmp_path / "patch"
    summary = export(work.ws, form="patch", release="v1", out=out)
    assert summary.rows == 3
    confirmed = "so are 1 that people decided on without changing them"
    assert summary.warnings == (f"2 samples differ from original, and are in the patch; {confirmed}",)
    head, *lines = map(json.loads, (out / FILE).read_text("ascii").splitlines())
    assert [(one["source_key"], one["label"], one["included"], one["reason"]) for one in lines] == [
        ("train_00001", "fear", True, "decision: relabel"), ("train_00002", "happiness", True, "decision: keep"),
        ("test_0001", "anger", False, "decision: exclude"),
    ]  # fmt: skip
    assert head["lines"] == 3
    for path in out.iterdir():
        text = path.read_text("utf-8")
        assert not any(word in text for word in ("Zo", "lab.example", str(tmp_path), work.source.name + "/")), path


def test_a_key_that_is_a_place_on_a_disk_leaves_its_last_name_and_two_stay_two(tmp_path: Path) -> None:
    keys = ("/home/ada/faces/a.png", "fear/b.png", "/x/c.png", "/y/c.png")
    # the two of one name show one picture, of which one alone is changed
    ws = workspace_of(tmp_path, {key: coded(scene(min(n, 2))) for n, key in enumerate(keys)}, ["fear"] * 4)
    for key in keys[:3]:
        said(ws, key, "relabel", CLASSES[0])
    release(ws, "v1")
    export(ws, form="patch", release="v1", out=tmp_path / "patch")
    _, *lines = map(json.loads, (tmp_path / "patch" / FILE).read_text("ascii").splitlines())
    assert [one["source_key"] for one in lines] == ["a.png", "fear/b.png", "c-1e703cdba4f3.png"]
    done = apply(ws, tmp_path / "patch", name="again")
    assert (done.same, done.undone) == (True, [])


@pytest.mark.parametrize("words", ["no " * 1000, ""])
def test_a_licence_and_a_name_of_any_length_are_read_again(words: str, tmp_path: Path) -> None:
    content = read_content(shared(released=True).ws, "v1", "decided_test")
    content = replace(content, dataset=replace(content.dataset, licence=words, name=words))
    write_patch(tmp_path, header(content, 0), [])
    told = read_patch(tmp_path).header
    assert told["licence"] == told["dataset"] == (words[:MOST_WORDS] or "unknown")


@given(st.lists(st.text(alphabet="a./", min_size=1), unique=True))
def test_different_keys_stay_different(keys: list[str]) -> None:
    public = public_keys(keys)
    assert len(set(public.values())) == len(keys)
    assert public_keys(public.values()) == {name: name for name in public.values()}


@given(st.text(alphabet="a.~/\\\\:C é", min_size=1))
def test_no_key_that_is_passed_on_leads_out_of_a_folder(key: str) -> None:
    assert public_key(key)
    assert not key_leads_out(public_key(key))
    assert public_key(public_key(key)) == public_key(key)


def test_a_lost_picture_and_a_flat_one_are_found_by_what_is_known_of_them(tmp_path: Path) -> None:
    flat = coded(Image.new("L", (60, 60), 90))
    ws = workspace_of(
        tmp_path, {"a": coded(scene(1)), "b": coded(scene(2)), "c": flat, "d": flat}, ["fear"] * 3 + [None]
    )
    for key in "abcd":
        said(ws, key, "relabel", CLASSES[0])
    release(ws, "v1")
    (tmp_path / "faces" / "0").unlink()
    export(ws, form="patch", release="v1", out=tmp_path / "patch")
    _, *lines = map(json.loads, (tmp_path / "patch" / FILE).read_text("ascii").splitlines())
    known = [[one[name] is not None for name in ("content_hash", "pixel_hash", "perceptual_hash")] for one in lines]
    assert known == [[True, False, False], [True, True, True]] + [[True, True, False]] * 2
    # once it is set aside it is no change of the release either
    before = (tmp_path / "patch" / FILE).read_bytes(), diff(ws, "original", "v1").changes
    assert export(ws, form="image_folder", release="v1", out=tmp_path / "x").quarantined
    export(ws, form="patch", release="v1", out=tmp_path / "patch", overwrite=True)
    assert ((tmp_path / "patch" / FILE).read_bytes(), diff(ws, "original", "v1").changes) == before
    back = revert(ws, "original", "v1", reviewer="bo", dry_run=True)
    assert ([one["action"] for one in back.changes], len(back.barred)) == (["keep", "keep", "exclude"], 1)
    assert diff(ws, "v1", "original").changes[-1]["reason"] == "quarantined: label: missing", "not what v1 made of it"


def test_a_patch_between_releases_tells_what_went_back_too(tmp_path: Path) -> None:
    work = small(tmp_path)
    decide(work, "train_00001", "relabel", "fear")
    decide(work, "train_00003", "keep")  # which v1 says, too
    release(work.ws, "v1")
    decide(work, "train_00001", "keep")
    decide(work, "train_00002", "exclude")
    release(work.ws, "v2")
    items = changed_items(read_content(work.ws, "v2", "decided_test", since="v1"))
    assert items[["old_label", "label", "included"]].to_numpy().tolist() == [
        ["fear", "anger", True], ["happiness", "happiness", False],
    ]  # fmt: skip
    assert len(changed_items(read_content(work.ws, "v1", "decided_test", since="v1"))) == 0
