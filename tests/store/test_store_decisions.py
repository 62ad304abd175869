"""Decisions: append-only, durable, undone exactly, and both kept when two people disagree."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferclean.errors import UsageError
from ferclean.store import runs
from ferclean.store.audits import put_audit
from ferclean.store.decisions import (
    Decision,
    NewerDecisionError,
    append_decisions,
    current_decisions,
    decision_history,
    undo,
)
from ferclean.store.standing import open_conflicts, random_decisions, words
from ferclean.store.table import queue
from ferclean.store.workspace import Workspace
from tests.bare_workspace import CLASSES, bare, triaged


def about(sample_id: str, action: str = "keep", **changes: Any) -> Decision:
    return Decision(sample_id=sample_id, action=action, **{"reviewer": "ann"} | changes)


def standing(ws: Workspace) -> dict[str, tuple[str, str | None, str, bool]]:
    """Sample -> action, label, reviewer, conflict."""
    columns = ["sample_id", "action", "label", "reviewer", "conflict"]
    return {row[0]: tuple(row[1:]) for row in current_decisions(ws)[columns].itertuples(index=False)}


def test_a_decision_comes_back_with_all_that_was_said(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    shown = {"suggested_label": "anger", "pred_probs": [0.1, 0.2, 0.7]}
    given_ = about(
        ids[0], "relabel", label="anger", note="jaw; =1+1", seconds=2.5, shown=shown, source="review",
        inclusion_probability=0.1, bulk_id="b",
    )  # fmt: skip
    assert append_decisions(ws, [given_]) == [1]
    row = decision_history(Workspace.open(ws.root)).iloc[0]
    assert (row["action"], row["label"], row["note"], row["seconds"]) == ("relabel", "anger", "jaw; =1+1", 2.5)
    assert row["shown"] == '{"pred_probs": [0.1, 0.2, 0.7], "suggested_label": "anger"}'
    assert (row["source"], row["inclusion_probability"], row["bulk_id"]) == ("review", 0.1, "b")
    assert not row["undone"]
    age = datetime.now(UTC).replace(tzinfo=None) - row["decided_at"]
    assert timedelta(0) <= age < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"sample_id": "nobody"}, "there is no such sample"),
        ({"action": "delete"}, "unknown action 'delete'; known: keep, relabel"),
        ({"action": "undo"}, "unknown action 'undo'"),
        ({"action": "relabel"}, "relabel needs a label; known: surprise, fear, anger"),
        ({"action": "relabel", "label": "joy"}, "unknown label 'joy'"),
        ({"action": "exclude", "label": "anger"}, "exclude takes no label"),
        ({"action": "keep", "label": "anger"}, "use relabel"),
        ({"reviewer": " "}, "a reviewer's name"),
        ({"source": "dream"}, "unknown source 'dream'"),
        ({"seconds": float("nan")}, "seconds"),
        ({"inclusion_probability": 0.0}, r"\(0, 1\]"),
    ],
)
def test_one_wrong_decision_stops_them_all(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    ws, ids = bare(tmp_path)
    wrong = Decision(**{"sample_id": ids[0], "action": "keep", "reviewer": "ann"} | changes)
    with pytest.raises(UsageError, match=problem):
        append_decisions(ws, [about(ids[1]), wrong])
    assert decision_history(ws).empty


def test_keep_may_repeat_the_given_label(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [about(ids[1], "keep", label="fear")])
    assert standing(ws) == {ids[1]: ("keep", None, "ann", False)}


def test_a_reviewers_last_word_counts_and_a_skip_is_no_word(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [about(ids[0], "relabel", label="anger"), about(ids[1], "skip")])
    append_decisions(ws, [about(ids[0], "ambiguous"), about(ids[0], "skip")])
    assert standing(ws) == {ids[0]: ("ambiguous", None, "ann", False)}
    assert len(decision_history(ws)) == 4


def test_two_reviewers_who_disagree_are_both_kept_and_flagged(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [about(ids[0], "relabel", label="anger"), about(ids[1], "keep")])
    append_decisions(ws, [about(ids[0], "relabel", label="surprise", reviewer="bob"), about(ids[1], reviewer="bob")])
    assert standing(ws) == {
        ids[0]: ("relabel", "surprise", "bob", True),
        ids[1]: ("keep", None, "bob", False),
    }
    assert list(current_decisions(ws)["n_reviewers"]) == [2, 2]
    assert list(decision_history(ws)["label"]) == ["anger", None, "surprise", None]


def test_an_adjudication_settles_a_conflict_until_somebody_objects_again(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [about(ids[0], "keep"), about(ids[0], "exclude", reviewer="bob")])
    settled = about(ids[0], "ambiguous", reviewer="eve", source="adjudication")
    (identity,) = append_decisions(ws, [settled])
    assert standing(ws) == {ids[0]: ("ambiguous", None, "eve", False)}
    assert list(current_decisions(ws)["n_reviewers"]) == [3]
    append_decisions(ws, [about(ids[0], "ambiguous")])
    assert standing(ws)[ids[0]] == ("ambiguous", None, "ann", False), "to agree with it is no objection"
    append_decisions(ws, [about(ids[0], "keep")])
    assert standing(ws)[ids[0]] == ("keep", None, "ann", True)
    undo(ws, decision_id=identity)
    assert standing(ws)[ids[0]] == ("keep", None, "ann", True)
    assert list(current_decisions(ws)["n_reviewers"]) == [2]


def test_undoing_an_adjudication_opens_the_disagreement_again(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [about(ids[0], "keep"), about(ids[0], "exclude", reviewer="bob")])
    assert open_conflicts(ws)["reviewer"].tolist() == ["ann", "bob"]
    (identity,) = append_decisions(ws, [about(ids[0], "ambiguous", reviewer="eve", source="adjudication")])
    assert open_conflicts(ws).empty
    undo(ws, decision_id=identity)
    assert standing(ws) == {ids[0]: ("exclude", None, "bob", True)}
    assert open_conflicts(ws)["action"].tolist() == ["keep", "exclude"]


def test_where_nobody_disagrees_there_is_nothing_to_adjudicate(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [about(ids[0], "keep"), about(ids[0], "relabel", label="surprise", reviewer="bob")])
    assert standing(ws)[ids[0]] == ("relabel", "surprise", "bob", False), "surprise is the given label"
    for sample_id in ids[:2]:
        with pytest.raises(UsageError, match="nothing to settle"):
            append_decisions(ws, [about(sample_id, "exclude", reviewer="eve", source="adjudication")])
    assert len(decision_history(ws)) == 2


def test_an_answer_to_an_older_screen_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    (first,) = append_decisions(ws, [about(ids[0], "keep", seen=0)])
    with pytest.raises(NewerDecisionError, match="'keep' by ann") as caught:
        append_decisions(ws, [about(ids[1], seen=0), about(ids[0], "exclude", seen=0)])
    assert {one: word.action for one, word in caught.value.newer.items()} == {ids[0]: "keep"}
    append_decisions(ws, [about(ids[0], "skip", seen=0), about(ids[0], "exclude", reviewer="bob", seen=0)])
    (_, settled) = append_decisions(
        ws,
        [about(ids[0], "ambiguous", seen=first), about(ids[0], "exclude", reviewer="eve", source="adjudication")],
    )
    with pytest.raises(NewerDecisionError, match="'exclude' by eve"):
        append_decisions(ws, [about(ids[0], "keep", seen=first)])
    undo(ws, decision_id=settled)
    append_decisions(ws, [about(ids[0], "keep", seen=settled)])
    assert standing(ws)[ids[0]] == ("keep", None, "ann", True)


def test_nobody_is_asked_again_about_what_was_adjudicated(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    triaged(ws, ids)
    append_decisions(ws, [about(ids[0], "keep"), about(ids[0], "exclude", reviewer="bob")])
    append_decisions(ws, [about(ids[0], "ambiguous", reviewer="eve", source="adjudication")])
    assert list(queue(ws, reviewer="ann")["sample_id"]) == ids[1:]
    assert {one: word.reviewer for one, word in words(ws, "ann").items()} == {ids[0]: "eve"}


def test_undo_takes_back_the_last_word_of_a_reviewer_after_a_restart_too(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [about(ids[0], "relabel", label="anger")])
    append_decisions(ws, [about(ids[0], "exclude")])
    append_decisions(ws, [about(ids[1], "exclude", reviewer="bob")])
    again = Workspace.open(ws.root)
    assert undo(again, reviewer="ann") == [4]
    assert standing(again) == {ids[0]: ("relabel", "anger", "ann", False), ids[1]: ("exclude", None, "bob", False)}
    assert undo(again) == [5]
    assert undo(again) == [6]
    assert undo(again) == []
    assert standing(again) == {}
    history = decision_history(again)
    assert list(history["action"]) == ["relabel", "exclude", "exclude", "undo", "undo", "undo"]
    assert list(history["undo_of"])[3:] == [2, 3, 1]
    assert list(history["undone"]) == [True] * 3 + [False] * 3


def test_undo_of_one_decision_by_its_id_happens_once(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    first, _ = append_decisions(ws, [about(ids[0]), about(ids[1])])
    assert undo(ws, decision_id=first, reviewer="eve") == [3]
    assert list(standing(ws)) == [ids[1]]
    assert decision_history(ws)["reviewer"][2] == "eve"
    assert undo(ws, decision_id=first) == []
    for unknown in (99, 3):
        with pytest.raises(UsageError, match=f"no decision {unknown} to undo"):
            undo(ws, decision_id=unknown)
    with pytest.raises(UsageError, match="no bulk 'x' to undo"):
        undo(ws, bulk_id="x")
    with pytest.raises(UsageError, match="one of decision_id"):
        undo(ws, decision_id=first, bulk_id="x")


def test_undo_since_a_moment_takes_back_everything_after_it(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [about(ids[0])])
    moment = datetime.now(UTC)
    append_decisions(ws, [about(ids[1]), about(ids[2], reviewer="bob")])
    assert len(undo(ws, since=moment, reviewer="bob")) == 1
    assert list(standing(ws)) == [ids[0], ids[1]]
    assert len(undo(ws, since=moment)) == 1
    assert list(standing(ws)) == [ids[0]]


def test_undo_of_a_bulk_of_10000_restores_exactly_what_was_before_and_takes_little_time(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path, 10_000)
    append_decisions(ws, [about(sample_id, "relabel", label="anger", reviewer="bob") for sample_id in ids[:3000:3]])
    append_decisions(ws, [about(sample_id, "ambiguous") for sample_id in ids[:3000:7]])
    before = current_decisions(ws)
    begun = time.monotonic()
    appended = append_decisions(ws, [about(sample_id, "exclude", bulk_id="big") for sample_id in ids])
    took = time.monotonic() - begun
    assert len(appended) == 10_000
    assert took < 5  # about 0.2 s on an idle machine
    assert (current_decisions(ws)["action"] == "exclude").all()
    assert len(undo(ws, bulk_id="big")) == 10_000
    pd.testing.assert_frame_equal(current_decisions(ws), before)
    assert undo(ws, bulk_id="big") == []


def test_undo_without_an_id_takes_back_the_whole_last_bulk(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [about(ids[0])])
    append_decisions(ws, [about(sample_id, "exclude", bulk_id="b") for sample_id in ids])
    assert len(undo(ws, reviewer="ann")) == 6
    assert standing(ws) == {ids[0]: ("keep", None, "ann", False)}


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["decide", "decide", "undo"]),
        st.sampled_from(["ann", "bob"]),
        st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True),
        st.sampled_from([("keep", None), ("exclude", None), ("relabel", "anger"), ("relabel", "fear"), ("skip", None)]),
    ),
    min_size=2,
    max_size=7,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, list[str], list[int]]:
    ws, ids = bare(tmp_path_factory.mktemp("shared"), 3 * 40)
    return ws, ids, [0]


@settings(max_examples=8, database=None)
@given(acts=ACTS)
def test_what_stands_is_what_a_plain_replay_of_the_acts_gives(
    shared: tuple[Workspace, list[str], list[int]], acts: list[tuple[str, str, list[int], tuple[str, str | None]]]
) -> None:
    ws, ids, used = shared
    example = used[0]
    used[0] += 1
    mine = ids[3 * (example % 40) : 3 * (example % 40) + 3]
    undo(ws, since=datetime(2000, 1, 1))  # shrinking may come back to the same samples

    stacks: dict[str, list[tuple[list[str], str, str | None, int]]] = {"ann": [], "bob": []}
    for turn, (act, reviewer, places, (action, label)) in enumerate(acts):
        name = f"{example}-{turn}"
        who = f"{reviewer}{example}"
        if act == "undo":
            undo(ws, reviewer=who)
            del stacks[reviewer][-1:]
            continue
        chosen = [mine[place] for place in places]
        append_decisions(
            ws, [about(one, action, label=label, reviewer=who, bulk_id=name) for one in chosen]
        )  # fmt: skip
        stacks[reviewer].append((chosen, action, label, turn))

    expected = {}
    for one in mine:
        words = {}
        for reviewer, stack in stacks.items():
            said = [
                (turn, action, label) for chosen, action, label, turn in stack if one in chosen and action != "skip"
            ]
            if said:
                words[f"{reviewer}{example}"] = max(said)
        if words:
            who = max(words, key=lambda name: words[name][0])
            # to relabel with the given label says the same as to keep it
            same = ("relabel", CLASSES[ids.index(one) % 3])
            conflict = len({("keep", None) if word[1:] == same else word[1:] for word in words.values()}) > 1
            expected[one] = (words[who][1], words[who][2], who, conflict)
    assert standing(ws) == expected


def test_a_decision_about_a_sample_drawn_at_random_keeps_the_chance_of_the_draw(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    drawn = [True, True, *[False] * 4]
    triaged(ws, ids, drawn_at_random=drawn, inclusion_probability=[0.2 if one else None for one in drawn])
    append_decisions(
        ws,
        [
            Decision(sample_id=ids[0], action="keep", reviewer="ann"),
            Decision(sample_id=ids[1], action="keep", reviewer="ann", inclusion_probability=0.5),
            Decision(sample_id=ids[2], action="keep", reviewer="ann"),
        ],
    )
    triaged(ws, ids, seed=1)
    append_decisions(ws, [Decision(sample_id=ids[0], action="exclude", reviewer="bob")])
    chance = decision_history(ws)["inclusion_probability"].tolist()
    assert chance[:2] == [0.2, 0.5]
    assert [value != value for value in chance[2:]] == [True, True]


def test_a_random_decision_belongs_to_the_draw_whose_chance_it_keeps_until_it_is_undone(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    audits = []
    for number, drawn in enumerate(([0, 1, 2], [2, 3])):
        run = runs.start_run(ws, kind="audit", method="stratified", config={"n": number}, seed=0, fingerprint="f")
        position = [drawn.index(i) + 1 if i in drawn else None for i in range(6)]
        chances = [0.5 if number else 0.3] * 6
        table = {"sample_id": ids, "stratum": 0, "inclusion_probability": chances, "position": position}
        put_audit(ws, run, pd.DataFrame(table))
        runs.finish_run(ws, run)
        audits.append(run)
        if not number:
            append_decisions(ws, [about(ids[0])])
    # drawn by the first audit, too, but nobody answered it there
    queued = [False, True, *[False] * 4]
    triage = triaged(ws, ids, drawn_at_random=queued, inclusion_probability=[0.2 if one else None for one in queued])
    append_decisions(
        ws, [about(ids[1]), about(ids[2]), about(ids[3], "exclude"), about(ids[4]),
             about(ids[5], inclusion_probability=0.07)]
    )  # fmt: skip
    found = random_decisions(ws)
    assert {ids.index(i): (one.chance, one.draw) for i, one in found.items()} == {
        0: (0.3, audits[0]), 1: (0.2, triage), 2: (0.5, audits[1]), 3: (0.5, audits[1]), 5: (0.07, "elsewhere"),
    }  # fmt: skip
    assert {ids.index(i) for i in random_decisions(ws, until=3)} == {0, 1, 2}
    undo(ws, decision_id=1)
    assert ids[0] not in random_decisions(ws)
