"""How far the team agrees: of each pair of people, of each class, of all, with intervals, and what they disagree about.

It never counts a skip or an adjudication, and states no figure where the faces are too few for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from ferclean.evidence.people.pairs import FEWEST, alpha, class_agreement, cohen_kappa, interval
from ferclean.store.agreeing import OTHER_ANSWERS, agreeing, disputed, people
from ferclean.store.workspace import Workspace

_PAIRS = 40  # pairs of people that are listed, those with the most faces first


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A measure of agreement: 1 = full, 0 = chance (of a class: none)."""

    value: float | None
    """None where it is not defined (all said one and the same) or the faces are too few."""
    low: float | None
    high: float | None
    """The ends of the 95 % interval, by bootstrap over faces."""
    n: int
    """Faces that it rests on."""

    @property
    def too_few(self) -> bool:
        """The faces are too few to state anything."""
        return self.n < FEWEST


@dataclass(frozen=True, kw_only=True)
class PairLine:
    """Two people."""

    one: str
    other: str
    same: float
    """Share of the faces that both answered of which they said the same."""
    kappa: Figure
    """Cohen's, of all of these faces."""
    blind: Figure
    """Cohen's, where neither saw a suggestion."""


@dataclass(frozen=True, kw_only=True)
class AnswerLine:
    """One class, or ambiguous, or exclude."""

    answer: str
    agreement: Figure
    """Where one person said it, the share of the others who said it too."""
    instead: str | None
    """What the others said most often instead; None where nobody did."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A face that people disagree about."""

    sample_id: str
    source_key: str
    given_label: str | None
    said: tuple[tuple[str, str], ...]
    """(person, answer), in the order in which they said it."""


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """Two answers that people gave to the same faces."""

    one: str
    other: str
    faces: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, kw_only=True)
class Team:
    """What the team page shows."""

    people: dict[str, int]
    """Person -> faces with an answer of theirs."""
    overall: Figure
    """Krippendorff's alpha of all faces that two people or more answered."""
    blind: Figure
    """Of the answers that were given without a suggestion."""
    shown: Figure
    """Of those that were given beside one: to see the same suggestion makes people alike."""
    pairs: tuple[PairLine, ...]
    more_pairs: int
    """Pairs of people that are not listed, with the fewest faces."""
    answers: tuple[AnswerLine, ...]
    """In the card's order; answers that nobody gave are left out."""
    disputes: tuple[Dispute, ...]
    """The most frequent first."""


def team(ws: Workspace, *, disputes: int = 6, examples: int = 4) -> Team:
    """Count and measure everything at one moment; intervals are the same each time. Raises UsageError without a set.

    Costs what `agreeing` costs, and 1,000 draws per figure at any number of faces: .2 s at 12,000 decisions of three
    people, 2.1 s at 300,000.
    """
    with ws.reading("agreement"):
        found = agreeing(ws)
        names = (*found.classes, *OTHER_ANSWERS)
        patterns, times = found.counted("all")
        often = _disputed(patterns, times)[:disputes]
        faces = disputed(ws, [pair for pair, _ in often], each=examples)
        answered = people(ws)
    listed = _by_pair(found.pairs)
    return Team(
        people=answered,
        overall=_alpha(*found.counted("all")),
        blind=_alpha(*found.counted("blind")),
        shown=_alpha(*found.counted("shown")),
        pairs=tuple(_pair(*who, rows, len(names)) for who, rows in listed[:_PAIRS]),
        more_pairs=max(0, len(listed) - _PAIRS),
        answers=_answers(patterns, times, names),
        disputes=tuple(
            Dispute(one=names[one], other=names[other], faces=count, examples=_examples(faces, one, other, names))
            for (one, other), count in often
        ),
    )


def _figure(value: float, ends: np.ndarray, n: int) -> Figure:
    if n < FEWEST or np.isnan(value):
        return Figure(value=None, low=None, high=None, n=n)
    return Figure(value=float(value), low=float(ends[0]), high=float(ends[1]), n=n)


def _alpha(patterns: np.ndarray, times: np.ndarray) -> Figure:
    n = int(times.sum())
    if n < FEWEST:
        return _figure(float("nan"), np.empty(2), n)
    ends = interval(times, lambda drawn: alpha(patterns, drawn))
    return _figure(float(alpha(patterns, times)), ends, n)


def _answers(patterns: np.ndarray, times: np.ndarray, names: tuple[str, ...]) -> tuple[AnswerLine, ...]:
    values = class_agreement(patterns, times)
    ends = interval(times, lambda drawn: class_agreement(patterns, drawn))
    lines = []
    for at, name in enumerate(names):
        said = patterns[:, at] > 0
        n = int(times[said].sum())
        if not n:
            continue
        others = times[said] @ patterns[said]
        others[at] = 0
        instead = names[int(others.argmax())] if others.any() else None
        lines.append(AnswerLine(answer=name, agreement=_figure(values[at], ends[:, at], n), instead=instead))
    return tuple(lines)


def _disputed(patterns: np.ndarray, times: np.ndarray) -> list[tuple[tuple[int, int], int]]:
    """Pairs of answers that were given to the same face, with the number of faces, the most first."""
    said = patterns > 0
    both = (said * times[:, None]).T @ said
    found = [((one, other), int(both[one, other])) for one, other in combinations(range(len(both)), 2)]
    return sorted((entry for entry in found if entry[1]), key=lambda entry: -entry[1])


def _by_pair(pairs: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    found = [((str(one), str(other)), rows) for (one, other), rows in pairs.groupby(["one", "other"], sort=True)]
    return sorted(found, key=lambda entry: -int(entry[1]["faces"].sum()))


def _pair(one: str, other: str, rows: pd.DataFrame, answers: int) -> PairLine:
    every = _table(rows, answers)
    return PairLine(
        one=one, other=other, same=float(np.trace(every) / every.sum()), kappa=_kappa(every),
        blind=_kappa(_table(rows[rows["how"] == "blind"], answers)),
    )  # fmt: skip


def _table(rows: pd.DataFrame, answers: int) -> np.ndarray:
    table = np.zeros((answers, answers), dtype=np.int64)
    np.add.at(table, (rows["answer"].to_numpy(dtype=int), rows["other_answer"].to_numpy(dtype=int)), rows["faces"])
    return table


def _kappa(table: np.ndarray) -> Figure:
    n = int(table.sum())
    if n < FEWEST:
        return _figure(float("nan"), np.empty(2), n)
    ends = interval(table.ravel(), lambda drawn: cohen_kappa(drawn.reshape(-1, *table.shape)))
    return _figure(float(cohen_kappa(table)), ends, n)


def _examples(faces: pd.DataFrame, one: int, other: int, names: tuple[str, ...]) -> tuple[Example, ...]:
    chosen = faces[(faces["low"] == min(one, other)) & (faces["high"] == max(one, other))]
    return tuple(
        Example(
            sample_id=str(sample_id), source_key=str(rows["source_key"].iloc[0]),
            given_label=given if isinstance(given := rows["given_label"].iloc[0], str) else None,
            said=tuple(
                (str(who), names[int(answer)]) for who, answer in zip(rows["reviewer"], rows["answer"], strict=True)
            ),
        )
        for sample_id, rows in chosen.groupby("sample_id", sort=False)
    )  # fmt: skip
