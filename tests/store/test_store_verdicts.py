"""Verdicts, pairs, the table of everything, and the queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ferclean.errors import BadDataError, FercleanError, UsageError
from ferclean.store import counts, run_files, runs, scores, table, verdicts
from ferclean.store.decisions import Decision, append_decisions, undo
from ferclean.store.samples import fingerprint, get_dataset, put_samples
from ferclean.store.standing import random_decisions
from ferclean.store.workspace import Workspace
from tests.bare_workspace import bare, sample, triaged, verdict_frame


def decide(ws: Workspace, sample_id: str, action: str, reviewer: str = "ann", label: str | None = None) -> None:
    append_decisions(ws, [Decision(sample_id=sample_id, action=action, reviewer=reviewer, label=label)])


def test_verdicts_come_back_by_rank_from_the_latest_done_triage(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    assert verdicts.get_verdicts(ws).empty
    old = triaged(ws, ids, kind="clean", suggested_label=None, soft_label=None, p_unusable=np.nan)
    new = triaged(ws, ids, seed=1, rank=range(6, 0, -1))
    running = runs.start_run(ws, kind="triage", method="rank", config={}, seed=2, fingerprint="f")
    verdicts.put_verdicts(ws, running, verdict_frame(ids[:1]))
    found = verdicts.get_verdicts(ws)
    assert list(found["sample_id"]) == ids[::-1]
    assert set(found["run_id"]) == {new}
    assert found["reasons"][0] == ["said by hand"]
    assert found["soft_label"][0] == [0.25, 0.25, 0.5]
    earlier = verdicts.get_verdicts(ws, old)
    assert earlier["suggested_label"][0] is None
    assert earlier["soft_label"][0] is None
    assert np.isnan(earlier["p_unusable"][0])


def test_reasons_are_read_in_words_from_what_they_tell_and_from_sentences_of_an_older_ferclean(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    kept = ("nearest against", 90, "fear", 10, "anger")
    triaged(ws, ids, reasons=[[kept, "said by hand"], *([["an older sentence"]] * 5)])
    words = ["90 % of the nearest faces are labelled fear, 10 % anger", "said by hand"]
    for found in (table.queue(ws), table.sample_rows(ws, ids), table.sample_table(ws), verdicts.get_verdicts(ws)):
        assert found["reasons"].to_list() == [words, *([["an older sentence"]] * 5)]


def test_verdicts_of_a_run_are_replaced(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    run = triaged(ws, ids)
    verdicts.put_verdicts(ws, run, verdict_frame(ids[:2], kind="leak"))
    assert list(verdicts.get_verdicts(ws)["kind"]) == ["leak", "leak"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kind": "odd"}, "a kind of verdict that is none of mislabelled"),
        ({"label_quality": 1.5}, r"label_quality outside \[0, 1\]"),
        ({"p_ambiguous": -0.5}, r"p_ambiguous outside \[0, 1\]"),
        ({"suggested_label": "joy"}, "a suggested label that is none of surprise, fear, anger"),
        ({"soft_label": [[0.5, 0.5]] * 6}, "a soft label without 3 numbers"),
    ],
)
def test_verdicts_that_make_no_sense_are_refused_with_the_sample(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    ws, ids = bare(tmp_path)
    with pytest.raises(BadDataError, match=rf"{problem}.*, first for sample {ids[0]}"):
        triaged(ws, ids, **changes)


def test_pairs_are_those_of_the_latest_search(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    assert verdicts.get_pairs(ws).empty

    def pairs(kind: str, count: int, seed: int) -> str:
        run = runs.start_run(ws, kind=kind, method="m", config={}, seed=seed, fingerprint="f")
        frame = pd.DataFrame({"sample_a": ids[:count], "sample_b": ids[3 : 3 + count], "kind": "near"})
        verdicts.put_pairs(ws, run, frame.assign(similarity=0.99))
        runs.finish_run(ws, run)
        return run

    triage = pairs("triage", 2, 0)
    assert len(verdicts.get_pairs(ws)) == 2
    pairs("pairs", 3, 1)
    assert list(verdicts.get_pairs(ws)["sample_b"]) == ids[3:]
    last, look = pairs("pairs", 0, 2), {"kind": "pairs", "method": "m", "config": {}}
    assert verdicts.get_pairs(ws).empty
    assert len(verdicts.get_pairs(ws, triage)) == 2
    # neither an earlier look nor an older ferclean's triage answers for the last one
    run_files.path_of(ws, last, "pairs").unlink()
    with pytest.raises(FercleanError, match=rf"pairs\.parquet was deleted; `ferclean status` .* run {last} again"):
        verdicts.get_pairs(ws)
    with pytest.raises(KeyboardInterrupt), runs.running(ws, **look, seed=3, fingerprint=fingerprint(ws)):
        raise KeyboardInterrupt
    with pytest.raises(FercleanError, match=r"is not finished \(interrupted\).*look again with `ferclean doctor`"):
        verdicts.get_pairs(ws)
    pairs("pairs", 3, 2)
    with pytest.raises(KeyboardInterrupt), runs.running(ws, **look, seed=4, fingerprint="of other samples"):
        raise KeyboardInterrupt
    assert len(verdicts.get_pairs(ws)) == 3
    with pytest.raises(BadDataError, match="exact, near, mirrored"):
        verdicts.put_pairs(ws, triage, verdicts.get_pairs(ws, triage).assign(kind="alike"))


def test_the_table_has_every_sample_once_quarantined_and_undecided_ones_too(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    put_samples(ws, [sample("broken", given_label=None, relative_path=None, quarantine_reason="file: empty")])
    before = table.sample_table(ws)
    assert list(before["source_key"]) == ["k0", "k1", "k2", "k3", "k4", "k5", "broken"]
    for name in ("suggested_label", "verdict", "decision", "corrected_label", "pred_probs", "run_id", "reasons"):
        assert before[name].map(lambda value: value is None).all(), name
    assert before["rank"].isna().all()

    triaged(ws, ids)
    decide(ws, ids[0], "relabel", label="anger")
    decide(ws, ids[1], "keep")
    decide(ws, ids[2], "exclude")
    decide(ws, ids[3], "skip")
    after = table.sample_table(ws)
    assert list(after.columns) == list(before.columns)
    assert list(after["decision"]) == ["relabel", "keep", "exclude", None, None, None, None]
    assert list(after["corrected_label"]) == ["anger", "fear", None, None, None, None, None]
    assert list(after["rank"].dropna()) == [1, 2, 3, 4, 5, 6]
    assert after["quarantine_reason"][6] == "file: empty"


def test_the_tables_probabilities_are_the_mean_over_the_runs_that_triage_read(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    made = {}
    for seed, count in ((0, 6), (1, 3), (2, 6)):
        run = runs.start_run(ws, kind="score", method="m", config={}, seed=seed, fingerprint="f")
        probs = np.zeros((count, 3))
        probs[:, seed] = 1
        scores.put_predictions(ws, run, ids[:count], np.full(count, 4 - seed), probs)
        made[seed] = run
    triaged(ws, ids, score_runs=[made[0], made[1]])
    found = table.sample_table(ws)
    assert found["pred_probs"][0] == [0.5, 0.5, 0.0]
    assert found["pred_probs"][5] == [1.0, 0.0, 0.0]
    assert list(found["fold"]) == [4] * 6


def test_every_recognizer_has_one_vote_over_its_seeds(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    made = []
    for method, seed, of_first in (("a", 0, [0.6, 0.4, 0.0]), ("a", 1, [0.0, 0.9, 0.1]), ("b", 0, [0.0, 0.2, 0.8])):
        run = runs.start_run(ws, kind="score", method=method, config={}, seed=seed, fingerprint="f")
        count = 6 if method == "a" else 1
        probs = np.tile(of_first, (count, 1))
        scores.put_predictions(ws, run, ids[:count], np.zeros(count, dtype=np.int64), probs)
        made.append(run)
    triaged(ws, ids, score_runs=made)
    found = table.sample_table(ws)
    classes = get_dataset(ws).classes
    # the two seeds of "a" together prefer the second class, though the first seed alone does not
    assert found["method_votes"][0] == {"a": classes[1], "b": classes[2]}
    # where a recognizer has not judged, it has no vote
    assert found["method_votes"][1] == {"a": classes[1]}
    assert found["method_votes"][5] == {"a": classes[1]}


def test_the_queue_is_in_rank_order_without_what_is_decided_and_with_skipped_ones_last(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    assert table.queue(ws).empty
    triaged(ws, ids, rank=[3, 1, 2, 6, 5, 4], kind=["leak", *["mislabelled"] * 5])
    assert list(table.queue(ws)["sample_id"]) == [ids[i] for i in (1, 2, 0, 5, 4, 3)]
    decide(ws, ids[2], "keep")
    decide(ws, ids[1], "skip")
    rest = table.queue(ws)
    assert list(rest["sample_id"]) == [ids[i] for i in (0, 5, 4, 3, 1)]
    assert list(rest["skipped"]) == [False] * 4 + [True]
    assert list(table.queue(ws, limit=2)["sample_id"]) == [ids[0], ids[5]]
    assert list(table.queue(ws, kinds=["leak"])["sample_id"]) == [ids[0]]
    assert list(table.queue(ws, undecided=False)["sample_id"]) == [ids[i] for i in (2, 0, 5, 4, 3, 1)]
    undo(ws)
    undo(ws)
    assert list(table.queue(ws)["sample_id"]) == [ids[i] for i in (1, 2, 0, 5, 4, 3)]


def test_a_second_reviewer_still_sees_what_the_first_decided_and_skipped(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    triaged(ws, ids)
    decide(ws, ids[0], "keep", "ann")
    decide(ws, ids[1], "skip", "ann")
    assert list(table.queue(ws, reviewer="ann")["sample_id"]) == [*ids[2:], ids[1]]
    assert list(table.queue(ws, reviewer="bob")["sample_id"]) == ids
    assert list(table.queue(ws)["sample_id"]) == [*ids[2:], ids[1]]


def test_the_queue_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)
    with pytest.raises(UsageError, match="unknown verdict 'bad'; known: mislabelled"):
        table.queue(ws, kinds=["bad"])
    with pytest.raises(UsageError, match="limit"):
        table.queue(ws, limit=-1)


def test_what_was_drawn_at_random_is_said_everywhere_and_nothing_was_without_the_columns(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    triaged(ws, ids)
    assert not verdicts.get_verdicts(ws)["drawn_at_random"].any()
    triaged(ws, ids, drawn_at_random=[True, *[False] * 5], inclusion_probability=[0.2, *[np.nan] * 5])
    put_samples(ws, [sample("new")])
    for found in (verdicts.get_verdicts(ws), table.queue(ws), table.sample_table(ws)):
        assert found["drawn_at_random"].dtype == bool
        assert found["drawn_at_random"].tolist()[:2] == [True, False]
        assert found["inclusion_probability"][0] == 0.2
        assert found["inclusion_probability"][1:].isna().all()


@pytest.mark.parametrize(("drawn", "chance"), [(True, np.nan), (False, 0.2), (True, 1.5)])
def test_a_draw_and_its_chance_belong_together(tmp_path: Path, drawn: bool, chance: float) -> None:
    ws, ids = bare(tmp_path)
    with pytest.raises(BadDataError, match="inclusion probability"):
        triaged(ws, ids, drawn_at_random=drawn, inclusion_probability=chance)
    assert verdicts.get_verdicts(ws).empty


def test_rows_of_some_samples_are_those_of_the_table_in_the_order_asked_for(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    run = runs.start_run(ws, kind="score", method="a", config={}, seed=0, fingerprint="f")
    scores.put_predictions(ws, run, ids, np.zeros(6, dtype=np.int64), np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]])
    runs.finish_run(ws, run)
    triaged(ws, ids, score_runs=[run], rank=[6, 5, 4, 3, 2, 1], kind=["clean", *["mislabelled"] * 5])
    decide(ws, ids[2], "keep")
    whole = table.sample_table(ws).set_index("sample_id")
    asked = [ids[i] for i in (4, 2, 0)]
    pd.testing.assert_frame_equal(table.sample_rows(ws, [*asked, "nobody"]).set_index("sample_id"), whole.loc[asked])
    assert list(table.first_of(ws, "mislabelled", 3)["sample_id"]) == [ids[i] for i in (5, 4, 3)]


def test_counts_are_those_of_the_table(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    triaged(ws, ids, kind=["clean", *["mislabelled"] * 5], label_quality=[0.0, 0.5, 0.51, 0.97, 1.0, float("nan")])
    decide(ws, ids[2], "relabel", "ann", "fear")
    decide(ws, ids[2], "exclude", "bob")
    whole = table.sample_table(ws)
    names = ["split", "given_label", "verdict", "suggested_label", "decision", "corrected_label", "conflict"]
    found = counts.sample_counts(ws)
    assert found["samples"].sum() == len(whole)
    assert not found["quarantined"].any()
    expected = whole[names].fillna("").value_counts().to_dict()
    assert found.fillna({name: "" for name in names}).set_index(names)["samples"].to_dict() == expected
    assert counts.total(found, "verdict") == {"mislabelled": 5, "clean": 1}
    assert counts.reviewer_counts(ws) == {"bob": 1}
    steps = counts.quality_counts(ws)
    assert steps.to_numpy().tolist() == [
        ["clean", 0, 1], ["mislabelled", 20, 2], ["mislabelled", 38, 1], ["mislabelled", 39, 1],
    ]  # fmt: skip


def test_of_earlier_queues_the_draws_are_kept_that_decisions_rest_on_and_those_in_force_until_there_are_new_ones(
    tmp_path: Path,
) -> None:
    ws, ids = bare(tmp_path)
    first = triaged(ws, ids, drawn_at_random=True, inclusion_probability=0.5)
    decide(ws, ids[0], "keep")
    second = triaged(ws, ids, seed=1, drawn_at_random=True, inclusion_probability=0.25)
    third = runs.start_run(ws, kind="triage", method="rank", config={}, seed=2, fingerprint="f")
    verdicts.put_verdicts(ws, third, verdict_frame(ids, drawn_at_random=True, inclusion_probability=0.125))
    with ws.reading("counting") as con:
        kept = con.execute("SELECT run_id, count(*) FROM drawn_item GROUP BY run_id").fetchall()
    # the third was not ended: should its process die, the second is in force
    assert dict(kept) == {first: 1, second: 6, third: 6}
    decide(ws, ids[1], "keep")
    assert {one: drawn.chance for one, drawn in random_decisions(ws).items()} == {ids[0]: 0.5, ids[1]: 0.25}


def test_a_face_is_found_in_one_part_of_a_file_by_its_place_in_the_order_of_arrival(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)
    size = 9000
    run_files.write(ws, "r", "scores", {"position": pa.array(range(size)), "sample_id": pa.array(["s"] * size)})
    about = pq.ParquetFile(run_files.path_of(ws, "r", "scores")).metadata
    place = about.schema.names.index("position")
    found = [about.row_group(part).column(place).statistics for part in range(about.num_row_groups)]
    assert [(part.min, part.max) for part in found] == [(0, 4095), (4096, 8191), (8192, 8999)]
