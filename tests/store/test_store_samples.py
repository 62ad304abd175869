"""Samples: nothing that was given may change, vanish or leave the data set's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ferclean import hashes
from ferclean.errors import BadDataError, FercleanError, UsageError
from ferclean.store import pictures
from ferclean.store import samples as room
from ferclean.store.votes import get_votes
from ferclean.store.workspace import Workspace
from tests.bare_workspace import CLASSES, bare, dataset, sample


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "w")
    room.put_dataset(made, dataset(tmp_path))
    return made


def test_a_sample_id_depends_on_data_set_key_and_content_alone() -> None:
    first = room.make_sample_id("rafdb", "train_00001", "abc")
    assert first == "0dbb9ad9c026f96e97b1"
    others = [("x", "train_00001", "abc"), ("rafdb", "train_00002", "abc"), ("rafdb", "train_00001", "abd")]
    assert len({first, *(room.make_sample_id(*other) for other in others)}) == 4


def test_the_data_set_comes_back_as_it_was_put(ws: Workspace, tmp_path: Path) -> None:
    assert room.get_dataset(ws) == dataset(tmp_path)


def test_an_empty_workspace_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is empty; fill it with"):
        room.get_dataset(Workspace.create(tmp_path))


@pytest.mark.parametrize("change", [{"name": "other"}, {"classes": CLASSES[::-1]}])
def test_another_data_set_or_order_of_classes_is_refused(ws: Workspace, change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="-w NEW ingest"):
        room.put_dataset(ws, dataset(**change))


def test_the_same_data_set_may_come_from_a_folder_that_moved(ws: Workspace, tmp_path: Path) -> None:
    room.put_dataset(ws, dataset(tmp_path / "moved"))
    assert room.get_dataset(ws).root == str(tmp_path / "moved")


def test_samples_come_back_in_their_order_with_everything_that_was_given(ws: Workspace, tmp_path: Path) -> None:
    given = [
        sample("z", attributes={"age": 3, "name": "ü\n<b>"}),
        sample("a", split="test", given_label=None, quarantine_reason="label: 9 is no class", relative_path=None),
        sample("m", location="workspace", relative_path="m.png", width=None, height=None, contrast=None),
    ]
    assert room.put_samples(ws, given) == room.PutSummary(added=3, unchanged=0)
    everything = room.get_samples(ws, include_quarantined=True)
    assert list(everything["source_key"]) == ["z", "a", "m"]
    assert list(everything["position"]) == [0, 1, 2]
    assert list(everything["path"]) == [str(tmp_path / "z.png"), None, str(ws.root / "images" / "m.png")]
    assert everything["attributes"][0] == {"age": 3, "name": "ü\n<b>"}
    assert everything["given_label"][1] is None
    assert list(room.get_samples(ws)["source_key"]) == ["z", "m"]
    assert list(room.get_samples(ws, splits=["test"], include_quarantined=True)["source_key"]) == ["a"]
    assert list(room.get_samples(ws, splits=[]).columns) == list(everything.columns)


def test_exact_duplicates_stay_separate_rows_even_with_different_labels(ws: Workspace) -> None:
    room.put_samples(ws, [sample("1", content_hash="h"), sample("2", content_hash="h", given_label="anger")])
    table = room.get_samples(ws)
    assert table["content_hash"].nunique() == 1
    assert table["sample_id"].nunique() == 2


def test_putting_the_same_rows_again_changes_nothing_and_new_ones_come_behind(ws: Workspace) -> None:
    room.put_samples(ws, [sample("a"), sample("b")])
    assert room.put_samples(ws, [sample("c"), sample("b"), sample("a")]) == room.PutSummary(added=1, unchanged=2)
    assert list(room.get_samples(ws)["source_key"]) == ["a", "b", "c"]


@pytest.mark.parametrize("second", [sample("a"), sample("a", content_hash="other")])
def test_a_source_key_that_comes_twice_is_refused_so_that_no_row_vanishes(ws: Workspace, second: room.Sample) -> None:
    with pytest.raises(BadDataError, match="come more than once, first 'a'"):
        room.put_samples(ws, [sample("a"), second])
    assert len(room.get_samples(ws)) == 0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"given_label": "anger"}, r"given label .*'b' \(fear, now anger\)"),
        ({"given_label": "anger", "content_hash": "other"}, r"given label .*'b' \(fear, now anger\)"),
        ({"given_label": None, "quarantine_reason": "label: unknown"}, r"given label .*'b' \(fear, now none\)"),
        ({"split": "test"}, r"split .*'b' \(train, now test\)"),
    ],
)
def test_given_labels_and_splits_are_immutable(ws: Workspace, change: dict[str, Any], what: str) -> None:
    room.put_samples(ws, [sample("a"), sample("b")])
    with pytest.raises(BadDataError, match=rf"1 rows come with another {what}.*-w NEW ingest.*decide --from-file"):
        room.put_samples(ws, [sample("new"), sample("b", **change)], present={"new", "b"})
    assert list(room.get_samples(ws)["source_key"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"split": "dev"}, "unknown split 'dev'"),
        ({"given_label": "joy"}, "unknown class 'joy'; tiny has surprise, fear, anger"),
        ({"given_label": None}, "no given label and no quarantine reason"),
        ({"location": "moon"}, "unknown location 'moon'"),
        ({"votes": {"fear": -1}}, "below 0"),
    ],
)
def test_rows_that_make_no_sense_are_named(ws: Workspace, change: dict[str, Any], what: str) -> None:
    with pytest.raises(BadDataError, match=what):
        room.put_samples(ws, [sample("a", **change)])


def test_votes_come_back_by_name_and_can_be_added_later_but_not_changed(ws: Workspace) -> None:
    room.put_samples(ws, [sample("a", votes={"fear": 7, "unknown": 3, "anger": 0}), sample("b")])
    late = [sample("a", votes={"fear": 7, "unknown": 3}), sample("b", votes={"anger": 10})]
    assert room.put_samples(ws, late) == room.PutSummary(added=0, unchanged=2, votes_added=1)
    votes = get_votes(ws)
    assert list(zip(votes["label"], votes["count"], strict=True)) == [("fear", 7), ("unknown", 3), ("anger", 10)]
    with pytest.raises(BadDataError, match="other votes than at the first ingest"):
        room.put_samples(ws, [sample("b", votes={"anger": 9})])


def test_a_sample_is_found_by_its_id_or_its_key(ws: Workspace) -> None:
    room.put_samples(ws, [sample("a"), sample("b")])
    identity = room.make_sample_id("tiny", "b", "hash of b")
    assert room.find_sample(ws, "b") == room.find_sample(ws, identity) == identity
    assert room.find_samples(ws, ["b", "a", identity])[::2] == [identity, identity]
    with pytest.raises(UsageError, match="2 of 3 are neither a sample id nor a source key, first 'x', 'y'"):
        room.find_samples(ws, ["x", "b", "y"])


def test_a_key_that_is_also_another_samples_id_is_refused(ws: Workspace) -> None:
    identity = sample("a").sample_id
    room.put_samples(ws, [sample("a"), sample(identity)])
    with pytest.raises(UsageError, match="several samples answer"):
        room.find_sample(ws, identity)


def test_the_fingerprint_follows_labels_and_rows_but_not_their_order(tmp_path: Path) -> None:
    def of(*given: room.Sample, splits: list[str] | None = None) -> str:
        place = Workspace.create(tmp_path / str(len(list(tmp_path.iterdir()))))
        room.put_dataset(place, dataset())
        room.put_samples(place, given)
        return room.fingerprint(place, splits=splits)

    a, b = sample("a"), sample("b", split="test")
    assert of(a, b) == of(b, a)
    assert of(a, replace(b, given_label="anger")) != of(a, b)
    assert of(a, replace(b, given_label="anger"), splits=["train"]) == of(a, splits=["train"])
    assert of(a, replace(b, quarantine_reason="file: empty")) == of(a)


def test_image_bytes_are_those_of_the_file_in_the_source_or_in_the_workspace(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"from the source")
    ws.images.mkdir()
    (ws.images / "b.png").write_bytes(b"from the workspace")
    a = sample("a", content_hash=hashes.of_bytes(b"from the source"))
    b = sample("b", content_hash=hashes.of_bytes(b"from the workspace"), location="workspace")
    c = sample("c", relative_path=None)
    room.put_samples(ws, [a, b, replace(c, quarantine_reason="file: missing")])
    assert pictures.image_bytes(ws, a.sample_id) == b"from the source"
    assert pictures.image_bytes(ws, b.sample_id) == b"from the workspace"
    with pytest.raises(FercleanError, match=r"has no picture \(file: missing\)"):
        pictures.image_bytes(ws, c.sample_id)
    with pytest.raises(UsageError, match="unknown sample"):
        pictures.image_bytes(ws, "nobody")


@pytest.mark.parametrize("kind", ["link", "dots", "absolute", "loop", "gone", "nul"])
def test_a_picture_outside_the_data_set_is_never_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "set"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to(root / "loop")
    place = {"dots": "../secret", "absolute": str(tmp_path / "secret"), "nul": "a\0b"}.get(kind, kind)
    ws = Workspace.create(tmp_path / "w")
    room.put_dataset(ws, dataset(root))
    one = sample("a", relative_path=place)
    room.put_samples(ws, [one])
    with pytest.raises(FercleanError, match=r"lies outside|cannot be read"):
        pictures.image_bytes(ws, one.sample_id)


def test_a_data_set_behind_a_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_bytes(b"face")
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    ws = Workspace.create(tmp_path / "w")
    room.put_dataset(ws, dataset(tmp_path / "alias"))
    one = sample("a", content_hash=hashes.of_bytes(b"face"))
    room.put_samples(ws, [one])
    assert pictures.image_bytes(ws, one.sample_id) == b"face"


def test_many_rows_are_put_and_read_in_one_go(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path, 5000)
    assert list(room.get_samples(ws)["sample_id"]) == ids
