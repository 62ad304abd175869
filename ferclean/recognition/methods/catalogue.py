"""Which recognizers there are, and where each was published: one dictionary, readable without torch.

It never builds or trains anything; `get_method` imports a recognizer's module when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ferclean.errors import UsageError, among
from ferclean.summary import Summary

if TYPE_CHECKING:
    from ferclean.recognition.methods.base import Method


@dataclass(frozen=True, kw_only=True)
class MethodInfo(Summary):
    """A recognizer in one line: its name here, title and venue of its paper, and the year.

    `published`: accuracies that the paper reports, in percent, mostly of pretrained networks at 224 pixels;
    `needs`: what it wants beside images and labels.
    """

    name: str
    paper: str
    year: int
    summary: str
    published: str
    needs: str


METHODS: dict[str, MethodInfo] = {
    info.name: info
    for info in (
        MethodInfo(
            name="supcon_relabel",
            paper="Facial Expression Recognition Based on Contrastive Learning and Uncertainty-Guided Relabeling, IJNS",
            year=2023,
            summary="supervised contrast, a weight for each label's certainty, and labels that training may correct",
            published="RAF-DB 90.91, FERPlus 88.59, AffectNet 61.00",
            needs="two views of each image, and a prediction for all after each epoch",
        ),
        MethodInfo(
            name="cross_entropy",
            paper="none: the plain baseline that every method is compared with",
            year=2012,
            summary="a pooled feature map and a linear layer",
            published="none",
            needs="nothing more",
        ),
        MethodInfo(
            name="cross_layer",
            paper="Cross-Layer Contrastive Learning of Latent Semantics for Facial Expression Recognition, IEEE TIP",
            year=2024,
            summary="four stages on one grid, and shallow stages that learn what deep ones group",
            published="RAF-DB 92.21, FERPlus 89.50, SFEW 62.82, AffectNet 65.29",
            needs="a backbone with four stages",
        ),
        MethodInfo(
            name="eac",
            paper="Learn From All: Erasing Attention Consistency for Noisy Label Facial Expression Recognition, ECCV",
            year=2022,
            summary="a face and its mirror image must be judged by mirrored evidence",
            published="RAF-DB with 10/20/30 % noise 88.0/86.1/84.4",
            needs="a second pass for the mirror image",
        ),
        MethodInfo(
            name="triplet_center",
            paper="Triplet Loss-less Center Loss Sampling Strategies in Facial Expression Recognition Scenarios, CISS",
            year=2023,
            summary="near the own class's centre and away from the others', by the dimensions that matter",
            published="on RAF-DB; no figure known here",
            needs="nothing more",
        ),
        MethodInfo(
            name="coarse_contrast",
            paper="CRS-CONT: A Well-Trained General Encoder for Facial Expression Analysis, IEEE TIP",
            year=2022,
            summary="an encoder that tells coarse groups of expressions apart, then a linear layer on it",
            published="a general encoder; no figure known here",
            needs="a first stage per fold, names of expressions for the groups",
        ),
        MethodInfo(
            name="distilled",
            paper="Attention-guided self-supervised distilled contrastive learning (ASDC-FER), J. Electronic Imaging",
            year=2024,
            summary="an encoder that learns without labels, from a teacher and bent faces, then a linear layer",
            published="linear probe: RAF-DB 76.83, FER2013 62.04",
            needs="a first stage without labels, once for all folds",
        ),
    )
}
"""Name -> information. The module of a method has the method's name."""


def catalogue() -> list[MethodInfo]:
    """All recognizers, the default one first."""
    return list(METHODS.values())


def check_methods(names: Sequence[str]) -> tuple[str, ...]:
    """The names, known and each once. Raises UsageError that lists the known ones."""
    for name in names:
        if name not in METHODS:
            raise UsageError(f"unknown method {name!r}; {among(name, METHODS)}")
    if not names:
        raise UsageError(f"name at least one method of {', '.join(METHODS)}")
    return tuple(dict.fromkeys(names))


def get_method(name: str) -> Method:
    """The module of a recognizer (this imports torch)."""
    check_methods([name])
    return cast("Method", importlib.import_module(f"ferclean.recognition.methods.{name}"))
