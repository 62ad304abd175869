"""Which rows of bits are nearly equal? A search by hash tables over sampled bits, so that not every pair is looked at.

Locality-sensitive hashing for Hamming distance (Indyk and Motwani, STOC 1998). It knows no picture and no label.
"""

from __future__ import annotations

import numpy as np

from ferclean.errors import BadDataError

TABLES = 64
"""Samples of bits, in any of which two rows must agree wholly to meet. Of 256 bits at 15,000 rows (11 a table) those
that differ in 36 meet with a chance of .999998 and in 48 of .999; at 300,000 (16 a table) of .997 and .90, in 29 of
.99996."""
MOST = 100
"""Equal rows that are told of at most: ten thousand copies of one placeholder are nobody's picture."""
_CHUNK = 2_000_000  # pairs that are compared at once: 130 MB of 256 bits


def near_rows(asking: np.ndarray, among: np.ndarray, *, within: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of rows that differ in `within` bits or fewer: (P,) rows of `asking`, (P,) of `among`, (P,) bits.

    `asking` (M, B) and `among` (N, B) are bytes, eight bits each; pairs come in order of both rows. Rows that agree
    wholly always meet, see TABLES for the others. Cost: 64 sorts of N numbers and as many searches for M, and some ten
    comparisons a row and table: 1 second at 15,000 rows, 40 at 300,000, where the pairs that are near take the memory.

    >>> rows = np.array([[0, 255], [1, 255], [255, 0]], dtype=np.uint8)
    >>> [part.tolist() for part in near_rows(rows[:1], rows, within=3)]
    [[0, 0], [0, 1], [0, 1]]
    """
    if asking.ndim != 2 or among.ndim != 2 or asking.shape[1] != among.shape[1]:
        raise BadDataError(f"rows of bits must be equally long, got {asking.shape} and {among.shape}")
    if not len(asking) or not len(among):
        empty = np.empty(0, dtype=np.int64)
        return empty, empty, empty
    # equal rows are one while they are sought
    own, of_asking = _distinct(asking)
    others, of_among = _distinct(among)
    pairs = _search(own, others, within)
    distance = _differing(own, others, *np.divmod(pairs, len(others)))
    members_asking, members_among = _members(of_asking, len(own)), _members(of_among, len(others))
    rows, columns, bits = [], [], []
    for pair, value in zip(pairs.tolist(), distance.tolist(), strict=True):
        mine = members_asking[pair // len(others)]
        theirs = members_among[pair % len(others)][:MOST]
        rows.append(np.repeat(mine, len(theirs)))
        columns.append(np.tile(theirs, len(mine)))
        bits.append(np.full(len(mine) * len(theirs), value))
    if not rows:
        empty = np.empty(0, dtype=np.int64)
        return empty, empty, empty
    row, column, bit = np.concatenate(rows), np.concatenate(columns), np.concatenate(bits)
    order = np.lexsort((column, row))
    return row[order], column[order], bit[order].astype(np.int64)


def _search(own: np.ndarray, others: np.ndarray, within: int) -> np.ndarray:
    """Pairs as row of `own` * len(others) + row of `others`, each once."""
    width = own.shape[1] * 8
    sampled = min(width, int(np.clip(np.log2(max(len(others), 2)) - 2, 8, 20)))
    rng = np.random.default_rng(0)
    found = np.empty(0, dtype=np.int64)
    for _ in range(TABLES):
        places = np.sort(rng.choice(width, sampled, replace=False))
        keys, known = _keys(own, places), _keys(others, places)
        order = np.argsort(known, kind="stable")
        begin = np.searchsorted(known[order], keys)
        count = np.searchsorted(known[order], keys, side="right") - begin
        near = [found]
        upto = np.cumsum(count)
        start = 0
        while start < len(own):  # as many rows as make a chunk, at least one
            done = upto[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(upto, done + _CHUNK, side="right")))
            size = count[start:stop]
            row = np.repeat(np.arange(start, stop), size)
            offset = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
            column = order[np.repeat(begin[start:stop], size) + offset]
            close = _differing(own, others, row, column) <= within
            near.append(row[close] * len(others) + column[close])
            start = stop
        found = np.unique(np.concatenate(near))
    return found


def _keys(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N,): the bits at these places as one number."""
    keys = np.zeros(len(rows), dtype=np.int64)
    for place in places.tolist():
        keys = keys << 1 | (rows[:, place >> 3] >> (7 - (place & 7)) & 1)
    return keys


def _differing(own: np.ndarray, others: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """(P,): in how many bits the rows of each pair differ."""
    total = np.zeros(len(row), dtype=np.int64)
    for byte in range(0, own.shape[1], 8):  # eight bytes at a time: no pair is copied whole
        part = slice(byte, byte + 8)
        total += np.bitwise_count(_number(own[:, part])[row] ^ _number(others[:, part])[column])
    return total


def _number(eight: np.ndarray) -> np.ndarray:
    """(N,) uint64 of up to eight bytes a row."""
    padded = np.zeros((len(eight), 8), dtype=np.uint8)
    padded[:, : eight.shape[1]] = eight
    return padded.view(np.uint64)[:, 0]


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different rows, and which of them each row is (N,)."""
    plain = np.ascontiguousarray(rows, dtype=np.uint8)
    _, first, which = np.unique(plain.view(f"V{plain.shape[1]}").ravel(), return_index=True, return_inverse=True)
    return plain[first], which.ravel()


def _members(which: np.ndarray, count: int) -> list[np.ndarray]:
    """Of each distinct row the rows that are it, ascending."""
    order = np.argsort(which, kind="stable")
    return np.split(order, np.cumsum(np.bincount(which, minlength=count))[:-1])
