"""How far two people agree, several on one class, and how sure that is: kappa, specific agreement, bootstrap intervals.

It counts patterns of answers, never faces one by one: its cost does not grow with the set.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FEWEST = 30
"""Faces below which no agreement is stated: with three answers in four the same, kappa's interval is still .4 wide."""
DRAWS = 1000
"""Bootstrap samples of faces: the ends of a 95 % interval then move by about .01 from seed to seed."""


def cohen_kappa(table: np.ndarray) -> np.ndarray:
    """Agreement of two people beyond chance: 1 = full, 0 = chance, < 0 = less.

    `table` (..., C, C): faces of which the one said the row's answer and the other the column's; the result has the
    shape (...). NaN where there is no face, and where both said one and the same of all. Source: Cohen, A coefficient
    of agreement for nominal scales, Educational and Psychological Measurement, 1960.

    >>> round(float(cohen_kappa(np.array([[20, 5], [10, 15]]))), 2)
    0.4
    """
    table = np.asarray(table, dtype=np.float64)
    n = table.sum((-2, -1))
    same = np.trace(table, axis1=-2, axis2=-1)
    by_chance = (table.sum(-1) * table.sum(-2)).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((n * same - by_chance) / np.where(n**2 > by_chance, n**2 - by_chance, np.nan))


def alpha(patterns: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Krippendorff's alpha (nominal, any number of answers per face) of faces that are counted by pattern.

    `patterns` (U, C): how many people gave each answer; `times` (..., U): faces with that pattern. The result has the
    shape (...); NaN as in `agreement.krippendorff_alpha`, which says the source.

    >>> float(alpha(np.array([[2, 0], [0, 2]]), np.array([2, 2])))
    1.0
    """
    patterns, times = np.asarray(patterns, dtype=np.float64), np.asarray(times, dtype=np.float64)
    total = patterns.sum(1)
    paired = np.where(total >= 2, 1.0, 0.0)
    disagreeing = times @ (paired * (total**2 - (patterns**2).sum(1)) / np.maximum(total - 1, 1))
    of_class = times @ (patterns * paired[:, None])
    votes = of_class.sum(-1)
    by_chance = votes**2 - (of_class**2).sum(-1)
    return np.asarray(1 - (votes - 1) * disagreeing / np.where(by_chance > 0, by_chance, np.nan))


def class_agreement(patterns: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Where one person gave an answer, the share of the others who gave it too: (..., C) in [0, 1], high = agreement.

    `patterns` and `times` as in `alpha`. NaN for answers that nobody gave beside another person. Source: specific
    agreement, Cicchetti and Feinstein, High agreement but low kappa II, J. Clin. Epidemiology, 1990; for any number of
    people Uebersax, Psychological Bulletin, 1982.

    >>> class_agreement(np.array([[2, 0], [1, 1]]), np.array([40, 20])).round(2).tolist()
    [0.8, 0.0]
    """
    patterns, times = np.asarray(patterns, dtype=np.float64), np.asarray(times, dtype=np.float64)
    same = times @ (patterns * (patterns - 1))
    possible = times @ (patterns * (patterns.sum(1, keepdims=True) - 1))
    return np.asarray(same / np.where(possible > 0, possible, np.nan))


def interval(times: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], *, seed: int = 0) -> np.ndarray:
    """The 95 % bootstrap interval of a statistic of faces: (2, ...) its low and high end, NaN where it has none.

    `times` (U,): faces of each pattern; `statistic` takes (DRAWS, U) of them. Drawing faces anew is drawing how often
    each pattern comes, so that this costs DRAWS times U, for 10 million faces as for 300.
    """
    times = np.asarray(times, dtype=np.int64)
    count = int(times.sum())
    if not count:
        return np.full((2, *statistic(times[None]).shape[1:]), np.nan)
    found = statistic(np.random.default_rng(seed).multinomial(count, times / count, size=DRAWS))
    known = ~np.isnan(found).all(0)
    ends = np.full((2, *found.shape[1:]), np.nan)
    if known.any():
        ends[:, known] = np.nanquantile(found[:, known], [0.025, 0.975], axis=0)
    return ends
