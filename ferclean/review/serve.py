"""Serve the review screen: Streamlit in a process of its own, without telemetry.

It never imports Streamlit, and it never serves where others can reach it unless they are meant to and sign in.
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
from ferclean.review.sign_in import SignIn, check_reach, find_sign_in

if TYPE_CHECKING:
    from types import FrameType

    from ferclean.store.workspace import Workspace

DEFAULT_PORT = 8501
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - names of it, which `check_reach` refuses without sign-in


def launch_command(
    root: Path,
    *,
    port: int = DEFAULT_PORT,
    address: str = "127.0.0.1",
    sign_in: SignIn | None = None,
    shared: bool = False,
) -> list[str]:
    """The command line that serves the workspace at `root`.

    Raises UsageError for a port outside 1..65535, and where others could reach it without being meant to and signing in
    (`check_reach`).
    """
    try:
        check_reach(address, sign_in, shared=shared)
    except UsageError as error:
        tunnel = f"ssh -N -L {port}:127.0.0.1:{port} THIS_MACHINE"
        raise UsageError(f"{error}. Or keep to 127.0.0.1 and reach it from elsewhere with: {tunnel}") from error
    if not 1 <= port <= 65535:
        raise UsageError(f"port {port} is outside 1..65535")
    script = str(bundled_path("apps/review/serve.py"))
    place = ["--address", _bound(address), "--port", str(port)]
    if sign_in is not None:
        place += ["--sign-in", str(sign_in.file)] + (["--shared"] if shared else [])
    return [sys.executable, script, *place, "--", str(Path(root).resolve())]


def _bound(address: str) -> str:
    return "127.0.0.1" if address == "localhost" else address


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
    shared: bool = False,
) -> int:
    """Serve the review screen until Ctrl-C or until this process is told to end; returns the exit code.

    People sign in where .streamlit/secrets.toml of the current folder has an `[auth]`. Raises UsageError where others
    could reach it without that, for half an `[auth]`, and for a reviewer's name where people sign in; FercleanError
    when the port is taken or a package is missing.
    """
    sign_in = find_sign_in(Path.cwd(), port=port)
    command = launch_command(ws.root, port=port, address=address, sign_in=sign_in, shared=shared)
    extras.require("review", "the review screen")
    if sign_in is not None:
        extras.require("signin", "signing in")
        if reviewer:
            raise UsageError(
                f"{sign_in.file} has people sign in, who review under their own names: leave out --reviewer"
            )
    _require_free(_bound(address), port)
    child = subprocess.Popen(command, env=launch_environment(reviewer=reviewer))
    previous = _pass_on_termination(child)
    if open_browser:
        threading.Thread(target=_open_when_ready, args=(child, _bound(address), port, sign_in), daemon=True).start()
    try:
        code = child.wait()
    except KeyboardInterrupt:  # the server had the same Ctrl-C and ends by itself
        code = 0
    finally:
        end(child)
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)
    return 0 if code in (0, -signal.SIGTERM, -signal.SIGINT) else 1


def _require_free(address: str, port: int) -> None:
    try:
        family, kind, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise FercleanError(
            f"cannot serve on {address}, port {port}: {error.strerror or error}; choose another with --port"
        ) from error


def _pass_on_termination(child: subprocess.Popen[bytes]) -> Any:
    """When this process is told to end, end the server too, or it would go on alone."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def end(number: int, frame: FrameType | None) -> None:
        child.terminate()

    return signal.signal(signal.SIGTERM, end)


def _open_when_ready(child: subprocess.Popen[bytes], address: str, port: int, sign_in: SignIn | None) -> None:
    here = "127.0.0.1" if address in _EVERYWHERE else address
    url = f"http://{f'[{here}]' if ':' in here else here}:{port}"
    named = {} if sign_in is None else {"Host": sign_in.host}
    asked = urllib.request.Request(f"{url}/_stcore/health", headers=named)  # noqa: S310 - our own address
    deadline = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(asked, timeout=2):  # noqa: S310
                webbrowser.open(url if sign_in is None else sign_in.origin)
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
