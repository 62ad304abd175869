"""One reviewer's sitting: what is kept between runs of the page, what stands in the address, and the top line.

It holds no data of its own: the queue, the decisions and their meaning come from `ferclean.steps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from apps.review import names, signed_in
from apps.review.addresses import NAMES, listed, told
from apps.review.desks import Place, at_place, place_of, reviewer_of, workspace_path
from apps.review.parts import escape, inert
from ferclean.errors import FercleanError
from ferclean.parts.teaching import Teaching
from ferclean.review import beside as faces_beside
from ferclean.review.desk import Desk, Filters, Tally, tally, teaching_now
from ferclean.review.ranked import Selection
from ferclean.steps.review import Undone, undo
from ferclean.store.history import history

_MODES = {"open": "All shown", "blind": "Blind", "double": "Double-blind"}
_QUEUES = {"ranked": "Queue", "ambiguous": "Ambiguous faces", "audit": "Audit sample"}


@dataclass(frozen=True)
class _Counted:
    """Shows a filter value with the number of faces behind it."""

    counts: dict[str, int]

    def __call__(self, value: str) -> str:
        return f"{inert(value)} {self.counts[value]:,}"


@dataclass
class Sitting:
    """What a page needs to draw and to record."""

    desk: Desk
    album: faces_beside.Album
    filters: Filters
    selection: Selection
    current: str | None
    """The face in question; None when the selection holds none."""

    @property
    def store(self) -> str:
        """Under what a browser keeps answers until they are recorded: where people sign in, each has a place of their
        own, or those of one would wait in front of the next one's."""
        root = str(self.desk.ws.root)
        return f"{root}|{self.desk.reviewer}" if signed_in.required() else root

    @property
    def teaching(self) -> Teaching:
        """How far the teaching round is at this moment."""
        return teaching_now(self.desk)

    @property
    def teaches(self) -> bool:
        """The queue that is shown begins with the random faces of a teaching round that is not complete."""
        return bool(self.teaching.left) and not self.filters.narrowed and not self.filters.audit


def open_sitting() -> Sitting:
    """The sitting of this browser tab: the reviewer's desk, and what the address asks to look at.

    The workspace is read when the tab opens, then kept in step by decisions.
    """
    opened_for = workspace_path(), reviewer_of(st.query_params.get("reviewer"))
    place = place_of(opened_for[1], anew=st.session_state.get("opened_for") != opened_for)
    st.session_state["opened_for"] = opened_for
    st.session_state["facets"] = place.facets
    filters, selection, current = place.look(st.query_params, anew=True)
    return Sitting(place.desk, place.album, filters, selection, current)


def forget() -> None:
    """Read the workspace again at the next run."""
    st.session_state["deck_turn"] = st.session_state.get("deck_turn", 0) + 1
    st.session_state.pop("opened_for", None)
    go(None)


def go(sample_id: str | None, *, page: str | None = None) -> None:
    """Put the face's id, and the page where another one is asked for, in the address: a reload comes back to it."""
    if page is not None:
        st.query_params["page"] = page
    if sample_id is None:
        st.query_params.pop("sample", None)
    else:
        st.query_params["sample"] = sample_id


def go_to_all() -> None:
    """Look at everybody's faces, not at the reviewer's own alone."""
    _set("whose", "all")


def say(text: str, *, kind: str = "saved") -> None:
    """Keep a line for the page's status row."""
    st.session_state["status"] = (kind, text)


def take_back() -> None:
    """Undo the reviewer's last act, say what it was about, and go there; a check's face is not gone to, for it would be
    known by what was said about it."""
    try:
        undone, name = at_place(st.query_params, _undo)
    except FercleanError as error:
        say(f"Not undone: {error}", kind="trouble")
        return
    if not undone.sample_ids:
        say("Nothing to undo", kind="")
        return
    say(f"Undone: {name}")
    go(None if undone.check else undone.sample_ids[-1])


