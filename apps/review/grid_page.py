"""The grid page: many faces at a glance, for decisions about several of them at once.

It draws and passes on what was chosen; a bulk is one act, recorded and taken back as a whole.
"""

from __future__ import annotations

import uuid

import streamlit as st

from apps.review import parts, sitting, style
from apps.review.sitting import Sitting
from ferclean.errors import FercleanError
from ferclean.printable import printable
from ferclean.steps import faces_beside, review

_COLUMNS, _ROWS = 8, 3
_SIDE = 160
_ACCEPT = "accept the suggestions"


def draw(at: Sitting) -> None:
    """Draw one page of undecided faces, and the bar that decides about the chosen ones."""
    waiting = [sample_id for sample_id in at.selection if sample_id not in at.desk.standing]
    parts.keys({"u": "grid_undo"}, face="")
    if not waiting:
        style.notice("Nothing left here", "No undecided face matches the filters.")
        st.button("`U` Undo the last", key="grid_undo", on_click=_undo)
        return
    size = _COLUMNS * _ROWS
    last = (len(waiting) - 1) // size
    sheet = min(int(st.session_state.get("sheet", 0)), last)
    shown = waiting[sheet * size : (sheet + 1) * size]
    chosen = [sample_id for sample_id in waiting if st.session_state.get("chosen", {}).get(sample_id)]
    _bar(at, waiting, shown, chosen)
    pictures = faces_beside.pictures(at.album, [(sample_id, _SIDE) for sample_id in shown])
    for start in range(0, len(shown), _COLUMNS):
        for column, sample_id in zip(st.columns(_COLUMNS), shown[start : start + _COLUMNS], strict=False):
            with column:
                _tile(at, sample_id, pictures[sample_id, _SIDE])
    _pager(sheet, last)


def _bar(at: Sitting, waiting: list[str], shown: list[str], chosen: list[str]) -> None:
    kind, text = st.session_state.get("status", ("", ""))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(f"Choose these {len(shown)}", key="choose_shown", on_click=_choose, args=(shown,))
        st.button(f"Choose all {len(waiting):,}", key="choose_all", on_click=_choose, args=(waiting,))
        st.button("Choose none", key="choose_none", on_click=_choose, args=([],), disabled=not chosen)
        options = ["keep", "ambiguous", "exclude", *(f"relabel: {name}" for name in at.desk.classes)]
        options = options if at.filters.blind else [_ACCEPT, *options]
        what = st.selectbox(
            "Decision", options, key="bulk_action", label_visibility="collapsed", width=220, format_func=printable
        )
        st.button(
            f"Decide {len(chosen):,}", key="bulk_decide", type="primary", disabled=not chosen, on_click=_decide,
            args=(chosen, what),
        )  # fmt: skip
        st.button("`U` Undo", key="grid_undo", on_click=_undo)
        st.html(f'<div class="fc fc-status {kind}" role="status">{parts.escape(text)}</div>')


def _tile(at: Sitting, sample_id: str, picture: faces_beside.Picture) -> None:
    item = at.desk.items[sample_id]
    st.html(style.tile(item.source_key, item.given_label, None if at.filters.blind else item.suggested_label, picture))
    key = f"chosen_{sample_id}"
    st.session_state[key] = bool(st.session_state.get("chosen", {}).get(sample_id))
    st.checkbox("Choose", key=key, on_change=_toggle, args=(sample_id,))


def _pager(sheet: int, last: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="center"):
        st.button("←", key="sheet_back", on_click=_turn, args=(sheet - 1,), disabled=sheet == 0)
        st.html(f'<div class="fc num">Page {sheet + 1:,} of {last + 1:,}</div>', width="content")
        st.button("→", key="sheet_forth", on_click=_turn, args=(sheet + 1,), disabled=sheet == last)


def _choose(sample_ids: list[str]) -> None:
    st.session_state["chosen"] = dict.fromkeys(sample_ids, True)


def _toggle(sample_id: str) -> None:
    st.session_state.setdefault("chosen", {})[sample_id] = st.session_state[f"chosen_{sample_id}"]


def _turn(sheet: int) -> None:
    st.session_state["sheet"] = sheet


def _decide(sample_ids: list[str], what: str) -> None:
    at = sitting.open_sitting()
    action, _, label = ("accept", "", "") if what == _ACCEPT else what.partition(": ")
    try:
        review.decide_many(
            at.desk, sample_ids, action, label=label or None, model_hidden=at.filters.blind, bulk_id=uuid.uuid4().hex
        )
    except FercleanError as error:
        sitting.say(f"Not recorded: {error}", kind="trouble")
        return
    _choose([])
    sitting.say(f"{len(sample_ids):,} faces: {what}. One undo takes all of them back.")


def _undo() -> None:
    at = sitting.open_sitting()
    try:
        undone = review.undo(at.desk)
    except FercleanError as error:
        sitting.say(f"Not undone: {error}", kind="trouble")
        return
    sitting.say(f"Undone: {len(undone):,} decisions" if undone else "Nothing to undo", kind="saved" if undone else "")
