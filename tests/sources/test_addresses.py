"""What lies at an address is fetched within the caps, from a real server and a real storage; secrets stay secret."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest

from ferclean.cli import run
from ferclean.cli.failures import failure_of
from ferclean.errors import BadDataError, FercleanError, UsageError
from ferclean.parts.at_hand import Caps, at_hand
from ferclean.sources import addresses
from ferclean.steps.ingest import ingest
from ferclean.store import samples
from ferclean.store.workspace import Workspace
from tests.made_sets import write_folder

SECRET = "tops3cret"


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "W")


@pytest.fixture
def storage() -> Iterator[Any]:
    """fsspec's own storage in memory, empty before and after."""
    found = fsspec.filesystem("memory")
    found.store.clear()
    yield found
    found.store.clear()


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "faces", ["train/happy/a.png", "train/sad/b.png", "test/happy/c.png"])


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site: Any = self.server
        site.asked.append((self.path, dict(self.headers)))
        path = self.path.partition("?")[0]
        if path == "/moved.zip":
            self.send_response(302)
            self.send_header("Location", site.target)
            self.end_headers()
            return
        content = site.files.get(path)
        if content is None or (site.password and self.headers["Authorization"] != site.password):
            self.send_error(404 if content is None else 401)
            return
        begin = int((self.headers["Range"] or "bytes=0-")[6:-1]) if site.ranges else 0
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", '"1"')
        if path == "/chunked.zip":  # of an unknown length, and it breaks off
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(f"{len(content):x}\r\n".encode() + content[: len(content) // 2])
            return
        if path in site.called:
            self.send_header("Content-Disposition", site.called[path])
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        end = min(len(content), begin + (site.cut or len(content)))
        self.wfile.write(content[begin:end])

    def log_message(self, *words: Any) -> None:
        """Nothing on stderr."""


@pytest.fixture
def site(faces: Path, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A server of /set.zip on this machine that notes what it was asked."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    archive = Path(shutil.make_archive(str(tmp_path / "set"), "zip", faces))
    server.files, server.asked, server.password, server.cut, server.ranges = {}, [], None, None, True
    server.called = {}
    server.files["/set.zip"] = archive.read_bytes()
    server.target = "/set.zip"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.at = f"http://127.0.0.1:{server.server_address[1]}"
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def put(storage: Any, folder: Path, at: str = "/bucket/faces") -> None:
    for file in folder.rglob("*.*"):
        storage.pipe(f"{at}/{file.relative_to(folder).as_posix()}", file.read_bytes())


def test_a_folder_at_an_address_comes_in_like_a_folder_and_once(ws: Workspace, storage: Any, faces: Path) -> None:
    put(storage, faces)
    summary = ingest(ws, "image_folder", "memory://bucket/faces")
    assert summary.by_split == {"train": 2, "test": 1}
    assert "files of memory://bucket/faces lie below" in summary.notes[0]
    table = samples.get_samples(ws)
    assert all(Path(path).is_relative_to(ws.sources) for path in table["path"])
    storage.pipe("/bucket/faces/train/sad/d.png", (faces / "test/happy/c.png").read_bytes()[:-1] + b"x")
    assert ingest(ws, "image_folder", "memory://bucket/faces").added >= 1
    again = ingest(ws, "image_folder", "memory://bucket/faces")
    assert (again.added, again.changed) == (0, 0)
    assert "lie since before below" in again.notes[0]
    assert len([*ws.sources.iterdir()]) == 1


def test_an_archive_at_an_address_is_unpacked_and_auto_looks_at_it(
    site: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "X"
    assert run(["-w", str(root), "ingest", "auto", f"{site.at}/set.zip?token={SECRET}"]) == 3
    told = capsys.readouterr()
    assert told.out.split() == ["ferclean", "-w", str(root), "ingest", "image_folder", f"{site.at}/set.zip"]
    assert run(["-w", str(root), "ingest", "auto", f"{site.at}/set.zip?token={SECRET}", "--yes"]) == 0
    told = capsys.readouterr()
    assert site.asked[-1][0] == f"/set.zip?token={SECRET}"
    assert SECRET not in told.out + told.err
    assert not any(SECRET.encode() in file.read_bytes() for file in root.rglob("*") if file.is_file())
    assert not any("set.zip" in path.name for path in root.rglob("*") if path.is_file())
    with at_hand(tmp_path / "s", f"{site.at}/set.zip/train") as here:
        assert sorted(os.listdir(here.path)) == ["happy", "sad"]
        assert Path(here.local(Path(f"{site.at}/set.zip/test"))).is_dir()  # a Path has lost a slash
        with pytest.raises(UsageError, match=r"^https://host/votes\.txt: only the set itself is fetched"):
            here.local(Path(f"https://me:{SECRET}@host/votes.txt"))


def test_a_download_is_an_archive_by_what_its_server_calls_it_where_it_led_or_its_first_bytes(
    site: SimpleNamespace, tmp_path: Path
) -> None:
    site.files |= {"/get": site.files["/set.zip"], "/d": site.files["/set.zip"], "/x.csv": b"path,label\n"}
    site.called = {"/get": "attachment; filename*=UTF-8''a%2F..%2Ff%C3%A4ces.zip", "/x.csv": 'inline; filename=".."'}
    for path, name in (("/get?id=1", "fäces.zip"), ("/d", "d.zip"), ("/moved.zip", "moved.zip"), ("/x.csv", "x.csv")):
        remote = addresses.look(f"{site.at}{path}")
        remote.close()
        assert remote.name == name
    with at_hand(tmp_path / "s", f"{site.at}/d") as here:
        assert sorted(os.listdir(here.path)) == ["test", "train"]


def test_what_breaks_off_goes_on_where_it_was_or_leaves_nothing(site: SimpleNamespace, ws: Workspace) -> None:
    site.cut = len(site.files["/set.zip"]) * 2 // 5
    assert ingest(ws, "image_folder", f"{site.at}/set.zip").added == 3
    assert [headers.get("Range") for _, headers in site.asked] == [None, f"bytes={site.cut}-", f"bytes={2 * site.cut}-"]
    site.ranges, site.files["/other.zip"] = False, site.files["/set.zip"]
    site.files["/chunked.zip"] = site.files["/set.zip"]
    before = sorted(ws.sources.rglob("*"))
    with pytest.raises(FercleanError, match=r"'other.zip' broke off at .* bytes; run it again"):
        ingest(ws, "image_folder", f"{site.at}/other.zip")
    # nobody knows how much of this is to come
    with pytest.raises(FercleanError, match=r"chunked.zip cannot be read: IncompleteRead"):
        ingest(ws, "image_folder", f"{site.at}/chunked.zip")
    assert sorted(ws.sources.rglob("*")) == before


def test_user_and_password_reach_the_server_and_nobody_else(
    site: SimpleNamespace, ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    address = site.at.replace("//", f"//me:{SECRET}@") + "/set.zip"
    site.password = "Basic bWU6dG9wczNjcmV0"
    assert run(["-w", str(ws.root), "--debug", "ingest", "image_folder", address]) == 0
    site.password = "Basic other"
    for path in ("/set.zip?x=1", "/gone.zip"):
        assert (
            run(["-w", str(ws.root), "--debug", "--json", "ingest", "image_folder", address.replace("/set.zip", path)])
            != 0
        )
    site.password = "Basic bWU6dG9wczNjcmV0"
    assert run(["doctor", "image_folder", address, "--fail-on", "never"]) == 0
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err
    assert f"ingest image_folder {site.at}/set.zip" in told.err
    assert "access is refused" in told.err
    assert "there is no such file or folder" in told.err
    stopped = failure_of(
        KeyboardInterrupt(), ["ingest", "auto", address, "--note", f"s3://k:{SECRET}@b/a?x={SECRET}"], "ingest"
    )
    assert SECRET not in stopped.message + str(stopped.resume)


def test_a_redirect_to_another_kind_of_address_is_not_followed(site: SimpleNamespace, ws: Workspace) -> None:
    assert ingest(ws, "image_folder", f"{site.at}/moved.zip").added == 3
    for target in ("ftp://127.0.0.1/set.zip", "file:///etc/passwd"):
        site.target = target
        with pytest.raises(FercleanError, match="cannot be read"):
            ingest(ws, "image_folder", f"{site.at}/moved.zip?{target}")


def test_names_and_sizes_at_an_address_are_checked_like_an_archives(ws: Workspace, storage: Any, faces: Path) -> None:
    put(storage, faces)
    for caps, option in ((Caps(entries=2), "--max-entries"), (Caps(gigabytes=1e-7), "--max-gb")):
        with pytest.raises(BadDataError, match=rf"memory://bucket/faces: .*raise {option}"):
            ingest(ws, "image_folder", "memory://bucket/faces", caps=caps)
        assert not ws.sources.exists()
    for name, why in (("a\\b.png", "backslash"), ("train/HAPPY/A.png", "comes twice")):
        storage.store.clear()
        put(storage, faces)
        storage.pipe(f"/bucket/faces/{name}", b"1")
        with pytest.raises(BadDataError, match=why):
            ingest(ws, "image_folder", "memory://bucket/faces")
        assert not ws.sources.exists()
    assert sorted(os.listdir(ws.root.parent)) == ["W", "faces"]


def test_a_path_with_file_before_it_is_that_path(ws: Workspace, faces: Path) -> None:
    assert ingest(ws, "image_folder", f"file://{faces}").added == 3
    assert not ws.sources.exists()
    with pytest.raises(UsageError, match="names another machine"):
        ingest(ws, "image_folder", "file://host/faces")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nosuch://a/b", r"no way in for nosuch://; .*known: "),
        ("simplecache::memory://a", "chained addresses"),
        ("https://127.0.0.1/", "names no file"),
        (f"file://me:{SECRET}@host/faces", "^file://host/faces names another machine"),
        ("file://", "^file:// is no whole path"),
        ("file:///faces#2", "^file:///faces is no whole path: .* %23 for #"),
        ("memory:///none.zip/train", "^memory:///none.zip: there is no such file or folder"),
        *(
            (address, "an address that is none: write scheme://host:port/path")
            for address in (
                f"http://me:{SECRET}@[bad/set.zip",
                f"http://me:{SECRET}@127.0.0.1:99999/set.zip",
                f"https://me:{SECRET}/set.zip",
                "file://[bad/set",
                "s3://[bad/faces",
            )
        ),
        ("memory://bucket/none", "memory://bucket/none: there is no such file or folder"),
        (f"http://me:{SECRET}@127.0.0.1:1/set.zip?k={SECRET}", r"http://127.0.0.1:1/set.zip cannot be read: URLError"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(ws: Workspace, address: str, said: str) -> None:
    with pytest.raises(FercleanError, match=said) as refusal:
        ingest(ws, "image_folder", address)
    assert SECRET not in str(refusal.value)
    assert not ws.sources.exists()


def test_a_driver_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = addresses.importlib.util.find_spec
    monkeypatch.setattr(
        addresses.importlib.util, "find_spec", lambda name: None if name == "s3fs" else found(name)
    )  # fmt: skip
    with pytest.raises(FercleanError, match="s3:// needs the package s3fs, which is not installed: pip install s3fs"):
        addresses.look("s3://bucket/faces")
