"""How far the teaching round is, and what the decisions taught so far, in figures and in the same words everywhere.

It reads the store and records nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ferclean.evidence.constants import STANDARD
from ferclean.evidence.verdict.lessons import pace
from ferclean.store.counts import drawn_decided
from ferclean.store.decisions import decisions_after, seconds_taken
from ferclean.store.runs import Run, latest_run, list_runs
from ferclean.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """The teaching round of a set: the first decisions are about random faces, which speak for all."""

    size: int
    """Random faces in the round; 0 = there is none."""
    decided: int
    """Faces that a draw brought in and that somebody has decided about, wherever."""
    at_triage: int
    """How many of them there were when the triage in force was made."""
    voted: bool
    """There is no round because the set came with votes."""
    seconds: float
    """That a decision takes."""

    @property
    def left(self) -> int:
        """Random faces until the round is complete."""
        return max(0, self.size - self.decided)

    @property
    def over(self) -> bool:
        """The round was completed since the triage in force: the next one learns from all of it."""
        return self.at_triage < self.size <= self.decided

    @property
    def minutes_left(self) -> float:
        """At the person's pace."""
        return self.left * self.seconds / 60

    @property
    def words(self) -> str:
        """As a sentence without a full stop."""
        if self.voted:
            return "no teaching round: the set came with votes, which teach more"
        if not self.size:
            return "no teaching round"
        if self.left:
            return (
                f"teaching round: {self.decided:,} of {self.size:,} random faces decided, "
                f"{duration(self.minutes_left)} left"
            )
        return f"teaching round: done, {self.decided:,} random faces decided"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"left": self.left, "minutes_left": round(self.minutes_left, 1), "over": self.over}


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the latest triage could say about the labels, and how many decisions it does not know yet."""

    decisions: int
    """That it learned from."""
    newer: int
    """Decisions since, which the next triage learns from."""
    lesson: dict[str, Any]
    """`ferclean.evidence.verdict.lessons.Lesson` as a mapping; empty where no triage stated one."""
    seconds: float
    """That a decision takes."""

    @property
    def words(self) -> str:
        """As a sentence without a full stop; empty before a triage that learned from decisions."""
        return taught_words(self.lesson, seconds=self.seconds) if self.decisions and self.lesson else ""

    @property
    def newer_words(self) -> str:
        """What the next triage would learn from; empty where that is nothing."""
        return (
            f"{self.newer:,} decisions since the last triage; `ferclean triage` learns from them" if self.newer else ""
        )


def taught_words(lesson: dict[str, Any], *, seconds: float = STANDARD.seconds_a_look) -> str:
    """What a triage with decisions says about the labels.

    >>> found = {"accuracy_given": 0.71, "accuracy_now": 0.78, "errors_left": 90.4, "looks_to_next_point": 9}
    >>> taught_words(found).split("; ")[1:]
    ['about 90 errors left', 'the next point takes less than a minute of looking']
    """
    looks = lesson["looks_to_next_point"]
    if lesson["accuracy_now"] is None:
        return "no face has a label that people would agree on"
    return (
        f"labels right: about {100 * lesson['accuracy_now']:.0f} % as an automatic release has them now, "
        f"{100 * lesson['accuracy_given']:.0f} % as given; about {lesson['errors_left']:,.0f} errors left; "
        + ("the queue holds no further point" if looks is None
           else f"the next point takes {duration(looks * seconds / 60)} of looking")
    )  # fmt: skip


def duration(minutes: float) -> str:
    """Minutes in words.

    >>> duration(0.4), duration(1.2), duration(5.0), duration(150.0)
    ('less than a minute', 'about 1 minute', 'about 5 minutes', 'about 2.5 hours')
    """
    if minutes < 0.95:
        return "less than a minute"
    if minutes >= 90:
        return f"about {minutes / 60:.1f} hours"
    return f"about {minutes:.0f} minute{'' if round(minutes) == 1 else 's'}"


def teaching(ws: Workspace, *, reviewer: str | None = None) -> Teaching:
    """The round that the latest triage asked for, and how far it is; minutes are `reviewer`'s, default everybody's.

    Only decisions about samples that it judged count.
    """
    run = latest_run(ws, "triage")
    stated = _stated(run, "teaching")
    return Teaching(
        size=int(stated.get("size", 0)),
        decided=drawn_decided(ws),
        at_triage=int(stated.get("decided", 0)),
        voted=bool(stated.get("voted", False)),
        seconds=pace(seconds_taken(ws, reviewer)),
    )


def told(ws: Workspace) -> list[str]:
    """Where teaching stands, in words: the round, what the decisions taught, and what is not learned from yet."""
    return in_words(teaching(ws), progress(ws))


def in_words(round_: Teaching, taught: Progress) -> list[str]:
    """`told` of what was read already."""
    return [line for line in (round_.words, taught.words, taught.newer_words) if line]


def progress(ws: Workspace, *, reviewer: str | None = None) -> Progress:
    """What the latest triage said about the labels; nothing is judged anew."""
    run = latest_run(ws, "triage")
    read = int(run.config.get("decisions", 0)) if run else 0
    return Progress(
        decisions=int(run.metrics.get("decisions", 0)) if run else 0,
        newer=decisions_after(ws, read),
        lesson=_stated(run, "lesson"),
        seconds=pace(seconds_taken(ws, reviewer)),
    )


@dataclass(frozen=True, kw_only=True)
class Round:
    """One time that the verdicts were made, and what people had taught by then."""

    when: str
    """UTC, to the minute."""
    decisions: int
    """That it learned from."""
    random_faces: int
    """Of the decided faces, those that a draw brought in."""
    accuracy_given: float | None
    """Share of right labels as given, expected; None where it was not stated."""
    accuracy_now: float | None
    """As an automatic release would have had them then."""
    errors_left: float | None


def rounds(ws: Workspace) -> list[Round]:
    """Each triage that was done, the oldest first; those of versions that stated no lesson have no figures."""
    found = []
    for run in list_runs(ws):
        if run.kind != "triage" or run.finished_at is None or not run.metrics:
            continue
        said = _stated(run, "lesson")
        found.append(
            Round(
                when=f"{run.finished_at:%Y-%m-%d %H:%M}",
                decisions=int(run.metrics.get("decisions", 0)),
                random_faces=int(_stated(run, "teaching").get("decided", 0)),
                accuracy_given=said.get("accuracy_given"),
                accuracy_now=said.get("accuracy_now"),
                errors_left=said.get("errors_left"),
            )
        )
    return found


def _stated(run: Run | None, name: str) -> dict[str, Any]:
    found = run.metrics.get(name) if run else None
    return dict(found) if found else {}
