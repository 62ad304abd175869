"""An export onto the Hugging Face Hub, private unless told otherwise, and never pixels that may not be passed on.

It never exports anything: what lies in the folder is what goes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ferclean.derived import reading
from ferclean.errors import UsageError, few
from ferclean.exports import EXPORTS
from ferclean.exports.hub import push_files
from ferclean.exports.target import MANIFEST
from ferclean.progress import Progress, silent
from ferclean.sources.rows import contained_file
from ferclean.summary import Summary


@dataclass(frozen=True, kw_only=True)
class PushSummary(Summary):
    """What a push sent."""

    repo: str
    """owner/name on the Hub."""
    url: str
    """Of the commit."""
    form: str
    """Key of EXPORTS."""
    public: bool
    """Whether anyone may read it."""
    files: int
    bytes: int
    """Total size of these files, those that the Hub had already among them."""
    removed: tuple[str, ...] = ()
    """Files of an earlier push that are gone with this one."""
    others: tuple[str, ...] = field(default=(), repr=False)
    """Files of the repository that are not of this export, and stay."""


def push(
    folder: str | Path,
    repo: str,
    *,
    public: bool = False,
    message: str | None = None,
    progress: Progress = silent,
) -> PushSummary:
    """Send the folder of an `export` to the data set repository `repo` ("owner/name") of the Hub.

    The token is that of the environment (HF_TOKEN), the Hub's address that of HF_ENDPOINT where it is set. The
    repository is made private where it is not there; one that is public is refused unless `public` is said. What broke
    off goes on when the same is asked for again.

    Raises UsageError for a folder that `export` did not write or that lacks a file of it, without a token, and for
    pictures whose licence forbids that they are passed on; FercleanError where the Hub refuses or does not answer.
    """
    root = Path(folder)
    told = _manifest(root)
    form, files = str(told["form"]), [str(name) for name in told["files"]]
    if EXPORTS[form].HOLDS_PIXELS and not told.get("redistributable"):
        where = f" --release {told['release']}" if told.get("release") else ""
        raise UsageError(
            f"{root} holds the images of {told.get('dataset', 'its data set')}, whose licence forbids passing them on; "
            f"push a patch without pixels instead: ferclean export --form patch{where} --out PATCH"
        )
    # a manifest is text that others may have written: nothing outside of the folder goes
    if lacking := [f"{name} ({why})" for name in files if (why := contained_file(root, name)[1])]:
        raise UsageError(f"{root} does not hold all of its export: {few(lacking)}; export it again")
    size = sum((root / name).stat().st_size for name in files)
    made = push_files(
        root, files, repo, public=public, progress=progress,
        message=message or f"Release {told.get('release') or 'of the workspace'} of {told.get('dataset')}, by ferclean",
    )  # fmt: skip
    return PushSummary(
        repo=repo, url=made.url, form=form, public=made.public, files=len(files), bytes=size, removed=made.removed,
        others=made.others,
    )  # fmt: skip


def _manifest(root: Path) -> dict[str, Any]:
    if not (root / MANIFEST).is_file():
        raise UsageError(f"{root} is no folder that `ferclean export` wrote (it has no {MANIFEST}); export first")
    with reading(root / MANIFEST, "export it again"):
        told: dict[str, Any] = json.loads((root / MANIFEST).read_text("utf-8"))
        known = told["form"] in EXPORTS and isinstance(told["files"], list)
    if not known:
        raise UsageError(f"{root / MANIFEST} names no form of this version; export it again")
    return told
