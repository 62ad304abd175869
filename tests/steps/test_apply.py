"""A patch finds its pictures in another copy, whatever became of them there, and leaves alone what is not sure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from scenes import CLASSES, coded, said, scene, workspace_of
from small_workspace import decide, small
from test_patch_file import written

from ferclean.cli import run
from ferclean.errors import BadDataError, UsageError
from ferclean.exports.content import read_content
from ferclean.exports.patch import FILE
from ferclean.parts.patch_file import read_patch
from ferclean.steps.apply import ApplySummary, _base, apply
from ferclean.steps.diff import diff
from ferclean.steps.export import export
from ferclean.steps.release import release
from ferclean.steps.revert import Part, revert
from ferclean.store.releases import content_digest, get_release, get_release_items
from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace

FACES = [scene(seed) for seed in range(24)]
KEYS = [f"face_{number:02d}" for number in range(24)]
LABELS = [CLASSES[number % 3] for number in range(24)]


@pytest.fixture(scope="module")
def patch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The patch of a release with every kind of change: relabelled, left out, and a soft label of people's."""
    root = tmp_path_factory.mktemp("first")
    ws = workspace_of(root, {key: coded(face) for key, face in zip(KEYS, FACES, strict=True)}, LABELS)
    for number in range(0, 16, 2):
        said(ws, KEYS[number], "relabel", CLASSES[(number + 1) % 3])
    said(ws, KEYS[17], "exclude")
    said(ws, KEYS[18], "ambiguous", shares={"anger": 0.25, "fear": 0.75})
    release(ws, "v1")
    export(ws, form="patch", release="v1", out=root / "patch")
    return root / "patch"


def copy_of(root: Path, change: Callable[[int], bytes], *, labels: list[str] | None = None) -> Workspace:
    """The set under other names, each picture as `change` gives it."""
    return workspace_of(root, {f"{number}.jpg": change(number) for number in range(24)}, labels or LABELS)


def labels_of(ws: Workspace, name: str) -> list[str | None]:
    items = get_release_items(ws, name)
    return [label if kept else None for label, kept in zip(items["label"], items["included"], strict=True)]


WANTED = [
    None if number == 17 else CLASSES[(number + 1) % 3] if number < 16 and number % 2 == 0 else LABELS[number]
    for number in range(24)
]


@pytest.mark.parametrize(
    ("change", "way"),
    [
        (lambda number: coded(FACES[number]), "bytes"),
        (lambda number: coded(FACES[number], form="BMP"), "pixels"),
        (lambda number: coded(FACES[number], form="JPEG"), "perceptual"),
        (lambda number: coded(FACES[number], form="JPEG", size=112), "perceptual"),
        (lambda number: coded(FACES[number], form="JPEG", size=112, mirror=True), "perceptual"),
    ],
    ids=["renamed", "other format", "recompressed", "resized", "mirrored"],
)
def test_every_line_finds_its_picture(patch: Path, tmp_path: Path, change: Callable[[int], bytes], way: str) -> None:
    ws = copy_of(tmp_path, change)
    done = apply(ws, patch)
    assert done.matched == {"bytes": 0, "pixels": 0, "perceptual": 0} | {way: 10}
    assert done.undone == []
    assert labels_of(ws, "v1") == WANTED
    soft = get_release_items(ws, "v1")["soft_label"].tolist()
    assert [list(one) for one in soft if one is not None] == [[0.25, 0.75, 0.0]]
    others = "" if way == "bytes" else "; 10 of its pictures are other files here"
    assert done.differs == f"10 of its samples have other names here{others}"


