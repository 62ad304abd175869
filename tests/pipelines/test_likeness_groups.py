"""What likeness groups are worth is counted from looks: seconds, right answers and what is overlooked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace
from pipelines import likeness_groups
from pipelines.ferplus_measures import SHARED
from pipelines.likeness_groups import MISSED, Answers, groups_first, limit, one_by_one


def test_a_group_costs_a_look_its_tiles_and_what_is_corrected_and_errs_by_what_is_overlooked() -> None:
    as_offered = np.arange(4000) % 4 != 0
    said = Answers(as_offered=as_offered, mends=as_offered)
    rows = np.arange(4000)
    single = one_by_one(rows, said).after(None)
    assert single["minutes"] * 60 == pytest.approx(4000 + 0.5 * 1000)
    assert (single["error_rate"], single["decisions"]) == (0.0, 4000)
    looks = groups_first(rows, np.split(rows[:2000], 100), said, seed=0)
    missed = (looks.decisions - looks.right).sum()
    assert missed == pytest.approx(500 * MISSED, rel=0.3)
    assert looks.seconds.sum() == pytest.approx(100 + 0.2 * 2000 + 0.5 * (500 - missed) + 2000 + 0.5 * 500)
    assert looks.decisions.sum() == 4000, "each face once, in a group or by itself"
    assert looks.mended.sum() == 3000
    early = looks.after(1)
    assert early["minutes"] <= 1 < early["minutes"] + looks.seconds.max() / 60
    pure = groups_first(rows, [rows[as_offered][:20]], said, seed=0)
    assert (pure.seconds[0], pure.right[0]) == (5.0, 20)


def test_no_groups_can_be_faster_than_a_look_at_each_face_whose_offer_is_not_right_allows() -> None:
    rows = np.arange(100)
    said = Answers(as_offered=rows < 70, mends=rows < 70)
    # 10 of the others may be grouped too: a tenth of them overlooked is 1 % of all
    together = 80 * 0.25 + 10 * 0.9 * 0.5
    assert limit(rows, rows, said) == pytest.approx(115 / (together + 20 * 1.5) * 0.99)
    assert limit(rows, rows[:0], said) == 1
    assert limit(rows, rows[:70], said) == pytest.approx(115 / (70 * 0.25 + 30 * 1.5))


def test_groups_stand_beside_one_by_one_on_the_same_faces(judged_folder: Path, tmp_path: Path) -> None:
    samples = get_samples(Workspace.open(judged_folder))
    counts = {f"v_{name}": np.where(samples["given_label"] == name, 10, 0) for name in SHARED}
    votes = pd.DataFrame(
        {"index": samples["source_key"], "dup_group": np.arange(len(samples))} | counts
        | {f"v_{name}": 0 for name in ("contempt", "unknown", "NF")}
    )  # fmt: skip
    votes.to_parquet(tmp_path / "votes.parquet")
    probs = np.full((len(samples), 7), 1 / 7)
    np.savez(tmp_path / "judge.npz", source_key=samples["source_key"].to_numpy(str), pred_probs=probs)
    result = likeness_groups.run(tmp_path, judged_folder, judge=tmp_path / "judge.npz", draws=1)
    json.dumps(result, allow_nan=False)
    assert result["pipeline"] == "likeness_groups"
    for before in ("own, 0 decisions", "judge, 0 decisions"):
        for way, row in result[before].items():
            figures = {name: told["mean"] for name, told in row.items()}
            assert figures["error_rate: the end, one by one"] == 0, way
            assert figures["decisions: the end"] == figures["faces"] == figures["decisions: the end, one by one"]
            if figures["grouped"]:
                assert figures["decisions: the grouped faces"] == figures["grouped"]
                assert figures["right_per_minute: the grouped faces"] == pytest.approx(
                    figures["times: the grouped faces"] * figures["right_per_minute: the grouped faces, one by one"],
                    abs=0.1,
                )
    every = result["own, 0 decisions"]["every verdict, even, 0.5, alike"]
    assert every["grouped"]["mean"] >= 2
