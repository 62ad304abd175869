"""Facts about the map's places: the same for the same seed, alike faces together, folds mixed, many faces placed."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ferclean.evidence.projection import project
from ferclean.evidence.signals.nearest import Nearest, find


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray, np.ndarray, Nearest]:
    """Embeddings of three classes in two folds, whose axes have nothing to do with each other; labels, folds, who is
    near whom."""
    rng = np.random.default_rng(3)
    given, fold = np.arange(240) % 3, np.arange(240) % 2
    inner = np.eye(3)[given] * 4 + rng.normal(size=(240, 3))
    axes = [np.linalg.qr(rng.normal(size=(16, 16)))[0][:, :3] for _ in range(2)]
    embedding = np.stack([axes[part] @ row for part, row in zip(fold, inner, strict=True)]).astype(np.float32)
    return embedding, given, fold, find(embedding, k=14, fold=fold)


def test_one_seed_makes_the_same_bytes_and_alike_faces_lie_together_whatever_their_fold(
    faces: tuple[np.ndarray, np.ndarray, np.ndarray, Nearest],
) -> None:
    embedding, given, fold, near = faces
    at = project(embedding, given, near, fold=fold)
    assert at.dtype == np.float32
    assert at.min() == 0
    assert at.max() == 1
    assert project(embedding, given, near, fold=fold).tobytes() == at.tobytes()
    assert project(embedding, given, near, fold=fold, seed=1).tobytes() != at.tobytes()
    gap = np.linalg.norm(at[:, None] - at[near.at[:, :5]], axis=2).mean()
    others = np.random.default_rng(0).integers(0, 240, (240, 5))
    assert gap < 0.4 * np.linalg.norm(at[:, None] - at[others], axis=2).mean()
    beside = cKDTree(at).query(at, 11)[1][:, 1:]
    assert 0.3 < (fold[beside] == fold[:, None]).mean() < 0.7, "folds lie on islands of their own"
    assert (given[beside] == given[:, None]).mean() > 0.9


def test_a_map_changes_nothing_about_a_training_that_comes_after_it() -> None:
    """In a process of its own: numba starts its threads once, and is not in its way where another test did."""
    code = (
        "import numpy as np, torch\n"
        "from ferclean.evidence.projection import project\n"
        "from ferclean.evidence.signals.nearest import find\n"
        "before = torch.get_num_threads()\n"
        "embedding, fold = np.random.default_rng(0).normal(size=(60, 8)).astype('float32'), np.zeros(60, dtype=int)\n"
        "project(embedding, np.arange(60) % 3, find(embedding, k=14, fold=fold), fold=fold)\n"
        "assert torch.get_num_threads() == before == 1, (before, torch.get_num_threads())\n"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)


def test_faces_beyond_what_is_fitted_are_placed_among_those_that_they_are_like(
    faces: tuple[np.ndarray, np.ndarray, np.ndarray, Nearest],
) -> None:
    embedding, given, fold, near = faces
    at = project(embedding, given, near, fold=fold, fit=120)
    assert np.isfinite(at).all()
    beside = cKDTree(at).query(at, 11)[1][:, 1:]
    assert (given[beside] == given[:, None]).mean() > 0.9


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_a_handful_of_faces_has_places_too(count: int) -> None:
    embedding = np.eye(6, dtype=np.float32)[:count]
    fold = np.arange(count) % 2
    at = project(embedding, np.arange(count) % 2, find(embedding, k=3, fold=fold), fold=fold)
    assert at.shape == (count, 2)
    assert np.isfinite(at).all()
