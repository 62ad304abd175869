"""The grid page: many faces at a glance, for decisions about several of them at once.

It mounts what the browser draws by itself; what a list holds and what a bulk records is in `grid`.
"""

from __future__ import annotations

from urllib.parse import urlencode

from apps.review import grid, parts, style
from apps.review.addresses import NAMES
from apps.review.sitting import Sitting
from ferclean.printable import printable
from ferclean.steps.review import OFFER

_KEPT = ("queue", "blind", "whose", "reviewer", "workspace")
_MAP = (
    ("← → ↑ ↓", "go from face to face; with Shift choose them on the way"),
    (
        "Space",
        "choose the face, or choose it no longer; also a click; Shift and a click: all between; drag: all inside",
    ),
    ("Ctrl A", "choose all that match, also those that are not on the screen"),
    ("Enter", "decide what is chosen as the list above says; of a group of alike faces: all that are left in it"),
    ("1 2 3 …", "set the label with that number"),
    ("K", "keep the given label"),
    ("A", "ambiguous: people would not agree"),
    ("X", "exclude: no readable face, or not fit for use"),
    ("S", "skip: decide later"),
    ("U", "undo the last act; one undo takes a whole bulk back"),
    ("O", "open the face alone; also a double click"),
    ("Esc", "choose none"),
    ("?", "this map"),
)


def draw(at: Sitting) -> None:
    """Mount the grid, or say that there is nothing to draw."""
    if not at.desk.items:
        style.notice("Nothing to review yet", "Run `ferclean score` and `ferclean triage` first, then read again.")
        return
    blind = at.filters.blind
    choices = [("keep", "keep"), ("ambiguous", "ambiguous"), ("exclude", "exclude"), ("skip", "skip")]
    choices += [(f"relabel:{name}", f"relabel: {printable(name)}") for name in at.desk.classes]
    first = ("", "choose a decision") if blind else (OFFER, "what each verdict proposes")
    asked = parts.asked() | {"reviewer": at.desk.reviewer, "workspace": str(at.desk.ws.root)}
    parts.grid(
        store=at.store,
        address=urlencode(asked),
        names=list(NAMES),
        kept=list(_KEPT),
        blind=blind,
        classes=[(name, printable(name)) for name in at.desk.classes],
        decisions=[first, *choices],
        orders=grid.orders(blind=blind),
        map=_MAP,
    )
