"""Which code wrote something: the version of ferclean, with the commit where it runs from a checkout.

It never starts a process: the two small files that git keeps are read.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import ferclean


@cache
def code_version() -> str:
    """For example `0.1.0`, or `0.1.0+g1a2b3c4d5e6f` in a git checkout."""
    commit = _commit(Path(ferclean.__file__).resolve().parent.parent / ".git")
    return ferclean.__version__ + (f"+g{commit[:12]}" if commit else "")


def _commit(git: Path) -> str | None:
    """The commit that HEAD names; None outside a plain checkout (an installed package, a linked worktree)."""
    head = git / "HEAD"
    if not head.is_file():
        return None
    content = head.read_text(encoding="utf-8").strip()
    if not content.startswith("ref: "):
        return content
    name = content.removeprefix("ref: ")
    if (git / name).is_file():
        return (git / name).read_text(encoding="utf-8").strip()
    packed = git / "packed-refs"
    if packed.is_file():
        for line in packed.read_text(encoding="utf-8").splitlines():
            if line.endswith(f" {name}"):
                return line.split(" ")[0]
    return None
