"""What goes wrong in a drawn set: labels, copies, files that cannot be read, pictures of nothing.

It never touches a file, and records every fault on the item that has it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from ferclean.errors import UsageError
from ferclean.sources.drawn_faces.face_drawing import SIDE
from ferclean.sources.drawn_faces.face_expressions import CLASSES, LOOKALIKES

# Between RAF-DB's own shares (happiness 39 %, fear 2 %) and equal ones, so that small sets can learn every class.
CLASS_SHARES = np.array([0.122, 0.077, 0.096, 0.278, 0.153, 0.096, 0.178])


@dataclass(kw_only=True)
class Item:
    """One image in the making."""

    data: bytes
    kind: str
    given: int
    true: int | None = None
    votes: np.ndarray | None = None
    distribution: np.ndarray | None = None
    blend_with: int | None = None
    intensity: float = float("nan")
    identity: int = -1
    copy: str | None = None
    original: Item | None = None
    key: str = ""

    @property
    def clear(self) -> bool:
        """A single expression on which at least six of ten agree: only there is another label surely an error."""
        return self.kind == "clean" and self.blend_with is None and self.votes is not None and self.votes.max() >= 6


def plant_labels(
    rng: np.random.Generator, items: list[Item], noise: float, mechanism: str, confusion: np.ndarray | None,
    *, doubtful: bool = True,
) -> None:  # fmt: skip
    """Give the training faces the labels that the mechanism leaves them with, and mark which became wrong.

    What the mechanisms and their arguments mean is said at `drawn_faces.draw_set`; `doubtful`: ambiguous faces get one
    of their two likeliest labels, else they keep their own. Changes `items`.
    """
    if mechanism == "annotators":
        for item in items:
            assert item.votes is not None
            item.given = int(rng.choice(len(CLASSES), p=item.votes / item.votes.sum()))
            if item.kind == "clean" and item.given != item.true:
                item.kind = "mislabelled"
        return
    for item in items:
        if doubtful and item.kind == "ambiguous":
            assert item.distribution is not None
            item.given = int(np.argsort(-item.distribution, kind="stable")[rng.integers(2)])
    clear = [item for item in items if item.clear]
    if mechanism == "confusion":
        matrix = np.asarray(confusion, dtype=float) if confusion is not None else _usual_confusion(noise)
        for item in clear:
            assert item.true is not None
            row = matrix[item.true]
            item.given = int(rng.choice(len(CLASSES), p=row / row.sum()))
    else:
        for at in rng.permutation(len(clear))[: round(noise * len(clear))]:
            item = clear[at]
            assert item.distribution is not None
            others = [k for k in range(len(CLASSES)) if k != item.true and item.distribution[k] < 0.15]
            item.given = others[int(rng.integers(len(others)))]
    for item in clear:
        if item.given != item.true:
            item.kind = "mislabelled"


def _usual_confusion(noise: float) -> np.ndarray:
    """(7, 7): 1 - noise on the diagonal, the rest where people err most often."""
    return (1 - noise) * np.eye(len(CLASSES)) + noise * LOOKALIKES


def draw_copies(
    rng: np.random.Generator, shown: list[Item], tested: list[Item], number: int, seed: tuple[int, ...]
) -> list[Item]:
    """`number` training images that repeat another image; every original is a clear face and copied at most once.

    Half are near copies of test faces, a quarter near copies of training faces, a quarter equal files of training
    faces under another label. Raises UsageError when there are too few clear faces.
    """
    exact = number // 4
    near_train = (number - exact) // 3
    wanted = {"test": number - exact - near_train, "train": near_train + exact}
    pools = {"test": [i for i in tested if i.clear], "train": [i for i in shown if i.clear]}
    for split, count in wanted.items():
        if count > len(pools[split]):
            raise UsageError(
                f"{count} duplicates of {split} faces need as many clear ones, of which there are "
                f"{len(pools[split])}; lower duplicates or draw more"
            )
    chosen = [pools["test"][i] for i in rng.permutation(len(pools["test"]))[: wanted["test"]]]
    chosen += [pools["train"][i] for i in rng.permutation(len(pools["train"]))[: wanted["train"]]]
    copies = []
    for at, original in enumerate(chosen):
        equal = at >= number - exact
        given = original.given
        if equal:
            given = int((given + rng.integers(1, len(CLASSES))) % len(CLASSES))
        own = np.random.default_rng([*seed, at])
        copies.append(
            Item(
                data=original.data if equal else _altered(original.data, own),
                kind="duplicate",
                given=given,
                true=original.true,
                votes=original.votes,
                distribution=original.distribution,
                intensity=original.intensity,
                identity=original.identity,
                copy="exact" if equal else "near",
                original=original,
            )
        )
    return copies


def _altered(data: bytes, rng: np.random.Generator) -> bytes:
    """The same picture as another web site would carry it: moved by a pixel, lighter or darker, saved again."""
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(data)), dtype=np.float32)
    dx, dy = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))[int(rng.integers(5))]
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")[1 + dy : 1 + dy + SIDE, 1 + dx : 1 + dx + SIDE]
    lit = np.clip(padded * rng.uniform(0.94, 1.1), 0, 255).astype(np.uint8)
    return jpeg(lit, int(rng.integers(50, 80)))


def broken_file(rng: np.random.Generator, number: int, shown: list[Item]) -> Item:
    """A file that no reader can open: by turns cut off, empty, or text under an image's name."""
    whole = shown[int(rng.integers(len(shown)))].data
    cut = whole[: len(whole) // 3]
    data = (cut, b"", b"<html><body>404 Not Found</body></html>\n")[number % 3]
    return Item(data=data, kind="broken", given=int(rng.choice(len(CLASSES), p=CLASS_SHARES / CLASS_SHARES.sum())))


def blank_image(rng: np.random.Generator) -> Item:
    """A readable picture of nothing: one colour with a little noise."""
    pixels = rng.uniform(20, 235, 3) + rng.normal(0, rng.uniform(0, 2.0), (SIDE, SIDE, 1))
    return Item(
        data=jpeg(np.clip(pixels, 0, 255).astype(np.uint8), 85),
        kind="blank",
        given=int(rng.choice(len(CLASSES), p=CLASS_SHARES / CLASS_SHARES.sum())),
    )


def jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """A JPEG of uint8 pixels (H, W, 3); every setting is named, so that equal pixels give equal bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer, "JPEG", quality=quality, subsampling="4:2:0", optimize=False, progressive=False
    )
    return buffer.getvalue()
