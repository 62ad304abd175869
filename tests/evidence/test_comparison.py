"""Facts about paired differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ferclean.evidence.comparison import paired_difference, share_of_gain
from pipelines.paired_intervals import coverage


def test_equal_arms_show_no_measurable_gain() -> None:
    hits = np.random.default_rng(0).random((3, 200)) < 0.8
    found = paired_difference(hits, hits)
    assert (found.mean, found.low, found.high, found.verdict) == (0.0, 0.0, 0.0, "no measurable gain")
    assert found.seeds_to_tell is None
    assert [row["p"] for row in found.mcnemar] == [1.0, 1.0, 1.0]


def test_a_large_gain_is_measurable_and_its_mirror_is_a_loss() -> None:
    rng = np.random.default_rng(1)
    worse, better = rng.random((3, 500)) < 0.6, rng.random((3, 500)) < 0.9
    gain, loss = paired_difference(worse, better), paired_difference(better, worse)
    assert gain.verdict == "measurable gain"
    assert loss.verdict == "measurable loss"
    assert gain.mean == pytest.approx(-loss.mean)
    assert gain.low < gain.mean < gain.high
    assert gain.seeds_to_tell == 2


def test_seeds_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    base = rng.random((3, 400)) < 0.7
    agreeing, disagreeing = base.copy(), base.copy()
    agreeing[:, :40] = True
    disagreeing[0, :120] = True
    steady, shaky = paired_difference(base, agreeing), paired_difference(base, disagreeing)
    assert shaky.high - shaky.low > steady.high - steady.low
    assert shaky.seeds_se is not None
    assert steady.seeds_se is not None
    assert shaky.seeds_se > steady.seeds_se


def test_one_seed_has_the_t_interval_of_its_test_images() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((1, 300)) < 0.7, rng.random((1, 300)) < 0.75
    found = paired_difference(a, b)
    d = b[0].astype(float) - a[0]
    expected = stats.t.interval(0.95, 299, loc=d.mean(), scale=stats.sem(d))
    assert (found.low, found.high) == pytest.approx(expected)
    assert (found.seeds_se, found.seeds_to_tell) == (None, None)


def test_many_seeds_that_agree_on_every_image_leave_the_images_alone() -> None:
    rng = np.random.default_rng(4)
    a, b = (np.repeat(rng.random((1, 300)) < p, 10, axis=0) for p in (0.7, 0.75))
    one, ten = paired_difference(a[:1], b[:1]), paired_difference(a, b)
    assert (ten.low, ten.high) == pytest.approx((one.low, one.high))
    assert ten.seeds_se == pytest.approx(0, abs=1e-12)


def test_arms_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="equal"):
        paired_difference(np.zeros((2, 3), bool), np.zeros((2, 4), bool))


def test_mcnemar_counts_what_each_alone_got_right() -> None:
    a = np.array([[True] * 12 + [False] * 20])
    b = np.array([[True] * 10 + [False] * 2 + [True] * 9 + [False] * 11])
    (row,) = paired_difference(a, b).mcnemar
    assert (row["gained"], row["lost"]) == (9, 2)
    assert row["p"] == pytest.approx(stats.binomtest(9, 11).pvalue)


def test_more_seeds_tell_a_difference_that_seeds_blur_but_not_one_that_images_blur() -> None:
    rng = np.random.default_rng(5)
    a = rng.random((4, 4000)) < 0.7
    shaky = a.copy()
    for row, gain in zip(shaky, (0.0, 0.05, 0.0, 0.05), strict=True):
        row[: int(4000 * gain)] = True
    found = paired_difference(a, shaky)
    assert found.verdict == "no measurable gain"
    assert found.seeds_to_tell is not None
    assert 4 < found.seeds_to_tell < 20
    few = np.zeros((4, 40), bool)
    lucky = few.copy()
    lucky[:, :3] = True
    unlucky = few.copy()
    unlucky[:, 3:5] = True
    blurred = paired_difference(unlucky, lucky)
    assert (blurred.verdict, blurred.seeds_to_tell) == ("no measurable gain", None)


def test_a_share_of_a_gain_has_an_interval_of_both_gains() -> None:
    rng = np.random.default_rng(6)
    hard = rng.random((1, 1500))
    given, best = (np.repeat(hard < p, 5, axis=0) ^ (rng.random((5, 1500)) < 0.05) for p in (0.5, 0.8))
    middle = np.where(rng.random((5, 1500)) < 0.6, best, given)
    found = share_of_gain(given, middle, best)
    assert found is not None
    share, low, high = found
    assert low < 0.6 < high
    assert low < share < high
    assert high - low < 0.2
    whole = share_of_gain(given, best, best)
    assert whole is not None
    assert whole == pytest.approx((1.0, 1.0, 1.0))
    # one image: the gains differ from seed to seed, and what is left over only in the last bit
    one = np.array([[False], [True], [False], [False], [False]])
    for row in range(1, 5):
        few, many = one.copy(), np.ones_like(one)
        few[:row] = True
        found = share_of_gain(np.zeros_like(one), few, many)
        assert found is not None
        assert found[0] == pytest.approx(few.mean())
    assert share_of_gain(given, best, given ^ (rng.random((5, 1500)) < 0.01)) is None


@pytest.mark.parametrize(("seeds", "spread", "least"), [(2, 0.2, 0.93), (2, 2.0, 0.9), (5, 1.0, 0.93)])
def test_intervals_hold_what_they_promise(seeds: int, spread: float, least: float) -> None:
    """300 simulated comparisons: chance alone moves the share by .015, so .93 and .90 are asked for less two of it."""
    real = coverage(seeds, spread, comparisons=300, images=300, gain=0.03)
    assert least - 0.03 < real["coverage"] < 0.995
    null = coverage(seeds, spread, comparisons=300, images=300, gain=0.0, seed=1)
    assert null["claimed_gain"] < 0.05 + 0.03


def test_two_seeds_are_mostly_told_much_more_than_a_t_interval_of_their_means_tells() -> None:
    rng = np.random.default_rng(7)
    ours, alone = [], []
    for _ in range(50):
        a, b = rng.random((2, 1239)) < 0.65, rng.random((2, 1239)) < 0.67
        found = paired_difference(a, b)
        ours.append(found.high - found.low)
        alone.append(2 * stats.t.ppf(0.975, 1) * stats.sem(found.per_seed))
    assert np.median(ours) < np.median(alone) / 2
    assert np.max(ours) < np.max(alone) / 2
