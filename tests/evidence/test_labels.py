"""The vocabulary: one canonical name per expression, and a round trip between names and indices."""

from __future__ import annotations

import numpy as np
import pytest

from ferclean.errors import UsageError
from ferclean.evidence.labels import ALIASES, COARSE_GROUPS, EXPRESSIONS, canonical_name, decode, encode


@pytest.mark.parametrize(("word", "name"), [("Happy", "happiness"), (" ANGRY ", "anger"), ("Surprise", "surprise")])
def test_a_known_word_in_any_case_has_its_canonical_name(word: str, name: str) -> None:
    assert canonical_name(word) == name


def test_an_alias_never_shadows_a_canonical_name_and_always_leads_to_one() -> None:
    assert not set(ALIASES) & set(EXPRESSIONS)
    assert set(ALIASES.values()) <= set(EXPRESSIONS)


@pytest.mark.parametrize("word", ["surprize", "", "3", None])
def test_an_unknown_word_is_refused_with_the_known_ones(word: str) -> None:
    with pytest.raises(UsageError, match="surprise, fear, disgust"):
        canonical_name(word)


def test_the_coarse_groups_part_the_seven_basic_expressions() -> None:
    members = [name for group in COARSE_GROUPS for name in group]
    assert sorted(members) == sorted(set(EXPRESSIONS) - {"contempt"})


def test_names_survive_a_round_trip_in_any_order_of_classes() -> None:
    classes = EXPRESSIONS[::-1]
    names = list(EXPRESSIONS) * 2
    assert decode(encode(names, classes), classes) == names


def test_missing_and_unknown_names_become_minus_one_and_none() -> None:
    indices = encode(["fear", None, float("nan"), "bored", "sadness"], ["fear", "anger"])
    assert indices.dtype == np.int64
    assert indices.tolist() == [0, -1, -1, -1, -1]
    assert decode(indices, ["fear", "anger"])[1] is None


def test_a_vocabulary_of_ones_own_is_looked_up_as_it_stands() -> None:
    assert encode(["Happy", "grin"], ["Happy", "grin"]).tolist() == [0, 1]


def test_a_class_named_twice_and_an_index_without_a_class_are_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        encode(["fear"], ["fear", "fear"])
    with pytest.raises(UsageError, match="index 2"):
        decode([2], ["fear", "anger"])
