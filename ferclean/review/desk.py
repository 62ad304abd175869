"""What lies before one reviewer: the faces in their order, what holds for each, and how far the reviewer is.

It records nothing, and it never keeps the workspace open while a person thinks.
"""

from __future__ import annotations

import getpass
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from ferclean.parts import teaching
from ferclean.parts.calibrated import shown_temperature
from ferclean.review import narrowing
from ferclean.review.area import Area, Chart
from ferclean.review.checks import Checks, checks_of
from ferclean.review.offers import Item
from ferclean.review.ranked import Faces, Selection, asked_for
from ferclean.review.sharing import Share, share_of
from ferclean.store.audits import audited
from ferclean.store.checks import asked
from ferclean.store.particulars import Marks
from ferclean.store.samples import get_dataset
from ferclean.store.standing import random_decisions, skipped, words
from ferclean.store.table import ranked
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
    pairs: tuple[tuple[str, str], ...] = ()
    """(given, suggested) label."""
    splits: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Files that rows were read from."""
    attributes: tuple[tuple[str, str], ...] = ()
    """(name, value); values of one name widen the choice, names narrow it."""
    name: str = ""
    """What the source key contains; capitals do not matter."""
    chance: tuple[float, float] | None = None
    """Ends of the chance that the verdict's proposal is right (`ranked.p_offer`), both included."""
    states: tuple[str, ...] = ()
    """Of `narrowing.STATES`."""
    people: tuple[str, ...] = ()
    """Who decided about it."""
    blind: bool = False
    """The order says nothing about what the model thinks (it is shuffled, the same way each time)."""
    double: bool = False
    """With `blind`: the given label is hidden too; the person answers with a class."""
    audit: bool = False
    """The audit sample in the order of its draw, whole: other filters would make it a random sample no more."""

    area: Area | None = None
    """Those alone that lie there on the map, whatever their verdict unless `kinds` says."""
    everyone: bool = False
    """Other people's faces too, where a plan of the team says whose they are."""

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The verdicts that are asked for: all of an area that no other choice narrows, else `kinds`."""
        return self.kinds or (KINDS if self.area else ())

    @property
    def narrowed(self) -> bool:
        """Faces come for what they are called, or where they lie: what was drawn at random among them is no random
        sample of the set."""
        called = self.kinds or self.given or self.suggested or self.pairs or self.splits or self.sources
        asked = (
            called
            or self.attributes
            or self.name
            or self.chance
            or self.people
            or self.area
            or set(self.states) - {"open"}
        )
        return not self.audit and bool(asked)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What holds for a reviewer about a face: their last word, or an adjudication that came after it."""

    decision_id: int
    reviewer: str
    """Somebody else after an adjudication."""
    action: str
    label: str | None
    """The label that holds after it: the new one after relabel, the given one after keep, else None."""
    shares: tuple[float, ...] | None = None
    """Of an ambiguous face how much of each class they see in it, where they said so."""


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
    items: Faces
    """By sample_id, in rank order; whole faces are read when they are looked at."""
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
    share: Share | None = None
    """Whose faces are whose, by the team's plan; None without one."""
    checks: Checks | None = None
    """What the reviewer is asked to be measured; None where the plan asks for none."""
    marks: tuple[int, Marks] | None = None
    """What people said, with the last row of the log that it holds; read when a filter asks for it."""
    chart: Chart | None = None
    """Where the faces lie on the map, once somebody has asked (`chart_of`)."""
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
    with ws.reading("opening the desk"):
        dataset, queue, drawn = get_dataset(ws), ranked(ws), audited(ws)
        place = {sample_id: row for row, sample_id in enumerate(queue.ids)}
        faces = Faces(ws=ws, ranked=queue, temperature=shown_temperature(ws), place=place, kept={})
        desk = Desk(
            ws=ws, reviewer=name, dataset=dataset.name, classes=dataset.classes, items=faces, standing={},
            skipped=set(), audited=tuple(sample_id for sample_id in drawn if sample_id in place),
            random_checks=frozenset(drawn).union(queue.ids[row] for row in np.flatnonzero(queue.drawn)),
            round=teaching.teaching(ws, reviewer=name), learned=teaching.progress(ws, reviewer=name),
            share=share_of(ws, name, queue.ids),
        )  # fmt: skip
        desk.checks = checks_of(ws, name, desk.share.plan if desk.share is not None else None)
        refresh(desk)
    return desk


def refresh(desk: Desk) -> None:
    """Read anew what holds for the reviewer: other tabs, other people and the command line decide too."""
    with desk.ws.reading("reading decisions"):
        desk.skipped, stand = skipped(desk.ws, desk.reviewer), words(desk.ws, desk.reviewer)
        desk.drawn_decided = {sample_id for sample_id in random_decisions(desk.ws) if sample_id in desk.items}
        if desk.checks is not None:
            desk.checks = replace(desk.checks, answered=asked(desk.ws, desk.reviewer))
    desk.standing = {
        sample_id: stands(
            word.decision_id, word.action, word.label, word.reviewer,
            given=desk.items.given(sample_id) if sample_id in desk.items else None, shares=word.shares,
        )
        for sample_id, word in stand.items()
    }  # fmt: skip


