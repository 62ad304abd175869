"""Serve the review screen: Streamlit in a process of its own, on this machine only, without telemetry.

It never imports Streamlit, and it never serves an address that others can reach.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferclean import extras
from ferclean.bundled_files import bundled_path
from ferclean.errors import FercleanError, UsageError

if TYPE_CHECKING:
    from types import FrameType

    from ferclean.store.workspace import Workspace

DEFAULT_PORT = 8501
_LOOPBACK = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1"}


def launch_command(root: Path, *, port: int = DEFAULT_PORT, address: str = "127.0.0.1") -> list[str]:
    """The command line that serves the workspace at `root`.

    Raises UsageError for an address other than this machine's own or a port outside 1..65535.
    """
    if address not in _LOOPBACK:
        raise UsageError(
            f"refusing to serve on {address}: the review screen has no password, and whoever reaches it sees faces "
            f"and writes decisions. Keep 127.0.0.1 and reach it from elsewhere with: "
            f"ssh -N -L {port}:127.0.0.1:{port} THIS_MACHINE"
        )
    if not 1 <= port <= 65535:
        raise UsageError(f"port {port} is outside 1..65535")
    script = str(bundled_path("apps/review/serve.py"))
    place = ["--address", _LOOPBACK[address], "--port", str(port)]
    return [sys.executable, script, *place, "--", str(Path(root).resolve())]


def launch_environment(*, reviewer: str | None = None) -> dict[str, str]:
    """This process's environment, with the reviewer's name for the screen (`FERCLEAN_REVIEWER`)."""
    return {**os.environ, **({"FERCLEAN_REVIEWER": reviewer} if reviewer else {})}


def serve(
    ws: Workspace,
    *,
    port: int = DEFAULT_PORT,
    address: str = "127.0.0.1",
    reviewer: str | None = None,
    open_browser: bool = True,
) -> int:
    """Serve the review screen until Ctrl-C or until this process is told to end; returns the exit code.

    Raises UsageError for a foreign address, FercleanError when the port is taken or Streamlit is missing.
    """
    command = launch_command(ws.root, port=port, address=address)
    extras.require("review", "the review screen")
    _require_free(port)
    child = subprocess.Popen(command, env=launch_environment(reviewer=reviewer))
    previous = _pass_on_termination(child)
    if open_browser:
        threading.Thread(target=_open_when_ready, args=(child, port), daemon=True).start()
    try:
        code = child.wait()
    except KeyboardInterrupt:  # the server had the same Ctrl-C and ends by itself
        code = 0
    finally:
        end(child)
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)
    return 0 if code in (0, -signal.SIGTERM, -signal.SIGINT) else 1


def _require_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise FercleanError(
                f"cannot serve on port {port}: {error.strerror or error}; choose another with --port"
            ) from error


def _pass_on_termination(child: subprocess.Popen[bytes]) -> Any:
    """When this process is told to end, end the server too, or it would go on alone."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def end(number: int, frame: FrameType | None) -> None:
        child.terminate()

    return signal.signal(signal.SIGTERM, end)


def _open_when_ready(child: subprocess.Popen[bytes], port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):  # noqa: S310 - our own address
                webbrowser.open(url)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)


def end(child: subprocess.Popen[bytes]) -> None:
    """End a server: asked first, killed where it does not listen."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
