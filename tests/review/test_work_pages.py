"""The pages about the work as a whole, by Streamlit's own test runner: audit, releases, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from ferclean.parts.teaching import rounds
from ferclean.review.desk import open_desk
from ferclean.steps.audit import audit
from ferclean.steps.diff import diff
from ferclean.steps.release import release
from ferclean.steps.report import page as report_page
from ferclean.steps.review import decide
from ferclean.store.audits import audited
from ferclean.store.decisions import current_decisions
from ferclean.store.runs import finish_run, latest_run
from ferclean.store.workspace import Workspace
from tests.pages import Open, html
from tests.workspaces import copied


@pytest.fixture
def ws(reviewable: Workspace, tmp_path: Path) -> Workspace:
    return copied(reviewable, tmp_path)


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
    assert page.count("too few: ") == sum(one["rows"] > 0 for one in said.classes)
    sums = {name: sum(one[name] for one in said.strata) for name in said.strata[0]}
    assert sums == {"rows": said.population, "drawn": 12, "answered": 6, "wrong": 2}


def test_the_releases_page_shows_what_a_release_changed_face_by_face(ws: Workspace, opened: Open) -> None:
    assert "No release yet" in html(opened(ws.root, page="releases"))
    desk = open_desk(ws, reviewer="<b>eve</b>")
    faces = list(desk.items)
    decide(desk, faces[0], "relabel", label="sadness")
    release(ws, "first")
    decide(desk, faces[1], "relabel", label="sadness")
    decide(desk, faces[2], "exclude")
    release(ws, "second")
    given = desk.items.given(faces[0])
    app = opened(ws.root, page="releases")
    page = html(app)
    assert page.count("<figure") + page.count("pick=1") == len(diff(ws, "original", "second").changes) == 3
    assert f"<span>{given} → sadness</span>" in page
    assert "decision: relabel by &lt;b&gt;eve&lt;/b&gt;" in page
    assert "Changed faces: 1 to 3 of 3" in page
    app.selectbox(key="release_before").set_value("first").run()
    assert not app.exception
    assert "Changed faces: 1 to 2 of 2" in html(app)
    app.selectbox(key="release_flow").set_value((desk.items.given(faces[2]), "left out")).run()
    assert not app.exception
    assert "Changed faces: 1 to 1 of 1" in html(app)
    assert "Hidden in blind mode" in html(opened(ws.root, page="releases", blind="1"))
    with ws.session("making releases as an older ferclean did") as con:
        con.execute("UPDATE release SET config = '{}'")
    assert "Changed faces: 1 to 3 of 3" in html(opened(ws.root, page="releases"))


def test_the_releases_page_takes_a_flow_or_single_faces_back_after_the_count_and_undoes_it(
    ws: Workspace, opened: Open
) -> None:
    desk = open_desk(ws, reviewer="ada")
    faces = list(desk.items)[:4]
    for face in faces:
        decide(desk, face, "exclude")
    release(ws, "first")
    app = opened(ws.root, page="releases")
    assert "Changelog of 1.0.0, since as given" in html(app)
    one = diff(ws, "original", "first").changes[1]["sample_id"]
    app.button_group(key="revert_pick_1").set_value(["2"]).run()
    assert not app.exception
    button(app, "revert_some").click().run()
    assert "1 faces get a decision" in html(app)
    assert len(current_decisions(ws, faces).query("action == 'exclude'")) == 4, "to ask changes nothing"
    button(app, "revert_go").click().run()
    assert not app.exception
    assert list(current_decisions(ws, faces).query("action == 'keep'")["sample_id"]) == [one]
    button(app, "revert_all").click().run()
    assert "3 faces get a decision" in html(app)
    assert "1 are back already" in html(app)
    button(app, "revert_go").click().run()
    release(ws, "second")
    assert diff(ws, "original", "second").changes == []
    button(app, "revert_undo").click().run()
    assert "3 decisions are taken back again" in html(app)
    assert len(current_decisions(ws, faces).query("action == 'exclude'")) == 3


def _taking_back(root: str, after: str) -> None:
    from pathlib import Path
    from types import SimpleNamespace

    import streamlit as st

    from apps.review import taking_back
    from ferclean.steps.diff import diff
    from ferclean.store.workspace import Workspace

    ws = Workspace(Path(root))
    if "shown" not in st.session_state:
        st.session_state["shown"] = diff(ws, "original", "first").changes
    at = SimpleNamespace(desk=SimpleNamespace(ws=ws, reviewer="ada"))
    taking_back.draw(at, st.session_state["shown"], before="original", after=after, named="all")  # type: ignore[arg-type]


def test_what_cannot_be_taken_back_is_said_and_other_changes_than_were_asked_are_asked_again(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    faces = list(desk.items)[:3]
    for face in faces:
        decide(desk, face, "exclude")
    release(ws, "first")

    def press(app: AppTest, key: str, *, broken: bool = False) -> str:
        away = ws.database.with_suffix(".away")
        if broken:
            ws.database.rename(away)
            ws.database.write_bytes(b"no database" * 1000)
        button(app, key).click().run()
        if broken:
            away.replace(ws.database)
        assert not app.exception
        return html(app)

    gone = AppTest.from_function(_taking_back, args=(str(ws.root), "gone")).run()
    assert "cannot be told what would be taken back: unknown release" in press(gone, "revert_all")
    app = AppTest.from_function(_taking_back, args=(str(ws.root), "first")).run()
    assert "3 faces get a decision" in press(app, "revert_all")
    assert "Nothing was taken back: " in press(app, "revert_go", broken=True)
    decide(desk, faces[0], "relabel", label=next(c for c in desk.classes if c != desk.items.given(faces[0])))
    page = press(app, "revert_go")
    assert "look again" in page
    assert "2 faces get a decision" in page
    assert current_decisions(ws, faces).query("action == 'keep'").empty
    assert "2 changes of first are taken back" in press(app, "revert_go")
    assert "Not undone: " in press(app, "revert_undo", broken=True)
    assert "2 decisions are taken back again" in press(app, "revert_undo")


def test_the_report_page_shows_the_report_and_what_each_round_taught(ws: Workspace, opened: Open) -> None:
    run = latest_run(ws, "triage")
    assert run is not None
    lesson = {"accuracy_given": 0.71, "accuracy_now": 0.784, "errors_left": 1090.4, "looks_to_next_point": 9}
    finish_run(ws, run.run_id, {"decisions": 9, "teaching": {"size": 100, "decided": 7}, "lesson": lesson})
    last = rounds(ws)[-1]
    assert (last.decisions, last.random_faces, last.accuracy_now) == (9, 7, 0.784)
    found = html(opened(ws.root, page="report"))
    assert "<td>9</td><td>7</td><td>71.0%</td><td>78.4%</td><td>1,090</td>" in found
    assert "Hidden in blind mode" in html(opened(ws.root, page="report", blind="1"))
    assert "labels under review" in report_page(ws).html
