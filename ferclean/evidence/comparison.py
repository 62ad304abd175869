"""Is one way of training better than another? Paired differences with honest intervals.

Pure: arrays in, numbers out. It never picks a seed or a test image.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

BELOW = 0.3
"""The seeds' variance is the observed one less the noise between seed and image, and may be estimated as low as minus
this share of that noise: at 0 two seeds that hardly differ cover .975, at 1 (unbiased) .90, at this .96."""
DOUBT = 1.2
"""So many times the observed variance of the seeds counts in the degrees of freedom: at 1 two seeds that differ most
cover .89, at this .91."""
LEAST_FREEDOM = 2.0
"""Degrees of freedom: one, of two seeds alone, makes no difference to coverage and intervals up to twice as wide."""
MOST_SEEDS = 1000
"""More seeds than anybody trains."""


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """`mean` of b - a in accuracy, its 95 % interval `low`..`high`, and the difference per paired seed.

    The interval adds the variance of seeds to that of test images (see `paired_difference`); `seeds_se` and `images_se`
    are the two standard errors of `mean`, in the same unit, and None where one seed says nothing about seeds.
    `seeds_to_tell`: with how many seeds on these images a difference of this size would leave zero outside; None where
    no number would, or where there is only one seed to judge by. `mcnemar`: per seed, the images that b alone got right
    (`gained`) and a alone (`lost`), and the exact two-sided `p` that they are as likely; of images only.
    """

    mean: float
    low: float
    high: float
    per_seed: list[float]
    test_images: int
    seeds_se: float | None
    images_se: float
    seeds_to_tell: int | None
    mcnemar: list[dict[str, float]]

    @property
    def verdict(self) -> str:
        """'measurable gain', 'measurable loss', or 'no measurable gain' when the interval contains zero."""
        if self.low > 0:
            return "measurable gain"
        return "measurable loss" if self.high < 0 else "no measurable gain"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"verdict": self.verdict}


def paired_difference(a: np.ndarray, b: np.ndarray, *, level: float = 0.95) -> PairedDifference:
    """Compare two arms tested on the same images with the same seeds.

    `a` and `b` are (seeds, images), bool (was the image classified correctly?) or any measure of each image. The
    difference d of seed s and image i is taken as mean + seed + image + rest, all at random; the variance of its mean
    is put together from the mean squares of that table, with Satterthwaite's (1946) degrees of freedom. Ours: `BELOW`,
    `DOUBT` and `LEAST_FREEDOM`, chosen by simulation for two to ten seeds (`pipelines/paired_intervals.py`). With one
    seed the interval covers the test images only.

    >>> hits = np.array([[True, False, True, True]])
    >>> paired_difference(hits, hits).mean
    0.0
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape or a.ndim != 2 or not a.size:
        raise ValueError(f"a and b must be equal (seeds, images) arrays, got {a.shape} and {b.shape}")
    difference = b - a
    parts = _Parts.of(difference)
    mean, margin = float(difference.mean()), parts.margin(len(difference), level)
    return PairedDifference(
        mean=mean,
        low=mean - margin,
        high=mean + margin,
        per_seed=[float(value) for value in difference.mean(1)],
        test_images=a.shape[1],
        seeds_se=None if len(difference) < 2 else math.sqrt(max(parts.seed, 0.0) / len(difference)),
        images_se=math.sqrt(parts.images(len(difference))),
        seeds_to_tell=parts.seeds_to_tell(mean, level) if len(difference) > 1 else None,
        mcnemar=[_mcnemar(row) for row in difference],
    )


