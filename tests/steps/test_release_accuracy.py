"""What a release says about itself: how many labels it expects to be right, and where a look is worth most."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_workspace import Small, decide, small

from ferclean.errors import UsageError
from ferclean.parts.curating import learned_at_random
from ferclean.steps.release import release
from ferclean.store import runs, verdicts
from ferclean.store.decisions import Decision, append_decisions, undo
from ferclean.store.releases import get_release
from ferclean.store.table import sample_table


@pytest.fixture
def work(tmp_path: Path) -> Small:
    return small(tmp_path)


def test_a_release_says_how_many_labels_it_expects_to_be_right(work: Small) -> None:
    counts = release(work.ws, "v1", policy="auto", threshold=0.5).counts
    before, after = counts["label_accuracy"]["before"], counts["label_accuracy"]["after"]
    # P(given): .03, .99, .07, .70, .95 (a tenth of a face), .40, .98; three of them change
    assert before["estimate"] == pytest.approx((0.03 + 0.99 + 0.07 + 0.7 + 0.095 + 0.4 + 0.98) / 6.1, abs=1e-4)
    assert after["estimate"] == pytest.approx((0.97 + 0.99 + 0.93 + 0.7 + 0.6 + 0.98) / 6, abs=1e-4)
    assert before["low"] < before["estimate"] < before["high"] < after["high"] <= 1
    assert [(row["from_p"], row["changes"], row["mended"]) for row in counts["automatic_changes"]] == [
        (0.9, 2, 1.9), (0.6, 1, 0.6)
    ]  # fmt: skip
    assert get_release(work.ws, "v1").counts["label_accuracy"] == counts["label_accuracy"]


def test_what_people_decided_is_certain(work: Small) -> None:
    decide(work, "train_00001", "relabel", "surprise")
    decide(work, "train_00004", "ambiguous")
    told = release(work.ws, "v1", policy="auto", threshold=0.5).counts["label_accuracy"]["after"]
    assert told["estimate"] == pytest.approx((1 + 0.99 + 0.93 + 0.6 + 0.98) / 5, abs=1e-4)


def test_decisions_that_are_too_few_to_be_learned_from_do_not_loosen_what_is_said_about_the_others(work: Small) -> None:
    keys = ("train_00002", "train_00003")
    append_decisions(
        work.ws,
        [
            Decision(sample_id=work.ids[key], action="keep", reviewer="ann", source="cli", inclusion_probability=0.2)
            for key in keys
        ],
    )
    widths = []
    for learned in (9, 10):
        run = runs.start_run(
            work.ws, kind="triage", method="fused", config={"decisions": 2, "n": learned}, seed=0, fingerprint="f"
        )
        verdicts.put_verdicts(work.ws, run, verdicts.get_verdicts(work.ws))
        runs.finish_run(work.ws, run, {"decisions": learned})
        told = release(work.ws, "v1", policy="auto", dry_run=True).counts["label_accuracy"]["after"]
        widths.append(told["high"] - told["low"])
    assert widths[0] < widths[1]


def test_a_random_decision_that_was_undone_narrows_no_interval(work: Small) -> None:
    keys = ("train_00002", "train_00003", "train_00004")
    about = [Decision(sample_id=work.ids[key], action="keep", reviewer="ann", source="cli") for key in keys]
    drawn = [replace(one, inclusion_probability=0.2) for one in about]
    append_decisions(work.ws, [*drawn, *about])
    run = runs.start_run(work.ws, kind="triage", method="fused", config={"decisions": 6}, seed=0, fingerprint="f")
    verdicts.put_verdicts(work.ws, run, verdicts.get_verdicts(work.ws))
    runs.finish_run(work.ws, run, {"decisions": 10})
    table = sample_table(work.ws)
    assert learned_at_random(work.ws, table, np.isin(table["source_key"], keys)) == pytest.approx(3)
    undo(work.ws, decision_id=1)
    assert learned_at_random(work.ws, table, np.isin(table["source_key"], keys)) == pytest.approx(2)


def test_a_budget_names_the_faces_whose_label_in_the_release_is_least_sure(work: Small, tmp_path: Path) -> None:
    ids = tmp_path / "ids.csv"
    summary = release(work.ws, "v1", policy="auto", threshold=0.5, budget=2, ids_to=ids, dry_run=True)
    assert [row["source_key"] for row in summary.look_first] == ["train_00006", "train_00004"]
    assert summary.look_first[0]["sample_id"] == work.ids["train_00006"]
    gained = sum(row["gain"] for row in summary.look_first)
    after = summary.counts["label_accuracy"]["after"]
    assert summary.after_looking == pytest.approx(after["estimate"] + gained / after["faces"], abs=2e-4)
    assert list(pd.read_csv(ids)["sample_id"]) == [row["sample_id"] for row in summary.look_first]
    with pytest.raises(UsageError, match="--ids-to"):
        release(work.ws, "v1", budget=2, ids_to=ids)
    decide(work, "train_00006", "keep")
    looked = release(work.ws, "v1", policy="auto", threshold=0.5, budget=9, dry_run=True).look_first
    assert "train_00006" not in {row["source_key"] for row in looked}
    assert not any(row["split"] == "test" for row in looked)


def test_a_file_for_the_faces_to_look_at_needs_a_budget(work: Small, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--budget"):
        release(work.ws, "v1", ids_to=tmp_path / "first.csv")
    assert not (tmp_path / "first.csv").exists()
