"""Unpack a zip or tar into a folder: regular files alone, below it, counted byte by byte against the caps.

It follows and makes no link, opens no archive inside an archive, and knows nothing of what the files show.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from ferclean.errors import BadDataError
from ferclean.progress import Progress, silent
from ferclean.sources.admission import CHUNK, Admission, Caps

_TAR = {
    ".tar": "", ".tar.gz": "gz", ".tgz": "gz", ".tar.bz2": "bz2", ".tbz2": "bz2", ".tbz": "bz2", ".tar.xz": "xz",
    ".txz": "xz",
}  # fmt: skip
SUFFIXES = (".zip", *_TAR)
"""Endings of archives that are unpacked, in lower case."""

_UNKNOWN = (".7z", ".rar", ".tar.zst", ".tzst", ".tar.lz4", ".tar.z")
_HEADERS = 1024 * 1024
"""Bytes that a tar may hold before a file that are no file's content, such as a long name."""
_AGAIN = "download or copy it again, and compare its size or checksum with what its source says"
_MYSELF = "unpack it yourself in an empty folder, see what it is, and ingest that folder"
_DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, OverflowError,
    RecursionError, NotImplementedError,
)  # fmt: skip


def kind_of(name: str) -> Literal["zip", "tar"] | None:
    """What a file is by its ending; None for what is no archive. Raises BadDataError for one that is not unpacked.

    >>> kind_of("FER.ZIP"), kind_of("a.tar.gz"), kind_of("a.csv.gz")
    ('zip', 'tar', None)
    """
    name = name.lower()
    if name.endswith(_UNKNOWN):
        raise BadDataError(f"{name} is packed in a way that is not read here; unpack it, or pack it as .zip or .tar.gz")
    return "zip" if name.endswith(".zip") else "tar" if name.endswith(tuple(_TAR)) else None


