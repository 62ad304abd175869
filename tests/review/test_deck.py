"""Facts about the deck: what a browser is given about the faces ahead, and what becomes of what it sends."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from apps.review import deck, desks
from ferclean.errors import FercleanError, UsageError, WorkspaceBusyError
from ferclean.review.desk import Filters, open_desk, select
from ferclean.steps.audit import audit
from ferclean.steps.decide import decide
from ferclean.store.audits import get_audit
from ferclean.store.decisions import current_decisions, decision_history
from ferclean.store.samples import get_samples
from ferclean.store.verdicts import get_verdicts, put_verdicts
from ferclean.store.workspace import Workspace
from tests.bare_workspace import held_by_another
from tests.workspaces import SEVEN, copied, make_workspace

HOSTILE = '<img src=x onerror="alert(1)">&"\' **b** .png'


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("deck"), names=(HOSTILE,))


@pytest.fixture
def ws(original: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    ws = copied(original, tmp_path)
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(ws.root))
    monkeypatch.setenv("FERCLEAN_REVIEWER", "ada")
    return ws


def dealt(after: str | None = None, *, count: int = 40, **address: str) -> list[dict[str, Any]]:
    """The faces ahead."""
    return list(deck.deal(address, after=after, count=count, examples=False)["faces"])


def sent(name: str, action: str, card: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An answer as the browser sends it."""
    about = {} if card is None else {"sample_id": card["id"], "seen": card["seen"], "model_hidden": card["hidden"]}
    return {"answer_id": name, "action": action, **about, **more}


def answered(*answers: dict[str, Any], **address: str) -> dict[str, Any]:
    return deck.answer(address, answers)


def test_a_face_says_labels_probabilities_and_reasons_in_words(ws: Workspace) -> None:
    found = deck.deal({}, after=None, count=3, examples=True)
    first = found["faces"][0]
    assert "given label</small><strong>surprise</strong>" in first["labels"]
    assert "suggested label</small><strong>fear</strong>" in first["labels"]
    page = first["evidence"]
    assert "the model sees fear where surprise was given" in page
    assert "Probably mislabelled (90%)" in page
    assert page.index(">surprise</span>") < page.index(">fear</span>") < page.index(">neutral</span>")
    beside = first["beside"]
    assert beside.count("data:image/jpeg;base64,") == 1, "the near copy"
    named = [word.split('"')[0] for word in beside.split('src="example:')[1:]]
    assert len(named) == 3 + 4, "clear surprise (but itself), clear fear"
    assert all(found["examples"][sample_id].startswith("data:image/jpeg;base64,") for sample_id in named)
    assert first["picture"].startswith("data:image/png;base64,")
    assert first["offered"] == "Accept fear"


def test_faces_come_in_the_order_of_the_queue_without_those_that_are_decided(ws: Workspace) -> None:
    ids = get_samples(ws)["sample_id"].tolist()
    both = {"verdict": "mislabelled,ambiguous"}
    cards = dealt(**both)
    assert [card["id"] for card in cards] == ids[:14]
    answered(sent("1", "keep", cards[0]), sent("2", "skip", cards[2]), **both)
    assert [card["id"] for card in dealt(**both)] == [ids[1], *ids[3:14]], "skipped ones come when all else is decided"
    assert [card["id"] for card in dealt(ids[12], **both)] == [ids[13], ids[1], *ids[3:13]]
    for at, card in enumerate(dealt(**both)):
        answered(sent(f"x{at}", "keep", card), **both)
    assert [card["id"] for card in dealt(**both)] == [ids[2]]


def test_what_is_sent_is_recorded_and_how_far_the_person_is_comes_back(ws: Workspace) -> None:
    cards = dealt(verdict="mislabelled,ambiguous")
    actions = ["relabel", "keep", "ambiguous", "exclude", "skip", "relabel"]
    labels = ["fear", None, None, None, None, "surprise"]
    said = answered(
        *(sent(str(at), action, cards[at], label=labels[at], seconds=1.5) for at, action in enumerate(actions)),
        verdict="mislabelled,ambiguous",
    )
    history = decision_history(ws)
    assert history["sample_id"].tolist() == [card["id"] for card in cards[:6]]
    assert history["action"].tolist() == actions
    assert set(history["reviewer"]) == {"ada"}
    assert json.loads(history["shown"][0])["suggested_label"] == "fear"
    assert [one["refused"] for one in said["taken"]] == [""] * 6
    assert "<b>5</b> of 14 decided" in said["progress"]
    assert "1 skipped" in said["progress"]


