"""Settings: where a network runs, what a training is made of, and the profiles that name such sets."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from ferclean.errors import UsageError
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.devices import choose_device, describe
from ferclean.recognition.profiles import PROFILES, get_profile
from ferclean.recognition.train import fit

TINY = TrainConfig(epochs=2, batch_size=8, device="cpu")


def test_asking_for_cuda_where_there_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(UsageError, match="no CUDA device"):
        choose_device("cuda")
    with pytest.raises(UsageError, match="auto, cpu, cuda"):
        choose_device("tpu")


def test_where_there_is_cuda_auto_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu").type == "cpu"


def test_a_config_digest_follows_every_setting_but_the_device() -> None:
    assert replace(TINY, device="auto").digest() == TINY.digest()
    assert replace(TINY, seed=1).digest() != TINY.digest()
    assert replace(TINY, method_options={"eac": {"x": 1}}).digest() != TINY.digest()


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"batch_size": 0}, {"label_smoothing": 1.0}, {"optimizer": "adam"}, {"schedule": "x"}]
)
def test_impossible_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        TrainConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_gives_settings_that_training_takes(name: str) -> None:
    profile = get_profile(name)
    config = profile.train_config(seed=3, device="cpu")
    assert (config.seed, config.epochs, config.backbone) == (3, profile.epochs, profile.backbone)


def test_overrides_replace_fields_and_none_keeps_them() -> None:
    profile = get_profile("quick", methods=["cross_entropy"], epochs=3, folds=None, input_size=32)
    assert (profile.methods, profile.epochs, profile.folds) == (("cross_entropy",), 3, PROFILES["quick"].folds)
    assert profile.train_config().train_size == 29  # the same share of 32 as 44 is of 48


@pytest.mark.parametrize("name", PROFILES)
def test_every_input_size_shows_the_same_share_of_the_face(name: str) -> None:
    own = get_profile(name)
    share = own.train_config().network_size(own.input_size) / own.input_size
    for size in range(32, 225):
        seen = get_profile(name, input_size=size).train_config().network_size(size)
        assert abs(seen - share * size) <= 0.5, f"{size} pixels: {seen} are seen"


def test_a_run_is_named_by_the_pixels_it_sees_and_so_as_before_profiles_had_shares() -> None:
    assert get_profile("quick").as_dict()["train_size"] == 44
    assert get_profile("demo").as_dict()["train_size"] == 40
    assert get_profile("standard").as_dict()["train_size"] is None
    assert "crop" not in get_profile("quick").as_dict()
    assert get_profile("quick", input_size=224).as_dict()["train_size"] == 205


@pytest.mark.parametrize("crop", [44, 1.01, 0.49, 0.0, -0.9])
def test_a_crop_that_is_no_share_or_a_tiny_one_is_refused(crop: float) -> None:
    with pytest.raises(UsageError, match=rf"crop is a share of the side from 0\.5 to 1, not {crop:g}"):
        get_profile("quick", crop=crop)


@pytest.mark.parametrize(
    ("train_size", "words"),
    [(44, r"train_size 44 of images with 112 .* 15\.4 % of the pixels; give 56 to 112"), (113, "more than there is")],
)
def test_a_crop_in_pixels_that_was_meant_for_other_images_is_refused(train_size: int, words: str) -> None:
    images, labels = np.zeros((4, 1, 112, 112), dtype=np.uint8), np.arange(4) % 2
    config = replace(TINY, train_size=train_size)
    for method in ("cross_entropy", "distilled"):
        with pytest.raises(UsageError, match=words):
            fit(method, images, labels, num_classes=2, config=config)


def test_unknown_profiles_fields_and_values_are_refused() -> None:
    with pytest.raises(UsageError, match="quick, standard, thorough"):
        get_profile("fast")
    with pytest.raises(UsageError, match="epochs"):
        get_profile("quick", epoch=3)
    with pytest.raises(UsageError, match="folds is at least 2"):
        get_profile("quick", folds=1)


def test_a_device_is_described_for_a_results_table() -> None:
    assert re.fullmatch(r"CPU, (1 thread|\d+ threads)", describe("cpu"))
