"""The two functions with cleanlab's names: its flags and numbers to the last tie, and what they refuse."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from evidence_data import planted
from hypothesis import given, settings
from hypothesis import strategies as st

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.compat import pruning
from ferclean.evidence.compat.issues import (
    COUNTING,
    FILTERS,
    METHODS,
    PRUNING,
    error_rate,
    find_label_issues,
    get_label_quality_scores,
)
from ferclean.evidence.measures import auroc
from ferclean.evidence.signals.label_signals import compute_signals
from ferclean.evidence.signals.neighbours import neighbourhood
from ferclean.evidence.verdict.belief import Faces
from ferclean.evidence.verdict.calibration import error_rate_interval
from ferclean.evidence.verdict.verdicts import judge
from tests.loaded import loaded

CLEANLAB_FILTERS, CLEANLAB_METHODS = FILTERS[:-1], METHODS[:-1]
AVAILABLE, ERROR = planted()
LABELS, PROBS, FEATURES = AVAILABLE["labels"], AVAILABLE["pred_probs"], AVAILABLE["embedding"]


def drawn(
    seed: int, *, n: int = 300, classes: int = 5, ties: bool = False, dtype: str = "float64", missing: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Read-only noisy labels and probabilities; with `ties`, of a few round values; `missing`: two classes unused."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, n)
    labels = np.where(rng.random(n) < 0.25, rng.integers(0, classes, n), true)
    if missing:
        labels = np.where(labels < 2, 2, labels)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), true] += 1.5
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    if ties:
        probs = np.maximum(np.round(probs * 5), 1e-3)
        probs /= probs.sum(1, keepdims=True)
    probs = probs.astype(dtype)
    labels.flags.writeable = probs.flags.writeable = False
    return labels, probs


def theirs(labels: np.ndarray, probs: np.ndarray, **options: Any) -> np.ndarray:
    """cleanlab's answer, without its warning about small classes."""
    from cleanlab.filter import find_label_issues as of_cleanlab

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(of_cleanlab(labels, probs, n_jobs=1, **options))


SETS: dict[str, dict[str, Any]] = {
    "plain": {},
    "float32": {"dtype": "float32"},
    "ties": {"ties": True},
    "ties in float32": {"ties": True, "dtype": "float32"},
    "missing classes": {"missing": True},
    "missing classes in float32": {"missing": True, "dtype": "float32"},
    "small classes": {"n": 14, "classes": 8},
    "two classes": {"n": 40, "classes": 2},
    "many classes": {"n": 600, "classes": 23},
}


@pytest.mark.parametrize("made", SETS.values(), ids=SETS)
@pytest.mark.parametrize("filter_by", CLEANLAB_FILTERS)
def test_the_flags_are_those_of_cleanlab(filter_by: str, made: dict[str, Any]) -> None:
    found = 0
    for seed in range(6):
        labels, probs = drawn(seed, **made)
        flags = find_label_issues(labels, probs, filter_by=filter_by)
        assert flags.dtype == bool
        np.testing.assert_array_equal(flags, theirs(labels, probs, filter_by=filter_by))
        found += int(flags.sum())
    assert found


@pytest.mark.parametrize(
    "options",
    [
        {"frac_noise": 0.37},
        {"frac_noise": 0.0},
        {"min_examples_per_class": 0},
        {"min_examples_per_class": 45},
        {"num_to_remove_per_class": [5, 0, 1, 12, 3]},
        {"num_to_remove_per_class": [0, 0, 0, 0, 0]},
        {"confident_joint": np.array([[9, 1, 0, 2, 0]] * 5)},
        {"frac_noise": 0.5, "min_examples_per_class": 30, "num_to_remove_per_class": [4, 4, 4, 4, 4]},
    ],
    ids=str,
)
@pytest.mark.parametrize("filter_by", PRUNING)
def test_options_mean_what_they_mean_in_cleanlab(filter_by: str, options: dict[str, Any]) -> None:
    for seed in range(4):
        for made in ({}, {"ties": True, "dtype": "float32"}, {"missing": True}):
            labels, probs = drawn(seed, **made)
            ours = find_label_issues(labels, probs, filter_by=filter_by, **options)
            np.testing.assert_array_equal(ours, theirs(labels, probs, filter_by=filter_by, **options))