def select(desk: Desk, filters: Filters) -> Selection:
    """The faces that `filters` asks for, in the order in which they are to be looked at, decided ones too.

    Under a plan of the team they are the reviewer's own, those that the reviewer answered, and the teaching round's,
    which is one round for all; the audit sample is everybody's.
    """
    if filters.audit:
        return Selection(desk.items, np.array([desk.items.place[one] for one in desk.audited], dtype=np.int64))
    queue, chosen = desk.items.ranked, asked_for(desk.items.ranked, filters.verdicts)
    for mask in narrowing.masks(desk, filters).values():
        chosen &= mask
    rows = np.flatnonzero(chosen)
    if set(filters.kinds) == {"ambiguous"}:
        rows = rows[np.argsort(-queue.p_ambiguous[rows], kind="stable")]
    if filters.blind:
        first = (
            set() if filters.narrowed else narrowing.teaching_faces(desk)
        )  # in the order of their draw, which tells nothing
        names = [queue.ids[row] for row in rows]
        order = ["" if one in first else _shuffled(desk, one) for one in names]
        rows = rows[sorted(range(len(rows)), key=order.__getitem__)] if len(rows) else rows
    return Selection(desk.items, rows)


def _shuffled(desk: Desk, sample_id: str) -> str:
    return hashlib.sha256(f"{desk.reviewer}\0{sample_id}".encode()).hexdigest()


def teaching_now(desk: Desk) -> teaching.Teaching:
    """How far the teaching round is with what was decided here since the desk was read."""
    return replace(desk.round, decided=len(desk.drawn_decided))


def facets(desk: Desk) -> dict[str, dict[str, int]]:
    """How many faces each filter value would show: {'verdict' | 'given' | 'suggested': {value: count}}."""
    queue = desk.items.ranked
    verdict = np.bincount(queue.verdict, minlength=len(KINDS))
    # the last class counts samples without any
    given, suggested = (
        np.bincount(codes % (len(queue.classes) + 1), minlength=len(queue.classes) + 1)
        for codes in (queue.given, queue.suggested)
    )
    return {
        name: {value: int(count) for value, count in zip(values, counts, strict=False) if count}
        for name, values, counts in (
            ("verdict", KINDS, verdict), ("given", queue.classes, given), ("suggested", queue.classes, suggested)
        )
    }  # fmt: skip


def next_open(desk: Desk, selection: Sequence[str], *, after: str | None = None) -> str | None:
    """The next face without a decision: first those after `after`, then from the start, skipped ones last.

    While the teaching round lasts, random faces that somebody else has decided wait too: it is one round for all. None
    when every face of the selection is decided.
    """
    start = selection.index(after) + 1 if after is not None and after in selection else 0
    done = desk.drawn_decided if teaching_now(desk).left else frozenset()
    later = None
    for place in chain(range(start, len(selection)), range(start)):
        sample_id = selection[place]
        if sample_id in desk.standing:
            continue
        if sample_id not in desk.skipped and sample_id not in done:
            return sample_id
        later = later or sample_id
    return later


def contender(desk: Desk, item: Item) -> str | None:
    """The class to weigh against the given one: the suggestion, or else the most probable other class."""
    if item.suggested_label is not None and item.suggested_label != item.given_label:
        return item.suggested_label
    if item.pred_probs is None:
        return None
    others = [(p, name) for p, name in zip(item.pred_probs, desk.classes, strict=True) if name != item.given_label]
    return max(others)[1] if others else None


def tally(desk: Desk, selection: Selection) -> Tally:
    """How far the reviewer is, at what pace, and how many errors are still to be expected."""
    chances, place = desk.items.ranked.p_mislabelled, desk.items.place
    done = [place[sample_id] for sample_id in list(desk.standing) if sample_id in selection]  # another tab may add one
    recent = desk.moments[-_PACE_OVER:]
    spent = recent[-1] - recent[0] if len(recent) > 1 else 0.0
    return Tally(
        done=len(done),
        total=len(selection),
        skipped=sum(sample_id in selection for sample_id in desk.skipped.difference(desk.standing)),
        expected_errors=max(0.0, float(chances[selection.rows].sum() - chances[done].sum())),
        per_minute=(len(recent) - 1) * 60 / spent if spent > 0 else None,
    )


def last_word(desk: Desk, sample_id: str) -> int:
    """The id of the decision that stands for the reviewer, as far as the desk knows; 0 where none does."""
    stands = desk.standing.get(sample_id)
    return 0 if stands is None else stands.decision_id


def stands(
    decision_id: int, action: str, label: str | None, reviewer: str, *, given: str | None,
    shares: tuple[float, ...] | None = None,
) -> Standing:  # fmt: skip
    """The standing that a decision about a face with this given label amounts to."""
    holds = label if action == "relabel" else given if action == "keep" else None
    return Standing(decision_id=decision_id, reviewer=reviewer, action=action, label=holds, shares=shares)