def share_of_gain(
    a: np.ndarray, b: np.ndarray, best: np.ndarray, *, level: float = 0.95
) -> tuple[float, float, float] | None:
    """How much of the gain from `a` to `best` the arm `b` brings: (b - a) / (best - a), and its interval.

    All are (seeds, images) as in `paired_difference`. The interval is Fieller's (1954): all shares r for which the
    interval of (b - a) - r (best - a) holds zero, so that chance in both gains enters. None where `best` is no
    measurable gain over `a`: then there is nothing to have a share of.

    >>> hits = np.tile([[False] * 60 + [True] * 40], (2, 1))
    >>> share_of_gain(hits, ~hits, ~hits)
    (1.0, 1.0, 1.0)
    """
    a, b, best = (np.asarray(values, dtype=float) for values in (a, b, best))
    gain, whole = b - a, best - a
    if paired_difference(a, best, level=level).low <= 0:
        return None
    share = float(gain.mean() / whole.mean())

    def outside(r: float) -> float:
        """Positive where r cannot be the share."""
        rest = gain - r * whole
        return abs(float(rest.mean())) - _Parts.of(rest).margin(len(rest), level)

    def edge(direction: int) -> float:
        if outside(share) >= 0:  # the gains are the same on every image, up to the last bit
            return share
        step = 0.01
        while outside(share + direction * step) <= 0:
            step *= 2  # ends: for a large share this is the test of the whole gain, which is measurable
        return float(optimize.brentq(outside, share, share + direction * step, xtol=1e-6))

    return share, edge(-1), edge(1)


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """Variances of one seed's mean difference over N images, by where they come from."""

    seed: float
    """Of the seeds themselves; at least -BELOW * rest."""
    image: float
    """Of the choice of images, as far as all seeds share it, at least 0."""
    rest: float
    """Of what is neither: it shrinks with both numbers, and cannot be told from `image` with one seed."""
    observed: float
    """Between the seeds' means as they are; `seed` and `rest` together are expected to be that much."""
    count: int
    """Images."""

    @staticmethod
    def of(difference: np.ndarray) -> _Parts:
        seeds, count = difference.shape
        per_seed, per_image = difference.mean(1, keepdims=True), difference.mean(0, keepdims=True)
        images = float(per_image.var(ddof=1)) / count if count > 1 else 0.0
        if seeds < 2 or count < 2:
            return _Parts(seed=0.0, image=images, rest=0.0, observed=0.0, count=count)
        residual = difference - per_seed - per_image + difference.mean()
        rest = float((residual**2).sum()) / ((seeds - 1) * (count - 1)) / count
        observed = float(per_seed.var(ddof=1))
        return _Parts(
            seed=max(observed - rest, -BELOW * rest), image=max(images - rest / seeds, 0.0), rest=rest,
            observed=observed, count=count,
        )  # fmt: skip

    def images(self, seeds: int) -> float:
        """Variance of the mean over so many seeds that is the images'."""
        return self.image + self.rest / seeds

    def margin(self, seeds: int, level: float) -> float:
        """Half the width of the interval of the mean over so many seeds."""
        return float(self._margins(np.array([seeds]), level)[0])

    def seeds_to_tell(self, mean: float, level: float) -> int | None:
        """The least number of seeds from 2 on whose interval around `mean` leaves zero outside."""
        numbers = np.arange(2, MOST_SEEDS + 1)
        enough = numbers[abs(mean) > self._margins(numbers, level)]
        return int(enough[0]) if len(enough) else None

    def _margins(self, seeds: np.ndarray, level: float) -> np.ndarray:
        of_images = self.image + self.rest / seeds
        total = self.seed / seeds + of_images
        spread = of_images**2 / max(self.count - 1, 1) + (DOUBT * self.observed / seeds) ** 2 / np.maximum(seeds - 1, 1)
        # nothing differs anywhere: no spread, and no margin
        freedom = np.divide(total**2, spread, out=np.ones_like(total), where=spread > 0)
        return np.asarray(stats.t.ppf((1 + level) / 2, np.maximum(freedom, LEAST_FREEDOM)) * np.sqrt(total))


def _mcnemar(difference: np.ndarray) -> dict[str, float]:
    """McNemar's (1947) exact test: of the images on which two recognizers differ, half should go each way."""
    gained, lost = int((difference > 0).sum()), int((difference < 0).sum())
    p = float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return {"gained": gained, "lost": lost, "p": p}
