"""Which code wrote a run or a migration."""

from __future__ import annotations

from pathlib import Path

import ferclean
from ferclean.store import version

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git(folder: Path, head: str) -> Path:
    (folder / "refs" / "heads").mkdir(parents=True)
    (folder / "HEAD").write_text(head + "\n", encoding="utf-8")
    return folder


def test_the_code_version_begins_with_the_package_version() -> None:
    assert version.code_version().split("+")[0] == ferclean.__version__


def test_the_commit_is_found_wherever_git_keeps_it(tmp_path: Path) -> None:
    loose = git(tmp_path / "loose", "ref: refs/heads/main")
    (loose / "refs" / "heads" / "main").write_text(COMMIT + "\n", encoding="utf-8")
    packed = git(tmp_path / "packed", "ref: refs/heads/main")
    (packed / "packed-refs").write_text(f"# pack-refs\n{COMMIT} refs/heads/main\n", encoding="utf-8")
    detached = git(tmp_path / "detached", COMMIT)
    assert [version._commit(folder) for folder in (loose, packed, detached)] == [COMMIT] * 3


def test_there_is_no_commit_in_an_installed_package_or_an_unborn_branch(tmp_path: Path) -> None:
    assert version._commit(tmp_path / "nothing") is None
    assert version._commit(git(tmp_path / "unborn", "ref: refs/heads/main")) is None
