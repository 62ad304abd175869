"""The pages of a team, by Streamlit's own test runner on a real workspace: names and notes that act as nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from apps.review import conflicts_page, desks, sitting
from ferclean.errors import FercleanError, UsageError
from ferclean.review.desk import Desk, open_desk
from ferclean.steps.review import decide, undo
from ferclean.steps.settle import settle
from ferclean.steps.team import team
from ferclean.store.decisions import decision_history
from ferclean.store.guidelines import guidelines, write_guideline
from ferclean.store.history import conflicts, history
from ferclean.store.workspace import Workspace
from tests.pages import Open, html
from tests.workspaces import SEVEN, copied

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


def test_whoever_is_still_to_answer_a_face_for_two_sees_nobodys_answer_on_the_pages_of_the_team(
    ws: Workspace, opened: Open
) -> None:
    team(ws, reviewers=["ada", "eve"], overlap=1.0)
    app = opened(ws.root, page="conflicts")
    third = list(open_desk(ws, reviewer="ada").items)[2]
    for who, label in (("eve", "fear"), ("bob", "anger")):
        decide(open_desk(ws, reviewer=who), third, "relabel", label=label, model_hidden=True)
    assert third in conflicts(ws)

    def told(page: str, sample: str = "") -> str:
        app.query_params.update({"page": page, "sample": sample})
        app.run()
        assert not app.exception
        return html(app)

    assert "<b>1 of 1</b> face" in told("conflicts"), "that of the others, who have answered"
    assert "eve</small>" not in told("conflicts", third)
    assert "eve" not in told("team").split("What people disagree about")[1]
    decide(desks.place_of("ada").desk, third, "keep")
    assert "eve</small>" in told("conflicts", third)


def shown_button(app: AppTest, label: str) -> Any:
    return next(found for found in app.button if found.label == label)


def test_conflicts_stand_side_by_side_and_a_third_person_settles_one_and_takes_it_back(
    ws: Workspace, opened: Open
) -> None:
    app = opened(ws.root, page="conflicts")
    page = html(app)
    assert "<b>1 of 1</b> face that people disagree about" in page
    assert all(f'<strong class="">{name}</strong>' in page for name in SEVEN[1:4])
    assert HOSTILE not in page
    assert "<blockquote>&lt;img src=x" in page, "the note, as text"
    app.text_input(key=f"note_{conflicts(ws)[0]}").set_value("the mouth").run()
    shown_button(app, "`3` disgust").click().run()
    assert not app.exception
    assert "Nobody disagrees" in html(app)
    last = decision_history(ws).iloc[-1]
    assert (last["label"], last["source"], last["reviewer"], last["note"]) == (
        "disgust", "adjudication", "ada", "the mouth",
    )  # fmt: skip
    shown_button(app, "`U` Undo my last answer").click().run()
    assert "<b>1 of 1</b> face" in html(app)
    assert conflicts(ws) == [last["sample_id"]]


def test_a_page_settles_and_undoes_while_nobody_else_goes_through_the_desk(
    ws: Workspace, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, held = opened(ws.root, page="conflicts"), []

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def record(desk: Desk, *given: Any, **more: Any) -> Any:
            place = desks.place_of("ada")
            assert place.desk is desk
            with ThreadPoolExecutor(1) as another:
                held.append(not another.submit(place.lock.acquire, blocking=False).result())
            return real(desk, *given, **more)

        return record

    monkeypatch.setattr(conflicts_page, "settle", watched(settle))
    monkeypatch.setattr(sitting, "undo", watched(undo))
    shown_button(app, "`3` disgust").click().run()
    shown_button(app, "`U` Undo my last answer").click().run()
    assert not app.exception
    assert held == [True, True]


def test_whoever_is_one_of_those_who_disagree_has_to_say_that_they_mean_it(ws: Workspace, opened: Open) -> None:
    app = opened(ws.root, page="conflicts", reviewer=HOSTILE)
    assert shown_button(app, "`K` Keep").disabled
    assert HOSTILE not in app.checkbox[0].label, "a name is no Markdown"
    app.checkbox[0].check().run()
    shown_button(app, "`K` Keep").click().run()
    assert conflicts(ws) == []
    desk = open_desk(ws, reviewer="ann")
    decide(desk, next(iter(desk.items)), "exclude")
    story = history(ws, next(iter(desk.items)))
    with pytest.raises(UsageError, match="one of those who disagree"):
        settle(desk, story.sample_id, "keep", seen=story.entries[-1].decision_id)
    with pytest.raises(UsageError, match="skip settles nothing"):
        settle(desk, story.sample_id, "skip", seen=story.entries[-1].decision_id, own_too=True)


def test_two_adjudicators_at_once_do_not_overrule_each_other(ws: Workspace) -> None:
    [face] = conflicts(ws)
    seen = history(ws, face).entries[-1].decision_id
    settle(open_desk(ws, reviewer="eve"), face, "exclude", seen=seen)
    with pytest.raises(FercleanError, match="nothing to settle"):
        settle(open_desk(ws, reviewer="ada"), face, "keep", seen=seen)


def test_a_link_to_a_settled_face_shows_it_and_blind_mode_shows_nobodys_answers(ws: Workspace, opened: Open) -> None:
    [face] = conflicts(ws)
    blind = html(opened(ws.root, page="conflicts", blind="1"))
    assert "Hidden in blind mode" in blind
    settle(open_desk(ws, reviewer="eve"), face, "exclude", seen=history(ws, face).entries[-1].decision_id)
    app = opened(ws.root, page="conflicts", sample=face)
    assert "this one is settled" in html(app)
    assert "settled by eve" in html(app)
    assert shown_button(app, "`K` Keep").disabled
    assert "Nobody disagrees" in html(opened(ws.root, page="conflicts", sample="nonsense"))


def test_the_team_writes_guidelines_and_nobody_writes_over_what_they_have_not_seen(ws: Workspace, opened: Open) -> None:
    app = opened(ws.root, page="guidelines")
    app.selectbox(key="guideline_label").set_value("fear").run()
    app.text_area(key="guideline_text_2_0").set_value(f"wide eyes\n{HOSTILE}").run()
    app.text_area(key="guideline_faces_2_0").set_value("face_0003 a yawn").run()
    shown_button(app, "Write it as ada").click().run()
    assert "without saying what it shows" in html(app)
    app.text_area(key="guideline_faces_2_0").set_value("face_0003 | a yawn").run()
    shown_button(app, "Write it as ada").click().run()
    assert not app.exception
    page = html(app)
    assert "wide eyes<br>&lt;img src=x" in page
    assert "<figcaption>a yawn</figcaption>" in page
    assert HOSTILE not in page
    assert guidelines(ws)["fear"].author == "ada"
    write_guideline(ws, "fear", "theirs", author="bob")
    app.text_area(key="guideline_text_2_1").set_value("mine").run()
    assert "theirs" in html(app), "the page has read what bob wrote"
    assert guidelines(ws)["fear"].text == "theirs"
