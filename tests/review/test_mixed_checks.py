"""Facts about checks: faces mixed into a reviewer's queue that measure the reviewer, and stand for nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from apps.review import deck
from apps.review.asides import history_of
from ferclean.bundled_files import bundled_path
from ferclean.cli import run
from ferclean.review.checks import GAP
from ferclean.steps.decide import decide
from ferclean.steps.team import team
from ferclean.store.checks import sure
from ferclean.store.decisions import current_decisions, decision_history
from ferclean.store.exchange import insert
from ferclean.store.samples import get_samples
from ferclean.store.standing import words
from ferclean.store.workspace import Workspace
from tests.workspaces import copied, make_workspace

ADDRESS = {"reviewer": "ann"}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("checks"), n=80)


@pytest.fixture
def ws(original: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    ws = copied(original, tmp_path)
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(ws.root))
    return ws


def one_by_one(action: str, *, count: int = 100) -> Iterator[dict[str, Any]]:
    """The faces in the order in which they come, each answered before the next is asked for."""
    after, line, number = None, [], 0
    while number < count:
        if not line:
            line = deck.deal(ADDRESS, after=after, count=1, examples=False)["faces"]
        if not line or (after is not None and not line[0]):
            return
        card = line.pop(0)
        if card["stands"] is not None:
            return
        said = deck.answer(ADDRESS, [answer(f"{number}", action, card)])
        assert said["taken"][0]["refused"] == ""
        yield card
        after, number = card["place"], number + 1


def answer(name: str, action: str, card: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "answer_id": name, "action": action, "sample_id": card["id"], "seen": card["seen"], "token": card["token"],
        "model_hidden": False, **more,
    }  # fmt: skip


def votes(ws: Workspace, **counts: int) -> list[str]:
    """Clean faces with votes as given, `label=count`, at each of them."""
    clean = get_samples(ws)["sample_id"].tolist()[60:]
    put_votes(ws, {one: dict(counts) for one in clean})
    return clean


def put_votes(ws: Workspace, given: dict[str, dict[str, int]]) -> None:
    each = [(one, label, count) for one, counts in given.items() for label, count in counts.items()]
    ids, labels, counts = (list(column) for column in zip(*each, strict=True))
    with ws.session("voting") as con:
        insert(con, "vote", {"sample_id": ids, "label": labels, "count": pa.array(counts, type=pa.int32())})


def test_a_face_comes_again_after_a_while_looks_new_and_its_answer_changes_nothing(ws: Workspace) -> None:
    team(ws, reviewers=["ann"], repeats=1.0)
    cards = list(one_by_one("keep", count=40))
    history = decision_history(ws)
    assert history["sample_id"].tolist() == [card["id"] for card in cards]
    again = history[history["source"] == "repeat"]
    assert len(again) >= 5
    assert len(set(again["sample_id"])) == len(again), "each once"
    for row in again.index:
        before = history[:row][history["sample_id"][:row] == history["sample_id"][row]]
        assert len(before) == 1
        assert row - before.index[0] >= GAP
    assert again["inclusion_probability"].isna().all()
    seen = [card for card, source in zip(cards, history["source"], strict=True) if source == "repeat"]
    plain = [card for card, source in zip(cards, history["source"], strict=True) if source == "review"]
    assert all(card["stands"] is None and " / " not in card["caption"] for card in (*seen, *plain))
    assert {len(card["token"]) for card in cards} == {16}
    standing = words(ws, "ann")
    assert set(standing) == {card["id"] for card in plain}
    (told,) = team(ws).people
    assert told["repeats"]["right"] == told["repeats"]["rows"] == len(again)


def test_another_answer_to_a_repeat_is_told_and_what_was_said_stands(ws: Workspace) -> None:
    team(ws, reviewers=["ann"], repeats=1.0)
    list(one_by_one("keep", count=GAP + 1))
    before = current_decisions(ws)
    (face, check) = deck.deal(ADDRESS, after=None, count=1, examples=False)["faces"]
    deck.answer(ADDRESS, [answer("again", "exclude", check)])
    after = current_decisions(ws)
    assert after.equals(before), "it stands for nothing"
    assert decision_history(ws)["source"].tolist()[-1] == "repeat"
    assert face["id"] != check["id"]
    assert "keep" not in history_of(ADDRESS, sample_id=check["id"])["html"], "it would be known by its history"
    (told,) = team(ws).people
    assert (told["repeats"]["right"], told["repeats"]["rows"]) == (0, 1)
    deck.answer(ADDRESS, [{"answer_id": "back", "action": "undo", "undoes": "again"}])
    assert current_decisions(ws).equals(before)
    assert team(ws).people[0]["repeats"] is None, "what was taken back measures nothing"


@pytest.mark.parametrize("kind", ["repeat", "honeypot"])
def test_a_check_that_is_taken_back_after_a_reload_comes_back_as_that_check(ws: Workspace, kind: str) -> None:
    votes(ws, fear=3)
    team(ws, reviewers=["ann"], **{f"{kind}s": 1.0})
    *_, card = one_by_one("keep", count=GAP + 3 if kind == "repeat" else 2)
    assert decision_history(ws)["source"].tolist()[-1] == kind
    before = current_decisions(ws)
    back = deck.answer(ADDRESS, [{"answer_id": "back", "action": "undo", "undoes": None}])  # a browser that knows none
    [again] = back["faces"]
    assert back["undone"] == 1
    assert back["taken"][0]["name"] == card["name"]
    assert (again["id"], again["token"]) == (card["id"], card["token"])
    assert again["stands"] is None, "what was said first is not shown"
    at_reload = deck.deal({**ADDRESS, "sample": again["place"]}, after=None, count=1, examples=False)["faces"][0]
    assert at_reload["stands"] is None
    assert at_reload["id"] != card["id"]
    answered_again = deck.deal(ADDRESS, after=card["place"], count=40, examples=False)["faces"]
    assert card["token"] in {one["token"] for one in answered_again} or kind == "repeat", "it may come again"
    deck.answer(ADDRESS, [answer("else", "exclude", again)])
    assert current_decisions(ws).equals(before), "it stands for nothing"
    assert decision_history(ws)["source"].tolist()[-1] == kind


def test_a_page_does_not_lead_to_a_check_that_it_takes_back(ws: Workspace) -> None:
    team(ws, reviewers=["ann"], repeats=1.0)
    list(one_by_one("keep", count=GAP + 3))
    app = AppTest.from_file(str(bundled_path("apps/review/main.py")), default_timeout=30)
    app.query_params["page"], app.query_params["reviewer"] = "conflicts", "ann"
    app.run()
    for went in (False, True):
        last = decision_history(ws).iloc[-1 - 2 * went]  # the second time the answer before it
        assert (last["source"] == "review") is went
        next(button for button in app.button if button.label == "`U` Undo my last answer").click().run()
        assert not app.exception
        assert ("sample" in app.query_params) is went
        assert "Undone: face_" in "".join(found.proto.body for found in app.get("html"))


def test_honeypots_are_faces_of_which_people_are_sure_and_nobody_is_asked_about_them_in_earnest(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = votes(ws, fear=3)
    team(ws, reviewers=["ann"], honeypots=1.0)
    cards = list(one_by_one("ambiguous", count=10))
    history = decision_history(ws)
    pots = history[history["source"] == "honeypot"]
    assert 3 <= len(pots) <= 5
    assert set(pots["sample_id"]) <= set(clean)
    assert set(current_decisions(ws)["sample_id"]) == {card["id"] for card in cards} - set(pots["sample_id"])
    (told,) = team(ws).people
    assert (told["honeypots"]["right"], told["honeypots"]["rows"]) == (0, len(pots))
    assert told["answered"] == 10 - len(pots)
    assert run(["-w", str(ws.root), "team"]) == 0
    assert f"0 of {len(pots)} (0% to" in capsys.readouterr().out


def test_people_are_sure_where_three_say_the_same_and_no_adjudication_says_else(ws: Workspace) -> None:
    ids = get_samples(ws)["sample_id"].tolist()
    put_votes(ws, {ids[0]: {"fear": 3}, ids[1]: {"fear": 2, "anger": 1}, ids[2]: {"fear": 2}, ids[3]: {"unknown": 5},
                   ids[4]: {"fear": 4}})  # fmt: skip
    for who in ("ann", "bo", "cy"):
        decide(ws, ids[5], "exclude", reviewer=who)
        decide(ws, ids[6], "keep" if who == "cy" else "exclude", reviewer=who)
    for who, label in (("ann", "anger"), ("bo", "neutral")):
        decide(ws, ids[4], label=label, reviewer=who)
    decide(ws, ids[4], label="anger", reviewer="lead", adjudicate=True)
    assert sure(ws) == {ids[0]: "fear", ids[5]: ":exclude"}


def test_an_audit_is_mixed_with_nothing_and_neither_is_anybodys_queue_without_such_a_plan(ws: Workspace) -> None:
    votes(ws, fear=3)
    plain = deck.deal(ADDRESS, after=None, count=10, examples=False)["faces"]
    team(ws, reviewers=["bo"], honeypots=1.0)
    others = deck.deal(ADDRESS, after=None, count=10, examples=False)["faces"]
    assert [card["id"] for card in plain] == [card["id"] for card in others], "ann is not in the plan"
    assert json.dumps(plain) == json.dumps(others)
