"""What there is to tell about a sample, and the sentence that each kind of it becomes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ferclean.evidence.verdict import reasons
from ferclean.store.reasons import in_words, packed

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
