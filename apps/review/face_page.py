"""The face page: one face after the other, from a deck that the browser holds, or a word where there is none.

It draws; what the deck shows and takes is in `deck`, what an answer means in `ferclean.steps.answers`.
"""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from apps.review import parts, rounds, sitting, style, unlabelled
from apps.review.sitting import Sitting
from ferclean.printable import printable

_RESTS = {
    "blind": "in blind mode there is no suggestion to accept; choose an answer of your own",
    "double": unlabelled.NO_KEEP,
    "none": "the verdict proposes nothing for this face; choose an answer of your own",
}
_MEANT = {
    "keep": "Keep: the given label is right",
    "ambiguous": "Ambiguous: people would not agree on one expression",
    "exclude": "Exclude: no readable face, or not fit for use; it is left out of releases",
    "skip": "Skip: decide later; the face comes again when the others are done",
}
_SEEN = "You see one face at a time: the label that it was given, the one that is suggested instead, and why."
_BLIND = "You see one face at a time, and nothing of what the model thinks of it. Say what the face shows."
_WELCOME = (
    "A number gives the face that label. Enter does what the blue button says. K: the given label is right.",
    "A: people would not agree (ambiguous). X: no readable face (exclude). S: later (skip).",
    "U takes the last answer back. Every answer is saved at once, so stop whenever you like.",
    "The line at the top says how many are left; ? shows all keys.",
)
_MAP = (
    ("1 2 3 …", "set the label with that number"),
    ("Enter", "what the verdict proposes; its button says what: accept the suggestion, keep, ambiguous, exclude"),
    ("K", "keep the given label"),
    ("A", "ambiguous: people would not agree"),
    ("Shift A", "ambiguous, and which two expressions, how much of each: 1 2, ← →, Enter"),
    ("X", "exclude: no readable face, or not fit for use"),
    ("S", "skip: decide later"),
    ("U", "undo the last decision, also after a restart"),
    ("← →", "look at the previous or next face without deciding"),
    ("G", "the team's guidelines, beside the face"),
    ("H", "history: everything that was ever said about this face"),
    ("?", "this map"),
)


def draw(at: Sitting) -> None:
    """Draw the deck, or say that there is no face, or that a teaching round is over."""
    if rounds.draw(at):
        return
    if at.current is None:
        _nothing(at)
        return
    asked = {name: value for name, value in st.query_params.items() if name not in ("sample", "page", "mixed")}
    parts.deck(
        store=at.store,
        # named, so that a tab that outlives its server tells another workspace's nothing
        address=urlencode(asked | {"reviewer": at.desk.reviewer, "workspace": str(at.desk.ws.root)}),
        classes=[(name, printable(name)) for name in at.desk.classes],
        rests=_RESTS,
        map=_MAP,
        meant=_MEANT,
        welcome=[_BLIND if at.filters.blind else _SEEN, *_WELCOME],
        mixed=st.query_params.get("mixed") == "1",
    )


def _nothing(at: Sitting) -> None:
    if not at.desk.items:
        style.notice("Nothing to review yet", "Run `ferclean score` and `ferclean triage` first, then read again.")
    elif at.filters.audit and not at.selection:
        style.notice("No audit was drawn", "Run `ferclean audit` first, then read again.")
    elif not at.selection and _own(at):
        style.notice("No face of yours", "The team's plan gives these faces to others, or others answered them.")
    elif not at.selection:
        style.notice("No face matches", "No face has this verdict and these labels. Clear a filter to see more.")
    else:
        following = "audit" if at.filters.audit else "release NAME"
        part = " of your part" if _own(at) else ""
        style.notice("All decided", f"All {len(at.selection):,} faces{part} are decided. Next: ferclean {following}")
    _, middle, _ = st.columns([2, 1, 2])
    with middle:
        if at.selection and at.desk.items:
            st.button("`U` Undo the last", key="do_undo_end", on_click=sitting.take_back, width="stretch")
            st.button("Look through them", key="look", on_click=sitting.go, args=(at.selection[0],), width="stretch")
        else:
            st.button("Read the workspace again", key="reread_end", on_click=sitting.forget, width="stretch")
        if _own(at):
            st.button("Everybody's faces", key="everybody", on_click=sitting.go_to_all, width="stretch")
    kind, text = st.session_state.get("status", ("", "Every decision is saved at once."))
    st.html(f'<div class="fc fc-status {kind}" role="status">{parts.escape(text)}</div>')
    parts.keys({"u": "do_undo"}, face="")


def _own(at: Sitting) -> bool:
    """A part of the team's queue is shown."""
    share = at.desk.share
    return share is not None and share.member and not at.filters.everyone and not at.filters.audit
