"""Who reviews: the name in the address, else the one that this browser remembers, else a question where a team shares
the queue.

The name is a word, not a proof: the screen serves this machine alone, and whoever sits at it is believed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import streamlit as st

from apps.review import parts, style
from apps.review.desks import workspace_path
from ferclean.review.sharing import plan_of
from ferclean.store.workspace import Workspace


def asked() -> bool:
    """Let the browser remember a name that was chosen here; True where the page now asks who reviews."""
    named = bool(st.query_params.get("reviewer") or os.environ.get("FERCLEAN_REVIEWER"))
    parts.remembered(chosen=st.session_state.get("chosen_name"), asks=not named, on_known=_known)
    if named or (plan := plan_of(Workspace.open(workspace_path()))) is None:
        return False
    _ask(plan.reviewers)
    return True


def choose(name: str) -> None:
    """Go on under this name, which the browser is told to remember."""
    if name.strip():
        st.session_state["chosen_name"] = name.strip()
        st.query_params["reviewer"] = name.strip()


def _ask(reviewers: Sequence[str]) -> None:
    _, middle, _ = st.columns([1, 2, 1])
    # the browser may know the name: it then says so before this is seen
    with middle, st.container(key="who"):
        style.notice("Who reviews?", "A team shares these faces. This browser remembers your name.")
        for number, name in enumerate(reviewers):
            st.button(parts.inert(name), key=f"who_{number}", on_click=choose, args=(name,), width="stretch")
        st.text_input("Another name", key="who_else", on_change=_chosen, max_chars=80)


def _chosen() -> None:
    choose(st.session_state["who_else"])


def _known(name: str) -> None:
    if name.strip() and not st.query_params.get("reviewer"):
        st.query_params["reviewer"] = name.strip()[:80]
