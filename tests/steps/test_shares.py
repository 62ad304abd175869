"""Facts about what people see in an ambiguous face: how much of which expression, from a decision to a release."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from small_workspace import CLASSES, Small, small

from ferclean.cli import run
from ferclean.errors import UsageError
from ferclean.parts.shares import shares_from
from ferclean.review.desk import open_desk
from ferclean.steps.answers import Answer, take
from ferclean.steps.decide import decide, decide_from_file
from ferclean.steps.release import release
from ferclean.store.decisions import Decision, append_decisions, current_decisions, decision_history
from ferclean.store.releases import get_release_items
from ferclean.store.workspace import Workspace
from tests.workspaces import copied

MIXED = "surprise=0.4,happiness=0.6"


@pytest.fixture
def work(tmp_path: Path) -> Small:
    return small(tmp_path)


def vector(**shares: float) -> list[float]:
    return [shares.get(name, 0.0) for name in CLASSES]


def soft(work: Small, name: str) -> pd.Series:
    items = get_release_items(work.ws, name)
    return items.set_index("sample_id")["soft_label"]


@pytest.mark.parametrize(
    ("action", "shares", "problem"),
    [
        ("keep", {"fear": 0.5, "anger": 0.5}, "shares say what an ambiguous face shows; keep takes none"),
        ("ambiguous", {"joy": 0.5, "fear": 0.5}, "shares of an unknown label 'joy'"),
        ("ambiguous", {"fear": 1.0}, "a single one is a relabel"),
        ("ambiguous", {"fear": 1.5, "anger": -0.5}, r"each share lies in \(0, 1\]"),
        ("ambiguous", {"fear": float("nan"), "anger": 0.5}, r"each share lies in \(0, 1\]"),
        ("ambiguous", {"fear": 0.5, "anger": 0.4}, "shares sum to 1, got 0.9"),
    ],
)
def test_shares_that_are_none_are_refused_in_a_line(
    work: Small, action: str, shares: dict[str, float], problem: str
) -> None:
    wrong = Decision(sample_id=work.ids["train_00001"], action=action, reviewer="ann", shares=shares)
    with pytest.raises(UsageError, match=problem):
        append_decisions(work.ws, [wrong])
    assert decision_history(work.ws).empty


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("happiness", "is not NAME=SHARE"),
        ("happiness=0.6 surprise=0.4", "unknown label .happiness=0.6 surprise"),
        ("happiness=0.6,surprise=", "is not NAME=SHARE"),
        ("happiness=0.6,surprise=1-2", "is not NAME=SHARE"),
        ("happiness=0.6,hapy=0.4", "unknown label 'hapy'"),
        ("happiness=0.6,happy=0.4", "has two shares"),
    ],
)
def test_shares_are_read_as_they_are_meant_or_not_at_all(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        shares_from(text, CLASSES)


def test_a_class_may_hold_what_parts_the_shares() -> None:
    assert shares_from("a=b=0.5,c, d=0.5", ("a=b", "c, d")) == {"a=b": 0.5, "c, d": 0.5}


def test_shares_of_the_command_line_stand_and_to_say_them_again_is_no_second_decision(work: Small) -> None:
    where = ["-w", str(work.ws.root), "decide", "train_00001"]
    assert run([*where, "--shares", MIXED, "--reviewer", "ann"]) == 0
    assert run([*where, "ambiguous", "--shares", "happy=0.6,surprise=0.4", "--reviewer", "ann"]) == 0
    assert run([*where, "keep", "--shares", MIXED]) == 2
    (row,) = current_decisions(work.ws).to_dict("records")
    assert (row["action"], row["shares"]) == ("ambiguous", vector(happiness=0.6, surprise=0.4))
    assert len(decision_history(work.ws)) == 1
    decide(work.ws, "train_00001", shares="happiness=0.4,surprise=0.6", reviewer="ann")
    decide(work.ws, "train_00001", "ambiguous", reviewer="ann")
    assert current_decisions(work.ws)["shares"].tolist() == [None]


def test_of_several_people_the_mean_of_those_stands_who_said_how_much(work: Small) -> None:
    decide(work.ws, "train_00001", shares=MIXED, reviewer="ann")
    decide(work.ws, "train_00001", shares="happiness=0.2,fear=0.8", reviewer="bob")
    decide(work.ws, "train_00001", "ambiguous", reviewer="cleo")
    (row,) = current_decisions(work.ws).to_dict("records")
    assert row["shares"] == pytest.approx(vector(happiness=0.4, surprise=0.2, fear=0.4))
    assert not row["conflict"]
    decide(work.ws, "train_00001", "keep", reviewer="bob")
    (row,) = current_decisions(work.ws).to_dict("records")
    assert (row["action"], row["shares"], row["conflict"]) == ("keep", None, True)


def test_shares_go_out_to_a_file_and_in_again(work: Small, tmp_path: Path) -> None:
    decide(work.ws, "train_00001", shares=MIXED, reviewer="ann")
    decide(work.ws, "train_00002", "keep", reviewer="ann")
    path = tmp_path / "decisions.csv"
    assert run(["-w", str(work.ws.root), "decide", "--to-file", str(path)]) == 0
    assert pd.read_csv(path)["shares"].tolist()[0] == MIXED
    (tmp_path / "again").mkdir()
    other = small(tmp_path / "again", triaged=False)
    assert decide_from_file(other.ws, path).recorded == 2
    assert decide_from_file(other.ws, path).already == 2
    assert current_decisions(other.ws)["shares"].tolist() == [vector(happiness=0.6, surprise=0.4), None]


@pytest.mark.parametrize("policy", ["decisions", "auto"])
def test_a_release_carries_what_people_see_before_what_the_model_thinks(work: Small, policy: str) -> None:
    decide(work.ws, "train_00004", "ambiguous", reviewer="ann")
    release(work.ws, "plain", policy=policy)  # type: ignore[arg-type]
    decide(work.ws, "train_00004", shares=MIXED, reviewer="ann")
    decide(work.ws, "test_0001", shares=MIXED, reviewer="ann")
    release(work.ws, "v1", policy=policy)  # type: ignore[arg-type]
    before, after = soft(work, "plain"), soft(work, "v1")
    assert after[work.ids["train_00004"]] == vector(happiness=0.6, surprise=0.4)
    assert after[work.ids["test_0001"]] is None, "what is tested on has a label and no target to train on"
    rest = [one for one in before.index if one != work.ids["train_00004"]]
    assert after[rest].astype(str).tolist() == before[rest].astype(str).tolist()
    items = get_release_items(work.ws, "v1").set_index("sample_id").loc[work.ids["train_00004"]]
    assert (items["label"], items["given_label"], items["weight"]) == ("neutral", "neutral", 1.0)
    release(work.ws, "strict", policy=policy, ambiguous="exclude")  # type: ignore[arg-type]
    assert soft(work, "strict")[work.ids["train_00004"]] is None


def test_a_released_form_has_the_shares_as_the_training_target(work: Small, tmp_path: Path) -> None:
    decide(work.ws, "train_00004", shares=MIXED, reviewer="ann")
    release(work.ws, "v1")
    where = ["-w", str(work.ws.root), "export", "--release", "v1", "--form", "image_folder", "--out"]
    assert run([*where, str(tmp_path / "out")]) == 0
    targets = pd.read_csv(tmp_path / "out" / "soft_labels.csv")[list(CLASSES)]
    assert (targets == vector(happiness=0.6, surprise=0.4)).all(axis=1).sum() == 1


def test_a_screens_answer_with_shares_is_recorded_shown_and_taken_back(reviewable: Workspace, tmp_path: Path) -> None:
    ws = copied(reviewable, tmp_path)
    desk = open_desk(ws, reviewer="ada")
    first, second = list(desk.items)[:2]
    said = take(
        desk,
        [
            Answer(answer_id="1", action="ambiguous", sample_id=first, shares={"fear": 0.7, "surprise": 0.3}),
            Answer(answer_id="2", action="ambiguous", sample_id=second, shares={"fear": 0.7}),
        ],
    )
    assert [one.refused == "" for one in said] == [True, False]
    assert desk.standing[first].shares == tuple({"fear": 0.7, "surprise": 0.3}.get(name, 0.0) for name in desk.classes)
    assert open_desk(ws, reviewer="ada").standing == desk.standing
    take(desk, [Answer(answer_id="3", action="undo", undoes="1")])
    assert current_decisions(ws).empty
