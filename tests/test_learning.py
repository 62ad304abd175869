"""Decisions move the automatic verdict, slowly, and never through the row that they are about."""

from __future__ import annotations

import numpy as np
import pytest

from ferclean.errors import BadDataError
from ferclean.evidence.learning import decision_features, learn
from ferclean.evidence.measures import auprc


def shifted_set(rows: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An automatic probability that is blind to one column, which decides about the event: (auto, features, event)."""
    rng = np.random.default_rng(seed)
    seen, hidden = rng.normal(size=(2, rows))
    event = rng.random(rows) < 1 / (1 + np.exp(1.5 - seen - 2 * hidden))
    return 1 / (1 + np.exp(1.5 - seen)), np.column_stack([hidden, rng.normal(size=(rows, 5))]), event


def asked(event: np.ndarray, count: int, seed: int = 1) -> np.ndarray:
    happened = np.full(len(event), np.nan)
    rows = np.random.default_rng(seed).choice(len(event), count, replace=False)
    happened[rows] = event[rows]
    return happened


def test_decisions_teach_what_the_automatic_verdict_cannot_see() -> None:
    automatic, features, event = shifted_set()
    happened = asked(event, 300)
    learned = learn(automatic, features, happened)
    rest = np.isnan(happened)
    assert auprc(1 - learned.probability[rest], event[rest]) > auprc(1 - automatic[rest], event[rest]) + 0.1
    assert learned.decisions == 300
    assert learned.gain > 0.05


@pytest.mark.parametrize("count", [0, 5])
def test_hardly_any_decision_changes_nothing(count: int) -> None:
    automatic, features, event = shifted_set()
    learned = learn(automatic, features, asked(event, count))
    np.testing.assert_array_equal(learned.probability, automatic)
    assert learned.gain == 0


def test_a_decided_row_is_judged_by_a_model_that_did_not_see_it() -> None:
    automatic, features, event = shifted_set(200)
    happened = asked(event, 60)
    row = int(np.flatnonzero(~np.isnan(happened))[0])
    other = happened.copy()
    other[row] = 1 - other[row]
    before, after = learn(automatic, features, happened), learn(automatic, features, other)
    assert before.probability[row] == after.probability[row]
    assert not np.array_equal(before.probability, after.probability)


def test_weights_undo_that_only_the_top_was_looked_at() -> None:
    automatic, features, event = shifted_set(6000)
    top = np.argsort(-automatic)[:250]
    happened = asked(event, 60)
    happened[top] = event[top]
    drawn = ~np.isnan(happened) & ~np.isin(np.arange(6000), top)
    weight = np.where(drawn, (6000 - 250) / drawn.sum(), 1.0)
    plain, weighted = learn(automatic, features, happened), learn(automatic, features, happened, weight=weight)
    rest = np.isnan(happened)
    truth = event[rest].mean()
    assert abs(weighted.probability[rest].mean() - truth) < abs(plain.probability[rest].mean() - truth)


def test_what_is_neither_yes_nor_no_is_refused() -> None:
    with pytest.raises(BadDataError, match="1, 0 or NaN"):
        learn(np.full(3, 0.5), np.zeros((3, 1)), np.array([0.5, 1, 0]))
    with pytest.raises(BadDataError, match="above 0"):
        learn(np.full(20, 0.5), np.zeros((20, 1)), np.arange(20) % 2.0, weight=np.zeros(20))


def test_features_follow_the_rows_and_forgive_missing_signals() -> None:
    rng = np.random.default_rng(0)
    labels, probs = rng.integers(0, 3, 40), rng.dirichlet(np.ones(3), 40)
    signals = {"aum": np.where(np.arange(40) % 7 == 0, np.nan, rng.normal(size=40)), "gone": np.full(40, np.nan)}
    whole = decision_features(labels, probs, signals)
    order = rng.permutation(40)
    permuted = decision_features(labels[order], probs[order], {name: values[order] for name, values in signals.items()})
    np.testing.assert_allclose(permuted, whole[order], atol=1e-9)
    assert np.isfinite(whole).all()
    np.testing.assert_allclose(whole.mean(0), 0, atol=1e-9)
