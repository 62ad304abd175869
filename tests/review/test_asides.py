"""What stands beside a face when it is asked for: its history, told to whoever has answered it, and inert."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.review import asides, desks
from ferclean.errors import UsageError
from ferclean.review.desk import open_desk
from ferclean.steps.review import decide, undo
from ferclean.steps.settle import settle
from ferclean.store.guidelines import write_guideline
from ferclean.store.history import history
from ferclean.store.workspace import Workspace
from tests.workspaces import copied

HOSTILE = '<img src=x onerror="alert(1)"> **b** :smile:'


@pytest.fixture
def ws(reviewable: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    made = copied(reviewable, tmp_path)
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(made.root))
    desks._open.clear()
    return made


def told(face: str, reviewer: str, **address: str) -> str:
    return str(asides.history_of({"reviewer": reviewer, **address}, sample_id=face)["html"])


def test_a_history_tells_all_that_was_said_undone_and_settled_too(ws: Workspace) -> None:
    bob = open_desk(ws, reviewer=HOSTILE)
    face = next(iter(bob.items))
    decide(bob, face, "exclude", seconds=3.4)
    undo(bob)
    decide(bob, face, "relabel", label="fear", note=HOSTILE)
    decide(bob, face, "skip")
    decide(open_desk(ws, reviewer="ann"), face, "keep")
    story = history(ws, face)
    assert [entry.action for entry in story.entries] == ["exclude", "undo", "relabel", "skip", "keep"]
    assert [entry.stands for entry in story.entries] == [False, False, True, False, True]
    assert (story.entries[0].undone_by, story.entries[1].undoes) == (HOSTILE, story.entries[0].decision_id)
    assert story.entries[2].verdict == "mislabelled"
    settle(open_desk(ws, reviewer="eve"), face, "keep", seen=story.entries[-1].decision_id)
    page = told(face, "ann")
    assert page.count("<tr") == 6
    for words in (
        "took back exclude",
        "taken back by",
        "settles it for everybody",
        "3 s",
        "the model then: mislabelled",
    ):
        assert words in page
    assert HOSTILE not in page
    assert "&lt;img src=x" in page


def test_whoever_has_not_answered_is_told_nobody_elses_words_and_blind_nothing_of_the_model(ws: Workspace) -> None:
    ann = open_desk(ws, reviewer="ann")
    face = next(iter(ann.items))
    decide(ann, face, "relabel", label="fear")
    decide(open_desk(ws, reviewer="bob"), face, "skip")
    page = told(face, "bob")
    assert "once you have answered it" in page
    assert "<b>fear</b>" not in page
    assert "skipped" in page, "one's own words are told"
    assert "the model then" in told(face, "ann")
    blind = told(face, "ann", blind="1")
    assert "<b>fear</b>" in blind
    assert "the model then" not in blind
    double = asides.history_of({"reviewer": "ann", "blind": "2"}, sample_id=face)
    assert "fear" not in str(double)
    with pytest.raises(UsageError, match="no sample"):
        asides.history_of({"reviewer": "ann"}, sample_id="nonsense")


def test_guidelines_are_shown_as_they_were_written_and_double_blind_without_faces(ws: Workspace) -> None:
    assert "Nothing is written yet" in asides.guidelines_of({"reviewer": "ann"})["html"]
    face = next(iter(open_desk(ws, reviewer="ann").items))
    write_guideline(ws, "fear", f"wide eyes\n{HOSTILE}", examples=[(face, HOSTILE)], author=HOSTILE)
    page = asides.guidelines_of({"reviewer": "ann"})["html"]
    assert "wide eyes<br>&lt;img src=x" in page
    assert HOSTILE not in page
    assert '<figure><img src="data:image/' in page
    assert "<figure>" not in asides.guidelines_of({"reviewer": "ann", "blind": "2"})["html"]
