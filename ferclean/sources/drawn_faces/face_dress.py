"""What frames a drawn face: neck and clothes, hair, beard, glasses.

It never moves with an expression, except that a beard follows the jaw and a moustache the lip.
"""

from __future__ import annotations

import numpy as np

from ferclean.sources.drawn_faces.face_people import Identity
from ferclean.sources.drawn_faces.face_shapes import Pen, Points, curve, ellipse, mix, ribbon, tint


def body(pen: Pen, who: Identity) -> None:
    """Neck, shoulders, the lower part of a scarf."""
    neck = mix(who.skin, pen.shade, 0.45)
    pen.fill(np.array([(-0.34, 0.6), (0.34, 0.6), (0.40, 1.6), (-0.40, 1.6)]), neck, rim=True)
    shoulders = curve([(-1.5, 1.7), (-1.1, 1.26), (-0.42, 1.12), (0, 1.22), (0.42, 1.12), (1.1, 1.26), (1.5, 1.7)])
    pen.fill(shoulders, who.clothes, rim=True)
    if who.style == "scarf":
        pen.fill(ellipse(0, 1.15, 0.75, 0.4), tint(who.clothes, -14), rim=True)


def beard(pen: Pen, who: Identity, *, jaw_drop: float, lip_raise: float) -> None:
    """Stubble, a full beard or a moustache; nothing for people without."""
    if who.beard in ("full", "stubble"):
        low = 1.0 + 0.11 * jaw_drop
        jaw = _mirrored([(0, 1.03 * low), (0.5, 0.93 * low), (0.88, 0.55), (0.97, 0.15)], who)
        cheeks = _mirrored([(0, 0.40), (0.25, 0.42), (0.62, 0.46), (0.8, 0.2)], who)
        share = 0.95 if who.beard == "full" else 0.22
        pen.fill(np.concatenate([jaw, cheeks[::-1]]), mix(who.skin, who.hair, share), rim=True)
    elif who.beard == "moustache":
        y = 0.42 - 0.04 * lip_raise
        for s in (-1, 1):
            pen.fill(ribbon([(0, y), (s * 0.16, y - 0.01), (s * 0.3, y + 0.08)], 0.1, taper=0.3), who.hair)


def _mirrored(half: list[tuple[float, float]], who: Identity) -> Points:
    """A smooth line from the viewer's left over the middle to the right; x in half head widths, from 0 outwards."""
    right = np.array(half) * (who.head_width, 1)
    return curve(np.concatenate([right[:0:-1] * (-1, 1), right]))


# Hair behind the head: half outlines from the crown down, x in half head widths.
_BEHIND = {
    "long": [(0, -1.16), (1.13, -0.5), (1.26, 0.6), (1.13, 1.5)],
    "bob": [(0, -1.17), (1.13, -0.5), (1.26, 0.3), (1.05, 0.8)],
}


def hair_behind(pen: Pen, who: Identity, *, parting: float) -> None:
    """The hair (or scarf) that the head covers."""
    w = who.head_width
    dark = tint(who.hair, -12)
    if who.style in _BEHIND:
        pen.fill(_mirrored(_BEHIND[who.style], who), dark, rim=True)
    elif who.style == "bun":
        pen.fill(ellipse(parting, -1.15, 0.34, 0.28), dark, rim=True)
    elif who.style == "curly":
        for angle in np.linspace(-2.1, 2.1, 13):
            x, y = (w + 0.06) * np.sin(angle), -0.12 - 0.92 * np.cos(angle)
            pen.fill(ellipse(x, y, 0.24, 0.24), dark, rim=True)
    elif who.style == "scarf":
        pen.fill(ellipse(0, 0.05, w + 0.2, 1.26), who.clothes, rim=True)


