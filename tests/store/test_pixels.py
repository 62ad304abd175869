"""Decoded pictures are kept by content, in parts, and given back as they came."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ferclean import hashes
from ferclean.errors import FercleanError
from ferclean.store import pixels as room
from ferclean.store.pixels import Filling, PixelShelf
from ferclean.store.workspace import Workspace


def pictures(count: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    array = np.random.default_rng(seed).integers(0, 256, (count, 3, 5, 5), dtype=np.uint8)
    return [hashes.of_bytes(one.tobytes()) for one in array], array


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def shelf(ws: Workspace) -> PixelShelf:
    return PixelShelf(ws, size=5, channels=3)


def test_pictures_come_back_from_several_parts_in_the_order_asked_for(ws: Workspace) -> None:
    names, array = pictures(30)
    one = shelf(ws)
    assert not one.holds(names).any()
    one.put(names[:10], array[:10])
    one.put(names[10:25], array[10:25])
    order = np.random.default_rng(1).permutation(25)
    for reader in (one, shelf(ws)):
        assert reader.holds(names).tolist() == [True] * 25 + [False] * 5
        asked = [*order, order[0]]
        assert np.array_equal(reader.take([names[i] for i in asked]), array[asked])
    assert one.take([]).shape == (0, 3, 5, 5)
    with pytest.raises(KeyError, match=names[29]):
        one.take([names[3], names[29]])


def test_a_hash_that_ends_in_zeros_is_itself_alone(ws: Workspace) -> None:
    names = ["ab" * 31 + "00", "ab" * 30 + "0000", "ab" * 32]
    _, array = pictures(2)
    shelf(ws).put(names[:2], array)
    assert shelf(ws).holds(names).tolist() == [True, True, False]
    assert np.array_equal(shelf(ws).take([names[1]])[0], array[1])


def test_what_two_processes_fill_at_once_is_whole(ws: Workspace) -> None:
    names, array = pictures(6)
    one, other = shelf(ws), shelf(ws)
    one.put(names[:4], array[:4])
    other.put(names[2:], array[2:])
    other.put(names[:4], array[:4])  # the very same part once more
    assert len(list(shelf(ws).folder.iterdir())) == 2
    assert np.array_equal(shelf(ws).take(names), array)


def test_filling_writes_in_parts_holds_each_picture_once_and_takes_all_back(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "PART_BYTES", 75 * 4)
    names, array = pictures(10)
    shelf(ws).put(names[:1], array[:1])
    filler = Filling(shelf(ws))
    for name, one in [*zip(names, array, strict=True), (names[5], array[5])]:
        filler.add(name, one)
    filler.flush()
    parts = [np.load(part / "hashes.npy") for part in shelf(ws).folder.iterdir()]
    assert sorted(map(len, parts)) == [1, 2, 3, 4]
    assert len(np.unique(np.concatenate(parts), axis=0)) == 10
    assert np.array_equal(shelf(ws).take(names), array)
    again = Filling(shelf(ws))
    # another at the same time, which did not find the filler's parts yet
    monkeypatch.setattr(again._shelf, "holds", lambda asked: np.array([one == names[0] for one in asked]))
    for name, one in zip(names, array, strict=True):
        again.add(name, one)
    again.flush()
    again.take_back()  # what was there already is not its own
    assert shelf(ws).holds(names).all()
    filler.take_back()
    filler.take_back()  # what is gone is gone
    assert shelf(ws).holds(names).tolist() == [True] + [False] * 9
    assert [part.name for part in shelf(ws).folder.iterdir() if part.name.startswith(".")] == []


def test_a_spoilt_part_is_named_with_the_mend(ws: Workspace) -> None:
    names, array = pictures(3)
    part = shelf(ws).put(names, array)
    for file, length in (("pixels.npy", 200), ("hashes.npy", 0), ("sums.npy", 100)):
        whole = (part / file).read_bytes()
        (part / file).write_bytes(whole[:length])
        with pytest.raises(FercleanError, match=r"is damaged .*delete that folder") as told:
            shelf(ws)
        assert str(part) in str(told.value)
        (part / file).write_bytes(whole)
    (part / "hashes.npy").write_bytes(whole_of(part / "hashes.npy", spoilt=1))
    with pytest.raises(FercleanError, match=r"hashes.npy holds others than were put.*delete that folder"):
        shelf(ws)


def whole_of(file: Path, *, spoilt: int) -> bytes:
    """A file's bytes with other ones in the last `spoilt` places."""
    data = file.read_bytes()
    return data[:-spoilt] + bytes(255 - one for one in data[-spoilt:])


@pytest.mark.parametrize("file", ["pixels.npy", "sums.npy"])
def test_damaged_pictures_are_known_among_the_others_and_replaced_where_they_lie(ws: Workspace, file: str) -> None:
    names, array = pictures(30)
    one = shelf(ws)
    part = one.put(names[:20], array[:20])
    one.put(names[20:], array[20:])
    size = {"pixels.npy": 75, "sums.npy": 4}[file]
    (part / file).write_bytes(whole_of(part / file, spoilt=3 * size + 1))  # three, and the last byte of one more
    other = shelf(ws)
    bad = [16, 17, 18, 19]
    order = np.random.default_rng(2).permutation(30)
    assert set(order[other.damaged([names[i] for i in order])]) == set(bad)
    assert other.file_of(names[17]) == part / "pixels.npy"
    other.replace([names[i] for i in bad], array[bad])
    for reader in (other, shelf(ws)):
        assert not reader.damaged(names).any()
        assert np.array_equal(reader.take(names), array)
    assert sorted(entry.name for entry in part.iterdir()) == ["hashes.npy", "pixels.npy", "sums.npy"]


def test_a_part_without_sums_is_an_older_fercleans_and_is_read(ws: Workspace) -> None:
    names, array = pictures(4)
    (shelf(ws).put(names, array) / "sums.npy").unlink()
    assert not shelf(ws).damaged([*names, "ab" * 32]).any()
    assert np.array_equal(shelf(ws).take(names), array)


def test_pictures_of_many_parts_are_found_while_they_are_put_and_afterwards(ws: Workspace) -> None:
    names, array = pictures(60)
    one = shelf(ws)
    for start in range(0, 60, 7):  # with some of the part before
        begin, end = max(start - 2, 0), min(start + 7, 60)
        one.put(names[begin:end], array[begin:end])
        assert one.holds(names).tolist() == [number < end for number in range(60)]
        assert np.array_equal(one.take(names[:end]), array[:end])
    order = np.random.default_rng(1).permutation(60)
    assert np.array_equal(shelf(ws).take([names[number] for number in order]), array[order])