@pytest.mark.parametrize(
    ("ranked_by", "adjust"),
    [(name, adjust) for name in CLEANLAB_METHODS for adjust in (False, True) if not adjust or "entropy" not in name],
)
def test_ranked_positions_are_those_of_cleanlab(ranked_by: str, adjust: bool) -> None:
    options: dict[str, Any] = {"return_indices_ranked_by": ranked_by, "rank_by_kwargs": {"adjust_pred_probs": adjust}}
    for seed in range(2):
        for made in SETS.values():
            labels, probs = drawn(seed, **made)
            for filter_by in CLEANLAB_FILTERS:
                ours = find_label_issues(labels, probs, filter_by=filter_by, **options)
                np.testing.assert_array_equal(ours, theirs(labels, probs, filter_by=filter_by, **options))


@pytest.mark.parametrize("method", CLEANLAB_METHODS)
def test_the_quality_scores_are_those_of_cleanlab(method: str) -> None:
    from cleanlab.rank import get_label_quality_scores as of_cleanlab

    for made in SETS.values():
        labels, probs = drawn(0, **made)
        for adjust in (False, True) if method != "confidence_weighted_entropy" else (False,):
            ours = get_label_quality_scores(labels, probs, method=method, adjust_pred_probs=adjust)
            np.testing.assert_array_equal(ours, of_cleanlab(labels, probs, method=method, adjust_pred_probs=adjust))


def test_many_parts_give_what_one_part_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probs = drawn(3)
    whole = {name: find_label_issues(labels, probs, filter_by=name) for name in CLEANLAB_FILTERS}
    monkeypatch.setattr(pruning, "_PART_CELLS", 35)
    for name, flags in whole.items():
        np.testing.assert_array_equal(find_label_issues(labels, probs, filter_by=name), flags)


@pytest.mark.parametrize("shape", ["fortran", "every second row", "reversed columns"])
def test_the_layout_in_memory_does_not_matter(shape: str) -> None:
    labels, probs = drawn(1)
    laid = {
        "fortran": (labels, np.asfortranarray(probs)),
        "every second row": (np.repeat(labels, 2)[::2], np.repeat(probs, 2, axis=0)[::2]),
        "reversed columns": (labels, probs[:, ::-1].copy()[:, ::-1]),
    }[shape]
    for name in CLEANLAB_FILTERS:
        np.testing.assert_array_equal(
            find_label_issues(*laid, filter_by=name), find_label_issues(labels, probs, filter_by=name)
        )


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), filter_by=st.sampled_from(CLEANLAB_FILTERS))
def test_permuting_rows_permutes_the_flags(seed: int, filter_by: str) -> None:
    labels, probs = drawn(seed)  # without ties, of which no order-free choice exists
    order = np.random.default_rng(seed).permutation(len(labels))
    np.testing.assert_array_equal(
        find_label_issues(labels[order], probs[order], filter_by=filter_by),
        find_label_issues(labels, probs, filter_by=filter_by)[order],
    )


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), filter_by=st.sampled_from(COUNTING), method=st.sampled_from(CLEANLAB_METHODS))
def test_renaming_classes_changes_nothing_where_nothing_is_rounded(seed: int, filter_by: str, method: str) -> None:
    labels, probs = drawn(seed)
    order = np.random.default_rng(seed).permutation(probs.shape[1])  # new column j is old column order[j]
    renamed = np.argsort(order)[labels]
    np.testing.assert_array_equal(
        find_label_issues(renamed, probs[:, order], filter_by=filter_by),
        find_label_issues(labels, probs, filter_by=filter_by),
    )
    np.testing.assert_allclose(
        get_label_quality_scores(renamed, probs[:, order], method=method),
        get_label_quality_scores(labels, probs, method=method),
        rtol=1e-12,
    )


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_renaming_classes_moves_pruned_counts_by_rounding_only(seed: int) -> None:
    labels, probs = drawn(seed)
    order = np.random.default_rng(seed).permutation(probs.shape[1])
    ours = find_label_issues(np.argsort(order)[labels], probs[:, order])
    # which of two equal remainders is rounded up follows the order of the classes, in cleanlab as here
    assert np.count_nonzero(ours != find_label_issues(labels, probs)) <= 2 * probs.shape[1]


def test_without_features_the_default_is_that_of_cleanlab() -> None:
    np.testing.assert_array_equal(find_label_issues(LABELS, PROBS), theirs(LABELS, PROBS))


