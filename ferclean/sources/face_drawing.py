"""Draws one face: a person (`Identity`), what the face does (facial actions), and how it was photographed.

It never decides what a face should express and never writes a file. Every random choice comes from the
generator that is handed in, so that the same seed gives the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ferclean.sources.face_shapes import Points, Pose, curve, ellipse, ribbon

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

SIDE = 100
"""Width and height of a finished face in pixels."""
_SUPERSAMPLING = 3

_SKINS = (
    (250, 224, 204),
    (241, 205, 178),
    (228, 184, 150),
    (206, 155, 117),
    (172, 118, 82),
    (132, 86, 58),
    (97, 62, 44),
)
_HAIRS = (
    (28, 24, 26),
    (52, 36, 28),
    (88, 58, 36),
    (128, 84, 46),
    (186, 140, 78),
    (222, 190, 128),
    (150, 70, 38),
    (168, 166, 168),
    (216, 214, 214),
    (74, 60, 96),
)
_IRISES = ((70, 46, 30), (92, 64, 38), (58, 84, 104), (84, 126, 150), (80, 112, 72), (104, 104, 100))
_CLOTHES = ((186, 74, 66), (66, 104, 148), (82, 130, 98), (226, 184, 84), (120, 92, 142), (60, 62, 72), (214, 208, 196))
_FRAMES = ((34, 32, 34), (110, 66, 40), (150, 40, 44), (58, 72, 110), (176, 150, 96))
_BACKGROUNDS = ((198, 210, 214), (226, 214, 192), (160, 178, 160), (122, 138, 158), (206, 180, 176), (90, 92, 100),
                (236, 234, 228), (170, 150, 130))  # fmt: skip
HAIR_STYLES = ("short", "side", "bob", "long", "bun", "curly", "fringe", "bald", "scarf", "cap")

Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One person: what stays the same from image to image. Lengths are in half heads."""

    skin: Colour
    hair: Colour
    iris: Colour
    style: str
    head_width: float
    jaw: float
    """How much the head narrows towards the chin, 0.1 (square) to 0.4 (pointed)."""
    eye_distance: float
    eye_size: float
    eye_tilt: float
    brow_thickness: float
    brow_height: float
    brow_slant: float
    """Rest position of the brows: positive looks stern, negative looks worried."""
    nose_length: float
    nose_width: float
    mouth_width: float
    mouth_rest: float
    """Rest position of the lip corners: positive hangs, negative smiles."""
    lip_fullness: float
    lip_colour: float
    """0: the lips are hardly darker than the skin, 1: red."""
    age: float
    """0 to 1: how deep the folds are at rest."""
    glasses: str
    frame: Colour
    beard: str
    freckles: bool
    clothes: Colour


def draw_identity(rng: np.random.Generator) -> Identity:
    """A random person."""

    def pick(options: tuple) -> tuple:
        return options[int(rng.integers(len(options)))]

    masculine = rng.random() < 0.5
    style = str(rng.choice(HAIR_STYLES, p=_STYLE_ODDS[masculine]))
    tone = rng.uniform(-8, 8)
    return Identity(
        skin=_tint(pick(_SKINS), tone),
        hair=_tint(pick(_HAIRS), rng.uniform(-10, 10)),
        iris=pick(_IRISES),
        style=style,
        head_width=float(rng.uniform(0.70, 0.86)),
        jaw=float(rng.uniform(0.10, 0.24) if masculine else rng.uniform(0.2, 0.36)),
        eye_distance=float(rng.uniform(0.32, 0.385)),
        eye_size=float(rng.uniform(0.84, 1.14)),
        eye_tilt=float(rng.normal(0.0, 0.016)),
        brow_thickness=float(rng.uniform(0.065, 0.11) if masculine else rng.uniform(0.045, 0.085)),
        brow_height=float(rng.uniform(-0.025, 0.03)),
        brow_slant=float(rng.normal(0, 0.015)),
        nose_length=float(rng.uniform(0.9, 1.12)),
        nose_width=float(rng.uniform(0.85, 1.25)),
        mouth_width=float(rng.uniform(0.265, 0.32)),
        mouth_rest=float(rng.normal(0.0, 0.014)),
        lip_fullness=float(rng.uniform(0.7, 1.3)),
        lip_colour=float(rng.uniform(0.15, 0.5) if masculine else rng.uniform(0.35, 1.0)),
        age=float(rng.beta(1.2, 2.2)),
        glasses=str(rng.choice(["none", "round", "square", "dark"], p=[0.76, 0.11, 0.10, 0.03])),
        frame=pick(_FRAMES),
        beard=str(rng.choice(["none", "stubble", "full", "moustache"], p=[0.58, 0.18, 0.14, 0.10]))
        if masculine
        else "none",
        freckles=bool(rng.random() < 0.12),
        clothes=pick(_CLOTHES),
    )


