"""Facts about answers that a screen sends in order, and again: each is recorded once, and none is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferclean.review.desk import Desk, open_desk
from ferclean.steps.answers import UNDO, Answer, take
from ferclean.steps.review import decide, decide_many
from ferclean.store.decisions import current_decisions, decision_history
from ferclean.store.workspace import Workspace
from tests.workspaces import copied


@pytest.fixture
def ws(reviewable: Workspace, tmp_path: Path) -> Workspace:
    return copied(reviewable, tmp_path)


def answers(desk: Desk, *actions: str, first: int = 0) -> list[Answer]:
    """One answer per face of the queue, named tab-0, tab-1 ... from `first`."""
    faces = list(desk.items)[first:]
    return [
        Answer(answer_id=f"tab-{first + at}", action=action, sample_id=faces[at], seconds=1.234)
        for at, action in enumerate(actions)
    ]


def test_answers_are_recorded_in_order_with_what_belongs_to_them(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    given = answers(desk, "keep", "ambiguous", "skip", "exclude")
    said = take(desk, given)
    history = decision_history(ws)
    assert history["action"].tolist() == ["keep", "ambiguous", "skip", "exclude"]
    assert history["sample_id"].tolist() == [one.sample_id for one in given]
    assert history["seconds"].tolist() == [1.23] * 4
    assert history["shown"].notna().all()
    assert [one.decision_id for one in said] == history["decision_id"].tolist()
    again = open_desk(ws, reviewer="ada")
    assert (desk.standing, desk.skipped) == (again.standing, again.skipped)


def test_what_is_sent_again_is_known_also_by_a_server_that_was_started_since(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    given = answers(desk, "keep", "ambiguous", "exclude")
    first = take(desk, given[:2])
    again = take(open_desk(ws, reviewer="ada"), given)
    assert again[:2] == first
    assert decision_history(ws)["action"].tolist() == ["keep", "ambiguous", "exclude"]
    assert take(desk, [*given, *given])[:3] == again


def test_an_undo_takes_back_its_answer_sent_before_or_with_it(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    given = answers(desk, "keep", "ambiguous")
    back = [Answer(answer_id=f"back-{one.answer_id}", action=UNDO, undoes=one.answer_id) for one in given]
    take(desk, given[:1])
    said = take(desk, [given[1], back[1], back[0]])
    assert [one.sample_ids[0] for one in said] == [given[1].sample_id, given[1].sample_id, given[0].sample_id]
    assert current_decisions(ws).empty
    assert desk.standing == {}
    assert take(desk, back) == [said[2], said[1]]
    assert len(decision_history(ws)) == 4


def test_an_undo_of_an_earlier_sitting_takes_back_a_bulk_as_a_whole_and_then_nothing(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    faces = list(desk.items)[:3]
    decide_many(desk, faces, "keep", bulk_id="b")
    back, more = (Answer(answer_id=name, action=UNDO) for name in ("one", "two"))
    assert set(take(desk, [back])[0].sample_ids) == set(faces)
    assert take(desk, [more])[0].refused == "there is nothing to undo"
    assert current_decisions(ws).empty


def test_a_second_answer_about_a_face_rests_on_the_first_though_neither_was_sent(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    (first,) = answers(desk, "keep")
    second = Answer(answer_id="tab-1", action="ambiguous", sample_id=first.sample_id, seen=first.answer_id)
    assert [one.refused for one in take(desk, [first, second])] == ["", ""]
    third = Answer(answer_id="tab-2", action="exclude", sample_id=first.sample_id, seen=second.answer_id)
    assert take(desk, [third])[0].refused == ""
    assert current_decisions(ws)["action"].tolist() == ["exclude"]


def test_an_answer_that_another_tab_made_old_is_refused_alone(ws: Workspace) -> None:
    desk, other = open_desk(ws, reviewer="ada"), open_desk(ws, reviewer="ada")
    given = answers(desk, "keep", "ambiguous", "exclude")
    decide(other, str(given[1].sample_id), "keep")
    said = take(desk, given)
    assert [bool(one.refused) for one in said] == [False, True, False]
    assert said[1].newer is not None
    assert said[1].newer.action == "keep"
    assert current_decisions(ws)["action"].tolist() == ["keep", "keep", "exclude"]
    # looked at again and meant
    meant = Answer(answer_id="tab-9", action="ambiguous", sample_id=given[1].sample_id, seen=said[1].newer.decision_id)
    assert take(desk, [meant])[0].refused == ""


def test_an_answer_that_cannot_be_is_refused_in_words_and_the_others_are_taken(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    good, bad, last = answers(desk, "keep", "burn", "exclude")
    said = take(desk, [good, bad, last, Answer(answer_id="x", action="keep", sample_id="nobody")])
    assert [bool(one.refused) for one in said] == [False, True, False, True]
    assert "unknown action 'burn'" in said[1].refused
    assert decision_history(ws)["action"].tolist() == ["keep", "exclude"]
    assert not take(desk, [Answer(answer_id="y", action=UNDO, undoes=bad.answer_id)])[0].sample_ids


def test_to_relabel_with_the_given_label_is_to_keep_and_a_blind_answer_shows_nothing(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    (face, *_) = desk.items
    take(
        desk,
        [Answer(answer_id="1", action="relabel", label=desk.items.given(face), sample_id=face, model_hidden=True)],
    )
    row = decision_history(ws).iloc[0]
    assert (row["action"], row["label"], row["shown"]) == ("keep", None, None)
    assert desk.standing[face].label == desk.items.given(face)
