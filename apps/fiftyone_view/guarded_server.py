"""FiftyOne's web server behind a door: only this machine's own pages, only images of the workspace, no other site.

Started by `session.py` in a process of its own. It never changes what FiftyOne answers, it only refuses.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import parse_qs

import fiftyone.core.service as fos

# started by its path, from a checkout or from inside an installed wheel
_ROOM = str(Path(__file__).resolve().parents[2])
if _ROOM not in sys.path:
    sys.path.insert(0, _ROOM)

from apps.guard import Guard, Message, own_hosts  # noqa: E402


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
    guarded = Guard(app, hosts=own_hosts(options.address, options.port), refusal=only_images_below(options.root))
    asyncio.run(serve(guarded, config))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
