"""The end of a round of decisions: learn from them here and now, and what that taught.

It draws and passes presses on; what is learned is `ferclean triage`, with the options that it had last.
"""

from __future__ import annotations

import streamlit as st

from apps.review import parts, sitting, style
from apps.review.sitting import Sitting


def draw(at: Sitting) -> bool:
    """Draw what stands at the end of a round, in place of a face; False where there is none to end."""
    if st.session_state.pop("learn", False):
        _learn_now(at)
    if st.session_state.get("tell_lesson"):
        _told(at)
        return True
    plain = not at.filters.narrowed and not at.filters.audit
    if plain and at.teaching.over and st.session_state.get("went_on") != at.teaching.size:
        _over(at)
        return True
    return False


def learn_button(*, primary: bool = False) -> None:
    """The button that learns from what was decided since the latest triage; `primary`: Enter presses it too."""
    st.button(
        "`Enter` Learn from them" if primary else "Learn from the decisions",
        key="learn_now", on_click=_ask_to_learn, width="stretch",
        type="primary" if primary else "secondary", help="The same as ferclean triage",
    )  # fmt: skip


def _over(at: Sitting) -> None:
    style.notice(
        "Teaching round done",
        f"{at.teaching.decided:,} random faces are decided. ferclean now learns from them what is true in the whole "
        "set; after that the queue shows the likeliest errors first.",
    )
    with parts.middle():
        learn_button(primary=True)
        st.button("Later", key="later", on_click=_go_on, args=(at.teaching.size,), width="stretch")
    parts.keys({"enter": "learn_now"}, face="")


def _told(at: Sitting) -> None:
    words = at.desk.learned.words or "nothing yet: these decisions are too few"
    style.notice("What the decisions taught", f"{words[0].upper()}{words[1:]}.")
    with parts.middle():
        st.button("`Enter` Go on", key="go_on", type="primary", on_click=_go_on, args=(at.teaching.size,),
                  width="stretch")  # fmt: skip
    parts.keys({"enter": "go_on"}, face="")


def _learn_now(at: Sitting) -> None:
    from ferclean.steps.triage import triage_again

    with st.spinner("Learning from what was decided"):
        triage_again(at.desk.ws)
    sitting.forget()
    sitting.go(None)
    st.session_state["tell_lesson"] = True
    st.rerun()


def _ask_to_learn() -> None:
    st.session_state["learn"] = True


def _go_on(size: int) -> None:
    st.session_state.pop("tell_lesson", None)
    st.session_state["went_on"] = size
