"""Random views: shapes, repeatability, and that each switch does what it says."""

from __future__ import annotations

import pytest
import torch

from ferclean.recognition.augment import CENTRE, SPREAD, augment, centre, normalise
from ferclean.recognition.config import TrainConfig

STILL = {"flip": 0, "rotate": 0, "scale": 0, "shift": 0, "brightness": 0, "contrast": 0, "erase": 0}


def faces(count: int = 4, channels: int = 1, side: int = 48) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, channels, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def view(images: torch.Tensor, *, size: int = 48, seed: int = 0, **settings: float) -> torch.Tensor:
    config = TrainConfig(**(STILL | settings))  # type: ignore[arg-type]
    return augment(images, config, size=size, generator=torch.Generator().manual_seed(seed))


def test_with_everything_off_a_view_is_the_normalised_image() -> None:
    images = faces()
    torch.testing.assert_close(view(images), normalise(images), atol=1e-4, rtol=0)


def test_normalised_grey_127_5_is_zero() -> None:
    assert normalise(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)).unique().item() == pytest.approx(
        (255 - CENTRE) / SPREAD
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 40, 48])
def test_a_view_has_the_size_that_training_asked_for(channels: int, size: int) -> None:
    views = augment(faces(channels=channels), TrainConfig(), size=size, generator=torch.Generator().manual_seed(1))
    assert views.shape == (4, channels, size, size)
    assert views.dtype == torch.float32
    assert torch.isfinite(views).all()


def test_the_same_generator_state_gives_the_same_view_and_another_a_different_one() -> None:
    settings = {"rotate": 10.0, "erase": 0.5, "brightness": 0.2}
    assert torch.equal(view(faces(), seed=3, **settings), view(faces(), seed=3, **settings))
    assert not torch.equal(view(faces(), seed=3, **settings), view(faces(), seed=4, **settings))


def test_a_certain_flip_mirrors_every_image() -> None:
    images = faces()
    torch.testing.assert_close(view(images, flip=1), normalise(images).flip(3), atol=1e-4, rtol=0)


def test_the_images_are_not_changed() -> None:
    images = faces()
    before = images.clone()
    augment(images, TrainConfig(), size=40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(images, before)


def test_a_crop_keeps_the_magnification() -> None:
    # a ramp of slope one keeps its slope in a crop, and would not if the crop were resized
    ramp = torch.arange(48, dtype=torch.uint8).expand(1, 1, 48, 48).contiguous()
    row = view(ramp, size=40)[0, 0, 20] * SPREAD
    torch.testing.assert_close(row.diff()[3:-3], torch.ones(33), atol=1e-3, rtol=0)


def test_crops_lie_in_different_places_within_the_image() -> None:
    ramp = torch.arange(48, dtype=torch.uint8).expand(200, 1, 48, 48).contiguous()
    left = view(ramp, size=40)[:, 0, 20, 0] * SPREAD + CENTRE
    assert left.min() < 1.5
    assert left.max() > 6.5
    assert left.max() <= 8.01


def test_a_certain_erasure_blanks_a_part_of_each_image() -> None:
    blank = (view(torch.full((200, 1, 48, 48), 255, dtype=torch.uint8), erase=1) == 0).float().mean((1, 2, 3))
    assert blank.min() > 0.005
    assert blank.max() < 0.25


def test_brightness_and_contrast_change_mean_and_spread() -> None:
    images = faces(64)
    plain = normalise(images)
    bright = view(images, brightness=0.2) - plain
    assert bright.mean((1, 2, 3)).abs().max() <= 0.2 * 255 / SPREAD + 1e-3
    assert bright.mean((1, 2, 3)).std() > 0.1
    ratio = view(images, contrast=0.3).std((1, 2, 3)) / plain.std((1, 2, 3))
    assert 0.69 < ratio.min() < 0.85 < 1.15 < ratio.max() < 1.31


def test_the_centre_is_the_middle_of_the_image() -> None:
    images = faces(side=9)
    assert torch.equal(centre(images, 5), images[:, :, 2:7, 2:7])
    assert torch.equal(centre(images, 9), images)
