"""Splits of any shares that never part a group and keep classes and attributes alike, and how alike they are.

It never looks at a file, and knows no names: codes of values and groups come in, numbers of splits go out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ferclean.errors import BadDataError, UsageError

EXCHANGED = 500
"""Groups up to which they change places after the greedy pass: few large ones need it, many small ones do not."""
RANDOM_TRIES = 20
"""Random splits of the groups that a balanced one is compared with."""


def balanced_splits(traits: np.ndarray, groups: np.ndarray, *, shares: Sequence[float], seed: int) -> np.ndarray:
    """The split of each row: (N,) int64 in 0..len(shares)-1, a group never parted, every trait spread by the shares.

    `traits` (N, M) int: the code of each row's class, age ... in 0, 1, 2 ..., -1 where a row counts for nothing;
    `groups` (N,): equal for rows that stay together; `shares`: each above 0, they sum to 1. Greedy multi-label
    stratification over groups (Sechidis et al., 2011, who place single rows): the largest groups first, then those
    of rare values; each goes where it adds least to the sum of observed^2 / expected over all values and splits,
    which is least where every value is spread by the shares. Unlike `splits.grouped_folds`, which makes equal folds
    by one label. Deterministic by `seed`, whatever the groups are called. 300,000 rows in 4 traits: 3 s of a core.

    >>> split = balanced_splits(np.array([[0], [0], [1], [1]]), np.arange(4), shares=(0.5, 0.5), seed=0)
    >>> sorted(split[:2].tolist()), sorted(split[2:].tolist())
    ([0, 1], [0, 1])
    """
    traits, groups = np.asarray(traits), np.asarray(groups)
    if traits.ndim != 2 or groups.shape != traits.shape[:1]:
        raise BadDataError(f"traits must be (N, M) and groups (N,), got {traits.shape} and {groups.shape}")
    _check_shares(shares)
    if not len(groups):
        return np.empty(0, dtype=np.int64)
    group = _by_appearance(groups)
    # that a row is there is a trait, too: the sizes of the splits
    content = _content(np.column_stack([np.zeros(len(group), dtype=np.int64), traits]), group)
    rng = np.random.default_rng(seed)
    placed = _greedy(content, shares, rng.permutation(content.shape[0]))
    if len(placed) <= EXCHANGED:
        placed = _exchanged(np.asarray(content.todense()), shares, placed)
    return placed[group]


def _greedy(content: Any, shares: Sequence[float], shuffled: np.ndarray) -> np.ndarray:
    """The split of each group (G,), from counts of values (G, C); those that hold the same are dealt out at once."""
    total = np.asarray(content.sum(0)).ravel()
    starts, cells, counts = content.indptr.tolist(), content.indices.tolist(), content.data.tolist()
    alike: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
    for index in shuffled.tolist():
        its = slice(starts[index], starts[index + 1])
        alike.setdefault((tuple(cells[its]), tuple(counts[its])), []).append(index)
    # big groups while there is still room to balance, then rare values
    order = sorted(alike, key=lambda one: (-one[1][0], min(total[list(one[0])])))
    held = np.zeros((len(shares), len(total)))
    share = np.array(shares)
    placed = np.empty(content.shape[0], dtype=np.int64)
    for own, number in order:
        members, n, at = alike[own, number], np.array(number), list(own)
        unit = n / (total[at] * share[:, None])  # (K, values)
        first = (unit * (2 * held[:, at] + n)).sum(1)
        dealt = _dealt(first.tolist(), (2 * unit * n).sum(1).tolist(), len(members))
        placed[members] = np.repeat(np.arange(len(shares)), dealt)
        held[:, at] += np.array(dealt)[:, None] * n
    return placed


def _dealt(first: list[float], more: list[float], count: int) -> list[int]:
    """How many of `count` equal groups each split takes, one after another where it costs least: `first` for the first
    one, `more` for each one that it has already."""
    splits = range(len(first))
    taken = [0] * len(first)
    if count > 4 * len(first):  # all but the last few at once: to the level that all of them fill
        filling = list(splits)
        while True:
            level = (count + sum(first[k] / more[k] for k in filling)) / sum(1 / more[k] for k in filling)
            below = [k for k in filling if first[k] < level]
            if below == filling:
                break
            filling = below
        taken = [max(0, int((level - first[k]) / more[k]) - 1) if k in filling else 0 for k in splits]
    for _ in range(count - sum(taken)):
        cheapest = min(splits, key=lambda k: first[k] + more[k] * taken[k])
        taken[cheapest] += 1
    return taken


def _exchanged(content: np.ndarray, shares: Sequence[float], placed: np.ndarray) -> np.ndarray:
    """Few and large groups: the one that gains most moves or changes places with another, as long as one gains; here
    small splits count as much as large ones, since a difference shows in them first."""
    share, root = np.array(shares), np.sqrt(content.sum(0))  # every value is somewhere: none is 0
    scaled = content / root
    apart = scaled @ scaled.T  # (G, G)
    size = np.diag(apart)
    placed = placed.copy()
    everybody = np.arange(len(placed))
    for _ in range(len(placed)):
        held = np.zeros((len(share), content.shape[1]))
        np.add.at(held, placed, scaled)
        over = 2 * (held - share[:, None] * root) / share[:, None] ** 2  # (K, C)
        pull = scaled @ over.T  # (G, K): what a group's values weigh in each split
        own = pull[everybody, placed]
        weight = 1 / share**2
        move = pull - own[:, None] + size[:, None] * (weight + weight[placed][:, None])
        move[everybody, placed] = np.inf
        alone = np.bincount(placed, minlength=len(share))[placed] == 1
        move[alone] = np.inf  # no split is left empty
        there = pull[:, placed]  # (G, G): g in the split of the other
        both = weight[placed][:, None] + weight[placed]
        swap = there - own[:, None] + there.T - own + (size[:, None] + size - 2 * apart) * both
        swap[placed[:, None] == placed] = np.inf
        if min(move.min(initial=np.inf), swap.min(initial=np.inf)) > -1e-9:
            break
        if move.min(initial=np.inf) <= swap.min(initial=np.inf):
            index, split = np.unravel_index(move.argmin(), move.shape)
            placed[index] = split
        else:
            one, other = np.unravel_index(swap.argmin(), swap.shape)
            placed[[one, other]] = placed[[other, one]]
    return placed


def random_splits(groups: np.ndarray, *, shares: Sequence[float], seed: int) -> np.ndarray:
    """As `balanced_splits` by nothing but the sizes: groups in a random order, cut where the shares say: (N,) int64."""
    _check_shares(shares)
    if not len(groups):
        return np.empty(0, dtype=np.int64)
    group = _by_appearance(np.asarray(groups))
    size = np.bincount(group)
    order = np.random.default_rng(seed).permutation(len(size))
    middle = np.cumsum(size[order]) - size[order] / 2
    placed = np.empty(len(size), dtype=np.int64)
    placed[order] = np.searchsorted(np.cumsum(shares)[:-1] * len(group), middle, side="right")
    return placed[group]


def differences(split: np.ndarray, traits: np.ndarray) -> np.ndarray:
    """Of each trait the largest difference between a value's share in a split and in all of them: (M,), 0 to 1.

    `split` (N,) int, `traits` (N, M) as for `balanced_splits`; rows without a value are left out of that trait.
    """
    found = np.zeros(traits.shape[1])
    for column, codes in enumerate(traits.T):
        known = codes >= 0
        if not known.any():
            continue
        counts = np.zeros((int(split.max()) + 1, int(codes.max()) + 1))
        np.add.at(counts, (split[known], codes[known]), 1)
        counts = counts[counts.sum(1) > 0]
        found[column] = np.abs(counts / counts.sum(1, keepdims=True) - counts.sum(0) / counts.sum()).max()
    return found


def random_differences(
    groups: np.ndarray, traits: np.ndarray, *, shares: Sequence[float], seed: int, tries: int = RANDOM_TRIES
) -> np.ndarray:
    """`differences` of plain random splits of the same groups, their mean: (M,)."""
    tried = [
        differences(random_splits(groups, shares=shares, seed=seed + number), traits) for number in range(1, tries + 1)
    ]
    return np.mean(tried, axis=0)


def _check_shares(shares: Sequence[float]) -> None:
    if not len(shares) or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise UsageError(f"shares are above 0 and sum to 1, not {', '.join(f'{share:g}' for share in shares)}")


def _by_appearance(groups: np.ndarray) -> np.ndarray:
    """Group numbers from 0 by first appearance, so that what they are called does not matter."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[inverse]


def _content(traits: np.ndarray, group: np.ndarray) -> Any:
    """(groups, values of all traits) counts, sparse."""
    from scipy.sparse import csr_matrix

    widths = [int(column.max(initial=-1)) + 1 for column in traits.T]
    starts = np.cumsum([0, *widths[:-1]])
    rows, columns = np.nonzero(traits >= 0)
    _, cells = np.unique(traits[rows, columns] + starts[columns], return_inverse=True)
    shape = (int(group.max()) + 1, int(cells.max()) + 1)
    content = csr_matrix((np.ones(len(rows), dtype=np.int64), (group[rows], cells)), shape=shape)
    content.sum_duplicates()
    content.sort_indices()
    return content
