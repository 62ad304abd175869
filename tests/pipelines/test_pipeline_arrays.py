"""The pipeline over public arrays, on a small array of the same form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.evidence_data import planted

SCRIPT = Path(__file__).parents[2] / "pipelines" / "label_error_arrays.py"


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


def test_subsets_with_a_class_taken_out_hold_faces_that_fit_none(tmp_path: Path) -> None:
    from pipelines import label_error_subsets as subsets

    made, error = planted(600, seed=3)
    given, probs = made["labels"], made["pred_probs"].astype(np.float32)
    true = np.where(error, (given + 1) % 5, given)
    paths = np.array([f"{row}.png" for row in range(600)])
    for name, extra in ((subsets.AGGREGATE, {}), (subsets.WORST, {"true_label": true})):
        order = np.arange(600) if extra else np.arange(600)[::-1]  # joined by path, not by place
        np.savez(
            tmp_path / name, given_label=given[order], image_path=paths[order], pred_probs_one=probs[order], **extra
        )
    rows = subsets.run(tmp_path, subsets=3, rows=200)["found"]
    assert [row["kind"] for row in rows] == [*subsets.KINDS, *subsets.KINDS]
    assert rows[0] == rows[3] | {"file": subsets.AGGREGATE}
    assert rows[0]["error_rate"] == round(float(error.mean()), 4)
    assert all(row["covered"] == row["sets"] for row in rows)
    labels, narrow, wrong = subsets.chosen(given, probs, true, kind="class taken out", rows=600, seed=2)
    assert narrow.shape == ((given != 2).sum(), 4)
    assert wrong.sum() == ((given != true) & (given != 2)).sum()
    assert set(labels) == {0, 1, 2, 3}
