"""Torn faces: about as many as people leave undecided, those between two expressions and of classes hard to learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferclean.errors import BadDataError
from ferclean.evidence.constants import STANDARD
from ferclean.evidence.measures import auroc
from ferclean.evidence.verdict.ambiguity import (
    TORN_SIGNALS,
    learned_from_votes,
    probability_torn,
)

CLASSES = 5


def faces(n: int = 1000, *, flatness: float = 0.0, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Labels, panel, signals and the mask of the tenth that two classes share; `flatness` of every panel is a guess."""
    rng = np.random.default_rng(seed)
    labels, torn = rng.integers(0, CLASSES, n), rng.random(n) < 0.1
    logits = rng.normal(size=(n, CLASSES))
    rows = np.arange(n)
    logits[rows, labels] += 5
    logits[rows, (labels + 1) % CLASSES] += np.where(torn, 5, 0)
    panel = (1 - flatness) * np.exp(logits) / np.exp(logits).sum(1, keepdims=True) + flatness / CLASSES
    signals = {
        "neighbour_entropy": torn + rng.normal(size=n),
        "mean_confidence": rng.normal(size=n) - torn,
        "confidence_spread": rng.normal(size=n) - torn,
    }
    for array in (labels, panel, torn, *signals.values()):
        array.flags.writeable = False
    return labels, panel, signals, torn


LABELS, PANEL, SIGNALS, TORN = faces()


def test_faces_between_two_classes_are_torn_and_others_are_not() -> None:
    found = probability_torn(LABELS, PANEL, {})
    assert ((found >= 0) & (found <= 1)).all()
    assert auroc(-found, TORN) > 0.9
    assert found[~TORN].mean() < 0.05 < 0.2 < found[TORN].mean()
    top = np.argsort(PANEL.max(1))
    assert (np.diff(found[top]) <= 1e-9).mean() > 0.9  # clearer panels, less torn


@pytest.mark.parametrize("flatness", [0.0, 0.3, 0.6, 0.8])
@pytest.mark.parametrize("signals", [{}, SIGNALS], ids=["panel alone", "all signals"])
def test_a_weak_recognizers_flat_panels_tear_no_more_than_the_assumed_share(
    flatness: float, signals: dict[str, np.ndarray]
) -> None:
    labels, panel, _, _ = faces(flatness=flatness)
    found = probability_torn(labels, panel, signals)
    assert (found > 0.5).mean() <= STANDARD.ambiguous_share + 0.01
    assert found.mean() < 2 * STANDARD.ambiguous_share
    if flatness >= 0.6:
        assert (panel.max(1) < STANDARD.clear_panel).mean() > 0.9  # taken at its word, all would be torn
        if not signals:
            assert (found > 0.5).mean() == pytest.approx(STANDARD.ambiguous_share, abs=0.01)


def test_a_certain_panel_is_not_made_less_certain() -> None:
    sure = np.full((50, 3), 0.01)
    sure[:, 0] = 0.98
    assert probability_torn(np.zeros(50, dtype=int), sure, {}).max() < 0.01


@pytest.mark.parametrize("name", TORN_SIGNALS)
def test_each_signal_moves_faces_in_its_direction(name: str) -> None:
    found = probability_torn(LABELS, PANEL, SIGNALS)
    loud = SIGNALS[name].copy()
    loud[7] = 99.0 * TORN_SIGNALS[name]  # as torn as can be
    quiet = SIGNALS[name].copy()
    quiet[7] = -99.0 * TORN_SIGNALS[name]
    torn, calm = (probability_torn(LABELS, PANEL, SIGNALS | {name: values})[7] for values in (loud, quiet))
    assert calm < found[7] < torn


def test_signals_find_torn_faces_that_the_panel_hardly_sees() -> None:
    labels, panel, signals, torn = faces(seed=1)
    blind = np.random.default_rng(0).permutation(panel)  # says how many, not which
    alone, fused = probability_torn(labels, blind, {}), probability_torn(labels, blind, signals)
    assert auroc(-fused, torn) > 0.8 > 0.6 > auroc(-alone, torn)
    assert fused.mean() == pytest.approx(alone.mean(), abs=1e-6)  # no more, no fewer, others


