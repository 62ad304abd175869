"""A patch of somebody else's: whatever ferclean does not write is refused with its line and the way out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.exports.patch import digest_begun
from ferclean.parts.patch_file import MOST_BYTES, read_patch

HASH = "ab" * 32
HEADER: dict[str, Any] = {
    "format": "ferclean-patch", "format_version": 1, "written_by": "ferclean 0.1.0", "dataset": "faces",
    "about": {"title": "Faces", "homepage": "", "citation": ""}, "licence": "research-only",
    "classes": ["anger", "fear", "sadness"], "perceptual": "wave-order-256",
    "since": {"release": "original", "content": None}, "lines": 2,
    "sources": [
        {
            "release": "v1", "version": "1.0.0", "policy": "decisions", "fingerprint": "ab12", "content": HASH,
            "rules": {"threshold": None, "ambiguous": "keep", "unmended": None, "unusable_above": None},
            "given": {"train": {"anger": 5, "fear": 3, "sadness": 0}},
        }
    ],
}  # fmt: skip
LINE: dict[str, Any] = {
    "source_key": "a.png", "split": "train", "content_hash": HASH, "pixel_hash": HASH, "perceptual_hash": HASH,
    "given_label": "anger", "old_label": "anger", "label": "fear", "included": True, "weight": 1.0,
    "soft_label": None, "reason": "decision: relabel", "verdict": None,
}  # fmt: skip


def written(path: Path, *lines: Any) -> Path:
    """With the digest that fits, where the header tells none."""
    coded = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines]
    if lines and isinstance(lines[0], dict):
        digest = digest_begun(lines[0])
        digest.update(b"".join(one + b"\n" for one in coded[1:]))
        coded[0] = json.dumps({"digest": digest.hexdigest()} | lines[0]).encode()
    path.write_bytes(b"".join(one + b"\n" for one in coded))
    return path


def of_source(head: dict[str, Any], **said: Any) -> dict[str, Any]:
    return head | {"sources": [head["sources"][0] | said]}


def of_rules(head: dict[str, Any], **said: Any) -> dict[str, Any]:
    return of_source(head, rules=head["sources"][0]["rules"] | said)


def test_what_is_written_is_read_also_by_its_folder(tmp_path: Path) -> None:
    other = LINE | {"source_key": "train/fear/b.png", "soft_label": [0.5, 0.25, 0.25], "weight": 0}
    for patch in (read_patch(written(tmp_path / "patch.jsonl", HEADER, LINE, other)), read_patch(tmp_path)):
        assert (patch.name, patch.since, patch.classes) == ("v1", ("original", None), ("anger", "fear", "sadness"))
        assert [line.source_key for line in patch.lines] == ["a.png", "train/fear/b.png"]
        assert patch.lines[1].says() == ("fear", True, 0.0, (0.5, 0.25, 0.25))
    with pytest.raises(UsageError, match=r"no patch at .*gone: give the file that `ferclean export"):
        read_patch(tmp_path / "gone")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"source_key": ', "line 3 is no JSON of a patch"),
        (b"[" * 50_000, "line 3 is no JSON of a patch"),
        (b"\xff\xfe", "line 3 is no JSON of a patch"),
        (b'{"weight": 1, "weight": 0}', "a name comes twice"),
        (b"[]", "line 3 is no JSON object"),
        (b" " * (MOST_BYTES + 1), "line 3 is longer than 65,536 bytes"),
        ({}, "line 3 lacks soft_label"),
        ({"label": "joy"}, "label is 'joy', not a class of the header"),
        ({"old_label": 3}, "old_label is 3"),
        ({"split": "trian"}, "split is 'trian'.*did you mean 'train'"),
        ({"split": ["train"]}, r"split is \['train'\]"),
        ({"content_hash": "AB" * 32}, "content_hash is .*64 hex digits"),
        ({"content_hash": HASH[:-1]}, "64 hex digits"),
        ({"perceptual_hash": "zz" * 32}, "perceptual_hash is"),
        ({"pixel_hash": 10**40}, "pixel_hash is"),
        ({"soft_label": [0.5, 0.5]}, "soft_label is .*3 chances that sum to 1"),
        ({"soft_label": [0.5, 0.5, 0.5]}, "3 chances that sum to 1"),
        ({"soft_label": [2, -1, 0]}, "3 chances that sum to 1"),
        ({"soft_label": ["1", 0, 0]}, "3 chances that sum to 1"),
        ({"soft_label": [True, 0, 0]}, "3 chances that sum to 1"),
        (json.dumps(LINE).replace("null", "[NaN, 0, 0]", 1).encode(), "NaN is no number"),
        (json.dumps(LINE).replace("1.0", "1e999").encode(), "weight is inf"),
        (json.dumps(LINE).replace("1.0", "Infinity").encode(), "Infinity is no number"),
        ({"weight": 1.5}, "weight is 1.5, not a number from 0 to 1"),
        ({"included": 1}, "included is 1, not true or false"),
        ({"label": None}, "takes in a sample without a label"),
        ({"source_key": "/etc/passwd"}, "source_key is '/etc/passwd'"),
        ({"source_key": "../a.png"}, "leads out of no folder"),
        ({"source_key": "x\\..\\a.png"}, "leads out of no folder"),
        ({"source_key": "C:\\a.png"}, "leads out of no folder"),
        ({"source_key": "~/a.png"}, "leads out of no folder"),
        ({"source_key": "a\0.png"}, "source_key is"),
        ({"source_key": ""}, "source_key is ''"),
        ({"source_key": "a\ud800"}, r"source_key is 'a\\ud800', not a name or path in UTF-8"),
        ({"reason": "a\ud800"}, "reason is .*, not words in one line"),
        ({"reason": "a\nb"}, "reason is .*, not words in one line"),
        ({"label_2": "fear"}, r"line 3 has fields that no patch of this version has \('label_2'\)"),
        ({"verdict": "wrong"}, "verdict is 'wrong', not one of mislabelled"),
        ({"reason": {"a": 1}}, "reason is"),
        ({"content_hash": None, "pixel_hash": None, "perceptual_hash": None}, "no hash by which"),
        ({"source_key": "a.png"}, "line 3 is about the same sample as line 2"),
    ],
)  # fmt: skip
def test_a_hostile_line_is_refused_with_its_number(tmp_path: Path, line: Any, says: str) -> None:
    if isinstance(line, dict) and line:
        line = LINE | {"source_key": "b.png"} | line
    with pytest.raises(BadDataError, match=says) as refused:
        read_patch(written(tmp_path / "x.jsonl", HEADER, LINE, line))
    assert "line 3" in str(refused.value)
    assert "export it again" in str(refused.value)
    assert len(str(refused.value)) < 700


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda head: {}, "line 1 is not the header of a patch"),
        (lambda head: head | {"format_version": 2}, "version 2, and this ferclean reads 1: use the ferclean that"),
        (lambda head: head | {"perceptual": "phash"}, "perceptual hashes 'phash'"),
        (lambda head: head | {"classes": ["anger", "anger"]}, "classes is .* a list of different names"),
        (lambda head: head | {"classes": "anger"}, "a list of different names"),
        (lambda head: head | {"since": {"release": "v0", "content": None}}, "since is"),
        (lambda head: head | {"since": 3}, "since is 3"),
        (lambda head: head | {"sources": []}, "sources is"),
        (lambda head: head | {"sources": [{"release": "v1"}, 1]}, "of the release 'v1' it lacks content, finger"),
        (
            lambda head: head | {"sources": [{k: v for k, v in head["sources"][0].items() if k != "given"}]},
            "of the release 'v1' it lacks given, as patches of an earlier .*: make it again .`ferclean export --form",
        ),
        (lambda head: head | {"lines": -1}, "lines is -1"),
        (lambda head: head | {"lines": 3}, "has 2 lines after its header, which says 3: it was cut off"),
        (lambda head: head | {"digest": "cd" * 32}, "does not agree with itself: line 1 tells the digest cdcdcdcdcdcd"),
        (lambda head: head | {"digest": None}, "digest is None, not 64 hex digits"),
        (lambda head: head | {"about": {"title": 1}}, "about is"),
        (lambda head: head | {"dataset": ""}, "dataset is"),
        (lambda head: head | {"dataset": "a\x1b[31m"}, "dataset is"),
        (lambda head: head | {"licence": "a\ud800"}, "licence is"),
        (lambda head: head | {"classes": ["anger", "fear", "sad\nness"]}, "classes is"),
        (lambda head: head | {"format_version": True}, "format version True"),
        (lambda head: head | {"written_by": ["x"]}, "written_by is"),
        (lambda head: head | {"lines": 10**40}, "lines is 10"),
        (lambda head: head | {"colour": 1}, r"line 1 has fields that .* \('colour'\)"),
        (lambda head: head | {"since": head["since"] | {"colour": 1}}, "since is"),
        (lambda head: of_source(head, colour=1), "sources is"),
        (lambda head: of_source(head, release="v\ud800"), "sources is"),
        (lambda head: of_source(head, version=["1"]), "sources is"),
        (lambda head: of_source(head, rules={}), "sources is"),
        (lambda head: of_source(head, given={"train": {"anger": 1}}), "sources is"),
        (lambda head: of_source(head, given={"train": {"anger": 1.5, "fear": 3, "sadness": 0}}), "sources is"),
        (lambda head: of_source(head, given={"dev": {}}), "sources is"),
        (lambda head: of_rules(head, threshold="abc"), "sources is"),
        (lambda head: of_rules(head, unusable_above=True), "sources is"),
        (lambda head: of_rules(head, ambiguous=0.5), "sources is"),
        (lambda head: of_rules(head, unmended="hard"), "sources is"),
        (lambda head: of_rules(head, colour=None), "sources is"),
    ],
)  # fmt: skip
def test_a_hostile_header_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], says: str
) -> None:
    with pytest.raises(BadDataError, match=says):
        read_patch(written(tmp_path / "x.jsonl", change(HEADER), LINE, LINE | {"source_key": "b"}))


@pytest.mark.parametrize(
    "value", [None, True, -1, 10**400, "a\ud800", "a\x00\n", "x" * 5000, [[]], [None], {"a": 1}], ids=str
)
def test_whatever_stands_in_a_field_is_taken_or_refused_in_one_line(tmp_path: Path, value: Any) -> None:
    for which, one in enumerate((HEADER | {"lines": 1}, LINE | {"soft_label": [0.5, 0.25, 0.25]})):
        for place in places(one):
            objects: list[Any] = [HEADER | {"lines": 1}, LINE]
            objects[which] = put(one, place, value)
            try:
                read_patch(written(tmp_path / "x.jsonl", *objects))
            except BadDataError as error:
                told = str(error)
                assert told.isprintable(), place
                assert "x.jsonl" in told, place
                assert len(told) < 700, place
                continue
            # what is taken can be stored
            json.dumps(objects, ensure_ascii=False, allow_nan=False).encode("utf-8")


def places(one: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
    for name, value in inside:
        yield (*above, name)
        yield from places(value, (*above, name))


def put(one: Any, place: tuple[Any, ...], value: Any) -> Any:
    changed = one.copy()
    changed[place[0]] = value if len(place) == 1 else put(one[place[0]], place[1:], value)
    return changed


def test_shares_are_read_as_an_export_writes_them(tmp_path: Path) -> None:
    told = LINE | {"weight": -0.0, "soft_label": [0.3333333333, 0.6666666667, -0.0]}
    (line,) = read_patch(written(tmp_path / "x.jsonl", HEADER | {"lines": 1}, told)).lines
    assert str((line.weight, line.soft_label)) == "(0.0, (0.333333, 0.666667, 0.0))"


def test_an_empty_file_is_no_patch(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="line 1 is not the header of a patch"):
        read_patch(written(tmp_path / "x.jsonl"))
