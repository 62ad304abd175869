"""What the review screen asks for: the faces in their order, and what one reviewer decided about them.

It never draws, and it never keeps the workspace open while a person thinks.
"""

from __future__ import annotations

import getpass
import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ferclean.errors import UsageError
from ferclean.steps.calibrated import calibrated_probs
from ferclean.store.audits import get_audit
from ferclean.store.decisions import Decision, append_decisions, decision_history
from ferclean.store.decisions import undo as append_undo
from ferclean.store.samples import get_dataset
from ferclean.store.table import queue
from ferclean.store.verdicts import KINDS
from ferclean.store.workspace import Workspace

_PACE_OVER = 20  # decisions that the pace is measured over: long enough to be calm, short enough to be current


@dataclass(frozen=True, kw_only=True)
class Item:
    """One face of the queue, with everything that triage says about it."""

    sample_id: str
    source_key: str
    split: str
    given_label: str | None
    suggested_label: str | None
    verdict: str
    rank: int
    """1 = look first."""
    label_quality: float | None
    """In [0, 1], low = likely mislabelled."""
    p_mislabelled: float | None
    p_ambiguous: float | None
    p_unusable: float | None
    p_clean: float | None
    pred_probs: tuple[float, ...] | None
    """Out-of-fold, in the order of the classes; calibrated, as the reasons tell them."""
    reasons: tuple[str, ...]
    run_id: str
    """The triage run that said so."""
    method_votes: tuple[str, ...] = ()
    """The class that each recognizer finds most probable; one entry per recognizer."""
    drawn_at_random: bool = False
    """Its rank is by a random draw, to measure how many errors are left; not by what the model thinks of it."""

    def shown(self) -> dict[str, Any]:
        """What the model showed, as it is kept beside a decision."""
        names = ("suggested_label", "verdict", "rank", "label_quality", "pred_probs", "method_votes", "run_id")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which faces are looked at, and in which order. An empty tuple asks for nothing in particular."""

    kinds: tuple[str, ...] = ()
    """Verdicts; empty means every verdict but clean, as long as there are others, and every random draw."""
    given: tuple[str, ...] = ()
    suggested: tuple[str, ...] = ()
    blind: bool = False
    """The order says nothing about what the model thinks (it is shuffled, the same way each time)."""
    audit: bool = False
    """The audit sample in the order of its draw, whole: other filters would make it a random sample no more."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a reviewer's word about a face is at the moment."""

    decision_id: int
    action: str
    label: str | None
    """The label that holds after it: the new one after relabel, the given one after keep, else None."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How far the reviewer is among the selected faces."""

    done: int
    total: int
    skipped: int
    expected_errors: float
    """Sum of p_mislabelled over the selected faces without a decision."""
    per_minute: float | None
    """Pace of this sitting; None before two decisions."""

    @property
    def minutes_left(self) -> float | None:
        """At this pace; None before there is one."""
        return (self.total - self.done) / self.per_minute if self.per_minute else None


@dataclass(kw_only=True)
class Desk:
    """What lies before one reviewer: read once by `open_desk`, then kept up to date decision by decision."""

    ws: Workspace
    reviewer: str
    dataset: str
    classes: tuple[str, ...]
    items: dict[str, Item]
    """By sample_id, in rank order."""
    standing: dict[str, Standing]
    skipped: set[str]
    audited: tuple[str, ...] = ()
    """The latest audit's sample ids in the order of the draw."""
    moments: list[float] = field(default_factory=list)
    """When, on the monotonic clock, this sitting's decisions were made."""


