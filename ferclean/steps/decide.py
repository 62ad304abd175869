"""Decisions from the command line or a CSV file into the append-only log.

It never edits or removes an earlier decision, and never records part of a file that has a bad row.
"""

from __future__ import annotations

import getpass
import math
import re
import shlex
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence.labels import find_class
from ferclean.parts.carried import COLUMNS, GIVEN, PICTURE, restated
from ferclean.parts.named_rows import Pictures, Rows
from ferclean.parts.shares import shares_from
from ferclean.sources.tabular import csv_rows, unescape_cell
from ferclean.store.deciding import Deciding, deciding
from ferclean.store.decisions import ACTIONS, Decision
from ferclean.store.standing import Said, open_conflicts
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

_COLUMNS = ("sample_id", "source_key", "action", "label", "reviewer", "inclusion_probability", "note", "shares")
_COLUMN_WORDS = re.compile(r"[\s-]+")
_SHOWN_ERRORS = 20


@dataclass(frozen=True, kw_only=True)
class DecideSummary(Summary):
    """What was recorded."""

    recorded: int
    """Decisions appended."""
    already: int
    """Rows that say what the same reviewer's current decision says already; not appended again."""
    actions: dict[str, int]
    """Action -> decisions appended."""
    decision_ids: list[int]
    """Ids of the appended decisions, for `ferclean undo`."""
    ignored_columns: tuple[str, ...] = ()
    """Columns of the file that mean nothing here."""
    dry_run: bool = False
    """True when nothing was written; `recorded` then says what would be."""
    elsewhere: int = 0
    """Rows of another workspace's file about pictures that this one does not hold."""
    disagreements: int = 0
    """Of the samples that it is about, those about which reviewers disagree now."""


def decide(
    ws: Workspace,
    sample_or_key: str,
    action: str | None = None,
    *,
    label: str | None = None,
    shares: str | None = None,
    reviewer: str | None = None,
    note: str = "",
    adjudicate: bool = False,
    dry_run: bool = False,
) -> DecideSummary:
    """Record one decision about a sample, named by its id or source key.

    `label` is a class name or one of its aliases and belongs to `relabel`, which a label alone means too; `shares`
    (`happiness=0.6,surprise=0.4`) say how much of which expression an `ambiguous` face shows, which they mean alone
    too; `reviewer` is the login name by default. `adjudicate` settles what reviewers disagree about: it holds for
    everybody, until one of them decides otherwise again or it is undone. Raises UsageError for an unknown sample,
    action, label or shares, and for an adjudication where nobody disagrees.
    """
    if action is None and label is None and shares is None:
        raise UsageError(f"what about {sample_or_key}? One of {', '.join(ACTIONS)}, or --label NAME")
    meant = action or ("relabel" if shares is None else "ambiguous")
    with deciding(ws, dry_run=dry_run) as log:
        sample_id, given = log.find(sample_or_key)
        try:
            fields = _checked(meant, label, None, shares, given=given, classes=log.classes, adjudicate=adjudicate)
        except ValueError as error:
            raise UsageError(str(error)) from None
        decision = Decision(
            sample_id=sample_id, reviewer=reviewer or _login_name(), note=note,
            source="adjudication" if adjudicate else "cli", **fields,
        )  # fmt: skip
        return _append(log, [decision])


def disagreements(ws: Workspace) -> list[dict[str, Any]]:
    """The samples about which reviewers disagree now, in order of arrival.

    Keys: sample_id, source_key, split, given_label, said: [{reviewer, action, label, note, decided_at}, ...].
    """
    found = open_conflicts(ws)
    about, said = ["sample_id", "source_key", "split", "given_label"], ["reviewer", "action", "label", "note"]
    listed = []
    for _, rows in found.groupby("sample_id", sort=False):
        words = [
            {name: row[name] if isinstance(row[name], str) else None for name in said}
            | {"decided_at": row["decided_at"].isoformat(timespec="seconds")}
            for row in rows.to_dict("records")
        ]
        first = rows.iloc[0]
        listed.append({name: first[name] if isinstance(first[name], str) else None for name in about} | {"said": words})
    return listed


