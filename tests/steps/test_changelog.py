"""Facts about a release's version and changelog: Croissant's rule, since when, how much, and by whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_workspace import Small, decide, small

from ferclean.exports.card import write_card
from ferclean.exports.content import read_content
from ferclean.parts.changelog import step_between
from ferclean.steps.release import release
from ferclean.store.decisions import undo
from ferclean.store.releases import get_release, put_release


@pytest.fixture
def work(tmp_path: Path) -> Small:
    return small(tmp_path)


def test_a_version_follows_from_what_changed_and_says_since_when_and_by_whom(work: Small, tmp_path: Path) -> None:
    first = release(work.ws, "v1")
    assert (first.version, first.changelog and first.changelog["flows"]) == ("1.0.0", [])
    decide(work, "train_00001", "keep")
    assert release(work.ws).name == "v1", "nothing changed, so there is nothing to release"
    decide(work, "train_00002", "relabel", "fear")
    decide(work, "train_00003", "relabel", "fear", reviewer="bo")
    second = release(work.ws, policy="auto", threshold=0.9)
    assert (second.name, second.version) == ("2.0.0", "2.0.0")
    told = get_release(work.ws, "2.0.0").config["changelog"]
    assert told == second.changelog
    assert (told["since"], told["step"]) == ("v1", "major")
    assert told["why"][:2] == ["1 face removed", "2 faces with another label"]
    assert {(one["from"], one["to"]): one["by"] for one in told["flows"]} == {
        ("happiness", "fear"): {"ann": 1}, ("sadness", "fear"): {"bo": 1}, ("fear", None): {"automatic": 1},
    }  # fmt: skip
    write_card(read_content(work.ws, "2.0.0"), tmp_path / "README.md", form="image_folder")
    card = (tmp_path / "README.md").read_text("utf-8")
    assert "## Changes in 2.0.0 since v1\n\n1 face removed; 2 faces with another label" in card
    assert "| fear → (left out) | 1 | automatic 1 |" in card
    undo(work.ws, reviewer="bo")
    third = release(work.ws, "v9.1.0", policy="auto", threshold=0.9)
    assert third.version == "9.1.0"
    assert third.changelog
    assert third.changelog["flows"][0]["by"] == {"automatic": 1}
    assert release(work.ws, "mine", policy="auto", threshold=0.9).version == "9.1.1", "the same data"


def test_a_version_follows_from_the_release_of_somebody_who_was_quicker(
    work: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after_theirs(*args: Any, **named: Any) -> None:
        monkeypatch.undo()
        decide(work, "train_00002", "relabel", "fear")
        release(work.ws, "theirs")
        put_release(*args, **named)

    monkeypatch.setattr("ferclean.parts.freezing.put_release", after_theirs)
    made = release(work.ws, "ours")
    assert (made.version, made.changelog and made.changelog["since"]) == ("1.0.1", "theirs")
    assert get_release(work.ws, "ours").config["version"] == "1.0.1"


def test_croissants_rule_tells_edited_from_added_from_the_same() -> None:
    rows = [("a", "train", "fear"), ("b", "train", "anger")]

    def items(rows: list[tuple[str, str, str]], soft: list[float] | None = None) -> pd.DataFrame:
        frame = pd.DataFrame(rows, columns=["sample_id", "split", "label"])
        return frame.assign(included=True, weight=1.0, soft_label=[soft] * len(rows))

    def step(after: pd.DataFrame, before: pd.DataFrame | None = None) -> str:
        return step_between(items(rows) if before is None else before, after)[0]

    assert step(items(rows[::-1])) == "patch"
    assert step(items([*rows, ("c", "test", "fear")])) == "minor", "the old ones are still a split"
    assert step(items([*rows, ("c", "train", "fear")])) == "major", "the old ones cannot be told from it"
    assert step(items(rows, soft=[0.5, 0.5])) == "minor", "a new field"
    assert step(items(rows, soft=[0.4, 0.6]), items(rows, soft=[0.5, 0.5])) == "major"
    assert step(items(rows[:1])) == "major"
    assert step(items([rows[0], ("b", "train", "fear")])) == "major"
    assert step(items([rows[0], ("b", "validation", "anger")])) == "major"
    assert step(items(rows).assign(weight=0.5)) == "major"
