"""The people of the drawn faces: who somebody is, apart from what the face does at the moment.

Nothing here draws, and no trait depends on an expression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ferclean.sources.drawn_faces.face_shapes import Colour, tint


def _colours(text: str) -> tuple[Colour, ...]:
    """Red, green and blue in hexadecimal.

    >>> _colours("1c181a d8d6d6")
    ((28, 24, 26), (216, 214, 214))
    """
    return tuple((red, green, blue) for red, green, blue in map(bytes.fromhex, text.split()))


_SKINS = _colours("fae0cc f1cdb2 e4b896 ce9b75 ac7652 84563a 613e2c")
_HAIRS = _colours("1c181a 34241c 583a24 80542e ba8c4e debe80 964626 a8a6a8 d8d6d6 4a3c60")
_IRISES = _colours("462e1e 5c4026 3a5468 547e96 507048 686864")
_CLOTHES = _colours("ba4a42 426894 528262 e2b854 785c8e 3c3e48 d6d0c4")
_FRAMES = _colours("222022 6e4228 96282c 3a486e b09660")
HAIR_STYLES = ("short", "side", "bob", "long", "bun", "curly", "fringe", "bald", "scarf", "cap")
# Of each style above, for faces drawn more masculine (True) or more feminine (False).
_STYLE_ODDS = {
    True: [0.34, 0.22, 0.0, 0.05, 0.03, 0.11, 0.04, 0.12, 0.0, 0.09],
    False: [0.06, 0.10, 0.20, 0.22, 0.12, 0.08, 0.11, 0.0, 0.08, 0.03],
}


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
    """A random person: every length, colour and habit that stays from picture to picture."""

    def pick(options: tuple) -> tuple:
        return options[int(rng.integers(len(options)))]

    masculine = rng.random() < 0.5
    style = str(rng.choice(HAIR_STYLES, p=_STYLE_ODDS[masculine]))
    tone = rng.uniform(-8, 8)
    return Identity(
        skin=tint(pick(_SKINS), tone),
        hair=tint(pick(_HAIRS), rng.uniform(-10, 10)),
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
