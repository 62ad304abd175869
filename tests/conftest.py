"""What several test modules share: one drawn set, and one workspace that was scored and judged for real."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

# two workers of a math library on two cores only get in each other's way in tiny tests
os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY = {"epochs": 3, "folds": 2, "input_size": 32, "batch_size": 32}


@pytest.fixture(scope="session")
def drawn_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 training and 60 test faces with planted errors, copies, broken files and blanks; do not write into it."""
    from ferclean.sources import drawn_faces

    folder = tmp_path_factory.mktemp("drawn") / "set"
    drawn_faces.draw_set(folder, train=150, test=60, seed=1, duplicates=0.06, broken=0.02, blank=0.02)
    return folder


@pytest.fixture(scope="session")
def judged_folder(drawn_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of the drawn set after ingest, score and triage; copy it before writing."""
    from ferclean.steps.ingest import ingest
    from ferclean.steps.score import score
    from ferclean.steps.triage import triage
    from ferclean.store.workspace import Workspace

    root = tmp_path_factory.mktemp("judged") / "W"
    ws = Workspace.create(root)
    ingest(ws, "drawn_faces", drawn_set)
    score(ws, profile="quick", **TINY)
    triage(ws)
    return root


@pytest.fixture
def judged_copy(judged_folder: Path, tmp_path: Path) -> Path:
    """A copy of the judged workspace that a test may change."""
    target = tmp_path / "W"
    shutil.copytree(judged_folder, target)
    return target
