"""Is this the data set that its card describes, and is it fit to be scored? Findings, each with its severity.

It never changes a sample. It looks for copies itself, once per set of images, in the arrays that ingest has decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ferclean.errors import UsageError
from ferclean.health import card, copies, faces, order, orphans
from ferclean.health.finding import SEVERITIES, Finding, finding
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition.images import BLANK_CONTRAST
from ferclean.store import samples
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary


@dataclass(frozen=True, kw_only=True)
class DoctorReport(Summary):
    """Findings, the grave ones first; `gate_crossed` when one is at least as grave as asked for."""

    dataset: str
    samples: int
    findings: list[Finding]
    gate_crossed: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dataset": self.dataset, "samples": self.samples,
            "findings": [one.as_dict() for one in self.findings], "gate_crossed": self.gate_crossed,
        }  # fmt: skip


def doctor(
    ws: Workspace,
    *,
    fail_on: Literal["error", "warning", "never"] = "error",
    progress: Progress = silent,
    tell: Tell = unheard,
) -> DoctorReport:
    """Check numbers, classes, names, sizes, quarantine, copies, conflicting labels and leaks of what was ingested.

    Near and mirrored copies are looked for here, unless that was done for these images; `score` and `retrain` use the
    same ones, and `tell` hears who is waited for. An "error" makes measured results wrong (a leak, a missing or shifted
    class) or is another set than the card's, a "warning" is worth a look, an "info" is good to know. Where nobody can
    look, for a lost picture or a folder that cannot be written, a finding says so.
    """
    if fail_on not in ("error", "warning", "never"):
        raise UsageError(f"fail_on is error, warning or never, not {fail_on!r}")
    dataset = samples.get_dataset(ws)
    table = samples.get_samples(ws, include_quarantined=True)
    checks = (
        lambda: card.quarantined(table),
        lambda: card.classes_there(table, dataset.classes),
        lambda: card.codes(table, dataset.card),
        lambda: card.counts(table, dataset.card, dataset.classes),
        lambda: card.names(table, dataset.card, ws.images),
        lambda: card.sizes(table, dataset.card),
        lambda: orphans.orphans(ws, table, Path(dataset.root), limited=bool(dataset.card.get("left_out"))),
        lambda: order.order(ws, table, dataset.classes),
        lambda: copies.equal(table),
        lambda: copies.near(ws, table, progress, tell),
        lambda: faces.faces(ws, table, progress, tell),  # what the look for copies saw
        lambda: _blank(table),
    )
    findings: list[Finding] = []
    for number, check in enumerate(checks, start=1):
        findings.extend(check())
        progress("checking", number, len(checks))
    findings.sort(key=lambda one: SEVERITIES.index(one.severity))
    grave = {"error": ("error",), "warning": ("error", "warning"), "never": ()}[fail_on]
    return DoctorReport(
        dataset=dataset.name,
        samples=len(table),
        findings=findings,
        gate_crossed=any(one.severity in grave for one in findings),
    )


def _blank(table: pd.DataFrame) -> list[Finding]:
    rows = table[table["quarantine_reason"].isna() & (table["contrast"] < BLANK_CONTRAST)]
    if not len(rows):
        return []
    return [finding("blank", "warning", f"{len(rows):,} images show nothing (contrast below {BLANK_CONTRAST})", rows)]
