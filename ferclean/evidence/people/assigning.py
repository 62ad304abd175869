"""Whose sample it is: worked out from its id and the reviewers' names, so that nothing is kept per sample.

It reads and records nothing. Each sample goes to the reviewer whose digest together with it is largest (rendezvous
hashing: Thaler and Ravishankar, 1998): whoever joins takes an equal share from each, whoever leaves leaves the rest as
it was, and all who know the names agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

_WIDE = 2.0**64


def digests(sample_ids: Sequence[str], *words: str | int) -> np.ndarray:
    """(n,) uint64: a digest of each sample id together with the words, equally spread, the same on every machine.

    Ids are digests themselves (20 hex digits), of which the first 16 are taken. 0.3 s for a million.
    """
    salt = int.from_bytes(hashlib.sha256("\0".join(map(str, words)).encode()).digest()[:8], "big")
    ids = np.frombuffer(bytes.fromhex("".join(one[:16] for one in sample_ids)), dtype=">u8").astype(np.uint64)
    mixed = ids ^ np.uint64(salt)  # splitmix64's last steps (Steele, Lea and Flood, 2014): each bit moves all
    with np.errstate(over="ignore"):
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def drawn(sample_ids: Sequence[str], share: float, *words: str | int) -> np.ndarray:
    """(n,) bool: the `share` in [0, 1] of the samples that the words draw; a larger share draws these and more."""
    return digests(sample_ids, *words) / _WIDE < share


def assigned(
    sample_ids: Sequence[str], reviewers: Sequence[str], *, overlap: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """((n,), (n,)) places in `reviewers`: who answers each sample, and who else does, -1 where nobody.

    A share `overlap` has a second reviewer, none where there is but one.
    """
    first = np.zeros(len(sample_ids), dtype=np.int64)
    second = np.full(len(sample_ids), -1, dtype=np.int64)
    best = digests(sample_ids, seed, "reviewer", reviewers[0])
    next_best = np.zeros(len(sample_ids), dtype=np.uint64)
    for place, name in enumerate(reviewers[1:], start=1):
        own = digests(sample_ids, seed, "reviewer", name)
        ahead = own > best
        behind = ~ahead & ((own > next_best) | (second < 0))
        second = np.where(ahead, first, np.where(behind, place, second))
        next_best = np.where(ahead, best, np.where(behind, own, next_best))
        first, best = np.where(ahead, place, first), np.maximum(own, best)
    return first, np.where(drawn(sample_ids, overlap, seed, "overlap"), second, -1)
