"""Votes in the store: as they came, and as counts in any order of samples and classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.store import samples
from ferclean.store.votes import get_annotator_labels, get_vote_counts, get_votes
from ferclean.store.workspace import Workspace
from tests.bare_workspace import CLASSES, bare, dataset, sample

VOTED = (
    sample("a", votes={"fear": 7, "unknown": 2, "not_a_face": 1}),
    sample("b"),
    sample("c", votes={"anger": 3, "contempt": 4}),
)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "w")
    samples.put_dataset(made, dataset(tmp_path))
    samples.put_samples(made, VOTED)
    return made


def test_counts_follow_the_given_samples_and_classes(ws: Workspace) -> None:
    ids = [one.sample_id for one in VOTED]
    counts, other = get_vote_counts(ws, [ids[2], ids[0], ids[1], ids[0]], CLASSES)
    assert counts.tolist() == [[0, 0, 3], [0, 7, 0], [0, 0, 0], [0, 7, 0]]
    assert other.tolist() == [4, 3, 0, 3]
    assert counts.dtype == other.dtype == np.int64
    counts, other = get_vote_counts(ws, ids, ("contempt", *CLASSES[::-1]))
    assert counts.tolist() == [[0, 0, 7, 0], [0, 0, 0, 0], [4, 3, 0, 0]]
    assert other.tolist() == [3, 0, 0]


def test_without_votes_counts_are_zero_and_without_samples_empty(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    counts, other = get_vote_counts(ws, ids, CLASSES)
    assert (counts.shape, counts.sum(), other.tolist()) == ((6, 3), 0, [0] * 6)
    counts, other = get_vote_counts(ws, [], CLASSES)
    assert (counts.shape, other.shape) == ((0, 3), (0,))
    assert len(get_votes(ws)) == 0


def test_strangers_and_doubled_classes_are_named(ws: Workspace) -> None:
    with pytest.raises(UsageError, match="1 of 2 are no samples of this workspace, first 'nobody'"):
        get_vote_counts(ws, [VOTED[0].sample_id, "nobody"], CLASSES)
    with pytest.raises(UsageError, match="same class twice"):
        get_vote_counts(ws, [], ("fear", "fear"))


def test_named_annotators_come_back_as_a_matrix_and_count_as_votes(ws: Workspace) -> None:
    named = sample("d", annotations={"zoe": "fear", "ann": "anger", "bob": "unknown"})
    late = sample("b", annotations={"bob": "surprise", "ann": "surprise"})
    assert samples.put_samples(ws, [named, late]) == samples.PutSummary(added=1, unchanged=1, votes_added=1)
    ids = [late.sample_id, named.sample_id, VOTED[0].sample_id]
    matrix, annotators = get_annotator_labels(ws, ids, CLASSES)
    assert annotators == ["ann", "bob", "zoe"]
    assert matrix.tolist() == [[0, 0, -1], [2, -1, 1], [-1, -1, -1]]
    counts, other = get_vote_counts(ws, ids, CLASSES)
    assert counts.tolist() == [[2, 0, 0], [0, 1, 1], [0, 7, 0]]
    assert other.tolist() == [0, 1, 3]
    assert samples.put_samples(ws, [named, late]).votes_added == 0
    told = get_votes(ws)
    assert set(told.loc[told["sample_id"] == named.sample_id, "annotator"]) == {"ann", "bob", "zoe"}
    assert told.loc[told["sample_id"] == VOTED[0].sample_id, "annotator"].isna().all()


def test_votes_without_names_have_no_annotators(ws: Workspace) -> None:
    matrix, annotators = get_annotator_labels(ws, [VOTED[0].sample_id], CLASSES)
    assert (matrix.shape, annotators) == ((1, 0), [])


def test_the_same_votes_from_other_people_are_other_votes(ws: Workspace) -> None:
    samples.put_samples(ws, [sample("d", annotations={"ann": "fear"})])
    for changed in (sample("d", annotations={"bob": "fear"}), sample("d", votes={"fear": 1})):
        with pytest.raises(BadDataError, match="d comes with other votes than at the first ingest"):
            samples.put_samples(ws, [changed])
    with pytest.raises(BadDataError, match="e comes with counts and with named annotators"):
        samples.put_samples(ws, [sample("e", votes={"fear": 1}, annotations={"ann": "fear"})])