def default_reviewer() -> str:
    """The login name; 'reviewer' where the system has none to give (a container without a user entry)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "reviewer"


def open_desk(ws: Workspace, *, reviewer: str | None = None) -> Desk:
    """Read the queue and what `reviewer` (default: the login name) has decided so far.

    Raises UsageError when nothing was ingested; the desk is empty when nothing was triaged.
    """
    name = (reviewer or "").strip() or default_reviewer()
    dataset = get_dataset(ws)
    table = queue(ws, undecided=False, reviewer=name)
    table["pred_probs"] = calibrated_probs(table, dataset.classes)
    ranked = sorted((_item(row) for row in table.to_dict("records")), key=lambda item: item.rank)
    items = {item.sample_id: item for item in ranked}
    standing, skipped = _standing(decision_history(ws), name, items)
    drawn = get_audit(ws)
    audited = tuple(i for i in drawn.loc[drawn["position"].notna(), "sample_id"] if i in items)
    return Desk(
        ws=ws, reviewer=name, dataset=dataset.name, classes=dataset.classes, items=items, standing=standing,
        skipped=skipped, audited=audited,
    )  # fmt: skip


def select(desk: Desk, filters: Filters) -> list[str]:
    """The sample ids that `filters` asks for, in the order in which they are to be looked at, decided ones too."""
    if filters.audit:
        return list(desk.audited)
    present = {item.verdict for item in desk.items.values()}
    kinds = set(filters.kinds) or (present - {"clean"}) or present
    # draws that were shown only where their verdict is bad would be a random sample no more
    every_draw = not filters.kinds
    chosen = [
        item.sample_id
        for item in desk.items.values()
        if (item.verdict in kinds or (every_draw and item.drawn_at_random))
        and (not filters.given or item.given_label in filters.given)
        and (not filters.suggested or item.suggested_label in filters.suggested)
    ]
    if filters.blind:
        chosen.sort(key=lambda sample_id: hashlib.sha256(f"{desk.reviewer}\0{sample_id}".encode()).digest())
    return chosen


def facets(desk: Desk) -> dict[str, dict[str, int]]:
    """How many faces each filter value would show: {'verdict' | 'given' | 'suggested': {value: count}}."""
    verdicts = Counter(item.verdict for item in desk.items.values())
    given = Counter(item.given_label for item in desk.items.values())
    suggested = Counter(item.suggested_label for item in desk.items.values())
    return {
        "verdict": {kind: verdicts[kind] for kind in KINDS if verdicts[kind]},
        "given": {label: given[label] for label in desk.classes if given[label]},
        "suggested": {label: suggested[label] for label in desk.classes if suggested[label]},
    }


def next_open(desk: Desk, selection: Sequence[str], *, after: str | None = None) -> str | None:
    """The next face without a decision: first those after `after`, then from the start, skipped ones last.

    None when every face of the selection is decided.
    """
    start = selection.index(after) + 1 if after in selection else 0
    turned = [*selection[start:], *selection[:start]]
    waiting = [sample_id for sample_id in turned if sample_id not in desk.standing]
    fresh = [sample_id for sample_id in waiting if sample_id not in desk.skipped]
    return next(iter(fresh or waiting), None)


def contender(desk: Desk, item: Item) -> str | None:
    """The class to weigh against the given one: the suggestion, or else the most probable other class."""
    if item.suggested_label is not None and item.suggested_label != item.given_label:
        return item.suggested_label
    if item.pred_probs is None:
        return None
    others = [(p, name) for p, name in zip(item.pred_probs, desk.classes, strict=True) if name != item.given_label]
    return max(others)[1] if others else None


def tally(desk: Desk, selection: Sequence[str]) -> Tally:
    """How far the reviewer is, at what pace, and how many errors are still to be expected."""
    waiting = [desk.items[sample_id] for sample_id in selection if sample_id not in desk.standing]
    recent = desk.moments[-_PACE_OVER:]
    spent = recent[-1] - recent[0] if len(recent) > 1 else 0.0
    return Tally(
        done=len(selection) - len(waiting),
        total=len(selection),
        skipped=sum(item.sample_id in desk.skipped for item in waiting),
        expected_errors=sum(item.p_mislabelled or 0.0 for item in waiting),
        per_minute=(len(recent) - 1) * 60 / spent if spent > 0 else None,
    )


def decide(
    desk: Desk,
    sample_id: str,
    action: str,
    *,
    label: str | None = None,
    seconds: float | None = None,
    model_hidden: bool = False,
    note: str = "",
) -> Standing:
    """Record one decision; it is on the disk when this returns.

    To relabel a face with the label that it has is to keep it. `accept` stands for relabelling with the suggestion
    and raises UsageError where there is none. `model_hidden` leaves out what the model showed.
    """
    return decide_many(desk, [sample_id], action, label=label, seconds=seconds, model_hidden=model_hidden, note=note)[0]


def decide_many(
    desk: Desk,
    sample_ids: Sequence[str],
    action: str,
    *,
    label: str | None = None,
    seconds: float | None = None,
    model_hidden: bool = False,
    note: str = "",
    bulk_id: str | None = None,
) -> list[Standing]:
    """`decide` about several faces at once, all or none; `undo` takes a bulk back as a whole."""
    decisions = []
    for sample_id in sample_ids:
        if sample_id not in desk.items:
            raise UsageError(f"sample {sample_id!r} is not in the queue; reload the page")
        item = desk.items[sample_id]
        said, new_label = _plain(item, action, label)
        decisions.append(
            Decision(
                sample_id=sample_id, action=said, label=new_label, reviewer=desk.reviewer, note=note, source="review",
                seconds=None if seconds is None else round(seconds, 2), bulk_id=bulk_id,
                shown=None if model_hidden else item.shown(),
            )
        )  # fmt: skip
    recorded = []
    for decision_id, decision in zip(append_decisions(desk.ws, decisions), decisions, strict=True):
        given = desk.items[decision.sample_id].given_label
        said_now = _stands(decision_id, decision.action, decision.label, given)
        recorded.append(said_now)
        if decision.action == "skip":
            desk.skipped.add(decision.sample_id)
        else:
            desk.standing[decision.sample_id] = said_now
    if len(recorded) == 1:  # a bulk says nothing about a person's pace
        desk.moments.append(time.monotonic())
    return recorded


def undo(desk: Desk) -> list[str]:
    """Take back the reviewer's last act, in this sitting or an earlier one; the sample ids that it was about.

    Empty when nothing is left to undo. A bulk is taken back as a whole. The undo is appended, nothing is erased.
    """
    undone = append_undo(desk.ws, reviewer=desk.reviewer)
    if not undone:
        return []
    history = decision_history(desk.ws)
    desk.standing, desk.skipped = _standing(history, desk.reviewer, desk.items)
    if desk.moments:
        desk.moments.pop()
    return list(history.loc[history["decision_id"].isin(undone), "sample_id"])


def _plain(item: Item, action: str, label: str | None) -> tuple[str, str | None]:
    """The action and label as the store knows them."""
    if action == "accept":
        if item.suggested_label is None:
            raise UsageError("there is no suggested label to accept; choose a label, or mark the face as ambiguous")
        action, label = "relabel", item.suggested_label
    if action == "relabel" and label is not None and label == item.given_label:
        return "keep", None
    return action, label if action == "relabel" else None


def _stands(decision_id: int, action: str, label: str | None, given: str | None) -> Standing:
    holds = label if action == "relabel" else given if action == "keep" else None
    return Standing(decision_id=decision_id, action=action, label=holds)


def _standing(history: pd.DataFrame, reviewer: str, items: dict[str, Item]) -> tuple[dict[str, Standing], set[str]]:
    """What the reviewer's rows amount to: the last word about each sample, and the samples that were skipped."""
    mine = history[(history["reviewer"] == reviewer) & ~history["undone"] & (history["action"] != "undo")]
    standing: dict[str, Standing] = {}
    skipped: set[str] = set()
    columns = (mine[name] for name in ("decision_id", "sample_id", "action", "label"))
    for decision_id, sample_id, action, label in zip(*columns, strict=True):
        if action == "skip":
            skipped.add(sample_id)
            continue
        item = items.get(sample_id)
        standing[sample_id] = _stands(int(decision_id), action, _text(label), item.given_label if item else None)
    return standing, skipped


def _item(row: Mapping[Any, Any]) -> Item:
    numbers = ("label_quality", "p_mislabelled", "p_ambiguous", "p_unusable", "p_clean")
    probs, reasons, votes = row["pred_probs"], row["reasons"], row["method_votes"]
    return Item(
        sample_id=row["sample_id"], source_key=row["source_key"], split=row["split"],
        given_label=_text(row["given_label"]), suggested_label=_text(row["suggested_label"]), verdict=row["verdict"],
        rank=int(row["rank"]), run_id=row["run_id"], drawn_at_random=bool(row["drawn_at_random"]),
        pred_probs=None if probs is None else tuple(float(value) for value in probs),
        reasons=tuple(str(reason) for reason in reasons) if _is_filled(reasons) else (),
        method_votes=tuple(votes.values()) if _is_filled(votes) else (),
        **{name: None if pd.isna(row[name]) else float(row[name]) for name in numbers},
    )  # fmt: skip


def _text(value: Any) -> str | None:
    # pandas says "nothing" in several ways, depending on what else stands in the column
    return value if isinstance(value, str) else None


def _is_filled(value: Any) -> bool:
    return value is not None and not isinstance(value, float) and len(value) > 0
