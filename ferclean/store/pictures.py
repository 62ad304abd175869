"""The pictures of samples: read below their own folder alone, and only while they are what was ingested.

It never decodes one, never follows a link out, and never hands on bytes that are not those that a sample is about.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ferclean import hashes
from ferclean.errors import BadDataError, FercleanError, UsageError
from ferclean.progress import Progress, silent
from ferclean.store import renewal
from ferclean.store.exchange import rows, text
from ferclean.store.samples import SAMPLES
from ferclean.store.workspace import Workspace


class LostPictureError(BadDataError):
    """A picture cannot be had as it was ingested; `reason` is what its sample is quarantined with."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class _Place:
    """Where a sample's picture should lie, and what it should be."""

    sample_id: str
    location: str
    relative_path: str | None
    content_hash: str | None
    quarantine: str | None
    root: str

    @property
    def kept(self) -> bool:
        return self.location == "workspace"


def image_bytes(ws: Workspace, sample_id: str) -> bytes:
    """The encoded bytes of a sample's picture.

    Raises UsageError for an unknown sample; FercleanError when it has no file, when the file is gone, has changed
    since it was ingested, or lies (through `..` or a link) outside the data set's folder or the workspace's images.
    """
    found = images_bytes(ws, [sample_id])[sample_id]
    if isinstance(found, FercleanError):
        raise found
    return found


def images_bytes(ws: Workspace, sample_ids: Sequence[str]) -> dict[str, bytes | FercleanError]:
    """`image_bytes` of several samples in one action; in place of a picture that cannot be had stands its error."""
    wanted = list(dict.fromkeys(sample_ids))
    places = {place.sample_id: place for place in _places(ws, wanted)}
    pictures: dict[str, bytes | FercleanError] = {}
    for sample_id in wanted:
        try:
            if sample_id not in places:
                raise UsageError(f"unknown sample {sample_id!r}")
            pictures[sample_id] = _bytes(ws, places[sample_id])
        except FercleanError as error:
            pictures[sample_id] = error
    return pictures


def lost_pictures(
    ws: Workspace, sample_ids: Sequence[str] | None = None, *, progress: Progress = silent
) -> dict[str, LostPictureError]:
    """Sample id -> error, for those of the samples whose picture is not there as it was ingested.

    Asks about all samples that take part when none are named. Each file is read and hashed once, on several threads.
    """
    return _lost(ws, _with_files(ws, sample_ids), progress)


def set_aside_lost(
    ws: Workspace, sample_ids: Sequence[str] | None = None, *, progress: Progress = silent
) -> dict[str, str]:
    """Sample id -> reason of the `lost_pictures`, which are quarantined with it from here on: the others can go on.

    Raises BadDataError when the data set's folder is not there, or not one picture is: then the folder is the trouble,
    and nothing is quarantined.
    """
    places = _with_files(ws, sample_ids)
    root = next((place.root for place in places if not place.kept), None)
    if root is not None and not Path(root).is_dir():
        raise BadDataError(
            f"the data set's folder {root} is not there: put it back, or ingest it again from where it lies now"
        )
    lost = _lost(ws, places, progress)
    if lost and len(lost) == len(places):
        first = next(iter(lost.values()))
        raise BadDataError(f"none of {len(places):,} images is there as it was ingested; the first: {first}")
    reasons = {sample_id: error.reason for sample_id, error in lost.items()}
    if reasons:
        renewal.withdraw(ws, reasons)
    return reasons


def _with_files(ws: Workspace, sample_ids: Sequence[str] | None) -> list[_Place]:
    return [place for place in _places(ws, sample_ids) if place.relative_path is not None]


def _lost(ws: Workspace, places: Sequence[_Place], progress: Progress) -> dict[str, LostPictureError]:
    def look(place: _Place) -> LostPictureError | None:
        try:
            _bytes(ws, place)
        except LostPictureError as error:
            return error
        return None

    lost: dict[str, LostPictureError] = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for done, (place, error) in enumerate(zip(places, pool.map(look, places), strict=True), start=1):
            if error is not None:
                lost[place.sample_id] = error
            if done % 512 == 0 or done == len(places):
                progress("checking images", done, len(places))
    return lost


def _places(ws: Workspace, sample_ids: Sequence[str] | None) -> list[_Place]:
    """The places of the named samples, or of all that take part, in order of arrival."""
    with ws.reading("looking up images") as con:
        con.register("asked_for", pa.table({"sample_id": text(list(sample_ids or ()))}))
        found = rows(
            con,
            "SELECT sample_id, location, relative_path, content_hash, quarantine_reason, root "  # noqa: S608 - own text
            f"FROM {SAMPLES}, (SELECT root FROM dataset) WHERE "
            + ("quarantine_reason IS NULL" if sample_ids is None else "sample_id IN (SELECT sample_id FROM asked_for)")
            + " ORDER BY position",
        )
        con.unregister("asked_for")
    return [_Place(*row) for row in found]


def _bytes(ws: Workspace, place: _Place) -> bytes:
    if place.relative_path is None:
        because = f" ({place.quarantine})" if place.quarantine else ""
        raise LostPictureError(f"sample {place.sample_id} has no picture{because}", place.quarantine or renewal.MISSING)
    base = ws.images if place.kept else Path(place.root)
    named = f"the picture of sample {place.sample_id}"
    return picture_at(base, place.relative_path, place.content_hash, kept=place.kept, named=named)


def picture_at(base: Path, relative_path: str, content_hash: str | None, *, kept: bool, named: str) -> bytes:
    """The bytes of the file below the folder `base`, which is the workspace's images for pictures that it `kept`.

    Raises LostPictureError, which calls it `named`, when it is gone, lies outside (through `..` or a link), or is not
    what `content_hash` was taken of. Takes no session: whoever reads many pictures looks the places up once.
    """
    base = base.resolve()
    try:
        path = (base / relative_path).resolve(strict=True)
        if not path.is_relative_to(base):
            raise LostPictureError(
                f"{named} lies outside {base}; it is not read", "file: leads out of the data set's folder since ingest"
            )
        if not path.is_file():  # a pipe would be waited for
            raise LostPictureError(f"{named} is no file any more: {path}", "file: not a regular file since ingest")
        data = path.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a name with a NUL
        why = getattr(error, "strerror", None) or str(error)
        gone = isinstance(error, FileNotFoundError | NotADirectoryError)
        raise LostPictureError(
            f"{named} cannot be read below {base}: {why}; put the data set back, or ingest it again from where it "
            "lies now",
            renewal.MISSING if gone else f"file: cannot be read since ingest ({why})",
        ) from error
    if content_hash is None or not hashes.is_content(data, content_hash, kept=kept):
        raise LostPictureError(
            f"{named} has changed since it was ingested: {path}; put the old file back, or ingest the data set again, "
            "which takes the new one in as a sample of its own",
            renewal.CHANGED,
        )
    return data
