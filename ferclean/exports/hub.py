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
from ferclean.progress import Progress

TOKEN, ENDPOINT = "HF_TOKEN", "HF_ENDPOINT"
_SHARD = re.compile(r"data/\w+-\d{5}-of-\d{5}\.parquet")


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What the Hub holds now."""

    url: str
    """Of the commit."""
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
    """Put `files` of `folder` into the data set repository `repo` ("owner/name"), which is made private where it is not
    there.

    A large file that has arrived is not sent again, whenever and from wherever the next push comes; the commit at the
    end shows all of them or none. Raises UsageError for a name that no repository can have and for a public repository
    without `public`, before anything is sent; FercleanError where the Hub refuses or does not answer.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    token = token_of_environment()
    api = HfApi(endpoint=os.environ.get(ENDPOINT) or None, token=token)
    with _told(repo, token):
        api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        info = api.dataset_info(repo)
        there = [file.rfilename for file in info.siblings or ()]
    if not info.private and not public:
        raise UsageError(f"{repo} is public already; pass --public to push there, or name another repository")
    additions = []
    for done, name in enumerate(files):
        progress("sending files", done, len(files))
        with _told(repo, token):
            addition = CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(folder / name))
            api.preupload_lfs_files(repo, additions=[addition], repo_type="dataset")
        additions.append(addition)
    removed = [name for name in there if _SHARD.fullmatch(name) and name not in files]
    with _told(repo, token):
        made = api.create_commit(
            repo,
            operations=[*additions, *(CommitOperationDelete(path_in_repo=name) for name in removed)],
            commit_message=message,
            repo_type="dataset",
        )
    progress("sending files", len(files), len(files))
    left = sorted({*there} - {*files} - {*removed} - {".gitattributes"})
    return Pushed(url=str(made.commit_url), removed=tuple(removed), others=tuple(left))


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
