"""Patches merge as sets do: in any order, grouping and number; and what they contradict each other about is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import coded, said, scene, workspace_of
from test_patch_file import HEADER, LINE, written

from ferclean.cli import run
from ferclean.errors import FercleanError, UsageError
from ferclean.evidence.splits import group_ids
from ferclean.exports.patch import FILE
from ferclean.exports.target import MANIFEST
from ferclean.parts import patch_merging
from ferclean.parts.patch_file import Line, Patch, read_patch
from ferclean.parts.patch_merging import PEOPLE, merged
from ferclean.steps.apply import apply
from ferclean.steps.export import export
from ferclean.steps.merge import merge
from ferclean.steps.release import release
from ferclean.store.releases import get_release, get_release_items

CLASSES = ("anger", "fear", "sadness")
REASONS = (None, "decision: relabel", "decision: exclude", "automatic: suggested label (p 0.900)")


@st.composite
def patches(draw: st.DrawFn, name: str) -> Patch:
    """A patch about some of six samples, two of each picture, as a lab might write it, in an own order of classes."""
    lines = []
    for number in sorted(draw(st.sets(st.integers(0, 5)))):
        label, included = draw(st.sampled_from(CLASSES)), draw(st.booleans())
        soft = draw(st.sampled_from([None, (1.0, 0.0, 0.0), (0.0, 0.25, 0.75)]))
        lines.append(
            Line(
                number=len(lines) + 2, source_key=f"k{number % 3}", split="train", content_hash=f"{number // 2:064x}",
                pixel_hash=None, perceptual_hash=None, given_label="anger", old_label="anger", label=label,
                included=included, weight=draw(st.sampled_from([1.0, 0.5])), soft_label=soft,
                reason=draw(st.sampled_from(REASONS)), verdict=draw(st.sampled_from([None, "clean", "mislabelled"])),
                plain=(label, soft) == ("anger", (1.0, 0.0, 0.0)),
            )
        )  # fmt: skip
    order = draw(st.permutations(CLASSES))
    source = HEADER["sources"][0] | {"release": draw(st.sampled_from(["v1", "v2"])), "fingerprint": name}
    header = HEADER | {"classes": list(order), "lines": len(lines), "sources": [source]}
    return Patch(path=Path(name), header=header, lines=lines)


def union(*of: Patch, prefer: int | str | None = None) -> Any:
    """The merged patch, or None where they contradict each other."""
    try:
        header, lines = merged(of, prefer)
    except FercleanError:
        return None
    return Patch(path=Path("merged"), header=header, lines=lines)


def same(one: Patch | None, other: Patch | None) -> bool:
    """Whether two patches say the same in the same words, wherever the lines stood."""
    if one is None or other is None:
        return one is other
    return one.header == other.header and [replace(line, number=0) for line in one.lines] == [
        replace(line, number=0) for line in other.lines
    ]


@given(patches("a"), patches("b"), patches("c"))
def test_a_merge_is_the_same_in_any_order_grouping_and_number(a: Patch, b: Patch, c: Patch) -> None:
    both = union(a, b)
    assert same(both, union(b, a))
    assert same(union(a, a), union(a))
    if both is not None:
        assert same(union(both, b), both)
        assert same(union(both, c), union(a, b, c))
    right = union(b, c)
    if right is not None:
        assert same(union(a, right), union(a, b, c))
    # a contradiction is one between two of them, in whatever order they come; the third may show that names are twins
    apart = [pair for pair in ((a, b), (a, c), (b, c)) if union(*pair) is None]
    assert apart or union(a, b, c) is not None
    keys = [{(line.content_hash, line.source_key) for line in patch.lines} for patch in (a, b, c)]
    if not apart or keys[0] == keys[1] == keys[2]:
        assert (union(a, b, c) is None) == bool(apart)


@given(patches("a"), patches("b"))
def test_who_is_preferred_is_right_and_peoples_decisions_go_first(a: Patch, b: Patch) -> None:
    chosen = union(a, b, prefer=0)
    assert chosen is not None
    says = {line.sample(): line for line in chosen.lines}
    first = union(a).lines if a.classes < b.classes else union(a, replace_lines(b)).lines
    assert all(says[line.sample()].says() == line.says() for line in first)
    assert same(union(a, b, prefer=PEOPLE), union(b, a, prefer=PEOPLE))


def replace_lines(patch: Patch) -> Patch:
    """The patch without its lines: what is left is its order of classes."""
    return Patch(path=patch.path, header=patch.header | {"lines": 0}, lines=[])


def two(tmp_path: Path, first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]]) -> list[Path]:
    places = []
    for name, lines in (("ann", first), ("bo", second)):
        (tmp_path / name).mkdir(parents=True)
        source = HEADER["sources"][0] | {"release": name}
        head = HEADER | {"lines": len(lines), "sources": [source]}
        places.append(written(tmp_path / name / FILE, head, *lines).parent)
    return places


def test_contradictions_are_named_and_nothing_is_written_until_one_is_preferred(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = LINE | {"source_key": "b.png", "label": "sadness"}
    ann, bo = two(tmp_path, [LINE, other], [LINE, other | {"label": "fear", "reason": "automatic: x (p 0.9)"}])
    with pytest.raises(
        FercleanError, match=r"about 1 samples \(1 labels.*b\.png \(ann: sadness, bo: fear\); nothing was"
    ):
        merge([ann, bo], tmp_path / "both")
    assert not (tmp_path / "both").exists()
    around = str(ann / ".." / bo.name)
    for prefer, label in ((str(bo), "fear"), (around, "fear"), (str(ann / FILE), "sadness"), (PEOPLE, "sadness")):
        done = merge([ann, bo], tmp_path / "both", prefer=prefer, overwrite=True)
        assert (done.lines, done.shared) == (2, 2)
        assert read_patch(tmp_path / "both").lines[1].label == label
    with pytest.raises(UsageError, match=r"--prefer cy: no such patch is merged here; .*known: people"):
        merge([ann, bo], tmp_path / "x", prefer="cy")
    assert run(["merge", str(ann), str(bo), "--out", str(tmp_path / "y"), "--prefer", PEOPLE]) == 0
    assert "2 patches are one of 2 lines" in capsys.readouterr().out


def test_a_picture_of_two_names_is_one_sample_where_patches_contradict_each_other(tmp_path: Path) -> None:
    renamed = LINE | {"source_key": "b.png", "label": "sadness", "reason": "automatic: x (p 0.9)"}
    for number, change in enumerate(({}, {"content_hash": "cd" * 32})):  # the same bytes, or the same pixels alone
        ann, bo = two(tmp_path / str(number), [LINE], [renamed | change])
        for order in ([ann, bo], [bo, ann]):
            with pytest.raises(
                FercleanError, match=r"about 1 samples.*a\.png \(.*ann: a\.png fear.*bo: b\.png sadness"
            ):
                merge(order, tmp_path / "none")
        for prefer, key in ((str(bo), "b.png"), (PEOPLE, "a.png")):
            merge([ann, bo], tmp_path / "x", prefer=prefer, overwrite=True)
            assert [line.source_key for line in read_patch(tmp_path / "x").lines] == [key]
    # who says the same, or knows it under both names or of another given label, contradicts nobody
    for number, (one, other) in enumerate(
        [
            ([LINE], [renamed | {"label": "fear"}]),
            ([LINE, renamed], [renamed]),
            ([LINE], [renamed | {"given_label": None}]),
        ]
    ):
        merge(two(tmp_path / f"y{number}", one, other), tmp_path / f"z{number}")
        assert len(read_patch(tmp_path / f"z{number}").lines) == 2
    with pytest.raises(FercleanError, match=r"fear where it is given as anger, .*fear where it is given as None"):
        merge(two(tmp_path / "w", [LINE], [LINE | {"given_label": None}]), tmp_path / "none")
    with pytest.raises(FercleanError, match=r"\(1 labels or splits.*a\.png \(ann: fear in train, bo: fear in test\)"):
        merge(two(tmp_path / "v", [LINE], [LINE | {"split": "test"}]), tmp_path / "none")


def test_the_names_of_one_picture_are_joined_by_as_many_edges_not_by_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    def patch(name: str, label: str) -> Patch:
        lines = [
            Line(
                number=n + 2, source_key=f"{name}{n}", split="train", content_hash=f"{n:064x}", pixel_hash="ab" * 32,
                perceptual_hash="ab" * 32, given_label="anger", old_label="anger", label=label, included=True,
                weight=1.0, soft_label=None, reason=None, verdict=None,
            )
            for n in range(600)
        ]  # fmt: skip
        return Patch(path=Path(name), header=HEADER | {"lines": len(lines)}, lines=lines)

    edges: list[int] = []

    def joined(count: int, pairs: np.ndarray) -> np.ndarray:
        edges.append(len(pairs))
        return group_ids(count, pairs)

    monkeypatch.setattr(patch_merging, "group_ids", joined)
    with pytest.raises(FercleanError, match="about 1 samples"):
        merged([patch("ann", "fear"), patch("bo", "sadness")])
    assert edges == [600 + 1199]  # two names of the same bytes each, and all of the same pixels


def test_a_merged_patch_is_a_patch_and_the_same_bytes_in_either_order(tmp_path: Path) -> None:
    other = {"source_key": "b.png", "content_hash": "cd" * 32, "pixel_hash": "cd" * 32, "label": "sadness"}
    ann, bo = two(tmp_path, [LINE], [LINE | other])
    merge([ann, bo], tmp_path / "one")
    merge([bo, ann], tmp_path / "other")
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "other" / FILE).read_bytes()
    assert json.loads((tmp_path / "one" / MANIFEST).read_text("utf-8"))["form"] == "patch"
    assert read_patch(tmp_path / "one").name == "ann+bo"
    again = merge([tmp_path / "one", ann, bo], tmp_path / "again")
    assert (again.lines, again.shared) == (2, 2)
    # a person's label, in one lab's release without soft labels, in the other's with the label alone for one
    same, of = {"label": "fear", "soft_label": None}, {"label": "fear", "soft_label": [0.0, 1.0, 0.0]}
    merge(two(tmp_path / "soft", [LINE | same], [LINE | of]), tmp_path / "agreed")
    assert [line.soft_label for line in read_patch(tmp_path / "agreed").lines] == [None]
    with pytest.raises(FercleanError, match="contradict each other about 1 samples"):
        merge(two(tmp_path / "not", [LINE | same], [LINE | of | {"label": "anger"}]), tmp_path / "z")
    with pytest.raises(UsageError, match="two patches at least"):
        merge([ann], tmp_path / "z")
    later = two(tmp_path / "one", [LINE], [])[0]
    head = {"lines": 1, "sources": read_patch(later).sources}
    written(later / FILE, HEADER | head | {"since": {"release": "v0", "content": "cd" * 32}}, LINE)
    with pytest.raises(UsageError, match="apply one after the other"):
        merge([ann, later], tmp_path / "z")


def test_two_patches_make_the_same_release_in_either_order_also_from_differing_copies(tmp_path: Path) -> None:
    faces = [scene(seed) for seed in range(6)]
    labels = ["anger", "fear", "anger", "fear", "anger", "fear"]
    made = []
    for name, form, label in (("ann", "PNG", "happiness"), ("bo", "JPEG", "happiness"), ("cy", "PNG", "fear")):
        pictures = {f"{name}{n}": coded(face, form=form) for n, face in enumerate(faces)}
        ws = workspace_of(tmp_path / name, pictures, labels)
        said(ws, f"{name}0", "relabel", label)
        said(ws, f"{name}{3 if name == 'bo' else 4}", "exclude")
        said(ws, f"{name}{3 if name == 'cy' else 5}", "keep")
        release(ws, name)
        export(ws, form="patch", release=name, out=tmp_path / f"of-{name}")
        made.append(tmp_path / f"of-{name}")
    own = workspace_of(tmp_path / "own", {f"x{n}": coded(face, size=112) for n, face in enumerate(faces)}, labels)
    ann, bo, cy = made
    one, other = apply(own, [ann, bo], name="one"), apply(own, [bo, ann], name="other")
    assert (one.content, one.undone) == (other.content, [])
    items = get_release_items(own, "one")
    assert items["label"][0] == "happiness"
    assert items["included"].tolist() == [True, True, True, False, False, True]
    assert {source["release"] for source in get_release(own, "one").config["patch"]["sources"]} == {"ann", "bo"}
    with pytest.raises(FercleanError, match="contradict each other about 1 samples"):
        apply(own, [ann, cy], name="three")
    # that a label stays, which cy decided, contradicts a change of it too
    with pytest.raises(FercleanError, match=r"about 2 samples .*bo3 \(of-bo: bo3 left out, of-cy: cy3 fear\)"):
        apply(own, [bo, cy], name="three")
    with pytest.raises(FercleanError, match=r"--prefer which patch is right, since people decided about these"):
        apply(own, [bo, cy], name="three", prefer=PEOPLE)
    assert apply(own, [ann, cy], name="three", prefer=str(cy)).changes[0]["to"] == "fear"
