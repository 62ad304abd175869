"""Runs and what they stored: predictions, signals, relabelings, results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferclean.errors import BadDataError, UsageError
from ferclean.store import retrains, runs, scores
from ferclean.store.exchange import to_json
from ferclean.store.workspace import Workspace
from tests.bare_workspace import bare


def start(ws: Workspace, method: str = "m", *, kind: str = "score", seed: int = 0) -> str:
    return runs.start_run(ws, kind=kind, method=method, config={"epochs": 3}, seed=seed, fingerprint="f")


def probabilities(count: int, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).dirichlet(np.ones(3), count).astype(np.float32)
    made.setflags(write=False)
    return made


@pytest.fixture
def place(tmp_path: Path) -> tuple[Workspace, list[str], str]:
    ws, ids = bare(tmp_path)
    return ws, ids, start(ws)


def test_a_run_id_is_the_same_for_the_same_inputs_and_safe_as_a_file_name() -> None:
    first = runs.run_id("score", "a/b c", {"x": 1, "y": (1, 2)}, 0, "f")
    assert first == runs.run_id("score", "a/b c", {"y": [1, 2], "x": np.int64(1)}, np.int64(0), "f")
    assert first.startswith("score-a_b_c-")
    assert "/" not in first
    others = [("triage", "a/b c", {}, 0, "f"), ("score", "m", {}, 1, "f"), ("score", "m", {}, 1, "g")]
    assert len({first, *(runs.run_id(*other) for other in others)}) == 4


def test_a_run_goes_from_running_to_done_and_keeps_its_metrics(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)
    identity = start(ws, kind="retrain")
    begun = runs.get_run(ws, identity)
    assert begun is not None
    assert (begun.state, begun.config, begun.finished_at) == ("running", {"epochs": 3}, None)
    assert runs.latest_run(ws, "retrain") is None
    runs.finish_run(ws, identity, {"accuracy": np.float32(0.5), "loss": float("nan")})
    done = runs.latest_run(ws, "retrain", "m")
    assert done is not None
    assert done.finished_at is not None
    assert (done.state, done.metrics) == ("done", {"accuracy": 0.5, "loss": None})
    assert done.finished_at >= done.started_at
    assert done.code_version.startswith("0.")
    assert start(ws, kind="retrain") == identity
    again = runs.get_run(ws, identity)
    assert again is not None
    assert again.state == "running"
    assert len(runs.list_runs(ws)) == 1


def test_the_latest_run_is_the_one_that_was_done_last_not_begun_last(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)
    first, second, _ = (start(ws, kind="retrain", seed=seed) for seed in (1, 2, 3))
    runs.finish_run(ws, second)
    runs.finish_run(ws, first)
    latest = runs.latest_run(ws, "retrain")
    assert latest is not None
    assert latest.run_id == first
    assert runs.latest_run(ws, "retrain", "other") is None
    assert [run.seed for run in runs.list_runs(ws)] == [1, 2, 3]


def test_an_unknown_run_is_named_wherever_it_is_used(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    assert runs.get_run(ws, "nothing") is None
    for attempt in (
        lambda: runs.finish_run(ws, "nothing", {}),
        lambda: scores.get_predictions(ws, "nothing"),
        lambda: scores.put_signals(ws, "nothing", ids, {}),
        lambda: retrains.get_results(ws, "nothing"),
    ):
        with pytest.raises(UsageError, match="unknown run 'nothing'"):
            attempt()


def test_infinite_numbers_are_no_json() -> None:
    with pytest.raises(BadDataError, match="infinite"):
        to_json({"loss": float("inf")})


def test_predictions_come_back_in_order_of_arrival_whatever_order_they_were_put_in(
    place: tuple[Workspace, list[str], str],
) -> None:
    ws, ids, run = place
    probs, fold = probabilities(6), np.arange(6) % 2
    order = np.array([3, 0, 5, 1, 4, 2])
    scores.put_predictions(ws, run, [ids[i] for i in order], fold[order], probs[order])
    found = scores.get_predictions(ws, run)
    assert found.sample_ids == ids
    assert found.fold.dtype == np.int64
    assert found.pred_probs.dtype == np.float32
    np.testing.assert_array_equal(found.fold, fold)
    np.testing.assert_array_equal(found.pred_probs, probs)


def test_predictions_may_come_fold_by_fold_and_are_replaced_by_new_ones(
    place: tuple[Workspace, list[str], str],
) -> None:
    ws, ids, run = place
    assert scores.get_predictions(ws, run).pred_probs.shape == (0, 3)
    old, new = probabilities(6), probabilities(6, seed=1)
    scores.put_predictions(ws, run, ids[:3], np.zeros(3, int), old[:3])
    scores.put_predictions(ws, run, ids[3:], np.ones(3, int), old[3:])
    scores.put_predictions(ws, run, ids[2:4], np.array([0, 1]), new[2:4])
    np.testing.assert_array_equal(
        scores.get_predictions(ws, run).pred_probs, np.concatenate([old[:2], new[2:4], old[4:]])
    )


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ([np.nan, 0.5, 0.5], "NaN"),
        ([np.inf, 0.0, 0.0], "infinities"),
        ([-0.5, 1.0, 0.5], r"outside \[0, 1\]"),
        ([3.0, -1.0, -1.0], "logits"),
        ([0.5, 0.5, 0.5], "does not sum to 1"),
        ([0.0, 0.0, 0.0], "does not sum to 1"),
    ],
)
def test_numbers_that_are_no_probabilities_are_refused_with_the_sample(
    place: tuple[Workspace, list[str], str], row: list[float], problem: str
) -> None:
    ws, ids, run = place
    probs = probabilities(6).copy()
    probs[4] = row
    with pytest.raises(BadDataError, match=rf"{problem}.*1 samples, first {ids[4]}"):
        scores.put_predictions(ws, run, ids, np.zeros(6, int), probs)
    assert scores.get_predictions(ws, run).sample_ids == []


def test_predictions_of_a_wrong_shape_or_of_strangers_are_refused(place: tuple[Workspace, list[str], str]) -> None:
    ws, ids, run = place
    probs, fold = probabilities(6), np.zeros(6, int)
    with pytest.raises(BadDataError, match="3 classes need pred_probs of shape"):
        scores.put_predictions(ws, run, ids, fold, np.full((6, 2), 0.5))
    with pytest.raises(BadDataError, match="out-of-fold"):
        scores.put_predictions(ws, run, ids, fold - 1, probs)
    with pytest.raises(BadDataError, match="out-of-fold"):
        scores.put_predictions(ws, run, ids, fold.astype(float), probs)
    with pytest.raises(BadDataError, match="comes more than once"):
        scores.put_predictions(ws, run, [*ids[:5], ids[0]], fold, probs)
    with pytest.raises(BadDataError, match="1 samples are not in the workspace, first 'nobody'"):
        scores.put_predictions(ws, run, [*ids[:5], "nobody"], fold, probs)


def test_signals_come_back_wide_with_nan_where_they_are_not_defined(place: tuple[Workspace, list[str], str]) -> None:
    ws, ids, run = place
    assert scores.get_signals(ws, run).shape == (0, 0)
    margin = np.array([0.1, np.nan, 0.3, 0.4])
    scores.put_signals(ws, run, ids[3::-1], {"margin": margin, "aum": margin * 10})
    scores.put_signals(ws, run, ids[4:], {"margin": np.array([5, 6])})
    scores.put_signals(ws, run, ids[:1], {"margin": np.array([9.0])})
    found = scores.get_signals(ws, run)
    assert list(found.index) == ids
    assert found.index.name == "sample_id"
    assert list(found.columns) == ["aum", "margin"]
    np.testing.assert_array_equal(found["margin"], [9.0, 0.3, np.nan, 0.1, 5.0, 6.0])
    np.testing.assert_array_equal(found["aum"], [4.0, 3.0, np.nan, 1.0, np.nan, np.nan])


def test_infinite_or_short_signals_are_refused(place: tuple[Workspace, list[str], str]) -> None:
    ws, ids, run = place
    with pytest.raises(BadDataError, match=rf"signal loss is infinite for 1 samples, first {ids[1]}"):
        scores.put_signals(ws, run, ids[:2], {"loss": np.array([0.0, np.inf])})
    with pytest.raises(BadDataError, match="shape"):
        scores.put_signals(ws, run, ids, {"loss": np.zeros(2)})


def test_flips_are_kept_by_name_and_replaced_as_a_whole(place: tuple[Workspace, list[str], str]) -> None:
    ws, ids, run = place

    def flips(*folds: int) -> pd.DataFrame:
        return pd.DataFrame(
            {"sample_id": ids[: len(folds)], "fold": folds, "epoch": 5, "from_label": "fear", "to_label": "anger"}
        ).assign(p=0.9)

    scores.put_flips(ws, run, flips(0, 0, 1))
    scores.put_flips(ws, run, flips(1, 0))
    found = scores.get_flips(ws, run)
    assert list(found["fold"]) == [0, 1]
    assert list(found["sample_id"]) == [ids[1], ids[0]]
    # a training that changed no label leaves none of an earlier one's
    scores.put_flips(ws, run, flips())
    assert scores.get_flips(ws, run).empty


def test_results_of_a_run_are_replaced_and_those_of_unfinished_runs_left_out(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)
    first, second = start(ws, kind="retrain"), start(ws, kind="retrain", seed=1)
    frame = pd.DataFrame({"arm": ["raw", "cleaned"], "seed": 0, "split": "test", "metric": "accuracy", "value": 0.5})
    for run in (first, second):
        retrains.put_results(ws, run, frame.assign(value=0.1))
        retrains.put_results(ws, run, frame)
    runs.finish_run(ws, first)
    assert list(retrains.get_results(ws)["run_id"]) == [first, first]
    assert list(retrains.get_results(ws, second)["value"]) == [0.5, 0.5]
    for bad, problem in (
        (frame.drop(columns="arm"), "lack the columns arm"),
        (frame.assign(value=np.nan), "no finite number"),
        (frame.assign(arm="raw"), "more than once"),
    ):
        with pytest.raises(BadDataError, match=problem):
            retrains.put_results(ws, first, bad)


@settings(max_examples=50)
@given(st.integers(0, 40), st.integers(1, 9))
def test_a_matrix_goes_through_lists_and_back_unchanged(count: int, width: int) -> None:
    import pyarrow as pa

    values = np.random.default_rng(count).random((count, width), dtype=np.float32)
    np.testing.assert_array_equal(scores.matrix(pa.chunked_array([scores.float_lists(values)]), width), values)
