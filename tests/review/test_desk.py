"""Facts about the desk: what it shows, of whom and in which order, and what lies beside a face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ferclean.parts.calibrated import calibrated_probs
from ferclean.review import beside as faces_beside
from ferclean.review.desk import (
    Filters,
    contender,
    default_reviewer,
    facets,
    next_open,
    open_desk,
    select,
    tally,
)  # fmt: skip
from ferclean.review.offers import offer
from ferclean.review.overview import overview
from ferclean.steps.review import OFFER, decide, undo
from ferclean.store.decisions import decision_history
from ferclean.store.embeddings import write_embeddings
from ferclean.store.samples import get_samples
from ferclean.store.table import queue
from ferclean.store.verdicts import KINDS, get_verdicts, put_verdicts
from ferclean.store.workspace import Workspace
from tests.workspaces import EIGHT, SEVEN, copied, make_workspace


@pytest.fixture
def ws(reviewable: Workspace, tmp_path: Path) -> Workspace:
    return copied(reviewable, tmp_path)


def test_the_flagged_faces_come_in_rank_order_and_clean_ones_only_when_asked_for(reviewable: Workspace) -> None:
    desk = open_desk(reviewable, reviewer="ada")
    flagged = [desk.items[sample_id] for sample_id in select(desk, Filters())]
    assert [item.rank for item in flagged] == [1, 2, 4, 5, 7, 8, 10, 11, 13, 14]
    assert {item.verdict for item in flagged} == {"mislabelled"}
    assert {desk.items[i].verdict for i in select(desk, Filters(kinds=("clean",)))} == {"clean"}


def test_an_item_shows_probabilities_in_the_order_of_the_classes(reviewable: Workspace) -> None:
    desk = open_desk(reviewable, reviewer="ada")
    first = desk.items[select(desk, Filters())[0]]
    assert desk.classes == SEVEN
    assert (first.given_label, first.suggested_label) == ("surprise", "fear")
    assert first.pred_probs is not None
    assert SEVEN[int(np.argmax(first.pred_probs))] == "fear"
    assert first.reasons[0] == "the model sees fear where surprise was given"


def test_filters_by_label_keep_the_rank_order_and_agree_with_the_facets(reviewable: Workspace) -> None:
    desk = open_desk(reviewable, reviewer="ada")
    counts = facets(desk)
    assert list(counts["verdict"]) == ["mislabelled", "ambiguous", "clean"]
    for label, count in counts["suggested"].items():
        chosen = select(desk, Filters(suggested=(label,)))
        assert len(chosen) == count
        assert chosen == sorted(chosen, key=lambda sample_id: desk.items[sample_id].rank)


def test_blind_order_is_shuffled_the_same_way_each_time(reviewable: Workspace) -> None:
    desk = open_desk(reviewable, reviewer="ada")
    seen, blind = select(desk, Filters()), select(desk, Filters(blind=True))
    assert sorted(seen) == sorted(blind)
    assert seen != blind
    assert blind == select(open_desk(reviewable, reviewer="ada"), Filters(blind=True))


def test_what_is_proposed_follows_the_verdict_and_never_the_suggestion_alone() -> None:
    proposed = {
        ("unusable", "anger"): ("exclude", None),
        ("unusable", None): ("exclude", None),
        ("ambiguous", "anger"): ("ambiguous", None),
        ("clean", "anger"): ("keep", None),
        ("clean", None): ("keep", None),
        ("duplicate", "anger"): ("exclude", None),
        ("leak", None): ("exclude", None),
        ("mislabelled", "anger"): ("relabel", "anger"),
        ("mislabelled", "fear"): ("keep", None),
        ("mislabelled", None): None,
    }
    assert {verdict for verdict, _ in proposed} == set(KINDS)
    for (verdict, suggested), expected in proposed.items():
        found = offer(verdict=verdict, given_label="fear", suggested_label=suggested)
        assert (found and (found.action, found.label)) == expected, (verdict, suggested)
    assert offer(verdict="clean", given_label=None, suggested_label=None) is None, "there is no label to keep"


def test_the_next_face_is_undecided_and_skipped_ones_come_last(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    order = select(desk, Filters())
    decide(desk, order[0], "skip")
    decide(desk, order[1], "keep")
    assert next_open(desk, order, after=order[1]) == order[2]
    decide(desk, order[-1], "exclude")
    assert next_open(desk, order, after=order[-1]) == order[2]
    for sample_id in order[2:-1]:
        decide(desk, sample_id, "ambiguous")
    assert next_open(desk, order, after=order[-1]) == order[0]
    decide(desk, order[0], "keep")
    assert next_open(desk, order, after=order[0]) is None


def test_reviewers_have_their_own_progress(ws: Workspace) -> None:
    ada, bob = open_desk(ws, reviewer="ada"), open_desk(ws, reviewer="bob")
    order = select(ada, Filters())
    decide(ada, order[0], "keep")
    assert tally(ada, order).done == 1
    assert tally(open_desk(ws, reviewer="ada"), order).done == 1
    assert tally(bob, order).done == 0
    assert undo(bob).sample_ids == ()


def test_the_tally_counts_what_is_left_and_the_pace(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    order = select(desk, Filters())
    before = tally(desk, order)
    assert (before.done, before.total, before.per_minute, before.minutes_left) == (0, 10, None, None)
    decide(desk, order[0], "keep")
    decide(desk, order[1], "keep")
    desk.moments[:] = [0.0, 6.0]
    after = tally(desk, order)
    assert (after.done, after.per_minute) == (2, pytest.approx(10))
    assert after.minutes_left == pytest.approx(0.8)
    assert after.expected_errors == pytest.approx(before.expected_errors - 1.8)


def test_the_reviewer_is_the_login_name_when_none_is_given(reviewable: Workspace) -> None:
    assert open_desk(reviewable, reviewer=" ").reviewer == default_reviewer() != ""


def test_an_untriaged_workspace_has_an_empty_desk(tmp_path: Path) -> None:
    desk = open_desk(make_workspace(tmp_path, n=4, classes=EIGHT, triaged=False), reviewer="ada")
    assert desk.classes == EIGHT
    assert select(desk, Filters()) == []
    assert next_open(desk, []) is None


def test_examples_of_a_class_are_its_clean_faces_with_the_highest_label_quality(reviewable: Workspace) -> None:
    album, desk = faces_beside.open_album(reviewable), open_desk(reviewable, reviewer="ada")
    for label in SEVEN:
        faces = faces_beside.examples_of(album, label, count=4)
        quality = [desk.items[face.sample_id].label_quality or 0.0 for face in faces]
        assert quality == sorted(quality, reverse=True)
        assert {face.label for face in faces} == {label}
        assert {desk.items[face.sample_id].verdict for face in faces[:2]} == {"clean"}
    first = faces_beside.examples_of(album, "anger", count=1)[0].sample_id
    assert first not in [f.sample_id for f in faces_beside.examples_of(album, "anger", count=9, but=[first])]
    assert faces_beside.examples_of(album, None, count=4) == []


def test_copies_come_before_the_nearest_faces_of_the_same_fold(ws: Workspace) -> None:
    ids = get_samples(ws)["sample_id"].tolist()
    album = faces_beside.open_album(ws)
    assert [face.why for face in faces_beside.beside(album, ids[0], count=4)] == ["near copy"]
    angles = np.linspace(0, 1.5, len(ids))
    run_id = album.run_id
    assert run_id is not None
    write_embeddings(ws, run_id, ids, np.stack([np.cos(angles), np.sin(angles)], axis=1))
    near = faces_beside.beside(faces_beside.open_album(ws), ids[0], count=4)
    assert [face.sample_id for face in near] == [ids[1], ids[5], ids[10], ids[15]]
    assert near[1].why.endswith("alike")
    together = faces_beside.beside_each(faces_beside.open_album(ws), ids, count=4)
    assert together == {one: faces_beside.beside(faces_beside.open_album(ws), one, count=4) for one in ids}


def test_a_large_picture_is_as_it_is_a_small_one_for_a_glance_and_a_missing_one_says_why(reviewable: Workspace) -> None:
    album = faces_beside.open_album(reviewable)
    first, second = list(get_samples(reviewable)["sample_id"])[:2]
    Path(get_samples(reviewable)["path"][1]).rename(reviewable.root.parent / "away.png")
    try:
        shown = faces_beside.pictures(album, [(first, 32), (second, 32)])
    finally:
        (reviewable.root.parent / "away.png").rename(get_samples(reviewable)["path"][1])
    assert (shown[first, 32].uri or "").startswith("data:image/jpeg;base64,")
    whole = faces_beside.pictures(album, [(first, faces_beside.FACE_SIDE)])
    assert (whole[first, faces_beside.FACE_SIDE].uri or "").startswith("data:image/png;base64,")
    assert shown[second, 32].uri is None
    assert "cannot be read" in (shown[second, 32].trouble or "")
    assert len(shown[first, 32].uri or "") < len(faces_beside.pictures(album, [(first, 64)])[first, 64].uri or "")


def test_the_contender_is_the_suggestion_or_else_the_most_probable_other_class(reviewable: Workspace) -> None:
    desk = open_desk(reviewable, reviewer="ada")
    both = Filters(kinds=("mislabelled", "ambiguous"))
    first, _, ambiguous = (desk.items[sample_id] for sample_id in select(desk, both)[:3])
    assert contender(desk, first) == first.suggested_label == "fear"
    assert (ambiguous.given_label, ambiguous.suggested_label) == ("disgust", None)
    assert contender(desk, ambiguous) == "happiness"


def test_the_overview_counts_what_stands(ws: Workspace) -> None:
    desk = open_desk(ws, reviewer="ada")
    order = select(desk, Filters())
    decide(desk, order[0], OFFER)
    decide(desk, order[1], "keep")
    decide(open_desk(ws, reviewer="bob"), order[1], "ambiguous")
    decide(desk, order[3], "skip")
    seen = overview(ws)
    lines = {line.label: line for line in seen.classes}
    assert (seen.samples, seen.quarantined, seen.conflicts) == (28, 0, 1)
    assert seen.actions == {"relabel": 1, "ambiguous": 1}
    assert seen.reviewers == {"ada": 1, "bob": 1}
    assert (lines["surprise"].leaving, lines["fear"].arriving, lines["fear"].leaving) == (1, 1, 0)
    assert seen.verdicts["mislabelled"] == (10, 2)
    assert sum(sum(row.values()) for row in seen.flows.values()) == 10
    assert list(seen.flows) == list(SEVEN)


def test_random_draws_stand_among_the_flagged_faces_even_where_they_look_clean(ws: Workspace) -> None:
    table = get_verdicts(ws)
    drawn = table["rank"].isin([3, 20, 25])  # an ambiguous face and two that look clean
    table = table.assign(drawn_at_random=drawn, inclusion_probability=np.where(drawn, 0.2, np.nan))
    table["rank"] = table["rank"].replace({20: 8, 8: 20})
    put_verdicts(ws, table["run_id"][0], table)
    desk = open_desk(ws, reviewer="ada")
    shown = [desk.items[sample_id] for sample_id in select(desk, Filters())]
    assert [item.rank for item in shown if item.drawn_at_random] == [3, 8, 25]
    assert next(item for item in shown if item.rank == 8).verdict == "clean"
    assert [
        desk.items[i].rank for i in select(desk, Filters(kinds=("ambiguous",))) if desk.items[i].drawn_at_random
    ] == [3]
    decide(desk, shown[2].sample_id, "keep")
    decide(desk, shown[3].sample_id, "keep")
    chance = decision_history(ws)["inclusion_probability"]
    assert chance[0] == 0.2
    assert np.isnan(chance[1])


def test_whole_faces_are_read_where_somebody_looks_and_are_those_of_the_table(
    reviewable: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferclean.review.ranked._PAGE", 5)
    desk = open_desk(reviewable, reviewer="ada")
    order = select(desk, Filters())
    assert next_open(desk, order) == order[0]
    assert tally(desk, order).total == len(order)
    assert sum(facets(desk)["verdict"].values()) == len(desk.items)
    assert desk.items.kept == {}
    first = desk.items[order[0]]
    assert len(desk.items.kept) == 5
    table = queue(reviewable, undecided=False)
    assert list(desk.items) == table.sort_values(["rank", "sample_id"])["sample_id"].tolist()
    shown = calibrated_probs(table, desk.classes)[table["sample_id"] == order[0]].item()
    assert first.pred_probs == pytest.approx(shown, abs=1e-9)
    assert desk.items.given(order[0]) == first.given_label
    assert desk.items.offer(order[0]) == first.offer
    waiting = [desk.items.read(list(desk.items))[one].p_mislabelled or 0.0 for one in order]
    assert tally(desk, order).expected_errors == pytest.approx(sum(waiting))
    assert order.index(order[5]) == 5
    assert "nobody" not in order
