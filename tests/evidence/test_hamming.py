"""Rows of bits that are nearly equal are found, and only they, without a look at every pair."""

from __future__ import annotations

import numpy as np
import pytest

from ferclean.errors import BadDataError
from ferclean.evidence import hamming
from ferclean.evidence.hamming import MOST, near_rows


def noisy(rows: np.ndarray, flips: int, seed: int) -> np.ndarray:
    """The same rows with so many bits of each flipped."""
    rng = np.random.default_rng(seed)
    bits = np.unpackbits(rows, axis=1)
    for row in bits:
        row[rng.choice(bits.shape[1], flips, replace=False)] ^= 1
    return np.packbits(bits, axis=1)


@pytest.mark.parametrize("flips", [0, 1, 20, 36])
def test_each_noisy_copy_finds_its_row_and_no_other(flips: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hamming, "_CHUNK", 500)
    rows = np.random.default_rng(0).integers(0, 256, (3000, 32), dtype=np.uint8)
    order = np.random.default_rng(1).permutation(3000)
    one, other, bits = near_rows(noisy(rows[order], flips, 2), rows, within=40)
    assert (one == np.arange(3000)).all()
    assert (other == order).all()
    assert (bits == flips).all()


def test_what_is_told_is_what_looking_at_every_pair_tells() -> None:
    rng = np.random.default_rng(3)
    rows = noisy(rng.integers(0, 256, (20, 8), dtype=np.uint8)[rng.integers(0, 20, 300)], 3, 4)
    apart = np.bitwise_count(rows[:90, None] ^ rows[None]).sum(2)
    one, other, bits = near_rows(rows[:90], rows, within=6)
    assert [one.tolist(), other.tolist()] == [part.tolist() for part in np.nonzero(apart <= 6)]
    assert (bits == apart[one, other]).all()


def test_ten_thousand_copies_of_a_placeholder_are_not_told_one_by_one() -> None:
    rows = np.zeros((10_000, 32), dtype=np.uint8)
    one, other, _ = near_rows(rows[:3], rows, within=0)
    assert one.tolist() == np.repeat(np.arange(3), MOST).tolist()
    assert other.max() == MOST - 1
    assert len(near_rows(rows[:0], rows, within=4)[0]) == 0
    with pytest.raises(BadDataError, match="equally long"):
        near_rows(rows, rows[:, :8], within=4)
