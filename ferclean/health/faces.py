"""Does each picture show one face that can be seen? None, several, blurred and dark ones.

It decodes nothing: it reads what the first look stored of each picture, and the small grey pictures on their shelf.

What it costs: one pass over the shelf (1 s at 12,000 pictures, half a minute at 300,000), and at most `MOST_SEARCHED`
pictures in which several faces are looked for, 12 ms each. Whether a picture shows a face was asked when copies were
sought, of every one (16 s at 12,000, 6 minutes at 300,000; `recognition.faces`). What 48 pixels do not show (a blur of
less than one of them) is not told, nor what lies beside the middle square of a long picture.

Measured 2026-11 on FER2013's 7,500 development pictures of 48 px (real faces) and on 1,770 drawn ones:
- none, by the picture alone: 5 told of 3,037 in even groups (3 with at least 3 of 10 votes for "not a face"), 5 of
  2,963 in odd ones (all 5). Its mirror must show none either: of these 10 the 2 wrong ones go, and 1 right one; of
  15,339 drawn faces the only one. Of 35 such pictures 7 are found: few are told, and those are right.
- several: no false one of 600 single faces and of 400 drawn ones (the highest 1.5, `BOTH` is 2); of two faces side by
  side, 24 px each, 55 % are found.
- blurred: 1 false of 7,500, none of the drawn; of those blurred by a Gaussian of 1.5 px (of 48) 98 %, of 1 px half.
- dark: 4 of 7,500, which are all but black; no drawn one (the darkest has .28 of the median, `DARK` is .2).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ferclean.errors import FercleanError, WorkspaceBusyError
from ferclean.evidence.signals.offtopic import NO_FACE_BELOW, detector_knows
from ferclean.health.finding import Finding, finding
from ferclean.parts.copies import faces_seen
from ferclean.parts.pixels import LOOK, blocks_of, pixels_of
from ferclean.progress import Progress, Tell
from ferclean.recognition.faces import face_log_odds
from ferclean.recognition.images import BLANK_CONTRAST
from ferclean.store.workspace import Workspace

SEARCHED_BELOW = -2.0
"""Log-odds of a face in the middle below which several faces are looked for: two side by side show none between."""
MOST_SEARCHED = 1000
"""Pictures in which several faces are looked for, those least like one face first."""
BOTH = 2.0
"""Log-odds that two parts of a picture, which do not overlap, must both have to be two faces."""
BLUR = 0.1
"""Sharpness (`sharpness`) below this share of the set's median is blurred."""
DARK = 0.2
"""Mean grey below this share of the set's median is dark."""
FEWEST = 20
"""Pictures that a set must have for a median to say anything."""


def faces(ws: Workspace, table: pd.DataFrame, progress: Progress, tell: Tell) -> Iterator[Finding]:
    """Pictures without a face, with several, blurred and dark ones, to be asked after `copies.near`, which looks.

    A detector that sees a face in hardly any picture does not know this kind of pictures (drawings, parts of faces,
    whole scenes): then a finding says that nobody looked, instead of naming them all.
    """
    rows = table[table["quarantine_reason"].isna() & (table["contrast"] >= BLANK_CONTRAST)].reset_index(drop=True)
    if not len(rows):
        return
    try:
        yield from _none_or_several(ws, rows, progress, tell)
        yield from _blurred_or_dark(ws, rows, progress, tell)
    except WorkspaceBusyError:
        raise
    except FercleanError as error:
        yield finding("not_looked", "warning", f"faces were not looked at: {error}", count=len(rows))


