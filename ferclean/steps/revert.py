"""Any part of what a release changed is taken back, as decisions in the log that one undo takes back in turn.

It never edits a release, a given label or an earlier decision, and never overrules what was decided after the release.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence.labels import find_class
from ferclean.exports.content import ORIGINAL
from ferclean.parts.changelog import decider, items_of_both
from ferclean.parts.curating import by_person, changes, keys_of, moved, only_the_label, text
from ferclean.sources.tabular import csv_rows, unescape_cell
from ferclean.store.assignments import LEFT_OUT
from ferclean.store.decisions import Decision, NewerDecisionError, append_decisions, current_decisions, newest_decision
from ferclean.store.releases import get_release, get_release_items
from ferclean.store.samples import find_samples, get_dataset
from ferclean.store.standing import REVERT, said_since
from ferclean.store.table import sample_table
from ferclean.store.verdicts import KINDS
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

OUT = "out"
"""Stands for left out in the words of a flow."""
Flow = tuple[str | None, str | None]
"""Label before and after, None for left out."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which of the changes from one release to another are meant: those that fit all that is named here."""

    sample_ids: Collection[str] | None = None
    flows: Collection[Flow] | None = None
    verdicts: Collection[str] | None = None
    """Of the latest triage."""
    by: Collection[str] | None = None
    """Reviewers whose decision made the change in the later release."""
    automatic: bool = False
    """Changes that no person decided."""

    def all_of_it(self) -> bool:
        """Whether nothing is named."""
        return self == Part()

    def holds(self, one: Mapping[str, Any], verdict: str | None) -> bool:
        """Whether a change (of `curating.changes`) is meant."""
        person = decider(one["reason"])
        return (
            (self.sample_ids is None or one["sample_id"] in self.sample_ids)
            and (self.flows is None or (one["from"], one["to"]) in self.flows)
            and (self.verdicts is None or verdict in self.verdicts)
            and (self.by is None or person in self.by)
            and not (self.automatic and person is not None)
        )


@dataclass(frozen=True, kw_only=True)
class RevertSummary(Summary):
    """What was taken back, or would be."""

    before: str
    after: str
    changes: list[dict[str, Any]] = field(repr=False)
    """One dict per face that is taken back: sample_id, source_key, split, from (its label in `after`), to (its label in
    `before`; None: left out), action and label (the decision)."""
    already: int
    """Faces of that part about which people say already what `before` says."""
    newer: list[dict[str, Any]] = field(repr=False)
    """Left alone: somebody decided about it after the release `after`. Keys: sample_id, source_key, split, from, to."""
    barred: list[dict[str, Any]] = field(repr=False)
    """Left alone: quarantined, gone since or left out by splits, which no decision changes. Keys as `newer`."""
    moved: int
    """Faces that are in another split there, of all changes; they stay, since no decision moves one. 0 for a part."""
    bulk_id: str | None
    """What `ferclean undo --bulk` takes back; None where nothing was recorded."""
    dry_run: bool = False
    """True when nothing was written."""

    @property
    def reverted(self) -> int:
        """Faces that are taken back."""
        return len(self.changes)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return super().as_dict() | {"reverted": self.reverted}


