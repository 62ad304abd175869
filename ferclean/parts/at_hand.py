"""A data set in an archive or at an address, brought to hand: into the workspace, where its pictures are read from.

It never changes the archive, keeps nothing of what was refused or not ingested, and brings what is unchanged once.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from ferclean.errors import BadDataError, FercleanError, UsageError, few
from ferclean.files import whole_folder
from ferclean.leases import BESIDE, in_hand, lease_of, leased
from ferclean.progress import Progress, silent
from ferclean.sources import addresses
from ferclean.sources.admission import Admission, Caps
from ferclean.sources.archive import kind_of, unpack
from ferclean.sources.cards import Card
from ferclean.sources.file_names import is_clutter

__all__ = ["AtHand", "Caps", "at_hand"]

_COMPLETE, _FILES = "complete.json", "files"


@dataclass(frozen=True, kw_only=True)
class AtHand:
    """Where a data set lies on this machine, and how it was named."""

    path: Path
    """What is read."""
    whole: bool = False
    """Whether `path` is all of an archive."""
    files: Path | None = None
    """The folder of what was unpacked; None where the data set lies where its path says."""
    named: str = ""
    """How the archive was named."""
    notes: tuple[str, ...] = field(default=())

    def entered(self, card: Card) -> Path:
        """`path`, or what alone lies in a whole archive: a folder that is no split or class of `card`, or a file."""
        path = self.path
        while self.whole and path.is_dir():
            inside = [entry for entry in path.iterdir() if not is_clutter(entry.name)]
            if len(inside) != 1 or card.split_of(inside[0].name) or card.label_of(inside[0].name):
                break
            path = inside[0]
        return path

    def told(self, text: str) -> str:
        """A text in which the unpacked folder is called by the archive's name."""
        return text.replace(str(self.files), self.named) if self.files is not None else text

    def local(self, value: str | Path) -> str | Path:
        """The other way: a path in the archive as one on this machine; anything else as it is.

        Raises UsageError for an address elsewhere: nothing but the set is fetched.
        """
        text = re.sub(r"^([A-Za-z][A-Za-z0-9+.-]+):/(?!/)", r"\1://", str(value)) if isinstance(value, Path) else value
        if self.files is not None and text.startswith(f"{self.named}/"):
            return f"{self.files}{text.removeprefix(self.named)}"
        if addresses.is_address(text):
            raise UsageError(f"{addresses.shown(text)}: only the set itself is fetched; fetch this, and give its path")
        return value


def without_secrets(word: str) -> str:
    """A word of a command line as it may be shown: an address without user, password and query."""
    return addresses.shown(word) if addresses.is_address(word) else word


@contextmanager
def at_hand(
    folder: Path, path: str | Path, *, caps: Caps | None = None, keep: bool = True, progress: Progress = silent
) -> Iterator[AtHand]:
    """Yield where the data set lies that `path` names: itself, or, of an archive or a path in one, what it holds.

    What lies at an address (`sources.addresses`) is fetched first, an archive there unpacked. It is brought below
    `folder` (a workspace's `sources`), unless it lies there since before, and stays when the block ends well and `keep`
    says so; then what was brought before goes. Else it goes again, if this call has brought it. Errors that pass
    through call it as `path` does.

    Raises BadDataError for an archive that is damaged, hostile or beyond the caps, and for a path that it lacks; as
    `addresses.look` does for an address; WorkspaceBusyError while another process has the same in hand, whose files
    no other removes meanwhile.
    """
    if addresses.is_address(path):
        path = addresses.local_path(str(path)) or str(path)
    if isinstance(path, str) and addresses.is_address(path):
        address, inner = _archive_in(path)
        remote = addresses.look(address)
        named, home = remote.shown, folder / f"{_plain(remote.name)}-{addresses.fingerprint(remote)}"
        bring, close = partial(_fetched, remote), remote.close
    else:
        archive, inner = _archive_of(Path(path))
        if archive is None:
            yield AtHand(path=Path(path))
            return
        named, home = str(archive), folder / _name_of(archive)
        bring, close = partial(unpack, archive), _nothing
    there_before = folder.parent.exists()
    try:
        with in_hand(home, named):
            fresh = not (home / _COMPLETE).is_file()
            if fresh:
                with whole_folder(home) as draft:
                    (draft / _FILES).mkdir()
                    came = bring(draft / _FILES, caps=caps or Caps(), shown=named, progress=progress)
                    (draft / _COMPLETE).write_text(_facts(came), "utf-8")
            close()  # no server waits until all of it is read
            yield from _brought(home, inner, named, fresh=fresh, keep=keep)
    finally:
        close()
        _leave(folder, there_before)


