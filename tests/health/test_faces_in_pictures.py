"""Pictures without one clear face, among drawn faces; and kinds of pictures that the detector does not know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ferclean.evidence.labels import EXPRESSIONS
from ferclean.health import faces
from ferclean.health.finding import Finding
from ferclean.recognition.faces import face_log_odds
from ferclean.recognition.images import encode_png, load_pixels
from ferclean.steps.doctor import doctor
from ferclean.steps.ingest import ingest
from ferclean.store.workspace import Workspace
from tests.made_sets import pixels

KINDS = {"no_face", "several_faces", "blurred", "dark", "faces_not_looked", "not_looked"}


@pytest.fixture(scope="module")
def drawn(drawn_set: Path) -> list[Image.Image]:
    """Fifty-six drawn faces, 100 pixels a side."""
    files = sorted((drawn_set / "Image" / "aligned").glob("test_*.jpg"))[:56]
    return [Image.open(file).convert("RGB") for file in files]


def looked_at(tmp_path: Path, pictures: list[Image.Image]) -> dict[str, Finding]:
    """What doctor says of an image folder of these pictures, their faces concerned."""
    for number, picture in enumerate(pictures):
        file = tmp_path / "set" / "train" / EXPRESSIONS[number % 7] / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(file)
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "image_folder", tmp_path / "set")
    return {finding.kind: finding for finding in doctor(ws).findings if finding.kind in KINDS}


def test_drawn_faces_are_one_clear_face_each_and_each_fault_has_its_name(
    drawn: list[Image.Image], tmp_path: Path
) -> None:
    assert looked_at(tmp_path / "healthy", drawn) == {}
    two = Image.new("RGB", (100, 100), "grey")
    small = [face.resize((50, 50)) for face in drawn]
    seen = face_log_odds(load_pixels([encode_png(np.asarray(face)) for face in small], size=24, channels=1))
    for left, best in zip((0, 50), np.argsort(seen)[-2:], strict=True):
        two.paste(small[best], (left, 25))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8))
    soft = drawn[5].filter(ImageFilter.GaussianBlur(5))
    dark = drawn[6].point(lambda grey: grey // 7)
    found = looked_at(tmp_path / "faulty", [*drawn, noise, two, soft, dark])
    assert {kind: finding.examples for kind, finding in found.items()} == {
        "no_face": ["train/surprise/056.png"], "several_faces": ["train/fear/057.png"],
        "blurred": ["train/disgust/058.png"], "dark": ["train/happiness/059.png"],
    }  # fmt: skip
    assert {finding.severity for finding in found.values()} == {"warning"}


def test_a_face_that_its_mirror_shows_is_a_face(
    tmp_path: Path, drawn: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    asked: list[np.ndarray] = []

    def seen_in(images: np.ndarray) -> np.ndarray:
        asked.append(images)
        return np.zeros(len(images))

    monkeypatch.setattr(faces, "face_log_odds", seen_in)
    found = looked_at(tmp_path, [*drawn, Image.fromarray(noise)])
    assert "no_face" not in found
    wanted = load_pixels([encode_png(noise[:, ::-1])], size=48, channels=1)
    assert any(images.shape == wanted.shape and np.abs(images - wanted.astype(float)).max() <= 1 for images in asked)


def test_pictures_that_the_detector_does_not_know_are_not_called_faceless(tmp_path: Path) -> None:
    found = looked_at(tmp_path, [Image.fromarray(pixels(seed, 48)) for seed in range(42)])
    assert list(found) == ["faces_not_looked"]
    assert found["faces_not_looked"].severity == "info"
    assert "does not know their kind" in found["faces_not_looked"].message
