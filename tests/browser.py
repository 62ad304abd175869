"""A real Chromium for the tests of the screens, and a review server to point it at.

It never downloads a browser: `tests/prepare.py` says how to bring one.
"""

from __future__ import annotations

import ast
import contextlib
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferclean.bundled_files import bundled_path
from ferclean.review.serve import end, launch_command, launch_environment
from ferclean.store.decisions import decision_history
from ferclean.store.workspace import Workspace
from pipelines.review_screen import answer, free_port
from tests.prepare import BROWSER_FLAGS, find_browser


class Screen:
    """A person at the screen: presses keys and waits for the next face."""

    def __init__(self, page: Any, ws: Workspace) -> None:
        self.page, self.ws = page, ws

    @property
    def face(self) -> str:
        return str(self.page.evaluate("document.body.dataset.fercleanFace"))

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.page.wait_for_selector("body[data-ferclean-face]", state="attached", timeout=30_000)
        self.page.wait_for_selector(".fc-deck-acts button")

    def press(self, key: str) -> None:
        before = self.face
        self.page.keyboard.press(key)
        # a key may be quicker than the faces that come behind the first ones: none is on the screen then
        changed = "face => ![face, undefined].includes(document.body.dataset.fercleanFace)"
        self.page.wait_for_function(changed, arg=before, timeout=15_000)

    def shows(self, asked: str) -> None:
        """Wait until a face of the deck whose address says `asked` is on the screen: only then are keys taken."""
        there = "asked => window.__fercleanDeck.painted && window.__fercleanDeck.data.address.includes(asked)"
        self.page.wait_for_function(there, arg=asked)

    def untaken(self) -> str:
        """What the page says about a key that it did not take."""
        self.page.wait_for_selector("#fc-untaken.shown")
        return str(self.page.locator("#fc-untaken").inner_text())

    def offered(self) -> str:
        return str(self.page.locator(".fc-deck-acts .offer").inner_text())

    def saved(self) -> None:
        """Wait until the server has acknowledged every answer."""
        self.page.wait_for_function("document.querySelector('.fc-deck-unsaved').textContent === 'all saved'")

    def actions(self) -> list[str]:
        self.saved()
        return [str(action) for action in decision_history(self.ws)["action"]]


@contextlib.contextmanager
def browser_page(*, width: int = 1440, height: int = 900, dark: bool = False) -> Iterator[Any]:
    """A Playwright page in a headless Chromium; skips the test, saying why, where there is none."""
    executable = find_browser()
    if executable is None:
        pytest.skip("no Chromium or Chrome found; python tests/prepare.py brings one")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(BROWSER_FLAGS))
        try:
            yield browser.new_page(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
        finally:
            browser.close()


@contextlib.contextmanager
def review_server(root: Path, *, reviewer: str = "ada") -> Iterator[str]:
    """The address of a review screen of the workspace at `root`, served as `ferclean review` serves it."""
    port = free_port()
    server = subprocess.Popen(
        launch_command(root, port=port),
        env=launch_environment(reviewer=reviewer),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with answering(server, port) as url:
        yield url


@contextlib.contextmanager
def answering(server: subprocess.Popen[bytes], port: int, *, host: str | None = None) -> Iterator[str]:
    """The address of the screen that `server` serves, once it answers (under the name `host`); ended afterwards."""
    try:
        url = f"http://127.0.0.1:{port}"
        asked = urllib.request.Request(f"{url}/_stcore/health", headers={"Host": host} if host else {})
        assert answer(asked) == "ok"
        yield url
    finally:
        end(server)


def page_names() -> list[str]:
    """The pages of the review screen, as `apps/review/main.py` names them: a new one is among them by itself."""
    text = bundled_path("apps/review/main.py").read_text(encoding="utf-8")
    tables = [one.value for one in ast.parse(text).body if isinstance(one, ast.Assign | ast.AnnAssign)]
    found = [str(ast.literal_eval(key)) for table in tables if isinstance(table, ast.Dict) for key in table.keys if key]
    assert {"review", "grid", "overview"} <= set(found)
    return found