def _brought(home: Path, inner: str, named: str, *, fresh: bool, keep: bool) -> Iterator[AtHand]:
    """What `at_hand` yields of what it has brought to `home`, and what stays of it and of what was there before."""
    files = home / _FILES
    try:
        yield AtHand(
            path=_inside(files, inner, named), whole=not inner, files=files, named=named,
            notes=tuple(_notes(home, named, fresh, keep)),
        )  # fmt: skip
    except BaseException as error:
        if fresh:
            _remove(home)
        if isinstance(error, FercleanError):
            error.args = tuple(str(arg).replace(str(files), named) for arg in error.args)
        raise
    if not keep and fresh:
        _remove(home)
    for other in list(home.parent.iterdir()) if keep else ():
        whole = other.with_name(other.name.removesuffix(BESIDE))
        if whole != home and (other != whole or (other / _COMPLETE).is_file()):
            with leased(lease_of(whole)) as free:  # a lease that a killed process left goes with it
                if free and other == whole:
                    _remove(other)


def _nothing() -> None:
    """An archive on this machine needs no goodbye."""


def _archive_of(path: Path) -> tuple[Path | None, str]:
    """(the archive that is `path`, or that a part of it names; what it names inside, "" for all of it)."""
    for whole in (path, *path.parents):
        if whole.exists():
            if not whole.is_file() or kind_of(whole.name) is None:
                break
            inner = path.relative_to(whole)
            if ".." in inner.parts:
                raise UsageError(f"{path} leads out of {whole}")
            return whole, "" if inner == Path() else inner.as_posix()
    return None, ""


def _name_of(archive: Path) -> str:
    """The folder of an archive as it is now: another file of its name, or other content, has another."""
    real = archive.resolve()
    at = real.stat()
    told = hashlib.sha256(f"{real}\0{at.st_size}\0{at.st_mtime_ns}".encode("utf-8", "surrogateescape")).hexdigest()
    return f"{_plain(archive.name)}-{told[:10]}"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name)[:60]


def _archive_in(address: str) -> tuple[str, str]:
    """(the address, up to an archive in its path; what it names inside that)."""
    parts = addresses.parts_of(address)
    steps = parts.path.split("/")
    for place, step in enumerate(steps[:-1]):
        if kind_of(step):
            inner = "/".join(map(unquote, steps[place + 1 :])).strip("/")
            if ".." in inner.split("/"):
                raise UsageError(f"{addresses.shown(address)} leads out of the archive")
            return addresses.joined(parts._replace(path="/".join(steps[: place + 1]))), inner
    return address, ""


def _fetched(remote: addresses.Remote, target: Path, *, caps: Caps, shown: str, progress: Progress) -> Admission:
    """Fetch into `target`; an archive is unpacked there, and not kept."""
    admission = Admission(shown, caps)
    if not (remote.single and kind_of(remote.name)):
        addresses.fetch(remote, target, admission, progress=progress)
        return admission
    packed = target.with_name("packed")
    packed.mkdir()
    addresses.fetch(remote, packed, admission, progress=progress)
    came = unpack(packed / remote.name, target, caps=caps, shown=shown, progress=progress)
    shutil.rmtree(packed)
    return came


def _facts(came: Admission) -> str:
    return json.dumps({"files": came.files, "bytes": came.bytes, "left_out": came.left_out})


def _notes(home: Path, named: str, fresh: bool, keep: bool) -> Iterator[str]:
    facts = json.loads((home / _COMPLETE).read_text("utf-8"))
    if keep or not fresh:
        when = "" if fresh else " since before"
        yield f"the {facts['files']:,} files of {named} lie{when} below {home / _FILES} and are read there: keep them"
    if facts["left_out"]:
        yield f"{facts['left_out']:,} entries of {named} are no data (hidden, or an operating system's): left out"


def _inside(files: Path, inner: str, named: str) -> Path:
    if not (files / inner).exists():
        held = few(sorted(entry.name for entry in files.iterdir()))
        raise BadDataError(f"{named} holds no {inner!r}; on top it holds {held}")
    return files / inner


def _remove(home: Path) -> None:
    # first what says that it is whole, so that nobody takes the half of it for all
    (home / _COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(home)


def _leave(folder: Path, there_before: bool) -> None:
    """Take empty folders away that were made for nothing."""
    for made in (folder, *(() if there_before else (folder.parent,))):
        with suppress(OSError):
            made.rmdir()
