"""The review screen's pages as Streamlit's own tester draws them, without a browser.

The fixture that opens one is `opened` in conftest.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ferclean.bundled_files import bundled_path

Open = Callable[..., AppTest]


def opener(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens the screen of a workspace with query parameters, as a fresh browser tab does."""

    def start(root: Path, **query: str) -> AppTest:
        monkeypatch.setenv("FERCLEAN_WORKSPACE", str(root))
        monkeypatch.setenv("FERCLEAN_REVIEWER", "ada")
        app = AppTest.from_file(str(bundled_path("apps/review/main.py")), default_timeout=30)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        return app

    return start


def html(app: AppTest) -> str:
    """What the page holds, without its style sheet."""
    return "\n".join(body for element in app.get("html") if not (body := element.proto.body).startswith("<style>"))
