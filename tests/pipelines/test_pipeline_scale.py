"""The scale benchmark: its synthetic faces are faces with wrong labels and near copies, and every step is measured."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipelines import scale

ROOT = Path(__file__).parents[2]


def test_every_step_of_a_tree_is_measured_on_the_same_faces(tmp_path: Path) -> None:
    files = scale.make_files(tmp_path, 210, seed=1)
    faces = pd.read_parquet(files[0])
    assert faces["key"].is_unique
    assert set(faces["label"]) == set(scale.CLASSES)
    assert np.asarray(Image.open(BytesIO(faces["png"][0]))).shape == (scale.SIDE, scale.SIDE)
    with np.load(files[1]) as one:
        np.testing.assert_allclose(one["pred_probs"].sum(1), 1)
        given = np.array([scale.CLASSES.index(label) for label in faces["label"]])
        assert 0.4 < (one["pred_probs"].argmax(1) == given).mean() < 0.9

    found = scale.measure(ROOT, files, tmp_path / "W")
    assert found.pop("version").startswith("0.")
    assert {"ingest", "triage", "one decision", "desk, warm", "report"} <= set(found)
    assert all(row["seconds"] > 0 for row in found.values())
    assert found["neighbours of a run alone"]["recall"] == 1
    assert found["near copies alone"]["pairs"] > 0
    assert found["desk, warm"]["tab_mb"] > 0
    shown = scale.table({"measured": {"210": [found | {"version": "here"}]}})
    assert shown.startswith("| step | 210 rows, here |")
    assert shown.count("\n") == len(found) + 1
