"""A row of a source as a sample: its bytes, their hash, one decoding, and a kept picture where the source has no file.

It changes no label, drops no row, and copies no file that can stay where it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ferclean import hashes
from ferclean.parts.pixels import LOOK
from ferclean.recognition import images as image_room
from ferclean.recognition.cropping import crop
from ferclean.sources.cards import Card
from ferclean.sources.rows import SourceRow, contained_file
from ferclean.store import samples as store
from ferclean.store.pixels import Filling
from ferclean.store.workspace import Workspace

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Larger files are quarantined unread: no face picture needs that much."""

_EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "BMP": "bmp", "TIFF": "tif", "PPM": "ppm"}


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Turns one row into one sample: bytes, hash, one decoding."""

    ws: Workspace
    card: Card
    root: Path
    dry_run: bool
    shelved: Filling
    """Where the decoded pictures go, for everything that looks at them later."""
    written: list[Path] = field(default_factory=list)
    """Pictures that this ingest has put into the workspace."""

    @cached_property
    def _real_root(self) -> str:
        return os.path.realpath(self.root)

    @contextmanager
    def taking_back(self) -> Iterator[None]:
        """Remove them again when what happens inside fails: then nothing was stored."""
        try:
            yield
        except BaseException:
            for file in self.written:
                file.unlink(missing_ok=True)
            self.shelved.take_back()
            raise

    def samples(self, keep: Callable[[str, bytes], None], rows: Sequence[SourceRow]) -> list[store.Sample]:
        """`sample` of each row, in order."""
        return [self.sample(keep, row) for row in rows]

    def sample(self, keep: Callable[[str, bytes], None], row: SourceRow) -> store.Sample:
        """The sample of a row, quarantined where anything is wrong; `keep` writes below the workspace's images."""
        problems = [row.problem] if row.problem else []
        data, content_hash, problem = self._content(row)
        whole = True
        if row.box is not None and data is not None:
            data, content_hash, whole, problem = _cut(data, row, content_hash)
        if problem and problem not in problems:
            problems.append(problem)
        facts = None
        if data is not None:
            try:
                facts, [small] = image_room.inspect_and_fit(data, [LOOK])
                unusable = image_room.unusable_reason(facts)
                if not unusable and not self.dry_run and content_hash is not None:
                    self.shelved.add(content_hash, small)
            except image_room.UnreadableImageError as error:
                unusable = error.reason
            if unusable:
                problems.append(f"image: {unusable}")
        in_source = row.relative_path is not None and whole
        stored = None
        if not in_source and data is not None and content_hash is not None:
            stored = self._keep(keep, data, content_hash, facts)
        return store.Sample(
            sample_id=store.make_sample_id(self.card.name, row.source_key, content_hash),
            source_key=row.source_key,
            split=row.split,
            given_label=row.given_label,
            location="source" if in_source else "workspace",
            relative_path=row.relative_path if in_source else stored,
            content_hash=content_hash,
            width=facts.width if facts else None,
            height=facts.height if facts else None,
            contrast=facts.contrast if facts else None,
            attributes=row.attributes,
            votes=row.votes,
            annotations=row.annotations,
            quarantine_reason="; ".join(problems) or None,
        )

    def _content(self, row: SourceRow) -> tuple[bytes | None, str | None, str | None]:
        """(encoded bytes, content hash, problem)."""
        if row.pixels is not None:
            return image_room.encode_png(row.pixels), hashes.of_pixels(row.pixels), None
        if row.data is not None:
            if len(row.data) > MAX_FILE_BYTES:
                return None, None, f"file: too large ({len(row.data):,} bytes)"
            return row.data, hashes.of_bytes(row.data), None
        if row.relative_path is None:
            return None, None, None if row.problem else "file: missing"
        file, problem = contained_file(self.root, row.relative_path, real=self._real_root)
        if file is None:
            return None, None, problem
        try:
            size = file.stat().st_size
            if size > MAX_FILE_BYTES:
                return None, None, f"file: too large ({size:,} bytes)"
            data = file.read_bytes()
        except OSError as error:
            return None, None, f"file: cannot be read ({error.strerror})"
        return data, hashes.of_bytes(data), None

    def _keep(
        self, keep: Callable[[str, bytes], None], data: bytes, content_hash: str, facts: image_room.ImageFacts | None
    ) -> str:
        """Write what the row itself held below the workspace's images, once per content; unreadable bytes too.

        A file of that name that holds anything else, as one that was cut off, gives way: the name says what it holds.
        """
        extension = _EXTENSIONS.get(facts.format, "bin") if facts else "bin"
        name = f"{content_hash[:2]}/{content_hash}.{extension}"
        target = self.ws.images / name
        if not self.dry_run and not target.exists():
            keep(name, data)
            self.written.append(target)
        elif not self.dry_run and not _holds(target, data, content_hash):
            keep(name, data)
        return name


def _cut(data: bytes, row: SourceRow, content_hash: str | None) -> tuple[bytes | None, str | None, bool, str | None]:
    """(what is in the row's box as PNG, its content hash, whether that is the whole picture as it was, problem)."""
    try:
        part = None if row.box is None else crop(data, row.box, row.box_unit)
    except image_room.UnreadableImageError as error:
        return None, content_hash, True, f"image: {error.reason}"
    if part is None:
        return data, content_hash, True, None
    return image_room.encode_png(part), hashes.of_pixels(part), False, None


def _holds(path: Path, data: bytes, content_hash: str) -> bool:
    """Whether a kept picture is what its name says: these bytes, or another PNG of the same pixels."""
    try:
        held = path.read_bytes()
    except OSError:  # nobody else could read it either
        return False
    return held == data or hashes.is_content(held, content_hash, kept=True)
