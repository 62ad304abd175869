"""What people decided, out to a file and into another workspace of the same pictures, whatever their rows say there.

It never guesses: a decision whose picture the other workspace does not hold stays behind, and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ferclean.exports.content import records, write_csv
from ferclean.files import check_absent, whole_file
from ferclean.parts.shares import shares_as_text
from ferclean.store.samples import get_dataset
from ferclean.store.standing import standing_decisions
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

PICTURE, GIVEN = "content_hash", "given_label"
COLUMNS = (
    "sample_id", "source_key", PICTURE, GIVEN, "action", "label", "reviewer", "inclusion_probability", "note",
    "shares",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CarriedSummary(Summary):
    """What was written."""

    path: str
    written: int
    """Decisions that stand: the last one of each reviewer about each sample, and what settled a disagreement."""


def decisions_to_file(ws: Workspace, path: str | Path) -> CarriedSummary:
    """Write every decision that stands to a CSV file, which `decide --from-file` of another workspace takes in.

    Raises UsageError when the file is there already.
    """
    path = Path(path)
    check_absent(path, "--to-file")
    table, classes = standing_decisions(ws), get_dataset(ws).classes
    table["shares"] = [shares_as_text(said, classes) for said in table["shares"]]
    with whole_file(path, elsewhere="name another file with --to-file") as draft:
        write_csv(draft, COLUMNS, ([row[name] for name in COLUMNS] for row in records(table)))
    return CarriedSummary(path=str(path), written=len(table))


def restated(action: str, label: str, *, then: str, now: str | None) -> tuple[str, str]:
    """A decision about a sample that was given the label `then`, as it reads where it is given `now`.

    >>> restated("keep", "", then="fear", now="anger"), restated("relabel", "anger", then="fear", now="anger")
    (('relabel', 'fear'), ('keep', ''))
    """
    if action == "keep" and then and then != now:
        return "relabel", then
    if action == "relabel" and label == now:
        return "keep", ""
    return action, label
