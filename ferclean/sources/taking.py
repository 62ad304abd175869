"""Which rows of a source are taken, and under which keys: a drawn share of every split and label, no key twice.

It reads names and labels, no picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from ferclean import sources
from ferclean.progress import Progress
from ferclean.sources.cards import Card
from ferclean.sources.rows import SourceRow

_CHUNK = 256


def chunks(rows: Iterator[SourceRow]) -> Iterator[list[SourceRow]]:
    """The rows, so many at a time that one transaction of work is short."""
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


def chosen(
    path: Path, card: Card, options: Mapping[str, object], *, limit: int | None, seed: int, progress: Progress
) -> tuple[set[int] | None, int]:
    """(row numbers to take or None for all, how many stay out): the same share of every split and label."""
    if limit is None:
        return None, 0
    strata: dict[tuple[str, str], list[int]] = {}
    for index, row in enumerate(sources.read(path, card, options)):
        if not row.ignored:
            strata.setdefault((row.split, row.given_label or ""), []).append(index)
    total = sum(map(len, strata.values()))
    progress("choosing samples", total, total)
    if total <= limit:
        return None, 0
    rng = np.random.default_rng(seed)
    # position within its stratum in (0, 1]: taking the smallest overall takes the same share everywhere
    ranked: list[tuple[float, float, int]] = []
    for members in strata.values():
        order = rng.permutation(len(members))
        ranked += [((place + 0.5) / len(members), rng.random(), members[int(i)]) for place, i in enumerate(order)]
    return {index for _, _, index in sorted(ranked)[:limit]}, total - limit


def unique_key(row: SourceRow, seen: Counter[str]) -> SourceRow:
    """A key that stands in the source twice (one image under two labels) gets a number: both rows stay."""
    seen[row.source_key] += 1
    if seen[row.source_key] == 1:
        return row
    key = f"{row.source_key}#{seen[row.source_key]}"
    while key in seen:
        seen[row.source_key] += 1
        key = f"{row.source_key}#{seen[row.source_key]}"
    seen[key] += 1
    return replace(row, source_key=key)
