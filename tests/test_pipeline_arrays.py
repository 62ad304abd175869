"""The pipeline over public arrays, on a small array of the same form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.evidence_data import planted

SCRIPT = Path(__file__).parents[1] / "pipelines" / "label_error_arrays.py"


def test_every_model_and_their_mean_are_measured(tmp_path: Path) -> None:
    first, error = planted(800, seed=3)
    second, _ = planted(800, seed=3, skill=1.0)
    np.savez(
        tmp_path / "cifar-10n-aggregate.npz", given_label=first["labels"], label_error=error,
        pred_probs_good=first["pred_probs"].astype(np.float32), pred_probs_weak=second["pred_probs"].astype(np.float32),
    )  # fmt: skip
    out = tmp_path / "figures.json"
    subprocess.run([sys.executable, SCRIPT, "--data", tmp_path, "--json", out], check=True, capture_output=True)
    found = json.loads(out.read_text("utf-8"))
    assert set(found["models"]) == {"good", "weak", "mean_of_all"}
    assert found["n"] == 800
    assert found["true_error_rate"] == round(float(error.mean()), 4)
    assert found["models"]["good"]["auprc"] > found["models"]["weak"]["auprc"] > error.mean()
