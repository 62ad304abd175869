"""Is this the data set that its card describes, and is it fit to be scored? Findings, each with its severity.

It never changes a sample. It looks for copies itself, once per set of images, in the arrays that ingest has decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from ferclean.errors import FercleanError, UsageError, WorkspaceBusyError
from ferclean.parts.copies import MIRRORED, find_duplicates
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition.images import BLANK_CONTRAST
from ferclean.sources.codes import perhaps_shifted
from ferclean.sources.rows import reason_kind
from ferclean.store import samples
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")

TINY_CLASS = 20
"""Training samples; a class with fewer cannot be judged well out-of-fold."""

MANY_QUARANTINED = 0.05
"""Share of a data set above which broken rows are no accident any more."""

_EXAMPLES = 5
"""Source keys that a finding names."""

_TOLERANCE = 0.02
"""By which share a class may differ in size from the one of the card that it seems to be; two classes nearer to each
other than twice that are not told apart by their sizes."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to know: `kind` is stable, `count` says how many samples, `examples` are source keys of some."""

    kind: str
    severity: Severity
    count: int
    message: str
    examples: list[str]


@dataclass(frozen=True, kw_only=True)
class DoctorReport(Summary):
    """Findings, the grave ones first; `gate_crossed` when one is at least as grave as asked for."""

    dataset: str
    samples: int
    findings: list[Finding]
    gate_crossed: bool


def doctor(
    ws: Workspace,
    *,
    fail_on: Literal["error", "warning", "never"] = "error",
    progress: Progress = silent,
    tell: Tell = unheard,
) -> DoctorReport:
    """Check counts, classes, quarantine, copies, conflicting labels and leaks of what was ingested.

    Near and mirrored copies are looked for here, unless that was done for these images; `score` and `retrain` use the
    same ones, and `tell` hears who is waited for. An "error" makes measured results wrong (a leak, a missing or shifted
    class), a "warning" is worth a look, an "info" is good to know. Where nobody can look, for a lost picture or a
    folder that cannot be written, a finding says so.
    """
    if fail_on not in ("error", "warning", "never"):
        raise UsageError(f"fail_on is error, warning or never, not {fail_on!r}")
    dataset = samples.get_dataset(ws)
    table = samples.get_samples(ws, include_quarantined=True)
    checks = (
        lambda: _quarantined(table),
        lambda: _classes(table, dataset.classes),
        lambda: _codes(table, dataset.card),
        lambda: _counts(table, dataset.card, dataset.classes),
        lambda: _copies(table),
        lambda: _near_copies(ws, table, progress, tell),
        lambda: _blank(table),
    )
    findings: list[Finding] = []
    for number, check in enumerate(checks, start=1):
        findings.extend(check())
        progress("checking", number, len(checks))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    grave = {"error": ("error",), "warning": ("error", "warning"), "never": ()}[fail_on]
    return DoctorReport(
        dataset=dataset.name,
        samples=len(table),
        findings=findings,
        gate_crossed=any(finding.severity in grave for finding in findings),
    )


def _finding(kind: str, severity: Severity, message: str, rows: pd.DataFrame, count: int | None = None) -> Finding:
    keys = [str(key) for key in rows["source_key"].head(_EXAMPLES)]
    return Finding(
        kind=kind, severity=severity, count=len(rows) if count is None else count, message=message, examples=keys
    )


def _quarantined(table: pd.DataFrame) -> Iterator[Finding]:
    broken = table[table["quarantine_reason"].notna()]
    if not len(broken):
        return
    reasons = broken["quarantine_reason"].map(reason_kind)
    severity: Severity = "error" if len(broken) > MANY_QUARANTINED * len(table) else "warning"
    for reason, rows in broken.groupby(reasons, sort=True):
        yield _finding("quarantined", severity, f"{len(rows):,} quarantined: {reason}", rows)


def _classes(table: pd.DataFrame, classes: Sequence[str]) -> Iterator[Finding]:
    usable = table[table["quarantine_reason"].isna()]
    nothing = table.head(0)
    for split in ("train", "validation", "test"):
        counts = usable.loc[usable["split"] == split, "given_label"].value_counts()
        if not len(counts):
            continue
        missing = [name for name in classes if name not in counts.index]
        if missing:
            message = f"{split} has no sample of {', '.join(missing)}"
            yield _finding("missing_class", "error", message, nothing, count=len(missing))
        tiny = {name: int(counts[name]) for name in classes if 0 < counts.get(name, 0) < TINY_CLASS}
        if tiny and split == "train":
            shown = ", ".join(f"{name} {count}" for name, count in tiny.items())
            rows = usable[(usable["split"] == split) & usable["given_label"].isin(list(tiny))]
            yield _finding("tiny_class", "warning", f"fewer than {TINY_CLASS} samples to learn from: {shown}", rows)
    if not (usable["split"] == "train").any():
        yield _finding("missing_split", "error", "no usable sample is in the training split", nothing, count=1)
    if usable["given_label"].nunique() == 1 and len(classes) == 1:
        yield _finding("one_class", "error", "all labels are the same: nothing can be learned from them", usable)


