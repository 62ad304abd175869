"""What a drawn face expresses: facial actions per expression, blends of two, and how ten people would vote on it.

The actions follow the Facial Action Coding System (Ekman and Friesen, 1978) in its emotional reading; the
strengths are ours. Nothing here draws or touches a file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CLASSES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""The seven expressions in the order of the codes 1 to 7 of the RAF-DB layout."""

NEUTRAL = CLASSES.index("neutral")

ACTIONS = (
    "inner_brow_raise",  # action unit 1
    "outer_brow_raise",  # 2
    "brow_lower",  # 4
    "upper_lid_raise",  # 5
    "cheek_raise",  # 6
    "lid_tighten",  # 7
    "nose_wrinkle",  # 9
    "upper_lip_raise",  # 10
    "lip_corner_pull",  # 12
    "lip_corner_depress",  # 15
    "chin_raise",  # 17
    "lip_stretch",  # 20
    "lip_tighten",  # 23
    "lip_press",  # 24
    "lips_part",  # 25
    "jaw_drop",  # 26 and 27
    "lid_droop",  # 43, partly
)

# Several faces per expression, because people show one feeling in more than one way.
VARIANTS: dict[str, tuple[dict[str, float], ...]] = {
    "surprise": (
        {"inner_brow_raise": 1, "outer_brow_raise": 1, "upper_lid_raise": 0.7, "jaw_drop": 1, "lips_part": 0.5},
        {"inner_brow_raise": 0.9, "outer_brow_raise": 1, "upper_lid_raise": 0.6, "jaw_drop": 0.55, "lips_part": 0.6},
    ),
    "fear": (
        {"inner_brow_raise": 1, "outer_brow_raise": 0.45, "brow_lower": 0.45, "upper_lid_raise": 1,
         "lip_stretch": 1, "lips_part": 0.8, "jaw_drop": 0.15},
        {"inner_brow_raise": 0.9, "outer_brow_raise": 0.35, "brow_lower": 0.5, "upper_lid_raise": 0.9,
         "lip_stretch": 0.8, "lip_corner_depress": 0.25, "lips_part": 0.5, "jaw_drop": 0.4},
    ),
    "disgust": (
        {"nose_wrinkle": 1, "upper_lip_raise": 0.8, "brow_lower": 0.45, "lid_tighten": 0.7, "cheek_raise": 0.4,
         "lip_corner_depress": 0.35, "chin_raise": 0.5},
        {"nose_wrinkle": 0.8, "upper_lip_raise": 1, "brow_lower": 0.35, "lid_tighten": 0.6, "cheek_raise": 0.4,
         "lips_part": 0.7, "lip_corner_depress": 0.3},
    ),
    "happiness": (
        {"cheek_raise": 0.9, "lip_corner_pull": 1, "lips_part": 0.8, "jaw_drop": 0.15},
        {"cheek_raise": 0.7, "lip_corner_pull": 1},
        {"cheek_raise": 1, "lip_corner_pull": 1, "lips_part": 0.9, "jaw_drop": 0.45, "outer_brow_raise": 0.2},
    ),
    "sadness": (
        {"inner_brow_raise": 0.9, "brow_lower": 0.45, "lip_corner_depress": 1, "chin_raise": 0.5, "lid_droop": 0.55},
        {"inner_brow_raise": 0.7, "brow_lower": 0.35, "lip_corner_depress": 0.85, "lid_droop": 0.9},
    ),
    "anger": (
        {"brow_lower": 1.1, "lid_tighten": 0.8, "upper_lid_raise": 0.25, "lip_press": 1, "lip_tighten": 0.7,
         "chin_raise": 0.3},
        {"brow_lower": 1.15, "lid_tighten": 0.6, "upper_lid_raise": 0.3, "lip_tighten": 0.5, "lips_part": 1,
         "jaw_drop": 0.3, "upper_lip_raise": 0.35, "lip_corner_depress": 0.3, "lip_stretch": 0.3},
    ),
    "neutral": ({},),
}  # fmt: skip

# The pairs of which faces show both at once, first the one that is drawn stronger or equal.
BLENDS: dict[str, tuple[str, ...]] = {
    "surprise": ("fear", "happiness"),
    "fear": ("surprise", "sadness"),
    "disgust": ("anger", "sadness"),
    "happiness": ("surprise", "neutral"),
    "sadness": ("neutral", "fear"),
    "anger": ("disgust", "sadness"),
    "neutral": ("sadness", "anger"),
}

