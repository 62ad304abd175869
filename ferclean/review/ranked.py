"""The queue as the desk keeps it: narrow columns of all its faces, and whole faces for those that are shown.

It records nothing. A face is read when somebody looks at it, together with those that follow it in the queue.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ferclean.errors import UsageError
from ferclean.parts.calibrated import at_temperature
from ferclean.review.offers import Item, Offer, item_of, offer
from ferclean.store.particulars import Particulars, particulars
from ferclean.store.table import Ranked, sample_rows
from ferclean.store.verdicts import KINDS
from ferclean.store.workspace import Workspace

_PAGE = 32  # faces that are read together: a sheet of the grid and some more
_KEPT = 2048  # whole faces that stay in memory, 1 to 2 KB each


class JudgedAnewError(UsageError):
    """Another triage judged the faces since the desk was opened: it shows another queue."""


@dataclass(frozen=True, kw_only=True)
class Faces(Mapping[str, Item]):
    """The faces of the queue by sample id, in rank order; none is read before it is asked for."""

    ws: Workspace
    ranked: Ranked
    temperature: float
    """At which probabilities are shown (`parts.calibrated`)."""
    place: dict[str, int]
    """Sample id -> row of `ranked`."""
    kept: dict[str, Item]
    lock: threading.RLock = field(default_factory=threading.RLock, compare=False, repr=False)
    """Held while faces are read: several tabs may share them."""

    def __getitem__(self, sample_id: str) -> Item:
        """The face; read with the following ones where it is not at hand. Raises KeyError for one of another queue."""
        with self.lock:
            if sample_id not in self.kept:
                start = self.place[sample_id]
                self.read(self.ranked.ids[start : start + _PAGE])
            return self.kept[sample_id]

    def __iter__(self) -> Iterator[str]:
        """The sample ids, best first."""
        return iter(self.ranked.ids)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.ranked.ids)

    def __contains__(self, sample_id: object) -> bool:
        """Without reading it."""
        return sample_id in self.place

    def read(self, sample_ids: Sequence[str]) -> dict[str, Item]:
        """These faces, those that are not at hand in one reading. Raises JudgedAnewError where another triage did.

        All of the named ones are in the answer, also where they are more than what is kept.
        """
        with self.lock:
            missing = [sample_id for sample_id in sample_ids if sample_id not in self.kept]
            found = {sample_id: self.kept[sample_id] for sample_id in sample_ids if sample_id in self.kept}
            if missing:
                rows = sample_rows(self.ws, missing, triage=self.ranked.run_id)
                rows["pred_probs"] = at_temperature(rows["pred_probs"], self.temperature)
                if len(rows) < len(missing) or rows["rank"].isna().any():
                    raise JudgedAnewError(
                        "the faces were judged anew since this page was opened; read the workspace again"
                    )
                found |= {row["sample_id"]: item_of(row) for row in rows.to_dict("records")}
                if len(self.kept) + len(missing) > _KEPT:
                    self.kept.clear()
                self.kept.update(found)
            return found

    @cached_property
    def particulars(self) -> Particulars:
        """What the source says about them, read when it is first asked for."""
        with self.lock:
            return particulars(self.ws, self.ranked.run_id)

    def given(self, sample_id: str) -> str | None:
        """The given label, without reading the face."""
        return self.ranked.label(self.ranked.given[self.place[sample_id]])

    def offer(self, sample_id: str) -> Offer | None:
        """What the verdict proposes, without reading the face."""
        return offer_at(self.ranked, self.place[sample_id])


def offer_at(queue: Ranked, row: int) -> Offer | None:
    """What the verdict of a row of the queue proposes."""
    return offer(
        verdict=KINDS[queue.verdict[row]], given_label=queue.label(queue.given[row]),
        suggested_label=queue.label(queue.suggested[row]),
    )  # fmt: skip


def asked_for(queue: Ranked, kinds: Sequence[str] = ()) -> np.ndarray:
    """(n,) bool: rows of the queue with these verdicts.

    Without any: every one but clean and ambiguous, as long as there are others, and every random draw.
    """
    present = [KINDS[code] for code in np.unique(queue.verdict)]
    wanted = kinds or [kind for kind in present if kind not in ("clean", "ambiguous")] or present
    chosen = np.isin(queue.verdict, [KINDS.index(kind) for kind in wanted])
    # draws that were shown only where their verdict is bad would be a random sample no more
    return chosen if kinds else chosen | queue.drawn


def p_offer(queue: Ranked, rows: Any = slice(None)) -> np.ndarray:
    """The chance that a person answers what the verdict proposes: (n,) in [0, 1], of `rows` (n,) of the queue, or all.

    NaN where it is not known, as of copies, which are found and not estimated.
    """
    verdict, p_ambiguous, p_unusable = queue.verdict[rows], queue.p_ambiguous[rows], queue.p_unusable[rows]
    usable = 1 - p_ambiguous - p_unusable
    chance = {
        "mislabelled": queue.p_suggested[rows] * usable, "ambiguous": p_ambiguous, "unusable": p_unusable,
        "clean": usable - queue.p_mislabelled[rows],
    }  # fmt: skip
    return np.select([verdict == KINDS.index(name) for name in chance], list(chance.values()), default=np.nan)


def flow_of(queue: Ranked) -> np.ndarray:
    """One number per verdict, given and suggested label: (N,)."""
    width = len(queue.classes) + 1
    return (queue.verdict.astype(np.int64) * width + queue.given + 1) * width + queue.suggested + 1


class Selection(Sequence[str]):
    """Some faces of the queue in the order in which they are looked at: rows inside, sample ids outside."""

    def __init__(self, faces: Faces, rows: np.ndarray) -> None:
        """`rows` (n,) of `faces.ranked`, each once."""
        self.faces, self.rows = faces, rows
        self.turn: np.ndarray = np.full(len(faces), -1, dtype=np.int32)
        self.turn[rows] = np.arange(len(rows))

    def __len__(self) -> int:
        """How many."""
        return len(self.rows)

    def __getitem__(self, at: Any) -> Any:
        """The id at a place, or the ids of a slice."""
        if isinstance(at, slice):
            return [self.faces.ranked.ids[row] for row in self.rows[at]]
        return self.faces.ranked.ids[self.rows[at]]

    def __contains__(self, sample_id: object) -> bool:
        """Without looking through it."""
        return self.place_of(sample_id) is not None

    def __eq__(self, other: object) -> bool:
        """The same ids in the same order, in a list or another selection."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def index(self, sample_id: str, *_: int) -> int:
        """The place of a face. Raises ValueError where it is not among them."""
        place = self.place_of(sample_id)
        if place is None:
            raise ValueError(f"{sample_id!r} is not in this selection")
        return place

    def place_of(self, sample_id: object) -> int | None:
        """The place of a face; None where it is not among them."""
        row = self.faces.place.get(sample_id) if isinstance(sample_id, str) else None
        turn = -1 if row is None else int(self.turn[row])
        return None if turn < 0 else turn
