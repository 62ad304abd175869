"""The hand that draws faces: smooth curves, ribbons of changing width, colours, the pose of a head, and a pen.

It never knows what a line means (an eye, a smile) and never chooses anything at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

Points = np.ndarray
"""Points of a face: (N, 2) float64, x to the viewer's right, y down; the head spans about -1 to 1 in y."""

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""


@lru_cache(maxsize=64)
def _catmull_rom(controls: int, steps: int, closed: bool) -> np.ndarray:
    """Weights (samples, controls) of a Catmull-Rom spline through its control points.

    Computed once per shape of curve, so that a curve costs one small matrix product.
    """
    spans = controls if closed else controls - 1
    rows = []
    for span in range(spans):
        for t in np.linspace(0, 1, steps, endpoint=False):
            basis = 0.5 * np.array(
                [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3]
            )
            row = np.zeros(controls)
            for offset, weight in zip((-1, 0, 1, 2), basis, strict=True):
                at = span + offset
                row[at % controls if closed else min(max(at, 0), controls - 1)] += weight
            rows.append(row)
    if not closed:
        rows.append(np.eye(controls)[-1])
    return np.array(rows)


def curve(points: list[tuple[float, float]] | Points, *, steps: int = 6, closed: bool = False) -> Points:
    """A smooth line through `points` (M, 2): (M-1)*steps+1 points when open, M*steps when closed.

    >>> line = curve([(0, 0), (1, 1), (2, 0)], steps=4)
    >>> line.shape, line[4].tolist()
    ((9, 2), [1.0, 1.0])
    """
    controls = np.asarray(points, dtype=np.float64)
    return _catmull_rom(len(controls), steps, closed) @ controls


def ribbon(points: list[tuple[float, float]] | Points, width: float, *, taper: float = 0.5, steps: int = 6) -> Points:
    """The outline of a stroke along a smooth line, thickest (`width`) at `taper` of its length, thin at the ends."""
    line = curve(points, steps=steps)
    ahead = np.empty_like(line)
    ahead[1:-1] = line[2:] - line[:-2]
    ahead[0], ahead[-1] = line[1] - line[0], line[-1] - line[-2]
    length = np.sqrt((ahead**2).sum(1, keepdims=True)) + 1e-9
    normal = np.stack([-ahead[:, 1], ahead[:, 0]], 1) / length
    t = np.linspace(0, 1, len(line))
    thick = np.where(t < taper, t / taper, (1 - t) / (1 - taper))
    half = (0.5 * width * (0.18 + 0.82 * np.sqrt(thick)))[:, None]
    return np.concatenate([line + normal * half, (line - normal * half)[::-1]])


def ellipse(x: float, y: float, rx: float, ry: float, *, n: int = 20) -> Points:
    """The outline of an ellipse around (x, y): (n, 2)."""
    return np.array([x, y]) + _circle(n) * np.array([rx, ry])


@lru_cache(maxsize=16)
def _circle(n: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where the head is on the canvas and how it is turned. Angles are radians and small (up to about 0.35)."""

    yaw: float = 0.0
    """Positive: the face looks to the viewer's right."""
    pitch: float = 0.0
    """Positive: the face looks up."""
    roll: float = 0.0
    """Positive: the head leans clockwise."""
    x: float = 0.5
    y: float = 0.54
    """Centre of the head, as a share of the canvas."""
    scale: float = 0.40
    """Half the height of the head, as a share of the canvas."""
    head_width: float = 0.78
    """Half the width of the head, as a share of half its height."""

    def surface(self, points: Points, *, lift: float = 0.0) -> Points:
        """Canvas positions (N, 2), in shares of the canvas, of points that lie on the front of the head.

        The head is an ellipsoid: turning it moves what lies in the middle (nose, mouth) more than what lies
        at its rim. `lift` stands out of the surface (nose, glasses).
        """
        x, y = points[:, 0], points[:, 1]
        depth = 0.78 * np.sqrt(np.clip(1 - 0.8 * (x / self.head_width) ** 2 - 0.5 * y**2, 0.02, None)) + lift
        return self._place(x * np.cos(self.yaw) + depth * np.sin(self.yaw), y - depth * np.sin(self.pitch))

    def rim(self, points: Points) -> Points:
        """Canvas positions (N, 2) of points in the plane of the silhouette: outline, ears, hair, neck."""
        return self._place(points[:, 0], points[:, 1])

    def _place(self, x: np.ndarray, y: np.ndarray) -> Points:
        c, s = np.cos(self.roll) * self.scale, np.sin(self.roll) * self.scale
        return np.stack([self.x + c * x - s * y, self.y + s * x + c * y], 1)


@dataclass(frozen=True, kw_only=True)
class Pen:
    """Draws filled shapes and creases of the skin on one canvas, for one head."""

    paper: ImageDraw
    pose: Pose
    size: int
    """Side of the canvas in pixels."""
    skin: Colour
    shade: Colour
    """What folds and contours fade into: warmer than the skin, not just darker."""

    def fill(self, points: Points, colour: Colour, *, rim: bool = False, lift: float = 0.0) -> None:
        """Fill a shape on the front of the head, or with `rim` in the plane of its silhouette."""
        placed = self.pose.rim(points) if rim else self.pose.surface(points, lift=lift)
        self.paper.polygon((placed * self.size).ravel().tolist(), fill=colour)

    def fold(self, points: list[tuple[float, float]], strength: float, width: float = 0.022) -> None:
        """A crease of the skin; faint ones are not worth a stroke."""
        if strength > 0.06:
            deep = min(strength, 1.0)
            self.fill(ribbon(points, width * (0.6 + 0.5 * deep)), mix(self.skin, self.shade, 0.25 + 0.75 * deep))


def between(x: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> Points:
    """The outline of the area between two lines over the same x."""
    return np.concatenate([np.stack([x, top], 1), np.stack([x, bottom], 1)[::-1]])


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`share` of colour `b`, the rest of `a`."""
    return tuple(round(p + (q - p) * share) for p, q in zip(a, b, strict=True))  # type: ignore[return-value]


def tint(colour: Colour, change: float) -> Colour:
    """A colour made lighter (positive) or darker (negative) by `change` levels."""
    return tuple(min(255, max(0, round(part + change))) for part in colour)  # type: ignore[return-value]