def _codes(table: pd.DataFrame, card: Mapping[str, Any]) -> Iterator[Finding]:
    """Every code is known, and yet they may all be shifted."""
    shifted = perhaps_shifted(card.get("numeric_codes", ()), card["codes"])
    if shifted:
        yield _finding("shifted_codes", "error", shifted, table[table["given_label"].notna()])


def _counts(table: pd.DataFrame, card: Mapping[str, Any], classes: Sequence[str]) -> Iterator[Finding]:
    """Rows that the source holds, quarantined or not, against the card."""
    table = table[table["in_source"]]
    expected = card.get("expected")
    nothing = table.head(0)
    if not expected:
        return
    if card.get("left_out"):
        message = f"ingested with a limit, {card['left_out']:,} left out: counts are not compared with the card"
        yield _finding("limited", "info", message, nothing, count=int(card["left_out"]))
        return
    for split, wanted in expected.items():
        rows = table[table["split"] == split]
        found = {name: int((rows["given_label"] == name).sum()) for name in classes}
        if found == {name: wanted.get(name, 0) for name in classes}:
            continue
        if swapped := _permutation(found, wanted):
            shown = ", ".join(f"{name} has the card's number of {other}" for name, other in swapped.items())
            message = f"labels of {split} look permuted: {shown}; check the order of the codes"
            yield _finding("permuted_labels", "error", message, nothing, count=sum(found[name] for name in swapped))
            continue
        shown = ", ".join(
            f"{name} {found[name]:,} instead of {wanted.get(name, 0):,}"
            for name in classes
            if found[name] != wanted.get(name, 0)
        )
        off = sum(abs(found[name] - wanted.get(name, 0)) for name in classes)
        yield _finding("counts", "warning", f"{split} differs from the card: {shown}", nothing, count=off)


def _permutation(found: Mapping[str, int], wanted: Mapping[str, int]) -> dict[str, str]:
    """Class to the class whose expected number it has, where the numbers fit the card's only in another order."""
    by_found = sorted(found, key=lambda name: found[name])
    by_wanted = sorted(wanted, key=lambda name: wanted[name])
    if len(by_found) != len(by_wanted) or not all(wanted.values()):
        return {}
    fits = all(abs(found[a] - wanted[b]) <= _TOLERANCE * wanted[b] for a, b in zip(by_found, by_wanted, strict=True))
    moved = {a: b for a, b in zip(by_found, by_wanted, strict=True) if a != b}
    # classes of nearly the same size change places by a few missing rows: that is no permutation
    moved = {a: b for a, b in moved.items() if abs(found[a] - wanted.get(a, 0)) > 2 * _TOLERANCE * wanted.get(a, 1)}
    return moved if fits and len(moved) > 1 else {}


def _copies(table: pd.DataFrame) -> Iterator[Finding]:
    usable = table[table["quarantine_reason"].isna()]
    copies = usable[usable["content_hash"].duplicated(keep=False)]
    if not len(copies):
        return
    groups = copies.groupby("content_hash")
    labels, splits = groups["given_label"].transform("nunique"), groups["split"].transform("nunique")
    count = groups.ngroups
    message = f"{len(copies):,} samples in {count:,} groups of exactly equal images"
    yield _finding("exact_duplicates", "warning", message, copies)
    if (labels > 1).any():
        rows = copies[labels > 1]
        message = f"{rows['content_hash'].nunique():,} groups of equal images carry different labels"
        yield _finding("conflicting_labels", "error", message, rows)
    if (splits > 1).any():
        rows = copies[splits > 1]
        message = f"{rows['content_hash'].nunique():,} groups of equal images lie in several splits"
        yield _finding("leak", "error", message, rows)


def _near_copies(ws: Workspace, table: pd.DataFrame, progress: Progress, tell: Tell) -> Iterator[Finding]:
    try:
        pairs = find_duplicates(ws, progress=progress, tell=tell)
    except WorkspaceBusyError:
        raise
    except FercleanError as error:
        message = f"near copies were not looked for: {error}"
        yield _finding("not_looked", "warning", message, table.head(0), count=len(table))
        return
    near = pairs[pairs["kind"] != "exact"]
    if not len(near):
        return
    by_id = table.set_index("sample_id")
    known = near[near["sample_a"].isin(by_id.index) & near["sample_b"].isin(by_id.index)]
    involved = table[table["sample_id"].isin({*known["sample_a"], *known["sample_b"]})]
    flipped = int((known["kind"] == MIRRORED).sum())
    message = f"{len(known):,} pairs of nearly equal images" + (f", {flipped:,} of them mirrored" if flipped else "")
    yield _finding("near_duplicates", "warning", message, involved)
    one, other = (by_id.loc[known[side], "split"].to_numpy() for side in ("sample_a", "sample_b"))
    across = known[one != other]
    if len(across):
        rows = table[table["sample_id"].isin({*across["sample_a"], *across["sample_b"]})]
        yield _finding("near_leak", "error", f"{len(across):,} pairs of nearly equal images lie in two splits", rows)


def _blank(table: pd.DataFrame) -> Iterator[Finding]:
    rows = table[table["quarantine_reason"].isna() & (table["contrast"] < BLANK_CONTRAST)]
    if len(rows):
        yield _finding("blank", "warning", f"{len(rows):,} images show nothing (contrast below {BLANK_CONTRAST})", rows)
