"""A perceptual hash of a picture: 256 bits that recompression, another size and a mirror leave nearly as they were.

Each bit says which of two waves of a picture is the stronger: the cosine transform's coefficient (u, v) or (v, u). It
keeps no sign, without which no picture can be drawn, and a mirrored picture has the same strengths. Whoever has a
picture can tell whether it is the one, and nothing more.

Measured (2026-11) against JPEG quality 80, also at 112 pixels: of 7,500 FER2013 faces all but two differ in 36 bits at
most (99.9 %: 29), of 15,000 drawn ones all in 20; of the nearest other faces that are no copies by FER2013's list none
differs in fewer than 49 (.1 %: 55, half: 95), of drawn ones in 50. Signs would set FER2013's faces apart by 18.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ferclean.recognition.images import BLANK_CONTRAST

NAME = "wave-order-256"
"""What a file calls these hashes; another way to make them gets another name."""
SIDE = 48
"""Pixels of the grey square that is looked at."""
BITS = 256
SURE, NEAR = 36, 48
"""Bits in which a copy differs at most; and up to which a picture may be one, which a person has to look at."""
APART = 12
"""By how many bits the nearest must be nearer than the next, or nobody can tell which of the two it is."""
_WAVES = 32
_EVEN = 1e-6  # strengths that differ by less are rounding


def perceptual_hashes(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of (N, SIDE, SIDE) uint8 grey pictures: (N, 32) uint8, the bits of each; (N,) bool, False for a flat picture, of
    which nothing can be told.

    70 microseconds a picture on one core.

    >>> face = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE), dtype=np.uint8)
    >>> bool((perceptual_hashes(face)[0] == perceptual_hashes(face[:, :, ::-1])[0]).all())
    True
    """
    waves, (one, other) = _cosines(), _pairs()
    bits, told = np.zeros((len(pixels), BITS // 8), dtype=np.uint8), np.zeros(len(pixels), dtype=bool)
    for start in range(0, len(pixels), 1024):
        part = slice(start, start + 1024)
        grey = pixels[part].astype(np.float64)
        strength = np.abs(waves @ grey @ waves.T).reshape(len(grey), -1)
        bits[part] = np.packbits(strength[:, one] > strength[:, other] + _EVEN, axis=1)
        told[part] = grey.std(axis=(1, 2)) >= BLANK_CONTRAST * 255
    return bits, told


@lru_cache(maxsize=1)
def _cosines() -> np.ndarray:
    """(32, SIDE): the waves of the cosine transform (DCT-II) along a line."""
    return np.cos(np.pi * np.arange(_WAVES)[:, None] * (np.arange(SIDE) + 0.5) / SIDE)


@lru_cache(maxsize=1)
def _pairs() -> tuple[np.ndarray, np.ndarray]:
    """The places (256,) of (u, v) and of (v, u), u < v, among 32 x 32 waves: the longest ones."""
    pairs = [(u, v) for u in range(_WAVES) for v in range(u + 1, _WAVES)]
    chosen = np.array(sorted(pairs, key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, pair))[:BITS])
    return chosen @ [_WAVES, 1], chosen @ [1, _WAVES]
