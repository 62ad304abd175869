"""Files and folders that appear whole or not at all: each is written as a draft beside its place, then renamed.

It never leaves half a file at a place, keeps what stood there until the new one is complete, and removes the drafts
of dead processes, only those. A lock inside each draft tells: the system frees it when its process ends, however.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock

from ferclean.errors import FercleanError, UsageError

DRAFT = ".ferclean-draft-"
"""How the name of every draft begins; each is a folder."""

_LOCK, _NEW, _OLD, _DOOMED = ".lock", "new", "old", "doomed"
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)

if sys.platform == "win32":
    import msvcrt

    def take_lock(descriptor: int) -> bool:
        """Lock an open file for this process, if it is free; whatever way the process ends, the lock is free again."""
        try:
            os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # a byte that nobody reads or writes
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)  # what its owner writes next belongs at the beginning
        return True

    def free_lock(descriptor: int) -> None:
        """Free the lock and close the file."""
        os.close(descriptor)

else:
    import fcntl

    def take_lock(descriptor: int) -> bool:
        """Lock an open file for this process, if it is free; whatever way the process ends, the lock is free again."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def free_lock(descriptor: int) -> None:
        """Free the lock, also in processes that were forked meanwhile, and close the file."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def lies_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that lies at `path`: not removed, and no other in its place."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def make_locked(path: Path) -> int | None:
    """Make the file `path` and lock it; its descriptor, or None when somebody was faster: try another name."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | _FLAGS, 0o666)
    except (FileExistsError, FileNotFoundError):
        return None
    try:
        # between making and locking it looks like a dead process's, and may have been swept away
        if take_lock(descriptor) and lies_at(descriptor, path):
            return descriptor
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def lock_of_the_dead(path: Path) -> int | None:
    """The descriptor of a lock file whose process is gone, now locked by us; None while it lives, or when it is gone.

    Where a file system has no locks, or the file is another user's, nobody is taken for dead.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | _FLAGS)
    except OSError:
        return None
    dead = False
    with suppress(OSError):
        # its owner may have given it back while we opened it, and somebody made another in its place
        dead = take_lock(descriptor) and lies_at(descriptor, path)
    if dead:
        return descriptor
    os.close(descriptor)
    return None


@contextmanager
def whole_file(path: Path, *, elsewhere: str = "") -> Iterator[Path]:
    """Yield where to write a file (nothing is there yet); it takes the place of `path` when the block ends well.

    Raises FercleanError when the disk refuses: it names `path`, the reason and the mend; `elsewhere` says how to
    choose another place ("choose another place with --out"). What stood at `path` before is then still there.
    """
    path = Path(os.path.abspath(path))
    with telling(path, elsewhere=elsewhere):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _draft(path) as draft:
            new = draft / f"{_NEW}{path.suffix}"
            yield new
            _settle(new)
            os.replace(new, path)
            _settle(path.parent)


@contextmanager
def whole_folder(path: Path, *, elsewhere: str = "") -> Iterator[Path]:
    """Yield an empty folder to fill; it takes the place of the folder `path` when the block ends well.

    The earlier folder steps aside for it only then, and is deleted last. A process killed between the two renames
    leaves the earlier one in its draft; whoever next writes beside it puts it back. Raises as `whole_file` does.
    """
    path = Path(os.path.abspath(path))
    with telling(path, elsewhere=elsewhere):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _draft(path) as draft:
            new = draft / _NEW
            new.mkdir()
            yield new
            _settle_tree(new)
            if path.exists():
                if any(path.iterdir()):
                    os.rename(path, draft / _OLD)
                else:
                    path.rmdir()  # not every system lets an empty folder give way to another
            os.rename(new, path)
            _settle(path.parent)


@contextmanager
def whole_files(folder: Path, *, elsewhere: str = "") -> Iterator[Callable[[str, bytes], None]]:
    """Yield what puts many files below `folder`, by name and content, each whole or not at all, from any thread.

    One draft serves them all, and nothing is made before the first file comes; drafts of the dead go at once. Raises
    as `whole_file` does.
    """
    folder = Path(os.path.abspath(folder))
    if folder.is_dir():
        with telling(folder, elsewhere=elsewhere):
            remove_drafts(folder)
    parents: set[Path] = set()
    turn = Lock()
    with ExitStack() as stack:
        drafts: list[Path] = []

        def put(name: str, content: bytes) -> None:
            target = folder / name
            try:
                with turn:
                    if not drafts:
                        folder.mkdir(parents=True, exist_ok=True)
                        parents.add(folder)
                        drafts.append(stack.enter_context(_draft(folder / "files")))
                    if target.parent not in parents:
                        target.parent.mkdir(parents=True, exist_ok=True)
                        parents.add(target.parent)
                new = drafts[0] / secrets.token_hex(8)
                new.write_bytes(content)
                _settle(new)
                os.replace(new, target)
            except OSError as error:
                raise FercleanError(cannot_write(target, error, elsewhere=elsewhere)) from error

        yield put
        for parent in parents:
            with telling(parent, elsewhere=elsewhere):
                _settle(parent)


@contextmanager
def telling(path: Path, *, elsewhere: str = "") -> Iterator[None]:
    """Turn an OSError that writing to `path` raised into a FercleanError; one about another file goes on as it is."""
    try:
        yield
    except OSError as error:
        # an error about a copy names the source first
        named = [Path(one) for one in (error.filename, error.filename2) if isinstance(one, str | os.PathLike)]
        if named and not any(_concerns(one, path) for one in named):
            raise
        raise FercleanError(cannot_write(path, error, elsewhere=elsewhere)) from error


PAGE = b"<!doctype html"
"""What every page begins with that ferclean writes."""

_DATABASE = b"DUCK"  # from the eighth byte on


def check_absent(path: Path, option: str, *, overwrite: bool | None = None, begins: bytes = b"") -> None:
    """Raise UsageError where the file that a user named with `option` would take the place of another one.

    `overwrite`: what the verb's --overwrite says; None for a verb that has none. With it, too, a folder never gives way
    to a file, nor a database (it may be the workspace's), nor what does not begin with `begins`, which is no earlier
    one of its kind.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file with {option}")
    if overwrite and path.is_file():
        with path.open("rb") as file:
            head = file.read(max(12, len(begins)))
        if head[8:12] == _DATABASE or (head and not head.startswith(begins)):
            raise UsageError(f"{path} is another kind of file and is left as it is; name another file with {option}")
    if os.path.lexists(path) and not overwrite:
        mend = "" if overwrite is None else "pass --overwrite, or "
        raise UsageError(f"{path} exists and is left as it is; {mend}name another file with {option}")


def cannot_write(path: Path | str, error: OSError, *, elsewhere: str = "") -> str:
    """One line: what could not be written, why, and the mend."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        mend = "free some space there"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        mend = "make the folder writable"
    else:
        mend = "see that the folder is writable and that the disk has room"
    return f"cannot write {path}: {reason}; {mend}, or {elsewhere or 'choose another place'}"


def remove_drafts(folder: Path) -> None:
    """Remove what dead processes left half-written in `folder`; an earlier folder that one had moved aside returns."""
    with os.scandir(folder) as entries:
        drafts = [Path(entry.path) for entry in entries if entry.name.startswith(DRAFT)]
    for draft in drafts:
        lock = lock_of_the_dead(draft / _LOCK)
        if lock is not None:
            _clear(draft, lock)
        elif not draft.is_symlink():
            # killed before it had a lock, or while it was cleared away: then it is empty, or it is not ours to judge
            with suppress(OSError):
                draft.rmdir()


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A folder beside `path` that says for whom it is and that its process lives."""
    remove_drafts(path.parent)
    lock = None
    while lock is None:
        draft = path.parent / f"{DRAFT}{secrets.token_hex(6)}"
        draft.mkdir()
        try:
            lock = make_locked(draft / _LOCK)
        except OSError:
            draft.rmdir()
            raise
    try:
        os.write(lock, json.dumps({"target": path.name}).encode())
        yield draft
    finally:
        _clear(draft, lock)


def _clear(draft: Path, lock: int) -> None:
    """Remove a draft whose lock we hold: first whatever it holds, then the lock, then itself."""
    old = draft / _OLD
    if old.exists():
        target = draft.parent / json.loads((draft / _LOCK).read_text("utf-8"))["target"]
        if target.exists():
            # under another name, so that nobody takes what is half deleted for something to put back
            os.rename(old, draft / _DOOMED)
        else:
            os.rename(old, target)
    for entry in list(draft.iterdir()):
        if entry.name != _LOCK:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    if sys.platform == "win32":
        free_lock(lock)  # an open file cannot be removed there
        (draft / _LOCK).unlink(missing_ok=True)
    else:
        (draft / _LOCK).unlink()
        free_lock(lock)
    with suppress(FileNotFoundError):  # another process may have swept the empty folder already
        draft.rmdir()


def _settle(path: Path) -> None:
    """See that a file, or the names in a folder, are on the disk."""
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot do this for folders
            raise
    finally:
        os.close(descriptor)


def _settle_tree(folder: Path) -> None:
    # side by side: a disk writes many files in one go, 20 times as fast as one after another
    inside = [Path(parent) / name for parent, _, names in os.walk(folder) for name in [*names, "."]]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_settle, [path for path in inside if not path.is_symlink()]))


def _concerns(named: Path, path: Path) -> bool:
    """Whether an error about the file `named` is one about writing `path`: itself, its drafts, or a folder above."""
    named = Path(os.path.abspath(named))
    drafts = named.is_relative_to(path.parent) and named != path.parent and (
        named.relative_to(path.parent).parts[0].startswith(DRAFT)
    )  # fmt: skip
    return drafts or named == path or named in path.parents
