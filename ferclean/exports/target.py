"""Where an export lands: written beside its target and renamed, so that it is whole or absent.

It never removes or replaces a file that ferclean did not write there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ferclean.derived import reading
from ferclean.errors import UsageError
from ferclean.files import remove_drafts, telling, whole_file, whole_folder

MANIFEST = ".ferclean-export.json"
_ELSEWHERE = "pass another --out"


@dataclass(frozen=True, kw_only=True)
class Written:
    """What came to lie at the target."""

    files: int
    """Number of files, the manifest not counted."""
    bytes: int
    """Their total size."""


def check_target(out: Path, *, single_file: bool, overwrite: bool, ours: Callable[[Path], bool]) -> None:
    """Raises UsageError when writing to `out` would touch anything that ferclean did not write.

    `ours(path)` says whether an existing single file is an earlier export.
    """
    if out.parent.is_dir():
        with telling(out, elsewhere=_ELSEWHERE):
            remove_drafts(out.parent)  # first of all: an earlier export may lie in one, moved aside by a killed process
    if single_file:
        if out.is_dir():
            raise UsageError(f"{out} is a folder; this form writes one file: pass --out {out / 'table.parquet'}")
        if out.exists() and not overwrite:
            raise UsageError(f"{out} exists; pass --overwrite or another --out")
        if out.exists() and not ours(out):
            raise UsageError(f"{out} was not written by ferclean and is left alone; pass another --out")
        return
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"{out} is not a plain folder; pass another --out")
    if not out.exists() or not any(out.iterdir()):
        return
    if not overwrite:
        raise UsageError(f"{out} is not empty; pass --overwrite or another --out")
    if not (out / MANIFEST).is_file():
        raise UsageError(f"{out} was not written by ferclean (it has no {MANIFEST}); pass another --out")
    _written_before(out)


def form_of(folder: Path) -> str | None:
    """The form of the export in a folder; None for a folder that ferclean did not export."""
    try:
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["form"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_file(out: Path, fill: Callable[[Path], None]) -> Written:
    """Let `fill(path)` write a draft of `out`, then put it in place at once."""
    with whole_file(out, elsewhere=_ELSEWHERE) as draft:
        fill(draft)
        size = draft.stat().st_size
    return Written(files=1, bytes=size)


def write_folder(
    out: Path, fill: Callable[[Path], None], *, form: str, about: Mapping[str, Any] | None = None
) -> Written:
    """Let `fill(folder)` write a draft of `out`, then put it in place of an earlier export (see `check_target`).

    `about` joins the manifest: which data set and release this is, and whether its pixels may be passed on.
    The files of the earlier manifest go, and files that others put there stay. Raises UsageError when a new file
    would replace such a file.
    """
    with whole_folder(out, elsewhere=_ELSEWHERE) as draft:
        fill(draft)
        files = _files(draft)
        size = sum((draft / file).stat().st_size for file in files)
        manifest = json.dumps({"schema": 1, "form": form, **(about or {}), "files": files}, indent=0, ensure_ascii=True)
        (draft / MANIFEST).write_text(manifest + "\n", encoding="utf-8")
        if out.exists() and any(out.iterdir()):
            _carry_over(out, draft, files)
    return Written(files=len(files), bytes=size)


def _carry_over(out: Path, new: Path, files: list[str]) -> None:
    """Copy into `new` what others left in `out`; the earlier folder stays whole until the new one is in place."""
    earlier = _written_before(out)
    foreign = [file for file in _files(out) if file not in earlier and file != MANIFEST]
    # also a foreign link `data` where the export needs a folder `data`, and the other way round
    needed = {*files, *(str(above) for file in files for above in PurePosixPath(file).parents)}
    written = set(files)
    clash = [
        file for file in foreign if file in needed or written & {str(above) for above in PurePosixPath(file).parents}
    ]
    if clash:
        raise UsageError(f"{out / clash[0]} was not written by ferclean and is left alone; pass another --out")
    for file in foreign:
        (new / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(out / file, new / file, follow_symlinks=False)


def _written_before(out: Path) -> set[str]:
    """The files of the earlier export. Raises DamagedFileError where its manifest does not say: none is guessed."""
    with reading(out / MANIFEST, "pass another --out, or remove the folder"):
        return set(json.loads((out / MANIFEST).read_text(encoding="utf-8"))["files"])


def _files(folder: Path) -> list[str]:
    """Paths of all files and links below a folder, relative, sorted; links are not followed."""
    found = []
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        found += [(Path(parent) / name).relative_to(folder).as_posix() for name in [*names, *links]]
    return sorted(found)
