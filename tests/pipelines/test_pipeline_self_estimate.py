"""What ferclean says about itself, measured on a small drawn set: the figures are counted, not stated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines import self_estimate


def test_stated_and_true_figures_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from ferclean.recognition.profiles import PROFILES

    small = replace(PROFILES["demo"], epochs=2, folds=2, input_size=32, crop=28 / 32)
    monkeypatch.setitem(PROFILES, "demo", small)
    result = self_estimate.run(tmp_path, seeds=2, first_seed=7, faces=150)
    json.dumps(result, allow_nan=False)
    assert [row["seed"] for row in result["per_seed"]] == [7, 8]
    assert result["mechanism"] == "annotators"
    for seed in result["per_seed"]:
        assert seed["error_rate"] == seed["wrong"] / seed["samples"] > 0
        assert 0 <= seed["calibration_error"] <= 1
        for row in seed["depths"]:
            # both are counted from the same hits
            assert row["recall"] * seed["wrong"] == pytest.approx(row["precision"] * row["depth"])
            low, high = row["stated_recall"][1:]
            assert 0 <= low <= high <= 1
    for at, row in enumerate(result["depths"]):
        depths = [seed["depths"][at] for seed in result["per_seed"]]
        inside = [one["stated_recall"][1] <= one["recall"] <= one["stated_recall"][2] for one in depths]
        assert row["recall_covered"] == sum(inside)
    again = self_estimate.run(tmp_path, seeds=1, first_seed=7, faces=150)
    assert again["per_seed"] == result["per_seed"][:1]
