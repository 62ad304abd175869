"""What was computed may be deleted at any time: nothing that people said is lost, and it can be computed again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import TINY

from ferclean.errors import FercleanError
from ferclean.exports.content import read_content
from ferclean.parts.copies import find_duplicates
from ferclean.parts.gathering import gather
from ferclean.review.beside import open_album
from ferclean.review.desk import open_desk
from ferclean.steps.audit import audit
from ferclean.steps.decide import decide
from ferclean.steps.ingest import ingest
from ferclean.steps.release import release
from ferclean.steps.report import report
from ferclean.steps.score import score
from ferclean.steps.status import status
from ferclean.steps.triage import triage, triage_again
from ferclean.store import decisions, ensembles, releases, run_files, runs, scores, table, verdicts
from ferclean.store.samples import fingerprint, put_samples
from ferclean.store.workspace import Workspace
from tests.bare_workspace import bare, sample, triaged
from tests.steps.test_score import image_folder

ONE = TINY | {"epochs": 1, "methods": ["cross_entropy"]}


def test_runs_that_were_deleted_are_told_and_computed_again_to_the_byte_and_people_lose_nothing(
    tmp_path: Path,
) -> None:
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "image_folder", image_folder(tmp_path / "a", {"anger": 9, "fear": 9}))
    run_id = score(ws, **ONE).runs[0]["run_id"]
    triage(ws)
    judged, scored = verdicts.get_verdicts(ws), run_files.path_of(ws, run_id, "scores").read_bytes()
    keys = list(table.sample_table(ws)["source_key"])
    decide(ws, keys[0], "keep", reviewer="ann")
    release(ws, "v1")
    frozen = releases.get_release_items(ws, "v1")
    shutil.rmtree(ws.runs)

    told = status(ws)
    assert {run["state"] for run in told.runs} == {"deleted"}
    assert told.next == "score"
    assert [line.split("; ")[1] for line in told.deleted] == [
        "`ferclean doctor` computes them again", "`ferclean triage --again` computes them again",
        f"`ferclean score --again {run_id}` computes them again",
    ]  # fmt: skip
    decide(ws, keys[1], "exclude", reviewer="ann")
    decisions.undo(ws)
    assert decisions.current_decisions(ws)["action"].tolist() == ["keep"]
    pd.testing.assert_frame_equal(releases.get_release_items(ws, "v1"), frozen)
    release(ws, "v2")
    page = Path(report(ws).path).read_text("utf-8")
    assert all(f"Not shown: {line}." in page for line in told.deleted)
    with pytest.raises(FercleanError, match=f"run `ferclean score --again {run_id}` first"):
        triage(ws)
    with pytest.raises(FercleanError, match=r"scores\.parquet was deleted; `ferclean status` tells which command"):
        scores.get_predictions(ws, run_id)

    decisions.undo(ws)
    assert score(ws, **ONE).reused == 0
    assert run_files.path_of(ws, run_id, "scores").read_bytes() == scored
    triage(ws)
    pd.testing.assert_frame_equal(verdicts.get_verdicts(ws), judged)
    assert status(ws).deleted == []


def test_a_decision_keeps_the_chance_of_its_draw_though_the_verdicts_were_deleted(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    triaged(ws, ids, drawn_at_random=True, inclusion_probability=0.25)
    shutil.rmtree(ws.runs)
    decisions.append_decisions(ws, [decisions.Decision(sample_id=ids[0], action="keep", reviewer="ann")])
    assert decisions.decision_history(ws)["inclusion_probability"].tolist() == [0.25]


def test_a_file_that_was_cut_off_is_as_good_as_deleted_and_bars_no_decision(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    path = run_files.path_of(ws, triaged(ws, ids), "verdicts")
    path.write_bytes(path.read_bytes()[:-100])
    ws.root.rename(tmp_path / "moved")
    ws = Workspace.open(tmp_path / "moved")
    decisions.append_decisions(ws, [decisions.Decision(sample_id=ids[0], action="keep", reviewer="ann")])
    assert [run.state for run in runs.list_runs(ws)] == ["deleted"]
    with pytest.raises(FercleanError, match=r"verdicts\.parquet was cut off; `ferclean status` tells which"):
        table.queue(ws)


def test_a_damaged_file_bars_no_decision_and_is_named_by_whoever_reads_it(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    path = run_files.path_of(ws, triaged(ws, ids), "verdicts")
    whole = path.read_bytes()
    ws.root.rename(tmp_path / "moved")
    ws = Workspace.open(tmp_path / "moved")
    for damaged in (b"PAR1 nothing PAR1", whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :]):
        (ws.runs / path.relative_to(tmp_path / "w" / "runs")).write_bytes(damaged)
        decisions.append_decisions(ws, [decisions.Decision(sample_id=ids[0], action="keep", reviewer="ann")])
        with pytest.raises(FercleanError, match=r"is damaged .*; delete it: `ferclean status` then tells"):
            table.queue(ws)


def test_a_look_for_faces_that_was_deleted_is_taken_again(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "image_folder", image_folder(tmp_path / "a", {"anger": 4, "fear": 4}))
    find_duplicates(ws)
    look = runs.latest_run(ws, "pairs")
    assert look is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "code_version", lambda: "later")
        find_duplicates(ws)  # which only reads it
        again = runs.latest_run(ws, "pairs")
    assert again is not None
    assert (again.code_version, again.metrics) == (look.code_version, look.metrics)
    before = scores.get_signals(ws, look.run_id)
    run_files.path_of(ws, look.run_id, "scores").unlink()
    find_duplicates(ws)
    pd.testing.assert_frame_equal(scores.get_signals(ws, look.run_id), before)


def test_scoring_anew_that_is_broken_off_leaves_what_was_stored(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "image_folder", image_folder(tmp_path / "a", {"anger": 9, "fear": 9}))
    score(ws, **ONE)
    triage(ws)
    before = table.sample_table(ws)

    def stop(told: str, done: int, of: int) -> None:
        if told.startswith("training"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(ws, **ONE, force=True, progress=stop)
    pd.testing.assert_frame_equal(table.sample_table(ws), before)


def test_a_look_for_copies_that_is_damaged_is_taken_again_and_one_that_is_stopped_leaves_what_was_found(
    tmp_path: Path,
) -> None:
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "image_folder", image_folder(tmp_path / "a", {"anger": 4, "fear": 4}))
    found = find_duplicates(ws)
    look = runs.latest_run(ws, "pairs")
    assert look is not None

    def stop(told: str, done: int, of: int) -> None:
        if told == "looking at images":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_duplicates(ws, force=True, progress=stop)
    pd.testing.assert_frame_equal(verdicts.get_pairs(ws, mirrored=True), found, check_dtype=False)
    for file in ("pairs", "scores"):
        path = run_files.path_of(ws, look.run_id, file)
        whole = path.read_bytes()
        path.write_bytes(b"PAR1 nothing PAR1")
        find_duplicates(ws)
        assert path.read_bytes() == whole
    run_files.path_of(ws, look.run_id, "pairs").unlink()
    with pytest.raises(FercleanError, match=r"pairs\.parquet was deleted"):
        verdicts.get_pairs(ws)
    album = open_album(ws)  # which may be opened all the same
    assert album.twins == {}
    assert "copies are not shown" in (album.trouble or "")
    assert "`ferclean doctor` computes them again" in status(ws).deleted[0]
    assert open_album(ws).trouble
    find_duplicates(ws)
    assert open_album(ws).trouble is None


def test_some_recognizers_of_a_scoring_that_was_stopped_are_never_taken_for_all(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "image_folder", image_folder(tmp_path / "a", {"anger": 9, "fear": 9}))

    def stopped(method: str, *others: str) -> None:
        def stop(told: str) -> None:
            if told.startswith(f"{method}, seed 0, fold 1"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            score(ws, **ONE | {"methods": [*others, method, "eac"]}, tell=stop)

    stopped("supcon_relabel", "cross_entropy")
    with pytest.raises(
        FercleanError, match=r"scores of supcon_relabel, seed 0 \(interrupted\); score-eac-\w+ \(not begun\); run"
    ):
        triage(ws)
    assert triage(ws, members=["cross_entropy"]).notes == triage(ws).notes
    alone = triage(ws)
    stopped("supcon_relabel", "cross_entropy")
    passed = triage(ws)
    assert passed.score_runs == alone.score_runs
    assert (
        "the ensemble that was chosen last has no say: it lacks the scores of supcon_relabel, seed 0" in passed.notes[0]
    )


def test_an_ensemble_that_no_longer_fits_the_labels_is_told_where_an_older_one_is_read(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    put_samples(ws, [sample("t0", split="test")])
    for splits in (["train"], ["test", "train"]):
        config = {"splits": splits, "file": {"embedding": False}}
        print_ = fingerprint(ws, splits=splits)
        with runs.running(ws, kind="score", method="m", config=config, seed=0, fingerprint=print_) as run_id:
            margin = {"margin": np.zeros(6)}
            scores.put_predictions(ws, run_id, ids, np.arange(6) % 2, np.full((6, 3), 1 / 3), margin)
            runs.finish_run(ws, run_id)
        ensembles.choose_ensemble(ws, [run_id])
    assert not [line for line in gather(ws).notes if "chosen last" in line]
    put_samples(ws, [sample("t1", split="test")])
    found = gather(ws)
    assert [run.config["splits"] for run in found.members] == [["train"]]
    assert "chosen last has no say: it lacks the scores of m, seed 0 (for other labels)" in found.notes[0]


READERS: tuple[Callable[[Workspace], object], ...] = (
    table.sample_table, table.queue, table.ranked, verdicts.get_verdicts, lambda ws: table.sample_rows(ws, []),
    open_desk, lambda ws: read_content(ws, None), audit, lambda ws: release(ws, "v0", policy="auto"),
)  # fmt: skip
"""Whatever shows or goes by verdicts."""


def test_no_earlier_triage_answers_for_the_latest_whose_file_was_deleted(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    triaged(ws, ids, kind="clean")
    second = triaged(ws, ids, seed=1)
    shutil.rmtree(ws.runs / second)
    assert runs.latest_run(ws, "triage") is None
    for read in READERS:
        with pytest.raises(
            FercleanError,
            match=rf"{second}/verdicts\.parquet was deleted; `ferclean status` tells .* run {second} again",
        ):
            read(ws)
    assert table.sample_table(ws, lost_ok=True)["verdict"].isna().all()
    assert release(ws, "v1").name == "v1"
    assert [line.split(" were deleted")[0] for line in status(ws).deleted] == [f"the files of {second}"]
    with pytest.raises(FercleanError, match=r"verdicts\.parquet was deleted"):
        table.sample_rows(ws, ids, triage=second)


def test_verdicts_that_were_deleted_are_made_again_with_their_options(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    triage(ws, random_share=0.5, teaching_round=0)
    last = runs.latest_run(ws, "triage")
    assert last is not None
    shutil.rmtree(ws.runs / last.run_id)
    triage_again(ws)
    again = runs.latest_run(ws, "triage")
    assert again is not None
    assert again.config == last.config


def test_the_mean_of_several_recognizers_is_not_told_of_those_that_are_left(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    members = [scored(ws, ids, name) for name in ("one", "two")]
    triaged(ws, ids, score_runs=members)
    assert len(table.sample_table(ws)["method_votes"][0]) == len(members)
    run_files.path_of(ws, members[1], "scores").unlink()
    for read in (table.sample_table, table.scored_probs):
        with pytest.raises(FercleanError, match=r"two.*scores\.parquet was deleted"):
            read(ws)


@pytest.mark.parametrize("folder", ["fold=9", "kind=clean", "position=5", "run_id=other"])
def test_a_folder_above_the_workspace_that_is_called_like_a_column_changes_none(tmp_path: Path, folder: str) -> None:
    ws, ids = bare(tmp_path)
    triaged(ws, ids, kind="ambiguous", score_runs=[scored(ws, ids, "one"), scored(ws, ids, "two")])
    before = table.sample_table(ws).drop(columns="path")
    (tmp_path / folder).mkdir()
    ws = Workspace.open(shutil.move(ws.root, tmp_path / folder / "W"))
    pd.testing.assert_frame_equal(table.sample_table(ws).drop(columns="path"), before)
    decisions.append_decisions(ws, [decisions.Decision(sample_id=ids[0], action="keep", reviewer="ann")])
    with duckdb.connect(str(ws.root / "ferclean.duckdb"), read_only=True) as con:
        shown = con.sql("SELECT DISTINCT fold, kind, v.run_id FROM score JOIN verdict v USING (position)").fetchall()
    assert shown == [(0, "ambiguous", before["run_id"][0])]


def test_a_table_without_lists_reads_no_probabilities(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    run_id = scored(ws, ids, "one")
    triaged(ws, ids, score_runs=[run_id])
    path, whole = run_files.path_of(ws, run_id, "scores"), table.sample_table(ws)
    pq.write_table(pq.read_table(path).drop_columns("pred_probs"), path)
    pd.testing.assert_series_equal(table.sample_table(ws, lists=())["fold"], whole["fold"])


def scored(ws: Workspace, ids: list[str], method: str) -> str:
    """A finished scoring in which every sample is of the first class."""
    with runs.running(ws, kind="score", method=method, config={}, seed=0, fingerprint="labels") as run_id:
        zero = np.zeros(len(ids), dtype=np.int64)
        scores.put_predictions(ws, run_id, ids, zero, np.eye(3)[zero], {})
        runs.finish_run(ws, run_id)
    return run_id
