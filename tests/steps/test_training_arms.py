"""What each arm of a retraining trains on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.parts.training_arms import ARMS, Material, check_arms, make_arm
from ferclean.recognition.arms import Arm

CLASSES = ("joy", "fear", "anger")


def material() -> Material:
    rows = [  # given, label, included, reason, soft label
        ("joy", "joy", True, None, [0.8, 0.1, 0.1]),
        ("joy", "fear", True, "automatic: mislabelled (p 0.9)", [0.2, 0.7, 0.1]),
        ("fear", "fear", True, "decision: keep by ann", [0.4, 0.5, 0.1]),
        ("fear", "anger", True, "decision: relabel by ann", [0.3, 0.4, 0.3]),
        ("anger", "anger", True, "decision: ambiguous by ann", [0.0, 0.5, 0.5]),
        ("anger", "anger", False, "decision: exclude by ann", None),
        ("joy", "joy", True, None, None),
        ("fear", "fear", True, None, [0.1, 0.8, 0.1]),  # not usable: a copy of a test image, say
    ]
    table = pd.DataFrame(rows, columns=["given_label", "label", "included", "reason", "soft_label"])
    return Material(table=table, classes=CLASSES, usable=np.arange(8) < 7)


def arm(name: str, made: Material | None = None) -> Arm:
    found = make_arm(name, made or material())
    assert isinstance(found, Arm)
    return found


def test_given_cleaned_and_decided_labels() -> None:
    assert (arm("given").rows.tolist(), arm("given").labels.tolist()) == ([*range(7)], [0, 0, 1, 1, 2, 2, 0])
    assert (arm("cleaned").rows.tolist(), arm("cleaned").labels.tolist()) == ([0, 1, 2, 3, 4, 6], [0, 1, 1, 2, 2, 0])
    alone = arm("decisions")  # the automatic change is not a person's
    assert (alone.rows.tolist(), alone.labels.tolist()) == ([0, 1, 2, 3, 4, 6], [0, 0, 1, 2, 2, 0])


def test_a_doubted_label_counts_in_the_cleaned_arm_as_much_as_its_weight_and_in_no_other() -> None:
    doubted = replace(material(), table=material().table.assign(weight=[1, 1, 1, 1, 0.3, 1, 0.4, 0.2]))
    found = arm("cleaned", doubted).weights
    assert found is not None
    assert found.tolist() == [1, 1, 1, 1, 0.3, 0.4]
    assert arm("cleaned").weights is None
    for name in ("given", "soft", "decisions"):
        assert arm(name, doubted).weights is None


def test_labels_that_all_weigh_nothing_are_refused_before_anything_is_trained() -> None:
    with pytest.raises(BadDataError, match="every training row of the release weighs 0"):
        arm("cleaned", replace(material(), table=material().table.assign(weight=0.0)))


def test_soft_targets_are_the_releases_but_one_class_where_a_person_named_one() -> None:
    soft = arm("soft")
    assert soft.rows.tolist() == [0, 1, 2, 3, 4, 6]
    np.testing.assert_allclose(
        soft.labels, [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0, 1, 0], [0, 0, 1], [0, 0.5, 0.5], [1, 0, 0]]
    )


def test_self_distillation_knows_neither_decisions_nor_judges() -> None:
    probs = np.full((8, 3), 1 / 3)
    probs[6] = np.nan
    own = arm("self_distillation", replace(material(), pred_probs=probs))
    assert own.rows.tolist() == [*range(7)]
    np.testing.assert_allclose(own.labels[:6], 1 / 3)
    assert own.labels[6].tolist() == [1, 0, 0]  # nothing was predicted: the given label


def test_controls_change_or_leave_out_as_many_at_random_and_others_with_every_seed() -> None:
    given = arm("given")
    relabel, removal = make_arm("random_relabel", material()), make_arm("random_removal", material())
    assert callable(relabel)
    assert callable(removal)
    changed = [relabel(seed).labels != given.labels for seed in range(8)]
    assert {int(each.sum()) for each in changed} == {2}
    assert len({tuple(each) for each in changed}) > 1
    kept = [removal(seed).rows for seed in range(8)]
    assert {len(rows) for rows in kept} == {4}  # two changed and one left out of seven
    assert len({tuple(rows) for rows in kept}) > 1
    assert relabel(3).labels.tolist() == relabel(3).labels.tolist()


def test_the_oracle_is_the_votes_majority_and_the_given_label_where_there_is_none() -> None:
    votes = np.zeros((8, 3), dtype=np.int64)
    votes[0], votes[1] = [0, 3, 1], [2, 2, 0]
    assert arm("oracle", replace(material(), votes=votes)).labels.tolist() == [1, 0, 1, 1, 2, 2, 0]


def test_what_the_set_does_not_have_is_refused_with_the_way() -> None:
    bare = material().table.assign(soft_label=None, reason=None)
    for name, message in (
        ("oracle", "--votes"), ("self_distillation", "ferclean score"), ("soft", "--policy auto"),
        ("decisions", "nobody"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            make_arm(name, replace(material(), table=bare))


def test_arms_are_named_once_and_the_given_labels_come_first() -> None:
    assert check_arms(["soft", "given", "soft"], default="cleaned") == ["given", "soft"]
    assert check_arms(None, default="cleaned") == ["given", "cleaned"]
    with pytest.raises(UsageError, match="oracle"):
        check_arms(["orakle"], default="cleaned")
    for name in set(ARMS) - {"oracle", "self_distillation"}:
        make_arm(name, material())
