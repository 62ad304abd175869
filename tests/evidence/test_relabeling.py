"""When the default recognizer changes labels while it trains, and which: at most a part of each class, once settled."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ferclean.recognition.config import TrainConfig
from ferclean.recognition.methods import supcon_relabel
from ferclean.recognition.methods.base import EpochEnd, Flips
from ferclean.recognition.methods.supcon_relabel import Config
from ferclean.recognition.methods.uncertainty import low_confidence, running_mean
from ferclean.recognition.train import fit


def test_each_class_has_its_own_low_group() -> None:
    certainty = np.array([0.9, 0.8, 0.7, 0.6, 0.1, 0.2, 0.3, 0.5])
    classes = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    assert np.flatnonzero(low_confidence(certainty)).tolist() == [4, 5, 6]
    # the least certain two of four and one of three; a class of one has nothing to compare
    assert np.flatnonzero(low_confidence(certainty, classes)).tolist() == [2, 3, 4]


def test_a_running_mean_runs_over_what_there_is_and_then_forgets() -> None:
    mean, half = None, 1 / math.log(2)  # after which the weight of a new value is one half
    for number in range(1, 5):
        mean = running_mean(mean, np.array([float(number)]), updates=number, time_constant=half)
    # 1, then the plain mean of 1 and 2, then halfway to 3, then halfway to 4
    assert mean is not None
    assert mean.item() == pytest.approx(((1.5 + 3) / 2 + 4) / 2)
    first = np.array([1.0])
    assert running_mean(None, first, updates=1, time_constant=5.0) is not first


class Epochs:
    """What a recognizer says after each epoch of sixty (or so), and what the method makes of it.

    Twenty images: ten of class 0, ten of class 1. Of each ten, the low group has three.
    """

    def __init__(self, cfg: Config | None = None, *, epochs: int = 60) -> None:
        self.cfg, self.epochs, self.memory = cfg or Config(), epochs, {}
        self.given = np.repeat([0, 1], 10)
        self.labels = self.given.copy()

    def after(self, epoch: int, other: dict[int, int], *, weights: dict[int, float] | None = None) -> Flips | None:
        """`other` tells images that look like another class than the given one; `weights` those that are not 0.5."""
        says = self.given.copy()
        says[list(other)] = list(other.values())
        probs = np.full((20, 3), 0.05, dtype=np.float32)
        probs[np.arange(20), says] = 0.9
        weight = np.full(20, 0.5, dtype=np.float32)
        for image, value in (weights or {}).items():
            weight[image] = value
        end = EpochEnd(
            epoch=epoch, epochs=self.epochs, labels=self.labels.copy(), given=self.given,
            predict=lambda: {"pred_probs": probs, "uerm_weight": weight}, memory=self.memory,
        )  # fmt: skip
        flips = supcon_relabel.after_epoch(end, self.cfg)
        if flips is not None:
            self.labels[flips.index] = flips.to_label
        return flips


def test_settled_predictions_relabel_after_the_warm_up_and_not_after_the_last_epoch() -> None:
    training = Epochs()
    assert all(training.after(epoch, {0: 2}) is None for epoch in range(10))
    flips = training.after(10, {0: 2})
    assert flips is not None
    assert (flips.index.tolist(), flips.to_label.tolist()) == ([0], [2])
    assert flips.p.item() == pytest.approx(0.9)
    assert training.after(59, {0: 2}) is None


@pytest.mark.parametrize(("epochs", "share", "first"), [(6, 1 / 6, 1), (100, 0.4, 40), (4, 0.0, 1)])
def test_the_warm_up_is_a_share_of_the_epochs(epochs: int, share: float, first: int) -> None:
    """With no share at all one epoch is still waited for: there is nothing to compare the first with."""
    training = Epochs(Config(warmup_share=share), epochs=epochs)
    relabelled = [epoch for epoch in range(epochs) if training.after(epoch, {0: 2}) is not None]
    assert relabelled == list(range(first, epochs - 1))


@pytest.mark.parametrize(("epochs", "share"), [(1, 1 / 6), (2, 1 / 6), (60, 1.0)])
def test_where_no_epoch_can_relabel_nothing_is_even_predicted(epochs: int, share: float) -> None:
    training = Epochs(Config(warmup_share=share), epochs=epochs)
    assert all(training.after(epoch, {0: 2}) is None for epoch in range(epochs))
    assert not training.memory


def test_nothing_is_relabelled_while_predictions_still_change() -> None:
    for limit, relabels in ((0.1, False), (0.2, True)):
        training = Epochs(Config(settled_at=limit))
        for epoch in range(20):
            training.after(epoch, {})
        # three of twenty differ from the mean of the epochs before
        assert (training.after(20, {0: 2, 1: 2, 2: 2}) is not None) == relabels


def test_after_half_of_the_epochs_nothing_more_is_waited_for() -> None:
    training = Epochs(epochs=14)
    found = {}
    for epoch in range(13):
        restless = {image: 2 for image in range(1, 20) if (epoch + image) % 4 == 3}
        found[epoch] = training.after(epoch, restless | {0: 2})
    assert [epoch for epoch, flips in found.items() if flips is not None] == list(range(7, 13))
    assert 0 in found[7].index


def test_the_mean_over_epochs_is_asked_and_not_the_last_word() -> None:
    training = Epochs(Config(settled_at=1.0))
    for epoch in range(20):
        training.after(epoch, {})
    flips = training.after(20, {0: 2})  # said once, against twenty times the label
    assert flips is not None
    assert len(flips.index) == 0


@pytest.mark.parametrize(("share", "least_certain"), [(0.3, {2, 6, 8}), (0.4, {2, 4, 6, 8})])
def test_no_more_than_the_least_certain_share_of_a_class_is_ever_changed(share: float, least_certain: set[int]) -> None:
    """Half of class 0 looks like class 2; the weights say which ones are the least certain."""
    training, looks = Epochs(Config(warmup_share=0.0, low_share=share)), {0: 2, 2: 2, 4: 2, 6: 2, 8: 2}
    changed: set[int] = set()
    for epoch in range(30):
        flips = training.after(epoch, looks, weights={4: 0.45, 2: 0.4, 6: 0.3, 8: 0.2})
        changed |= set() if flips is None else set(flips.index.tolist())
    assert changed == least_certain


def test_without_a_low_group_no_label_is_ever_changed() -> None:
    training = Epochs(Config(warmup_share=0.0, low_share=0.0))
    assert all(training.after(epoch, dict.fromkeys(range(9), 1)) is None for epoch in range(20))


def test_a_class_that_is_predicted_for_nobody_keeps_its_labels() -> None:
    training, nobody = Epochs(Config(warmup_share=0.0)), dict.fromkeys(range(10), 1)
    for epoch in range(20):
        training.after(epoch, nobody)
    assert (training.labels == training.given).all()
    training = Epochs(Config(warmup_share=0.0))
    for epoch in range(20):
        training.after(epoch, dict.fromkeys(range(9), 1))  # one of them is recognised: the class is known
    assert (training.labels != training.given).sum() == 3


def test_a_changed_label_can_come_back() -> None:
    training = Epochs(Config(warmup_share=0.0))
    for epoch in range(10):
        training.after(epoch, {0: 2})
    assert training.labels[0] == 2
    for epoch in range(10, 40):
        training.after(epoch, {})
    assert training.labels[0] == 0


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three kinds of striped images that are easy to tell apart; every fifth label is wrong."""
    rng = np.random.default_rng(0)
    truth = np.arange(240) % 3
    rng.shuffle(truth)
    down, right = np.mgrid[:32, :32]
    waves = [np.sin(right / 2), np.sin(down / 2), np.sin((right + down) / 2)]
    images = np.stack([waves[t] for t in truth])[:, None] * 60 + 128 + rng.normal(0, 30, (240, 1, 32, 32))
    wrong = np.zeros(240, dtype=bool)
    wrong[rng.choice(240, 48, replace=False)] = True
    labels = np.where(wrong, (truth + rng.integers(1, 3, 240)) % 3, truth)
    images = images.clip(0, 255).astype(np.uint8)
    for array in (images, labels, truth):
        array.flags.writeable = False
    return images, labels, truth


def test_flips_on_planted_noise_are_right_more_than_twice_as_often_as_noise_occurs(planted) -> None:
    images, labels, truth = planted
    config = TrainConfig(epochs=8, batch_size=16, rotate=0, erase=0, device="cpu")
    result = fit("supcon_relabel", images, labels, num_classes=3, config=config)
    assert len(result.flips) >= 5
    index = np.array([flip["index"] for flip in result.flips])
    assert np.mean(labels[index] != truth[index]) > 2 * 0.2
    changed = result.labels != labels
    assert np.mean(labels[changed] != truth[changed]) > 2 * 0.2  # in the end, too
    assert min(flip["epoch"] for flip in result.flips) >= 2  # two of eight epochs are warm-up
    assert {"index", "epoch", "from_label", "to_label", "p"} == set(result.flips[0])
    working = labels.copy()
    for flip in result.flips:
        assert working[flip["index"]] == flip["from_label"] != flip["to_label"]
        working[flip["index"]] = flip["to_label"]
        assert 0.2 < flip["p"] <= 1
    np.testing.assert_array_equal(result.labels, working)
