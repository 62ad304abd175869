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
from pipelines.review_screen import answer, free_port
from tests.prepare import BROWSER_FLAGS, find_browser


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