_STYLE_ODDS = {
    True: [0.34, 0.22, 0.0, 0.05, 0.03, 0.11, 0.04, 0.12, 0.0, 0.09],
    False: [0.06, 0.10, 0.20, 0.22, 0.12, 0.08, 0.11, 0.0, 0.08, 0.03],
}


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
    backdrop = _tint(_BACKGROUNDS[int(rng.integers(len(_BACKGROUNDS)))], rng.uniform(-25, 25))
    size = SIDE * _SUPERSAMPLING
    canvas = Image.new("RGB", (size, size), backdrop)
    _Artist(ImageDraw.Draw(canvas), pose, identity, actions, rng, size).draw(backdrop)
    small = canvas.reduce(_SUPERSAMPLING)
    lit = _light(np.asarray(small, dtype=np.float32), pose, actions, identity, rng)
    face = Image.fromarray(lit)
    if rng.random() < 0.28:
        face = face.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.15))))
    return np.asarray(face)


class _Artist:
    """Holds what every part of one drawing needs, so that the parts read as a list of strokes."""

    def __init__(
        self,
        pencil: ImageDraw,
        pose: Pose,
        identity: Identity,
        actions: dict[str, float],
        rng: np.random.Generator,
        size: int,
    ) -> None:
        self.pencil, self.pose, self.who, self.do, self.size = pencil, pose, identity, actions, size
        self.shade = _mix(identity.skin, (110, 40, 30), 0.30)  # folds and contours: warmer, not just darker
        self.gaze = float(rng.normal(0, 0.018)), float(rng.normal(0.0, 0.008))
        # One side of a face often does a little less than the other.
        self.side = {-1: float(rng.uniform(0.82, 1.0)), 1: float(rng.uniform(0.82, 1.0))}
        self.parting = float(rng.uniform(-0.12, 0.12))
        self.rng = rng

    def fill(self, points: Points, colour: Colour, *, rim: bool = False, lift: float = 0.0) -> None:
        placed = self.pose.rim(points) if rim else self.pose.surface(points, lift=lift)
        self.pencil.polygon((placed * self.size).ravel().tolist(), fill=colour)

    def fold(self, points: list[tuple[float, float]], strength: float, width: float = 0.022) -> None:
        """A crease of the skin; faint ones are not worth a stroke."""
        if strength > 0.06:
            deep = min(strength, 1.0)
            self.fill(ribbon(points, width * (0.6 + 0.5 * deep)), _mix(self.who.skin, self.shade, 0.25 + 0.75 * deep))

    def draw(self, backdrop: Colour) -> None:
        if self.rng.random() < 0.5:  # something behind the person: a door frame, a wall of another colour
            edge = float(self.rng.uniform(0.1, 0.9)) * self.size
            self.pencil.rectangle((edge, 0, self.size, self.size), fill=_tint(backdrop, self.rng.uniform(-30, 30)))
        self.hair_behind()
        self.body()
        self.head()
        self.nose()
        for s in (-1, 1):
            self.eye(s)
            self.brow(s)
        self.forehead()
        if self.who.beard != "none":
            self.beard()
        self.mouth()
        self.hair_in_front()
        self.spectacles()

    def body(self) -> None:
        who = self.who
        neck = _mix(who.skin, self.shade, 0.45)
        self.fill(np.array([(-0.34, 0.6), (0.34, 0.6), (0.40, 1.6), (-0.40, 1.6)]), neck, rim=True)
        shoulders = curve([(-1.5, 1.7), (-1.1, 1.26), (-0.42, 1.12), (0, 1.22), (0.42, 1.12), (1.1, 1.26), (1.5, 1.7)])
        self.fill(shoulders, who.clothes, rim=True)
        if who.style == "scarf":
            self.fill(ellipse(0, 1.15, 0.75, 0.4), _tint(who.clothes, -14), rim=True)

    def head(self) -> None:
        who, drop = self.who, self.do["jaw_drop"]
        for s in (-1, 1):
            if who.style != "scarf":
                self.fill(
                    ellipse(s * who.head_width * 0.98, 0.06, 0.11, 0.17), _mix(who.skin, self.shade, 0.25), rim=True
                )
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        x, y = np.sin(angle), -np.cos(angle)
        x = np.sign(x) * np.abs(x) ** 0.86 * who.head_width * (1 - who.jaw * np.clip(y, 0, 1) ** 1.4)
        y = np.where(y > 0, y * (1.0 + 0.11 * drop), y)
        self.fill(np.stack([x, y], 1), who.skin, rim=True)
        if who.freckles:
            for fx, fy in self.rng.uniform((-0.42, 0.1), (0.42, 0.32), (16, 2)):
                self.fill(ellipse(fx, fy, 0.014, 0.014, n=6), _mix(who.skin, self.shade, 0.6))

    def nose(self) -> None:
        who, do = self.who, self.do
        wrinkle, lip = do["nose_wrinkle"], do["upper_lip_raise"]
        tip = 0.25 * who.nose_length - 0.045 * wrinkle - 0.015 * lip
        wide = 0.105 * who.nose_width * (1 + 0.18 * wrinkle + 0.1 * lip + 0.12 * do["lip_corner_pull"])
        bridge = -1 if self.pose.yaw < 0 else 1
        self.fold([(bridge * 0.06, -0.06), (bridge * 0.055, 0.08), (bridge * wide * 0.85, tip - 0.03)], 0.35, 0.03)
        base = curve(
            [(-wide, tip), (-wide * 0.6, tip + 0.045), (0, tip + 0.06), (wide * 0.6, tip + 0.045), (wide, tip)]
        )
        self.fill(np.concatenate([base, base[::-1] - (0, 0.028)]), _mix(who.skin, self.shade, 0.55), lift=0.1)
        for s in (-1, 1):
            self.fill(
                ellipse(s * wide * 0.48, tip + 0.022, 0.034, 0.02, n=10), _mix(self.shade, (40, 10, 10), 0.5), lift=0.1
            )
            self.fold(
                [(s * wide * 0.95, tip - 0.05), (s * wide * 1.12, tip), (s * wide * 0.9, tip + 0.03)],
                0.5 + 0.5 * wrinkle,
            )
            for row in range(3):
                y = -0.10 + 0.055 * row
                self.fold([(s * 0.015, y), (s * 0.07, y - 0.025), (s * 0.125, y + 0.015)], wrinkle * 1.1, 0.03)
            pull = max(0.8 * do["lip_corner_pull"], 0.9 * lip, 0.8 * wrinkle) * self.side[s]
            far = who.mouth_width * (1.1 + 0.3 * do["lip_corner_pull"])
            self.fold([(s * (wide + 0.03), tip - 0.01), (s * (wide + far) * 0.62, tip + 0.1), (s * (far + 0.05), tip + 0.25)],
                      pull + 0.35 * who.age, 0.026)  # fmt: skip

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
        self.fill(socket, _mix(who.skin, self.shade, 0.16))
        self.fill(white, (247, 245, 242))
        order = np.argsort(x)
        gx, gy = cx + self.gaze[0], cy + 0.004 + self.gaze[1] + 0.025 * droop
        for radius, colour in ((0.108, _tint(who.iris, -28)), (0.094, who.iris), (0.048, (14, 12, 14))):
            disc = ellipse(gx, gy, radius, radius, n=18)
            top = np.interp(disc[:, 0], x[order], upper[order])
            bottom = np.interp(disc[:, 0], x[order], lower[order])
            disc[:, 1] = np.clip(disc[:, 1], top, bottom)
            self.fill(disc, colour)
        if up > 0.05:
            self.fill(ellipse(gx - 0.03, gy - 0.03, 0.02, 0.02, n=8), (255, 255, 255))
        lash = _mix(self.shade, (20, 12, 12), 0.75)
        self.fill(ribbon(np.stack([x, upper], 1)[::2], 0.036, taper=0.65, steps=3), lash)
        self.fill(ribbon(np.stack([x, lower], 1)[::2], 0.014, steps=3), _mix(self.shade, lash, 0.3))
        crease = upper - 0.034 - 0.02 * wide
        self.fold([(x[2], crease[2]), (x[6], crease[6]), (x[11], crease[11])], 0.45, 0.018)
        self.fold([(x[1], cy + 0.1), (cx, cy + 0.135 - 0.02 * cheek), (x[11], cy + 0.085)],
                  0.75 * cheek + 0.45 * squeeze + 0.4 * who.age, 0.022)  # fmt: skip
        for row in (-1, 0, 1):
            out = cx + s * half * 1.14
            self.fold([(out, cy + 0.03 * row), (out + s * 0.05, cy + 0.045 * row), (out + s * 0.095, cy + 0.075 * row)],
                      0.85 * cheek * (0.5 + 0.5 * who.age) + 0.12 * who.age, 0.016)  # fmt: skip

    def brow(self, s: int) -> None:
        who, do, part = self.who, self.do, self.side[s]
        inner_up, outer_up, lower = do["inner_brow_raise"] * part, do["outer_brow_raise"] * part, do["brow_lower"]
        y = -0.36 + who.brow_height + 0.03 * do["nose_wrinkle"]
        inner = (s * (0.135 - 0.04 * lower), y + 0.02 + who.brow_slant - 0.15 * inner_up + 0.16 * lower)
        bend = (s * 0.33, y - 0.035 - 0.07 * inner_up - 0.125 * outer_up + 0.08 * lower)
        outer = (s * 0.565, y + 0.045 - who.brow_slant - 0.135 * outer_up - 0.01 * lower + 0.035 * inner_up)
        colour = _mix(who.hair, who.skin, 0.12) if who.style != "bald" else _mix(self.shade, (40, 30, 30), 0.5)
        if sum(who.hair) > 480:
            colour = _mix(who.hair, _tint(self.shade, -40), 0.6)
        self.fill(ribbon([inner, bend, outer], who.brow_thickness, taper=0.35), colour)

    def forehead(self) -> None:
        do, lower = self.do, self.do["brow_lower"]
        inner, outer = do["inner_brow_raise"], do["outer_brow_raise"]
        for row in range(3):
            y = -0.545 - 0.085 * row
            both = 0.65 * min(inner, outer) + 0.25 * self.who.age
            self.fold([(-0.36, y + 0.02), (-0.18, y), (0, y + 0.012), (0.18, y), (0.36, y + 0.02)], both, 0.018)
            if row == 0 and inner - outer > 0.3:
                self.fold([(-0.15, y + 0.04), (0, y), (0.15, y + 0.04)], 0.8 * (inner - outer), 0.02)
        for s in (-1, 1):
            self.fold([(s * 0.05, -0.40), (s * 0.04, -0.31), (s * 0.055, -0.22)], 1.1 * lower - 0.1, 0.034)

    def mouth(self) -> None:
        who, do = self.who, self.do
        pull, press = do["lip_corner_pull"], do["lip_press"]
        stretch, drop, snarl = do["lip_stretch"], do["jaw_drop"], do["upper_lip_raise"]
        half = who.mouth_width * (1 - 0.08 * press + 0.36 * pull + 0.28 * stretch - 0.20 * drop * (1 - pull) * (1 - stretch)
                                  - 0.10 * do["chin_raise"] - 0.08 * do["lip_tighten"])  # fmt: skip
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
        lips = _mix(_mix(who.skin, self.shade, 0.5), (186, 54, 66), 0.25 + 0.5 * who.lip_colour)
        self.fold([(-half * 0.5, under[8] + 0.06), (0, under[8] + 0.05), (half * 0.5, under[8] + 0.06)], 0.35, 0.03)
        self.fill(_between(x, upper, under), lips)
        self.fill(_between(x, upper, bottom), _tint(lips, -16))
        if gap > 0.025:
            self.fill(_between(x, top, bottom), (70, 20, 24))
            if gap > 0.2:
                tongue = np.maximum(bottom - 0.10 * (1 - bow**2), top)
                self.fill(_between(x[4:13], tongue[4:13], bottom[4:13]), (196, 92, 92))
            teeth = np.minimum(top + np.minimum(0.075, 0.7 * gap) * (1 - bow**6), bottom)
            if drop < 0.75 or pull > 0.4:
                self.fill(_between(x[1:-1], top[1:-1], teeth[1:-1]), (244, 240, 232))
            if stretch > 0.45 or (snarl > 0.25 and gap > 0.1):  # bared lower teeth
                below = np.maximum(bottom - 0.35 * gap * (1 - bow**6), top)
                self.fill(_between(x[2:-2], below[2:-2], bottom[2:-2]), (232, 226, 216))
        else:
            self.fill(ribbon(np.stack([x, top], 1)[::2], 0.028 + 0.02 * press, steps=3), _mix(lips, (50, 14, 18), 0.7))
        for s in (-1, 1):
            end = (s * half, float(corner[0 if s < 0 else -1]))
            down = do["lip_corner_depress"]
            self.fold([(end[0], end[1] - 0.015), (end[0] + s * 0.035, end[1] + 0.035 * down - 0.03 * pull),
                       (end[0] + s * 0.045, end[1] + 0.10 * down - 0.07 * pull)],
                      0.25 + 0.7 * max(down, pull, press), 0.022)  # fmt: skip
        chin = do["chin_raise"]
        y = 0.83 + 0.1 * drop
        self.fold([(-0.11, y + 0.03), (-0.05, y - 0.03), (0.05, y - 0.03), (0.11, y + 0.03)], chin, 0.026)

    def beard(self) -> None:
        who, drop = self.who, self.do["jaw_drop"]
        if who.beard in ("full", "stubble"):
            w, low = who.head_width, 1.0 + 0.11 * drop
            outer = curve([(-w * 0.97, 0.15), (-w * 0.88, 0.55), (-w * 0.5, 0.93 * low), (0, 1.03 * low), (w * 0.5, 0.93 * low),
                           (w * 0.88, 0.55), (w * 0.97, 0.15)])  # fmt: skip
            inner = curve(
                [
                    (w * 0.8, 0.2),
                    (w * 0.62, 0.46),
                    (0.2, 0.42),
                    (0, 0.40),
                    (-0.2, 0.42),
                    (-w * 0.62, 0.46),
                    (-w * 0.8, 0.2),
                ]
            )
            share = 0.95 if who.beard == "full" else 0.22
            self.fill(np.concatenate([outer, inner]), _mix(who.skin, who.hair, share), rim=True)
        if who.beard == "moustache":
            lip = 0.04 * self.do["upper_lip_raise"]
            for s in (-1, 1):
                self.fill(
                    ribbon([(0, 0.42 - lip), (s * 0.16, 0.41 - lip), (s * 0.3, 0.5 - lip)], 0.1, taper=0.3), who.hair
                )

    def hair_behind(self) -> None:
        who, w = self.who, self.who.head_width
        dark = _tint(who.hair, -12)
        if who.style == "long":
            self.fill(curve([(-w - 0.1, -0.5), (0, -1.16), (w + 0.1, -0.5), (w + 0.2, 0.6), (w + 0.1, 1.5), (-w - 0.1, 1.5), (-w - 0.2, 0.6)],
                            closed=True), dark, rim=True)  # fmt: skip
        elif who.style == "bob":
            self.fill(curve([(-w - 0.1, -0.5), (0, -1.17), (w + 0.1, -0.5), (w + 0.2, 0.3), (w + 0.04, 0.8), (-w - 0.04, 0.8), (-w - 0.2, 0.3)],
                            closed=True), dark, rim=True)  # fmt: skip
        elif who.style == "bun":
            self.fill(ellipse(self.parting, -1.15, 0.34, 0.28), dark, rim=True)
        elif who.style == "curly":
            for angle in np.linspace(-2.1, 2.1, 13):
                self.fill(ellipse((w + 0.06) * np.sin(angle), -0.12 - 0.92 * np.cos(angle), 0.24, 0.24), dark, rim=True)
        elif who.style == "scarf":
            self.fill(ellipse(0, 0.05, w + 0.2, 1.26), who.clothes, rim=True)

    def hair_in_front(self) -> None:
        who, w, p = self.who, self.who.head_width, self.parting
        crown = [
            (-w - 0.03, -0.2),
            (-w - 0.05, -0.55),
            (-w * 0.6, -1.02),
            (0, -1.15),
            (w * 0.6, -1.02),
            (w + 0.05, -0.55),
            (w + 0.03, -0.2),
        ]
        lines = {
            "short": [(w * 0.9, -0.42), (w * 0.6, -0.72), (p, -0.68), (-w * 0.6, -0.72), (-w * 0.9, -0.42)],
            "side": [(w * 0.9, -0.40), (w * 0.66, -0.58), (0.1 + p, -0.60), (-0.35, -0.86), (-w * 0.72, -0.62), (-w * 0.9, -0.36)],
            "bob": [(w * 0.88, 0.0), (w * 0.8, -0.46), (0.2 + p, -0.70), (-0.1, -0.66), (-w * 0.8, -0.42), (-w * 0.88, 0.0)],
            "long": [(w * 0.9, 0.1), (w * 0.74, -0.46), (p, -0.86), (-w * 0.74, -0.46), (-w * 0.9, 0.1)],
            "bun": [(w * 0.92, -0.36), (w * 0.62, -0.74), (p, -0.82), (-w * 0.62, -0.74), (-w * 0.92, -0.36)],
            "curly": [(w * 0.9, -0.40), (w * 0.62, -0.62), (w * 0.2, -0.74), (-w * 0.2, -0.72), (-w * 0.62, -0.62), (-w * 0.9, -0.40)],
            "fringe": [(w * 0.9, -0.1), (w * 0.8, -0.40), (w * 0.4, -0.45), (p, -0.41), (-w * 0.4, -0.45), (-w * 0.8, -0.40), (-w * 0.9, -0.1)],
            "scarf": [(w * 0.88, 0.2), (w * 0.80, -0.42), (w * 0.4, -0.72), (0, -0.76), (-w * 0.4, -0.72), (-w * 0.80, -0.42), (-w * 0.88, 0.2)],
            "cap": [(w * 1.02, -0.44), (w * 0.6, -0.52), (0, -0.56), (-w * 0.6, -0.52), (-w * 1.02, -0.44)],
        }  # fmt: skip
        if who.style == "bald":
            return
        colour = who.clothes if who.style in ("scarf", "cap") else who.hair
        self.fill(np.concatenate([curve(crown), curve(lines[who.style])]), colour, rim=True)
        if who.style == "cap":
            peak = curve(
                [(-w * 1.08, -0.44), (-0.4, -0.62), (0.4, -0.62), (w * 1.08, -0.44), (0.4, -0.45), (-0.4, -0.45)],
                closed=True,
            )
            self.fill(peak, _tint(colour, -22), rim=True)
        elif who.style != "scarf":
            shine = _tint(colour, 22)
            for start in (-0.5, -0.15, 0.3):
                self.fill(
                    ribbon(
                        [(start * w, -1.02), (start * w * 1.2 - 0.06, -0.9), (start * w * 1.35 - 0.08, -0.78)], 0.045
                    ),
                    shine,
                    rim=True,
                )

    def spectacles(self) -> None:
        who = self.who
        if who.glasses == "none":
            return
        t = np.linspace(0, 2 * np.pi, 22, endpoint=False)
        power = 1.0 if who.glasses == "round" else 0.55
        c, s = np.cos(t), np.sin(t)
        ring = np.stack([np.sign(c) * np.abs(c) ** power, np.sign(s) * np.abs(s) ** power], 1)
        for side in (-1, 1):
            centre = np.array([side * who.eye_distance, -0.07])
            outer = self.pose.surface(centre + ring * (0.255, 0.205), lift=0.06) * self.size
            if who.glasses == "dark":
                self.pencil.polygon(outer.ravel().tolist(), fill=(30, 30, 36))
                self.fill(ribbon([centre + (-0.1, 0.02), centre + (0.0, -0.1)], 0.05), (96, 100, 112), lift=0.06)
            closed = [tuple(point) for point in (*outer.tolist(), *outer[:2].tolist())]
            self.pencil.line(closed, fill=who.frame, width=max(2, self.size // 75), joint="curve")
            self.fill(
                ribbon([(side * (who.eye_distance + 0.25), -0.1), (side * who.head_width, -0.1)], 0.05), who.frame
            )
        self.fill(
            ribbon([(-who.eye_distance + 0.25, -0.1), (0, -0.13), (who.eye_distance - 0.25, -0.1)], 0.045),
            who.frame,
            lift=0.06,
        )


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


def _between(x: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> Points:
    """The outline of the area between two lines over the same x."""
    return np.concatenate([np.stack([x, top], 1), np.stack([x, bottom], 1)[::-1]])


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    """`share` of colour `b`, the rest of `a`."""
    return tuple(round(p + (q - p) * share) for p, q in zip(a, b, strict=True))  # type: ignore[return-value]


def _tint(colour: Colour, change: float) -> Colour:
    """A colour made lighter (positive) or darker (negative) by `change` levels."""
    return tuple(min(255, max(0, round(part + change))) for part in colour)  # type: ignore[return-value]