def test_with_features_the_default_is_the_verdict_of_ferclean() -> None:
    found = compute_signals({"labels": LABELS, "pred_probs": PROBS, "embedding": FEATURES})
    around = neighbourhood(LABELS, FEATURES, num_classes=PROBS.shape[1]).weights
    judged = judge(Faces(labels=LABELS, pred_probs=PROBS, signals=found, around=around))
    flags = find_label_issues(LABELS, PROBS, FEATURES)
    np.testing.assert_array_equal(flags, judged.kind == "mislabelled")
    assert flags[ERROR].mean() > 0.5 > flags[~ERROR].mean()
    scores = get_label_quality_scores(LABELS, PROBS, features=FEATURES, method="mislabelled")
    np.testing.assert_array_equal(scores, judged.label_quality)
    worst = find_label_issues(LABELS, PROBS, FEATURES, return_indices_ranked_by="mislabelled")
    np.testing.assert_array_equal(np.sort(worst), np.flatnonzero(flags))
    assert (np.diff(scores[worst]) >= 0).all()


def test_the_verdict_needs_no_features() -> None:
    flags = find_label_issues(LABELS, PROBS, filter_by="mislabelled")
    assert flags[ERROR].mean() > 0.5 > flags[~ERROR].mean()


@pytest.mark.parametrize("method", METHODS)
def test_low_scores_are_the_wrong_labels(method: str) -> None:
    assert auroc(get_label_quality_scores(LABELS, PROBS, method=method), ERROR) > 0.85


def test_names_are_labels_when_the_classes_are_listed() -> None:
    names = ["anger", "disgust", "fear", "happiness", "sadness"]
    for labels in (np.array(names)[LABELS], [names[label] for label in LABELS]):
        np.testing.assert_array_equal(
            find_label_issues(labels, PROBS, class_names=names), find_label_issues(LABELS, PROBS)
        )


def test_lists_small_integers_whole_floats_and_columns_are_labels() -> None:
    expected = find_label_issues(LABELS, PROBS)
    for labels in (
        LABELS.tolist(),
        LABELS.astype(np.uint8),
        LABELS.astype(np.uint64),
        LABELS.astype(float),
        LABELS[:, None],
    ):
        np.testing.assert_array_equal(find_label_issues(labels, PROBS), expected)


