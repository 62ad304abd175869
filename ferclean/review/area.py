"""Where the faces of the queue lie on the map, and which of them lie in an area of it that a person drew.

It reads no label and records nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ferclean.parts.face_map import map_of
from ferclean.review.ranked import Faces
from ferclean.store.runs import get_run

SIDE = 65535
"""Width of the map in the whole numbers that points and corners are told in, so that a browser counts as we do."""


@dataclass(frozen=True)
class Area:
    """A polygon on one map; it may cross itself, and what it goes round twice is outside."""

    map: str
    """The map's name (`store.maps`)."""
    corners: tuple[tuple[int, int], ...]
    """(x, y) in 0 to SIDE, the last joined to the first."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The faces of the queue that have a place on the map of its triage's first recognizer, P of them."""

    name: str
    """Of the map: an area that was drawn on another one says nothing here."""
    queue_rows: np.ndarray
    """(P,) rows of the queue, in the order in which they were scored, which tells no rank."""
    at: np.ndarray
    """(P, 2) uint16: places in 0 to SIDE."""
    point_of: np.ndarray
    """(N,) the point of each row of the queue; -1 = none."""

    def rows_in(self, area: Area) -> np.ndarray:
        """Which rows of the queue lie in an area: (N,) bool; none where it is of another map."""
        found = np.zeros(len(self.point_of), dtype=bool)
        if area.map == self.name:
            found[self.queue_rows[inside(area.corners, self.at)]] = True
        return found


def read_chart(faces: Faces) -> Chart | None:
    """Where these faces lie; None where their triage's first recognizer has no map (yet)."""
    triage = None if faces.ranked.run_id is None else get_run(faces.ws, faces.ranked.run_id)
    score_runs = [] if triage is None else triage.config.get("score_runs", [])
    stored = map_of(faces.ws, score_runs[0]) if score_runs else None
    if stored is None:
        return None
    rows = np.array([faces.place.get(one, -1) for one in stored.sample_ids], dtype=np.int64)
    here = rows >= 0
    point_of = np.full(len(faces), -1, dtype=np.int32)
    point_of[rows[here]] = np.arange(here.sum())
    at = np.rint(stored.at[here] * SIDE).astype(np.uint16)
    return Chart(name=stored.name, queue_rows=rows[here], at=at, point_of=point_of)


def inside(corners: Sequence[tuple[int, int]], at: np.ndarray) -> np.ndarray:
    """Which of the places `at` (P, 2) lie in the polygon, by the even-odd rule: (P,) bool. 1 ms a corner for 100,000.

    >>> inside([(0, 0), (10, 0), (0, 10)], np.array([[2, 2], [8, 8]])).tolist()
    [True, False]
    """
    x, y = at.T.astype(np.float64)
    found = np.zeros(len(at), dtype=bool)
    for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if y1 != y2:
            found ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return found
