"""The measurement of `judge test` on drawn faces: three judges, every draw answered, the trained nets kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_judges import write_onnx

from ferclean.recognition.profiles import PROFILES
from ferclean.steps.judge import add_judge
from ferclean.store import samples
from ferclean.store.workspace import Workspace
from pipelines import judge_contamination


def test_every_draw_of_every_judge_is_answered_and_the_nets_are_trained_once(
    judged_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERCLEAN_CACHE", str(tmp_path / "cache"))
    classes = samples.get_dataset(Workspace.open(judged_copy)).classes
    weight = np.random.default_rng(0).normal(size=(256, len(classes)))
    file = write_onnx(tmp_path / "drawn.onnx", weight, np.zeros(len(classes)))
    add_judge(str(file), classes=classes, mean=(0.5,), std=(0.5,))
    nets = tmp_path / "nets.npz"
    monkeypatch.setitem(PROFILES, "demo", replace(PROFILES["demo"], epochs=1, input_size=32, crop=28 / 32))
    monkeypatch.setattr(judge_contamination, "ROWS", 100)
    monkeypatch.setattr(judge_contamination, "DRAWS", 4)
    monkeypatch.setattr(judge_contamination, "TRAINED", {"trained on train": ("train",)})
    first = judge_contamination.run(judged_copy, judge="drawn", nets=nets, profile="demo")
    assert set(first["judges"]) == {"drawn", *judge_contamination.TRAINED}
    assert all(sum(row["answers"].values()) == judge_contamination.DRAWS for row in first["judges"].values())
    # it knows nothing, so the recognizers keep all their weight beside it, or nothing can be told
    assert first["judges"]["drawn"]["answers"].get("contaminated", 0) == 0
    changed = nets.stat().st_mtime_ns
    again = judge_contamination.run(judged_copy, judge="drawn", nets=nets, profile="demo")
    assert nets.stat().st_mtime_ns == changed
    assert json.dumps(again) == json.dumps(first)