_CROWN = [(0, -1.15), (0.6, -1.02), (1.06, -0.55), (1.04, -0.2)]
# Where the hair ends on the forehead: half lines from the middle outwards, x in half head widths.
_HAIRLINES = {
    "short": [(0, -0.68), (0.6, -0.72), (0.9, -0.42)],
    "side": [(0, -0.66), (0.66, -0.58), (0.9, -0.38)],
    "bob": [(0, -0.68), (0.8, -0.44), (0.88, 0.0)],
    "long": [(0, -0.86), (0.74, -0.46), (0.9, 0.1)],
    "bun": [(0, -0.82), (0.62, -0.74), (0.92, -0.36)],
    "curly": [(0, -0.76), (0.2, -0.73), (0.62, -0.62), (0.9, -0.40)],
    "fringe": [(0, -0.41), (0.4, -0.45), (0.8, -0.40), (0.9, -0.1)],
    "scarf": [(0, -0.76), (0.4, -0.72), (0.8, -0.42), (0.88, 0.2)],
    "cap": [(0, -0.56), (0.6, -0.52), (1.02, -0.44)],
}


def hair_in_front(pen: Pen, who: Identity, *, parting: float) -> None:
    """The hair, scarf or cap that covers the head; a fringe may hide the brows."""
    if who.style == "bald":
        return
    w = who.head_width
    colour = who.clothes if who.style in ("scarf", "cap") else who.hair
    line = _mirrored(_HAIRLINES[who.style], who)
    if who.style == "side":  # swept over to one side
        line = line - np.stack([np.zeros(len(line)), 0.2 * np.sin(np.pi * line[:, 0] / w) * np.sign(parting)], 1)
    elif who.style not in ("scarf", "cap"):
        line = line + (parting, 0) * (1 - np.abs(line[:, :1] / w))
    pen.fill(np.concatenate([_mirrored(_CROWN, who), line[::-1]]), colour, rim=True)
    if who.style == "cap":
        peak = [(-w * 1.08, -0.44), (-0.4, -0.62), (0.4, -0.62), (w * 1.08, -0.44), (0.4, -0.45), (-0.4, -0.45)]
        pen.fill(curve(peak, closed=True), tint(colour, -22), rim=True)
    elif who.style != "scarf":
        for start in (-0.5, -0.15, 0.3):
            strand = [(start * w, -1.02), (start * w * 1.2 - 0.06, -0.9), (start * w * 1.35 - 0.08, -0.78)]
            pen.fill(ribbon(strand, 0.045), tint(colour, 22), rim=True)


def spectacles(pen: Pen, who: Identity) -> None:
    """Round, square or dark glasses; nothing for people without."""
    if who.glasses == "none":
        return
    t = np.linspace(0, 2 * np.pi, 22, endpoint=False)
    power = 1.0 if who.glasses == "round" else 0.55
    c, s = np.cos(t), np.sin(t)
    ring = np.stack([np.sign(c) * np.abs(c) ** power, np.sign(s) * np.abs(s) ** power], 1)
    for side in (-1, 1):
        centre = np.array([side * who.eye_distance, -0.07])
        outer = pen.pose.surface(centre + ring * (0.255, 0.205), lift=0.06) * pen.size
        if who.glasses == "dark":
            pen.paper.polygon(outer.ravel().tolist(), fill=(30, 30, 36))
            pen.fill(
                ribbon([(centre[0] - 0.1, centre[1] + 0.02), (centre[0], centre[1] - 0.1)], 0.05),
                (96, 100, 112),
                lift=0.06,
            )
        closed = [tuple(point) for point in (*outer.tolist(), *outer[:2].tolist())]
        pen.paper.line(closed, fill=who.frame, width=max(2, pen.size // 75), joint="curve")
        pen.fill(ribbon([(side * (who.eye_distance + 0.25), -0.1), (side * who.head_width, -0.1)], 0.05), who.frame)
    pen.fill(
        ribbon([(-who.eye_distance + 0.25, -0.1), (0, -0.13), (who.eye_distance - 0.25, -0.1)], 0.045),
        who.frame,
        lift=0.06,
    )
