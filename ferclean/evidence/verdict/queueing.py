"""The order in which people look: a random teaching round, then the most suspicious, with a random share mixed in.

It never looks at scores: what is drawn at random depends on the seed and on how many rows there are, on nothing else.
"""

from __future__ import annotations

import numpy as np

from ferclean.errors import UsageError
from ferclean.evidence.constants import STANDARD, Constants

RANDOM_SHARE = 0.2
"""One in five decisions goes to a random row: what the ranked ones cannot say is measured at a fifth of the time."""

TEACHING_ROUND = 100
"""Random faces that people decide before the queue goes by rank, about five minutes: what they teach holds for the
whole set, while the top of a queue teaches less than as many random faces."""


def teaching_round(rows: int, *, asked: int = TEACHING_ROUND, voted: int = 0, by: Constants = STANDARD) -> int:
    """How many random faces the teaching round of a set of `rows` has: `asked`, at most a fifth of the set.

    None where most rows have votes (`voted` rows): those teach more than one person in five minutes can. Raises
    UsageError for fewer than 0.

    >>> teaching_round(6000), teaching_round(150), teaching_round(6000, voted=5900)
    (100, 30, 0)
    """
    if asked < 0:
        raise UsageError(f"a teaching round has 0 faces or more, got {asked}")
    return 0 if 2 * voted > rows else min(asked, rows // by.teaching_part)


def mixed_order(
    order: np.ndarray,
    *,
    share: float = RANDOM_SHARE,
    seed: int = 0,
    eligible: np.ndarray | None = None,
    first: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ranks of a queue that begins with `first` random rows and then has a random share among the most suspicious ones.

    A simple random sample of the eligible rows is drawn and put, in random order, at the first places (a teaching
    round) and then at every 1/share-th one; the other eligible rows fill the rest in their order. So wherever a
    reviewer stops, the drawn rows seen so far are a simple random sample of the eligible ones, whatever the scores are
    worth. The price: a drawn row may wait for longer than its score deserves. Rows that are not eligible (decided ones,
    say) keep their place exactly, and when the queue is made again without them, the draw goes on where it was among
    the rows that are left.

    `order` (N,) int: row numbers, the one to look at first comes first (what argsort gives). `eligible` (N,) bool by
    row number, default all. Returns, by row number: rank (N,) int, 1 = look first; drawn_at_random (N,) bool;
    inclusion_probability (N,) in (0, 1], NaN where not drawn. Raises UsageError for a share outside [0, 1] and for
    an order that does not name each row once.

    >>> rank, drawn, chance = mixed_order(np.arange(10), share=0.2)
    >>> int(drawn.sum()), sorted(rank[drawn].tolist()), np.unique(chance[drawn]).tolist()
    (2, [5, 10], [0.2])
    >>> sorted(mixed_order(np.arange(10), first=3)[0][mixed_order(np.arange(10), first=3)[1]].tolist())
    [1, 2, 3, 8]
    >>> bool((np.diff(rank[~drawn]) > 0).all())
    True
    """
    order = np.asarray(order, dtype=np.int64)
    n = len(order)
    if not 0 <= share <= 1:
        raise UsageError(f"the random share of the queue lies between 0 and 1, got {share}")
    if not np.array_equal(np.sort(order), np.arange(n)):
        raise UsageError("an order names each row exactly once")
    free = np.ones(n, dtype=bool) if eligible is None else np.asarray(eligible, dtype=bool)
    places = np.flatnonzero(free[order])  # in the order, where eligible rows stand
    first = min(first, len(places))
    # the place at which the running count of share passes the next whole number; the tiny sum is for 0.2 * 5 < 1
    later = np.diff(np.floor(np.arange(len(places) - first + 1) * share + 1e-9)) > 0
    due = np.concatenate([np.ones(first, dtype=bool), later])
    # rows by number, not by score: the draw must not know what is thought of them
    lot = np.random.default_rng(seed).permutation(n)
    rows = lot[free[lot]][: int(due.sum())]
    drawn = np.zeros(n, dtype=bool)
    drawn[rows] = True
    by_rank = order[places]
    mixed = order.copy()
    mixed[places[due]] = rows
    mixed[places[~due]] = by_rank[~drawn[by_rank]]
    rank = np.empty(n, dtype=np.int64)
    rank[mixed] = np.arange(1, n + 1)
    chance = np.where(drawn, len(rows) / max(len(places), 1), np.nan)
    return rank, drawn, chance
