"""FiftyOne's web server behind a door: only this machine's own pages, only images of the workspace, no other site.

Started by `session.py` in a process of its own. Of what FiftyOne answers it changes one thing: its page and its style
sheets ask another site for fonts, and that is taken out of them (the guard would refuse it anyway).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import parse_qs

import fiftyone.core.service as fos

# started by its path, from a checkout or from inside an installed wheel
_ROOM = str(Path(__file__).resolve().parents[2])
if _ROOM not in sys.path:
    sys.path.insert(0, _ROOM)

from apps.guard import App, Guard, Message, Receive, Send, own_hosts  # noqa: E402


def only_images_below(roots: Iterable[str | Path]) -> Callable[[Message], int | None]:
    """Refuses (404) an image that does not lie, links resolved, below one of `roots`: FiftyOne serves any file."""
    places = tuple(Path(root).resolve() for root in roots)

    def may_be_served(path: str) -> bool:
        try:
            real = Path(path).resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, a name with a NUL
            return False
        return any(real.is_relative_to(place) for place in places)

    def refusal(scope: Message) -> int | None:
        if scope["path"].rstrip("/") != "/media":
            return None
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("filepath", [])
        return None if all(map(may_be_served, asked)) else 404

    return refusal


def without_foreign_fonts(text: bytes) -> bytes:
    """A page or a style sheet without what it asks other sites for; the browser's own fonts do.

    >>> without_foreign_fonts(b'<link rel="preload" href="https://fonts.example/a" as="font"><p>')
    b'<p>'
    >>> without_foreign_fonts(b'@import"https://fonts.example/a;b";p{}')
    b'p{}'
    """
    return _FOREIGN.sub(b"", text)


_FOREIGN = re.compile(rb"""<link[^>]*href=["']?https?://[^>]*>|@import\s*(?:url\()?(["'])https?://.*?\1\)?\s*;""")


class OwnFontsOnly:
    """Passes FiftyOne's page and style sheets through `without_foreign_fonts`; everything else as it is."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def send_mended(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
                if not any(value.startswith((b"text/html", b"text/css")) for value in kinds):
                    await send(message)
                    return
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    mended = without_foreign_fonts(body)
                    kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
                    length = (b"content-length", str(len(mended)).encode())
                    await send({**start, "headers": [*kept, length]})
                    await send({"type": "http.response.body", "body": mended})

        # a part of a file, or one that the browser holds already, would be passed on as it was
        asked_whole = [(name, value) for name, value in scope["headers"] if name.lower() not in _PARTLY]
        await self.app({**scope, "headers": asked_whole} if _is_text(scope["path"]) else scope, receive, send_mended)


_PARTLY = (b"range", b"if-range", b"if-none-match", b"if-modified-since")


def _is_text(path: str) -> bool:
    return path == "/" or path.startswith("/datasets") or path.endswith((".css", ".html"))


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
    guarded = Guard(
        OwnFontsOnly(app), hosts=own_hosts(options.address, options.port), refusal=only_images_below(options.root)
    )
    asyncio.run(serve(guarded, config))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
