"""Facts about filters: what each leaves, how many each further choice would leave, and lists that stand while used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from apps.review.addresses import filters_of, listed, told
from ferclean.errors import UsageError
from ferclean.review.desk import Desk, Filters, facets, open_desk, select
from ferclean.review.narrowing import SORTS, counts
from ferclean.review.ranked import p_offer
from ferclean.review.resolver import chosen, listing, tiles
from ferclean.steps.review import decide, undo
from ferclean.steps.team import team
from ferclean.store.decisions import Decision, append_decisions
from ferclean.store.particulars import _attributes
from ferclean.store.workspace import Workspace
from tests.workspaces import copied

EVERY = ("mislabelled", "ambiguous", "clean")


@pytest.fixture
def desk(reviewable: Workspace, tmp_path: Path) -> Desk:
    return open_desk(copied(reviewable, tmp_path), reviewer="ada")


def left(desk: Desk, **filters: object) -> list[str]:
    return [desk.items[sample_id].source_key for sample_id in select(desk, Filters(kinds=EVERY, **filters))]  # type: ignore[arg-type]


def test_every_filter_leaves_what_it_says(desk: Desk) -> None:
    every = left(desk)
    assert len(every) == 28
    assert left(desk, splits=("test",)) == [f"face_{i:04d}" for i in range(4, 28, 5)]
    assert left(desk, name="E_001") == [f"face_{i:04d}" for i in range(10, 20)], "whatever the capitals"
    assert left(desk, name=".") == [], "a dot is a dot"
    assert left(desk, pairs=(("surprise", "fear"),)) == ["face_0000", "face_0007"]
    chance = p_offer(desk.items.ranked)
    inside = int(((chance >= 0.8) & (chance <= 1)).sum())
    assert 0 < len(left(desk, chance=(0.8, 1.0))) == inside < 28
    assert left(desk, chance=(0.0, 1.0), splits=("test",), name="face_0014") == ["face_0014"]


def test_a_face_is_open_until_it_is_decided_or_put_off_and_disagreement_and_notes_are_found(desk: Desk) -> None:
    first, second, third = list(desk.items)[:3]
    decide(desk, first, "ambiguous", note="could be fear")
    decide(desk, second, "skip")
    append_decisions(desk.ws, [Decision(sample_id=first, action="exclude", reviewer="bo")])
    key = {sample_id: desk.items[sample_id].source_key for sample_id in (first, second, third)}
    assert left(desk, states=("decided",)) == left(desk, states=("disagreed",)) == left(desk, states=("noted",))
    assert left(desk, states=("decided",)) == left(desk, people=("bo",)) == [key[first]]
    assert left(desk, states=("skipped",)) == [key[second]]
    assert left(desk, states=("decided", "skipped")) == [key[first], key[second]]
    assert len(left(desk, states=("open",))) == 26
    undo(desk)
    undo(desk)
    assert len(left(desk, states=("open",))) == 28


def test_each_count_is_what_choosing_it_would_leave_beside_the_other_filters(desk: Desk) -> None:
    decide(desk, next(iter(desk.items)), "exclude")
    asked = {"kinds": EVERY, "splits": ("train",), "states": ("open",)}
    found = counts(desk, Filters(**asked))  # type: ignore[arg-type]
    assert found.total == len(select(desk, Filters(**asked)))  # type: ignore[arg-type]
    names = {"verdict": "kinds", "given": "given", "suggested": "suggested", "split": "splits", "state": "states"}
    for name, field in names.items():
        assert found.of[name], name
        for value, count in found.of[name]:
            assert count == len(select(desk, Filters(**{**asked, field: (value,)}))), (name, value)  # type: ignore[arg-type]
    for given, suggested, count in found.pairs:
        assert count == len(select(desk, Filters(**asked, pairs=((given, suggested),))))  # type: ignore[arg-type]
    assert 0 < sum(found.chance) < found.total, "of some the chance is not known"
    assert dict(found.of["by"]) == {}, "among open faces there is no decided one"


def test_where_the_model_is_hidden_nothing_that_it_thinks_is_counted_or_shown(desk: Desk) -> None:
    found = counts(desk, Filters(blind=True))
    assert {"verdict", "suggested"}.isdisjoint(found.of)
    assert found.pairs == found.chance == []
    of = listing(desk, Filters(blind=True), sort="sure")
    assert list(of.rows) == list(select(desk, Filters(blind=True)).rows), "no order but the shuffled one"
    shown = tiles(desk, of, 0, 100)
    assert all(tile.verdict is tile.p is tile.offer is None for tile in shown)


def test_orders_hold_the_same_faces_and_go_by_what_they_say(desk: Desk) -> None:
    filters = Filters(kinds=EVERY)
    every = {sort: listing(desk, filters, sort=sort) for sort in SORTS}
    assert all(sorted(of.rows) == list(range(28)) for of in every.values())
    chance = p_offer(desk.items.ranked)
    for sort, sign in (("sure", -1), ("unsure", 1)):
        known = chance[every[sort].rows]
        known = known[~np.isnan(known)]
        assert (np.diff(sign * known) >= 0).all()
    pairs = [(tile.verdict, tile.given, tile.offer) for tile in tiles(desk, every["pair"], 0, 28)]
    assert len(dict.fromkeys(pairs)) == sum(one != other for one, other in zip([None, *pairs], pairs, strict=False))
    with pytest.raises(UsageError, match="unknown order"):
        listing(desk, filters, sort="beauty")


def test_what_is_decided_after_a_list_was_made_is_in_no_bulk_of_it_and_keeps_its_place(desk: Desk) -> None:
    of = listing(desk, Filters(kinds=EVERY, states=("open",)), sort="worth")
    before = [tile.sample_id for tile in tiles(desk, of, 0, 5)]
    decide(desk, before[1], "exclude")
    decide(desk, before[2], "skip")
    assert [tile.sample_id for tile in tiles(desk, of, 0, 5)] == before
    assert [(tile.action, tile.skipped) for tile in tiles(desk, of, 1, 2)] == [("exclude", False), (None, True)]
    assert chosen(desk, of, [(0, 2), (1, 5)]) == ([before[0], before[3], before[4]], 2)
    with pytest.raises(UsageError, match="outside of the list"):
        chosen(desk, of, [(0, 29)])


def test_attributes_of_few_plain_values_can_be_chosen_from() -> None:
    rows = [{"age": i, "box": [1, 2], "gender": "mf"[i % 2], "sure": True} for i in range(30)] + [{}]
    found = _attributes(pa.chunked_array([[json.dumps(row) for row in rows]]))
    assert {name: one.values for name, one in found.items()} == {"gender": ("f", "m"), "sure": ("true",)}
    assert list(found["gender"].codes) == [1, 0] * 15 + [-1]


def test_an_address_carries_every_filter_and_passes_over_what_no_face_has(desk: Desk) -> None:
    known = facets(desk)
    asked = {
        "verdict": "mislabelled,nonsense", "pair": "surprise>fear,fear>nobody", "split": "test,moon", "p": "0.5-0.9",
        "state": "open", "name": "a,b%2C", "by": "nobody", "attr": "gender=m", "source": "x",
    }  # fmt: skip
    assert filters_of(asked, desk, known) == Filters(
        kinds=("mislabelled",), pairs=(("surprise", "fear"),), splits=("test",), chance=(0.5, 0.9), states=("open",),
        name="a,b%2C",
    )  # fmt: skip
    for odd in ("0.9-0.5", "nan-1", "1", "a-b", "-1-2"):
        assert filters_of({"p": odd}, desk, known).chance is None
    assert listed(["50%, more", "b"]) == "50%25%2C more,b"
    assert told(filters_of(asked, desk, known)) == [
        "surprise → fear", "split test", "name with a,b%2C", "proposal right by 50% to 90%", "open",
    ]  # fmt: skip


def test_filters_tell_nothing_of_others_in_blind_mode_nor_of_a_face_for_two_before_ones_own_answer(desk: Desk) -> None:
    first = next(iter(desk.items))
    append_decisions(desk.ws, [Decision(sample_id=first, action="exclude", reviewer="bo", note="odd")])
    append_decisions(desk.ws, [Decision(sample_id=first, action="keep", reviewer="cy")])
    asked = {"by": "bo", "state": "noted", "p": "0-1", "pair": "surprise>fear"}
    assert filters_of(asked | {"blind": "1"}, desk, facets(desk)) == Filters(blind=True)
    assert {"by": []}.items() <= counts(desk, Filters(blind=True)).of.items()
    assert len(left(desk, people=("bo",))) == len(left(desk, states=("disagreed",))) == 1
    team(desk.ws, reviewers=("ada", "bo"), overlap=1.0, made_by="ada")
    two = open_desk(desk.ws, reviewer="ada")
    for hidden in ({"people": ("bo",)}, {"states": ("noted",)}, {"states": ("disagreed",)}):
        assert left(two, **hidden, everyone=True) == []
    decide(two, first, "ambiguous")
    assert len(left(two, people=("bo",), everyone=True)) == 1