def test_a_class_hard_to_learn_is_more_torn() -> None:
    hard = SIGNALS | {"mean_confidence": SIGNALS["mean_confidence"] - 3 * (LABELS == 2)}
    before, after = probability_torn(LABELS, PANEL, SIGNALS), probability_torn(LABELS, PANEL, hard)
    assert after[LABELS == 2].mean() > 1.5 * before[LABELS == 2].mean()
    assert after[LABELS != 2].mean() < before[LABELS != 2].mean()
    single = np.flatnonzero(LABELS == 2)[0]  # its own signals unchanged, only its class is
    kept = hard["mean_confidence"].copy()
    kept[single] = SIGNALS["mean_confidence"][single]
    assert probability_torn(LABELS, PANEL, hard | {"mean_confidence": kept})[single] > before[single]


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.booleans())
def test_permuting_rows_and_classes_permutes_the_faces(seed: int, ties: bool) -> None:
    labels, panel, signals, _ = faces(60, flatness=0.3, seed=seed)
    if ties:
        signals = {name: values.round(0) for name, values in signals.items()}
    rng = np.random.default_rng(seed)
    rows, order = rng.permutation(60), rng.permutation(CLASSES)
    for present in ({}, signals):
        expected = probability_torn(labels, panel, present)
        moved = {name: values[rows] for name, values in present.items()}
        found = probability_torn(np.argsort(order)[labels][rows], panel[rows][:, order], moved)
        np.testing.assert_allclose(found, expected[rows], atol=1e-6)


def test_a_missing_signal_has_no_say_and_other_signals_none_at_all() -> None:
    silent = SIGNALS | {"neighbour_entropy": np.full(len(LABELS), np.nan), "margin": np.arange(len(LABELS))}
    rest = {name: SIGNALS[name] for name in ("mean_confidence", "confidence_spread")}
    np.testing.assert_allclose(probability_torn(LABELS, PANEL, silent), probability_torn(LABELS, PANEL, rest))
    with pytest.raises(BadDataError, match="lengths differ"):
        probability_torn(LABELS, PANEL, {"mean_confidence": np.zeros(3)})


@pytest.mark.parametrize(("level", "slope"), [(-4.0, 1.0), (-1.0, 1.0), (-2.0, 2.0), (-2.0, 0.3)])
def test_votes_on_some_faces_teach_how_many_and_how_surely_the_others_are_torn(level: float, slope: float) -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(-2, 1, 4000)
    true = 1 / (1 + np.exp(-(level + slope * (odds + 2))))
    stated, voted = 1 / (1 + np.exp(-odds)), np.arange(2000)
    share = np.where(rng.random(2000) < true[:2000], 0.95, 0.02)
    found = learned_from_votes(stated, voted, share)[2000:]
    assert found.mean() == pytest.approx(true[2000:].mean(), abs=0.03)
    assert np.abs(found - true[2000:]).mean() < 0.04
    assert np.abs(found - true[2000:]).mean() < np.abs(stated - true)[2000:].mean()


def test_few_votes_move_the_torn_little_none_nothing_and_contrary_ones_never_turn_the_order() -> None:
    torn = probability_torn(LABELS, PANEL, SIGNALS)
    none = np.empty(0, dtype=int)
    np.testing.assert_allclose(learned_from_votes(torn, none, np.empty(0)), torn, rtol=1e-4)
    few = learned_from_votes(torn, np.arange(3), np.ones(3))
    assert torn.mean() < few.mean() < 2 * torn.mean()
    turned = learned_from_votes(torn, np.arange(len(torn)), torn.max() - torn)
    assert (np.diff(turned[np.argsort(torn)]) >= -1e-12).all()
    assert learned_from_votes(np.empty(0), none, np.empty(0)).shape == (0,)


def test_nothing_one_face_and_one_class() -> None:
    none = np.empty(0, dtype=int)
    assert probability_torn(none, np.empty((0, 3)), {"mean_confidence": np.empty(0)}).shape == (0,)
    assert probability_torn(np.zeros(3, dtype=int), np.ones((3, 1)), {}).tolist() == [0.0] * 3
    lone = probability_torn(np.array([0]), np.array([[0.5, 0.5]]), {"mean_confidence": np.array([0.2])})
    assert lone.shape == (1,)
    assert lone[0] > 0.5
