"""Facts about the review screen's pages, run by Streamlit's own test runner on a real workspace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from apps.review import desks, parts
from ferclean.bundled_files import bundled_path
from ferclean.review.desk import Filters, open_desk, select
from ferclean.steps.audit import audit
from ferclean.steps.review import OFFER, decide
from ferclean.steps.team import team
from ferclean.store.decisions import current_decisions
from ferclean.store.workspace import Workspace
from tests.bare_workspace import held_by_another
from tests.browser import page_names
from tests.pages import Open, html
from tests.workspaces import copied, make_workspace

HOSTILE = '<img src=x onerror="alert(1)">&"\' **b** .png'


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("app"), names=(HOSTILE,))


@pytest.fixture
def ws(original: Workspace, tmp_path: Path) -> Workspace:
    return copied(original, tmp_path)


def button(app: AppTest, label: str) -> Any:
    return next(found for found in app.button if found.label == label)


def press(app: AppTest, label: str) -> None:
    button(app, label).click().run()
    assert not app.exception


def test_markdown_in_a_name_reaches_no_label_or_tooltip(tmp_path: Path, opened: Open) -> None:
    """On every page, blind or not: whatever Streamlit reads as Markdown holds no name as it is."""
    classes = ("*joy*", ":red[fear] :material/home: $x$ https://a.b [c](d) ` -> `")
    ws = make_workspace(tmp_path, n=6, classes=classes, names=("**face**",))
    for page in page_names():
        for blind in ("", "1"):
            app = opened(ws.root, page=page, blind=blind, reviewer="*ada*", verdict="mislabelled,clean")
            read = [text for element in app._tree for text in _markdown(getattr(element, "proto", None))]
            assert not [text for text in read for name in (*classes, "**face**", "*ada*") if name in text]
            assert page != "review" or any(parts.inert(classes[0]) in text for text in read)


def _markdown(proto: Any) -> list[str]:
    """The texts of a widget that Streamlit draws as Markdown; options of a selectbox and values of fields are not."""
    plain = {"id", "form_id", "body", "default", "placeholder", "value", "options", "url", "data", "json", "icon"}
    texts = [str(option.content) for option in getattr(proto, "options", ()) if hasattr(option, "content")]
    for field, value in proto.ListFields() if hasattr(proto, "ListFields") else ():
        if isinstance(value, str) and (field.name not in plain or proto.DESCRIPTOR.name == "Markdown"):
            texts.append(value)
    return texts


def test_no_workspace_is_a_sentence(tmp_path: Path, opened: Open) -> None:
    assert "no workspace at" in html(opened(tmp_path))


def test_an_untriaged_workspace_says_what_to_run(tmp_path: Path, opened: Open) -> None:
    ws = make_workspace(tmp_path, n=3, triaged=False)
    assert "ferclean triage" in html(opened(ws.root))


def test_what_is_not_to_be_seen_is_said(ws: Workspace, opened: Open) -> None:
    assert "No face matches" in html(opened(ws.root, verdict="ambiguous", suggested="fear"))
    assert "No audit was drawn" in html(opened(ws.root, queue="audit"))


def test_the_end_is_said_and_can_be_undone(tmp_path: Path, opened: Open) -> None:
    ws = make_workspace(tmp_path, n=4)
    app = opened(ws.root)
    desk = open_desk(ws, reviewer="ada")
    for sample_id in select(desk, Filters()):
        decide(desk, sample_id, "keep")
    press(opened(ws.root), "`U` Undo the last")
    assert len(current_decisions(ws)) == 1
    app.run()
    assert "All decided" not in html(app), "every tab sees what holds now"


def test_a_busy_workspace_is_a_sentence(ws: Workspace, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "_PATIENCE", 0.2)
    with held_by_another(ws.root):
        assert "The workspace is busy" in html(opened(ws.root))


def test_the_overview_counts_flows_and_decisions(ws: Workspace, opened: Open) -> None:
    desk = open_desk(ws, reviewer="ada")
    decide(desk, select(desk, Filters())[0], OFFER)
    page = html(opened(ws.root, page="overview"))
    assert "<b>28</b><span>samples</span>" in page
    assert "<b>1</b><span>relabel</span>" in page
    assert "1 of 10 decided" in re.sub("</?b>", "", page)
    assert "By ada (1)" in page
    assert "fc-flows" in page
    assert "fc-flows" not in html(opened(ws.root, page="overview", blind="1"))


def test_the_queue_is_chosen_in_the_filters_and_kept_in_the_address(ws: Workspace, opened: Open) -> None:
    audit(ws, n=20)
    app = opened(ws.root)
    app.segmented_control(key="queue").set_value("audit").run()
    assert app.query_params["queue"] in ("audit", ["audit"])
    app.segmented_control(key="queue").set_value("ranked").run()
    assert "queue" not in app.query_params


def test_a_team_is_asked_who_reviews_and_a_name_that_is_known_is_not(
    ws: Workspace, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "*bo* <b>:smile:"
    opened(ws.root)
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(ws.root))
    monkeypatch.delenv("FERCLEAN_REVIEWER", raising=False)
    app = AppTest.from_file(str(bundled_path("apps/review/main.py")), default_timeout=30).run()
    assert "Who reviews?" not in html(app), "without a plan the login name will do"
    team(ws, reviewers=["ann", hostile])
    app = AppTest.from_file(str(bundled_path("apps/review/main.py")), default_timeout=30).run()
    assert not app.exception
    assert "Who reviews?" in html(app)
    press(app, parts.inert(hostile))
    assert app.query_params["reviewer"] == hostile
    assert parts.escape(f"reviewed by {hostile} · own part") in html(app)
    assert "Who reviews?" not in html(opened(ws.root)), "whoever started the screen named the reviewer"
