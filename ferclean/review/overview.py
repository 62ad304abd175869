"""Where a workspace stands, in counts: classes, verdicts, which label would become which, and what people decided.

It never decides anything and holds no picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ferclean.parts.examined import in_words, last_look
from ferclean.store import counts
from ferclean.store.decisions import ACTIONS
from ferclean.store.runs import latest_run
from ferclean.store.samples import get_dataset
from ferclean.store.verdicts import KINDS
from ferclean.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class ClassLine:
    """One class of the data set."""

    label: str
    samples: int
    """Samples with this given label."""
    flagged: int
    """Of them, those that triage calls mislabelled."""
    decided: int
    """Of them, those with a decision."""
    leaving: int
    """Of them, those that people relabelled as something else."""
    arriving: int
    """Samples of other classes that people relabelled as this one."""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The counts that the overview page shows."""

    samples: int
    """Samples that take part."""
    quarantined: int
    classes: tuple[ClassLine, ...]
    """In the card's order."""
    verdicts: dict[str, tuple[int, int]]
    """Verdict -> (samples, of them decided)."""
    flows: dict[str, dict[str, int]]
    """Given label -> suggested label -> mislabelled samples."""
    expected: list[dict[str, float]]
    """What triage expects of its queue: depth, found, precision, recall and their ends; empty before it."""
    error_rate: tuple[float, float, float] | None
    """Estimated share of wrong given labels, low and high end; None before triage."""
    actions: dict[str, int]
    """Action -> samples for which it stands."""
    reviewers: dict[str, int]
    """Reviewer -> samples whose latest decision is theirs."""
    conflicts: int
    """Samples about which reviewers disagree."""
    examined: str
    """What doctor found when it looked last, in words."""


def overview(ws: Workspace) -> Overview:
    """Count everything at one moment. Raises UsageError when nothing was ingested."""
    with ws.reading("overview"):
        return _overview(ws)


def _overview(ws: Workspace) -> Overview:
    classes = get_dataset(ws).classes
    table = counts.sample_counts(ws)
    usable = table[~table["quarantined"]]
    actions = counts.total(table, "decision")
    triaged = latest_run(ws, "triage")
    said = triaged.metrics if triaged else {}
    rate = [said.get("estimated_error_rate"), *said.get("error_rate_interval", ())]
    return Overview(
        samples=_sum(usable),
        quarantined=_sum(table) - _sum(usable),
        classes=tuple(_class_line(usable, label) for label in classes),
        verdicts={
            kind: (_sum(chosen), _sum(chosen[chosen["decision"].notna()]))
            for kind in KINDS
            if len(chosen := table[table["verdict"] == kind])
        },
        flows=_flows(usable, classes),
        expected=list(said.get("expected", ())),
        error_rate=(float(rate[0]), float(rate[1]), float(rate[2])) if len(rate) == 3 else None,
        actions={name: actions[name] for name in ACTIONS if name in actions},
        reviewers=counts.reviewer_counts(ws),
        conflicts=_sum(table[table["conflict"]]),
        examined=in_words(last_look(ws)),
    )


def _sum(counted: pd.DataFrame) -> int:
    return int(counted["samples"].sum())


def _class_line(usable: pd.DataFrame, label: str) -> ClassLine:
    own = usable[usable["given_label"] == label]
    relabelled = usable[(usable["decision"] == "relabel") & (usable["corrected_label"] != usable["given_label"])]
    return ClassLine(
        label=label,
        samples=_sum(own),
        flagged=_sum(own[own["verdict"] == "mislabelled"]),
        decided=_sum(own[own["decision"].notna()]),
        leaving=_sum(relabelled[relabelled["given_label"] == label]),
        arriving=_sum(relabelled[relabelled["corrected_label"] == label]),
    )


def _flows(usable: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, dict[str, int]]:
    wrong = usable[(usable["verdict"] == "mislabelled") & usable["suggested_label"].notna()]
    found = wrong.groupby(["given_label", "suggested_label"])["samples"].sum().to_dict()
    return {given: {other: int(found.get((given, other), 0)) for other in classes} for given in classes}
