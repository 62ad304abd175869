"""The pages about the work as a whole, by Streamlit's own test runner: audit, releases, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from ferclean.bundled_files import bundled_path
from ferclean.review.desk import open_desk
from ferclean.steps.audit import audit
from ferclean.steps.review import decide
from ferclean.store.audits import audited
from ferclean.store.workspace import Workspace
from tests.workspaces import copied

Open = Callable[..., AppTest]


@pytest.fixture
def ws(reviewable: Workspace, tmp_path: Path) -> Workspace:
    return copied(reviewable, tmp_path)


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


def button(app: AppTest, key: str) -> Any:
    return next(found for found in app.button if found.key == key)


def test_without_an_audit_the_page_says_what_it_is_for_and_draws_one(ws: Workspace, opened: Open) -> None:
    app = opened(ws.root, page="audit")
    assert "No audit yet" in html(app)
    assert audited(ws) == [], "to look at the page draws nothing"
    app.number_input(key="audit_n").set_value(10).run()
    button(app, "audit_draw").click().run()
    assert not app.exception
    assert len(audited(ws)) == 10
    assert "not known yet" in html(app)
    button(app, "audit_open").click().run()
    assert app.query_params["queue"] == "audit"
    assert app.query_params["page"] == "review"


def test_the_audit_page_says_what_the_audit_says(ws: Workspace, opened: Open) -> None:
    audit(ws, n=12)
    desk = open_desk(ws, reviewer="ada")
    for place, face in enumerate(desk.audited[:6]):
        given = desk.items.given(face)
        other = next(name for name in desk.classes if name != given)
        decide(desk, face, "relabel" if place < 2 else "keep", label=other if place < 2 else None, model_hidden=True)
    said = audit(ws)
    page = html(opened(ws.root, page="audit"))
    rate = said.errors["rate"]
    assert rate is not None
    assert f"<strong>{rate:.1%}</strong>" in page
    assert f"about {said.errors['count']:,.0f} wrong" in page
    assert said.advice_text in page
    assert "<th>wrong</th><td>2</td>" in page
    sums = {name: sum(one[name] for one in said.strata) for name in said.strata[0]}
    assert sums == {"rows": said.population, "drawn": 12, "answered": 6, "wrong": 2}
