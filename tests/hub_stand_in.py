"""A Hub on the loopback: the part of its protocol that a push and a fetch speak, over a real socket.

Repositories (create, info, files), upload modes, the batch API of Git LFS with uploads, and commits in lines of JSON.
It keeps what arrives in memory, asks for the token, and can drop connections in the middle of a body.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import huggingface_hub.constants
import pytest
import yaml
from huggingface_hub.utils import _http

TOKEN = "hf_a_token_of_the_tests"
COMMIT = "0" * 40


@dataclass
class Hub:
    """What it holds, and what was asked of it."""

    url: str = ""
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    """Digests of the large files whose bytes were sent, in order."""
    downloads: list[str] = field(default_factory=list)
    """Files whose bytes were asked for, in order."""
    cut_after: int | None = None
    """Large files that arrive whole; every later one is cut off in its middle."""
    begun: int = 0
    """Large files that were not cut off."""
    counting: threading.Lock = field(default_factory=threading.Lock)
    commit: str = COMMIT
    """The newest one, which is all that it has."""
    declared: int | None = None
    """The size that it says each file has; None for the true one."""
    echo: bool = False
    """Whether a refused request repeats what it was sent, the token too."""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Nothing: tests look at what the client says."""

    def do_GET(self) -> None:
        repo = self.path.removeprefix("/api/datasets/")
        if not self._allowed():
            return
        if self.path.startswith("/datasets/"):
            self._file(whole=True)
            return
        if "/tree/" in repo:
            listed = self.hub.files[repo.partition("/tree/")[0]].items()
            self._answer(200, [{"type": "file", "path": n, "size": len(b), "oid": "0" * 40} for n, b in listed])
            return
        repo, _, revision = repo.partition("?")[0].partition("/revision/")
        if revision not in ("", "main", self.hub.commit):
            self._answer(404, {"error": "Revision not found"})
            return
        if repo not in self.hub.private:
            self._answer(404, {"error": "Repository not found"})
            return
        names = [".gitattributes", *self.hub.files[repo]]
        self._answer(
            200,
            {"id": repo, "private": self.hub.private[repo], "sha": self.hub.commit,
             "siblings": [{"rfilename": name, "size": self._size(repo, name)} for name in names]},
        )  # fmt: skip

    def _size(self, repo: str, name: str) -> int:
        return len(self.hub.files[repo].get(name, b"")) if self.hub.declared is None else self.hub.declared

    def do_HEAD(self) -> None:
        if self._allowed():
            self._file(whole=False)

    def _file(self, *, whole: bool) -> None:
        """A file as `resolve` gives it: /datasets/OWNER/NAME/resolve/COMMIT/PATH."""
        repo, _, name = unquote(self.path).removeprefix("/datasets/").partition("/resolve/")
        body = self.hub.files.get(repo, {}).get(name.partition("/")[2])
        if body is None or name.partition("/")[0] != self.hub.commit:
            self._answer(404, {"error": "Entry not found"})
            return
        if whole:
            self.hub.downloads.append(name.partition("/")[2])
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.hub.commit)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if whole:
            self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._allowed():
            return
        if self.path == "/api/repos/create":
            self._create(json.loads(body))
        elif self.path == "/api/validate-yaml":
            card = json.loads(body)["content"]
            assert not card.startswith("---") or yaml.safe_load(card.split("---")[1])
            self._answer(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            modes = [
                {"path": file["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if file["path"].endswith(".parquet") else "regular"}
                for file in json.loads(body)["files"]
            ]  # fmt: skip
            self._answer(200, {"files": modes})
        elif self.path.endswith("/objects/batch"):
            wanted = [self._action(one) for one in json.loads(body)["objects"]]
            self._answer(200, {"transfer": "basic", "objects": wanted})
        elif "/commit/" in self.path:
            self._commit(self.path.split("/api/datasets/")[1].split("/commit/")[0], body)
        else:
            self._answer(404, {"error": self.path})

    def do_PUT(self) -> None:
        size = int(self.headers["Content-Length"])
        with self.hub.counting:  # the client sends several at once
            cut = self.hub.cut_after is not None and self.hub.begun >= self.hub.cut_after
            self.hub.begun += not cut
        if cut:
            self.rfile.read(size // 2)
            self.close_connection = True
            self.connection.close()
            return
        body = self.rfile.read(size)
        digest = hashlib.sha256(body).hexdigest()
        assert self.path == f"/lfs/{digest}"
        self.hub.objects[digest] = body
        self.hub.uploads.append(digest)
        self._answer(200, {})

    def _create(self, asked: dict[str, Any]) -> None:
        repo = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
        if repo in self.hub.private:
            self._answer(409, {"error": "You already created this dataset repo", "url": f"{self.hub.url}/{repo}"})
            return
        self.hub.private[repo] = asked.get("visibility") == "private" or asked.get("private") is True
        self.hub.files[repo] = {}
        self._answer(200, {"url": f"{self.hub.url}/datasets/{repo}", "name": repo})

    def _action(self, one: dict[str, Any]) -> dict[str, Any]:
        known = {"oid": one["oid"], "size": one["size"]}
        if one["oid"] in self.hub.objects:
            return known
        return known | {"actions": {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}}

    def _commit(self, repo: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        files = self.hub.files[repo]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.hub.commits.append([line["value"].get("path") or line["value"]["summary"] for line in lines])
        oid = hashlib.sha1(body, usedforsecurity=False).hexdigest()
        self._answer(200, {"commitUrl": f"{self.hub.url}/datasets/{repo}/commit/{oid}", "commitOid": oid})

    def _allowed(self) -> bool:
        said = self.headers.get("Authorization", "")
        if said == f"Bearer {TOKEN}" and not self.hub.echo:
            return True
        self._answer(400 if self.hub.echo else 401, {"error": f"cannot take {said}" if self.hub.echo else "no"})
        return False

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status >= 400:
            self.send_header("X-Error-Message", str(content["error"]))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def hub() -> Iterator[Hub]:
    """Serve one until the block ends."""
    made = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": made}))
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def hub_of_the_client(patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """`hub`, which the real client takes for the Hub, with the token of these tests."""
    with hub() as made:
        patch.setenv("HF_ENDPOINT", made.url)
        patch.setenv("HF_TOKEN", TOKEN)
        # the plain protocol: what chunks go over Xet is another service's work
        patch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        # the client waits before it tries again; nobody else's sleep is cut, or every thread that waits here would spin
        patch.setattr(_http, "time", SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None}))
        yield made
