"""What there is to tell about a sample, and the sentence that each kind of it becomes."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ferclean.evidence.verdict import reasons
from ferclean.steps import triage
from ferclean.store.reasons import WORDS, in_words, packed

NAMES = ["anger", "fear", "{odd} \"name'"]
LABELS = np.array([0, 1, 2])
PROBS = np.array([[0.105, 0.495, 0.4], [0.02, 0.98, 0.0], [0.1, 0.3, 0.6]])
ODD = NAMES[2]


def told(**known: Any) -> list[list[str]]:
    said = reasons.to_tell(LABELS, PROBS, np.array([0, 1, 0]), names=NAMES, **known)
    return [in_words([packed(reason) for reason in of_one]) for of_one in said]


def test_every_kind_of_reason_has_the_words_that_people_know() -> None:
    everything = told(
        knn_shares=np.array([[0.125, 0.875, 0.0], [0.0, 1.0, 0.0], [np.nan] * 3]),
        learned_share=np.array([0.0, 1.0, 0.5]),
        epochs=5,
        unusable=np.array([1.0, 0.6, 0.0]),
        ambiguous=np.array([True, False, False]),
        duplicates=np.array([0, 0, 0]),
        recognizer_probs=np.stack([PROBS, PROBS[:, ::-1]]),
        votes=np.array([[2, 3, 0], [0, 4, 1], [0, 0, 0]]),
    )
    assert everything == [
        [
            "no readable face: blank or broken",
            "3 of 5 people say fear, 2 anger",
            "the recognizer gives fear 50 %, the given label anger 10 % (2 of 2 recognizers prefer fear)",
            f"torn between fear (50%) and {ODD} (40%)",
            "88 % of the nearest faces are labelled fear, 12 % anger",
            "never learned in 5 epochs",
            f"a copy of it is labelled fear and {ODD}",
        ],
        [
            "perhaps no face: a face detector sees none, or it is unlike all other images",
            "4 of 5 people say fear",
            "the recognizer gives the given label fear 98 % (2 of 2 recognizers prefer fear)",
            "100 % of the nearest faces are labelled fear",
            f"a copy of it is labelled anger and {ODD}",
        ],
        [
            f"the recognizer gives anger 10 %, the given label {ODD} 60 % (1 of 2 recognizers prefer anger)",
            "a copy of it is labelled anger and fear",
        ],
    ]
    assert told(learned_share=np.array([0.0, 1.0, 1.0])) == [
        ["the recognizer gives fear 50 %, the given label anger 10 %", "never learned in training"],
        ["the recognizer gives the given label fear 98 %"],
        [f"the recognizer gives anger 10 %, the given label {ODD} 60 %"],
    ]


def test_each_outside_judge_is_told_by_name_of_the_faces_and_classes_that_it_knows() -> None:
    said = np.array([[[0.2, 0.8, 0.0], [0.1, 0.9, 0.0], [np.nan] * 3], [[np.nan, 0.7, 0.3]] * 3])
    found: reasons.Told = [[], [], []]
    reasons.add_judges(found, LABELS, said, judges=["one", "two"], names=NAMES)
    assert [in_words([packed(reason) for reason in of_one]) for of_one in found] == [
        [
            "one, an outside judge, gives fear 80 %, the given label 20 %",
            "two, an outside judge, gives fear 70 % and does not know the given label",
        ],
        [
            "one, an outside judge, gives the given label fear 90 %",
            "two, an outside judge, gives the given label fear 70 %",
        ],
        ["two, an outside judge, gives fear 70 %, the given label 30 %"],
    ]


def test_copies_are_told_and_what_was_stored_as_a_sentence_stays_one() -> None:
    stored = [packed(reason) for reason in [("copy", "a.png"), ("leak", "b.png", "test"), "[odd] image: empty"]]
    assert in_words(stored) == ["a copy of a.png", "a copy of b.png in test", "[odd] image: empty"]


def kinds(node: ast.expr) -> Iterator[str]:
    """The kinds that an expression may stand for."""
    match node:
        case ast.Constant(value=str(kind)):
            yield kind
        case ast.IfExp(body=one, orelse=other):
            yield from (*kinds(one), *kinds(other))
        case ast.Tuple(elts=[first, *_]):
            yield from kinds(first)
        case ast.JoinedStr(values=[ast.Constant(value=str(start)), _]):
            yield from (start, f"{start} of several")
        case _:
            pytest.fail(f"no kind can be read off {ast.unparse(node)}")


def test_whatever_can_be_told_has_words() -> None:
    found: set[str] = set()
    for module in (reasons, triage):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            match node:
                case ast.Call(func=ast.Name(id="_tell"), args=[_, _, kind, *_]):
                    found.update(kinds(kind))
                case ast.Call(func=ast.Attribute(attr="append"), args=[ast.Tuple() | ast.IfExp() as kind]):
                    found.update(kinds(kind))
    assert {"torn", "unlearned in", "other of several", "copy labelled", "judge unknown", "copy", "leak"} < found
    assert found <= WORDS.keys()


@pytest.mark.parametrize(
    "stored", ['["a newer kind",1]', '["votes",1]', '["odd] image: empty', '["odd"] image', '["copy" of x]', '[""]']
)
def test_what_has_no_words_is_shown_as_it_is_stored(stored: str) -> None:
    assert in_words([stored, packed(("copy", "a.png"))]) == [stored, "a copy of a.png"]