def decide_from_file(
    ws: Workspace,
    path: str | Path,
    *,
    reviewer: str | None = None,
    adjudicate: bool = False,
    dry_run: bool = False,
) -> DecideSummary:
    """Record the decisions of a CSV file, all of them or none.

    Columns, in any case and order: sample_id or source_key, action, label (for relabel), reviewer (default: `reviewer`,
    else the login name), optionally inclusion_probability (in (0, 1], for rows that were drawn at random; where it is
    empty, the chance of this workspace's own draw is kept), note and shares (of an ambiguous face). A row that repeats
    the same reviewer's current decision is counted and not recorded again, so the same file may be read twice; one
    without any content is skipped. `adjudicate` settles disagreements, as in `decide`. A file of another workspace
    (`carried.decisions_to_file`, told by its column content_hash) is about pictures: its decisions go to the rows that
    show them here, restated where the given label is another one; those about no picture of this workspace are counted.

    Raises UsageError when the file cannot be read, BadDataError naming the lines that are wrong.
    """
    file = Path(path)
    (_, spelt), *rows = list(csv_rows(file)) or [(0, [])]
    header = tuple(_COLUMN_WORDS.sub("_", name.strip().lower()) for name in spelt)
    _check_header(file, header)

    with deciding(ws, dry_run=True) as log:
        named, classes = _named(header, rows, log), log.classes
    # nobody waits while a long file is checked: given labels do not change meanwhile, what stands is looked at below
    lines = _read(file, header, rows, *named, classes, reviewer=reviewer, adjudicate=adjudicate)
    with deciding(ws, dry_run=dry_run) as log:
        done = _append(log, lines.decisions, from_file=True)
    meant = COLUMNS if PICTURE in header else _COLUMNS
    ignored = tuple(own for own, name in zip(spelt, header, strict=True) if name not in meant)
    return replace(done, already=done.already + lines.repeated, ignored_columns=ignored, elsewhere=lines.elsewhere)


@dataclass(kw_only=True)
class _Lines:
    """What a file says: its decisions, and how many of its rows repeat one of them or are about no picture here."""

    decisions: list[Decision]
    repeated: int = 0
    elsewhere: int = 0


def _read(
    file: Path, header: tuple[str, ...], rows: list[tuple[int, list[str]]], known: Rows, pictures: Pictures | None,
    classes: tuple[str, ...], *, reviewer: str | None, adjudicate: bool,
) -> _Lines:  # fmt: skip
    """Check every row against the samples that the file names. Raises BadDataError naming the lines that are wrong."""
    fallback = reviewer
    found = _Lines(decisions=[])
    said: dict[tuple[str, str], tuple[int, Decision]] = {}
    errors: list[str] = []
    for line, row in rows:
        try:
            if len(row) != len(header):
                raise ValueError(f"has {len(row)} cells for the {len(header)} columns of the header")
            given = dict(zip(header, row, strict=True))
            cells = {name: unescape_cell(given.get(name, "").strip()) for name in _COLUMNS}
            # keys are file names, and a file name may end with a space
            key = unescape_cell(given.get("source_key", ""))
            if pictures is None:
                sample_id = known.find(cells["sample_id"], key)
            else:
                there = pictures.find(cells["sample_id"], key, given[PICTURE].strip())
                if there is None:
                    found.elsewhere += 1
                    continue
                sample_id = there
                cells["action"], cells["label"] = restated(
                    cells["action"], cells["label"],
                    then=unescape_cell(given.get(GIVEN, "").strip()), now=known.given[sample_id],
                )  # fmt: skip
            by = cells["reviewer"] or fallback
            if by is None:
                by = fallback = _login_name()
            fields = _checked(
                cells["action"], cells["label"], cells["inclusion_probability"], cells["shares"],
                given=known.given[sample_id], classes=classes, adjudicate=adjudicate,
            )  # fmt: skip
            source = "adjudication" if adjudicate else "file"
            decision = Decision(sample_id=sample_id, reviewer=by, note=cells["note"], source=source, **fields)
            before = said.setdefault((sample_id, by), (line, decision))
            if before[0] == line:
                found.decisions.append(decision)
            elif before[1] == decision:
                found.repeated += 1
            else:
                raise ValueError(f"contradicts line {before[0]}: the same sample and reviewer, another decision")
        except (ValueError, UsageError) as error:
            errors.append(f"line {line}: {error}")
    if errors:
        shown = "; ".join(errors[:_SHOWN_ERRORS])
        more = f"; and {len(errors) - _SHOWN_ERRORS} more" if len(errors) > _SHOWN_ERRORS else ""
        raise BadDataError(f"{file}: nothing was recorded, {len(errors)} rows are wrong: {shown}{more}")
    if found.elsewhere and not found.decisions:
        raise BadDataError(f"{file}: none of its {found.elsewhere:,} decisions is about a picture of this workspace")
    return found


