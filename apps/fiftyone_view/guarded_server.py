"""FiftyOne's web server behind a door: only this machine's own pages, only images of the workspace, no other site.

Started by `session.py` in a process of its own. It never changes what FiftyOne answers, it only refuses.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import fiftyone.core.service as fos

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# the App brings all it needs, save two fonts from another company; whatever it asks elsewhere stays unasked
CONTENT_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)


class Guard:
    """ASGI wrapper that refuses what a web page from elsewhere, or a made-up path, could ask of a local server.

    A request is refused (403) when its Host is not one of `hosts` (another name that was made to point to this
    machine) or when its Origin is another site's; an image is served only when it lies, links resolved, below one
    of `roots` (404 otherwise). Pages carry a policy that keeps the browser from asking other sites.

    Other users of the same machine can still reach a loopback port; FiftyOne has no password to stop them.
    """

    def __init__(self, app: App, *, hosts: Iterable[str], roots: Iterable[str | Path]) -> None:
        self.app = app
        self.hosts = frozenset(hosts)
        self.roots = tuple(Path(root).resolve() for root in roots)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if status := self._refusal(scope):
            await _refuse(scope, send, status)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", CONTENT_POLICY.encode())
                message = {**message, "headers": [*message.get("headers", ()), policy]}
            await send(message)

        await self.app(scope, receive, send_with_policy)

    def _refusal(self, scope: Message) -> int | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        # HTTP/2 carries the name in :authority, which the server hands on as host
        if headers.get(b"host", b"").decode("latin-1") not in self.hosts:
            return 403
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1") not in {f"http://{host}" for host in self.hosts}:
            return 403
        if scope["path"].rstrip("/") == "/media":
            asked = parse_qs(scope["query_string"].decode("latin-1")).get("filepath", [])
            if not all(self._may_be_served(path) for path in asked):
                return 404
        return None

    def _may_be_served(self, path: str) -> bool:
        try:
            real = Path(path).resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, a name with a NUL
            return False
        return any(real.is_relative_to(root) for root in self.roots)


async def _refuse(scope: Message, send: Send, status: int) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"refused by ferclean"})


class GuardedServer(fos.ServerService):
    """FiftyOne's server service, running this module in place of FiftyOne's own start script."""

    def __init__(self, port: int, *, address: str, roots: Iterable[str | Path]) -> None:
        self._roots = [str(root) for root in roots]
        super().__init__(port, address=address, do_not_track=True)

    @property
    def command(self) -> list[str]:
        command = [sys.executable, str(Path(__file__).resolve())]
        command += ["--port", str(self.port), "--address", str(self.address)]
        return [*command, *(f"--root={root}" for root in self._roots)]


def main() -> None:
    """Serve FiftyOne's App behind the guard until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--root", action="append", default=[], help="images below this folder may be served")
    options = parser.parse_args()
    # FiftyOne's own start script does the same: the service wrapper sets the one, the App's routes ask for the other
    os.environ.pop("FIFTYONE_DISABLE_SERVICES", None)
    os.environ["FIFTYONE_SERVER"] = "1"

    from fiftyone.server.app import app
    from fiftyone.server.events import set_port
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"{options.address}:{options.port}"]
    set_port(options.port)
    hosts = [f"{options.address}:{options.port}", f"localhost:{options.port}"]
    asyncio.run(serve(Guard(app, hosts=hosts, roots=options.root), config))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
