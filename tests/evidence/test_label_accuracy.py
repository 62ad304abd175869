"""Facts about stated label accuracy: it covers the truth, and says of how many changes how sure."""

from __future__ import annotations

import numpy as np
import pytest

from ferclean.errors import BadDataError
from ferclean.evidence.constants import STANDARD
from ferclean.evidence.people.people import check_decisions
from ferclean.evidence.verdict.calibration import ErrorRate, log_odds, shifted
from ferclean.evidence.verdict.label_accuracy import by_certainty, label_accuracy, worth_a_look
from ferclean.evidence.verdict.truth import learn_truth


def test_the_interval_covers_where_the_level_is_off_as_much_as_it_says() -> None:
    rng = np.random.default_rng(0)
    nobody = np.zeros(1500, dtype=bool)
    covered = 0
    for _ in range(300):
        p = rng.beta(3, 1, 1500)
        off = float(log_odds(p.mean()[None])[0] + rng.normal(0, STANDARD.level_spread))
        stated = shifted(p, 1 / (1 + np.exp(-off)))
        told = label_accuracy(stated, np.ones(1500), nobody)
        assert told is not None
        covered += told.low <= (rng.random(1500) < p).mean() <= told.high
    assert 0.92 <= covered / 300 <= 0.99


def test_after_a_hundred_random_decisions_the_interval_covers_what_auto_makes_of_the_labels() -> None:
    covered = 0
    for draw in range(20):
        rng = np.random.default_rng(draw)
        size, classes = 800, 3
        sharp = rng.dirichlet(np.full(classes, 0.5), size)
        true = np.array([rng.choice(classes, p=row) for row in sharp])
        given = np.where(rng.random(size) < 0.3, rng.integers(0, classes, size), true)
        # the prior trusts the given label too much, and by another amount each time
        prior = sharp**0.7 * np.where(np.eye(classes)[given] > 0, np.exp(rng.normal(1.5, 1.0)), 1.0)
        prior /= prior.sum(1, keepdims=True)
        said = np.full(size, "", dtype="<U9")
        drawn = rng.choice(size, 100, replace=False)
        said[drawn] = np.where(true == given, "keep", "relabel")[drawn]
        people = check_decisions(given, said, true, None, num_classes=classes)
        found = learn_truth(given, prior, sharp[None] ** 0.7, np.full(size, 0.01), people).p_true
        label, known = found.argmax(1), said != ""
        chance = np.where(known, 1.0, found[np.arange(size), label])
        told = label_accuracy(chance, np.ones(size), known, learned=100)
        assert told is not None
        covered += told.low <= np.where(known, 1, label == true).mean() <= told.high
    assert covered >= 18


def test_decided_faces_are_certain_and_narrow_the_interval() -> None:
    p, w = np.full(200, 0.8), np.ones(200)
    open_, half = np.zeros(200, dtype=bool), np.arange(200) < 100
    nobody = label_accuracy(p, w, open_)
    decided = label_accuracy(np.where(half, 1.0, p), w, half)
    everyone = label_accuracy(np.ones(200), w, ~open_)
    assert nobody is not None
    assert decided is not None
    assert everyone is not None
    assert decided.estimate == pytest.approx(0.9)
    assert decided.high - decided.low < (nobody.high - nobody.low) * 0.6
    assert (everyone.low, everyone.high) == (1.0, 1.0)


def test_a_wide_error_rate_widens_the_side_that_it_speaks_for() -> None:
    p, w, nobody = np.full(5000, 0.8), np.ones(5000), np.zeros(5000, dtype=bool)
    plain = label_accuracy(p, w, nobody)
    wide = label_accuracy(p, w, nobody, rate=ErrorRate(estimate=0.2, low=0.19, high=0.6))
    assert plain is not None
    assert wide is not None
    assert wide.low == pytest.approx(0.4, abs=0.01)
    assert wide.high == pytest.approx(plain.high)


def test_without_a_face_that_has_a_true_label_nothing_is_stated() -> None:
    assert label_accuracy(np.ones(2), np.zeros(2), np.zeros(2, dtype=bool)) is None
    with pytest.raises(BadDataError, match="probabilities"):
        label_accuracy(np.array([1.2]), np.ones(1), np.zeros(1, dtype=bool))


def test_what_becomes_of_changes_sums_to_their_number() -> None:
    rng = np.random.default_rng(0)
    new = rng.uniform(0.5, 1, 50)
    old = (1 - new) * rng.random(50)
    rows = by_certainty(new, old, rng.random(50))
    assert [row["from_p"] for row in rows] == [0.9, 0.8, 0.7, 0.6, 0.5]
    for row in rows:
        parts = sum(row[name] for name in ("mended", "spoiled", "still_wrong", "no_true_label"))
        assert parts == pytest.approx(row["changes"], abs=0.21)
    assert by_certainty(np.array([1.0]), np.array([0.0]), np.array([1.0]))[0]["to_p"] == 1.0


def test_looks_go_where_a_label_is_likely_to_be_mended_and_nowhere_else() -> None:
    right, labelled = np.array([1.0, 0.5, 0.2, 0.2]), np.array([1.0, 1.0, 1.0, 0.1])
    assert worth_a_look(right, labelled, 10).tolist() == [2, 1, 3]
    assert worth_a_look(right, labelled, 0).tolist() == []


@pytest.mark.parametrize("p", [0.0, 1e-9, 0.1, 1.0])
def test_the_estimate_lies_in_its_interval_however_sure_everything_is(p: float) -> None:
    rate = ErrorRate(estimate=0.0, low=0.0, high=1.0)
    for known in (np.zeros(7, dtype=bool), np.arange(7) < 3):
        for one in (None, rate):
            found = label_accuracy(np.full(7, p), np.full(7, 0.3), known, rate=one)
            assert found is not None
            assert 0 <= found.low <= found.estimate <= found.high <= 1


def test_the_first_faces_learned_from_do_not_make_the_interval_jump() -> None:
    p, nobody = np.full(2000, 0.8), np.zeros(2000, dtype=bool)
    told = [label_accuracy(p, np.ones(2000), nobody, learned=float(n)) for n in (0, 0.1, 1, 3, 10, 30, 100, 1000)]
    wide = np.array([one.high - one.low for one in told if one is not None])
    assert wide[1] == pytest.approx(wide[0], abs=0.02)
    assert wide.max() < 1.8 * wide[0]
    assert (np.diff(wide[4:]) < 0).all()  # from ten on, each more says more
