"""What the review screen records: one reviewer's decisions, one by one or in bulk, and their undo.

It never draws, and it never keeps the workspace open while a person thinks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

from ferclean.errors import UsageError
from ferclean.review.desk import Desk, Standing, last_word, refresh, stands
from ferclean.store.checks import taken_back
from ferclean.store.decisions import Decision, NewerDecisionError, append_decisions, decided_about
from ferclean.store.decisions import undo as append_undo
from ferclean.store.standing import random_checks

OFFER = "offer"
"""As an action: of each face what its verdict proposes."""

ASK_ABOVE = 24
"""Faces that one bulk may decide about without being asked whether so many are meant: a page of the grid."""


class SaidWith(TypedDict, total=False):
    """What goes with an action; all of it may be left out."""

    label: str | None
    seconds: float | None
    model_hidden: bool
    note: str
    by_choice: bool


def decide(desk: Desk, sample_id: str, action: str, *, seen: int | None = None, **said: Unpack[SaidWith]) -> Standing:
    """Record one decision; it is on the disk when this returns.

    To relabel a face with the label that it has is to keep it. OFFER stands for what the verdict proposes and raises
    UsageError where that is nothing. `model_hidden` leaves out what the model showed. `seen` is the decision that the
    screen showed as standing (0: none; default: what the desk knows): raises NewerDecisionError, and brings the desk
    up to date, where another tab or an adjudicator was quicker. `by_choice`: a filter brought the person here, not the
    draw (`Filters.narrowed`).
    """
    saw = {} if seen is None else {sample_id: seen}
    try:
        return decide_many(desk, [sample_id], action, seen=saw, **said)[0]
    except NewerDecisionError:
        refresh(desk)
        raise


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
    seen: Mapping[str, int] | None = None,
    by_choice: bool = False,
) -> list[Standing]:
    """`decide` about several faces at once, all or none; `undo` takes a bulk back as a whole."""
    if action == OFFER and model_hidden:
        raise UsageError("blind mode: nothing is proposed while the model is hidden; choose an action")
    strangers = [sample_id for sample_id in sample_ids if sample_id not in desk.items]
    if strangers:
        raise UsageError(f"sample {strangers[0]!r} is not in the queue; reload the page")
    shown = {} if model_hidden else desk.items.read(sample_ids)  # of a blind decision nothing of the model is kept
    decisions = []
    for sample_id in sample_ids:
        saw = (seen or {}).get(sample_id, last_word(desk, sample_id))
        said, new_label = _plain(desk, sample_id, action, label)
        decisions.append(
            Decision(
                sample_id=sample_id, action=said, label=new_label, reviewer=desk.reviewer, note=note, source="review",
                seconds=None if seconds is None else round(seconds, 2), bulk_id=bulk_id,
                shown=None if model_hidden else shown[sample_id].shown(), seen=saw, by_choice=by_choice,
            )
        )  # fmt: skip
    recorded = []
    for decision_id, decision in zip(append_decisions(desk.ws, decisions), decisions, strict=True):
        given = desk.items.given(decision.sample_id)
        said_now = stands(decision_id, decision.action, decision.label, desk.reviewer, given=given)
        recorded.append(said_now)
        if decision.action == "skip":
            desk.skipped.add(decision.sample_id)
        else:
            desk.standing[decision.sample_id] = said_now
            if not by_choice and decision.sample_id in desk.random_checks:
                desk.drawn_decided.add(decision.sample_id)
    if len(recorded) == 1:  # a bulk says nothing about a person's pace
        desk.moments.append(time.monotonic())
    return recorded


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """What one decision about many faces comes to."""

    sample_ids: tuple[str, ...]
    """The faces that it decides about."""
    actions: dict[str, int]
    """Action -> faces."""
    random_checks: int
    """Left out: drawn to measure errors, so each is looked at by itself."""
    without_offer: int
    """Left out: their verdict proposes nothing."""
    newer: int = 0
    """Left out: decided in another tab, or adjudicated, since this page was drawn."""

    @property
    def left_out(self) -> str:
        """`told_left_out` of this one."""
        return told_left_out(random_checks=self.random_checks, without_offer=self.without_offer, newer=self.newer)

    @property
    def asks(self) -> bool:
        """So many that a person is asked first whether they are meant."""
        return len(self.sample_ids) > ASK_ABOVE


def told_left_out(*, random_checks: int, without_offer: int, newer: int) -> str:
    """What a bulk leaves out, as the end of a sentence on every screen; empty when that is nothing.

    >>> told_left_out(random_checks=2, without_offer=0, newer=1)
    '; left out: 2 of the random check, which are decided one by one, 1 decided elsewhere meanwhile'
    """
    counts = (
        (random_checks, "of the random check, which are decided one by one"),
        (without_offer, "without a proposal"),
        (newer, "decided elsewhere meanwhile"),
    )
    left = ", ".join(f"{count:,} {why}" for count, why in counts if count)
    return f"; left out: {left}" if left else ""


def plan_bulk(desk: Desk, sample_ids: Sequence[str], *, action: str, label: str | None = None) -> Bulk:
    """What `decide_bulk` would record and leave out. `action` is one of the store's, or OFFER."""
    open_ = [sample_id for sample_id in sample_ids if sample_id not in desk.random_checks]
    chosen = [i for i in open_ if action != OFFER or desk.items.offer(i) is not None]
    return Bulk(
        sample_ids=tuple(chosen),
        actions=dict(Counter(_plain(desk, sample_id, action, label)[0] for sample_id in chosen)),
        random_checks=len(sample_ids) - len(open_),
        without_offer=len(open_) - len(chosen),
    )


