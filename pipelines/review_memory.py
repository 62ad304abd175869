"""How much memory does a tab of the review screen take, and does it stay flat over thousands of faces?

    python -m pipelines.review_memory [--rows 100000 | --workspace W] [--faces 2000] [--json FILE]

A real Chromium, asked over its debugging port, and nothing else of it switched on: a debugger that listens to the
network keeps up to 100 MB of what the page was answered, in the tab's own process. MB of the private pages of the tab's
renderer (Linux alone tells them), and of its JavaScript heap after a collection: first while the grid is scrolled on by
as many faces, then while as many are kept on the deck.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from ferclean.store.table import ranked
from ferclean.store.workspace import Workspace
from pipelines.heading import heading, write_figures
from pipelines.review_screen import FLAGS, answer, find_chromium, serving
from pipelines.review_speed import prepare

KEY = 0.11
"""Seconds between keys on the deck."""
TILES = 40
"""Tiles of which the grid is scrolled on at a time."""
LOOKS = 4
"""Times that each walk is measured, after its beginning."""
SHOWN = "Boolean(document.querySelector('.fc-grid-tile img[src]'))"
FACE = "Boolean(document.body.dataset.fercleanFace)"
SAVED = "document.querySelector('.fc-deck-unsaved').textContent === 'all saved'"


@dataclass
class Tab:
    """One tab of a browser, and the folder of the browser's own, by which its processes are known."""

    socket: Any
    profile: str
    numbers: Iterator[int]

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one call of the debugging protocol. Raises RuntimeError where it is refused."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (told := json.loads(self.socket.recv(timeout=60))).get("id") != number:
            pass
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']['message']}")
        result: dict[str, Any] = told["result"]
        return result

    def value(self, expression: str) -> Any:
        """What an expression of the page is worth."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Until it is true, for at most two minutes."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with suppress(RuntimeError):  # there is no page before the first byte of it has come
                if self.value(expression):
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the page never came to {expression}")

    def memory(self) -> dict[str, float]:
        """MB: `heap` after a collection, `private` of the renderer."""
        self.ask("HeapProfiler.collectGarbage")
        return {"heap": self.value("performance.memory.usedJSHeapSize") / 1e6, "private": _private(self.profile)}


@contextmanager
def tab(browser: str | None, url: str) -> Iterator[Tab]:
    """A browser whose one tab is at `url`."""
    from websockets.sync.client import connect

    found = find_chromium(browser)
    if found is None:
        raise RuntimeError("no Chromium on PATH; name one with --browser")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [found, *FLAGS, "--headless", "--remote-debugging-port=0", f"--user-data-dir={profile}", url]
        started = subprocess.Popen([*words, "--window-size=1440,900"], stderr=subprocess.DEVNULL)
        try:
            port, end = Path(profile, "DevToolsActivePort"), time.monotonic() + 60
            while not port.is_file() and time.monotonic() < end:
                time.sleep(0.1)
            with urllib.request.urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json") as told:
                [address] = [one["webSocketDebuggerUrl"] for one in json.load(told) if one["type"] == "page"]
            with connect(address, max_size=None) as socket:
                yield Tab(socket, profile, count(1))
        finally:
            started.kill()
            started.wait()


def _private(profile: str) -> float:
    """MB that the largest renderer of this browser shares with nobody; NaN where the system does not tell."""
    found = [float("nan")]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text()
            told = (folder / "smaps_rollup").read_text() if profile in command and "type=renderer" in command else ""
        except OSError:  # it has ended, or is not ours
            continue
        if told:
            found.append(sum(int(size) for size in re.findall(r"Private_\w+:\s+(\d+) kB", told)) / 1000)
    return max(found[1:], default=found[0])


def run(root: Path, *, faces: int, browser: str | None = None, calm: float = 5.0) -> dict[str, Any]:
    """Both walks, in the workspace at `root`, in which `faces` are kept on the deck; each look after `calm` seconds."""
    load, part = os.getloadavg(), faces // LOOKS
    told: dict[str, list[dict[str, float]]] = {"grid": [], "deck": []}
    with serving(root, reviewer="measured") as server:
        answer(f"{server.url}/_stcore/health")
        with tab(browser, f"{server.url}/?page=grid") as page:
            page.wait_for(SHOWN)
            time.sleep(calm)
            told["grid"].append(page.memory())
            for _ in range(LOOKS):
                for _ in range(part // TILES):
                    page.value(f"window.__fercleanGrid.scroll.scrollTop += {TILES / 8 * 190}")
                    time.sleep(0.15)
                told["grid"].append(page.memory())
        with tab(browser, f"{server.url}/?page=review") as page:
            page.wait_for(FACE)
            time.sleep(calm)
            told["deck"].append(page.memory())
            for _ in range(LOOKS):
                for _ in range(part):
                    for kind in ("keyDown", "keyUp"):
                        page.ask("Input.dispatchKeyEvent", type=kind, key="k", code="KeyK", text="k"[kind == "keyUp" :])
                    time.sleep(KEY)
                page.wait_for(SAVED)
                time.sleep(calm)
                told["deck"].append(page.memory())
    return heading("review_memory") | {
        "faces": len(ranked(Workspace.open(root)).ids), "walked": part * LOOKS, "load": load,
        "load_after": os.getloadavg(), "mb": told,
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    steps = [result["walked"] * number // LOOKS for number in range(LOOKS + 1)]
    head = f"{result['faces']:,} faces, {result['version']}, {result['date']}"
    lines = [head, "", f"| MB after faces | {' | '.join(f'{one:,}' for one in steps)} |", "|---" * (LOOKS + 2) + "|"]
    for name, measured in result["mb"].items():
        for of, words in (("private", "its own memory"), ("heap", "JavaScript heap")):
            lines.append(f"| {name}, {words} | {' | '.join(f'{one[of]:.0f}' for one in measured)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="synthetic faces in the workspace")
    parser.add_argument("--workspace", type=Path, help="a scored workspace to copy instead; it is left as it is")
    parser.add_argument("--faces", type=int, default=2000, help="faces of each walk")
    parser.add_argument("--browser", help="path of a Chromium; default what is on PATH")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "W"
        prepare(root, rows=options.rows, workspace=options.workspace)
        result = run(root, faces=options.faces, browser=options.browser)
    print(table(result))
    if options.json:
        write_figures(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
