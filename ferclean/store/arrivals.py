"""What is asked of rows before they become samples: keys of their own, known classes, nothing changed since before.

It never reads or writes the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ferclean.errors import BadDataError, among, few

if TYPE_CHECKING:
    from ferclean.store.samples import Dataset, Sample

SPLITS = ("train", "validation", "test")


def check_rows(samples: Sequence[Sample], dataset: Dataset) -> None:
    """Raise BadDataError, naming the key, for an unknown split, class or location, or a source key that comes twice."""
    seen: set[str] = set()
    twice = []
    for sample in samples:
        if sample.split not in SPLITS:
            raise BadDataError(f"{sample.source_key}: unknown split {sample.split!r}; {among(sample.split, SPLITS)}")
        if sample.given_label is None and sample.quarantine_reason is None:
            raise BadDataError(f"{sample.source_key}: no given label and no quarantine reason; give one of them")
        if sample.given_label is not None and sample.given_label not in dataset.classes:
            raise BadDataError(
                f"{sample.source_key}: unknown class {sample.given_label!r}; "
                f"{dataset.name} has {', '.join(dataset.classes)}"
            )
        if sample.location not in ("source", "workspace"):
            raise BadDataError(f"{sample.source_key}: unknown location {sample.location!r}; known: source, workspace")
        if sample.source_key in seen:
            twice.append(sample.source_key)
        seen.add(sample.source_key)
    if twice:
        raise BadDataError(
            f"{len(twice)} source keys come more than once, first {first_keys(twice)}: "
            "rows need keys of their own, or one of them would vanish; name a key column that tells them apart"
        )


def vote_counts(sample: Sample) -> dict[str, int]:
    """A sample's votes without zeros. Raises BadDataError for a count below 0."""
    votes = {label: int(count) for label, count in (sample.votes or {}).items()}
    if any(count < 0 for count in votes.values()):
        raise BadDataError(f"{sample.source_key}: a vote count below 0 ({votes})")
    return {label: count for label, count in votes.items() if count}


def first_keys(keys: Sequence[str]) -> str:
    """The first few keys, for an error message."""
    # keys may hold newlines or terminal codes: shown as Python would write them
    return few(map(repr, keys))
