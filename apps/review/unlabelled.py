"""A face in double-blind mode: neither the given label nor anything of the model leaves the server; a person names it.

What is sent is listed here, so that nothing new about a face reaches the browser unasked.
"""

from __future__ import annotations

from typing import Any

from apps.review.parts import escape
from apps.review.sitting import Sitting
from ferclean.errors import UsageError
from ferclean.review.beside import Picture
from ferclean.review.desk import last_word
from ferclean.review.offers import Item
from ferclean.review.sharing import Others
from ferclean.store.standing import Word

NO_KEEP = "double-blind: the given label is hidden, so there is none to keep; answer with the class that the face shows"
_HIDDEN = '<div class="box none"><small>{} label</small><strong>hidden</strong></div>'


def card(
    at: Sitting, item: Item, picture: Picture, others: Others, *, beside: str, stands: dict[str, Any] | None
) -> dict[str, Any]:
    """What the browser is given; `beside` are clear faces of each class, none of this selection, and `stands` what the
    reviewer answered earlier.

    The file's name, which often holds the label, is hidden too.
    """
    order = "in a random order" if at.filters.audit else "shuffled"
    return {
        "id": item.sample_id,
        "name": name(at, item.sample_id),
        "picture": picture.uri,
        "trouble": "This picture cannot be shown." if picture.trouble else "",
        "given": None,
        "suggested": None,
        "offer": None,
        "offered": "Off: double-blind",
        # to keep the given label and to choose its class is one answer
        "stands": stands and {**stands, "action": {"keep": "relabel"}.get(stands["action"], stands["action"])},
        "seen": last_word(at.desk, item.sample_id),
        "caption": f'<span class="name">{name(at, item.sample_id)}</span><span>{escape(item.split)}</span>'
        f"{_others(others)}",
        "labels": f'<div class="fc fc-labels">{_HIDDEN.format("given")}<div class="arrow">→</div>'
        f'{_HIDDEN.format("suggested")}</div>',
        "evidence": '<div class="fc fc-blind">Double-blind: which class does this face show? The given label, its '
        f"file's name and everything that the model thinks are hidden; faces come {order}.</div>",
        "beside": beside,
        "hidden": True,
        "unlabelled": NO_KEEP,
        "by_choice": False,
        "run_id": item.run_id,
    }  # fmt: skip


def name(at: Sitting, sample_id: str) -> str:
    """What a face is called: its place among those that are looked at."""
    place = at.selection.place_of(sample_id)
    return (
        "this face" if place is None or at.desk.checks is not None else f"face {place + 1:,} of {len(at.selection):,}"
    )


def word(newer: Word) -> dict[str, Any]:
    """That an answer stands already, not which."""
    who = "settled" if newer.adjudicates else "yours in another tab"
    return {
        "decision_id": newer.decision_id,
        "said": "the earlier answer",
        "who": f"{who} at {newer.decided_at:%H:%M} UTC",
    }


def check(action: str) -> None:
    """Raise UsageError for an answer that supposes that the given label was seen."""
    if action == "keep":
        raise UsageError(NO_KEEP)


def _others(others: Others) -> str:
    """Who answered, after the reviewer has; what they said could tell the given label."""
    if others.awaited:
        return '<span class="others">a face for two: the other answer is still to come</span>'
    who = escape(", ".join(dict.fromkeys(said.reviewer for said in others.words)))
    return f'<span class="others" title="{who}">also answered by {who}</span>' if who else ""
