"""What lies beside a face while a person decides: its nearest faces, and clear examples of the classes in question.

It reads pictures by sample id only, decodes them here, and never hands on the bytes of a file as they are.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from PIL import Image

from ferclean.errors import FercleanError, WorkspaceBusyError
from ferclean.evidence.signals.nearest import Nearest
from ferclean.parts.surroundings import nearest_for_screens
from ferclean.recognition.images import decode, encode_jpeg, encode_png
from ferclean.store.pictures import images_bytes
from ferclean.store.runs import latest_run
from ferclean.store.table import clear_examples, usable
from ferclean.store.verdicts import get_pairs
from ferclean.store.workspace import Workspace

FACE_SIDE = 720
"""Longest side in pixels of the face that is decided about; larger pictures are scaled down to it."""
BESIDE_SIDE = 120
"""Longest side of the small faces beside it."""
TILE_SIDE = 160
"""Longest side of a face among many."""
_KEPT = 64_000_000  # bytes of pictures that stay in memory: 2,000 faces of 100 pixels, some 80 of 720


@dataclass(frozen=True, kw_only=True)
class Beside:
    """One small face beside the one in question."""

    sample_id: str
    source_key: str
    label: str
    """Its given label."""
    why: str
    """What brings it here, in a few words."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture as the screen can show it."""

    uri: str | None
    """PNG data URI (JPEG of a small one), upright and at most as large as asked for; None: there is nothing to see."""
    trouble: str | None
    """Why there is nothing to see."""


