"""Two reviewers who disagree, and a third who settles it on the command line: list, settle, object, undo, release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_workspace import Small, small

from ferclean.cli import run
from ferclean.errors import BadDataError, UsageError
from ferclean.steps.decide import decide, decide_from_file, disagreements
from ferclean.steps.status import status
from ferclean.store.decisions import current_decisions, decision_history, undo


@pytest.fixture
def work(tmp_path: Path) -> Small:
    """Ann and bob disagree about train_00001 and agree about train_00003."""
    made = small(tmp_path)
    for reviewer, key, action, label in (
        ("ann", "train_00001", "keep", None),
        ("bob", "train_00001", "relabel", "fear"),
        ("ann", "train_00003", "relabel", "neutral"),
        ("bob", "train_00003", "relabel", "neutral"),
    ):
        decide(made.ws, key, action, label=label, reviewer=reviewer)
    return made


def shell(work: Small, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(["-w", str(work.ws.root), *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_third_person_settles_a_disagreement_and_the_release_is_made(
    work: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, following = shell(work, capsys, "status")
    assert "reviewers disagree about 1 sample(s): `ferclean decide --adjudicate` lists and settles" in said
    assert "decide --adjudicate" in following
    code, _, error = shell(work, capsys, "release", "v1")
    assert code == 1
    assert "decide --adjudicate" in error
    _, said, _ = shell(work, capsys, "decide", "--adjudicate")
    assert [line.split()[0] for line in said.splitlines()[2:]] == ["train_00001"] * 2
    assert "relabel: fear" in said
    code, said, following = shell(
        work, capsys, "decide", "--adjudicate", "train_00001", "--label", "disgust", "--reviewer", "eve"
    )
    assert (code, said) == (0, "1 decision(s) recorded, 0 there already\n")
    assert "release NAME" in following
    assert shell(work, capsys, "release", "v1")[0] == 0
    last = decision_history(work.ws).iloc[-1]
    assert (last["action"], last["label"], last["reviewer"], last["source"]) == (
        "relabel", "disgust", "eve", "adjudication",
    )  # fmt: skip


def test_the_list_as_json_says_who_says_what(work: Small, capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = shell(work, capsys, "decide", "--adjudicate", "--json")
    found: list[dict[str, Any]] = json.loads(text)["disagreements"]
    assert [one["source_key"] for one in found] == ["train_00001"]
    assert [(said["reviewer"], said["action"], said["label"]) for said in found[0]["said"]] == [
        ("ann", "keep", None),
        ("bob", "relabel", "fear"),
    ]


def test_one_of_the_two_may_settle_it_with_their_own_words(work: Small) -> None:
    assert decide(work.ws, "train_00001", "keep", reviewer="ann", adjudicate=True).recorded == 1
    assert disagreements(work.ws) == []
    undo(work.ws, reviewer="ann")
    assert status(work.ws).conflicts == 1


def test_a_file_settles_many_and_may_be_read_twice(work: Small) -> None:
    path = work.source.parent / "settled.csv"
    path.write_text("source_key,action,label,reviewer\ntrain_00001,relabel,fear,eve\n", encoding="utf-8")
    assert decide_from_file(work.ws, path, adjudicate=True).recorded == 1
    assert decide_from_file(work.ws, path, adjudicate=True).already == 1
    assert decide(work.ws, "train_00001", "exclude", reviewer="ann").disagreements == 1
    assert decide_from_file(work.ws, path, adjudicate=True).recorded == 1, "open again, settled again"
    assert not current_decisions(work.ws)["conflict"].any()


def test_what_settles_nothing_is_refused(work: Small) -> None:
    with pytest.raises(UsageError, match="nothing to settle"):
        decide(work.ws, "train_00003", "exclude", reviewer="eve", adjudicate=True)
    with pytest.raises(UsageError, match="nothing to settle"):
        decide(work.ws, "train_00003", "exclude", reviewer="eve", adjudicate=True, dry_run=True)
    with pytest.raises(UsageError, match=r"unknown action 'fear'.*a label goes with relabel \(--label fear\)"):
        decide(work.ws, "train_00001", "fear", reviewer="eve", adjudicate=True)
    with pytest.raises(UsageError, match="skip settles nothing"):
        decide(work.ws, "train_00001", "skip", reviewer="eve", adjudicate=True)
    with pytest.raises(UsageError, match="what about train_00001"):
        decide(work.ws, "train_00001", reviewer="eve", adjudicate=True)
    path = work.source.parent / "skip.csv"
    path.write_text("source_key,action,reviewer\ntrain_00001,skip,eve\n", encoding="utf-8")
    with pytest.raises(BadDataError, match="skip settles nothing"):
        decide_from_file(work.ws, path, adjudicate=True)
    assert len(decision_history(work.ws)) == 4
