"""Takes what a screen sends: one reviewer's answers in their order, each once, however often it is sent.

A screen goes on before it hears that an answer was recorded, so it sends it again until it does: after a lost
connection, and after the server was killed. What is refused is refused alone; the answers after it are taken.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ferclean.errors import UsageError
from ferclean.review.desk import Desk, refresh, stands
from ferclean.store.answers import known_answers, put_answers
from ferclean.store.checks import taken_back_in
from ferclean.store.decisions import Decision, NewerDecisionError, append_in, decided_about_in, undo_in
from ferclean.store.samples import read_dataset
from ferclean.store.standing import Word

UNDO = "undo"
"""As an action: take back what the answer `undoes` recorded, or the reviewer's last act."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One key that a person pressed at a face."""

    answer_id: str
    """Unique: a screen names each by itself and its number."""
    action: str
    """keep, relabel, ambiguous, exclude, skip or UNDO."""
    sample_id: str | None = None
    """The face that was on the screen; not needed for UNDO."""
    label: str | None = None
    """The class of a relabel; the one that the face has is kept."""
    shares: Mapping[str, float] | None = None
    """With ambiguous, as `Decision.shares`."""
    seen: int | str = 0
    """What the person saw stand: the id of a decision (0: none), or the answer of theirs that it was, which the screen
    may have sent only just before."""
    undoes: str | None = None
    """With UNDO: the answer that it takes back; None: whatever the reviewer did last, in an earlier sitting too."""
    seconds: float | None = None
    model_hidden: bool = False
    note: str = ""
    by_choice: bool = False
    """As `Decision.by_choice`."""
    check: str = ""
    """One of `store.decisions.CHECKS`: it measures the reviewer and stands for nothing."""
    run_id: str | None = None
    """The triage that judged what was shown; of another one than the desk's this alone is kept. None: the desk's."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of an answer."""

    answer_id: str
    sample_ids: tuple[str, ...] = ()
    """What it was about; of an UNDO what was taken back."""
    check: str = ""
    """Of an UNDO: the check (`Answer.check`) that was taken back."""
    decision_id: int | None = None
    """The row of the log that it became; None where it was refused."""
    refused: str = ""
    """Why, in words."""
    newer: Word | None = None
    """What stands instead, where that is why."""


def take(desk: Desk, answers: Sequence[Answer]) -> list[Taken]:
    """Record answers in their order in one session; they are on the disk when this returns, or none is.

    One entry per answer. Answers that were recorded before are told as they were then. The desk is brought up to date.
    Costs what `append_decisions` costs for each run of answers about different faces, whatever the size of the set.
    """
    seeing = [str(one.sample_id) for one in answers if not one.model_hidden]
    shown = desk.items.read([sample_id for sample_id in seeing if sample_id in desk.items])
    with desk.ws.session("recording answers") as con:
        taking = _Taking(
            con=con, desk=desk, classes=read_dataset(con, desk.ws).classes,
            shown={sample_id: item.shown() for sample_id, item in shown.items()},
            known=known_answers(con, [*(one.answer_id for one in answers), *_named(answers)]),
        )  # fmt: skip
        for batch in _batches(answers):
            taking.record(batch)
        put_answers(con, taking.recorded)
    _bring_up_to_date(desk, [one for one in answers if one.answer_id in taking.recorded], taking.recorded)
    return [taking.said[one.answer_id] for one in answers]


def _named(answers: Sequence[Answer]) -> Iterator[str]:
    """The earlier answers that these refer to."""
    for one in answers:
        yield from (name for name in (one.undoes, one.seen) if isinstance(name, str))


def _batches(answers: Sequence[Answer]) -> Iterator[list[Answer]]:
    """Runs of answers that can be recorded together: none of them rests on another, and none is an undo beside one."""
    batch: list[Answer] = []
    for one in answers:
        again = one.sample_id in {other.sample_id for other in batch} or isinstance(one.seen, str)
        if batch and (again or UNDO in (one.action, batch[-1].action)):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _bring_up_to_date(desk: Desk, answers: Sequence[Answer], rows_of: Mapping[str, int]) -> None:
    for one in answers:
        if one.action == UNDO:
            if desk.moments:
                desk.moments.pop()
            continue
        sample_id = str(one.sample_id)
        desk.moments.append(time.monotonic())
        if one.check:
            if desk.checks is not None:
                desk.checks.answered.add((one.check, sample_id))
            continue
        if one.action == "skip":
            desk.skipped.add(sample_id)
            continue
        action, label = _plain(desk, one)
        desk.standing[sample_id] = stands(
            rows_of[one.answer_id], action, label, desk.reviewer, given=_given(desk, sample_id),
            shares=None if one.shares is None else tuple(one.shares.get(name, 0.0) for name in desk.classes),
        )  # fmt: skip
        if not one.by_choice and sample_id in desk.random_checks:
            desk.drawn_decided.add(sample_id)
    if any(one.action == UNDO for one in answers):
        refresh(desk)


