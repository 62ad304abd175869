"""The grid page: many faces at a glance, for decisions about several of them at once.

It draws and passes on what was chosen; a bulk is one act, recorded and taken back as a whole.
"""

from __future__ import annotations

import uuid
from typing import Any

import streamlit as st

from apps.review import parts, sitting, style
from apps.review.sitting import Sitting
from ferclean.errors import FercleanError
from ferclean.printable import printable
from ferclean.review import beside as faces_beside
from ferclean.steps import review

_COLUMNS, _ROWS = 8, 3
_SIDE = 160
_OFFER = "what each verdict proposes"
_RESTS = "on the grid tick faces and choose a decision above; single keys decide on the review page"
_DONE = {"relabel": "relabelled", "keep": "kept", "ambiguous": "ambiguous", "exclude": "excluded"}


def draw(at: Sitting) -> None:
    """Draw one page of undecided faces, and the bar that decides about the chosen ones."""
    waiting = [sample_id for sample_id in at.selection if sample_id not in at.desk.standing]
    if not waiting:
        style.notice("Nothing left here", "No undecided face matches the filters.")
        st.button("`U` Undo the last", key="grid_undo", on_click=_undo)
        parts.keys({"u": "grid_undo"}, face="")
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
    parts.keys({"u": "grid_undo"}, face="", rests=dict.fromkeys("kaxs", _RESTS))


def _bar(at: Sitting, waiting: list[str], shown: list[str], chosen: list[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(f"Choose these {len(shown)}", key="choose_shown", on_click=_choose, args=(shown,))
        st.button(f"Choose all {len(waiting):,}", key="choose_all", on_click=_choose, args=(waiting,))
        st.button("Choose none", key="choose_none", on_click=_choose, args=([],), disabled=not chosen)
        options = ["keep", "ambiguous", "exclude", *(f"relabel: {name}" for name in at.desk.classes)]
        blind = at.filters.blind
        what = st.selectbox(
            "Decision", options if blind else [_OFFER, *options], index=None if blind else 0, key="bulk_action",
            placeholder="Choose a decision", label_visibility="collapsed", width=240, format_func=printable,
        )  # fmt: skip
        plan = None if what is None else review.plan_bulk(at.desk, chosen, **_meaning(what))
        count = len(plan.sample_ids) if plan else 0
        st.button(
            f"Decide {count:,}", key="bulk_decide", type="primary", disabled=not count, on_click=_decide,
            args=(chosen, what, False),
        )  # fmt: skip
        st.button("`U` Undo", key="grid_undo", on_click=_undo)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", height=40, border=False):
        if plan is not None and st.session_state.get("sure_of") == (chosen, what):
            st.html(
                f'<div class="fc fc-status trouble" role="status">{parts.escape(_told(plan))}: are so many meant?</div>'
            )
            st.button(f"Yes, decide {count:,}", key="sure", on_click=_decide, args=(chosen, what, True))
            st.button("No", key="unsure", on_click=_not_meant)
            return
        kind, text = st.session_state.get("status", ("", ""))
        if plan is not None and chosen:
            kind, text = "", _told(plan)
        st.html(f'<div class="fc fc-status {kind}" role="status">{parts.escape(text)}</div>')


def _told(plan: review.Bulk) -> str:
    """What a bulk does and what it leaves out."""
    done = " · ".join(f"{plan.actions[action]:,} {said}" for action, said in _DONE.items() if action in plan.actions)
    return f"{len(plan.sample_ids):,} faces: {done or 'none'}{plan.left_out}"


def _meaning(what: str) -> dict[str, Any]:
    action, _, label = (review.OFFER, "", "") if what == _OFFER else what.partition(": ")
    return {"action": action, "label": label or None}


def _tile(at: Sitting, sample_id: str, picture: faces_beside.Picture) -> None:
    # among shuffled faces the mark would tell which ones the model has flagged
    drawn = sample_id in at.desk.random_checks and (at.filters.audit or not at.filters.blind)
    st.html(style.tile(at.desk.items[sample_id], picture, hidden=at.filters.blind, drawn=drawn))
    if drawn:
        st.button("Decide alone", key=f"alone_{sample_id}", on_click=_alone, args=(sample_id,))
        return
    key = f"chosen_{sample_id}"
    st.session_state[key] = bool(st.session_state.get("chosen", {}).get(sample_id))
    st.checkbox("Choose", key=key, on_change=_toggle, args=(sample_id,))


def _alone(sample_id: str) -> None:
    sitting.go(sample_id, page="review")


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


def _decide(sample_ids: list[str], what: str, sure: bool) -> None:
    at = sitting.open_sitting()
    st.session_state.pop("sure_of", None)
    meaning = _meaning(what)
    if not sure and review.plan_bulk(at.desk, sample_ids, **meaning).asks:
        st.session_state["sure_of"] = (sample_ids, what)
        return
    try:
        done = review.decide_bulk(
            at.desk, sample_ids, **meaning, model_hidden=at.filters.blind, bulk_id=uuid.uuid4().hex
        )
    except FercleanError as error:
        sitting.say(f"Not recorded: {error}", kind="trouble")
        return
    _choose([])
    sitting.say(f"{_told(done)}. One undo takes all of them back.")


def _not_meant() -> None:
    st.session_state.pop("sure_of", None)


def _undo() -> None:
    if undone := sitting.take_back(sitting.open_sitting()):
        sitting.say(f"Undone: {len(undone):,} decisions")
