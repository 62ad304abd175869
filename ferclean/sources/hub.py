"""A data set of the Hugging Face Hub as a folder here, at one revision: only for an address that says `hf://`.

It never reads a token but from the environment, never shows one, and takes no code from a repository.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path, PurePosixPath

from ferclean import extras
from ferclean.errors import BadDataError, FercleanError, UsageError, few
from ferclean.sources.file_names import IMAGE_SUFFIXES

TOKEN, ENDPOINT = "HF_TOKEN", "HF_ENDPOINT"
_ADDRESS = re.compile(r"hf:/{1,2}(?:datasets/)?(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?/?")
_SUFFIXES = (".parquet", ".arrow", ".csv", ".tsv", ".json", ".jsonl", ".md", ".txt", *IMAGE_SUFFIXES)
_MOST_BYTES, _MOST_FILES = 200 * 1024**3, 500_000


def is_address(path: str | Path) -> bool:
    """Whether somebody asks for the Hub: `hf://owner/name`, `hf://datasets/owner/name@revision` (a Path loses a slash).

    >>> is_address("hf://ada/faces"), is_address(Path("hf://ada/faces@main")), is_address("faces")
    (True, True, False)
    """
    return str(path).startswith("hf:/")


def fetched(address: str | Path, into: Path) -> tuple[Path, str]:
    """(folder below `into` with the files of a data set, `owner/name@commit`).

    The revision (`@` behind the name; without it the newest) is settled to a commit before anything is fetched, and all
    files are of that commit. What is here of that commit already is not fetched again; what broke off goes on. Files
    that hold no data (code, models) stay there.

    Raises UsageError for an address of another form, BadDataError for names that lead out of the folder and sets
    beyond 500,000 files or 200 GiB, FercleanError where the Hub refuses or does not answer.
    """
    found = _ADDRESS.fullmatch(str(address))
    if found is None:
        raise UsageError(f"{address} is no address of the Hub; write hf://OWNER/NAME or hf://OWNER/NAME@REVISION")
    extras.require("hf", "a data set of the Hub")
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    repo, token = found["repo"], os.environ.get(TOKEN, "").strip()
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        # without a token in the environment none is looked for elsewhere
        api = HfApi(endpoint=os.environ.get(ENDPOINT) or None, token=token or False)
        info = api.dataset_info(repo, revision=found["revision"], files_metadata=True)
        names = _wanted(repo, {file.rfilename: file.size or 0 for file in info.siblings or ()})
        place = into / repo.replace("/", "--")
        commit = str(info.sha)
        if _holds(place, commit):
            return place, f"{repo}@{commit}"
        coming = place.with_name(f"{place.name}.{commit[:12]}.fetching")
        api.snapshot_download(repo, repo_type="dataset", revision=commit, local_dir=coming, allow_patterns=names)
    except HFValidationError as error:
        raise UsageError(f"{repo!r} cannot name a repository: {_line(error, token)}") from None
    except (HfHubHTTPError, HTTPError, OSError, RuntimeError, ValueError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        why = f"give a token that may read it in {TOKEN}" if status in (401, 403, 404) else _line(error, token)
        raise FercleanError(
            f"the Hub did not give {repo} ({status or type(error).__name__}): {why}; run the same line again to go on"
        ) from None
    finally:
        if shown:
            enable_progress_bars()
    shutil.rmtree(coming / ".cache", ignore_errors=True)
    (coming / ".commit").write_text(commit, encoding="utf-8")
    if place.exists():
        shutil.rmtree(place)
    coming.rename(place)
    return place, f"{repo}@{commit}"


def _holds(place: Path, commit: str) -> bool:
    """Whether all of a commit lies here: the mark is written last."""
    mark = place / ".commit"
    return mark.is_file() and mark.read_text(encoding="utf-8").strip() == commit


def _wanted(repo: str, sizes: dict[str, int]) -> list[str]:
    names = [name for name in sizes if name.lower().endswith(_SUFFIXES)]
    outside = [name for name in names if "\\" in name or not {"", ".", ".."}.isdisjoint(PurePosixPath(name).parts)]
    outside += [name for name in names if name.startswith("/") or any(sign in name for sign in "*?[\0")]
    if outside:
        raise BadDataError(f"{repo} has files whose names lead elsewhere: {few(map(repr, outside), 3)}")
    if not names:
        raise BadDataError(f"{repo} holds no data: none of {', '.join(_SUFFIXES)}")
    total = sum(sizes[name] for name in names)
    if len(names) > _MOST_FILES or total > _MOST_BYTES:
        raise BadDataError(
            f"{repo} holds {len(names):,} files, {total / 1e9:,.0f} GB: fetch it by hand, and name its folder"
        )
    return names


def _line(error: Exception, token: str) -> str:
    said = " ".join(str(error).split())[:300] or type(error).__name__
    return said.replace(token, "(token)") if token else said
