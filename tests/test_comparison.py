"""Facts about paired differences."""

from __future__ import annotations

import numpy as np
import pytest

from ferclean.evidence.comparison import paired_difference


def test_equal_arms_show_no_measurable_gain() -> None:
    hits = np.random.default_rng(0).random((3, 200)) < 0.8
    found = paired_difference(hits, hits)
    assert (found.mean, found.low, found.high, found.verdict) == (0.0, 0.0, 0.0, "no measurable gain")


def test_a_large_gain_is_measurable_and_its_mirror_is_a_loss() -> None:
    rng = np.random.default_rng(1)
    worse, better = rng.random((3, 500)) < 0.6, rng.random((3, 500)) < 0.9
    gain, loss = paired_difference(worse, better), paired_difference(better, worse)
    assert gain.verdict == "measurable gain"
    assert loss.verdict == "measurable loss"
    assert gain.mean == pytest.approx(-loss.mean)
    assert gain.low < gain.mean < gain.high


def test_seeds_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    base = rng.random((3, 400)) < 0.7
    agreeing, disagreeing = base.copy(), base.copy()
    agreeing[:, :40] = True
    disagreeing[0, :120] = True
    steady, shaky = paired_difference(base, agreeing), paired_difference(base, disagreeing)
    assert shaky.high - shaky.low > steady.high - steady.low


def test_one_seed_still_has_an_interval_from_the_test_images() -> None:
    rng = np.random.default_rng(3)
    found = paired_difference(rng.random((1, 300)) < 0.7, rng.random((1, 300)) < 0.75)
    assert found.low < found.mean < found.high


def test_arms_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="equal"):
        paired_difference(np.zeros((2, 3), bool), np.zeros((2, 4), bool))