def _undo(place: Place) -> tuple[Undone, str]:
    undone = undo(place.desk)
    if len(undone.sample_ids) != 1:
        return undone, f"{len(undone.sample_ids):,} decisions"
    [one] = undone.sample_ids
    return undone, history(place.desk.ws, one).source_key


def header(at: Sitting, pages: Sequence[str], more: Sequence[str]) -> str:
    """Draw the top line and return the page that is asked for: one of `pages`, or of `more`, which are in a menu."""
    page = st.query_params.get("page", pages[0])
    page = page if page in (*pages, *more) else pages[0]
    brand, progress, controls = st.container(key="top").columns([1.6, 2.3, 4.4], vertical_alignment="center")
    who = escape(f"reviewed by {at.desk.reviewer}{_whose(at)}")
    brand.html(f'<div class="fc fc-brand"><b>{escape(at.desk.dataset)}</b><span title="{who}">{who}</span></div>')
    if page != pages[0]:  # there the deck says it, after every key
        progress.html(progress_line(at))
    with controls.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small"):
        with st.popover("Filters" + _active(at.filters), key="filters"):
            _filter_controls(at)
        st.session_state["blind"] = "double" if at.filters.double else "blind" if at.filters.blind else "open"
        st.selectbox(
            "Mode", list(_MODES), key="blind", format_func=_MODES.__getitem__, on_change=_set_blind, width=132,
            label_visibility="collapsed",
            help="Blind hides what the model thinks and shuffles the order; double-blind hides the given label too",
        )  # fmt: skip
        st.session_state["page"] = page if page in pages else None
        st.segmented_control(
            "Page", pages, key="page", format_func=str.capitalize, on_change=_set_page, label_visibility="collapsed"
        )
        with st.popover("More" if page in pages else page.capitalize(), key="more"):
            for name in more:
                st.button(
                    name.capitalize(), key=f"page_{name}", type="primary" if name == page else "secondary",
                    on_click=_open_page, args=(name,), width="stretch",
                )  # fmt: skip
            if signed_in.required():
                st.button(
                    "Sign out", key="sign_out", on_click=st.logout, width="stretch",
                    help=f"You are signed in as {inert(at.desk.reviewer)}",
                )  # fmt: skip
    return page


def _whose(at: Sitting) -> str:
    share = at.desk.share
    if share is None or at.filters.audit:  # the audit is one for all
        return ""
    if not share.member:
        return " · not in the team's plan: sees all"
    return " · everybody's faces" if at.filters.everyone else " · own part"


def _active(filters: Filters) -> str:
    queue = _queue(filters)
    if queue != "ranked":
        return f" · {queue}"
    count = sum(map(bool, (filters.kinds, filters.given, filters.suggested))) + len(told(filters))
    return f" · {count}" if count else ""


def _queue(filters: Filters) -> str:
    if filters.audit:
        return "audit"
    return "ambiguous" if filters.kinds == ("ambiguous",) else "ranked"


def _filter_controls(at: Sitting) -> None:
    st.session_state["queue"] = _queue(at.filters)
    st.segmented_control(
        "What to look at", [name for name in _QUEUES if name != "audit" or at.desk.audited or at.filters.audit],
        key="queue", format_func=_QUEUES.__getitem__, on_change=_set_queue,
    )  # fmt: skip
    if not at.filters.audit and not at.filters.double:
        _label_controls(at)
    if at.desk.share is not None and at.desk.share.member and not at.filters.audit:
        st.session_state["everyone"] = at.filters.everyone
        st.toggle(
            "Everybody's faces", key="everyone", on_change=_set_everyone,
            help="Also those that the team's plan gives to others, and those that others answered",
        )  # fmt: skip
    st.session_state["mixed"] = st.query_params.get("mixed") == "1"
    st.toggle(
        "Ask what an ambiguous face shows", key="mixed", on_change=_set_mixed,
        help="A then asks which two expressions, and how much of each; Shift A asks so once",
    )  # fmt: skip
    if not signed_in.required():
        st.session_state["reviewer_name"] = at.desk.reviewer
        st.text_input("Reviewer", key="reviewer_name", on_change=_set_reviewer)
    st.button("Read the workspace again", on_click=forget, key="reread")


