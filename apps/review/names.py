"""Who reviews: whoever is signed in; where nobody signs in, the name in the address, else the one that this browser
remembers, else a question where a team shares the queue.

Without sign-in the name is a word, not a proof: the screen serves this machine alone, and who sits at it is believed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from apps.review import parts, signed_in, style
from apps.review.desks import workspace_path
from apps.review.kept import kept
from ferclean.errors import FercleanError
from ferclean.review.sharing import plan_of
from ferclean.store.workspace import Workspace


def asked() -> bool:
    """Let the browser remember a name that was chosen here; True where the page now asks who reviews, or to sign in."""
    if signed_in.required():
        return not _entered()
    named = bool(st.query_params.get("reviewer") or os.environ.get("FERCLEAN_REVIEWER"))
    parts.remembered(chosen=st.session_state.get("chosen_name"), asks=not named, on_known=_known)
    if named or (plan := kept(_workspace(), plan_of)) is None:
        return False
    _ask(plan.reviewers)
    return True


def _workspace() -> Workspace:
    """The workspace of this screen, opened once for each tab."""
    root, known = Path(workspace_path()).expanduser().resolve(), st.session_state.get("names_workspace")
    if known is None or known.root != root:
        known = st.session_state["names_workspace"] = Workspace.open(root)
    opened: Workspace = known
    return opened


def choose(name: str) -> None:
    """Go on under this name, which the browser is told to remember."""
    if name.strip():
        st.session_state["chosen_name"] = name.strip()
        st.query_params["reviewer"] = name.strip()


def _entered() -> bool:
    """Whether somebody is signed in who may review; an address that names another reviewer is mended, with a word."""
    try:
        name = signed_in.name()
    except signed_in.NotSignedInError:
        _stop("Sign in to review", "Answers are recorded under your e-mail address.", "Sign in", st.login)
        return False
    except FercleanError as error:
        _stop("You may not review here", str(error), "Sign out", st.logout)
        return False
    if (named := st.query_params.pop("reviewer", None)) not in (None, name):
        st.toast(parts.inert(f"This address names {named}; you are signed in as {name}, and answer as yourself."))
    return True


def _stop(title: str, message: str, button: str, act: Callable[[], None]) -> None:
    _, middle, _ = st.columns([1, 2, 1])
    with middle, st.container(key="who"):
        style.notice(title, message)
        st.button(button, key="who_enters", type="primary", on_click=act, width="stretch")


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