def decide_bulk(
    desk: Desk,
    sample_ids: Sequence[str],
    *,
    action: str,
    label: str | None = None,
    model_hidden: bool = False,
    bulk_id: str,
) -> Bulk:
    """One act about many faces, which `undo` takes back as a whole; what it leaves out is counted.

    Raises UsageError for OFFER while the model is hidden: nobody saw what is proposed.
    """
    desk.random_checks = frozenset(random_checks(desk.ws))
    bulk = plan_bulk(desk, sample_ids, action=action, label=label)
    while bulk.sample_ids:  # fewer each time: what somebody decided meanwhile is left out
        try:
            decide_many(desk, bulk.sample_ids, action, label=label, model_hidden=model_hidden, bulk_id=bulk_id)
            break
        except NewerDecisionError as error:
            refresh(desk)
            rest = [sample_id for sample_id in bulk.sample_ids if sample_id not in error.newer]
            bulk = replace(plan_bulk(desk, rest, action=action, label=label), random_checks=bulk.random_checks,
                           without_offer=bulk.without_offer, newer=bulk.newer + len(error.newer))  # fmt: skip
    return bulk


@dataclass(frozen=True, kw_only=True)
class Undone:
    """What an undo took back."""

    sample_ids: tuple[str, ...] = ()
    """What it was about; empty when nothing was left to undo."""
    check: str = ""
    """Which check (`store.decisions.CHECKS`) the answer was; its face is not to be asked about in earnest now."""


def undo(desk: Desk) -> Undone:
    """Take back the reviewer's last act, in this sitting or an earlier one.

    A bulk is taken back as a whole. The undo is appended, nothing is erased.
    """
    undone = append_undo(desk.ws, reviewer=desk.reviewer)
    if not undone:
        return Undone()
    refresh(desk)
    if desk.moments:
        desk.moments.pop()
    return Undone(sample_ids=tuple(decided_about(desk.ws, undone)), check=taken_back(desk.ws, undone))


def _plain(desk: Desk, sample_id: str, action: str, label: str | None) -> tuple[str, str | None]:
    """The action and label as the store knows them."""
    if action == OFFER:
        offered = desk.items.offer(sample_id)
        if offered is None:
            raise UsageError("the verdict proposes nothing for this face; choose a label, or mark it as ambiguous")
        action, label = offered.action, offered.label
    if action == "relabel" and label is not None and label == desk.items.given(sample_id):
        return "keep", None
    return action, label if action == "relabel" else None
