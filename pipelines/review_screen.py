"""The review screen as a person has it: its server, the line to it, and a real Chromium in which keys are pressed.

What is on the screen is seen inside the browser; it never asks the server, and never reads the page's own state but the
names that it gives to the face: `.stage[data-face]`, and `data-ferclean-face` on the body where a page has one.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ferclean.review.serve import end, launch_command, launch_environment

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu")
PATIENCE = 10.0
"""Seconds after which a key that has shown no other face is given up."""
WITHOUT_A_FACE = 120.0
"""Seconds that the screen may show no face before the measurement is given up."""
WATCH = """
(() => {
  if (window !== window.top) return;
  let stage = null, seen = null, ready = null, drawn = null;
  const say = (kind, at, more) => window.fercleanSaw({ kind, at: performance.timeOrigin + at, ...more });
  const find = (root) => {
    const found = root.querySelector(".stage[data-face]");
    if (found) return found;
    for (const node of root.querySelectorAll("*")) {
      const inside = node.shadowRoot && find(node.shadowRoot);
      if (inside) return inside;
    }
    return null;
  };
  // a task after a frame's own: that frame is painted
  const settle = () => {
    const now = performance.now(), { face, whole } = drawn || { face: seen, whole: ready };
    if (face !== seen) say("seen", now, { face: (seen = face) });
    if (whole !== ready) say("ready", now, { face: (ready = whole) });
    drawn = null;
  };
  const painted = new MessageChannel();
  painted.port1.onmessage = settle;
  const frame = () => {
    if (!stage || !stage.isConnected) stage = find(document);
    let face = (stage && stage.dataset.face) || null;
    const picture = stage && stage.querySelector("img");
    if (face && picture && !picture.complete) face = seen;
    const told = document.body && document.body.dataset.fercleanFace;
    const whole = told === undefined || told === face ? face : ready;
    if (face !== seen || whole !== ready) {
      drawn = { face, whole };
      painted.port2.postMessage("");
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  window.addEventListener("keydown", (event) => {
    settle(); // a key may overtake the message
    say("key", event.timeStamp, { key: event.key, face: seen });
  }, true);
})();
"""
"""Runs before the page does. A face is seen once a frame that holds it, its picture loaded, is painted; it is ready
once the page has named it on the body, too, where it does so (its evidence is drawn, and keys count). A key carries the
time at which the browser had it, and the face that was seen then."""


@dataclass(frozen=True)
class Seen:
    """Something that happened in the browser: `kind` key, seen or ready; `at` in ms since 1970."""

    kind: str
    at: float
    face: str | None
    key: str = ""


class Server:
    """`ferclean review`'s server of one workspace and reviewer, on a port that it keeps through a restart."""

    def __init__(self, root: Path, *, reviewer: str) -> None:
        self.root, self.port = root, free_port()
        self.environment = launch_environment(reviewer=reviewer)
        self.start()

    @property
    def url(self) -> str:
        """Where the screen is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, without waiting until it answers."""
        self.process = subprocess.Popen(
            launch_command(self.root, port=self.port), env=self.environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def kill_and_start(self) -> None:
        """SIGKILL, and another one on the same port at once."""
        self.process.kill()
        self.process.wait()
        self.start()

    def cpu_seconds(self) -> float:
        """CPU seconds, user and system, that this process has taken so far, its threads included."""
        import psutil

        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)


class Relay:
    """A line between browser and server that can be cut: connections are closed, and new ones are closed at once."""

    def __init__(self, to: int) -> None:
        self.to, self.whole = to, True
        self.open: set[socket.socket] = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close what is open, and let nothing through until `mend`."""
        self.whole = False
        for one in list(self.open):
            _close(one)

    def mend(self) -> None:
        """Let connections through again."""
        self.whole = True

    def close(self) -> None:
        """Cut it for good."""
        self.cut()
        _close(self.listener)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed at the end
            while True:
                self._join(self.listener.accept()[0])

    def _join(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self.to)) if self.whole else None
        except OSError:  # the server is down: the browser's connection ends as it would without a relay
            far = None
        if far is None:
            _close(near)
            return
        self.open |= {near, far}
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):  # either side may be closed at any moment, by `cut` too
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            _close(one)
            self.open.discard(one)


@dataclass
class Screen:
    """A page of the review screen with somebody at its keyboard; `seen`: what happened in it, in order."""

    page: Any
    seen: list[Seen] = field(default_factory=list)

    @property
    def face(self) -> str | None:
        """The face on the screen, as far as the page has told."""
        return next((told.face for told in reversed(self.seen) if told.kind == "seen"), None)

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let the page go on for so many seconds, or `until` something holds; whether it did."""
        deadline = time.monotonic() + seconds
        while not until():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.page.wait_for_timeout(1000 * min(0.02, left))
        return True

    def wait_for_a_face(self) -> None:
        """Until a face is on the screen. Raises RuntimeError where none comes."""
        if not self.wait(WITHOUT_A_FACE, lambda: self.face is not None):
            said = self.page.inner_text("body")[:500]
            raise RuntimeError(f"the screen shows no face for {WITHOUT_A_FACE:.0f} s; it says: {said}")

    def go_through(self, keys: Iterable[str], *, look: float) -> None:
        """Press each key `look` seconds after another face has come, or `PATIENCE` after a key that did nothing."""
        for key in keys:
            self.wait_for_a_face()
            self.wait(look)
            gone = partial(self._left, self.face)
            self.page.keyboard.press(key)
            self.wait(PATIENCE, gone)

    def burst(
        self, keys: Sequence[str], *, every: float, events: Sequence[tuple[float, Callable[[], None]]] = ()
    ) -> None:
        """Press a key every so many seconds, whatever the screen does with it, but none while it shows no face.

        `events`: what else happens, so many seconds after the first key.
        """
        begun = due = time.monotonic()
        coming = sorted(events, key=lambda event: event[0])

        def happen() -> bool:
            while coming and time.monotonic() >= begun + coming[0][0]:
                coming.pop(0)[1]()
            return False

        for key in keys:
            self.wait(due - time.monotonic(), happen)
            if self.face is None and not self.wait(WITHOUT_A_FACE, lambda: happen() or self.face is not None):
                self.wait_for_a_face()
            self.page.keyboard.press(key)
            due = max(due, time.monotonic() - every) + every
        while coming:
            self.wait(0.1, happen)

    def _left(self, face: str | None) -> bool:
        return self.face not in (face, None)


def find_chromium(browser: str | None) -> str | None:
    """Path of the Chromium that is asked for, or of the first on PATH; None: Playwright has its own."""
    return browser or next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextlib.contextmanager
def screen(server: Server, *, browser: str | None = None, relay: Relay | None = None) -> Iterator[Screen]:
    """The screen that `server` serves, once it shows a face, through `relay` where one is given.

    `browser`: path of a Chromium; default what is on PATH, or Playwright's own.
    """
    from playwright.sync_api import sync_playwright

    answer(f"{server.url}/_stcore/health")
    line = [f"--host-resolver-rules=MAP 127.0.0.1:{relay.to} 127.0.0.1:{relay.port}"] if relay else []
    found = find_chromium(browser)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=[*FLAGS, *line])
        try:
            page = started.new_page(viewport={"width": 1440, "height": 900})
            here = Screen(page)
            page.expose_binding("fercleanSaw", lambda source, told: here.seen.append(Seen(**told)))
            page.add_init_script(WATCH)
            page.goto(server.url)
            here.wait_for_a_face()
            here.wait(2)  # whatever the page brings behind its first face
            yield here
        finally:
            started.close()


@contextlib.contextmanager
def serving(root: Path, *, reviewer: str) -> Iterator[Server]:
    """A server of the workspace at `root`, ended afterwards, whichever process it is then."""
    server = Server(root, reviewer=reviewer)
    try:
        yield server
    finally:
        end(server.process)


def free_port() -> int:
    """A port of this machine that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer(url: str | urllib.request.Request, *, seconds: float = 60) -> str:
    """The body at `url`, once something answers there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - an address of ours
                return str(response.read().decode())
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed already
        one.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for it
    one.close()
