"""Facts about a team: whose faces a reviewer's queue shows, what becomes of them, and how far everybody is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.review import deck, desks
from ferclean.cli import run
from ferclean.errors import UsageError
from ferclean.review.desk import Filters, next_open, open_desk, select, tally
from ferclean.steps.review import decide
from ferclean.steps.team import team
from ferclean.store.teams import get_plan
from ferclean.store.workspace import Workspace
from tests.workspaces import copied

PAIR = ("ann", "bo")
MANY = Filters(kinds=("mislabelled", "ambiguous", "clean"))
HOSTILE = '<b>é 🎭</b> "&'


@pytest.fixture
def ws(reviewable: Workspace, tmp_path: Path) -> Workspace:
    return copied(reviewable, tmp_path)


def faces(ws: Workspace, reviewer: str, filters: Filters = MANY) -> set[str]:
    return set(select(open_desk(ws, reviewer=reviewer), filters))


def test_without_a_plan_everybody_sees_every_face_and_with_one_each_face_is_one_persons(ws: Workspace) -> None:
    everything = faces(ws, "ann")
    team(ws, reviewers=PAIR)
    ann, bo = faces(ws, "ann"), faces(ws, "bo")
    assert ann | bo == everything
    assert not ann & bo
    assert ann
    assert bo
    assert faces(ws, "ann", Filters(kinds=MANY.kinds, everyone=True)) == everything
    assert faces(ws, "a stranger") == everything
    desk = open_desk(ws, reviewer="a stranger")
    assert desk.share is not None
    assert not desk.share.member


def test_a_share_of_overlap_is_asked_of_two_and_of_no_third(ws: Workspace) -> None:
    everything = faces(ws, "ann")
    team(ws, reviewers=("ann", "bo", "cy"), overlap=1.0)
    parts = [faces(ws, name) for name in ("ann", "bo", "cy")]
    assert sum(map(len, parts)) == 2 * len(everything)
    one = min(parts[0] & parts[1])
    decide(open_desk(ws, reviewer="ann"), one, "keep")
    assert one in faces(ws, "bo"), "the second answer is still to be given"
    decide(open_desk(ws, reviewer="bo"), one, "ambiguous")
    assert one in faces(ws, "bo"), "what a person answered stays in their part"
    assert one not in faces(ws, "cy")


def test_whoever_joins_takes_no_face_that_is_answered(ws: Workspace) -> None:
    team(ws, reviewers=PAIR)
    desk = open_desk(ws, reviewer="ann")
    mine = list(select(desk, MANY))
    for one in mine[: len(mine) // 2]:
        decide(desk, one, "keep")
    left = faces(ws, "bo")
    team(ws, reviewers=(*PAIR, "cy"))
    cy = faces(ws, "cy")
    assert cy
    assert not cy & set(mine[: len(mine) // 2]), "what ann answered is nobody else's"
    assert set(mine[: len(mine) // 2]) <= faces(ws, "ann")
    assert faces(ws, "bo") <= left, "bo is asked about nothing new"
    assert cy | faces(ws, "ann") | faces(ws, "bo") == set(mine) | left


def test_progress_and_the_next_face_are_of_ones_own_part(ws: Workspace) -> None:
    team(ws, reviewers=PAIR)
    desk = open_desk(ws, reviewer="ann")
    order = select(desk, MANY)
    assert tally(desk, order).total == len(order) < len(faces(ws, "ann", Filters(kinds=MANY.kinds, everyone=True)))
    for one in order:
        assert next_open(desk, order) is not None
        decide(desk, one, "keep")
    assert next_open(desk, order) is None


def test_everybodys_progress_is_told_and_what_is_not_named_stays_as_it_was(ws: Workspace) -> None:
    assert team(ws).plan is None
    found = team(ws, reviewers=[*PAIR, HOSTILE], overlap=0.5, made_by="lead")
    assert found.plan is not None
    assert found.plan["made_by"] == "lead"
    assert found.queue == 10, "mislabelled faces are the queue"
    assert sum(one["faces"] for one in found.people) == found.queue + found.twice
    desk = open_desk(ws, reviewer="ann")
    one = select(desk, Filters())[0]
    decide(desk, one, "keep")
    decide(open_desk(ws, reviewer="zoe"), one, "ambiguous")
    after = team(ws, reviewers=PAIR)
    plan = get_plan(ws)
    assert plan is not None
    assert (plan.reviewers, plan.overlap) == (PAIR, 0.5)
    assert after.answered == 1
    ann, _, zoe = after.people
    assert ann["answered"] == 1
    assert ann["left"] == ann["faces"] - 1
    assert (zoe["reviewer"], zoe["planned"], zoe["answered"]) == ("zoe", False, 1)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"overlap": 0.1}, "no plan yet"), ({"reviewers": ["ann", " ann "]}, "'ann' is twice"),
        ({"reviewers": PAIR, "overlap": 1.5}, "share in"), ({"reviewers": ["ann", " "]}, "each with a name"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_plan_is_refused(ws: Workspace, asked: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        team(ws, **asked)  # type: ignore[arg-type]
    assert get_plan(ws) is None


def test_the_verb_tells_the_plan_and_each_part(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-w", str(ws.root), "team", "--reviewers", "ann,bo", "--overlap", "0.25"]) == 0
    shown = capsys.readouterr().out
    assert "25% of the faces are answered by two" in shown
    assert "bo" in shown
    assert run(["-w", str(ws.root), "team", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["reviewers"] == ["ann", "bo"]


def test_the_deck_deals_ones_own_part_and_others_faces_where_the_address_says_so(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(ws.root))
    team(ws, reviewers=PAIR)

    def dealt(**address: str) -> set[str]:
        return {card["id"] for card in deck.deal(address, after=None, count=40, examples=False)["faces"]}

    ann, bo = dealt(reviewer="ann"), dealt(reviewer="bo")
    assert not ann & bo
    assert dealt(reviewer="ann", whose="all") == ann | bo


def test_an_open_desk_deals_by_the_plan_that_is_made_or_changed_while_it_is_open(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(ws.root))
    monkeypatch.setattr(desks, "_PLANS", 0.0)  # nobody waits here

    def dealt(reviewer: str) -> set[str]:
        return {card["id"] for card in deck.deal({"reviewer": reviewer}, after=None, count=40, examples=False)["faces"]}

    everything = dealt("ann")
    assert dealt("bo") == everything
    team(ws, reviewers=PAIR)
    assert dealt("ann") | dealt("bo") == everything
    assert not dealt("ann") & dealt("bo")
    team(ws, reviewers=PAIR, overlap=1.0)
    assert dealt("ann") == dealt("bo") == everything


def caption(sample_id: str, **address: str) -> str:
    (card,) = deck.deal({**address, "sample": sample_id}, after=None, count=1, examples=False)["faces"]
    assert card["id"] == sample_id
    return str(card["caption"])


def test_a_face_says_who_answered_it_already_and_afterwards_what(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(ws.root))
    one = select(open_desk(ws, reviewer="zoe"), Filters())[0]
    decide(open_desk(ws, reviewer=HOSTILE), one, "relabel", label="fear")
    before = caption(one, reviewer="zoe")
    assert "answered already by &lt;b&gt;é" in before
    assert "<b>" not in before
    assert "relabel fear" not in before, "what they said could sway"
    assert "answered already" not in caption(one, reviewer="zoe", blind="1")
    deck.answer(
        {"reviewer": "zoe"}, [{"answer_id": "1", "action": "keep", "sample_id": one, "seen": 0, "model_hidden": False}]
    )
    assert ": relabel fear" in caption(one, reviewer="zoe")


def test_of_a_face_for_two_neither_hears_of_the_other_before_having_answered(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(ws.root))
    team(ws, reviewers=PAIR, overlap=1.0)
    one = select(open_desk(ws, reviewer="ann"), Filters())[0]
    untouched = caption(one, reviewer="bo")
    deck.answer(
        {"reviewer": "ann"}, [{"answer_id": "1", "action": "keep", "sample_id": one, "seen": 0, "model_hidden": False}]
    )
    assert caption(one, reviewer="bo") == untouched
    assert "other answer is still to come" in caption(one, reviewer="ann")
    deck.answer(
        {"reviewer": "bo"},
        [{"answer_id": "2", "action": "exclude", "sample_id": one, "seen": 0, "model_hidden": False}],
    )
    assert "ann: keep" in caption(one, reviewer="bo")
    assert "bo: exclude" in caption(one, reviewer="ann")
    assert "answered already by ann, bo" in caption(one, reviewer="zoe").replace("bo, ann", "ann, bo")
