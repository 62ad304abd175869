"""Whose picture a line is about, where several could be it: by looks before names, and by nothing that is not sure."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scenes import coded, scene, workspace_of

from ferclean.exports.patch import pixel_hash_of
from ferclean.parts.patch_file import Line
from ferclean.parts.patch_matching import Matches, match
from ferclean.progress import silent, unheard
from ferclean.recognition.images import readable_pixels
from ferclean.recognition.perceptual import NEAR, SIDE, SURE, perceptual_hashes
from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace

FACE = scene(1)
FRAME = Image.blend(FACE, scene(2), 0.04)
"""The next frame of the same face."""
OTHER = scene(3)


def line_of(key: str, data: bytes, label: str = "anger", *, split: str = "train") -> Line:
    """What a patch says of a picture that was given as fear."""
    look = readable_pixels(data, size=SIDE, channels=1)[0]
    return Line(
        number=2, source_key=key, split=split, content_hash=hashlib.sha256(data).hexdigest(),
        pixel_hash=pixel_hash_of(look), perceptual_hash=perceptual_hashes(look[None])[0].tobytes().hex(),
        given_label="fear", old_label="fear", label=label, included=True, weight=1.0, soft_label=None, reason=None,
        verdict=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A recompressed copy."""
    pictures = {"1.png": FRAME, "0.png": FACE, "x.png": OTHER}
    coded_ = {key: coded(face, form="JPEG", quality=90) for key, face in pictures.items()}
    return workspace_of(tmp_path_factory.mktemp("copy"), coded_, ["fear"] * 3)


def matched(ws: Workspace, lines: list[Line], samples: pd.DataFrame | None = None) -> tuple[Matches, dict[int, str]]:
    """All that came of it, and the place of a line -> the key of its sample."""
    samples = get_samples(ws, include_quarantined=True) if samples is None else samples
    found = match(ws, lines, samples, progress=silent, tell=unheard)
    keys = dict(zip(samples["sample_id"], samples["source_key"], strict=True))
    return found, {at: keys[one] for at, one in found.sample.items()}


def equal_ones(count: int) -> tuple[list[Line], pd.DataFrame]:
    """A line for each of many samples of one picture, every second of which becomes another class."""
    data = coded(FACE)
    lines = [line_of(f"{n}.png", data, "anger" if n % 2 else "happiness") for n in range(count)]
    samples = pd.DataFrame(
        {"sample_id": [f"s{n}" for n in range(count)], "source_key": [f"{n}.png" for n in range(count)]}
    )
    rest = {"split": "train", "given_label": "fear", "content_hash": lines[0].content_hash, "path": "p"}
    return lines, samples.assign(**rest, quarantine_reason=None)


def test_of_very_many_equal_pictures_each_line_takes_its_own(ws: Workspace) -> None:
    lines, samples = equal_ones(250)
    found, keys = matched(ws, lines, samples)
    assert keys == {at: line.source_key for at, line in enumerate(lines)}
    assert (found.by["bytes"], found.missed, found.doubtful) == (250, [], [])
    # under other names nobody can tell which of them becomes what
    found, keys = matched(ws, lines, samples.assign(source_key=[f"renamed {n}" for n in range(250)]))
    assert (keys, len(found.doubtful)) == ({}, 250)


def test_a_name_tells_nothing_against_looks(ws: Workspace) -> None:
    frames = [line_of("0.png", coded(FACE)), line_of("1.png", coded(FRAME), "happiness")]
    found, keys = matched(ws, frames)
    assert (keys, found.doubtful) == ({0: "0.png", 1: "1.png"}, [])
    # where the copy is numbered the other way round, neither is the one of its name
    found, keys = matched(ws, [replace(frames[0], source_key="1.png"), replace(frames[1], source_key="0.png")])
    assert keys == {}
    assert [one.why for one in found.doubtful] == ["2 pictures here could be it"] * 2


def test_a_near_copy_of_a_picture_that_is_taken_is_doubtful(ws: Workspace) -> None:
    again = line_of("z.png", coded(OTHER, form="JPEG", quality=60), "happiness")
    own = get_samples(ws).set_index("source_key").loc["x.png", "path"]
    found, keys = matched(ws, [line_of("x.png", Path(own).read_bytes()), again])
    assert keys == {0: "x.png"}
    assert [one.why for one in found.doubtful] == ["another line is about the picture here that looks like it most"]


def test_a_picture_of_another_split_or_that_looks_nearly_like_it_is_doubtful(ws: Workspace) -> None:
    halfway = Image.blend(OTHER, scene(4), 0.22)
    hashes = perceptual_hashes(np.stack([np.asarray(one.resize((SIDE, SIDE), 2)) for one in (OTHER, halfway)]))[0]
    assert SURE < np.unpackbits(hashes[0] ^ hashes[1]).sum() <= NEAR
    for line, why in (
        (line_of("a", coded(OTHER), split="test"), "in train here, in test there"),
        (line_of("b", coded(halfway)), "the nearest picture here differs in"),
    ):
        found, keys = matched(ws, [line])
        assert keys == {}
        assert why in found.doubtful[0].why


def test_lines_that_say_the_same_of_one_picture_are_both_about_it(ws: Workspace) -> None:
    stored = Path(get_samples(ws).set_index("source_key").loc["x.png", "path"]).read_bytes()
    found, keys = matched(ws, [line_of("ann.png", stored), line_of("bo.png", stored)])
    assert (keys, found.by["bytes"]) == ({0: "x.png", 1: "x.png"}, 2)
    found, keys = matched(ws, [line_of("ann.png", stored), line_of("bo.png", stored, "happiness")])
    assert [one.why for one in found.doubtful] == ["several lines are about this picture"] * 2


def test_a_line_that_comes_again_is_about_the_twin_of_its_own_split(ws: Workspace) -> None:
    _, samples = equal_ones(2)
    data = coded(FACE)
    lines = [line_of(key, data, split=split) for key, split in (("a", "train"), ("b", "test"), ("c", "test"))]
    found, keys = matched(ws, lines, samples.assign(split=["train", "test"]))
    assert (keys, found.doubtful) == ({0: "0.png", 1: "1.png", 2: "1.png"}, [])