def test_an_undo_brings_its_face_back_also_in_a_new_tab_and_at_last_there_is_none(ws: Workspace) -> None:
    (first, *_) = dealt()
    answered(sent("1", "keep", first, note="hand over the mouth"))
    assert decision_history(ws)["note"].tolist() == ["hand over the mouth"]
    back = answered(sent("2", "undo"))
    assert [card["id"] for card in back["faces"]] == [first["id"]]
    assert current_decisions(ws).empty
    assert answered(sent("3", "undo"))["taken"][0]["refused"] == "there is nothing to undo"


def test_blind_mode_hides_the_model(ws: Workspace) -> None:
    found = deck.deal({"blind": "1"}, after=None, count=3, examples=True)
    first = found["faces"][0]
    assert "reasons are hidden" in first["evidence"]
    assert "suggested label</small><strong>hidden" in first["labels"]
    told = json.dumps({**found, "examples": None})
    for word in ("Probably", "the model sees", "fc-bars", "rank ", "errors to find", "drawn at random"):
        assert word not in told
    assert (first["suggested"], first["offer"], first["offered"]) == (None, None, "Off: blind mode")
    answered(sent("1", "keep", first), blind="1")
    assert decision_history(ws)["shown"].isna().all()


def test_filters_and_position_come_from_the_address(ws: Workspace) -> None:
    ids = get_samples(ws)["sample_id"].tolist()
    (first, *_) = dealt(verdict="ambiguous", sample=ids[5])
    assert (first["id"], "2 / 4" in first["caption"], first["by_choice"]) == (ids[5], True, True)
    assert "Probably ambiguous" in first["evidence"]
    assert dealt(verdict="ambiguous", suggested="fear") == []
    assert "1 / 10" in dealt(verdict="nonsense", sample="nobody", page="nowhere")[0]["caption"]


def test_what_goes_by_decisions_is_chosen_anew_when_a_page_opens_and_stands_while_a_deck_goes_on(ws: Workspace) -> None:
    (first, *rest) = dealt(state="open")
    place, ids = desks.place_of("ada"), [card["id"] for card in rest]
    answered(sent("1", "keep", first), state="open")
    assert first["id"] in place.look({"state": "open"})[1]
    assert dealt(first["id"], state="open")[0]["id"] == ids[0]
    assert first["id"] not in place.look({"state": "open"}, anew=True)[1]
    for number, one in enumerate(ids[:2], start=1):
        decide(ws, one, "keep", reviewer="bob")
        assert len(place.look({"by": "bob"}, anew=True)[1]) == number


def test_a_step_looks_around_without_deciding(ws: Workspace) -> None:
    ids = [card["id"] for card in dealt()]
    assert deck.step({}, sample_id=ids[0], by=-1)["faces"][0]["id"] == ids[-1]
    assert deck.step({}, sample_id=ids[-1], by=1)["faces"][0]["id"] == ids[0]
    assert decision_history(ws).empty
    with pytest.raises(UsageError, match="read the workspace again"):
        deck.step({}, sample_id="nobody", by=1)


def test_a_picked_face_is_shown_whatever_is_looked_at_and_stands_for_no_random_sample(ws: Workspace) -> None:
    table = get_samples(ws)
    ids = table["sample_id"].tolist()
    first, clean = ids[0], ids[-1]
    near = dealt(count=1)[0]["beside"]
    assert f'<button type="button" data-face="{ids[1]}"' in near
    assert not [card for card in dealt() if card["id"] == clean]
    (picked,) = dealt(count=1, sample=clean, pick="1")
    assert (picked["id"], picked["by_choice"], "picked from elsewhere" in picked["caption"]) == (clean, True, True)
    assert dealt(count=1, sample=clean)[0]["id"] == first
    assert deck.step({}, sample_id=clean, by=1)["faces"][0]["id"] == first
    answered(sent("a", "keep", picked, by_choice=picked["by_choice"]))
    assert current_decisions(ws)["sample_id"].tolist() == [clean]
    assert "data-face" not in dealt(count=1, blind="1")[0]["beside"]


def test_markup_in_a_file_name_is_shown_as_it_is(ws: Workspace) -> None:
    (first, *_) = dealt()
    assert first["name"] == HOSTILE, "set as text"
    assert "<img src=x" not in first["caption"] + first["beside"] + first["evidence"] + first["labels"]
    assert HOSTILE in unescape(first["caption"])


def test_a_face_whose_file_is_gone_says_so_and_can_still_be_excluded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = make_workspace(tmp_path, n=6)
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(ws.root))
    (tmp_path / "source" / "0000.png").unlink()
    (first, *_) = dealt()
    assert first["picture"] is None
    assert "cannot be read" in first["trouble"]
    answered(sent("1", "exclude", first))
    assert current_decisions(ws)["action"].tolist() == ["exclude"]