def unpack(
    archive: Path, target: Path, *, caps: Caps, shown: str | None = None, progress: Progress = silent
) -> Admission:
    """Write the files of an archive below the empty folder `target`; what came, and how much clutter was left out.

    `shown` is how messages call the archive. Costs one reading of it; a megabyte of its content is in memory at once,
    and some 600 bytes for each entry of a zip. Raises BadDataError, having written some: for names that leave the
    folder or come twice, links, devices, encrypted and damaged entries, and for more than the caps allow.
    """
    size = archive.stat().st_size
    admission = Admission(shown or str(archive), caps, packed=size)
    reader = _zip if kind_of(archive.name) == "zip" else _tar
    made: set[Path] = set()
    try:
        for name, place, chunks, total in reader(archive, admission):
            file = target / place
            if file.parent not in made:
                file.parent.mkdir(parents=True, exist_ok=True)
                made.add(file.parent)
            admission.write(name, chunks, file)
            if admission.files % 500 == 1:
                progress("unpacking", admission.files, total or admission.files)
    except UnicodeDecodeError:
        raise BadDataError(
            f"{admission.source}: a name in it is not UTF-8; pack the set again with UTF-8 names"
        ) from None
    except (*_DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the archive's
            raise
        raise BadDataError(
            f"{admission.source} is no whole {kind_of(archive.name)} archive: {_said(error)}; {_AGAIN}"
        ) from None
    if not admission.files:
        raise BadDataError(f"{admission.source} holds no file")
    return admission


_Entries = Iterator[tuple[str, PurePosixPath, Iterator[bytes], int]]
"""(name, where it may lie, content, how many entries there are or 0) of every file in order."""


def _zip(archive: Path, admission: Admission) -> _Entries:
    with _ZipFile(archive, admission) as raw, zipfile.ZipFile(raw) as opened:
        raw.opening = False
        entries = opened.infolist()
        for info in entries:
            name = _zip_name(info)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                what = "is a link" if kind == stat.S_IFLNK else "is a device or pipe"
                raise admission.refusal(name, what, _MYSELF)
            if info.flag_bits & 0x41:
                raise admission.refusal(name, "is encrypted", "unpack it with its password, and ingest the folder")
            if name.endswith("/") and info.file_size:
                raise admission.refusal(name, "is a folder by its name, and has content", _MYSELF)
            place = admission.place(name, folder=name.endswith("/"))
            if place is not None:
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
                    raise admission.refusal(
                        name, f"is packed by a method that is not read here ({info.compress_type})",
                        "unpack it and ingest the folder, or pack it again with deflate",
                    )  # fmt: skip
                yield name, place, _zip_content(opened, info, admission), len(entries)


def _zip_content(opened: zipfile.ZipFile, info: zipfile.ZipInfo, admission: Admission) -> Iterator[bytes]:
    size = 0
    with opened.open(info) as content:
        while chunk := content.read(CHUNK):
            size += len(chunk)
            admission.count_bytes(len(chunk))
            yield chunk
    if size != info.file_size:
        raise zipfile.BadZipFile(f"{info.filename!r} has {size:,} bytes, {info.file_size:,} are declared")


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name as it was written: `zipfile` cuts it at a NUL, and takes bytes without a flag for cp437.

    Such bytes are UTF-8 (as macOS writes them) or marked as unreadable, with surrogates.
    """
    name = info.orig_filename
    return name if info.flag_bits & 0x800 else name.encode("cp437").decode("utf-8", "surrogateescape")


class _ZipFile(io.BufferedReader):
    """A zip's file that refuses a directory of too many entries before anything is made of it."""

    def __init__(self, archive: Path, admission: Admission) -> None:
        super().__init__(io.FileIO(archive))
        self._admission = admission
        self.opening = True

    def read(self, size: int | None = -1, /) -> bytes:
        most = self._admission.caps.entries
        if self.opening and size is not None and size > 1000 * most + CHUNK:
            raise self._admission.over(f"it lists more than {most:,} entries", "--max-entries")
        data = super().read(size)
        if self.opening and data.count(b"PK\1\2") > most:
            raise self._admission.over(f"it lists more than {most:,} entries", "--max-entries")
        return data


def _tar(archive: Path, admission: Admission) -> _Entries:
    with _decompressed(archive) as stream:
        counted = _TarStream(stream, admission)
        opened = tarfile.TarFile(fileobj=counted, encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
        while (member := counted.next_of(opened)) is not None:
            name = member.name
            if member.size < 0:
                raise tarfile.ReadError(f"{name!r} has a size below 0")
            if not (member.isreg() or member.isdir()) or member.issparse():
                what = (
                    "is a link" if member.issym() or member.islnk() else
                    "is a device or pipe" if member.isdev() else
                    "is sparse" if member.issparse() else "is no plain file or folder"
                )  # fmt: skip
                how = "without -S" if member.issparse() else "with `tar -h --hard-dereference`"
                raise admission.refusal(name, what, f"{_MYSELF}, or pack it again {how}")
            place = admission.place(name or "/", folder=member.isdir())
            if place is not None:
                yield name, place, _tar_content(opened, member), 0
        # it also ends, without a word, at a header that it cannot read
        if counted.last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"it breaks off after {admission.entries:,} entries")
        while counted.read(CHUNK):  # what is packed has a checksum at its end
            pass


def _tar_content(opened: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    content = opened.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name!r} has no content")
    size = 0
    while chunk := content.read(CHUNK):
        size += len(chunk)
        yield chunk
    if size != member.size:
        raise tarfile.ReadError(f"{member.name!r} has {size:,} bytes, {member.size:,} are declared")


def _decompressed(archive: Path) -> IO[bytes]:
    name = archive.name.lower()
    how = next(how for suffix, how in reversed(_TAR.items()) if name.endswith(suffix))
    opener = {"": open, "gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}[how]
    stream: IO[bytes] = opener(archive, "rb")  # type: ignore[operator]
    return stream


class _TarStream:
    """What `tarfile` reads from: forward only, every byte counted, also those that it skips.

    `last` is what was read last.
    """

    def __init__(self, stream: IO[bytes], admission: Admission) -> None:
        self._stream, self._admission = stream, admission
        self._at = 0
        self._headers: int | None = _HEADERS
        self.last = b""

    def next_of(self, opened: tarfile.TarFile) -> tarfile.TarInfo | None:
        """The next entry, of which `opened` keeps nothing. Raises ReadError for endless headers."""
        self._headers = _HEADERS
        member = opened.next()
        self._headers = None
        opened.members = []  # type: ignore[attr-defined]
        opened.pax_headers = {}
        return member

    def tell(self) -> int:
        return self._at

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or position < self._at:
            raise tarfile.ReadError("it leads back to a place before")
        while self._at < position:
            if not self._take(min(CHUNK, position - self._at)):
                break
        return self._at

    def read(self, size: int = -1) -> bytes:
        if self._headers is not None:
            self._headers -= size
        if not 0 <= size <= CHUNK or (self._headers or 0) < 0:
            raise tarfile.ReadError(f"what it says about one entry is longer than {_HEADERS:,} bytes")
        self.last = self._take(size)
        return self.last

    def _take(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._at += len(data)
        self._admission.count_bytes(len(data))
        return data


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
