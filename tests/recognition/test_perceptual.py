"""A perceptual hash stays through recompression, another size and a mirror, and sets different pictures apart."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scenes import scene

from ferclean.recognition.images import load_pixels
from ferclean.recognition.perceptual import APART, NEAR, SIDE, SURE, perceptual_hashes


def looked_at(images: list[Image.Image], quality: int = 95) -> np.ndarray:
    coded = []
    for image in images:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality)
        coded.append(out.getvalue())
    return load_pixels(coded, size=SIDE, channels=1)[:, 0]


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("size", [100, 112])
def test_a_recompressed_resized_or_mirrored_copy_is_near_and_others_are_not(size: int, mirror: bool) -> None:
    plain = [scene(seed) for seed in range(40)]
    copies = [image.resize((size, size), Image.Resampling.BICUBIC) for image in plain]
    if mirror:
        copies = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in copies]
    (one, told), (other, _) = perceptual_hashes(looked_at(plain)), perceptual_hashes(looked_at(copies, quality=80))
    assert told.all()
    apart = np.bitwise_count(one[:, None] ^ other[None]).sum(2)
    assert np.diag(apart).max() <= SURE
    assert apart[~np.eye(40, dtype=bool)].min() > NEAR >= SURE + APART


def test_nothing_is_told_of_a_flat_picture_and_nothing_depends_on_the_others() -> None:
    pixels = np.stack([np.full((SIDE, SIDE), 77, np.uint8), looked_at([scene(1)])[0]])
    bits, told = perceptual_hashes(pixels)
    assert told.tolist() == [False, True]
    assert (perceptual_hashes(pixels[1:])[0][0] == bits[1]).all()
    assert perceptual_hashes(pixels[:0])[0].shape == (0, 32)