# Where the votes of people who do not see the shown expression go (besides neutral): rows as in CLASSES.
LOOKALIKES = np.array(
    [
        [0.0, 0.60, 0.05, 0.25, 0.00, 0.05, 0.05],  # surprise
        [0.6, 0.00, 0.10, 0.00, 0.20, 0.05, 0.05],  # fear
        [0.0, 0.10, 0.00, 0.05, 0.25, 0.50, 0.10],  # disgust
        [0.4, 0.00, 0.10, 0.00, 0.00, 0.05, 0.45],  # happiness
        [0.0, 0.20, 0.20, 0.00, 0.00, 0.15, 0.45],  # sadness
        [0.0, 0.10, 0.50, 0.00, 0.15, 0.00, 0.25],  # anger
        [0.1, 0.05, 0.05, 0.20, 0.40, 0.20, 0.00],  # neutral
    ]
)


@dataclass(frozen=True, kw_only=True)
class Expression:
    """What one face is meant to show."""

    first: int
    """Index in CLASSES of the stronger (or only) expression."""
    second: int | None
    """Index of the other expression of a blend, else None."""
    weight: float
    """Share of `first`: 1 for a single expression, 0.5 to 0.63 in a blend."""
    intensity: float
    """0 to 1; a low one is hard to tell from neutral. For neutral faces it is 0."""


def draw_expression(rng: np.random.Generator, *, first: int, blend: bool) -> Expression:
    """A random expression of class `first`, alone or blended with a plausible second one."""
    if not blend:
        weak = rng.random() < 0.14  # a heavier low end than one Beta gives: real sets are full of faint faces
        strength = rng.uniform(0.34, 0.5) if weak else 0.5 + 0.5 * rng.beta(1.6, 1.3)
        return Expression(first=first, second=None, weight=1.0, intensity=0.0 if first == NEUTRAL else float(strength))
    others = BLENDS[CLASSES[first]]
    second = CLASSES.index(others[int(rng.integers(len(others)))])
    return Expression(
        first=first,
        second=second,
        weight=float(rng.uniform(0.5, 0.63)),
        intensity=float(rng.uniform(0.65, 1.0)),
    )


def draw_actions(rng: np.random.Generator, expression: Expression) -> dict[str, float]:
    """The strength (0 to about 1.2) of every facial action for one face that shows `expression`."""
    total = np.zeros(len(ACTIONS))
    shown = [(expression.first, expression.weight)]
    if expression.second is not None:
        shown.append((expression.second, 1 - expression.weight))
    for index, share in shown:
        variants = VARIANTS[CLASSES[index]]
        variant = variants[int(rng.integers(len(variants)))]
        total += share * np.array([variant.get(name, 0.0) for name in ACTIONS])
    if expression.second is not None:
        total *= 1.15  # half of two expressions reads weaker than one at half strength
    # Every person does it a little differently, and nobody's face is ever fully at rest.
    total = expression.intensity * total * rng.uniform(0.78, 1.2, len(ACTIONS))
    total += np.abs(rng.normal(0, 0.045, len(ACTIONS)))
    return dict(zip(ACTIONS, np.clip(total, 0, 1.2).tolist(), strict=True))


def label_distribution(expression: Expression) -> np.ndarray:
    """The true label distribution of a face: (7,) float64, sums to 1, in the order of CLASSES.

    A single expression is seen the more often the stronger it is; what is not seen goes mostly to neutral. A
    blend shares its votes by weight, slightly sharpened, because people name what is strongest.
    """
    if expression.second is None:
        return _seen(expression.first, expression.intensity)
    w = expression.weight**1.5 / (expression.weight**1.5 + (1 - expression.weight) ** 1.5)
    parts = [(expression.first, w), (expression.second, 1 - w)]
    return np.sum([share * _seen(index, expression.intensity) for index, share in parts], axis=0)


def _seen(index: int, intensity: float) -> np.ndarray:
    shown = 1.0 if index == NEUTRAL else 1 / (1 + np.exp(-(intensity - 0.22) / 0.085))
    distribution = 0.05 * LOOKALIKES[index]
    distribution[index] += 0.95 * shown
    distribution[NEUTRAL] += 0.95 * 0.85 * (1 - shown)
    return distribution + 0.95 * 0.15 * (1 - shown) * LOOKALIKES[index]
