"""Is one way of training better than another? Paired differences with honest intervals.

Pure: arrays in, numbers out. It never picks a seed or a test image.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """`mean` of b - a in accuracy, its 95 % interval `low`..`high`, and the difference per paired seed.

    The interval covers both sources of chance: the seed (a t interval over the paired differences, when there are
    at least two) and the choice of test images (a paired bootstrap); it is the hull of the two.
    """

    mean: float
    low: float
    high: float
    per_seed: list[float]
    test_images: int

    @property
    def verdict(self) -> str:
        """'measurable gain', 'measurable loss', or 'no measurable gain' when the interval contains zero."""
        if self.low > 0:
            return "measurable gain"
        return "measurable loss" if self.high < 0 else "no measurable gain"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"verdict": self.verdict}


def paired_difference(
    a: np.ndarray, b: np.ndarray, *, seed: int = 0, resamples: int = 2000, level: float = 0.95
) -> PairedDifference:
    """Compare two arms tested on the same images with the same seeds.

    `a` and `b` are (seeds, images) bool: was the image classified correctly? With one seed the interval covers the
    test images only.

    >>> hits = np.array([[True, False, True, True]])
    >>> paired_difference(hits, hits).mean
    0.0
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape or a.ndim != 2 or not a.size:
        raise ValueError(f"a and b must be equal (seeds, images) arrays, got {a.shape} and {b.shape}")
    difference = b - a  # (seeds, images)
    per_seed = difference.mean(1)
    mean = float(per_seed.mean())
    rng = np.random.default_rng(seed)
    per_image = difference.mean(0)
    # multinomial counts are the bootstrap's weights: the same draw of images for every seed
    draws = rng.multinomial(len(per_image), np.full(len(per_image), 1 / len(per_image)), size=resamples)
    low, high = np.quantile(draws @ per_image / len(per_image), [(1 - level) / 2, (1 + level) / 2])
    if len(per_seed) > 1:
        margin = stats.t.ppf((1 + level) / 2, len(per_seed) - 1) * per_seed.std(ddof=1) / np.sqrt(len(per_seed))
        low, high = min(low, mean - margin), max(high, mean + margin)
    return PairedDifference(
        mean=mean,
        low=float(low),
        high=float(high),
        per_seed=[float(value) for value in per_seed],
        test_images=a.shape[1],
    )
