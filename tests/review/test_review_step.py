"""Facts about what the review screen records and takes back, and about how it is served."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferclean.errors import FercleanError, UsageError, WorkspaceBusyError
from ferclean.review.desk import Desk, Filters, open_desk, select, tally
from ferclean.review.serve import launch_command, serve
from ferclean.steps import review
from ferclean.steps.audit import audit
from ferclean.steps.decide import decide as settle
from ferclean.steps.review import OFFER, decide, decide_bulk, decide_many, plan_bulk, undo
from ferclean.store.decisions import NewerDecisionError, current_decisions, decision_history
from ferclean.store.runs import latest_run
from ferclean.store.verdicts import get_verdicts, put_verdicts
from ferclean.store.workspace import Workspace
from tests.bare_workspace import held_by_another
from tests.workspaces import copied


@pytest.fixture
def ws(reviewable: Workspace, tmp_path: Path) -> Workspace:
    return copied(reviewable, tmp_path)


def test_a_decision_is_stored_with_the_time_and_what_the_model_showed(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    first = select(desk, Filters())[0]
    said = decide(desk, first, OFFER, seconds=2.345, note="open mouth")
    assert (said.action, said.label) == ("relabel", "fear")
    row = decision_history(ws).iloc[0]
    assert (row["sample_id"], row["action"], row["label"], row["reviewer"]) == (first, "relabel", "fear", "ada")
    assert (row["seconds"], row["note"], row["source"]) == (2.35, "open mouth", "review")
    shown = json.loads(row["shown"])
    assert shown["suggested_label"] == "fear"
    assert shown["verdict"] == "mislabelled"
    assert shown["run_id"] == latest_run(ws, "triage").run_id  # type: ignore[union-attr]
    assert sum(shown["pred_probs"]) == pytest.approx(1)


def test_a_blind_decision_says_that_nothing_was_shown(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    decide(desk, select(desk, Filters())[0], "ambiguous", model_hidden=True)
    assert decision_history(ws)["shown"].isna().all()


def test_relabelling_with_the_given_label_is_keeping_it(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    first = select(desk, Filters())[0]
    assert decide(desk, first, "relabel", label="surprise").action == "keep"
    assert current_decisions(ws)["action"].tolist() == ["keep"]


def test_where_nothing_is_proposed_or_seen_nothing_is_recorded(ws: Workspace) -> None:
    table = get_verdicts(ws)
    put_verdicts(ws, table["run_id"][0], table.assign(suggested_label=None))
    desk = open_desk(ws, reviewer="ada")
    first, ambiguous = select(desk, Filters())[0], select(desk, Filters(kinds=("ambiguous",)))[0]
    with pytest.raises(UsageError, match="proposes nothing"):
        decide(desk, first, OFFER)
    with pytest.raises(UsageError, match="blind mode"):
        decide(desk, ambiguous, OFFER, model_hidden=True)
    assert decision_history(ws).empty
    assert decide(desk, ambiguous, OFFER).action == "ambiguous"


def test_undo_goes_back_one_decision_at_a_time_also_after_a_restart(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    order = select(desk, Filters())
    decide(desk, order[0], "keep")
    decide(desk, order[0], "relabel", label="anger")
    decide(desk, order[1], "skip")
    again = open_desk(ws, reviewer="ada")
    assert undo(again).sample_ids == (order[1],)
    assert again.skipped == set()
    assert undo(again).sample_ids == (order[0],)
    assert (again.standing[order[0]].action, again.standing[order[0]].label) == ("keep", "surprise")
    assert undo(again).sample_ids == (order[0],)
    assert undo(again).sample_ids == ()
    assert again.standing == {}
    assert len(decision_history(ws)) == 6


def test_a_bulk_is_one_act_for_undo(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    order = select(desk, Filters())
    decide_many(desk, order[:5], "exclude", bulk_id="b1")
    assert len(current_decisions(ws)) == 5
    assert sorted(undo(desk).sample_ids) == sorted(order[:5])
    assert current_decisions(ws).empty


def test_a_bulk_is_all_or_nothing(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    with pytest.raises(UsageError, match="unknown label"):
        decide_many(desk, select(desk, Filters()), "relabel", label="contempt", bulk_id="b1")
    assert decision_history(ws).empty
    assert desk.standing == {}


def test_a_bulk_follows_each_verdict_and_leaves_the_random_check_and_newer_answers_alone(ws: Workspace) -> None:
    table = get_verdicts(ws)
    drawn = table["rank"].isin([1, 2, 28])
    chance = np.where(drawn, 0.2, np.nan)
    put_verdicts(ws, table["run_id"][0], table.assign(drawn_at_random=drawn, inclusion_probability=chance))
    desk, other = open_desk(ws, reviewer="ada"), open_desk(ws, reviewer="ada")
    everything = list(desk.items)
    plan = plan_bulk(desk, everything, action=OFFER)
    assert (len(plan.sample_ids), plan.random_checks, plan.without_offer, plan.asks) == (25, 3, 0, True)
    assert plan.actions == {"relabel": 8, "ambiguous": 4, "keep": 13}
    assert not plan_bulk(desk, everything[3:], action="exclude").asks, "24 are a page of the grid"
    decide(other, everything[5], "exclude")
    done = decide_bulk(desk, everything, action=OFFER, bulk_id="b1")
    assert (len(done.sample_ids), done.random_checks, done.newer) == (24, 3, 1)
    stands = current_decisions(ws).set_index("sample_id")["action"].to_dict()
    assert {stands.get(one) for one in (everything[0], everything[1], everything[27])} == {None}
    assert (stands[everything[3]], stands[everything[2]]) == ("relabel", "ambiguous")
    assert stands[everything[5]] == desk.standing[everything[5]].action == "exclude"
    assert len(undo(desk).sample_ids) == 24


def test_the_audits_faces_are_a_random_check_too(ws: Workspace) -> None:
    audit(ws, n=20)
    desk = open_desk(ws, reviewer="ada")
    assert desk.random_checks == set(desk.audited)
    done = decide_bulk(desk, list(desk.items), action="keep", model_hidden=True, bulk_id="b1")
    assert (len(done.sample_ids), done.random_checks) == (8, 20)


def test_an_answer_from_an_older_tab_is_not_recorded_and_shows_the_desk_what_stands(ws: Workspace) -> None:
    ada, old, bob = open_desk(ws, reviewer="ada"), open_desk(ws, reviewer="ada"), open_desk(ws, reviewer="bob")
    first = select(ada, Filters())[0]
    decide(ada, first, "keep")
    with pytest.raises(NewerDecisionError) as caught:
        decide(old, first, "exclude", seen=0)
    assert caught.value.newer[first].action == old.standing[first].action == "keep"
    assert tally(old, select(old, Filters())).done == 1
    decide(bob, first, "ambiguous")
    settle(ws, first, "exclude", reviewer="eve", adjudicate=True)
    with pytest.raises(NewerDecisionError, match="by eve"):
        decide(bob, first, "ambiguous")
    assert (bob.standing[first].reviewer, bob.standing[first].action) == ("eve", "exclude")
    assert decide(bob, first, "ambiguous").action == "ambiguous", "having seen it, bob may object"
    assert current_decisions(ws)["conflict"].tolist() == [True]


def test_a_bulk_that_others_overtake_again_and_again_tells_what_it_recorded(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = open_desk(ws, reviewer="ada"), open_desk(ws, reviewer="ada")
    chosen = select(ada, Filters())[:5]
    recorded = review.decide_many
    overtaken = iter(chosen[:3])

    def late(desk: Desk, sample_ids: Sequence[str], *rest: Any, **more: Any) -> Any:
        if (one := next(overtaken, None)) is not None:
            decide(bob, one, "exclude")
        return recorded(desk, sample_ids, *rest, **more)

    monkeypatch.setattr(review, "decide_many", late)
    done = decide_bulk(ada, chosen, action="keep", bulk_id="b1")
    assert (set(done.sample_ids), done.newer) == (set(chosen[3:]), 3)
    assert (current_decisions(ws)["action"] == "keep").sum() == 2


def test_a_busy_workspace_is_said_to_be_busy_and_nothing_is_recorded(ws: Workspace) -> None:
    hasty = Workspace.open(ws.root, timeout=0.1)
    desk = open_desk(hasty, reviewer="ada")
    order = select(desk, Filters())
    with held_by_another(ws.root), pytest.raises(WorkspaceBusyError):
        decide(desk, order[0], "keep")
    assert desk.standing == {}
    assert decision_history(ws).empty


def test_another_address_than_this_machine_is_refused(tmp_path: Path) -> None:
    for address in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        with pytest.raises(UsageError, match="no password"):
            launch_command(tmp_path, address=address)


def test_the_server_is_bound_to_this_machine(tmp_path: Path) -> None:
    command = launch_command(tmp_path, port=8600, address="localhost")
    assert command[-6:] == ["--address", "127.0.0.1", "--port", "8600", "--", str(tmp_path.resolve())]
    with pytest.raises(UsageError, match="outside"):
        launch_command(tmp_path, port=70000)


def test_a_taken_port_is_an_error_that_says_what_to_do(reviewable: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(FercleanError, match="--port"):
            serve(reviewable, port=taken.getsockname()[1], open_browser=False)
