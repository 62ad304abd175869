"""The conflicts page: one face after the other that people disagree about, everybody's answer side by side.

It draws and passes presses on; what settles a disagreement is decided in `ferclean.steps.settle`.
"""

from __future__ import annotations

import streamlit as st

from apps.review import parts, sitting, stories, style
from apps.review.desks import Place, at_place
from apps.review.kept import kept
from apps.review.parts import escape, inert
from apps.review.sitting import Sitting
from ferclean.errors import FercleanError
from ferclean.review import beside as faces_beside
from ferclean.review.sharing import owed
from ferclean.steps.settle import parties, settle
from ferclean.store.history import History, conflicts, history

_ACTS = {"k": ("keep", "Keep"), "a": ("ambiguous", "Ambiguous"), "x": ("exclude", "Exclude")}
_OWN = "tick first that you settle it though you are one of those who disagree"


def draw(at: Sitting) -> None:
    """Draw the face that the address names, or the first one that is open, or that there is none."""
    if at.filters.blind:
        style.notice(
            "Hidden in blind mode", "Here everybody's answers stand side by side. Switch Blind off to see them."
        )
        parts.keys({}, face="")
        return
    every = kept(at.desk.ws, conflicts)
    open_, asked = [one for one in every if not owed(at.desk, one)], st.query_params.get("sample")
    if not open_ and (asked is None or not _said(at, asked)):
        style.notice(
            "Nobody disagrees",
            "Faces about which two people's answers differ come here. The next step is ferclean release NAME."
            + " Those that you are one of two to answer come once you have." * (len(open_) < len(every)),
        )
        _, middle, _ = st.columns([2, 1, 2])
        middle.button("`U` Undo my last answer", key="settle_undo", on_click=sitting.take_back, width="stretch")
        _status()
        parts.keys({"u": "settle_undo"}, face="")
        return
    face = asked if asked in open_ or (asked is not None and _said(at, asked)) else open_[0]
    _face(at, open_, history(at.desk.ws, face))


def _said(at: Sitting, sample_id: str) -> bool:
    """There is such a face, and this reviewer may hear what was said: a link may lead to one that is settled."""
    try:
        return not owed(at.desk, sample_id) and bool(history(at.desk.ws, sample_id).entries)
    except FercleanError:
        return False


def _face(at: Sitting, open_: list[str], story: History) -> None:
    face, is_open = story.sample_id, story.sample_id in open_
    item = at.desk.items.read([face])[face] if face in at.desk.items else None
    place = f"{open_.index(face) + 1:,} of " if is_open else ""
    heading = f"<b>{place}{len(open_):,}</b> face{'s' * (len(open_) != 1)} that people disagree about"
    settled = any(entry.stands and entry.source == "adjudication" for entry in story.entries)
    aside = "" if is_open else " · this one is settled" if settled else " · nobody disagrees about this one"
    st.html(f'<div class="fc fc-conflict-top num">{heading}{aside}</div>')
    picture = faces_beside.pictures(at.album, [(face, faces_beside.FACE_SIDE)])[face, faces_beside.FACE_SIDE]
    labels = style.labels(story.given_label, None if item is None else item.suggested_label, hidden=False)
    st.html(
        f'<div class="fc-conflict">{stories.picture(picture, story)}<div class="rest"><div>{labels}'
        f"{stories.answers(story, at.desk.classes)}</div><div>{stories.evidence(at.desk.classes, item)}</div>"
        "</div></div>"
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="settle_line"):
        own = _own(at, story) if is_open else True
        st.text_input(
            "Note", key=f"note_{face}", max_chars=500, placeholder="Note (optional): why", label_visibility="collapsed"
        )
    _buttons(at, open_, story, usable=is_open and own)
    _status()


def _own(at: Sitting, story: History) -> bool:
    """Whether the reviewer may settle it: they are no party, or have said that they mean it."""
    if at.desk.reviewer not in parties(story):
        return True
    return st.checkbox(
        f"You, {inert(at.desk.reviewer)}, are one of those who disagree: settle it all the same",
        key=f"own_{story.sample_id}",
    )


def _buttons(at: Sitting, open_: list[str], story: History, *, usable: bool) -> None:
    face = story.sample_id
    keys = {"u": "settle_undo", "arrowleft": "settle_back", "arrowright": "settle_on"}
    seen = story.entries[-1].decision_id if story.entries else 0
    with st.container(horizontal=True, gap="small", key="settle_labels"):
        for place, name in enumerate(at.desk.classes):
            sign = f"`{(place + 1) % 10}` " if place < 10 else ""
            if sign:
                keys[sign[1]] = f"settle_label_{place}_"
            st.button(
                f"{sign}{inert(name)}", key=f"settle_label_{place}_{face}", disabled=not usable, on_click=_settle,
                args=(open_, face, "relabel", name, seen), width="stretch",
            )  # fmt: skip
    with st.container(horizontal=True, gap="small", key="settle_acts"):
        for key, (action, words) in _ACTS.items():
            keys[key] = f"settle_{action}_"
            st.button(
                f"`{key.upper()}` {words}", key=f"settle_{action}_{face}", disabled=not usable, on_click=_settle,
                args=(open_, face, action, None, seen), width="stretch",
            )  # fmt: skip
        st.button("`U` Undo", key="settle_undo", on_click=sitting.take_back, width="stretch")
        many = len(open_) > 1 or (bool(open_) and face not in open_)
        for key, words, by in (("settle_back", "←", -1), ("settle_on", "→", 1)):
            st.button(words, key=key, on_click=_step, args=(open_, face, by), disabled=not many, width="stretch")
        with st.popover("History", width="stretch"):
            st.html(f'<div class="fc">{stories.log(story, at.desk.classes)}</div>')
    why = _OWN if face in open_ else "there is nothing to settle about this face; U takes your own last answer back"
    rests = {} if usable else dict.fromkeys([*_ACTS, *(key for key in keys if key.isdigit())], why)
    parts.keys(keys, face=face, rests=rests)


def _settle(open_: list[str], face: str, action: str, label: str | None, seen: int) -> None:
    # what stands in the field at this moment, which the page may not have been drawn with
    own, note = bool(st.session_state.get(f"own_{face}")), str(st.session_state.get(f"note_{face}", ""))

    def record(place: Place) -> None:
        settle(place.desk, face, action, label=label, note=note.strip(), seen=seen, own_too=own)

    try:
        at_place(st.query_params, record)
    except FercleanError as error:
        sitting.say(f"Not settled: {error}", kind="trouble")
        return
    sitting.say(f"Settled for everybody: {stories.said(action, label)}")
    rest = [one for one in open_ if one != face]
    after = [one for one in open_[open_.index(face) + 1 :] if one in rest] if face in open_ else rest
    sitting.go(next(iter([*after, *rest]), None))


def _step(open_: list[str], face: str, by: int) -> None:
    place = open_.index(face) if face in open_ else (-1 if by > 0 else 0)
    sitting.go(open_[(place + by) % len(open_)])
    sitting.say("", kind="")


def _status() -> None:
    kind, text = st.session_state.get(
        "status", ("", "An answer here holds for everybody; nobody's own answer is lost.")
    )
    st.html(f'<div class="fc fc-status {kind}" role="status">{escape(text)}</div>')