def _plain(desk: Desk, one: Answer) -> tuple[str, str | None]:
    """The action and label as the log keeps them: to relabel a face with the label that it has is to keep it."""
    if one.action == "relabel" and one.label is not None and one.label == _given(desk, str(one.sample_id)):
        return "keep", None
    return one.action, one.label


def _given(desk: Desk, sample_id: str) -> str | None:
    return desk.items.given(sample_id) if sample_id in desk.items else None


@dataclass(kw_only=True)
class _Taking:
    """One session of `take`."""

    con: Any
    desk: Desk
    classes: tuple[str, ...]
    shown: Mapping[str, dict[str, Any]]
    known: dict[str, tuple[int, str]]
    recorded: dict[str, int] = field(default_factory=dict)
    said: dict[str, Taken] = field(default_factory=dict)

    def record(self, batch: Sequence[Answer]) -> None:
        fresh = []
        for one in batch:
            if one.answer_id in self.known:
                decision_id, sample_id = self.known[one.answer_id]
                self._say(one, decision_id, (sample_id,))
            elif one.action == UNDO:
                self._undo(one)
            else:
                fresh.append(one)
        while fresh:  # fewer each time
            try:
                ids = append_in(self.con, [self._decision(one) for one in fresh], self.classes, dry_run=False)
            except NewerDecisionError as error:
                for one in [one for one in fresh if one.sample_id in error.newer]:
                    self._refuse(one, "a newer answer stands", error.newer[str(one.sample_id)])
                fresh = [one for one in fresh if one.sample_id not in error.newer]
            except UsageError as error:
                if len(fresh) == 1:
                    self._refuse(fresh[0], str(error))
                    return
                for one in fresh:  # which of them it is
                    self.record([one])
                return
            else:
                for one, decision_id in zip(fresh, ids, strict=True):
                    self._keep(one, decision_id, (str(one.sample_id),))
                return

    def _undo(self, one: Answer) -> None:
        target = None
        if one.undoes is not None:
            if one.undoes not in self.known:
                self._refuse(one, "the answer that it takes back was not recorded")
                return
            target = self.known[one.undoes][0]
        ids = undo_in(self.con, reviewer=self.desk.reviewer, decision_id=target)
        if not ids:
            self._refuse(one, "there is nothing to undo")
            return
        self._keep(one, ids[0], tuple(decided_about_in(self.con, ids)))

    def _decision(self, one: Answer) -> Decision:
        action, label = _plain(self.desk, one)
        seen: int | str | None = None if one.check else one.seen  # it replaces nothing
        if isinstance(seen, str):  # where it was refused, nothing of ours stands
            seen = self.known[seen][0] if seen in self.known else 0
        return Decision(
            sample_id=str(one.sample_id), action=action, label=label, reviewer=self.desk.reviewer, note=one.note,
            source=one.check or "review", seconds=None if one.seconds is None else round(one.seconds, 2), seen=seen,
            shown=None if one.model_hidden else self._shown(one), by_choice=one.by_choice, shares=one.shares,
        )  # fmt: skip

    def _shown(self, one: Answer) -> dict[str, Any] | None:
        shown = self.shown.get(str(one.sample_id))
        known = shown is not None and one.run_id in (None, shown["run_id"])
        return shown if known or one.run_id is None else {"run_id": one.run_id}

    def _keep(self, one: Answer, decision_id: int, sample_ids: tuple[str, ...]) -> None:
        self.known[one.answer_id] = decision_id, sample_ids[-1]
        self.recorded[one.answer_id] = decision_id
        self._say(one, decision_id, sample_ids)

    def _say(self, one: Answer, decision_id: int, sample_ids: tuple[str, ...]) -> None:
        check = taken_back_in(self.con, [decision_id]) if one.action == UNDO else ""
        self.said[one.answer_id] = Taken(
            answer_id=one.answer_id, sample_ids=sample_ids, check=check, decision_id=decision_id
        )

    def _refuse(self, one: Answer, why: str, newer: Word | None = None) -> None:
        about = () if one.sample_id is None else (one.sample_id,)
        self.said[one.answer_id] = Taken(answer_id=one.answer_id, sample_ids=about, refused=why, newer=newer)
