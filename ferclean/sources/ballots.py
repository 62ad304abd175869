"""What files of votes have in common: shares or counts, and whether their keys are those of the samples.

It never reads a file and never leaves a vote out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from ferclean.errors import BadDataError, few
from ferclean.sources.tabular import text_of

_TOLERANCE = 0.02
"""How far a row of rounded shares may be from adding up to 1."""


def vote_number(cell: Any) -> float | None:
    """A cell of votes as a number from 0, an empty one as 0; None for anything else.

    >>> vote_number("3.0"), vote_number(None), vote_number("-1"), vote_number("many")
    (3.0, 0.0, None, None)
    """
    try:
        value = float(text_of(cell) or 0)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def whole_votes(path: Path, rows: Mapping[str, Sequence[float]], annotators: int | None) -> dict[str, list[int]]:
    """Votes per row as whole counts, by one rule for the whole file.

    Without a fraction anywhere the numbers are counts, unless they are per cent: then every row adds up to 100, which
    is not the number of `annotators`. With a fraction they are shares of 1 or per cent, in every row: the unanimous
    row "0 1 0" stands for as many people as its neighbours, `annotators` of them, and so do all rows after rounding; a
    row of zeros has no votes. Raises BadDataError for shares without `annotators`, and, counting and naming them, for
    rows in a file of shares that do not add up to 1.
    """
    sums = [sum(values) for values in rows.values() if any(values)]
    per_cent = bool(sums) and all(abs(one - 100) <= 100 * _TOLERANCE for one in sums)
    if not any(value % 1 for values in rows.values() for value in values):
        exact = per_cent and annotators not in (None, 100) and set(sums) == {100.0}
        if not exact:
            return {name: [int(value) for value in values] for name, values in rows.items()}
    if annotators is None:
        raise BadDataError(
            f"{path} holds shares; the card must say how many annotators they are shares of (annotators: 10)"
        )
    whole = 100.0 if per_cent else 1.0
    odd = [name for name, values in rows.items() if any(values) and abs(sum(values) / whole - 1.0) > _TOLERANCE]
    if odd:
        raise BadDataError(
            f"{path} holds shares, but {len(odd):,} of {len(rows):,} rows do not add up to 1, first {few(odd)}; give "
            "shares in every row, or counts in every row"
        )
    return {name: _apportioned(values, annotators) for name, values in rows.items()}


def refuse_strangers(path: Path, voted: Collection[str], keys: Set[str], mend: str) -> None:
    """Raise BadDataError, counting and naming them, for votes on keys that are not among the samples' `keys`."""
    strangers = [key for key in voted if key not in keys]
    if strangers:
        raise BadDataError(
            f"{path}: {len(strangers):,} of {len(voted):,} keys are no sample's source_key, first {few(strangers)}; "
            f"{mend}"
        )


def by_label(labels: Sequence[str], counts: Sequence[int]) -> dict[str, int]:
    """Votes per label, without zeros; two columns may stand for one label.

    >>> by_label(["fear", "anger", "fear"], [1, 0, 2])
    {'fear': 3}
    """
    found: dict[str, int] = {}
    for label, count in zip(labels, counts, strict=True):
        if count:
            found[label] = found.get(label, 0) + count
    return found


def _apportioned(shares: Sequence[float], total: int) -> list[int]:
    """Whole counts that add up to `total`, by the largest remainders; all 0 for shares of nothing."""
    if not any(shares):
        return [0] * len(shares)
    exact = [share * total / sum(shares) for share in shares]
    counts = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda place: counts[place] - exact[place])
    for place in by_remainder[: total - sum(counts)]:
        counts[place] += 1
    return counts
