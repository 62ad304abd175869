"""FiftyOne's database server, one per workspace: started below the workspace, or joined where it already runs.

It never touches the database of another workspace, nor the one in the user's home.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import fiftyone as fo
import fiftyone.core.odm.database as database
import fiftyone.core.service as fos
from filelock import FileLock

from ferclean.errors import FercleanError
from ferclean.steps.browse import environment, require_server
from ferclean.store.workspace import Workspace

_PORT = "FIFTYONE_PRIVATE_DATABASE_PORT"
_server: WorkspaceDatabase | None = None


class WorkspaceDatabase(fos.DatabaseService):
    """mongod for one database folder; it ends when the last process that uses it has ended.

    FiftyOne joins any running server with the same service name and does not look at its folder: with the
    stock name two workspaces would share whichever started first. The folder is therefore part of the name.
    """

    def __init__(self, folder: str) -> None:
        self.service_name = "ferclean-" + hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        super().__init__()

    @property
    def command(self) -> list[str]:
        # the cache would otherwise grow to half of the machine's memory
        return [*super().command, "--bind_ip", "127.0.0.1", "--wiredTigerCacheSizeGB", "0.5"]


def connect(ws: Workspace) -> None:
    """Make this process's FiftyOne talk to the workspace's own database, or to the URI the user configured.

    Raises FercleanError when there is no server, when it does not start, or when FiftyOne was imported with
    another workspace's environment (`ferclean.steps.browse.environment` must come first).
    """
    global _server
    if fo.config.database_uri:
        return
    folder = environment(ws.root)["FIFTYONE_DATABASE_DIR"]
    if fo.config.database_dir != folder:
        raise FercleanError(
            f"FiftyOne was imported for {fo.config.database_dir}, not for {folder}; use a process of its own"
        )
    if _server is not None:
        return
    require_server()
    home = Path(folder).parent
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "database.lock", timeout=120):
        server = WorkspaceDatabase(folder)
        try:
            os.environ[_PORT] = str(server.port)
        except fos.ServiceListenTimeout as error:
            server.stop()
            log = Path(folder) / "log" / "mongo.log"
            raise FercleanError(f"FiftyOne's database did not start in {folder}; see {log}") from error
    _server = server


def disconnect() -> None:
    """Leave the database. When this process started its server, and no other uses it, wait until it has ended."""
    global _server
    # without this, FiftyOne would look for the server once more when the interpreter ends, and wait for an answer
    database._disconnect()
    if _server is None:
        return
    server, _server = _server, None
    os.environ.pop(_PORT, None)
    own = None if server.attached else server.child
    server.stop()
    if own is not None:
        # a timeout means that another process still uses the server: it then ends with that one
        with contextlib.suppress(fos.psutil.TimeoutExpired):
            own.wait(timeout=15)