def _label_controls(at: Sitting) -> None:
    known = st.session_state["facets"]
    chosen = {"verdict": at.filters.kinds, "given": at.filters.given, "suggested": at.filters.suggested}
    hidden = ("verdict", "suggested") if at.filters.blind else ()
    for name, title in (("verdict", "Verdict"), ("given", "Given label"), ("suggested", "Suggested label")):
        if name in hidden:
            continue
        counts = known[name]
        st.session_state[f"filter_{name}"] = list(chosen[name])
        st.pills(
            title, list(counts), selection_mode="multi", key=f"filter_{name}", on_change=_set_filter, args=(name,),
            format_func=_Counted(counts),
        )  # fmt: skip
    if more := told(at.filters):
        st.caption(inert(" · ".join(more)))
        st.button("Clear these", key="clear_more", on_click=_clear_more)
    if not at.filters.kinds and not at.filters.blind:
        st.caption("No verdict chosen: every face that is judged neither clean nor ambiguous, and the random ones.")


def _set_filter(name: str) -> None:
    values: list[str] = st.session_state[f"filter_{name}"]
    _set(name, listed(values))


def _clear_more() -> None:
    for name in NAMES:
        if name not in ("verdict", "given", "suggested"):
            st.query_params.pop(name, None)
    go(None)


def _set_blind() -> None:
    # the audit is blind unless the address says otherwise
    seen = "0" if st.query_params.get("queue") == "audit" else ""
    _set("blind", {"blind": "1", "double": "2"}.get(st.session_state["blind"], seen))


def _set_mixed() -> None:
    _set("mixed", "1" if st.session_state["mixed"] else "")


def _set_everyone() -> None:
    _set("whose", "all" if st.session_state["everyone"] else "")


def _set_queue() -> None:
    queue = st.session_state["queue"]
    _set("queue", "audit" if queue == "audit" else "")
    _set("verdict", "ambiguous" if queue == "ambiguous" else "")
    _set("blind", "")


def _set_page() -> None:
    if st.session_state["page"]:
        _set("page", st.session_state["page"])


def _open_page(name: str) -> None:
    _set("page", name)


def _set_reviewer() -> None:
    go(None)
    names.choose(st.session_state["reviewer_name"])


def _set(name: str, value: Any) -> None:
    go(None)  # the deck went on since; the browser's address knows, this one does not
    if value:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)


def progress_line(at: Sitting) -> str:
    """How far the reviewer is, in a line and a bar."""
    return _teaching(at.teaching) if at.teaches else _progress(at)


def _teaching(round_: Teaching) -> str:
    done = f"Teaching round: <b>{round_.decided:,}</b> of {round_.size:,} random faces"
    return _bar(done, f"{_duration(round_.minutes_left)} left", round_.decided / round_.size)


def _progress(at: Sitting) -> str:
    count: Tally = tally(at.desk, at.selection)
    words = []
    if at.filters.narrowed and at.teaching.left:
        words.append("not part of the teaching round")
    if count.skipped:
        words.append(f"{count.skipped:,} skipped")
    if count.per_minute and count.minutes_left is not None:
        words.append(f"{count.per_minute:.0f} a minute, {_duration(count.minutes_left)} left")
    if not at.filters.blind and count.total > count.done:
        words.append(f"about {count.expected_errors:,.0f} errors to find")
    what = "of the audit decided" if at.filters.audit else "decided"
    done = f"<b>{count.done:,}</b> of {count.total:,} {what}"
    return _bar(done, " · ".join(words), count.done / count.total if count.total else 0.0)


def _bar(done: str, words: str, share: float) -> str:
    """`done` is HTML; `words` are escaped."""
    return (
        f'<div class="fc fc-progress"><div class="words num"><span>{done}</span><span>{escape(words)}</span></div>'
        f'<div class="track"><div class="fill" style="width:{min(share, 1.0):.2%}"></div></div></div>'
    )


def _duration(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
