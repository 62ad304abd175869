"""Read single files out of an npm package: a .tgz that the user has, or one that their npm client fetches when asked.

It unpacks nothing to disk, follows no link and reads no more than it was told to expect.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from ferclean.errors import BadDataError, FercleanError, UsageError, few
from ferclean.hashes import of_bytes

PACKAGE_LIMIT = 256 * 2**20
"""Bytes of a package that are looked through, packed or unpacked: no expressions net needs as many."""
SECONDS = 300
"""How long the client may take to fetch a package."""


def read_package(path: Path, wanted: Mapping[str, str], *, named: str | None = None) -> dict[str, bytes]:
    """The `wanted` files (name in the package -> SHA-256) of a .tgz, by the last part of their names; errors call it
    `named`, by default by its path.

    Raises UsageError when there is no file, BadDataError when it is no such package, or holds another file under a
    wanted name.
    """
    if not path.is_file():
        raise UsageError(f"no package at {path}")
    if path.stat().st_size > PACKAGE_LIMIT:
        raise BadDataError(f"{path} has more than {PACKAGE_LIMIT >> 20} MB: no package that is known here is so large")
    found: dict[str, bytes] = {}
    named = named or str(path)
    try:
        # as a stream, so that headers, which may claim any size, are bounded like the files
        with _Bounded(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                # npm puts everything below package/; by whole names, so that nothing else can pass for a file
                name = member.name.removeprefix("package/")
                if name in wanted and member.isfile() and (file := archive.extractfile(member)):
                    found[name] = file.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise BadDataError(f"{named} is no readable .tgz package ({error}); fetch it again with `npm pack`") from None
    if missing := sorted(set(wanted) - set(found)):
        raise BadDataError(f"{named} lacks {few(missing)}: give the package that `npm pack` brings")
    for name, sha256 in wanted.items():
        if of_bytes(found[name]) != sha256:
            raise BadDataError(f"{name} in {named} is not the file that is known: give the version that is named")
    return {name.rpartition("/")[2]: content for name, content in found.items()}


class _Bounded(gzip.GzipFile):
    """What tarfile reads of a packed file goes through here: at most PACKAGE_LIMIT bytes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.left = PACKAGE_LIMIT

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(self.left + 1 if size is None or size < 0 else min(size, self.left + 1))
        self.left -= len(content)
        if self.left < 0:
            raise BadDataError(f"{self.name} unpacks to more than {PACKAGE_LIMIT >> 20} MB: not read any further")
        return content


def fetch_package(package: str, wanted: Mapping[str, str]) -> dict[str, bytes]:
    """The same of a package that the user's own npm client fetches into a folder that is gone afterwards.

    Raises FercleanError, with what the client said, when there is none or it brings nothing.
    """
    client = shutil.which("npm")
    if client is None:
        raise FercleanError(f"no npm client here; fetch {package} with one elsewhere and give --from FILE.tgz")
    with tempfile.TemporaryDirectory(prefix="ferclean-npm-") as folder:
        try:
            done = subprocess.run(
                [client, "pack", "--silent", "--ignore-scripts", package],
                cwd=folder, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False,
                stdin=subprocess.DEVNULL,  # it may ask something, and nobody would see the question
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise FercleanError(f"npm did not bring {package} within {SECONDS} seconds; give --from FILE.tgz") from None
        except OSError as error:
            raise FercleanError(
                f"{client} cannot be started ({error.strerror}); fetch {package} elsewhere and give --from FILE.tgz"
            ) from error
        brought = sorted(Path(folder).glob("*.tgz"))
        if done.returncode or len(brought) != 1:
            said = " ".join(done.stderr.split())[:300] or "it says nothing"
            raise FercleanError(f"npm cannot bring {package}: {said}; fetch it elsewhere and give --from FILE.tgz")
        return read_package(brought[0], wanted, named=f"what npm brought for {package}")
