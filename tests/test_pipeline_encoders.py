"""The pipelines about encoders, on a few drawn faces: figures that follow from one another, and no noise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines import encoder_probes, learning_intensity

SMALL = {"input_size": 32, "train_size": 28}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn") / "W"


def test_the_share_of_the_gap_lies_between_the_untrained_and_the_supervised_encoder(drawn: Path) -> None:
    result = encoder_probes.run(drawn, drawn=140, methods=["coarse_contrast"], seeds=2, epochs=3, **SMALL)
    json.dumps(result, allow_nan=False)
    assert (result["train_images"], result["test_images"]) == (140, 70)
    rows = {row["name"]: row for row in result["table"]}
    assert list(rows) == ["untrained", "coarse_contrast", "cross_entropy"]
    floor, probe, ceiling = (rows[name]["accuracy"]["mean"] for name in rows)
    assert all(0 <= value <= 1 for value in (floor, probe, ceiling))
    own = rows["coarse_contrast"]
    assert own["minus_untrained"]["mean"] == pytest.approx(probe - floor, abs=2e-4)
    assert "share_of_gap" in own
    assert "share_of_gap" not in rows["untrained"]
    text = encoder_probes.markdown(result)
    assert text.count("\n") == 5
    again = encoder_probes.run(drawn, drawn=140, methods=["coarse_contrast"], seeds=2, epochs=3, **SMALL)
    assert [row["accuracy"] for row in again["table"]] == [row["accuracy"] for row in result["table"]]


def test_learning_intensity_is_higher_with_the_losses_than_without(drawn: Path) -> None:
    result = learning_intensity.run(drawn, drawn=140, epochs=[1, 2], **SMALL)
    json.dumps(result, allow_nan=False)
    assert [row["epochs"] for row in result["table"]] == [1, 2]
    first = result["table"][0]
    assert first["stage1_with"] > first["stage1_without"] > 0
    assert first["stage2_with"] > first["stage2_without"] > 0
    assert first["stage2_with_sd"] >= 0
    assert learning_intensity.markdown(result).count("\n") == 4