def test_while_the_workspace_is_busy_nothing_is_acknowledged_and_the_same_can_be_sent_again(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "_PATIENCE", 0.2)
    (first, *_) = dealt()
    with held_by_another(ws.root), pytest.raises(WorkspaceBusyError):
        answered(sent("1", "keep", first))
    assert decision_history(ws).empty
    answered(sent("1", "keep", first))
    answered(sent("1", "keep", first))
    assert decision_history(ws)["action"].tolist() == ["keep"]


def test_answers_given_while_the_set_was_judged_anew_are_taken(ws: Workspace) -> None:
    cards = dealt()
    table = get_verdicts(ws)
    put_verdicts(ws, table["run_id"][0], table[table["sample_id"] != cards[0]["id"]])
    desks.place_of("ada").desk.items.kept.clear()
    with pytest.raises(UsageError, match="judged anew"):
        desks.place_of("ada").desk.items.read([cards[0]["id"]])
    assert [one["refused"] for one in answered(sent("1", "keep", cards[0]), sent("2", "keep", cards[1]))["taken"]] == [
        ""
    ] * 2
    assert cards[0]["id"] not in [card["id"] for card in dealt()]


def test_a_deck_of_another_triage_goes_on_and_keeps_what_was_shown_apart(ws: Workspace) -> None:
    (first, second, *_) = dealt()
    table = get_verdicts(ws)
    put_verdicts(ws, table["run_id"][0], table[table["sample_id"] != first["id"]])
    desks.place_of("ada").desk.items.kept.clear()
    assert dealt(first["id"])[0]["id"] == second["id"]
    answered(
        sent("1", "keep", second, run_id="an earlier triage"), sent("2", "keep", dealt()[1], run_id=second["run_id"])
    )
    shown = [json.loads(one) for one in decision_history(ws)["shown"]]
    assert shown[0] == {"run_id": "an earlier triage"}
    assert shown[1]["run_id"] == second["run_id"]


def test_a_tab_of_another_workspace_is_told_so_and_records_nothing(ws: Workspace) -> None:
    (first, *_) = dealt(workspace=str(ws.root))
    with pytest.raises(FercleanError, match="another workspace"):
        answered(sent("1", "keep", first), workspace="/elsewhere")
    assert decision_history(ws).empty


def test_halves_of_characters_in_a_note_stop_nothing(ws: Workspace) -> None:
    (first, *_) = dealt()
    answered(sent("1", "keep", first, note="odd \ud800 note"))
    assert decision_history(ws)["note"].tolist() == ["odd ? note"]


def test_a_random_check_says_so_and_keeps_its_chance(ws: Workspace) -> None:
    table = get_verdicts(ws)
    first = table["rank"] == 1
    put_verdicts(ws, table["run_id"][0], table.assign(drawn_at_random=first, inclusion_probability=first.where(first)))
    desks.place_of("ada", anew=True)
    (card, *_) = dealt()
    assert "drawn at random, to measure how many errors are left" in card["evidence"]
    answered(sent("1", "keep", card))
    assert decision_history(ws)["inclusion_probability"].tolist() == [1.0]


def test_the_audit_sample_is_worked_through_blind_and_in_its_order(ws: Workspace) -> None:
    audit(ws, n=20)
    items = get_audit(ws)
    order = items.loc[items["position"].notna(), "sample_id"].tolist()
    desks.place_of("ada", anew=True)
    cards = dealt(queue="audit")
    assert [card["id"] for card in cards] == order
    assert all("Blind mode" in card["evidence"] for card in cards)
    said = answered(sent("1", "keep", cards[0]), sent("2", "ambiguous", cards[1]), queue="audit")
    history = decision_history(ws)
    assert history["shown"].isna().all()
    assert history["inclusion_probability"].notna().all()
    assert "<b>2</b> of 20 of the audit decided" in said["progress"]
    assert "Blind mode" not in dealt(queue="audit", blind="0")[0]["evidence"]


def test_enter_records_what_its_button_says_and_that_follows_the_verdict(ws: Workspace) -> None:
    table = get_verdicts(ws)
    kinds = {1: "unusable", 2: "mislabelled", 3: "ambiguous", 4: "clean", 5: "duplicate", 6: "mislabelled"}
    kind = table["rank"].map(kinds).fillna(table["kind"])
    suggested = table["suggested_label"].where(table["rank"] != 6, None)
    put_verdicts(ws, table["run_id"][0], table.assign(kind=kind, suggested_label=suggested))
    desks.place_of("ada", anew=True)
    cards = dealt(verdict=",".join(kinds.values()))
    assert "suggested label</small><strong>fear</strong>" in cards[0]["labels"], "the unusable face has a suggestion"
    says = ["Exclude (unusable)", "Accept disgust", "Ambiguous", "Keep (clean)", "Exclude (duplicate)", "No proposal"]
    assert [card["offered"] for card in cards[:6]] == says
    offers = [card["offer"] for card in cards[:5]]
    assert [offer["action"] for offer in offers] == ["exclude", "relabel", "ambiguous", "keep", "exclude"]
    assert offers[1]["label"] == "disgust"
    assert cards[5]["offer"] is None


