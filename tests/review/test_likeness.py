"""Facts about likeness groups: who is in one, with whom, and in which order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ferclean.evidence.signals import nearest
from ferclean.review.beside import open_album
from ferclean.review.desk import Filters, open_desk
from ferclean.review.likeness import SIZE, Group, groups_on, likeness_groups, near_rows
from ferclean.review.offers import Offer
from ferclean.review.ranked import p_offer
from ferclean.steps.review import decide
from ferclean.store.table import Ranked, ranked
from ferclean.store.verdicts import KINDS
from ferclean.store.workspace import Workspace
from tests.workspaces import copied

CLASSES = ("anger", "fear", "neutral")
CLEAN, TORN, WRONG, COPY = (KINDS.index(kind) for kind in ("clean", "ambiguous", "mislabelled", "duplicate"))


def a_queue(n: int = 200, *, classes: int = 3, seed: int = 0, sure: float | None = None) -> Ranked:
    """A queue of all verdicts; `sure`: all offers are that probable."""
    rng = np.random.default_rng(seed)
    given = rng.integers(-1 if classes > 1 else 0, classes, n)
    suggested = rng.integers(0, classes, n)
    verdict = rng.integers(0, len(KINDS), n) if classes > 1 else np.full(n, CLEAN)
    chance = rng.random(n) if sure is None else np.full(n, sure)
    part = (1 - chance) / 2
    ambiguous = np.where(verdict == TORN, chance, np.where(verdict == KINDS.index("unusable"), 0, part))
    unusable = np.where(verdict == KINDS.index("unusable"), chance, np.where(verdict == TORN, 0, part))
    return Ranked(
        run_id=None, classes=CLASSES[:classes], ids=[f"{row:04d}" for row in range(n)], given=given,
        suggested=suggested, verdict=verdict, p_mislabelled=np.where(verdict == WRONG, chance, 0.0),
        p_ambiguous=ambiguous, p_unusable=unusable, p_suggested=np.ones(n), drawn=np.zeros(n, dtype=bool),
    )  # fmt: skip


def some_near(queue: Ranked, seed: int = 0) -> np.ndarray:
    """Who is near whom in drawn embeddings."""
    points = np.random.default_rng(seed).normal(size=(len(queue.ids), 4))
    return near_rows({one: row for row, one in enumerate(queue.ids)}, queue.ids, nearest.find(points, k=12))


def members(groups: list[Group]) -> list[str]:
    return [sample_id for group in groups for sample_id in group.sample_ids]


@pytest.mark.parametrize("alike", [True, False])
def test_every_member_is_sure_and_has_the_flow_and_the_offer_of_its_group(alike: bool) -> None:
    queue = a_queue()
    groups = likeness_groups(queue, np.arange(200), some_near(queue) if alike else None, sure=0.5)
    chance = p_offer(queue)
    assert len(groups) > 10
    assert len(members(groups)) == len(set(members(groups)))
    for group in groups:
        rows = [queue.ids.index(one) for one in group.sample_ids]
        assert 2 <= len(rows) <= SIZE
        assert {KINDS[queue.verdict[row]] for row in rows} == {group.offer.verdict}
        assert {queue.label(queue.given[row]) for row in rows} == {group.given}
        assert {queue.label(queue.suggested[row]) for row in rows} == {group.suggested}
        assert (np.diff(chance[rows]) <= 0).all(), "the surest first"
        assert chance[rows].min() >= 0.5
        assert group.p_offer == pytest.approx(chance[rows].mean())


def test_a_group_whose_faces_come_first_comes_first() -> None:
    queue = a_queue()
    rows = np.random.default_rng(1).permutation(200)
    places = [
        np.mean([rows.tolist().index(int(one)) for one in group.sample_ids])
        for group in likeness_groups(queue, rows, some_near(queue), sure=0.2)
    ]
    assert len(places) > 5
    assert places == sorted(places)


def test_alike_faces_of_a_flow_share_a_page_and_pages_are_full_across_neighbourhoods() -> None:
    queue = a_queue(45, classes=1)
    pile = np.arange(45) % 3
    near = np.array([[other for other in np.flatnonzero(pile == pile[row]) if other != row][:10] for row in range(45)])
    groups = likeness_groups(queue, np.arange(45), near, sure=0.0, size=15)
    assert [len(group.sample_ids) for group in groups] == [15, 15, 15]
    assert all(len({int(one) % 3 for one in group.sample_ids}) == 1 for group in groups)
    by_chance = likeness_groups(queue, np.arange(45), None, sure=0.0, size=15)
    assert sorted(by_chance[0].sample_ids) != sorted(groups[0].sample_ids)
    assert sorted(members(likeness_groups(queue, np.arange(45), near, sure=0.0))) == queue.ids
    assert sorted(len(g.sample_ids) for g in likeness_groups(queue, np.arange(45), near, sure=0.0)) == [5, 20, 20]


def test_groups_depend_on_the_faces_and_not_on_how_the_rows_are_numbered() -> None:
    queue = a_queue(120, sure=0.9)  # all ties
    near = some_near(queue)
    first = likeness_groups(queue, np.arange(120), near)
    assert first == likeness_groups(queue, np.arange(120), near)
    order = np.random.default_rng(2).permutation(120)
    back = np.append(np.argsort(order), -1)
    moved = Ranked(
        run_id=None, classes=queue.classes, ids=[queue.ids[row] for row in order],
        **{
            name: getattr(queue, name)[order]
            for name in (
                "given", "suggested", "verdict", "p_mislabelled", "p_ambiguous", "p_unusable", "p_suggested", "drawn"
            )
        },
    )  # fmt: skip
    assert likeness_groups(moved, back[:-1], back[near][order]) == first


def test_what_is_uncertain_unknown_alone_or_without_an_offer_is_in_no_group() -> None:
    queue = a_queue(sure=0.79)
    assert likeness_groups(queue, np.arange(200)) == []
    sure = a_queue(sure=0.9)
    grouped = {int(one) for one in members(likeness_groups(sure, np.arange(200)))}
    assert grouped
    assert not {int(row) for row in np.flatnonzero(sure.verdict == COPY)} & grouped, "copies are not estimated"
    unlabelled = np.flatnonzero((sure.verdict == CLEAN) & (sure.given < 0))
    assert len(unlabelled) > 1
    assert not set(unlabelled.tolist()) & grouped, "there is no label to keep"
    assert likeness_groups(sure, np.array([3])) == []
    unknown = a_queue(20, classes=1, sure=0.9)
    unknown.p_unusable[:] = np.nan
    assert likeness_groups(unknown, np.arange(20)) == []


def test_an_empty_queue_and_one_class_are_served() -> None:
    empty = a_queue(0)
    assert likeness_groups(empty, np.arange(0)) == []
    assert likeness_groups(empty, np.arange(0), np.empty((0, 1), dtype=np.int32)) == []
    one = a_queue(30, classes=1, sure=0.9)
    groups = likeness_groups(one, np.arange(30), some_near(one))
    assert [group.offer for group in groups] == [Offer(action="keep", label=None, verdict="clean")] * 2
    assert [len(group.sample_ids) for group in groups] == [20, 10]


def test_neighbours_that_are_not_in_the_queue_are_nobody() -> None:
    found = nearest.find(np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), k=2)
    near = near_rows({"c": 0, "new": 1, "a": 2}, ["a", "b", "c"], found)
    assert near.tolist() == [[-1, 2], [-1, -1], [-1, 0]]


def test_random_checks_decided_and_skipped_faces_are_never_in_a_group(reviewable: Workspace, tmp_path: Path) -> None:
    ws = copied(reviewable, tmp_path)
    clean, album = Filters(kinds=("clean",)), open_album(ws)
    desk = open_desk(ws, reviewer="ada")
    before = members(groups_on(desk, clean, album))
    assert len(before) == 14
    decide(desk, before[0], "keep")
    decide(desk, before[1], "skip")
    desk.random_checks |= {before[2]}
    assert set(members(groups_on(desk, clean, album))) <= set(before[3:])
    assert groups_on(desk, Filters(kinds=("clean",), blind=True), album) == []
    assert groups_on(desk, Filters(audit=True), album) == []
    assert np.isnan(ranked(ws).p_suggested).all(), "an older triage did not say: relabels are then in no group"
    assert groups_on(desk, Filters(), album) == []