@dataclass(kw_only=True)
class Album:
    """Where `beside` looks; made once by `open_album`."""

    ws: Workspace
    examples: dict[str, tuple[Beside, ...]]
    """Class -> its faces with the highest label quality."""
    twins: dict[str, tuple[Beside, ...]]
    """Sample -> faces that show the same picture."""
    run_id: str | None
    """The score run whose neighbours are shown; None when there is none."""
    trouble: str | None = None
    """Why it knows no copies, with the mend; None where it does."""
    near: tuple[list[str], dict[str, int], Nearest] | None = None
    """Its samples, their rows, and who is near whom; read when first asked for."""
    near_rows: tuple[Mapping[str, int], np.ndarray] | None = None
    """The queue (sample id -> row) that `near` was last told in rows of, and those rows (`likeness.near_rows`)."""
    found: dict[tuple[str, int], list[Beside]] = field(default_factory=dict)
    """What lay beside the faces that were looked at."""
    kept: dict[tuple[str, int], Picture] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held while it looks: several tabs may share it."""


def open_album(ws: Workspace, *, examples: int = 8) -> Album:
    """Choose the clear examples of each class and find out what is near what.

    Examples are the `examples` faces of a class with the highest label quality among those judged clean; a class
    without any shows its best ones whatever the verdict.
    """
    trouble = None
    with ws.reading("opening the album"):
        triage, clear = latest_run(ws, "triage"), clear_examples(ws, examples)
        try:
            pairs = get_pairs(ws, mirrored=True)
        except WorkspaceBusyError:
            raise
        except FercleanError as error:  # what may be deleted bars no decision
            pairs, trouble = pd.DataFrame(columns=["sample_a", "sample_b", "kind"]), f"copies are not shown: {error}"
        in_pairs = usable(ws, [*pairs["sample_a"], *pairs["sample_b"]])
    score_runs = triage.config.get("score_runs", []) if triage else []
    of_class: dict[str, list[Beside]] = {}
    for face in map(_plain, clear):
        of_class.setdefault(face.label, []).append(face)
    return Album(
        ws=ws,
        examples={label: tuple(faces) for label, faces in of_class.items()},
        twins=_twins(pairs, {face.sample_id: face for face in map(_plain, in_pairs)}),
        run_id=score_runs[0] if score_runs else None,
        trouble=trouble,
    )


def beside(album: Album, sample_id: str, *, count: int) -> list[Beside]:
    """The faces most like this one: first those that show the same picture, then the nearest by embedding.

    At most `count`; empty when the workspace holds neither pairs nor embeddings of the scored run. Copies are no
    neighbours: they come first in any case.
    """
    return beside_each(album, [sample_id], count=count)[sample_id]


def beside_each(album: Album, sample_ids: Sequence[str], *, count: int) -> dict[str, list[Beside]]:
    """`beside` of several faces; those that are not at hand in one reading."""
    with album.lock:
        near = {one: _near(album, one) for one in sample_ids if (one, count) not in album.found}
        wanted = {other for pairs in near.values() for other, _ in pairs}
        known = {face.sample_id: face for face in map(_plain, usable(album.ws, sorted(wanted)))} if wanted else {}
        for one, pairs in near.items():
            there = [(known[other], cosine) for other, cosine in pairs if other in known]
            alike = [_because(face, f"{max(0.0, cosine):.2f} alike") for face, cosine in there]
            album.found[one, count] = [*album.twins.get(one, ()), *alike][:count]
        return {one: album.found[one, count] for one in sample_ids}


def _near(album: Album, sample_id: str) -> list[tuple[str, float]]:
    """(sample id, cosine) of the nearest ones, copies left out."""
    ids, rows, nearest = near_of(album)
    if sample_id not in rows:
        return []
    seen = {sample_id, *(face.sample_id for face in album.twins.get(sample_id, ()))}
    row = rows[sample_id]
    return [
        (ids[place], float(cosine))
        for place, cosine in zip(nearest.at[row], nearest.cosine[row], strict=True)
        if place >= 0 and ids[place] not in seen
    ]


def examples_of(album: Album, label: str | None, *, count: int, but: Iterable[str] = ()) -> list[Beside]:
    """Clear examples of a class, without the samples named in `but`."""
    left_out = set(but)
    return [face for face in album.examples.get(label or "", ()) if face.sample_id not in left_out][:count]


def pictures(album: Album, wanted: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Picture]:
    """The pictures of (sample_id, longest side in pixels), all of those that are not at hand in one action.

    A sample without a picture that can be seen is not an error: its `trouble` says why.
    """
    with album.lock:
        missing = [pair for pair in dict.fromkeys(wanted) if pair not in album.kept]
        if missing:
            if sum(len(picture.uri or "") for picture in album.kept.values()) > _KEPT:
                album.kept.clear()
                missing = list(dict.fromkeys(wanted))
            data = images_bytes(album.ws, [sample_id for sample_id, _ in missing])
            for sample_id, side in missing:
                album.kept[sample_id, side] = _picture(data[sample_id], side)
        return {pair: album.kept[pair] for pair in wanted}


def _picture(data: bytes | FercleanError, side: int) -> Picture:
    try:
        if isinstance(data, FercleanError):
            raise data
        return Picture(uri=_data_uri(data, side), trouble=None)
    except FercleanError as error:
        return Picture(uri=None, trouble=str(error))


def _data_uri(data: bytes, side: int) -> str:
    pixels = decode(data)
    if max(pixels.shape[:2]) > side:
        image = Image.fromarray(pixels)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
    # the face that is decided about is shown as it is; those beside it are many and small
    form, encode = ("png", encode_png) if side > TILE_SIDE else ("jpeg", encode_jpeg)
    return f"data:image/{form};base64,{base64.b64encode(encode(pixels)).decode('ascii')}"


def _plain(row: tuple[str, str, str]) -> Beside:
    sample_id, key, label = row
    return Beside(sample_id=sample_id, source_key=key, label=label, why="")


def _twins(pairs: pd.DataFrame, known: dict[str, Beside]) -> dict[str, tuple[Beside, ...]]:
    twins: dict[str, list[Beside]] = {}
    for a, b, kind in zip(pairs["sample_a"], pairs["sample_b"], pairs["kind"], strict=True):
        for one, other in ((a, b), (b, a)):
            if other in known:
                why = {"exact": "same file", "mirrored": "mirrored copy"}.get(kind, "near copy")
                twins.setdefault(one, []).append(_because(known[other], why))
    return {sample_id: tuple(faces) for sample_id, faces in twins.items()}


def _because(face: Beside, why: str) -> Beside:
    return Beside(sample_id=face.sample_id, source_key=face.source_key, label=face.label, why=why)


def near_of(album: Album) -> tuple[list[str], dict[str, int], Nearest]:
    """The samples of the album's run, their rows, and who is near whom; of nobody where there is nothing to seek in."""
    if album.near is None:
        ids: list[str] = []
        nearest = Nearest.of_nobody()
        if album.run_id is not None:
            # derived data, thrown away or never made: the screen then shows copies and examples only
            with suppress(FercleanError):
                ids, nearest = nearest_for_screens(album.ws, album.run_id)
        album.near = ids, {sample_id: row for row, sample_id in enumerate(ids)}, nearest
    return album.near
