"""One face of the queue, and what its verdict proposes to do about it: the same on every screen and for every bulk.

It records nothing; what is proposed is done only by a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ferclean.missing import is_missing


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What the primary key and the default of a bulk would record."""

    action: str
    """keep, relabel, ambiguous or exclude."""
    label: str | None
    """The new label of a relabel, else None."""
    verdict: str
    """Why: the verdict that it follows from."""


def offer(*, verdict: str, given_label: str | None, suggested_label: str | None) -> Offer | None:
    """The action that follows from a verdict; None where none does, and a person has to choose.

    An unusable face is excluded, whatever label is suggested for it; so are the later one of two copies and the copy
    of an image of another split, which only otherwise clean faces are called. An ambiguous face is marked so. A clean
    one is kept. A mislabelled one takes the suggested label; where that is the given one, it is kept.

    >>> offer(verdict="unusable", given_label="fear", suggested_label="anger").action
    'exclude'
    >>> offer(verdict="mislabelled", given_label="fear", suggested_label=None) is None
    True
    """
    action, label = {
        "unusable": ("exclude", None),
        "duplicate": ("exclude", None),
        "leak": ("exclude", None),
        "ambiguous": ("ambiguous", None),
        "clean": ("keep", None),
        "mislabelled": ("relabel", suggested_label),
    }[verdict]
    if action == "relabel" and label is not None and label == given_label:
        action, label = "keep", None
    if (action == "relabel" and label is None) or (action == "keep" and given_label is None):
        return None
    return Offer(action=action, label=label, verdict=verdict)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One face of the queue, with everything that triage says about it."""

    sample_id: str
    source_key: str
    split: str
    given_label: str | None
    suggested_label: str | None
    verdict: str
    rank: int
    """1 = look first."""
    label_quality: float | None
    """In [0, 1], low = likely mislabelled."""
    p_mislabelled: float | None
    p_ambiguous: float | None
    p_unusable: float | None
    p_clean: float | None
    pred_probs: tuple[float, ...] | None
    """Out-of-fold, in the order of the classes; calibrated, as the reasons tell them."""
    reasons: tuple[str, ...]
    run_id: str
    """The triage run that said so."""
    method_votes: tuple[str, ...] = ()
    """The class that each recognizer finds most probable; one entry per recognizer."""
    drawn_at_random: bool = False
    """Its rank is by a random draw, to measure how many errors are left; not by what the model thinks of it."""

    @property
    def p_verdict(self) -> float | None:
        """How probable the verdict is; None for one that is found and not estimated (copies)."""
        return {
            "mislabelled": self.p_mislabelled, "ambiguous": self.p_ambiguous, "unusable": self.p_unusable,
            "clean": self.p_clean,
        }.get(self.verdict)  # fmt: skip

    @property
    def offer(self) -> Offer | None:
        """What the verdict proposes."""
        return offer(verdict=self.verdict, given_label=self.given_label, suggested_label=self.suggested_label)

    def shown(self) -> dict[str, Any]:
        """What the model showed, as it is kept beside a decision."""
        names = ("suggested_label", "verdict", "rank", "label_quality", "pred_probs", "method_votes", "run_id")
        return {name: getattr(self, name) for name in names}


def item_of(row: Mapping[Any, Any]) -> Item:
    """The face of a row of `ferclean.store.table.queue`."""
    numbers = ("label_quality", "p_mislabelled", "p_ambiguous", "p_unusable", "p_clean")
    probs, reasons, votes = row["pred_probs"], row["reasons"], row["method_votes"]
    return Item(
        sample_id=row["sample_id"], source_key=row["source_key"], split=row["split"],
        given_label=_text(row["given_label"]), suggested_label=_text(row["suggested_label"]),
        verdict=row["verdict"], rank=int(row["rank"]),
        run_id=row["run_id"], drawn_at_random=bool(row["drawn_at_random"]),
        pred_probs=None if probs is None else tuple(float(value) for value in probs),
        reasons=tuple(str(reason) for reason in reasons) if _is_filled(reasons) else (),
        method_votes=tuple(votes.values()) if _is_filled(votes) else (),
        **{name: None if is_missing(row[name]) else float(row[name]) for name in numbers},
    )  # fmt: skip


def _text(value: Any) -> str | None:
    # pandas says "nothing" in several ways, depending on what else stands in the column
    return value if isinstance(value, str) else None


def _is_filled(value: Any) -> bool:
    return value is not None and not isinstance(value, float) and len(value) > 0