def _none_or_several(ws: Workspace, rows: pd.DataFrame, progress: Progress, tell: Tell) -> Iterator[Finding]:
    seen = faces_seen(ws, list(rows["sample_id"]))
    looked = np.isfinite(seen)
    if not looked.any():
        yield _unasked("nobody looked whether the pictures show a face: the first look was not made", len(rows))
        return
    if np.median(seen[looked]) <= 0 or not detector_knows(seen):
        share = (seen[looked] > 0).mean()
        told = f"the face detector sees a face in {share:.0%} of the pictures and does not know their kind"
        yield _unasked(f"{told} (drawings, parts of faces, whole scenes): faces were not counted", len(rows))
        return
    order = np.argsort(np.where(looked, seen, np.inf), kind="stable")
    doubted = order[: int((seen[looked] < SEARCHED_BELOW).sum())]
    asked = doubted[:MOST_SEARCHED]
    pixels = pixels_of(ws, rows.iloc[asked], size=LOOK[0], channels=LOOK[1], progress=progress, tell=tell)
    several = asked[two_faces(pixels[: len(asked)]) >= BOTH] if len(asked) else asked
    # a face that is one in its mirror is one: the detector overlooks some on one side alone
    low = np.flatnonzero(seen[asked] < NO_FACE_BELOW)
    mirrored = asked[low][face_log_odds(pixels[low][..., ::-1]) >= NO_FACE_BELOW]
    none = np.setdiff1d(np.flatnonzero(seen < NO_FACE_BELOW), np.concatenate([several, mirrored]))
    if len(none):
        message = f"{len(none):,} pictures show no face in their middle, as a detector sees them"
        yield finding("no_face", "warning", message, rows.iloc[none])
    if len(several):
        message = f"{len(several):,} pictures show several faces"
        yield finding("several_faces", "warning", message, rows.iloc[np.sort(several)])
    if len(doubted) > len(asked):
        left = len(doubted) - len(asked)
        yield _unasked(f"several faces were not looked for in {left:,} pictures: only in the {len(asked):,} "
                       "least like one face", left)  # fmt: skip


def _unasked(message: str, count: int) -> Finding:
    return finding("faces_not_looked", "info", message, count=count)


def two_faces(images: np.ndarray) -> np.ndarray:
    """Log-odds that a picture holds two faces side by side, above one another or in two corners: (N,) from
    (N, 1, S, S) grey uint8, S divisible by 4; nine squares of half the side are asked, and two must not overlap.

    >>> bool(two_faces(np.zeros((2, 1, 48, 48), np.uint8)).max() < BOTH)
    True
    """
    side = images.shape[2] // 2
    corners = [(top, left) for top in (0, side // 2, side) for left in (0, side // 2, side)]
    seen = [face_log_odds(images[:, :, top : top + side, left : left + side]) for top, left in corners]
    best = np.full(len(images), -np.inf)
    for place, one in enumerate(corners):
        for other in range(place + 1, len(corners)):
            if max(abs(one[0] - corners[other][0]), abs(one[1] - corners[other][1])) >= side:
                best = np.maximum(best, np.minimum(seen[place], seen[other]))
    return best


def _blurred_or_dark(ws: Workspace, rows: pd.DataFrame, progress: Progress, tell: Tell) -> Iterator[Finding]:
    if len(rows) < FEWEST:
        return
    sharp, bright = [], []
    for block in blocks_of(ws, rows, size=LOOK[0], channels=LOOK[1], most=1024, progress=progress, tell=tell):
        sharp.append(sharpness(block))
        bright.append(block.mean((1, 2, 3)))
    for kind, values, share, words in (
        ("blurred", np.concatenate(sharp), BLUR, "are blurred (sharpness"),
        ("dark", np.concatenate(bright), DARK, "are dark (mean grey"),
    ):
        found = rows[values < share * np.median(values)]
        if len(found):
            message = f"{len(found):,} pictures {words} below {share:.0%} of the set's median)"
            yield finding(kind, "warning", message, found)


def sharpness(images: np.ndarray) -> np.ndarray:
    """Variance of the Laplacian over that of the greys, so that low contrast is no blur: (N,), from (N, 1, S, S)
    uint8; 0 where nothing varies.

    >>> step = np.repeat([0, 255], 24)[None, None, None, :].repeat(48, 2).astype(np.uint8)
    >>> soft = np.linspace(0, 255, 48)[None, None, None, :].repeat(48, 2).astype(np.uint8)
    >>> bool(sharpness(step)[0] > 20 * sharpness(soft)[0])
    True
    """
    grey = images[:, 0].astype(np.float32)
    edges = 4 * grey[:, 1:-1, 1:-1]
    for part in (grey[:, :-2, 1:-1], grey[:, 2:, 1:-1], grey[:, 1:-1, :-2], grey[:, 1:-1, 2:]):
        edges -= part
    spread = grey.var((1, 2))
    return np.where(spread > 0, edges.var((1, 2)) / np.maximum(spread, 1.0), 0.0)
