"""Bent faces: a field as drawn, that moves what it should, and features from which it can be read."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ferclean.recognition.methods.bending import GRID, BendReader, bend, bend_loss


def test_without_strength_a_face_stays_as_it_is() -> None:
    images = torch.randn(3, 1, 20, 20)
    bent, drawn = bend(images, strength=0.0)
    torch.testing.assert_close(bent, images)
    assert drawn.shape == (3, 2 * GRID**2)
    assert drawn.std() > 0.5


@pytest.mark.parametrize(("half", "axis"), [(0, 3), (1, 2)])
def test_the_first_half_of_the_field_moves_across_and_the_second_half_down(
    half: int, axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.randn(2, 1, 20, 20)
    field = torch.zeros(2, 2, GRID, GRID)
    field[:, half] = 1.0
    monkeypatch.setattr(torch, "randn", lambda *_, **__: field)
    bent, drawn = bend(images, strength=0.1)  # a tenth of half of 20 pixels: every pixel shows its next neighbour
    inside = [slice(None)] * 4
    inside[axis] = slice(0, 19)
    torch.testing.assert_close(bent[tuple(inside)], images.roll(-1, axis)[tuple(inside)], atol=1e-4, rtol=1e-4)
    assert torch.equal(drawn.view(2, 2, -1)[:, half], torch.ones(2, GRID**2))


def _same_draw(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return bend(images, strength=0.05)


def test_the_same_seed_bends_alike_and_every_image_in_its_own_way() -> None:
    images = torch.randn(1, 1, 20, 20).expand(4, 1, 20, 20)
    first, second = _same_draw(images), _same_draw(images)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.allclose(first[0][0], first[0][1])


def test_a_guess_of_nothing_costs_one_and_the_field_itself_nothing() -> None:
    drawn = torch.randn(4000, 8)
    assert bend_loss(torch.zeros_like(drawn), drawn).item() == pytest.approx(1, abs=0.05)
    assert bend_loss(drawn, drawn).item() == 0


def test_the_reader_sees_only_what_changed() -> None:
    reader = BendReader(6)
    before, after = torch.randn(2, 5, 6, 3, 3)
    shift = torch.randn(5, 6, 1, 1)
    torch.testing.assert_close(reader(before, after), reader(before + shift, after + shift), rtol=1e-4, atol=1e-5)


def test_half_precision_leaves_places_exact() -> None:
    images = torch.randn(2, 1, 224, 224)
    with torch.autocast("cpu", torch.bfloat16):
        bent, _ = bend(images, strength=0.0)
        read = BendReader(6)(torch.randn(2, 6, 3, 3), torch.randn(2, 6, 3, 3))
    torch.testing.assert_close(bent, images, atol=1e-3, rtol=1e-3)
    assert read.dtype == torch.float32


def test_a_small_network_learns_to_read_bends_of_images_it_has_not_seen() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        place = torch.linspace(-1, 1, 24)
        centres = 0.3 * torch.rand(128, 2, 1, 1) - 0.15
        blobs = torch.exp(-8 * ((place[None, :, None] - centres[:, 0]) ** 2 + (place[None, None] - centres[:, 1]) ** 2))
        faces = blobs[:, None]
        layers = nn.Sequential(nn.Conv2d(1, 16, 5, 2), nn.ReLU(), nn.Conv2d(16, 64, 5, 2), nn.ReLU())
        reader = BendReader(64 * 9, grid=2)

        def spread(images: torch.Tensor) -> torch.Tensor:
            return layers(images).flatten(1)[:, :, None, None]  # places as channels: nothing is averaged away

        optimizer = torch.optim.Adam([*layers.parameters(), *reader.parameters()], 3e-3)
        for _ in range(150):
            own = faces[torch.randint(0, 96, (32,))]
            bent, drawn = bend(own, strength=0.1, grid=2)
            loss = bend_loss(reader(spread(own), spread(bent)), drawn)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            bent, drawn = bend(faces[96:], strength=0.1, grid=2)
            assert bend_loss(reader(spread(faces[96:]), spread(bent)), drawn) < 0.7
