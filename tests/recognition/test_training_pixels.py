"""Images that lie on a device or are streamed to it: the same rows, in the same order, and no copy per fold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ferclean.recognition import engine
from ferclean.recognition import pixels as room
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.crossval import cross_validate, shared_encoder, training_digest
from ferclean.recognition.pixels import Pixels, as_pixels
from ferclean.recognition.train import fit, predict

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (23, 1, 24, 24), dtype=np.uint8)
TINY = TrainConfig(epochs=1, batch_size=8, device="cpu")


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("rows", [None, np.array([7, 3, 22, 0, 9])])
def test_batches_are_the_rows_of_the_array_resident_or_not(resident: bool, rows: np.ndarray | None) -> None:
    held = Pixels(IMAGES, CPU, resident=resident)
    assert held.resident is resident
    wanted = IMAGES
    if rows is not None:
        held, wanted = held.only(np.arange(23)).only(rows), IMAGES[rows]
    assert (len(held), held.shape, held.ndim, held.dtype) == (len(wanted), wanted.shape, 4, np.uint8)
    order = torch.randperm(len(wanted), generator=torch.Generator().manual_seed(0))
    seen = list(held.shuffled(order, 4))
    assert torch.equal(torch.cat([index for index, _ in seen]), order)
    np.testing.assert_array_equal(torch.cat([batch for _, batch in seen]).numpy(), wanted[order.numpy()])
    in_turn = list(held.in_turn(4))
    assert [rows.start for rows, _ in in_turn] == list(range(0, len(wanted), 4))
    np.testing.assert_array_equal(torch.cat([batch for _, batch in in_turn]).numpy(), wanted)


def test_an_empty_set_passes_once_so_that_outputs_have_their_shapes() -> None:
    ((rows, batch),) = Pixels(IMAGES[:0], CPU).in_turn(4)
    assert (rows, batch.shape) == (slice(0, 0), (0, 1, 24, 24))
    ((rows, batch),) = Pixels(IMAGES, CPU, resident=True).only(np.arange(0)).in_turn(4)
    assert (rows, batch.shape) == (slice(0, 0), (0, 1, 24, 24))


class Shelf:
    """A store of images that counts what is read: rows by list or slice, and nothing as a whole."""

    shape, dtype, ndim = IMAGES.shape, IMAGES.dtype, IMAGES.ndim

    def __init__(self) -> None:
        self.largest = 0

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, rows: Any) -> np.ndarray:
        found = IMAGES[rows]
        self.largest = max(self.largest, len(found))
        return found


def test_training_and_prediction_stream_from_any_store_and_say_what_an_array_says(tmp_path: Path) -> None:
    labels, shelf = np.arange(23) % 3, Shelf()
    rows = engine.Rows(pixels=Shelf(), train=np.arange(20), targets=labels[:20], judged=np.arange(20, 23))
    assert rows.digest() == replace(rows, pixels=IMAGES).digest()
    np.save(tmp_path / "faces.npy", IMAGES)
    mapped = np.load(tmp_path / "faces.npy", mmap_mode="r")
    said = []
    for images in (IMAGES, mapped, Pixels(shelf, CPU), Pixels(IMAGES, CPU, resident=True)):
        result = fit("cross_entropy", images, labels, num_classes=3, config=TINY)
        said.append(predict(result, images, batch_size=8)["pred_probs"])
    assert len({probs.tobytes() for probs in said}) == 1
    assert 2 <= shelf.largest <= 9  # never more than a batch, the last of which takes a lone image up


def test_a_part_of_a_set_is_what_it_holds_and_never_taken_for_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(images: Any) -> str:
        return training_digest("distilled", images, num_classes=3, config=TINY)

    rows = np.array([7, 3, 22, 0, 9])
    whole, part = Pixels(Shelf(), CPU), Pixels(Shelf(), CPU).only(rows)
    monkeypatch.setattr("ferclean.recognition.crossval.BLOCK", 4)
    assert digest(whole) == digest(IMAGES)
    assert digest(part) == digest(IMAGES[rows]) != digest(whole)
    np.testing.assert_array_equal(part[1:4], IMAGES[rows][1:4])
    lines: list[str] = []
    for images in (whole, part, part):
        shared_encoder("distilled", images, num_classes=3, config=TINY, out_dir=tmp_path, tell=lines.append)
    assert [line.endswith("reused") for line in lines] == [False, False, True]
    assert len(list(tmp_path.iterdir())) == 2


def test_all_folds_read_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = []
    copied = room._copied
    monkeypatch.setattr(room, "_copied", lambda *arguments: copies.append(1) or copied(*arguments))
    labels, folds = np.arange(23) % 3, np.arange(23) % 3
    held = Pixels(IMAGES, CPU, resident=True)
    resident = cross_validate("distilled", held, labels, folds, num_classes=3, config=TINY)
    assert len(copies) == 1
    streamed = cross_validate("distilled", IMAGES, labels, folds, num_classes=3, config=TINY)
    assert resident.pred_probs.tobytes() == streamed.pred_probs.tobytes()


@pytest.mark.parametrize(("free", "resident"), [(10**6, True), (10**4, False)])
def test_a_set_that_would_fill_a_gpu_is_not_copied_there(
    free: int, resident: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free_memory", lambda device: free)
    monkeypatch.setattr(room, "_copied", lambda source, device: torch.from_numpy(source.copy()))
    held = Pixels(IMAGES, torch.device("cuda"))
    assert IMAGES.nbytes == 23 * 24 * 24
    assert held.resident is resident


def test_pixels_of_another_device_are_placed_anew_and_stay_a_part() -> None:
    part = Pixels(IMAGES, torch.device("meta")).only(np.array([4, 2]))
    here = as_pixels(part, CPU)
    assert here.device == CPU
    ((_, batch),) = here.in_turn(8)
    np.testing.assert_array_equal(batch.numpy(), IMAGES[[4, 2]])
    assert as_pixels(here, CPU) is here
