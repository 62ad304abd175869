"""Reads files that ferclean made and can make again: one that is gone, damaged or another's is one line of error.

It never takes a damaged file for an empty one, and never deletes or repairs one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ferclean.errors import FercleanError

Mend = str | Callable[[], str]
"""How a file is made again, in words; or who words it, asked only where something is wrong."""


class DamagedFileError(FercleanError):
    """A file that can be made again is gone, or does not hold what was written there."""


@contextmanager
def reading(path: Path, mend: Mend) -> Iterator[None]:
    """Turn whatever the reader of `path` raises in the block into one line that names it and ends with `mend`.

    Raises DamagedFileError where the file itself is at fault, and a plain FercleanError where the system does not let
    it be read: made again it would be as good as before.
    """
    try:
        yield
    except (FercleanError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise DamagedFileError(f"{path} was deleted; {_worded(mend)}") from error
    except Exception as error:  # Parquet, Arrow, safetensors, NumPy and JSON readers raise their own kinds
        if isinstance(error, OSError) and error.errno is not None:
            raise FercleanError(
                f"{path} cannot be read: {error.strerror}; see that it may be read and that its disk is well"
            ) from error
        raise DamagedFileError(f"{path} is damaged ({first_line(error)}); {_worded(mend)}") from error


def check_owner(path: Path, owner: str | None, wanted: str, mend: Mend) -> None:
    """Raise DamagedFileError where a file says that it was made for another; one of an older ferclean says nothing."""
    if owner not in (None, wanted):
        raise DamagedFileError(
            f"{path} was made for {owner}, not for {wanted}: another file lies in its place; {_worded(mend)}"
        )


def _worded(mend: Mend) -> str:
    return mend if isinstance(mend, str) else mend()


def first_line(error: BaseException) -> str:
    """What an error says, or at least what it is."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
