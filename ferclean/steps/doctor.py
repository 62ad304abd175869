"""Is this the data set that its card describes, and is it fit to be scored? Findings, each with its severity.

It never changes a sample or a file; what `fix` decides is rows in the log. It looks for copies itself, once per set of
images, in the arrays that ingest has decoded.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ferclean.errors import BadDataError, OtherSetError, UsageError
from ferclean.files import PAGE, check_absent, whole_file
from ferclean.health import card, copies, faces, order, orphans, page, people
from ferclean.health.finding import SEVERITIES, Finding, finding
from ferclean.parts import examined
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition.images import BLANK_CONTRAST
from ferclean.store import samples, standing
from ferclean.store.deciding import deciding
from ferclean.store.decisions import Decision
from ferclean.store.lock import UnwritableError
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
    look, for a lost picture or a folder that cannot be written, a finding says so. What people agree to exclude is no
    copy and no blank picture any more.
    """
    grave = _grave(fail_on)
    dataset = samples.get_dataset(ws)
    table = samples.get_samples(ws, include_quarantined=True)
    out = set(standing.agreed_out(ws))
    still = table[~table["sample_id"].isin(out)].reset_index(drop=True)
    checks = (
        lambda: card.quarantined(table),
        lambda: card.classes_there(table, dataset.classes),
        lambda: card.codes(table, dataset.card),
        lambda: card.counts(table, dataset.card, dataset.classes),
        lambda: card.names(table, dataset.card, ws.images),
        lambda: card.sizes(table, dataset.card),
        lambda: orphans.orphans(ws, table, Path(dataset.root), limited=bool(dataset.card.get("left_out"))),
        lambda: order.order(ws, table, dataset.classes),
        lambda: _left_out(table, still),
        lambda: people.across_splits(still),
        lambda: copies.equal(still),
        lambda: copies.near(ws, still, progress, tell),
        lambda: faces.faces(ws, still, progress, tell),  # what the look for copies saw
        lambda: _blank(still),
    )
    findings: list[Finding] = []
    for number, check in enumerate(checks, start=1):
        findings.extend(check())
        progress("checking", number, len(checks))
    findings.sort(key=lambda one: SEVERITIES.index(one.severity))
    try:
        examined.keep(ws, [one.as_dict() for one in findings], count=len(table))
    except UnwritableError as error:
        findings.append(finding("not_kept", "info", f"what was found is not kept for status: {error}", count=0))
    return DoctorReport(
        dataset=dataset.name,
        samples=len(table),
        findings=findings,
        gate_crossed=any(one.severity in grave for one in findings),
    )


def refused(error: BadDataError, dataset: str, *, fail_on: str = "error") -> DoctorReport:
    """What there is to say of a set that `ingest` refuses as what its card says: one error, "other_set" where it is
    known which set it is instead, else "refused"."""
    kind = "other_set" if isinstance(error, OtherSetError) else "refused"
    return DoctorReport(
        dataset=dataset, samples=0, findings=[finding(kind, "error", str(error), count=1)],
        gate_crossed="error" in _grave(fail_on),
    )  # fmt: skip


def _grave(fail_on: str) -> tuple[str, ...]:
    known = {"error": ("error",), "warning": ("error", "warning"), "never": ()}
    if fail_on not in known:
        raise UsageError(f"fail_on is error, warning or never, not {fail_on!r}")
    return known[fail_on]


@dataclass(frozen=True, kw_only=True)
class Fix(Summary):
    """What `fix` decided, or would decide."""

    excluded: list[dict[str, Any]] = field(repr=False)
    """One dict per picture that is left out: sample_id, source_key, split, given_label, why (kinds of findings)."""
    decided: int
    """Pictures left alone, because somebody decided about them already."""
    asks: dict[str, int]
    """Kind of finding that cannot be mended without a person's eye (an error or a warning) -> samples."""
    bulk_id: str | None
    """What `ferclean undo --bulk` takes back; None where nothing was recorded."""
    dry_run: bool


def fix(ws: Workspace, report: DoctorReport, *, reviewer: str, dry_run: bool = False, asked: Fix | None = None) -> Fix:
    """Exclude, as decisions by `reviewer`, what the findings of `report` name as needing no person's eye.

    Those are the copies of evaluation pictures in training, all but the first of equal training pictures under one
    label, and blank training pictures. Never a picture that one would have to choose a label for, never one of the test
    split, and none that anybody decided about. No file is touched. All of it is one bulk, which one undo takes back.

    With `asked`, what a dry run told, nothing is recorded where that is no longer what would be excluded: `excluded`
    then says what would, and `bulk_id` is None.
    """
    why: dict[str, list[str]] = {}
    for one in report.findings:
        for sample_id in one.exclude:
            why.setdefault(sample_id, []).append(one.kind)
    asks = {one.kind: one.count for one in report.findings if not one.exclude and one.severity != "info"}
    bulk = f"{standing.DOCTOR}{uuid.uuid4().hex[:12]}"
    with deciding(ws, dry_run=dry_run) as log:
        known = {sample_id for (sample_id, _), said in log.said(list(why)).items() if said.action is not None}
        table = log.named(list(why), [], [])
        listed = [
            {name: row[name] for name in ("sample_id", "source_key", "split", "given_label")}
            | {"why": why[row["sample_id"]]}
            for row in table.to_dict("records")
            if row["sample_id"] not in known
        ]
        done = dry_run or not listed or (asked is not None and listed != asked.excluded)
        if not done:
            log.append(
                [
                    Decision(
                        sample_id=one["sample_id"], action="exclude", reviewer=reviewer, by_choice=True, bulk_id=bulk,
                        note=f"doctor: {', '.join(one['why'])}", source="cli",
                    )
                    for one in listed
                ]
            )  # fmt: skip
    return Fix(excluded=listed, decided=len(known), asks=asks, bulk_id=None if done else bulk, dry_run=dry_run)


def write_page(ws: Workspace, report: DoctorReport, out: Path, *, overwrite: bool = False) -> None:
    """Write the findings with their pictures as one self-contained HTML page (`health.page`).

    Raises UsageError where something stands at `out` and `overwrite` is not set, FercleanError where the extra `report`
    is missing.
    """
    check_absent(out, "--html", overwrite=overwrite, begins=PAGE)
    html = page.page(ws, samples.get_samples(ws, include_quarantined=True), report.findings)
    with whole_file(out, elsewhere="choose another place with --html") as draft:
        draft.write_text(html, "utf-8")


def _left_out(table: pd.DataFrame, still: pd.DataFrame) -> list[Finding]:
    if not (count := len(table) - len(still)):
        return []
    message = f"{count:,} pictures that people excluded were not asked about copies, faces and content"
    return [finding("left_out", "info", message, count=count)]


def _blank(table: pd.DataFrame) -> list[Finding]:
    rows = table[table["quarantine_reason"].isna() & (table["contrast"] < BLANK_CONTRAST)]
    if not len(rows):
        return []
    learned = list(rows.loc[rows["split"] == "train", "sample_id"])  # what is measured on is never changed
    message = f"{len(rows):,} images show nothing (contrast below {BLANK_CONTRAST})"
    return [finding("blank", "warning", message, rows, exclude=learned)]
