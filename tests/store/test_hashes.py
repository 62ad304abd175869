"""Facts about identity: content counts, for files, bytes and pixels; paths and names do not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from made_sets import pixels
from PIL import Image

from ferclean import hashes
from ferclean.errors import UsageError
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.images import encode_png


def test_a_file_is_hashed_like_its_bytes_whatever_its_size(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(data)
    assert hashes.of_file(tmp_path / "a") == hashes.of_bytes(data)
    with pytest.raises(UsageError, match=r"no weights file at .*absent"):
        hashes.of_file(tmp_path / "absent", what="weights file")
    with pytest.raises(UsageError, match="cannot be read"):
        hashes.of_file(tmp_path)


@pytest.mark.parametrize("grey", [True, False])
def test_a_kept_picture_is_known_by_its_pixels_however_they_were_packed(grey: bool) -> None:
    shown = pixels(3, 24, grey=grey)
    content = hashes.of_pixels(shown)
    packed = io.BytesIO()
    Image.fromarray(shown).save(packed, "PNG", compress_level=0)
    for data in (encode_png(shown), packed.getvalue()):
        assert hashes.is_content(data, content, kept=True)
        assert not hashes.is_content(data, content, kept=False)  # below the source a file is its bytes
        assert hashes.is_content(data, hashes.of_bytes(data), kept=True)
    changed = shown.copy()
    changed[0, 0] ^= 1
    for data in (encode_png(changed), b"", b"text", packed.getvalue()[:200]):
        assert not hashes.is_content(data, content, kept=True)


def test_settings_of_a_training_name_their_weights_by_content(tmp_path: Path) -> None:
    def digest(path: Path) -> str:
        return TrainConfig(weights=path).digest()

    first, moved = tmp_path / "a.pth", tmp_path / "b.pth"
    first.write_bytes(b"one")
    before = digest(first)
    assert before != TrainConfig().digest()
    first.rename(moved)
    assert digest(moved) == before
    moved.write_bytes(b"two")
    assert digest(moved) != before
    with pytest.raises(UsageError, match="no weights file"):
        digest(first)
