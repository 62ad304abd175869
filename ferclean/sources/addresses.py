"""Fetch what lies at an address: one file over http(s), a file or folder of any storage that fsspec has a driver for.

It asks no server before somebody names one, and no password, token or signed query gets into what it says or keeps.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import importlib.util
import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from ferclean.errors import BadDataError, FercleanError, UsageError, among
from ferclean.progress import Progress
from ferclean.sources.admission import CHUNK, Admission
from ferclean.sources.archive import kind_of
from ferclean.sources.file_names import IMAGE_SUFFIXES

_HEAD = 512
_MAGIC = (
    (0, b"PK\x03\x04", ".zip"), (0, b"\x1f\x8b", ".tar.gz"), (0, b"BZh", ".tar.bz2"), (0, b"\xfd7zXZ\0", ".tar.xz"),
    (257, b"ustar", ".tar"), (0, b"PAR1", ".parquet"),
)  # fmt: skip
"""(place, bytes there, ending that such a file has)."""
_KNOWN = (".csv", ".tsv", ".parquet", ".pq", ".json", ".jsonl", ".xml", ".npz", *IMAGE_SUFFIXES)
"""Endings that say of what kind a file is, beside those of archives."""
_TIMEOUT, _ATTEMPTS, _AT_ONCE = 60.0, 4, 8
_MARKS = ("ETag", "etag", "md5Hash", "checksum", "mtime", "LastModified", "last_modified", "updated", "created")
"""What storages call that which changes with a file's content."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """What lies at an address: files by relative name, each with what reads it."""

    shown: str
    """The address without what must stay secret."""
    name: str
    """Its last part."""
    single: bool
    """Whether it is one file, not a folder."""
    identity: str
    """The same as long as nothing there has changed."""
    files: dict[str, tuple[int | None, Callable[[], Iterator[bytes]]]]
    """Name -> (announced bytes, content)."""
    close: Callable[[], None] = lambda: None
    """Ends what `look` began."""


def is_address(path: object) -> bool:
    """Whether a path is an address such as s3://bucket/faces; a drive letter is none.

    >>> is_address("s3://a/b"), is_address("C://a"), is_address("a/b")
    (True, False, False)
    """
    return re.match(r"[A-Za-z][A-Za-z0-9+.:-]+://", str(path)) is not None


