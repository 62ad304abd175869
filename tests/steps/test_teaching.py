"""Facts about the teaching round, from triage to the store, the desk, the command line and the screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from apps.review import deck
from ferclean.bundled_files import bundled_path
from ferclean.cli import run
from ferclean.errors import FercleanError
from ferclean.parts.teaching import progress, teaching, told
from ferclean.review.desk import Filters, next_open, open_desk, select, teaching_now
from ferclean.steps.review import decide, undo
from ferclean.steps.status import status
from ferclean.steps.triage import triage, triage_again
from ferclean.store import decisions, runs, table, verdicts
from ferclean.store.decisions import Decision
from ferclean.store.workspace import Workspace

SIZE = 29
"""A fifth of the 147 judged faces of the drawn set."""


def answered(ws: Workspace, sample_ids: list[str], **more: Any) -> list[Decision]:
    """What a person says who believes the suggestion where the verdict is mislabelled."""
    known = table.sample_table(ws).set_index("sample_id")
    return [
        Decision(sample_id=i, action="relabel", label=known.at[i, "suggested_label"], reviewer="ann", **more)
        if known.at[i, "verdict"] == "mislabelled"
        else Decision(sample_id=i, action="keep", reviewer="ann", **more)
        for i in sample_ids
    ]


def first_of(ws: Workspace, count: int) -> list[str]:
    return table.queue(ws, limit=count)["sample_id"].tolist()


def test_the_queue_begins_with_random_faces_until_so_many_are_decided_wherever_that_happens(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    queue = table.queue(ws)
    assert queue["drawn_at_random"][:SIZE].all()
    assert queue["drawn_at_random"][SIZE : SIZE + 5].tolist() == [False] * 4 + [True]
    assert queue["inclusion_probability"].dropna().nunique() == 1
    where = ["-w", str(ws.root), "--quiet", "decide"]
    faces = queue["sample_id"][:SIZE].tolist()
    assert run([*where, faces[0], "keep", "--reviewer", "bob"]) == 0
    decisions.append_decisions(ws, answered(ws, faces[1:12], source="fiftyone"))
    assert teaching(ws).words.startswith(f"teaching round: 12 of {SIZE} random faces decided, ")
    summary = triage(ws)
    assert summary.teaching == {"size": SIZE, "decided": 12, "voted": False}
    assert first_of(ws, SIZE - 12) == faces[12:]
    decisions.append_decisions(ws, answered(ws, faces[12:]))
    triage(ws)
    assert table.queue(ws)["drawn_at_random"][:5].tolist() == [False] * 4 + [True]
    assert teaching(ws).words == f"teaching round: done, {SIZE} random faces decided"


def test_a_face_that_a_filter_brought_up_is_no_part_of_the_round(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    desk = open_desk(ws, reviewer="ada")
    verdict = next(item.verdict for item in desk.items.values() if item.drawn_at_random)
    narrow = Filters(kinds=(verdict,))
    found = next(i for i in select(desk, narrow) if desk.items[i].drawn_at_random)
    decide(desk, found, "keep", by_choice=narrow.narrowed)
    assert decisions.decision_history(ws)["inclusion_probability"].isna().all()
    assert (teaching_now(desk).decided, teaching(ws).decided) == (0, 0)
    other = next_open(desk, select(desk, Filters()))
    assert other is not None
    decide(desk, other, "keep")
    assert (teaching_now(desk).decided, teaching(ws).decided) == (1, 1)
    undo(desk)
    assert (teaching_now(desk).decided, teaching(ws).decided) == (0, 0)


def test_in_blind_mode_the_round_comes_first_too_and_a_filter_mixes_everything(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    desk = open_desk(ws, reviewer="ada")
    assert select(desk, Filters(blind=True))[:SIZE] == first_of(ws, SIZE)
    kinds = tuple({item.verdict for item in desk.items.values()})
    assert select(desk, Filters(blind=True, kinds=kinds))[:SIZE] != first_of(ws, SIZE)


def test_votes_need_no_round_and_none_can_be_asked_for(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    triage(ws, teaching_round=0)
    assert teaching(ws).words == "no teaching round"
    assert triage_again(ws).teaching["size"] == 0, "the options of the last triage hold"
    ids = table.sample_table(ws)["sample_id"].tolist()
    with ws.session("adding votes") as con:
        con.executemany("INSERT INTO vote (sample_id, label, count) VALUES (?, 'fear', 3)", [[i] for i in ids])
    triage(ws)
    assert "the set came with votes" in teaching(ws).words
    assert not table.queue(ws)["drawn_at_random"][0]


def test_ambiguous_faces_are_a_list_of_their_own_the_likeliest_first(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    triage(ws, ambiguous_at=0.1, mislabelled_at=0.6)
    torn = table.queue(ws, kinds=["ambiguous"])
    assert len(torn) > 3
    assert torn["p_ambiguous"].is_monotonic_decreasing
    assert not torn["rank"].is_monotonic_increasing
    desk = open_desk(ws, reviewer="ada")
    assert select(desk, Filters(kinds=("ambiguous",))) == torn["sample_id"].tolist()
    shown = [desk.items[i] for i in select(desk, Filters())]
    assert not [item for item in shown if item.verdict == "ambiguous" and not item.drawn_at_random]


def test_a_round_says_what_it_taught_the_same_everywhere(judged_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ws = Workspace.open(judged_copy)
    assert progress(ws).words == "", "nobody has taught anything"
    decisions.append_decisions(ws, answered(ws, first_of(ws, SIZE), seconds=6.0))
    assert teaching(ws).over
    assert status(ws).next == "triage"
    assert f"{SIZE} decisions since the last triage" in told(ws)[-1]
    assert run(["-w", str(ws.root), "triage"]) == 0
    said = capsys.readouterr().out
    lesson = runs.latest_run(ws, "triage").metrics["lesson"]  # type: ignore[union-attr]
    assert 0 < lesson["accuracy_given"] <= lesson["accuracy_now"] <= 1
    judged = verdicts.get_verdicts(ws).set_index("sample_id")
    waiting = judged.loc[table.queue(ws)["sample_id"], "p_mislabelled"].sum()
    assert lesson["errors_left"] == pytest.approx(waiting, abs=0.01)
    for line in told(ws):
        assert line in " ".join(said.split())
    assert told(ws) == status(ws).told
    shown = status(ws).as_dict()
    assert shown["teaching"]["decided"] == SIZE
    assert json.loads(json.dumps(shown["progress"]))["lesson"] == lesson
    assert shown["progress"]["seconds"] == 6.0
    assert "labels right: about" in told(ws)[1]


def test_triage_again_needs_a_triage(tmp_path: Path) -> None:
    with pytest.raises(FercleanError, match="ferclean triage"):
        triage_again(Workspace.create(tmp_path / "W"))


def test_the_screen_leads_through_the_round_learns_and_says_what_it_learned(
    judged_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = Workspace.open(judged_copy)
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(judged_copy))
    monkeypatch.setenv("FERCLEAN_REVIEWER", "ada")
    faces = first_of(ws, SIZE)
    decisions.append_decisions(ws, answered(ws, faces[:-1]))
    app = AppTest.from_file(str(bundled_path("apps/review/main.py")), default_timeout=60).run()
    dealt = deck.deal({}, after=None, count=3, examples=False)
    assert f"Teaching round: <b>{SIZE - 1}</b> of {SIZE} random faces" in dealt["progress"]
    assert "teaches the labels of the whole set" in dealt["faces"][0]["evidence"]
    others = deck.deal({"verdict": "ambiguous"}, after=None, count=3, examples=False)
    assert "not part of the teaching round" in others["progress"]
    keep(dealt)
    assert decisions.decision_history(ws)["sample_id"].tolist() == faces
    app.run()
    assert "Teaching round done" in page(app)
    press(app, "`Enter` Learn from them")
    assert "Labels right: about" in page(app)
    press(app, "`Enter` Go on")
    dealt = deck.deal({}, after=None, count=3, examples=False)
    assert "errors to find" in dealt["progress"]
    assert "Teaching round" not in dealt["progress"]
    assert not table.queue(ws)["drawn_at_random"][0]
    keep(dealt)
    app.query_params["page"] = "overview"
    app.run()
    assert "1 decisions since the last triage" in page(app)
    press(app, "Learn from the decisions")
    assert progress(ws).newer == 0


def keep(dealt: dict[str, Any]) -> None:
    """Send K about the first face of the deck."""
    face = dealt["faces"][0]["id"]
    deck.answer({}, [{"answer_id": f"keep {face}", "action": "keep", "sample_id": face}])


def page(app: AppTest) -> str:
    assert not app.exception
    return "\n".join(body for element in app.get("html") if not (body := element.proto.body).startswith("<style>"))


def press(app: AppTest, label: str) -> None:
    next(found for found in app.button if found.label == label).click().run()
    assert not app.exception
