"""Where images lie while a network reads them: on its device as a whole, or streamed to it batch by batch.

It never changes an image, never copies a set once per fold, and never decides which rows are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ferclean.recognition.images import Images
from ferclean.recognition.optimise import make_batches

RESIDENT_SHARE = 0.4
"""Share of a GPU's free memory that images may fill; the rest is for the network and what its backward pass keeps."""
BLOCK = 4096
"""Images that are copied at once to a device where the whole set stays."""


class Pixels:
    """Rows of one (N, C, S, S) uint8 array as a device reads them; they are `Images`, too.

    `source` are images on the host. On CUDA it is
    copied whole where it fits into `RESIDENT_SHARE` of the free memory, and all parts share that copy; else each batch
    is read on the host into pinned memory and sent while the device computes. On a CPU each batch is read where it
    lies. `resident` says which; giving it decides.
    """

    def __init__(self, source: Images, device: torch.device, *, resident: bool | None = None) -> None:
        self.source, self.device = source, device
        size = int(np.prod(source.shape))
        fits = device.type == "cuda" and size <= RESIDENT_SHARE * free_memory(device)
        self._whole = _copied(source, device) if (fits if resident is None else resident) else None
        self._rows: np.ndarray | None = None
        self._rows_there: Tensor | None = None

    @property
    def resident(self) -> bool:
        """Whether the device holds all images."""
        return self._whole is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, S, S) of this part."""
        return (len(self), *self.source.shape[1:])

    @property
    def ndim(self) -> int:
        """4 for images."""
        return len(self.source.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 for images."""
        return np.dtype(self.source.dtype)

    def __len__(self) -> int:
        return len(self.source) if self._rows is None else len(self._rows)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """These rows' images on the host, wherever else they lie."""
        found = self.source[rows if self._rows is None else self._rows[rows]]
        return np.ascontiguousarray(found)

    def only(self, rows: np.ndarray) -> Pixels:
        """Only `rows` (M,) of these, in that order; the images are not copied."""
        chosen = np.asarray(rows, dtype=np.int64)
        part = object.__new__(Pixels)
        part.source, part.device, part._whole = self.source, self.device, self._whole
        part._rows = chosen if self._rows is None else self._rows[chosen]
        part._rows_there = None if self._whole is None else torch.tensor(part._rows, device=self.device)
        return part

    def shuffled(self, order: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of an order (N,) on the host: rows (B,), and their images (B, C, S, S), both on the device.

        The order goes over once, and no batch is waited for.
        """
        for host, there in zip(make_batches(order, size), make_batches(order.to(self.device), size), strict=True):
            yield there, self._images(host, there)

    def in_turn(self, size: int) -> Iterator[tuple[slice, Tensor]]:
        """All images, in order: slices of at most `size` rows and their images on the device; an empty set once."""
        for start in range(0, max(len(self), 1), size):
            host = torch.arange(start, min(start + size, len(self)))
            yield slice(start, start + len(host)), self._images(host, None)

    def _images(self, host: Tensor, there: Tensor | None) -> Tensor:
        if self._whole is not None:
            if there is None:
                # rows in turn: a slice has no index to send
                start = int(host[0]) if len(host) else 0
                chosen = slice(start, start + len(host))
                return self._whole[chosen if self._rows_there is None else self._rows_there[chosen]]
            return self._whole[there if self._rows_there is None else self._rows_there[there]]
        images = torch.from_numpy(self[host.numpy()])
        if self.device.type == "cuda":
            return images.pin_memory().to(self.device, non_blocking=True)
        return images.to(self.device)


def as_pixels(images: Images, device: torch.device, *, resident: bool | None = None) -> Pixels:
    """`images` as they are where they are `Pixels` of this device already, else an array as such."""
    if isinstance(images, Pixels):
        if images.device == device:
            return images
        whole = Pixels(images.source, device, resident=resident)
        return whole if images._rows is None else whole.only(images._rows)
    return Pixels(images, device, resident=resident)


def free_memory(device: torch.device) -> int:
    """Bytes of a CUDA device that nothing holds; what torch has set aside for reuse counts as free."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def _copied(source: Images, device: torch.device) -> Tensor:
    whole = torch.empty(tuple(source.shape), dtype=torch.uint8, device=device)
    for start in range(0, len(source), BLOCK):
        # np.array copies: torch cannot promise to leave a read-only array alone
        whole[start : start + BLOCK].copy_(torch.from_numpy(np.array(source[start : start + BLOCK])))
    return whole