def _named(header: tuple[str, ...], rows: list[tuple[int, list[str]]], log: Deciding) -> tuple[Rows, Pictures | None]:
    """The samples that the rows of a file may mean, and no others."""
    cells = [dict(zip(header, row, strict=False)) for _, row in rows]
    keys = [unescape_cell(cell.get("source_key", "")) for cell in cells]
    samples = log.named(
        [unescape_cell(cell.get("sample_id", "").strip()) for cell in cells],
        [*keys, *(key.strip() for key in keys)],
        [cell.get(PICTURE, "").strip() for cell in cells],
    )
    return Rows(samples), Pictures(samples) if PICTURE in header else None


def _checked(
    action: str,
    label: str | None,
    probability: str | None,
    shares: str | None,
    *,
    given: str | None,
    classes: tuple[str, ...],
    adjudicate: bool,
) -> dict[str, Any]:
    """Validated fields of a Decision; ValueError says what is wrong."""
    action = action.strip().lower()
    if adjudicate and action == "skip":
        raise ValueError("skip settles nothing; adjudicate with keep, relabel, ambiguous or exclude")
    if action not in ACTIONS:
        meant = find_class(action, classes)
        hint = "" if meant is None else f"; a label goes with relabel (--label {shlex.quote(meant)})"
        raise ValueError(f"unknown action {action!r}; {among(action, ACTIONS)}{hint}")
    name = _class_name(label, classes) if label else None
    if action == "relabel" and name is None:
        raise ValueError(f"relabel needs a label; known: {', '.join(classes)}")
    # a file may repeat the given label beside keep; any other label would contradict the action
    if action != "relabel" and name is not None and (action, name) != ("keep", given):
        raise ValueError(f"a label belongs to relabel, not to {action} (given label: {given})")
    fields: dict[str, Any] = {"action": action, "label": name if action == "relabel" else None}
    if shares:
        fields["shares"] = shares_from(shares, classes)
    if probability:
        value = float(probability)
        if not (math.isfinite(value) and 0 < value <= 1):
            raise ValueError(f"inclusion_probability is above 0 and at most 1, not {probability}")
        fields["inclusion_probability"] = value
    return fields


def _class_name(label: str, classes: tuple[str, ...]) -> str:
    name = find_class(label, classes)
    if name is None:
        raise ValueError(f"unknown label {label!r}; {among(label, classes)}")
    return name


def _check_header(file: Path, header: tuple[str, ...]) -> None:
    repeated = [name for name, n in Counter(header).items() if name and n > 1]
    if repeated:
        raise BadDataError(f"{file}: the column {repeated[0]!r} appears twice")
    if "action" not in header or not {"sample_id", "source_key"} & set(header):
        raise BadDataError(
            f"{file}: the header needs action and sample_id or source_key, and has {', '.join(header) or 'nothing'}"
        )


def _append(log: Deciding, decisions: list[Decision], *, from_file: bool = False) -> DecideSummary:
    about = list(dict.fromkeys(decision.sample_id for decision in decisions))
    said = log.said(about)
    settling = [decision.sample_id for decision in decisions if decision.source == "adjudication"]
    open_ = log.conflicts(settling) if settling else set()
    new = [
        one
        for one in decisions
        # what is open again must be settled again, with the same words too
        if (one.source == "adjudication" and one.sample_id in open_)
        or not _repeats(one, said.get((one.sample_id, one.reviewer)), log.classes, from_file=from_file)
    ]
    ids = log.append(new) if new else []
    return DecideSummary(
        recorded=len(new),
        already=len(decisions) - len(new),
        actions=dict(Counter(decision.action for decision in new)),
        decision_ids=[int(one) for one in ids],
        dry_run=log.dry_run,
        disagreements=len(log.conflicts(about)),
    )


def _repeats(decision: Decision, said: Said | None, classes: tuple[str, ...], *, from_file: bool) -> bool:
    if said is None:
        return False
    if decision.action == "skip":
        return said.put_off
    if (said.action, said.label) != (decision.action, decision.label):
        return False
    if said.shares != (decision.shares and tuple(decision.shares.get(name, 0.0) for name in classes)):
        return False
    if decision.source == "adjudication" and said.source != "adjudication":
        return False
    # whoever says again what was overruled objects; a file that is read again does not
    if said.overruled and not from_file:
        return False
    # a chance that a row states is part of what it says: without it the sample could not be weighted
    return decision.inclusion_probability in (None, said.inclusion_probability)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UsageError("this machine has no login name; say who decides with --reviewer NAME") from None