def test_the_same_bytes_and_names_give_the_same_release(patch: Path, tmp_path: Path) -> None:
    there = get_release(Workspace.open(patch.parent / "workspace"), "v1")
    ws = workspace_of(tmp_path, {key: coded(face) for key, face in zip(KEYS, FACES, strict=True)}, LABELS)
    done = apply(ws, patch)
    assert (done.same, done.differs) == (True, None)
    assert (done.fingerprint, done.content) == (there.fingerprint, there.config["content"])
    made = get_release(ws, "v1")
    assert (made.policy, made.config["ambiguous"], made.config["reviewers"]) == ("decisions", "keep", [])
    assert made.config["patch"]["sources"][0]["fingerprint"] == there.fingerprint
    assert made.config["changelog"]["flows"][0]["by"] == {"patch": 3}
    again = apply(ws, patch)
    assert (again.name, again.unchanged_since) == ("v1", made.created_at)
    # and it is taken back as any other
    assert revert(ws, "original", "v1", Part(), reviewer="bo").reverted == 9


def test_a_dry_run_writes_nothing(patch: Path, tmp_path: Path) -> None:
    ws = copy_of(tmp_path, lambda number: coded(FACES[number]))
    planned = apply(ws, patch, dry_run=True)
    assert len(planned.changes) == 9
    assert not ws.releases.exists()
    with pytest.raises(UsageError, match="there is no release"):
        get_release(ws, "v1")


def test_the_patch_of_a_difference_leads_from_the_one_to_the_other(tmp_path: Path) -> None:
    pictures = {key: coded(face) for key, face in zip(KEYS, FACES, strict=True)}
    first = workspace_of(tmp_path / "a", pictures, LABELS)
    said(first, KEYS[0], "relabel", "fear")
    said(first, KEYS[1], "exclude")
    release(first, "v1")
    said(first, KEYS[0], "keep")
    said(first, KEYS[1], "keep")
    said(first, KEYS[2], "relabel", "anger")
    release(first, "v2")
    export(first, form="patch", release="v1", out=tmp_path / "to-v1")
    export(first, form="patch", release="v2", since="v1", out=tmp_path / "from-v1")
    assert len(read_patch(tmp_path / "from-v1").lines) == 3
    # upon the release itself
    again = apply(first, tmp_path / "from-v1")
    assert (again.name, again.onto, again.same) == ("v2", "v1", True)
    # and upon another copy, one after the other
    other = workspace_of(tmp_path / "b", {f"x{key}": data for key, data in pictures.items()}, LABELS)
    with pytest.raises(UsageError, match=r"leads on from the release 'v1', and none here says the same"):
        apply(other, tmp_path / "from-v1")
    apply(other, tmp_path / "to-v1")
    assert apply(other, tmp_path / "from-v1").undone == []
    assert labels_of(other, "v2") == labels_of(first, "v2")
    assert diff(other, "v1", "v2").as_dict()["relabelled"] == 2


def lines_of(done: ApplySummary) -> dict[str, str]:
    return {row["source_key"]: row["why"] for row in done.undone}


def test_what_is_not_here_is_missed_and_listed(patch: Path, tmp_path: Path) -> None:
    ws = workspace_of(
        tmp_path, {f"{n}.jpg": coded(FACES[n], form="JPEG") for n in range(24) if n != 4},
        [LABELS[n] for n in range(24) if n != 4],
    )  # fmt: skip
    done = apply(ws, patch, undone_to=tmp_path / "undone.csv")
    assert (done.missed, done.doubtful, sum(done.matched.values())) == (1, 0, 9)
    assert lines_of(done) == {KEYS[4]: "no picture here looks like it"}
    listed = pd.read_csv(tmp_path / "undone.csv")
    assert listed["source_key"].tolist() == [KEYS[4]]
    nothing = workspace_of(tmp_path / "c", {"x": coded(scene(99))}, ["fear"])
    with pytest.raises(BadDataError, match="none of the 10 samples of patch is here"):
        apply(nothing, patch)