def revert(
    ws: Workspace,
    before: str,
    after: str,
    part: Part | None = None,
    *,
    reviewer: str,
    dry_run: bool = False,
    asked: RevertSummary | None = None,
) -> RevertSummary:
    """Take back what `part` names of the changes that lead from `before` to `after`; "original": the given labels.

    Without a `part` all of them. Each face gets one decision by `reviewer` that holds for everybody (keep, relabel,
    exclude, or ambiguous where that is what people had said), so that a release by the rules of `after` has its label
    of `before` again, also where a model changed it and nobody had decided. All of them are one bulk, which an undo
    takes back as a whole: what stood before stands again. Soft labels and weights follow from the decision.

    With `asked`, what a dry run told, nothing is recorded where the changes are others by now: `changes` then are
    those, and `bulk_id` is None.

    Left alone and listed: faces about which anybody spoke since `after` was made, and those that are quarantined or
    gone. Costs a look at both releases and the set, once. Raises UsageError for an unknown release.
    """
    while True:
        planned, newest = _plan(ws, before, after, part or Part())
        if dry_run or not planned.changes or (asked is not None and planned.changes != asked.changes):
            return replace(planned, dry_run=dry_run)
        bulk = f"{REVERT}{uuid.uuid4().hex[:12]}"
        note = f"back to {before} from {after}"
        try:
            append_decisions(
                ws,
                [
                    Decision(
                        sample_id=one["sample_id"], action=one["action"], label=one["label"], reviewer=reviewer,
                        note=note, source="adjudication", by_choice=True, bulk_id=bulk, seen=newest, overrules=True,
                        shares=one["shares"],
                    )
                    for one in planned.changes
                ],
            )  # fmt: skip
        except NewerDecisionError:
            continue  # somebody was quicker: what they said is newer than the release, and stays
        return replace(planned, bulk_id=bulk)


def part_of(
    ws: Workspace, after: str, *, samples: Collection[str] = (), file: Path | None = None, flows: Collection[str] = (),
    verdicts: Collection[str] = (), by: Collection[str] = (), automatic: bool = False,
) -> Part:  # fmt: skip
    """The part that words name: sample ids or source keys, also in a file (a CSV with such a column, or one a line),
    and flows as `happiness>neutral`, with `out` for left out.

    Raises UsageError for what is not known, as for a person who decided nothing in the release `after`, and for `by`
    beside `automatic`, which no change is both of.
    """
    if by and automatic:
        raise UsageError("--by takes what a person decided and --automatic what nobody did: give one of them")
    classes = get_dataset(ws).classes
    for verdict in verdicts:
        if verdict not in KINDS:
            raise UsageError(f"unknown verdict {verdict!r}; {among(verdict, KINDS)}")
    deciders = _deciders(ws, after) if by else []
    for person in by:
        if person not in deciders:
            raise UsageError(f"{person!r} decided nothing in {after}; {among(person, deciders)}")
    named = [*samples, *([] if file is None else _named_in(file))]
    return Part(
        sample_ids=set(find_samples(ws, named)) if named else None,
        flows={_flow(flow, classes) for flow in flows} if flows else None,
        verdicts=set(verdicts) or None, by=set(by) or None, automatic=automatic,
    )  # fmt: skip


def _deciders(ws: Workspace, name: str) -> list[str]:
    """Whose decisions a release rests on."""
    if name == ORIGINAL:
        return []
    return sorted({person for why in get_release_items(ws, name)["reason"].dropna() if (person := decider(why))})


def _named_in(file: Path) -> list[str]:
    rows = [row for _, row in csv_rows(file)]
    header = [name.strip().lower() for name in rows[0]] if rows else []
    column = next((header.index(name) for name in ("sample_id", "source_key") if name in header), None)
    names = [row[column or 0] for row in (rows if column is None else rows[1:]) if len(row) > (column or 0)]
    if not names:
        raise BadDataError(f"{file} names no sample: one a line, or a CSV with a column sample_id or source_key")
    return [unescape_cell(name.strip()) for name in names]


def _flow(words: str, classes: tuple[str, ...]) -> Flow:
    ends = [end.strip() for end in words.replace("→", ">").replace("->", ">").split(">")]
    if len(ends) != 2:
        raise UsageError(f"{words!r} is no flow: write the label before and after, happiness>neutral, or out for none")
    start, end = (_end(name, classes) for name in ends)
    return start, end


def _end(name: str, classes: tuple[str, ...]) -> str | None:
    if (label := find_class(name, classes)) is not None:
        return label
    if name.lower() == OUT:
        return None
    raise UsageError(f"unknown label {name!r} of a flow; {among(name, (*classes, OUT))}")


