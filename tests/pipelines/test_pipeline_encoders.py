"""The pipelines about encoders, on a few drawn faces: figures that follow from one another, and no noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ferclean.errors import UsageError
from ferclean.recognition.profiles import get_profile
from pipelines import encoder_probes, learning_intensity
from pipelines.faces_to_train import drawn_or_ingested

SMALL = {"input_size": 32, "crop": 28 / 32}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with 140 drawn training faces."""
    root = tmp_path_factory.mktemp("drawn") / "W"
    drawn_or_ingested(root, get_profile("demo", **SMALL), drawn=140)
    return root


def test_the_share_of_the_gap_is_how_far_the_probe_has_come_from_untrained_to_supervised() -> None:
    share = encoder_probes.share_of_gap
    assert share(np.array([0.5, 0.7]), np.array([0.4, 0.4]), np.array([0.7, 0.9])) == 0.5
    assert share(np.array([0.3]), np.array([0.4]), np.array([0.8])) == -0.25
    # a supervised recognizer that is no better leaves no gap to close
    assert share(np.array([0.5]), np.array([0.6]), np.array([0.6])) is None


def test_only_methods_with_a_first_stage_are_probed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="eac has no first stage"):
        encoder_probes.run(tmp_path / "W", drawn=20, methods=["distilled", "eac"])
    assert not (tmp_path / "W").exists()


def test_probes_are_compared_on_the_same_faces_and_repeat(drawn: Path) -> None:
    result = encoder_probes.run(drawn, drawn=140, methods=["coarse_contrast"], seeds=2, epochs=1, **SMALL)
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
    again = encoder_probes.run(drawn, drawn=140, methods=["coarse_contrast"], seeds=2, epochs=1, **SMALL)
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


def test_a_workspace_with_another_number_of_drawn_faces_is_not_measured_unnoticed(drawn: Path) -> None:
    with pytest.raises(UsageError, match="holds 140 drawn training faces, not 150"):
        learning_intensity.run(drawn, drawn=150, epochs=[1], **SMALL)
