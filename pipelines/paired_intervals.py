"""Does the interval of a paired comparison hold what it promises? Simulated seeds and images, with known truth.

    python pipelines/paired_intervals.py [--seeds 2,5,10] [--comparisons 1000] [--images 1239] --json FILE

Two arms of given accuracy are judged on the same images with paired seeds. Seeds shift an arm's accuracy; images differ
in how hard they are, which all seeds share, and each training errs in its own way besides.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ferclean.evidence.comparison import paired_difference
from ferclean.files import whole_file
from pipelines.heading import heading

SEEDS = (2, 5, 10)
SPREADS = (0.2, 0.5, 1.0, 1.5, 2.0)
"""Standard deviation of the seeds' own effect on the difference, in standard errors of the images."""
SHARED = (0.2, 0.5, 0.8)
"""Share of the variance of what decides about an image that all seeds of an arm have in common."""


def simulated(
    seeds: int, images: int, *, gain: float, spread: float, shared: float, rng: np.random.Generator, base: float = 0.65
) -> tuple[np.ndarray, np.ndarray, float]:
    """Hits (seeds, images) of two arms, and the true difference of their accuracies over all seeds and images.

    An image is hit where a normal score is below a threshold; the score is the image's own difficulty, the arm's view
    of it (both in all seeds), and the training's own error. Seeds move the second arm's threshold by `spread` standard
    errors of the images, which are those of the mean over `seeds`.
    """
    own = np.sqrt(1 - shared)
    difficulty = rng.normal(size=images) * np.sqrt(0.7 * shared)
    scores = [
        difficulty + rng.normal(size=images) * np.sqrt(0.3 * shared) + rng.normal(size=(seeds, images)) * own
        for _ in range(2)
    ]
    thresholds = [stats.norm.ppf(base), stats.norm.ppf(base + gain)]
    first, second = (score < threshold for score, threshold in zip(scores, thresholds, strict=True))
    # what a seed shifts in accuracy it shifts in the threshold by this much
    slope = stats.norm.pdf(thresholds[1])
    moved = rng.normal(size=(seeds, 1)) * spread * _images_se(first, second) / slope
    return first, scores[1] < thresholds[1] + moved, gain


def _images_se(first: np.ndarray, second: np.ndarray) -> float:
    difference = (second.astype(float) - first).mean(0)
    return float(difference.std(ddof=1) / np.sqrt(len(difference)))


def coverage(
    seeds: int, spread: float, *, comparisons: int, images: int, shared: float = 0.5, gain: float = 0.02, seed: int = 0
) -> dict[str, float]:
    """Share of intervals that hold the truth, of claimed gains and losses, and the median width in points."""
    rng = np.random.default_rng(seed)
    held, widths, verdicts = 0, [], []
    for _ in range(comparisons):
        first, second, truth = simulated(seeds, images, gain=gain, spread=spread, shared=shared, rng=rng)
        found = paired_difference(first, second)
        held += found.low <= truth <= found.high
        widths.append(found.high - found.low)
        verdicts.append(found.verdict)
    return {
        "coverage": round(held / comparisons, 4),
        "claimed_gain": round(verdicts.count("measurable gain") / comparisons, 4),
        "claimed_loss": round(verdicts.count("measurable loss") / comparisons, 4),
        "median_width_points": round(100 * float(np.median(widths)), 2),
    }


def run(numbers: Sequence[int] = SEEDS, *, comparisons: int, images: int, seed: int = 0) -> dict[str, Any]:
    """All of it, as one JSON object; `null` is the comparison of an arm with one that is no better."""
    rows = []
    for seeds in numbers:
        for spread in SPREADS:
            for shared in SHARED:
                settings = {"comparisons": comparisons, "images": images, "shared": shared, "seed": seed}
                real, null = (coverage(seeds, spread, gain=gain, **settings) for gain in (0.02, 0.0))  # type: ignore[arg-type]
                rows.append({"seeds": seeds, "spread": spread, "shared": shared, **real, "null": null})
    return heading("paired_intervals") | {
        "comparisons": comparisons,
        "images": images,
        "rows": rows,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Coverage of the interval of a paired comparison, by simulation.")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="numbers of paired seeds, comma-separated")
    parser.add_argument("--comparisons", type=int, default=1000)
    parser.add_argument("--images", type=int, default=1239)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    options = parser.parse_args()
    numbers = [int(number) for number in options.seeds.split(",")]
    result = run(numbers, comparisons=options.comparisons, images=options.images, seed=options.seed)
    with whole_file(options.json) as draft:
        draft.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print("seeds spread shared  coverage  width  null claims a gain")
    for row in result["rows"]:
        print(
            f"{row['seeds']:5} {row['spread']:6.1f} {row['shared']:6.1f}  {row['coverage']:8.3f} "
            f"{row['median_width_points']:6.2f}  {row['null']['claimed_gain']:.3f}"
        )


if __name__ == "__main__":
    main()
