"""A release's soft labels as training targets: one probability per class for every face that is in it.

It never computes a probability: where a release holds the label alone, the target is all of it on that label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ferclean.exports.content import write_csv

FILE = "soft_labels.csv"
"""The file beside the images in forms that have no place for more than one label per image."""
DIGITS = 6


def target(row: Mapping[str, Any], classes: Sequence[str]) -> list[float]:
    """The training target of a row of `Content.rows`: K probabilities in the card's order that sum to 1.

    >>> target({"release_label": "fear", "release_soft_label": None}, ("anger", "fear"))
    [0.0, 1.0]
    """
    soft = row["release_soft_label"]
    if soft is None:
        return [float(name == row["release_label"]) for name in classes]
    return [float(p) for p in soft]


def told(row: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """What forms of JSON say of a row of `Content.rows` beside its label: where it comes from, and how sure it is."""
    return {
        "sample_id": row["sample_id"],
        "source_key": row["source_key"],
        "given_label": row["given_label"],
        "changed": row["release_label"] != row["given_label"],
        "soft_label": [round(p, DIGITS) for p in target(row, classes)],
        "weight": round(row["release_weight"], DIGITS),
        "verdict": row["verdict"],
        "decision": row["decision"],
    }


def write_soft_labels(folder: Path, rows: Iterable[tuple[str, Mapping[str, Any]]], classes: Sequence[str]) -> None:
    """Write FILE into `folder`: per image its file below the folder, its split, its weight, and one column per class
    in the card's order."""
    write_csv(
        folder / FILE,
        ["file", "split", "weight", *classes],
        (
            [
                file,
                row["split"],
                round(row["release_weight"], DIGITS),
                *(round(p, DIGITS) for p in target(row, classes)),
            ]
            for file, row in rows
        ),
    )
