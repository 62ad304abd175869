"""Facts about the grid: what a browser is given of a list, what a bulk does to it, and that a place means one face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apps.review import desks, grid
from ferclean.errors import UsageError
from ferclean.steps.review import OFFER, decide
from ferclean.store.decisions import current_decisions, decision_history, undo
from ferclean.store.verdicts import get_verdicts, put_verdicts
from ferclean.store.workspace import Workspace
from tests.workspaces import copied, make_workspace

HOSTILE = '<img src=x onerror="alert(1)">&"\' **b** :smile: .png'
EVERY = {"verdict": "mislabelled,ambiguous,clean"}
OPEN = {"state": "open"}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("grid"), names=(HOSTILE,))


@pytest.fixture
def ws(original: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    ws = copied(original, tmp_path)
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(ws.root))
    monkeypatch.setenv("FERCLEAN_REVIEWER", "ada")
    return ws


def listed(*, of: str | None = None, sort: str = "worth", start: int = 0, **address: str) -> dict[str, Any]:
    return grid.part(OPEN | address, of=of, sort=sort, start=start, count=60)


def bulk(name: str, of: dict[str, Any], action: str, *ranges: tuple[int, int], **more: Any) -> dict[str, Any]:
    return grid.bulk({}, {"bulk_id": name, "list": of["list"], "ranges": ranges, "action": action, **more})


def test_a_tile_says_labels_verdict_chance_and_proposal_and_names_stay_text(ws: Workspace) -> None:
    found = listed(**EVERY)
    assert found["total"] == len(found["tiles"]) == 28
    first = found["tiles"][0]
    assert (first["name"], first["given"], first["suggested"], first["verdict"]) == (
        HOSTILE, "surprise", "fear", "mislabelled",
    )  # fmt: skip
    assert first["offer"] == {"action": "relabel", "label": "fear"}
    assert first["brief"] == "accept"
    assert first["picture"].startswith("data:image/jpeg;base64,")
    ambiguous = next(tile for tile in found["tiles"] if tile["verdict"] == "ambiguous")
    assert (ambiguous["suggested"], ambiguous["brief"], ambiguous["p"]) == (None, "ambiguous", pytest.approx(0.9))


def test_a_bulk_does_what_each_verdict_proposes_and_one_undo_takes_it_back(ws: Workspace) -> None:
    found = listed(**EVERY)
    plan = bulk("b", found, OFFER, (0, 28), dry=True)
    assert plan == {"told": "28 faces: 10 relabelled · 14 kept · 4 ambiguous", "count": 28, "asks": True}
    assert decision_history(ws).empty, "asking records nothing"
    bulk("b", found, OFFER, (0, 28))
    assert len(current_decisions(ws)) == 28
    assert listed(**EVERY)["total"] == 0
    assert len(undo(ws, reviewer="ada")) == 28


def test_a_bulk_that_is_sent_again_is_recorded_once(ws: Workspace) -> None:
    found = listed(**EVERY)
    bulk("b", found, "exclude", (2, 5))
    assert bulk("b", found, "exclude", (2, 5))["told"] == "3 faces: recorded"
    assert len(decision_history(ws)) == 3


def test_what_was_decided_alone_since_is_left_out_of_a_bulk_and_said(ws: Workspace) -> None:
    found = listed(**EVERY)
    desk = desks.place_of("ada").desk
    decide(desk, found["tiles"][1]["id"], "exclude")
    assert bulk("b", found, "keep", (0, 3))["told"] == "2 faces: 2 kept; 1 decided or skipped already"
    again = listed(of=found["list"])
    assert [tile["action"] for tile in again["tiles"][:4]] == ["keep", "exclude", "keep", None], "places stay"
    assert "groups" not in again


def test_of_a_list_of_all_faces_what_another_tab_decided_meanwhile_is_left_out_unless_it_was_seen(
    ws: Workspace,
) -> None:
    found = listed(**EVERY, state="any")
    one, other = (tile["id"] for tile in found["tiles"][:2])
    desk = desks.place_of("ada").desk
    stands = decide(desk, one, "exclude")
    assert bulk("b", found, "keep", (0, 1), dry=True)["told"] == "0 faces: none; 1 decided or skipped already"
    assert bulk("b", found, "keep", (0, 1), dry=True, seen=[[0, stands.decision_id]])["count"] == 1, (
        "changed on purpose"
    )
    assert (
        bulk("g", found, OFFER, (0, 2), open_only=True)["told"] == "1 faces: 1 relabelled; 1 decided or skipped already"
    )
    assert [row["action"] for row in current_decisions(ws, [one, other]).to_dict("records")] == ["exclude", "relabel"]


def test_a_list_that_is_known_no_longer_is_no_ground_for_a_bulk(ws: Workspace) -> None:
    found = listed(**EVERY)
    desks.place_of("ada", anew=True)
    with pytest.raises(UsageError, match="choose again"):
        bulk("b", found, "exclude", (0, 2))
    assert listed(of=found["list"], **EVERY)["list"] != found["list"]
    odd = (
        {"ranges": "x"},
        {"ranges": [[0, float("inf")]]},
        {"ranges": [], "bulk_id": "\ud800"},
        {"ranges": [], "seen": 3},
    )
    for sent in odd:
        with pytest.raises(UsageError, match="this is no bulk"):
            grid.bulk({}, {"action": "keep", "list": "l", "bulk_id": "b"} | sent)
    with pytest.raises(UsageError, match="relabel needs a label"):
        bulk("b", listed(**EVERY), "relabel", (0, 2), dry=True)
    assert decision_history(ws).empty


def test_those_of_the_random_check_come_last_and_are_left_out(ws: Workspace) -> None:
    table = get_verdicts(ws)
    drawn = table["rank"].isin([1, 20])
    put_verdicts(ws, table["run_id"][0], table.assign(drawn_at_random=drawn, inclusion_probability=drawn.where(drawn)))
    found = listed()
    assert [tile["drawn"] for tile in found["tiles"]] == [False] * 9 + [True] * 2
    assert bulk("b", found, OFFER, (0, 11))["told"] == (
        "9 faces: 9 relabelled; left out: 2 of the random check, which are decided one by one"
    )
    assert len(current_decisions(ws)) == 9


def test_where_the_model_is_hidden_a_tile_tells_nothing_and_nothing_is_proposed(ws: Workspace) -> None:
    found = listed(blind="1", sort="alike")
    assert all(
        tile[name] is None for tile in found["tiles"] for name in ("suggested", "verdict", "p", "offer", "brief")
    )
    with pytest.raises(UsageError, match="blind mode"):
        bulk("b", found, OFFER, (0, 2), dry=True)
    assert grid.orders(blind=True) == [("worth", "shuffled")]
    bulk("b", found, "ambiguous", (0, 2))
    assert decision_history(ws)["shown"].isna().all()


def test_counts_come_with_words_for_every_value(ws: Workspace) -> None:
    found = grid.counted(OPEN)
    assert found["total"] == 10
    assert ("open", "open", 10) in found["of"]["state"]
    assert found["of"]["verdict"] == [
        ("mislabelled", "mislabelled", 10),
        ("ambiguous", "ambiguous", 4),
        ("clean", "clean", 14),
    ]
    assert found["pairs"][0] == ("surprise>fear", "surprise → fear", 2)


def test_double_blind_there_is_no_grid(ws: Workspace) -> None:
    for ask in (listed, lambda **address: grid.counted(address)):
        with pytest.raises(UsageError, match="one by one"):
            ask(blind="2")