@pytest.mark.parametrize(
    ("labels", "options", "error", "message"),
    [
        (["joy", "fear"], {}, UsageError, r"names \(the first is 'joy'\): give class_names"),
        (["joy", "rage"], {"class_names": ["fear", "joy"]}, BadDataError, "'rage' in row 1; known: fear, joy"),
        (["joy", "joy"], {"class_names": ["joy", "joy"]}, UsageError, "a name twice"),
        ([0, 1], {"class_names": ["fear"]}, BadDataError, "2 columns for 1 classes"),
        ([1, 2], {}, BadDataError, r"outside 0\.\.1 \(values 2\) in row 1"),
        ([0, -1], {}, BadDataError, "outside"),
        ([0, 1, 0], {}, BadDataError, "labels 3, pred_probs 2"),
        ([0.5, 1], {}, BadDataError, "whole class indices"),
        ([[0, 1], [1]], {}, UsageError, "several per row"),
        ([0, 1], {"features": np.ones((3, 2))}, BadDataError, "features 3"),
        ([0, 1], {"multi_label": True}, UsageError, "multi_label"),
        ([0, 1], {"filter_by": "magic"}, UsageError, "unknown filter_by 'magic'; known: prune_by_noise_rate"),
        ([0, 1], {"return_indices_ranked_by": "magic"}, UsageError, "self_confidence, normalized_margin"),
        ([0, 1], {"frac_noise": 2.0}, UsageError, "a share"),
        ([0, 1], {"min_examples_per_class": -1}, UsageError, "at least 0"),
        ([0, 1], {"num_to_remove_per_class": [1]}, UsageError, r"shape \(2,\)"),
        ([0, 1], {"confident_joint": np.full((2, 2), np.nan)}, UsageError, r"shape \(2, 2\)"),
        ([0, 1], {"rank_by_kwargs": {"speed": 1}}, UsageError, "adjust_pred_probs only"),
        ([0, 1], {"filter_by": "confident_learning", "num_to_remove_per_class": [1, 1]}, UsageError, "goes with"),
        ([0, 1], {"filter_by": "mislabelled", "frac_noise": 0.5}, UsageError, "frac_noise goes with"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    labels: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        find_label_issues(labels, np.full((2, 2), 0.5), **options)


def test_an_option_without_effect_warns_where_cleanlab_warns() -> None:
    with pytest.warns(UserWarning, match="frac_noise has no effect on filter_by 'confident_learning'"):
        flags = find_label_issues(LABELS, PROBS, filter_by="confident_learning", frac_noise=0.5)
    np.testing.assert_array_equal(flags, theirs(LABELS, PROBS, filter_by="confident_learning"))


def test_scores_refuse_an_adjustment_that_has_no_meaning() -> None:
    for method in ("confidence_weighted_entropy", "mislabelled"):
        with pytest.raises(UsageError, match="adjust_pred_probs"):
            get_label_quality_scores(LABELS, PROBS, method=method, adjust_pred_probs=True)
    with pytest.raises(UsageError, match="unknown method 'magic'"):
        get_label_quality_scores(LABELS, PROBS, method="magic")


def spoilt(value: float) -> np.ndarray:
    probs = np.array(PROBS)
    probs[7, 1] = value
    return probs


@pytest.mark.parametrize("call", [find_label_issues, get_label_quality_scores])
@pytest.mark.parametrize(
    ("probs", "message"),
    [
        (np.full_like(PROBS, np.nan), r"NaN in rows 0, 1, 2, 3, 4, \.\.\. \(400 in all\)"),
        (spoilt(np.nan), "NaN in row 7"),
        (spoilt(np.inf), "infinite in row 7"),
        (spoilt(-np.inf), "infinite in row 7"),
        (spoilt(-0.01), "negative in row 7"),
        (PROBS * 0.5, r"sum to 1 \(but to 0\.5\) in rows 0, 1"),
        (np.log(PROBS) + 6, "look like logits"),
        (PROBS * 100, "look like percentages"),
        (PROBS[:, 0], "must be a numeric"),
        (PROBS.astype(str), "must be a numeric"),
    ],
    ids=["all NaN", "one NaN", "inf", "-inf", "negative", "halved", "logits", "percent", "one column", "text"],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_no_probability_is_refused_with_its_rows(
    dtype: str, probs: np.ndarray, message: str, call: Any
) -> None:
    with pytest.raises(BadDataError, match=message) as caught:
        call(LABELS, probs.astype(dtype) if probs.dtype.kind == "f" else probs)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("filter_by", CLEANLAB_FILTERS)
def test_an_empty_set_one_class_and_one_column_have_no_issues(filter_by: str) -> None:
    for labels, probs in (
        (np.empty(0, dtype=int), np.empty((0, 3))),
        (np.zeros(20, dtype=int), np.ones((20, 1))),
        (np.ones(20, dtype=int), np.tile([0.1, 0.9], (20, 1))),
    ):
        assert find_label_issues(labels, probs, filter_by=filter_by).tolist() == [False] * len(labels)
    for method in CLEANLAB_METHODS:
        assert len(get_label_quality_scores(np.empty(0, dtype=int), np.empty((0, 3)), method=method)) == 0
        assert np.isfinite(get_label_quality_scores(np.zeros(2, dtype=int), np.ones((2, 1)), method=method)).all()


def test_inputs_are_left_alone() -> None:
    # read-only inputs would fail on a write; these are writeable, so a copy is compared too
    labels, probs, features = np.array(LABELS), np.array(PROBS), np.array(FEATURES)
    for filter_by in FILTERS:
        find_label_issues(LABELS, PROBS, filter_by=filter_by, return_indices_ranked_by="normalized_margin")
        find_label_issues(labels, probs, features, filter_by=filter_by)
    for method in METHODS:
        get_label_quality_scores(labels, probs, method=method)
    for ours, kept in ((labels, LABELS), (probs, PROBS), (features, FEATURES)):
        np.testing.assert_array_equal(ours, kept)


def test_the_error_rate_is_told_with_its_interval_and_takes_what_the_others_take() -> None:
    estimate, low, high = told = error_rate(LABELS, PROBS)
    assert told == error_rate_interval(LABELS, PROBS)
    assert (told.estimate, told.low, told.high) == (estimate, low, high)
    assert low < ERROR.mean() < high
    assert error_rate([["no", "yes"][label] for label in (0, 1)], np.eye(2), class_names=["no", "yes"]).estimate == 0
    with pytest.raises(BadDataError, match="row 0"):
        error_rate([0, 1], [[2.0, -1.0], [0.5, 0.5]])


def test_the_count_is_told_on_stderr_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    flags = find_label_issues(LABELS, PROBS, verbose=True, n_jobs=4)
    assert capsys.readouterr() == ("", f"{flags.sum()} of 400 labels flagged (prune_by_noise_rate)\n")


def test_the_names_load_no_recognizer_and_no_store() -> None:
    asked = (
        "ferclean.find_label_issues([0, 1], [[0.9, 0.1], [0.2, 0.8]]); ferclean.error_rate([0, 1], [[1, 0], [0, 1]])"
    )
    code = f"import sys, ferclean; assert 'numpy' not in sys.modules; {asked}"
    assert loaded(code, of=("torch", "duckdb", "cleanlab", "pandas", "sklearn")) == []