def _plan(ws: Workspace, before: str, after: str, part: Part) -> tuple[RevertSummary, int]:
    """What `revert` would do, and the last row of the log that this rests on."""
    with ws.reading("revert"):
        table = sample_table(ws, lists=(), lost_ok=True)
        old, new = items_of_both(ws, before, after, table)
        made = None if after == ORIGINAL else get_release(ws, after)
        config = {} if made is None else made.config
        since = set() if made is None else said_since(ws, datetime.fromisoformat(made.created_at))
        policy = "decisions" if before == ORIGINAL else get_release(ws, before).policy
        classes = get_dataset(ws).classes
        standing = current_decisions(ws).set_index("sample_id").to_dict("index")
        newest = newest_decision(ws)
    rule = config.get("ambiguous", "keep")
    of_set = table.set_index("sample_id")[["given_label", "verdict", "quarantine_reason"]].to_dict("index")
    wanted = [
        one for one in changes(old, new, keys_of(table))
        if part.holds(one, text(of_set.get(one["sample_id"], {}).get("verdict")))
    ]  # fmt: skip
    told = _told(old, {one["sample_id"] for one in wanted}, classes, shares=policy == "decisions")
    found: dict[str, list[dict[str, Any]]] = {"changes": [], "newer": [], "barred": []}
    already = 0
    for one in wanted:
        row = {name: one[name] for name in ("sample_id", "source_key", "split")} | {
            "from": one["to"],
            "to": one["from"],
        }
        facts, decision = of_set.get(one["sample_id"]), standing.get(one["sample_id"])
        given, quarantine = (
            (None, None) if facts is None else map(text, (facts["given_label"], facts["quarantine_reason"]))
        )
        does = _decision(one["from"], given, rule, *told.get(one["sample_id"], (None, None)))
        stands = None if decision is None else _stands(given, quarantine, decision, rule)
        by_splits = (one["reason"] or "").startswith(LEFT_OUT)
        if facts is None or by_splits or (one["from"] is not None and _bars(quarantine, does["action"])):
            found["barred"].append(row)
        elif decision is not None and stands == one["from"] and not decision["conflict"]:
            already += 1
        # a person who said since what the release says already meant it, too
        elif decision is not None and (
            one["sample_id"] in since or stands != one["to"] or decider(one["reason"]) is None
        ):
            found["newer"].append(row)
        else:
            found["changes"].append(row | does)
    return RevertSummary(
        before=before, after=after, changes=found["changes"], already=already, newer=found["newer"],
        barred=found["barred"], moved=len(moved(old, new, {})) if part.all_of_it() else 0, bulk_id=None,
    ), newest  # fmt: skip


def _told(
    items: pd.DataFrame, wanted: Collection[str], classes: tuple[str, ...], *, shares: bool
) -> dict[str, tuple[str, dict[str, float] | None]]:
    """Why each of these samples was as it was, where a reason is told; with `shares` also which a person gave: where
    nothing of a model's is in a release, a soft label is theirs."""
    rows = items[items["sample_id"].isin(list(wanted)) & items["reason"].notna()]
    return {
        sample: (
            reason,
            {name: p for name, p in zip(classes, soft, strict=True) if p} if shares and soft is not None else None,
        )
        for sample, reason, soft in zip(rows["sample_id"], rows["reason"], rows["soft_label"], strict=True)
    }


def _bars(quarantine: str | None, action: str) -> bool:
    return quarantine is not None and not (action == "relabel" and only_the_label(quarantine))


def _stands(given: str | None, quarantine: str | None, decision: Mapping[Any, Any], rule: str) -> str | None:
    """The label that a release has where this decision stands; None: left out."""
    label, included, _ = by_person(given, decision, rule)
    return label if included and not _bars(quarantine, decision["action"]) else None


def _decision(
    wanted: str | None, given: str | None, rule: str, reason: str | None, shares: dict[str, float] | None
) -> dict[str, Any]:
    """The decision after which a release gives the label `wanted`, None for left out."""
    if wanted is None:
        return {"action": "exclude", "label": None, "shares": None}
    if wanted != given:
        return {"action": "relabel", "label": wanted, "shares": None}
    if rule == "keep" and (reason or "").startswith("decision: ambiguous "):
        return {"action": "ambiguous", "label": None, "shares": shares}
    return {"action": "keep", "label": None, "shares": None}