def test_an_answer_older_than_another_tabs_is_told_with_what_stands(ws: Workspace) -> None:
    (card, *_) = dealt()
    answered(sent("1", "keep", card))
    (told,) = answered(sent("2", "exclude", card))["taken"]
    assert told["newer"]["said"] == "keep"
    assert told["newer"]["who"].startswith("your answer in another tab at ")
    answered(sent("3", "exclude", card | {"seen": told["newer"]["decision_id"]}))
    assert current_decisions(ws)["action"].tolist() == ["exclude"]
    decide(ws, card["id"], "keep", reviewer="bob")
    decide(ws, card["id"], "ambiguous", reviewer="eve", adjudicate=True)
    (told,) = answered(sent("4", "keep", card | {"seen": 0}))["taken"]
    assert told["newer"]["who"].startswith("settled by eve at ")


def test_what_is_no_answer_is_refused_alone(ws: Workspace) -> None:
    (first, *_) = dealt()
    told = answered({"action": "keep"}, sent("1", "keep", first), sent("2", "keep", seconds="long"))["taken"]
    assert [one["answer_id"] for one in told if "no answer" in one["refused"]] == ["None", "2"]
    assert decision_history(ws)["action"].tolist() == ["keep"]


def test_what_a_person_sees_in_an_ambiguous_face_is_recorded_and_shown_again(ws: Workspace) -> None:
    cards = dealt()
    mixed = {"fear": 0.6, "surprise": 0.4}
    told = answered(
        sent("1", "ambiguous", cards[0], shares=mixed),
        sent("2", "ambiguous", cards[1], shares={"fear": 0.6, "no class \ud800": 0.4}),
        sent("3", "ambiguous", cards[2], shares=[0.6, 0.4]),
        sent("4", "ambiguous", cards[3]),
    )["taken"]
    assert {one["answer_id"]: bool(one["refused"]) for one in told} == {"1": False, "2": True, "3": True, "4": False}
    back = deck.step({}, sample_id=cards[1]["id"], by=-1)["faces"][0]
    assert back["stands"] == {"action": "ambiguous", "label": None, "shares": mixed}


def test_double_blind_tells_neither_the_given_label_nor_anything_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # folders are classes, so a file's name says the label
    ws = make_workspace(tmp_path, names=[f"of_surprise/{number}" for number in range(28)])
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(ws.root))
    address = {"blind": "2", "reviewer": "ada", "given": "surprise"}
    cards = dealt(count=40, **address)
    assert {card["id"] for card in cards} == set(select(open_desk(ws), Filters())), "a filter by label would tell it"
    open_cards = {card["id"]: card for card in dealt(reviewer="ada")}
    for card in cards:
        told = {name: value for name, value in card.items() if name not in ("picture", "beside")}
        for word in ("of_surprise", *(name for name in SEVEN), "mislabelled", "rank", "%"):
            assert word not in json.dumps(told), word
        assert card["beside"].count("<figure>") <= len(SEVEN)
        assert card.keys() - {"unlabelled"} == open_cards[card["id"]].keys(), "the deck draws both"
    given = {one.sample_id: one.given_label for one in get_samples(ws).itertuples()}
    first, second, third, fourth = cards[:4]
    said = answered(
        {**sent("1", "relabel", first, label=given[first["id"]]), "model_hidden": False},
        sent("2", "keep", second), sent("3", "ambiguous", third), sent("4", "skip", fourth), **address,
    )  # fmt: skip
    assert "of_surprise" not in json.dumps(said)
    assert "there is none to keep" in said["taken"][-1]["refused"]
    history = decision_history(ws)
    assert history["action"].tolist() == ["keep", "ambiguous", "skip"], "the same class as given keeps it"
    assert history["shown"].isna().all()
    (back,) = [
        card for card in deck.deal({**address, "sample": first["id"]}, after=None, count=1, examples=False)["faces"]
    ]
    assert back["stands"] == {"action": "relabel", "label": given[first["id"]], "shares": None}


def test_in_double_blind_mode_an_answer_that_is_older_hears_that_there_is_another_and_not_which(ws: Workspace) -> None:
    (first, *_) = dealt(blind="2")
    decide(ws, first["id"], "exclude", reviewer="ada")
    said = answered(sent("1", "relabel", first, label="fear"), blind="2")["taken"][0]
    assert said["newer"]["said"] == "the earlier answer"
    assert "exclude" not in json.dumps(said)
