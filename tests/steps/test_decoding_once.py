"""An image file is decoded once, and everything after that reads the same arrays."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import TINY
from PIL import Image

from ferclean.parts.copies import find_duplicates
from ferclean.parts.pixels import blocks_of, fill, pixels_of
from ferclean.recognition import images as image_room
from ferclean.steps.doctor import doctor
from ferclean.steps.ingest import ingest
from ferclean.steps.release import release
from ferclean.steps.report import report
from ferclean.steps.retrain import retrain
from ferclean.steps.score import score
from ferclean.steps.triage import triage
from ferclean.store import pictures, samples
from ferclean.store.workspace import Workspace


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Content (its hash in this process) -> how often it was decoded."""
    seen: Counter[int] = Counter()
    decode: Callable[..., Any] = image_room._open

    def counted(data: bytes, max_pixels: int) -> Any:
        seen[hash(data)] += 1
        return decode(data, max_pixels)

    monkeypatch.setattr(image_room, "_open", counted)
    return seen


def test_an_image_file_is_decoded_once_from_ingest_to_report(
    drawn_set: Path, tmp_path: Path, decoded: Counter[int]
) -> None:
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "drawn_faces", drawn_set)
    files = Counter(samples.get_samples(ws, include_quarantined=True)["content_hash"].dropna())
    assert len(decoded) == len(files)
    assert sorted(decoded.values()) == sorted(files.values())  # a copy is known as one when it has been read
    decoded.clear()
    training = TINY | {"input_size": 48, "epochs": 1}
    doctor(ws)
    score(ws, profile="quick", methods=["cross_entropy"], **training)
    triage(ws)
    release(ws, "first")
    retrain(ws, release="first", seeds=1, method="cross_entropy", **training)
    assert not decoded
    shown = report(ws)
    faces = sum(decoded.values())  # the few faces of the page are drawn from their files
    assert 0 < faces < 40 < len(files), shown


def test_an_old_workspace_fills_itself_with_the_bytes_that_decoding_gives(
    judged_copy: Path, decoded: Counter[int]
) -> None:
    ws = Workspace.open(judged_copy)
    shutil.rmtree(ws.pixels)
    frame = samples.get_samples(ws)
    forms = [(48, 1), (20, 3)]
    contents = frame["content_hash"].nunique()
    assert fill(ws, frame, forms) == contents
    assert len(decoded) == sum(decoded.values()) == contents  # both forms of one decoding
    decoded.clear()
    kept = [pixels_of(ws, frame, size=size, channels=channels) for size, channels in forms]
    assert fill(ws, frame, forms) == 0
    assert not decoded
    for pixels, (size, channels) in zip(kept, forms, strict=True):
        assert pixels.shape == (len(frame), channels, size, size)
        assert np.array_equal(pixels[np.array([3, 1])], pixels[:4][[3, 1]])
        assert np.array_equal(pixels[:], image_room.load_pixels(list(frame["path"]), size=size, channels=channels))
    blocks = list(blocks_of(ws, frame, size=48, channels=1, most=64))
    assert max(map(len, blocks)) == 64
    assert np.array_equal(np.concatenate(blocks), kept[0][:])


def test_damaged_pixels_are_decoded_again_with_a_word_and_the_copies_stay_those_that_they_were(
    judged_copy: Path, decoded: Counter[int]
) -> None:
    ws = Workspace.open(judged_copy)
    frame, before = samples.get_samples(ws), find_duplicates(ws)
    whole = pixels_of(ws, frame, size=48, channels=1)[:]
    (file,) = ws.pixels.glob("48x1-*/*/pixels.npy")
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 3] + bytes(len(data) - len(data) // 3))
    told: list[str] = []
    after = find_duplicates(ws, force=True, tell=told.append)
    assert len(before) > 5
    known = [one.sort_values(["sample_a", "sample_b"], ignore_index=True) for one in (after, before)]
    pd.testing.assert_frame_equal(*known, check_dtype=False)
    assert 100 < len(decoded) == sum(decoded.values()) < len(frame)
    assert told == [f"{len(decoded)} damaged pictures in {file.parent.parent} are decoded again"]
    decoded.clear()
    assert np.array_equal(pixels_of(ws, frame, size=48, channels=1, tell=told.append)[:], whole)
    assert not decoded
    assert len(told) == 1


def own_copy(drawn_set: Path, tmp_path: Path) -> tuple[Workspace, Path]:
    """A workspace of a copy of the drawn faces, which a test may change."""
    own = tmp_path / "own"
    shutil.copytree(drawn_set, own)
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "drawn_faces", own)
    return ws, own


def test_damaged_pixels_whose_source_is_gone_are_one_line_with_the_file_and_the_mend(
    drawn_set: Path, tmp_path: Path
) -> None:
    ws, own = own_copy(drawn_set, tmp_path)
    own.rename(tmp_path / "elsewhere")
    (file,) = ws.pixels.glob("48x1-*/*/pixels.npy")
    file.write_bytes(file.read_bytes()[:-5000] + bytes(5000))
    with pytest.raises(pictures.LostPictureError) as lost:
        find_duplicates(ws, force=True)
    assert str(lost.value).startswith(f"{file} is damaged, and the picture of sample ")
    assert str(lost.value).endswith("put the data set back, or ingest it again from where it lies now")


def test_large_pictures_are_given_and_not_kept(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    frame = samples.get_samples(ws).head(5)
    whole = pixels_of(ws, frame, size=130, channels=1)
    assert np.array_equal(whole, image_room.load_pixels(list(frame["path"]), size=130, channels=1))
    assert np.array_equal(np.concatenate(list(blocks_of(ws, frame, size=130, channels=1, most=2))), whole)
    assert not (ws.pixels / "130x1").exists()


def test_another_picture_in_a_files_place_is_refused_and_never_kept_as_that_sample(
    drawn_set: Path, tmp_path: Path
) -> None:
    ws, _ = own_copy(drawn_set, tmp_path)
    shutil.rmtree(ws.pixels)
    frame = samples.get_samples(ws).head(3)
    Image.fromarray(np.full((48, 48), 90, np.uint8)).save(frame["path"][1], "PNG")
    with pytest.raises(pictures.LostPictureError, match=str(frame["sample_id"][1])):
        pixels_of(ws, frame, size=48, channels=1)
    assert not ws.pixels.exists()
