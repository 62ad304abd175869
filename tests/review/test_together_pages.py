"""The pages of a team, by Streamlit's own test runner on a real workspace: names and notes that act as nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ferclean.bundled_files import bundled_path
from ferclean.review.desk import open_desk
from ferclean.steps.review import decide
from ferclean.store.workspace import Workspace
from tests.workspaces import SEVEN, copied

Open = Callable[..., AppTest]
HOSTILE = '<img src=x onerror="alert(1)"> **b** :smile: [c](d)'
PEOPLE = ("ann", "bob", HOSTILE)


@pytest.fixture
def ws(reviewable: Workspace, tmp_path: Path) -> Workspace:
    """Three people disagree about the first face, and agree about the second."""
    made = copied(reviewable, tmp_path)
    for place, who in enumerate(PEOPLE):
        desk = open_desk(made, reviewer=who)
        first, second, *_ = desk.items
        decide(desk, first, "relabel", label=SEVEN[place + 1], note=HOSTILE if place == 1 else "", model_hidden=True)
        decide(desk, second, "keep")
    return made


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Open:
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
    return "\n".join(body for element in app.get("html") if not (body := element.proto.body).startswith("<style>"))


def test_the_team_page_shows_figures_and_faces_and_no_name_acts(ws: Workspace, opened: Open) -> None:
    page = html(opened(ws.root, page="team"))
    assert "too few" in page
    assert "2 of the 30 faces that a figure needs" in page
    assert "<b>fear</b> or <b>disgust</b>? <span>1 face</span>" in page
    assert HOSTILE not in page
    assert "&lt;img src=x" in page
    blind = html(opened(ws.root, page="team", blind="1"))
    assert "fear</b> or" not in blind, "in blind mode nobody's answer about a face is shown"


def test_the_team_page_says_what_it_needs(reviewable: Workspace, opened: Open) -> None:
    assert "No face has two people" in html(opened(reviewable.root, page="team"))