def test_of_two_copies_here_none_is_taken_unless_name_or_label_tells(patch: Path, tmp_path: Path) -> None:
    pictures = {f"{n}.jpg": coded(FACES[n], form="JPEG") for n in range(24)}
    labels = [*LABELS, LABELS[2], "happiness", LABELS[6]]
    pictures |= {"2 again.jpg": coded(FACES[2], form="JPEG", quality=95)}  # the same label: nobody can tell
    pictures |= {"4 again.jpg": coded(FACES[4], form="JPEG", quality=95)}  # another label
    pictures |= {KEYS[6]: coded(FACES[6], form="JPEG", quality=95)}  # the name that it has there
    assert LABELS[4] != "happiness"
    ws = workspace_of(tmp_path, pictures, labels)
    done = apply(ws, patch)
    assert lines_of(done) == {KEYS[2]: "2 pictures here could be it"}
    assert set(done.undone[0]["here"]) == {"2.jpg", "2 again.jpg"}
    items = get_release_items(ws, "v1")
    changed = dict(zip(get_samples(ws)["source_key"], items["label"] != items["given_label"], strict=True))
    assert [changed[key] for key in ("2.jpg", "2 again.jpg", "4.jpg", "4 again.jpg", "6.jpg", KEYS[6])] == [
        False, False, True, False, False, True,
    ]  # fmt: skip


def test_a_picture_that_is_labelled_otherwise_here_is_left_alone(patch: Path, tmp_path: Path) -> None:
    labels = ["happiness" if n == 0 else label for n, label in enumerate(LABELS)]
    ws = copy_of(tmp_path, lambda number: coded(FACES[number]), labels=labels)
    done = apply(ws, patch)
    assert lines_of(done) == {KEYS[0]: "labelled happiness here, anger there"}
    assert labels_of(ws, "v1")[0] == "happiness"


def test_what_is_quarantined_here_stays_out_and_a_label_that_could_not_be_read_is_mended(tmp_path: Path) -> None:
    first, other = small(tmp_path / "a"), small(tmp_path / "b")
    decide(first, "train_00001", "relabel", "fear")
    decide(first, "train_00002", "relabel", "fear")
    decide(first, "test_0001", "exclude")
    release(first.ws, "v1")
    export(first.ws, form="patch", release="v1", out=tmp_path / "patch")
    kept = other.path("test_0001").read_bytes()
    other.path("train_00001").unlink()
    other.path("test_0001").unlink()
    export(other.ws, form="image_folder", release="original", out=tmp_path / "x")  # which sets it aside
    done = apply(other.ws, tmp_path / "patch")
    assert (done.barred, [c["source_key"] for c in done.changes]) == (1, ["train_00002"])
    assert lines_of(done)["train_00001"].startswith("quarantined here: file: missing")
    # what is left out there, too, was no picture of this set: no difference, and not published with its test split
    assert [c["source_key"] for c in diff(other.ws, "original", "v1").changes] == ["train_00002"]
    other.path("test_0001").write_bytes(kept)
    assert "test_0001" not in set(read_content(other.ws, "v1").rows["source_key"])


def test_upon_a_release_of_ones_own_only_what_it_does_not_contradict_is_done(patch: Path, tmp_path: Path) -> None:
    ws = copy_of(tmp_path, lambda number: coded(FACES[number]))
    said(ws, "0.jpg", "relabel", "happiness")  # the patch says fear
    said(ws, "2.jpg", "relabel", "anger")  # as the patch does
    said(ws, "3.jpg", "exclude")  # the patch says nothing
    said(ws, "4.jpg", "keep")  # the patch says happiness
    release(ws, "own")
    done = apply(ws, patch, onto="own", name="both")
    decided = "decided here: keep (fear); --prefer PATCH lets the patch go first"
    assert lines_of(done) == {
        KEYS[0]: "happiness here already, where the patch leads on from anger", KEYS[4]: decided,
    }  # fmt: skip
    assert labels_of(ws, "both")[:5] == ["happiness", "fear", "anger", None, "fear"]
    # a decision here that no release holds goes before a patch, too, unless that is preferred
    assert set(lines_of(apply(ws, patch, dry_run=True))) == {KEYS[0], KEYS[4]}
    assert apply(ws, patch, prefer=patch, dry_run=True).undone == []
    # also where the label is the same, and the patch lets it count for less
    told = [json.loads(line) for line in (patch / FILE).read_text("ascii").splitlines()]
    told = [one | {"label": "fear", "weight": 0.5} if one.get("source_key") == KEYS[4] else one for one in told]
    with pytest.raises(BadDataError, match=r"jsonl does not agree with itself: .* changed since it was written; get"):
        apply(ws, written(tmp_path / FILE, *told), onto="own", dry_run=True)
    del told[0]["digest"]  # as if it had been written so
    written(tmp_path / FILE, *told)
    less = lines_of(apply(ws, tmp_path / FILE, onto="own", dry_run=True))[KEYS[4]]
    assert less.startswith("decided here: keep (fear, weight 1, where the patch has 0.5); --prefer PATCH")


