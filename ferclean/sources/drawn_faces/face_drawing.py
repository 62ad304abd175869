"""Draws one face: a person (`Identity`), what the face does (facial actions), and how it was photographed.

It never decides what a face should express and never writes a file. Every random choice comes from the
generator that is handed in, so that the same seed gives the same pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ferclean.sources.drawn_faces.face_dress import beard, body, hair_behind, hair_in_front, spectacles
from ferclean.sources.drawn_faces.face_people import Identity
from ferclean.sources.drawn_faces.face_shapes import Colour, Pen, Pose, between, curve, ellipse, mix, ribbon, tint

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

SIDE = 100
"""Width and height of a finished face in pixels."""
_SUPERSAMPLING = 3

_BACKGROUNDS = ((198, 210, 214), (226, 214, 192), (160, 178, 160), (122, 138, 158), (206, 180, 176), (90, 92, 100),
                (236, 234, 228), (170, 150, 130))  # fmt: skip


def draw_face(rng: np.random.Generator, *, identity: Identity, actions: dict[str, float]) -> np.ndarray:
    """One photographed-looking face: (100, 100, 3) uint8 RGB, before JPEG compression.

    `actions` holds every name of `face_expressions.ACTIONS` with a strength of 0 to about 1.2. Pose, gaze,
    light, blur and noise are drawn from `rng`.
    """
    from PIL import Image, ImageDraw, ImageFilter

    pose = Pose(
        yaw=float(np.clip(rng.normal(0, 0.10), -0.28, 0.28)),
        pitch=float(np.clip(rng.normal(0, 0.055), -0.14, 0.14)),
        roll=float(np.clip(rng.normal(0, 0.06), -0.18, 0.18)),
        x=0.5 + float(rng.normal(0, 0.012)),
        y=0.54 + float(rng.normal(0, 0.012)),
        scale=0.465 * float(rng.uniform(0.93, 1.07)),
        head_width=identity.head_width,
    )
    backdrop = tint(_BACKGROUNDS[int(rng.integers(len(_BACKGROUNDS)))], rng.uniform(-25, 25))
    size = SIDE * _SUPERSAMPLING
    canvas = Image.new("RGB", (size, size), backdrop)
    paper = ImageDraw.Draw(canvas)
    _scenery(paper, backdrop, size, rng)
    shade = mix(identity.skin, (110, 40, 30), 0.30)
    pen = Pen(paper=paper, pose=pose, size=size, skin=identity.skin, shade=shade)
    parting = float(rng.uniform(-0.12, 0.12))
    features = _Features(pen, identity, actions, rng)
    hair_behind(pen, identity, parting=parting)
    body(pen, identity)
    features.head(rng)
    features.nose()
    for side in (-1, 1):
        features.eye(side)
        features.brow(side)
    features.forehead()
    beard(pen, identity, jaw_drop=actions["jaw_drop"], lip_raise=actions["upper_lip_raise"])
    features.mouth()
    hair_in_front(pen, identity, parting=parting)
    spectacles(pen, identity)
    small = canvas.reduce(_SUPERSAMPLING)
    lit = _light(np.asarray(small, dtype=np.float32), pose, actions, identity, rng)
    face = Image.fromarray(lit)
    if rng.random() < 0.28:
        face = face.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.15))))
    return np.asarray(face)


def _scenery(paper: ImageDraw, backdrop: Colour, size: int, rng: np.random.Generator) -> None:
    """Something behind the person: walls, lamps, leaves; without it, different pictures look like copies."""
    for _ in range(int(rng.integers(2, 6))):
        colour = mix(backdrop, _BACKGROUNDS[int(rng.integers(len(_BACKGROUNDS)))], float(rng.uniform(0.3, 1.0)))
        colour = tint(colour, float(rng.uniform(-60, 45)))
        x, y, w, h = (float(v) * size for v in rng.uniform((-0.2, -0.2, 0.15, 0.15), (1.0, 1.0, 0.6, 0.9)))
        if rng.random() < 0.5:
            paper.ellipse((x, y, x + w, y + h), fill=colour)
        else:
            lean = float(rng.uniform(-0.15, 0.15)) * size
            paper.polygon((x, y, x + w, y, x + w + lean, y + h, x + lean, y + h), fill=colour)


class _Features:
    """The parts that move: every method draws one of them as the actions leave it."""

    def __init__(self, pen: Pen, who: Identity, do: dict[str, float], rng: np.random.Generator) -> None:
        self.pen, self.who, self.do = pen, who, do
        self.gaze = float(rng.normal(0, 0.018)), float(rng.normal(0.0, 0.008))
        # One side of a face often does a little less than the other.
        self.side = {-1: float(rng.uniform(0.82, 1.0)), 1: float(rng.uniform(0.82, 1.0))}

    def head(self, rng: np.random.Generator) -> None:
        who, drop = self.who, self.do["jaw_drop"]
        for s in (-1, 1):
            if who.style != "scarf":
                self.pen.fill(
                    ellipse(s * who.head_width * 0.98, 0.06, 0.11, 0.17), mix(who.skin, self.pen.shade, 0.25), rim=True
                )
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        x, y = np.sin(angle), -np.cos(angle)
        x = np.sign(x) * np.abs(x) ** 0.86 * who.head_width * (1 - who.jaw * np.clip(y, 0, 1) ** 1.4)
        y = np.where(y > 0, y * (1.0 + 0.11 * drop), y)
        self.pen.fill(np.stack([x, y], 1), who.skin, rim=True)
        if who.freckles:
            for fx, fy in rng.uniform((-0.42, 0.1), (0.42, 0.32), (16, 2)):
                self.pen.fill(ellipse(fx, fy, 0.014, 0.014, n=6), mix(who.skin, self.pen.shade, 0.6))

    def nose(self) -> None:
        who, do = self.who, self.do
        wrinkle, lip = do["nose_wrinkle"], do["upper_lip_raise"]
        tip = 0.25 * who.nose_length - 0.045 * wrinkle - 0.015 * lip
        wide = 0.105 * who.nose_width * (1 + 0.18 * wrinkle + 0.1 * lip + 0.12 * do["lip_corner_pull"])
        bridge = -1 if self.pen.pose.yaw < 0 else 1
        self.pen.fold([(bridge * 0.06, -0.06), (bridge * 0.055, 0.08), (bridge * wide * 0.85, tip - 0.03)], 0.35, 0.03)
        base = curve(
            [(-wide, tip), (-wide * 0.6, tip + 0.045), (0, tip + 0.06), (wide * 0.6, tip + 0.045), (wide, tip)]
        )
        self.pen.fill(np.concatenate([base, base[::-1] - (0, 0.028)]), mix(who.skin, self.pen.shade, 0.55), lift=0.1)
        for s in (-1, 1):
            self.pen.fill(
                ellipse(s * wide * 0.48, tip + 0.022, 0.034, 0.02, n=10),
                mix(self.pen.shade, (40, 10, 10), 0.5),
                lift=0.1,
            )
            self.pen.fold(
                [(s * wide * 0.95, tip - 0.05), (s * wide * 1.12, tip), (s * wide * 0.9, tip + 0.03)],
                0.5 + 0.5 * wrinkle,
            )
            for row in range(3):
                y = -0.10 + 0.055 * row
                self.pen.fold([(s * 0.015, y), (s * 0.07, y - 0.025), (s * 0.125, y + 0.015)], wrinkle * 1.1, 0.03)
            pull = max(0.8 * do["lip_corner_pull"], 0.9 * lip, 0.8 * wrinkle) * self.side[s]
            far = who.mouth_width * (1.1 + 0.3 * do["lip_corner_pull"])
            wing, end = (s * (wide + 0.03), tip - 0.01), (s * (far + 0.05), tip + 0.25)
            self.pen.fold([wing, (s * (wide + far) * 0.62, tip + 0.1), end], pull + 0.35 * who.age, 0.026)

    def eye(self, s: int) -> None:
        who, do, part = self.who, self.do, self.side[s]
        wide, droop, squeeze = do["upper_lid_raise"] * part, do["lid_droop"], do["lid_tighten"] * part
        cheek = do["cheek_raise"] * part
        cx, cy, half = s * who.eye_distance, -0.08, 0.21 * who.eye_size
        up = 0.115 * who.eye_size * max(0.14, 1 + 0.68 * wide - 0.46 * squeeze - 0.34 * cheek - 0.66 * droop)
        low = 0.07 * who.eye_size * max(0.1, 1 + 0.2 * wide - 0.55 * squeeze - 0.75 * cheek)
        t = np.linspace(0, 1, 13)
        x = cx + s * half * (2 * t - 1)
        sad = 0.045 * droop - 0.02 * do["inner_brow_raise"] * droop
        corner = cy + 0.02 * (1 - t) + (sad - who.eye_tilt) * t
        upper = corner - up * np.sin(np.pi * t ** (0.9 + 0.35 * droop)) ** 0.75
        lower = corner + low * np.sin(np.pi * t**1.1) ** 0.85
        white = np.concatenate([np.stack([x, upper], 1), np.stack([x, lower], 1)[::-1]])
        socket = ellipse(cx, cy - 0.035, half * 1.2, 0.155)
        self.pen.fill(socket, mix(who.skin, self.pen.shade, 0.16))
        self.pen.fill(white, (247, 245, 242))
        order = np.argsort(x)
        gx, gy = cx + self.gaze[0], cy + 0.004 + self.gaze[1] + 0.025 * droop
        for radius, colour in ((0.108, tint(who.iris, -28)), (0.094, who.iris), (0.048, (14, 12, 14))):
            disc = ellipse(gx, gy, radius, radius, n=18)
            top = np.interp(disc[:, 0], x[order], upper[order])
            bottom = np.interp(disc[:, 0], x[order], lower[order])
            disc[:, 1] = np.clip(disc[:, 1], top, bottom)
            self.pen.fill(disc, colour)
        if up > 0.05:
            self.pen.fill(ellipse(gx - 0.03, gy - 0.03, 0.02, 0.02, n=8), (255, 255, 255))
        lash = mix(self.pen.shade, (20, 12, 12), 0.75)
        self.pen.fill(ribbon(np.stack([x, upper], 1)[::2], 0.036, taper=0.65, steps=3), lash)
        self.pen.fill(ribbon(np.stack([x, lower], 1)[::2], 0.014, steps=3), mix(self.pen.shade, lash, 0.3))
        crease = upper - 0.034 - 0.02 * wide
        self.pen.fold([(x[2], crease[2]), (x[6], crease[6]), (x[11], crease[11])], 0.45, 0.018)
        self.pen.fold([(x[1], cy + 0.1), (cx, cy + 0.135 - 0.02 * cheek), (x[11], cy + 0.085)],
                  0.75 * cheek + 0.45 * squeeze + 0.4 * who.age, 0.022)  # fmt: skip
        for row in (-1, 0, 1):
            out = cx + s * half * 1.14
            ends = (out, cy + 0.03 * row), (out + s * 0.05, cy + 0.045 * row), (out + s * 0.095, cy + 0.075 * row)
            self.pen.fold(list(ends), 0.85 * cheek * (0.5 + 0.5 * who.age) + 0.12 * who.age, 0.016)

    def brow(self, s: int) -> None:
        who, do, part = self.who, self.do, self.side[s]
        inner_up, outer_up, lower = do["inner_brow_raise"] * part, do["outer_brow_raise"] * part, do["brow_lower"]
        y = -0.36 + who.brow_height + 0.03 * do["nose_wrinkle"]
        inner = (s * (0.135 - 0.04 * lower), y + 0.02 + who.brow_slant - 0.15 * inner_up + 0.16 * lower)
        bend = (s * 0.33, y - 0.035 - 0.07 * inner_up - 0.125 * outer_up + 0.08 * lower)
        outer = (s * 0.565, y + 0.045 - who.brow_slant - 0.135 * outer_up - 0.01 * lower + 0.035 * inner_up)
        colour = mix(who.hair, who.skin, 0.12) if who.style != "bald" else mix(self.pen.shade, (40, 30, 30), 0.5)
        if sum(who.hair) > 480:
            colour = mix(who.hair, tint(self.pen.shade, -40), 0.6)
        self.pen.fill(ribbon([inner, bend, outer], who.brow_thickness, taper=0.35), colour)

    def forehead(self) -> None:
        do, lower = self.do, self.do["brow_lower"]
        inner, outer = do["inner_brow_raise"], do["outer_brow_raise"]
        for row in range(3):
            y = -0.545 - 0.085 * row
            both = 0.65 * min(inner, outer) + 0.25 * self.who.age
            self.pen.fold([(-0.36, y + 0.02), (-0.18, y), (0, y + 0.012), (0.18, y), (0.36, y + 0.02)], both, 0.018)
            if row == 0 and inner - outer > 0.3:
                self.pen.fold([(-0.15, y + 0.04), (0, y), (0.15, y + 0.04)], 0.8 * (inner - outer), 0.02)
        for s in (-1, 1):
            self.pen.fold([(s * 0.05, -0.40), (s * 0.04, -0.31), (s * 0.055, -0.22)], 1.1 * lower - 0.1, 0.034)

    def mouth(self) -> None:
        who, do = self.who, self.do
        pull, press = do["lip_corner_pull"], do["lip_press"]
        stretch, drop, snarl = do["lip_stretch"], do["jaw_drop"], do["upper_lip_raise"]
        wider = 0.36 * pull + 0.28 * stretch
        narrower = 0.20 * drop * (1 - pull) * (1 - stretch) + 0.08 * press
        narrower += 0.10 * do["chin_raise"] + 0.08 * do["lip_tighten"]
        half = who.mouth_width * (1 + wider - narrower)
        gap = 0.11 * do["lips_part"] + 0.30 * drop
        gap *= 1 - 0.6 * min(press, 1.0)
        middle = 0.54 + 0.02 * pull - 0.07 * snarl - 0.03 * do["nose_wrinkle"] - 0.12 * gap - 0.035 * do["chin_raise"]
        thin = max(0.18, 1 - 0.62 * press - 0.35 * do["lip_tighten"] - 0.25 * pull - 0.22 * stretch)
        t = np.linspace(-1, 1, 17)
        bow = np.abs(t)
        square = 2.0 + 2.2 * min(stretch + 0.6 * snarl, 1.2)  # a stretched or snarling mouth opens as a box
        left, right = self.side[-1], self.side[1]
        part = np.where(t < 0, left, right)
        corner = middle + who.mouth_rest + part * (0.145 * do["lip_corner_depress"] - 0.16 * pull) + 0.42 * gap
        x = t * half
        rest = corner * bow**1.8
        top = middle * (1 - bow**1.8) + rest - 0.06 * snarl * np.exp(-(((bow - 0.5) / 0.25) ** 2))
        top = np.where(gap > 0.02, np.minimum(top, corner - (corner - middle) * (1 - bow**square)), top)
        bottom = np.maximum(top, (middle + gap) * (1 - bow**square) + corner * bow**square)
        full = who.lip_fullness * thin
        upper = top - 0.058 * full * (1 - bow**2) ** 0.7 * (1 - 0.35 * np.exp(-((t / 0.14) ** 2)))
        under = bottom + 0.078 * full * (1 - bow**2) ** 0.8
        lips = mix(mix(who.skin, self.pen.shade, 0.5), (186, 54, 66), 0.25 + 0.5 * who.lip_colour)
        self.pen.fold([(-half * 0.5, under[8] + 0.06), (0, under[8] + 0.05), (half * 0.5, under[8] + 0.06)], 0.35, 0.03)
        self.pen.fill(between(x, upper, under), lips)
        self.pen.fill(between(x, upper, bottom), tint(lips, -16))
        if gap > 0.025:
            self.pen.fill(between(x, top, bottom), (70, 20, 24))
            if gap > 0.2:
                tongue = np.maximum(bottom - 0.10 * (1 - bow**2), top)
                self.pen.fill(between(x[4:13], tongue[4:13], bottom[4:13]), (196, 92, 92))
            teeth = np.minimum(top + np.minimum(0.075, 0.7 * gap) * (1 - bow**6), bottom)
            if drop < 0.75 or pull > 0.4:
                self.pen.fill(between(x[1:-1], top[1:-1], teeth[1:-1]), (244, 240, 232))
            if stretch > 0.45 or (snarl > 0.25 and gap > 0.1):  # bared lower teeth
                below = np.maximum(bottom - 0.35 * gap * (1 - bow**6), top)
                self.pen.fill(between(x[2:-2], below[2:-2], bottom[2:-2]), (232, 226, 216))
        else:
            self.pen.fill(
                ribbon(np.stack([x, top], 1)[::2], 0.028 + 0.02 * press, steps=3), mix(lips, (50, 14, 18), 0.7)
            )
        for s in (-1, 1):
            end = (s * half, float(corner[0 if s < 0 else -1]))
            down = do["lip_corner_depress"]
            self.pen.fold([(end[0], end[1] - 0.015), (end[0] + s * 0.035, end[1] + 0.035 * down - 0.03 * pull),
                       (end[0] + s * 0.045, end[1] + 0.10 * down - 0.07 * pull)],
                      0.25 + 0.7 * max(down, pull, press), 0.022)  # fmt: skip
        chin = do["chin_raise"]
        y = 0.83 + 0.1 * drop
        self.pen.fold([(-0.11, y + 0.03), (-0.05, y - 0.03), (0.05, y - 0.03), (0.11, y + 0.03)], chin, 0.026)


def _light(
    pixels: np.ndarray, pose: Pose, actions: dict[str, float], who: Identity, rng: np.random.Generator
) -> np.ndarray:
    """Shading of a rounded head under one lamp, cheeks, brightness, colour of the light, sensor noise -> uint8."""
    grid = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    u = (grid - pose.x) / (pose.scale * who.head_width * 1.05)
    v = (grid - pose.y) / (pose.scale * 1.08)
    radius = u[None, :] ** 2 + v[:, None] ** 2
    depth = np.sqrt(np.clip(1 - radius, 0.0, None))
    lx, ly = rng.normal(0, 0.55), rng.uniform(-0.75, 0.1)  # mostly from above
    gain = 0.80 + 0.22 * depth + 0.16 * (lx * u[None, :] + ly * v[:, None]) * np.clip(1.6 - radius, 0, 1)
    for side in (-1, 1):  # cheeks: rounder when they are raised, with the light on them
        cx = pose.x + pose.scale * (side * 0.42 + 0.5 * np.sin(pose.yaw))
        cy = pose.y + pose.scale * (0.30 - 0.05 * actions["cheek_raise"] - 0.5 * np.sin(pose.pitch))
        spot = np.exp(-((grid - cy)[:, None] ** 2 + (grid - cx)[None, :] ** 2) / (2 * 0.052**2))
        gain += (0.03 + 0.05 * actions["cheek_raise"]) * spot
    gain *= np.clip(rng.normal(1.02, 0.12), 0.64, 1.22)
    warm = rng.normal(0, 0.035)
    tint = np.array([1 + warm, 1, 1 - warm], dtype=np.float32)
    grain = rng.normal(0, rng.uniform(1.0, 5.5), (SIDE, SIDE)).astype(np.float32)
    lit = pixels * (gain.astype(np.float32)[:, :, None] * tint) + grain[:, :, None]
    return np.clip(lit, 0, 255).astype(np.uint8)
