"""The team's agreement from a real log: what counts as an answer, who is told apart, and when figures are withheld."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from ferclean.evidence.people.pairs import FEWEST
from ferclean.review.agreement import team
from ferclean.store.decisions import Decision, append_decisions, undo
from ferclean.store.workspace import Workspace
from tests.bare_workspace import CLASSES, bare

COUNT = 60


@pytest.fixture
def work(tmp_path: Path) -> tuple[Workspace, list[str]]:
    return bare(tmp_path, COUNT)


def say(ws: Workspace, who: str, said: dict[str, str], *, source: str = "review", seen: bool = False) -> list[int]:
    """`said`: sample id -> class, or another action."""
    return append_decisions(
        ws,
        [
            Decision(
                sample_id=face, reviewer=who, source=source, action="relabel" if word in CLASSES else word,
                label=word if word in CLASSES else None, shown={"verdict": "clean"} if seen else None,
            )
            for face, word in said.items()
        ],
    )  # fmt: skip


def test_kappa_and_alpha_are_of_each_persons_own_last_word(work: tuple[Workspace, list[str]]) -> None:
    ws, ids = work
    rng = np.random.default_rng(0)
    ann = {face: str(rng.choice(CLASSES)) for face in ids}
    bob = {face: word if rng.random() < 0.7 else str(rng.choice([*CLASSES, "ambiguous"])) for face, word in ann.items()}
    say(ws, "ann", {face: "exclude" for face in ids})
    say(ws, "ann", ann)
    say(ws, "bob", bob)
    say(ws, "bob", {ids[0]: "skip"})
    found = team(ws)
    [pair] = found.pairs
    expected = cohen_kappa_score(list(ann.values()), list(bob.values()))
    assert (pair.one, pair.other, pair.kappa.n) == ("ann", "bob", COUNT)
    assert pair.kappa.value == pytest.approx(expected)
    assert pair.same == pytest.approx(np.mean([ann[face] == bob[face] for face in ids]))
    assert pair.kappa.low is not None
    assert pair.kappa.low < expected < (pair.kappa.high or 0)
    assert pair.blind == pair.kappa
    assert found.overall.value == pytest.approx(expected, abs=0.02)
    assert found.people == {"ann": COUNT, "bob": COUNT}
    assert sum(dispute.faces for dispute in found.disputes) == sum(ann[face] != bob[face] for face in ids)
    assert {line.answer for line in found.answers} == set(ann.values()) | set(bob.values())


def test_keep_says_the_given_label_and_an_adjudication_settles_no_agreement(work: tuple[Workspace, list[str]]) -> None:
    ws, ids = work
    given = dict(zip(ids, (CLASSES[i % 3] for i in range(COUNT)), strict=True))
    say(ws, "ann", {face: "keep" for face in ids})
    said = say(ws, "bob", {face: given[face] if i % 2 else "ambiguous" for i, face in enumerate(ids)})
    assert team(ws).pairs[0].same == 0.5
    say(ws, "eve", {ids[0]: "keep"}, source="adjudication")
    found = team(ws)
    assert found.pairs[0].same == 0.5, "settled is not agreed"
    assert "eve" not in found.people
    undo(ws, decision_id=said[0])
    assert found.pairs[0].kappa.n - team(ws).pairs[0].kappa.n == 1, "what was undone was not said"


def test_answers_beside_a_suggestion_are_told_apart_from_blind_ones(work: tuple[Workspace, list[str]]) -> None:
    ws, ids = work
    half = COUNT // 2
    assert half >= FEWEST
    for who in ("ann", "bob"):
        say(ws, who, dict.fromkeys(ids[:half], "fear") | {ids[0]: "anger"}, seen=True)
    say(ws, "ann", {face: CLASSES[i % 3] for i, face in enumerate(ids[half:])})
    say(ws, "bob", {face: CLASSES[i // 3 % 3] for i, face in enumerate(ids[half:])})
    found = team(ws)
    assert (found.overall.n, found.shown.n, found.blind.n) == (COUNT, half, half)
    assert found.shown.value == 1.0
    assert found.blind.value is not None
    assert found.blind.value < 0.3
    assert (found.pairs[0].blind.n, found.pairs[0].kappa.n) == (half, COUNT)
    say(ws, "cy", dict.fromkeys(ids, "fear"), source="cli")
    assert team(ws).blind.n == half, "nobody knows what a person at the command line saw"


def test_too_few_faces_have_a_number_and_no_figure(work: tuple[Workspace, list[str]]) -> None:
    ws, ids = work
    assert team(ws).overall.too_few
    say(ws, "ann", dict.fromkeys(ids[: FEWEST - 1], "fear"))
    say(ws, "bob", dict.fromkeys(ids[: FEWEST - 1], "keep"))
    found = team(ws)
    for figure in (found.overall, found.pairs[0].kappa, found.answers[0].agreement):
        assert figure.too_few
        assert figure.value is None


def test_examples_say_who_said_what_and_stop_at_the_number_asked_for(work: tuple[Workspace, list[str]]) -> None:
    ws, ids = work
    say(ws, "<b>ann</b>", dict.fromkeys(ids[:9], "fear"))
    say(ws, "bob", dict.fromkeys(ids[:9], "anger") | {ids[8]: "exclude"})
    first, second = team(ws, examples=3).disputes
    assert ({first.one, first.other}, first.faces, len(first.examples)) == ({"fear", "anger"}, 8, 3)
    assert ({second.one, second.other}, second.faces) == ({"fear", "exclude"}, 1)
    assert first.examples[0].said == (("<b>ann</b>", "fear"), ("bob", "anger"))
