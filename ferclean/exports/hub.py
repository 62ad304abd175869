"""An exported folder onto the Hugging Face Hub: each large file by itself, then everything in one commit.

It never reads a token from a file, never shows one, and never makes a repository public by itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferclean.errors import FercleanError, UsageError
from ferclean.exports.target import MANIFEST
from ferclean.progress import Progress

TOKEN, ENDPOINT = "HF_TOKEN", "HF_ENDPOINT"
_SHARD = re.compile(r"data/\w+-\d{5}-of-\d{5}\.parquet")
_BATCH = 256
"""Files about which the Hub is asked at once."""
_MOST = 20_000
"""Files of one push: each is a line of its one commit."""


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What the Hub holds now."""

    url: str
    """Of the commit."""
    public: bool
    """Whether anyone may read it, as the Hub says."""
    removed: tuple[str, ...]
    """Files of an earlier push that would be read along with these: gone in the same commit."""
    others: tuple[str, ...]
    """Files of the repository that are not of this export and stay."""


def token_of_environment() -> str:
    """The token in HF_TOKEN. Raises UsageError without one: a token that lies in a file is not looked for."""
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise UsageError(f"{TOKEN} is not set; put a token that may write into it (the Hub's settings make one)")
    return token


def push_files(
    folder: Path, files: Sequence[str], repo: str, *, public: bool, message: str, progress: Progress
) -> Pushed:
    """Put `files` of `folder`, and MANIFEST, into the data set repository `repo` ("owner/name"), which is made private
    where it is not there.

    A large file that has arrived is not sent again, whenever and from wherever the next push comes; the commit at the
    end shows all of them or none, and follows on what the repository held when they were sent. Shards that are not of
    this export go only where shards come and an earlier push left its MANIFEST. Raises UsageError for a name that no
    repository can have, for more than _MOST files, and for a public repository without `public`, before anything is
    sent; FercleanError where the Hub refuses or does not answer.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    token = token_of_environment()
    if len(files) > _MOST:
        raise UsageError(
            f"{folder} has {len(files):,} files, and a commit takes {_MOST:,} at most; ferclean export --form hf "
            "writes the same in a few"
        )
    api = HfApi(endpoint=os.environ.get(ENDPOINT) or None, token=token)

    def looked_at() -> Any:
        info = api.dataset_info(repo)
        if not info.private and not public:
            raise UsageError(f"{repo} is public already; pass --public to push there, or name another repository")
        return info

    with _told(repo, token):
        api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        looked_at()
        additions = [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(folder / name))  # reads the file for its hash
            for name in _told_of((*files, MANIFEST), "reading files", progress)
        ]
        for start in range(0, len(additions), _BATCH):
            progress("sending files", start, len(additions))
            api.preupload_lfs_files(repo, additions=additions[start : start + _BATCH], repo_type="dataset")
        info = looked_at()  # sending may have taken hours
        there = [file.rfilename for file in info.siblings or ()]
        old = MANIFEST in there and any(map(_SHARD.fullmatch, files))
        removed = [name for name in there if old and _SHARD.fullmatch(name) and name not in files]
        made = api.create_commit(
            repo,
            operations=[*additions, *(CommitOperationDelete(path_in_repo=name) for name in removed)],
            commit_message=message,
            repo_type="dataset",
            parent_commit=info.sha,
        )
    progress("sending files", len(additions), len(additions))
    left = sorted({*there} - {*files} - {*removed} - {".gitattributes", MANIFEST})
    return Pushed(url=str(made.commit_url), public=not info.private, removed=tuple(removed), others=tuple(left))


def _told_of(names: Sequence[str], what: str, progress: Progress) -> Iterator[str]:
    for done, name in enumerate(names):
        progress(what, done, len(names))
        yield name


@contextmanager
def _told(repo: str, token: str) -> Iterator[None]:
    """Whatever the client meets as one line without the token in it."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    except HFValidationError as error:
        raise UsageError(f"{repo!r} cannot name a repository: {_line(error, token)}") from None
    except (HfHubHTTPError, HTTPError, OSError, RuntimeError, ValueError) as error:
        # of an upload the client says only which file it was, and why behind it
        cause = error.__cause__ if type(error) is RuntimeError and error.__cause__ else error
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if status in (401, 403):
            raise FercleanError(
                f"the Hub does not let the token in {TOKEN} write to {repo} ({status}); give one that may"
            ) from None
        raise FercleanError(
            f"pushing to {repo} broke off: {_line(cause, token)}; what has arrived stays there: run the same line again"
        ) from None
    finally:
        if shown:
            enable_progress_bars()


def _line(error: Any, token: str) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return said.replace(token, "(token)")
