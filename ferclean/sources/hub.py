"""A data set of the Hugging Face Hub as a folder here, at one revision: only for an address that says `hf://`.

It never reads a token but from the environment, never shows one, and takes no code from a repository.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event

from ferclean import extras
from ferclean.errors import BadDataError, FercleanError, UsageError
from ferclean.leases import BESIDE, in_hand, lease_of, leased
from ferclean.sources.addresses import shown
from ferclean.sources.admission import Admission, Caps
from ferclean.sources.file_names import IMAGE_SUFFIXES

TOKEN, ENDPOINT = "HF_TOKEN", "HF_ENDPOINT"
_ADDRESS = re.compile(r"hf:/{1,2}(?:datasets/)?(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>(?!.*\.\.)[\w./-]+))?/?")
_SUFFIXES = (".parquet", ".arrow", ".csv", ".tsv", ".json", ".jsonl", ".md", ".txt", *IMAGE_SUFFIXES)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MARK, _COMING = ".commit", ".fetching"
_AT_ONCE, _BLOCK = 8, 64


def is_address(path: str | Path) -> bool:
    """Whether somebody asks for the Hub: `hf://owner/name`, `hf://datasets/owner/name@revision` (a Path loses a slash).

    >>> is_address("hf://ada/faces"), is_address(Path("hf://ada/faces@main")), is_address("faces")
    (True, True, False)
    """
    return str(path).startswith("hf:/")


@contextmanager
def fetched(address: str | Path, into: Path, *, caps: Caps | None = None) -> Iterator[tuple[Path, str]]:
    """Yield (folder below `into` with the files of a data set at one commit, `owner/name@commit`).

    The revision (`@` behind the name; without it the newest) is settled to a commit before anything is fetched, and all
    files are of that commit. What is here of that commit already is not fetched again; what broke off goes on. Files
    that hold no data (code, models) stay there. Other commits that are here stay, too, until `keep_only`; none removes
    this one while the block runs.

    Raises UsageError for an address of another form, BadDataError for names that lead out of the folder and sets
    beyond `caps` (by what the Hub says beforehand, and by what came), WorkspaceBusyError while another process has that
    commit in hand, FercleanError where the Hub refuses or does not answer.
    """
    found = _ADDRESS.fullmatch(str(address))
    if found is None:
        said = shown(re.sub("^hf:/(?!/)", "hf://", str(address)))
        raise UsageError(
            f"{said} is no address of the Hub; write hf://OWNER/NAME or hf://OWNER/NAME@REVISION, a token in {TOKEN}"
        )
    extras.require("hf", "a data set of the Hub")
    from huggingface_hub import HfApi

    repo, token = found["repo"], os.environ.get(TOKEN, "").strip()
    caps = caps or Caps()
    with _talking(repo, token):
        # without a token in the environment none is looked for elsewhere
        api = HfApi(endpoint=os.environ.get(ENDPOINT) or None, token=token or False)
        info = api.dataset_info(repo, revision=found["revision"], files_metadata=True)
        names = _wanted(repo, {file.rfilename: file.size or 0 for file in info.siblings or ()}, caps)
    commit = str(info.sha)
    if not _COMMIT.fullmatch(commit):
        raise BadDataError(f"the Hub names no commit of {repo} ({commit[:80]!r}): fetch it by hand")
    place = into / f"{_plain(repo)}-{commit}"
    with in_hand(place, f"{repo}@{commit}"):
        if not _holds(place, commit):
            coming = place.with_name(f"{place.name}{_COMING}")
            fetch = partial(api.hf_hub_download, repo, repo_type="dataset", revision=commit, local_dir=coming)
            with _talking(repo, token):
                try:
                    _bring(names, fetch, Admission(f"hf://{repo}", caps))
                except BadDataError:
                    shutil.rmtree(coming, ignore_errors=True)
                    raise
            shutil.rmtree(coming / ".cache", ignore_errors=True)
            (coming / _MARK).write_text(commit, encoding="utf-8")
            if place.exists():  # of an earlier time, without its mark
                shutil.rmtree(place)
            coming.rename(place)
        yield place, f"{repo}@{commit}"


@contextmanager
def _talking(repo: str, token: str) -> Iterator[None]:
    """Without bars, and what goes wrong in words that hold no token."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    with_bars = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    except HFValidationError as error:
        raise UsageError(f"{repo!r} cannot name a repository: {_line(error, token)}") from None
    except (HfHubHTTPError, HTTPError, OSError, RuntimeError, ValueError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        why = f"give a token that may read it in {TOKEN}" if status in (401, 403, 404) else _line(error, token)
        raise FercleanError(
            f"the Hub did not give {repo} ({status or type(error).__name__}): {why}; run the same line again to go on"
        ) from None
    finally:
        if with_bars:
            enable_progress_bars()


def keep_only(place: Path) -> None:
    """Remove what is here of other commits of the set at `place`, which was taken in.

    What another process has in hand stays, and so does what cannot be removed: the set is taken in all the same.
    """
    repo = place.name.rpartition("-")[0]
    for other in list(place.parent.iterdir()):
        whole = other.with_name(other.name.removesuffix(_COMING).removesuffix(BESIDE))
        name, _, commit = whole.name.rpartition("-")
        if whole == place or name != repo or not _COMMIT.fullmatch(commit):
            continue
        with leased(lease_of(whole)) as free:  # a lease that a killed process left goes with it
            if not free or other == lease_of(whole):
                continue
            try:
                (other / _MARK).unlink(missing_ok=True)  # first what says that it is whole
            except OSError:
                continue  # it stays, and whole
            shutil.rmtree(other, ignore_errors=True)


def _plain(repo: str) -> str:
    return repo.replace("/", "--")


def _holds(place: Path, commit: str) -> bool:
    """Whether all of a commit lies here: the mark is written last."""
    mark = place / _MARK
    return mark.is_file() and mark.read_text(encoding="utf-8").strip() == commit


def _wanted(repo: str, sizes: dict[str, int], caps: Caps) -> list[str]:
    names = [name for name in sizes if name.lower().endswith(_SUFFIXES)]
    admission = Admission(f"hf://{repo}", caps)
    wanted = [name for name in names if admission.place(name)]
    if not wanted:
        raise BadDataError(f"{repo} holds no data: none of {', '.join(_SUFFIXES)}")
    for name in wanted:
        admission.check_file(name, sizes[name])
        admission.count_bytes(sizes[name])
    return wanted


def _bring(names: list[str], fetch: Callable[[str], str], admission: Admission) -> None:
    """Fetch files side by side, and count each as it came; none is begun after one that fails.

    Raises BadDataError beyond a cap.
    """

    stopped = Event()

    def bring(name: str) -> None:
        if stopped.is_set():
            return
        try:
            size = Path(fetch(name)).stat().st_size
            admission.check_file(name, size)
            admission.count_bytes(size)
        except Exception:
            stopped.set()
            raise

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(names), _BLOCK):
            part = [pool.submit(bring, name) for name in names[start : start + _BLOCK]]
            try:
                for done in as_completed(part):
                    done.result()
            finally:
                for one in part:
                    one.cancel()


def _line(error: Exception, token: str) -> str:
    said = " ".join(str(error).split())[:300] or type(error).__name__
    return said.replace(token, "(token)") if token else said