def test_what_differs_outside_the_patch_is_told(
    patch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = {key: coded(face) for key, face in zip(KEYS, FACES, strict=True)}
    ws = workspace_of(tmp_path, pictures | {"one more": coded(scene(99))}, [*LABELS, "fear"])
    assert run(["apply", str(patch), "--to", str(ws.root)]) == 0
    outside = "samples outside the patch differ, by given labels: train, fear: 9 here, 8 there"
    assert f"not sample for sample the patch's release, since {outside}" in capsys.readouterr().out


def test_other_classes_are_refused_and_another_order_of_them_is_none(patch: Path, tmp_path: Path) -> None:
    ws = workspace_of(tmp_path / "a", {"x": coded(FACES[0])}, ["fear"], classes=("fear", "joy", "anger"))
    with pytest.raises(BadDataError, match=r"patch\.jsonl, line 1: its classes are .* it is a patch of another set"):
        apply(ws, patch)
    pictures = {key: coded(face) for key, face in zip(KEYS, FACES, strict=True)}
    turned = workspace_of(tmp_path / "b", pictures, LABELS, classes=CLASSES[::-1])
    apply(turned, patch)
    soft = [one for one in get_release_items(turned, "v1")["soft_label"] if one is not None]
    assert [list(one) for one in soft] == [[0.0, 0.75, 0.25]]


def test_a_patch_leads_on_from_what_says_the_same_before_what_was_made_of_its_patch() -> None:
    said = SimpleNamespace(name="v1", config={"content": "a"})
    partly = SimpleNamespace(name="mine", config={"content": "b", "patch": {"leads_to": "a", "asked": False}})
    elsewhere = SimpleNamespace(name="else", config={"content": "c", "patch": {"leads_to": "a", "asked": True}})
    assert _base(("v1", "a"), [said, partly, elsewhere]) == "v1"
    assert _base(("v1", "a"), [partly, elsewhere]) == "mine"
    with pytest.raises(UsageError, match="none here says the same"):
        _base(("v1", "a"), [elsewhere])


def test_a_taken_name_is_not_taken_again(patch: Path, tmp_path: Path) -> None:
    ws = copy_of(tmp_path, lambda number: coded(FACES[number]))
    release(ws, "v1")
    assert apply(ws, patch).name == "2.0.0"
    with pytest.raises(UsageError, match="'v1' is frozen since"):
        apply(ws, patch, name="v1")


def test_the_verb_lists_what_was_not_done_and_names_the_next(
    patch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ws = copy_of(tmp_path, lambda number: coded(FACES[number] if number != 4 else scene(99), form="JPEG"))
    assert run(["apply", str(patch / FILE), "--to", str(ws.root)]) == 0
    told = capsys.readouterr()
    assert "9 of 10 lines matched (9 by perceptual)" in told.out
    assert "nothing was done with 1 missed" in told.out
    assert f"next: ferclean -w {ws.root} diff original v1" in told.err
    assert run(["apply", str(patch), "--to", str(ws.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missed"] == 1
    assert content_digest(get_release_items(ws, "v1")) == get_release(ws, "v1").config["content"]
