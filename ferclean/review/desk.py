"""What lies before one reviewer: the faces in their order, what holds for each, and how far the reviewer is.

It records nothing, and it never keeps the workspace open while a person thinks.
"""

from __future__ import annotations

import getpass
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from ferclean.parts import teaching
from ferclean.parts.calibrated import calibrated_probs
from ferclean.review.offers import Item, item_of
from ferclean.store.audits import get_audit
from ferclean.store.samples import get_dataset
from ferclean.store.standing import random_checks, random_decisions, skipped, words
from ferclean.store.table import queue
from ferclean.store.verdicts import KINDS
from ferclean.store.workspace import Workspace

_PACE_OVER = 20  # decisions that the pace is measured over: long enough to be calm, short enough to be current


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which faces are looked at, and in which order. An empty tuple asks for nothing in particular."""

    kinds: tuple[str, ...] = ()
    """Verdicts; empty means every one but clean and ambiguous, as long as there are others, and every random draw."""
    given: tuple[str, ...] = ()
    suggested: tuple[str, ...] = ()
    blind: bool = False
    """The order says nothing about what the model thinks (it is shuffled, the same way each time)."""
    audit: bool = False
    """The audit sample in the order of its draw, whole: other filters would make it a random sample no more."""

    @property
    def narrowed(self) -> bool:
        """Faces come for what they are called: what is drawn at random among them is no random sample of the set."""
        return not self.audit and bool(self.kinds or self.given or self.suggested)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What holds for a reviewer about a face: their last word, or an adjudication that came after it."""

    decision_id: int
    reviewer: str
    """Somebody else after an adjudication."""
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
    random_checks: frozenset[str] = frozenset()
    """Faces that were drawn at random: each is looked at by itself, no bulk decides about them."""
    round: teaching.Teaching
    """The teaching round when the desk was read; `teaching_now` is up to date."""
    learned: teaching.Progress
    """What the triage in force learned from people, and how right it holds the labels to be."""
    drawn_decided: set[str] = field(default_factory=set)
    """Faces that a draw brought in and that anybody has decided about."""
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
    ranked = sorted((item_of(row) for row in table.to_dict("records")), key=lambda item: item.rank)
    items = {item.sample_id: item for item in ranked}
    drawn = get_audit(ws)
    audited = tuple(i for i in drawn.loc[drawn["position"].notna(), "sample_id"] if i in items)
    desk = Desk(
        ws=ws, reviewer=name, dataset=dataset.name, classes=dataset.classes, items=items, standing={},
        skipped=set(), audited=audited, random_checks=frozenset(random_checks(ws)),
        round=teaching.teaching(ws, reviewer=name), learned=teaching.progress(ws, reviewer=name),
    )  # fmt: skip
    refresh(desk)
    return desk


def refresh(desk: Desk) -> None:
    """Read anew what holds for the reviewer: other tabs, other people and the command line decide too."""
    with desk.ws.reading("reading decisions"):
        desk.skipped, stand = skipped(desk.ws, desk.reviewer), words(desk.ws, desk.reviewer)
        desk.drawn_decided = {sample_id for sample_id in random_decisions(desk.ws) if sample_id in desk.items}
    desk.standing = {
        sample_id: stands(word.decision_id, word.action, word.label, desk.items.get(sample_id), word.reviewer)
        for sample_id, word in stand.items()
    }


def select(desk: Desk, filters: Filters) -> list[str]:
    """The sample ids that `filters` asks for, in the order in which they are to be looked at, decided ones too."""
    if filters.audit:
        return list(desk.audited)
    present = {item.verdict for item in desk.items.values()}
    kinds = set(filters.kinds) or (present - {"clean", "ambiguous"}) or present
    # draws that were shown only where their verdict is bad would be a random sample no more
    every_draw = not filters.kinds
    chosen = [
        item.sample_id
        for item in desk.items.values()
        if (item.verdict in kinds or (every_draw and item.drawn_at_random))
        and (not filters.given or item.given_label in filters.given)
        and (not filters.suggested or item.suggested_label in filters.suggested)
    ]
    if set(filters.kinds) == {"ambiguous"}:
        chosen.sort(key=lambda sample_id: -(desk.items[sample_id].p_ambiguous or 0.0))
    if filters.blind:
        first = set() if filters.narrowed else teaching_faces(desk)  # in the order of their draw, which tells nothing
        chosen.sort(key=lambda sample_id: "" if sample_id in first else _shuffled(desk, sample_id))
    return chosen


def _shuffled(desk: Desk, sample_id: str) -> str:
    return hashlib.sha256(f"{desk.reviewer}\0{sample_id}".encode()).hexdigest()


def teaching_faces(desk: Desk) -> set[str]:
    """The random faces with which the queue began when it was made, until the teaching round is complete."""
    drawn = (item.sample_id for item in desk.items.values() if item.drawn_at_random)
    return set(islice(drawn, max(0, desk.round.size - desk.round.at_triage)))


def teaching_now(desk: Desk) -> teaching.Teaching:
    """How far the teaching round is with what was decided here since the desk was read."""
    return replace(desk.round, decided=len(desk.drawn_decided))


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

    While the teaching round lasts, random faces that somebody else has decided wait too: it is one round for all. None
    when every face of the selection is decided.
    """
    start = selection.index(after) + 1 if after in selection else 0
    turned = [*selection[start:], *selection[:start]]
    waiting = [sample_id for sample_id in turned if sample_id not in desk.standing]
    done = desk.drawn_decided if teaching_now(desk).left else frozenset()
    fresh = [sample_id for sample_id in waiting if sample_id not in desk.skipped and sample_id not in done]
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


def last_word(desk: Desk, sample_id: str) -> int:
    """The id of the decision that stands for the reviewer, as far as the desk knows; 0 where none does."""
    stands = desk.standing.get(sample_id)
    return 0 if stands is None else stands.decision_id


def stands(decision_id: int, action: str, label: str | None, item: Item | None, reviewer: str) -> Standing:
    """The standing that a decision about `item` amounts to."""
    kept = item.given_label if item else None
    holds = label if action == "relabel" else kept if action == "keep" else None
    return Standing(decision_id=decision_id, reviewer=reviewer, action=action, label=holds)