def shown(address: str) -> str:
    """An address without user, password, query and fragment.

    >>> shown("https://me:secret@host:8/set.zip?X-Signature=abc#x")
    'https://host:8/set.zip'
    """
    try:
        parts = _split(address)
    except ValueError:
        return "an address that is none"  # whose words may hold a password where a host or port belongs
    return joined(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def joined(parts: SplitResult) -> str:
    """The address of these parts, with the slashes of one without a host, which `urlunsplit` loses.

    >>> joined(urlsplit("hdfs:///set?a=1"))
    'hdfs:///set?a=1'
    """
    behind = urlunsplit(parts._replace(scheme="", netloc="", path=""))
    return f"{parts.scheme}://{parts.netloc}{parts.path}{behind}"


def parts_of(address: str) -> SplitResult:
    """The parts of an address. Raises UsageError for one that has none, or over http a port that is none."""
    try:
        return _split(address)
    except ValueError:
        raise UsageError(f"{shown(address)}: write scheme://host:port/path, with an IPv6 host in brackets") from None


def _split(address: str) -> SplitResult:
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        parts.port  # noqa: B018 - asked for its ValueError
    return parts


def local_path(address: str) -> Path | None:
    """The path behind a file:// address; None for any other. Raises UsageError for another machine's, or none."""
    parts = parts_of(address)
    if parts.scheme not in ("file", "local"):
        return None
    if parts.netloc not in ("", "localhost"):
        raise UsageError(f"{shown(address)} names another machine; write file:///path, or the path itself")
    if not parts.path or parts.query or parts.fragment:
        raise UsageError(f"{shown(address)} is no whole path: write file:///path with %23 for # and %3F for ?")
    return Path(unquote(parts.path))


def look(address: str) -> Remote:
    """What lies at an address, after one question to its server (a listing of all names for a folder).

    Raises UsageError for an address that is not known here, FercleanError where a driver is missing or the server
    refuses, BadDataError where nothing is there.
    """
    if "::" in address:
        raise UsageError(f"{shown(address)}: chained addresses (::) are not opened; name the file or folder itself")
    scheme = parts_of(address).scheme.lower()
    return _http(address) if scheme in ("http", "https") else _stored(address, scheme)


def fetch(remote: Remote, target: Path, admission: Admission, *, progress: Progress) -> None:
    """Write all files below the empty folder `target`, several at a time, a megabyte of each in memory.

    Raises BadDataError for a name that leads elsewhere and beyond the caps, FercleanError for what breaks off.
    """
    places = [(name, place) for name in remote.files if (place := admission.place(name)) is not None]
    if not places:
        raise BadDataError(f"{remote.shown} holds no file")
    for _, place in places:
        (target / place).parent.mkdir(parents=True, exist_ok=True)

    def one(item: tuple[str, Any]) -> None:
        name, place = item
        announced, content = remote.files[name]
        size = admission.write(name, _counted(content(), admission), target / place)
        if announced is not None and size != announced:
            raise FercleanError(f"{remote.shown}: {name!r} broke off at {size:,} of {announced:,} bytes; run it again")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting = [pool.submit(one, item) for item in places]
        try:
            for done, future in enumerate(waiting):
                future.result()
                progress("fetching", done + 1, len(places))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _counted(chunks: Iterator[bytes], admission: Admission) -> Iterator[bytes]:
    for chunk in chunks:
        admission.count_bytes(len(chunk))
        yield chunk


# ---- storages, through fsspec


def _stored(address: str, scheme: str) -> Remote:
    import fsspec
    from fsspec.registry import known_implementations

    if scheme == "hf":
        raise UsageError(f"{shown(address)} is fetched by `ferclean ingest hf {shown(address)}`, at one commit")
    if scheme not in fsspec.available_protocols():
        raise UsageError(f"no way in for {scheme}://; {among(scheme, fsspec.available_protocols())}")
    package = known_implementations.get(scheme, {}).get("class", "fsspec").partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise FercleanError(f"{scheme}:// needs the package {package}, which is not installed: pip install {package}")
    try:
        storage, root = fsspec.url_to_fs(address)
        told = storage.info(root)
        single = told["type"] == "file"
        listed = {root: told} if single else storage.find(root, detail=True)
    except Exception as error:
        raise _failure(address, error) from None
    base = root.rstrip("/")
    name = base.rpartition("/")[2] or scheme
    files = {}
    for path, facts in sorted(listed.items()):
        inner = name if single else path.removeprefix(f"{base}/")
        if facts.get("type") != "directory" and not path.endswith("/"):
            files[inner] = (facts.get("size"), _reading(address, storage, path))
    marks = [(path, facts.get("size"), *(str(facts.get(mark)) for mark in _MARKS)) for path, facts in listed.items()]
    return Remote(shown=shown(address), name=name, single=single, identity=repr(sorted(marks)), files=files)


def _reading(address: str, storage: Any, path: str) -> Callable[[], Iterator[bytes]]:
    def content() -> Iterator[bytes]:
        try:
            with storage.open(path, "rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except Exception as error:
            raise _failure(address, error) from None

    return content


# ---- http


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to another scheme, nor from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("https", urlsplit(req.full_url).scheme):
            raise urllib.error.URLError("it sends on to an address of another kind")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _http(address: str) -> Remote:
    parts = urlsplit(address)
    if not _last_of(parts.path) and not parts.query:
        raise UsageError(f"{shown(address)} names no file: over http one file is fetched, such as .../set.zip")
    first = _asked(address)
    try:
        head = first.read(_HEAD)
    except (OSError, http.client.HTTPException) as error:
        raise _failure(address, error) from None
    name = _named(address, first, head)
    told = first.headers
    length = int(told["Content-Length"]) if (told["Content-Length"] or "").isdigit() else None
    marks = [told[mark] for mark in ("ETag", "Last-Modified") if told[mark]]
    identity = repr((marks, length)) if marks else secrets.token_hex(8)

    def content() -> Iterator[bytes]:
        response, at = first, len(head)
        yield head
        for attempt in range(_ATTEMPTS):
            try:
                while chunk := response.read(CHUNK):
                    at += len(chunk)
                    yield chunk
            except (OSError, http.client.HTTPException) as error:
                if attempt == _ATTEMPTS - 1 or not marks or length is None:
                    raise _failure(address, error) from None
            if length is None or at >= length or not marks:
                break
            response.close()
            response = _asked(address, {"Range": f"bytes={at}-", "If-Range": marks[0]})
            if response.status != 206 or not (response.headers["Content-Range"] or "").startswith(f"bytes {at}-"):
                break  # the length then says what is missing
        response.close()

    return Remote(
        shown=shown(address), name=name, single=True, identity=identity, files={name: (length, content)},
        close=first.close,
    )  # fmt: skip


def _last_of(path: str) -> str:
    return unquote(path.rpartition("/")[2])


def _named(address: str, response: Any, head: bytes) -> str:
    """What the file that came is called: by its server, by the address or by where that led, whichever says of what
    kind it is; where none does, its first bytes do."""
    said = (response.headers.get_filename() or "").replace("\\", "/")
    names = [_last_of(said), _last_of(urlsplit(address).path), _last_of(urlsplit(response.geturl()).path)]
    names = [name for name in names if name not in ("", ".", "..")] or ["download"]
    for name in names:
        if kind_of(name) or name.lower().endswith(_KNOWN):
            return name
    ending = next((ending for at, start, ending in _MAGIC if head[at:].startswith(start)), "")
    return names[0] + ending


def _asked(address: str, headers: dict[str, str] | None = None) -> Any:
    parts = urlsplit(address)
    user, _, host = parts.netloc.rpartition("@")
    plain = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    known = {"User-Agent": "ferclean", "Accept-Encoding": "identity", **(headers or {})}
    request = urllib.request.Request(plain, headers=known)  # noqa: S310 - http and https only
    if user:
        token = base64.b64encode(unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    try:
        return urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise _failure(address, error) from None


# ---- words


def _failure(address: str, error: Exception) -> FercleanError:
    """The error of a driver or server, in words that hold no secret."""
    code = getattr(error, "code", None)
    if isinstance(error, FileNotFoundError) or code in (404, 410):
        return BadDataError(f"{shown(address)}: there is no such file or folder")
    if isinstance(error, PermissionError) or code in (401, 403):
        return FercleanError(f"{shown(address)}: access is refused; give your credentials in the way of its driver")
    said = f"answered {code}" if isinstance(code, int) else f"{type(error).__name__} {_without_secrets(address, error)}"
    return FercleanError(f"{shown(address)} cannot be read: {said.strip()}; run it again when it can be reached")


def _without_secrets(address: str, error: Exception) -> str:
    parts = urlsplit(address)
    user = parts.netloc.rpartition("@")[0]
    hidden = {address, user, unquote(user), *user.split(":"), *unquote(user).split(":"), parts.query, parts.fragment}
    hidden |= {unquote(pair.partition("=")[2]) for pair in parts.query.split("&")}
    hidden |= {pair.partition("=")[2] for pair in parts.query.split("&")}
    said = " ".join(str(error).split())
    for secret in sorted(filter(None, hidden), key=len, reverse=True):
        said = said.replace(secret, "...")
    return re.sub(r"://[^/@\s]+@", "://", re.sub(r"\?[^\s'\")]+", "?...", said))[:200]


def fingerprint(remote: Remote) -> str:
    """Ten letters that are others when the address, or what lies there, is another."""
    return hashlib.sha256(f"{remote.shown}\0{remote.identity}".encode("utf-8", "surrogateescape")).hexdigest()[:10]
