"""The face page: one face, its labels, what speaks for and against them, what lies beside it, and the buttons.

It draws and passes presses on; what a press means is decided in `ferclean.steps.review`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from apps.review import parts, rounds, sitting, style
from apps.review.sitting import Sitting
from ferclean.errors import FercleanError
from ferclean.review import beside as faces_beside
from ferclean.review.desk import contender, last_word, next_open
from ferclean.review.offers import Item, Offer
from ferclean.steps import review
from ferclean.store.decisions import NewerDecisionError
from ferclean.store.standing import Word

_BESIDE = 4  # faces in a row
_AHEAD = 8  # faces that are fetched together, so that most key presses read no file
_VERDICTS = {
    "mislabelled": "Probably mislabelled",
    "ambiguous": "Probably ambiguous: people would not agree",
    "unusable": "Probably unusable: no readable face",
    "duplicate": "The same picture is in the set more than once",
    "leak": "The same picture is in another split",
    "clean": "Probably labelled right",
}
_RANDOM = "This face was drawn at random, to measure how many errors are left."
_TEACHING = "This face was drawn at random: what you say about it teaches the labels of the whole set."
_VERBS = {"keep": "kept", "ambiguous": "ambiguous", "exclude": "excluded", "skip": "skipped"}
_LETTERS = (("K", "keep"), ("A", "ambiguous"), ("X", "exclude"), ("S", "skip"))
_BLIND_ENTER = "in blind mode there is no suggestion to accept; choose an answer of your own"
_NO_OFFER = "the verdict proposes nothing for this face; choose an answer of your own"
_MAP = (
    ("1 2 3 …", "set the label with that number"),
    ("Enter", "what the verdict proposes; its button says what: accept the suggestion, keep, ambiguous, exclude"),
    ("K", "keep the given label"),
    ("A", "ambiguous: people would not agree"),
    ("X", "exclude: no readable face, or not fit for use"),
    ("S", "skip: decide later"),
    ("U", "undo the last decision, also after a restart"),
    ("← →", "look at the previous or next face without deciding"),
    ("?", "this map"),
)


def draw(at: Sitting) -> None:
    """Draw the face in question, or say that there is none, or that a teaching round is over."""
    if rounds.draw(at):
        return
    if at.current is None:
        _nothing(at)
        return
    item = at.desk.items[at.current]
    sitting.seconds_on(item.sample_id)
    pictures = _fetch(at, item.sample_id)
    left, middle, right = st.columns([560, 400, 420], gap="medium")
    with left:
        _face(at, item, pictures[item.sample_id, faces_beside.FACE_SIDE])
    with middle:
        _evidence(at, item)
    with right:
        _neighbours(at, item, pictures)
    _status(item.sample_id, hidden=at.filters.blind)
    _buttons(at, item)
    if st.session_state.pop("show_map", False):
        _key_map()


def _nothing(at: Sitting) -> None:
    if not at.desk.items:
        style.notice("Nothing to review yet", "Run `ferclean score` and `ferclean triage` first, then read again.")
    elif at.filters.audit and not at.selection:
        style.notice("No audit was drawn", "Run `ferclean audit` first, then read again.")
    elif not at.selection:
        style.notice("No face matches", "No face has this verdict and these labels. Clear a filter to see more.")
    else:
        following = "audit" if at.filters.audit else "release NAME"
        style.notice("All decided", f"All {len(at.selection):,} faces are decided. Next: ferclean {following}")
    _, middle, _ = st.columns([2, 1, 2])
    with middle:
        if at.selection and at.desk.items:
            st.button("`U` Undo the last", key="do_undo_end", on_click=_undo, width="stretch")
            st.button("Look through them", key="look", on_click=sitting.go, args=(at.selection[0],), width="stretch")
        else:
            st.button("Read the workspace again", key="reread_end", on_click=sitting.forget, width="stretch")
    _status("end", hidden=at.filters.blind)
    parts.keys({"u": "do_undo"}, face="")


def _fetch(at: Sitting, sample_id: str) -> dict[tuple[str, int], faces_beside.Picture]:
    """The pictures that this face's page needs; when they are not at hand, those of the next faces come along."""
    wanted = _wanted(at, sample_id)
    if all(pair in at.album.kept for pair in wanted):
        return faces_beside.pictures(at.album, wanted)
    place = at.selection.index(sample_id)
    ahead = [pair for other in at.selection[place : place + _AHEAD] for pair in _wanted(at, other)]
    return faces_beside.pictures(at.album, [*wanted, *ahead])


def _wanted(at: Sitting, sample_id: str) -> list[tuple[str, int]]:
    beside = [face.sample_id for row in _rows(at, at.desk.items[sample_id]) for face in row.faces]
    return [(sample_id, faces_beside.FACE_SIDE), *((other, faces_beside.BESIDE_SIDE) for other in beside)]


def _face(at: Sitting, item: Item, picture: faces_beside.Picture) -> None:
    parts.face(item.sample_id, item.source_key, picture.uri, picture.trouble)
    place = f"{at.selection.index(item.sample_id) + 1:,} / {len(at.selection):,}"
    order = "" if at.filters.blind else f"<span>rank {item.rank:,}</span>"
    stands = at.desk.standing.get(item.sample_id)
    if stands is not None and stands.reviewer != at.desk.reviewer:
        order += f"<span>settled by {parts.escape(stands.reviewer)}</span>"
    st.html(
        f'<div class="fc fc-caption num"><span>{place}</span><span class="name">{parts.escape(item.source_key)}</span>'
        f"<span>{parts.escape(item.split)}</span>{order}</div>"
    )


def _evidence(at: Sitting, item: Item) -> None:
    hidden = at.filters.blind
    st.html(style.labels(item.given_label, item.suggested_label, hidden=hidden))
    if hidden:
        order = "and faces come in a random order" if at.filters.audit else "and the order is shuffled"
        st.html(
            f'<div class="fc fc-blind">Blind mode: suggestion, probabilities and reasons are hidden, {order}.</div>'
        )
        return
    # so many that the buttons would leave the screen are scrolled; half a row says that there is more
    shown = len(at.desk.classes) if len(at.desk.classes) <= 11 else 7.5
    with st.container(height=int(26 * shown), border=False):
        st.html(style.bars(at.desk.classes, item.pred_probs, item.given_label, item.suggested_label, item.method_votes))
    aside = _TEACHING if at.teaches else _RANDOM
    st.html(style.why(_verdict(item), item.reasons, aside=aside if item.drawn_at_random else ""))


def _verdict(item: Item) -> str:
    title = _VERDICTS.get(item.verdict, item.verdict)
    return title if item.p_verdict is None else f"{title} ({item.p_verdict:.0%})"


def _rows(at: Sitting, item: Item) -> list[style.Strip]:
    """The rows of faces to compare with.

    In blind mode they are one clear face of each class, which says nothing about the suggestion.
    """
    album, own = at.album, {item.sample_id}
    if at.filters.blind:
        each = [face for name in at.desk.classes for face in faces_beside.examples_of(album, name, count=1, but=own)]
        return [style.Strip("Clear examples", "", each, tall=True)]
    near = faces_beside.beside(album, item.sample_id, count=2 * _BESIDE)
    rows = [style.Strip("Most alike", "", near, tall=True)] if near else []
    count = _BESIDE if near else 2 * _BESIDE
    other = contender(at.desk, item)
    mark = "suggested" if other == item.suggested_label else ""
    for name, sign in ((item.given_label, "given"), (other, mark)):
        if name:
            examples = faces_beside.examples_of(album, name, count=count, but=own)
            rows.append(style.Strip(f"Clear {name}", sign, examples, tall=not near))
    return rows


def _neighbours(at: Sitting, item: Item, pictures: dict[tuple[str, int], faces_beside.Picture]) -> None:
    tone: dict[str, str] = {}
    if not at.filters.blind:
        marks = ((item.given_label, "given"), (item.suggested_label, "suggested"))
        tone = {label: f"{mark}-ink" for label, mark in marks if label}
    for row in _rows(at, item):
        sources = {face.sample_id: pictures[face.sample_id, faces_beside.BESIDE_SIDE].uri for face in row.faces}
        st.html(style.strip(row, sources, tone=tone))
    if at.album.trouble:
        st.html(f'<div class="fc">{parts.escape(at.album.trouble)}</div>')


def _status(sample_id: str, *, hidden: bool) -> None:
    kind, text = st.session_state.get("status", ("", "Every decision is saved at once."))
    asked = _asked(sample_id)
    line, note = st.columns([3, 1.2], vertical_alignment="center")
    with line, st.container(horizontal=True, vertical_alignment="center", height=40, border=False):
        if asked is not None:
            _ask(sample_id, *asked, hidden=hidden)
        else:
            st.html(f'<div class="fc fc-status {kind}" role="status">{parts.escape(text)}</div>')
        if kind == "trouble" and "retry" in st.session_state:
            st.button("Try again", key=f"again_{sample_id}", on_click=_again)
    if sample_id != "end":
        note.text_input(
            "Note", key=f"note_{sample_id}", placeholder="Note (optional)", label_visibility="collapsed", max_chars=500
        )


def _asked(sample_id: str) -> tuple[str, str | None, Word] | None:
    """The answer about this face that was not recorded, and the newer one that stands."""
    about, *answer = st.session_state.get("asked", ("", "", None, None))
    return (answer[0], answer[1], answer[2]) if about == sample_id else None


def _ask(sample_id: str, action: str, label: str | None, word: Word, *, hidden: bool) -> None:
    """Both answers and whose they are; nothing is replaced unless the person says so."""
    stands, said = _answer(word.action, word.label), _answer(action, label)
    who = f"settled by {word.reviewer}" if word.adjudicates else "your answer in another tab"
    st.html(
        f'<div class="fc fc-status trouble" role="status">Not recorded: {parts.escape(stands)} stands, '
        f"{parts.escape(who)} at {word.decided_at:%H:%M} UTC</div>"
    )
    st.button(f"Leave {parts.inert(stands)}", key=f"leave_{sample_id}", on_click=_leave, args=(sample_id,))
    st.button(
        f"Replace by {parts.inert(said)}", key=f"replace_{sample_id}_{word.decision_id}", on_click=_decide,
        args=(sample_id, action, label, word.decision_id, hidden),
    )  # fmt: skip


def _answer(action: str, label: str | None) -> str:
    return f"relabel {label}" if label else action


def _leave(sample_id: str) -> None:
    at = sitting.open_sitting()
    st.session_state.pop("asked", None)
    sitting.say("Left as it was", kind="")
    sitting.go(next_open(at.desk, at.selection, after=sample_id))


def _buttons(at: Sitting, item: Item) -> None:
    """Two rows of buttons, and the keys that press them."""
    stands, seen = at.desk.standing.get(item.sample_id), last_word(at.desk, item.sample_id)
    mapping: dict[str, str] = {}
    hidden = at.filters.blind
    # a button carries what the person saw, and is another one when that has changed
    mine = f"{item.sample_id}_{seen}_{'blind' if hidden else 'seeing'}"
    for number, (column, name) in enumerate(zip(_places(len(at.desk.classes)), at.desk.classes, strict=True), 1):
        tone = "given" if name == item.given_label else ""
        tone = "suggested" if name == item.suggested_label and not hidden else tone
        tone = "stands" if stands is not None and stands.label == name else tone
        key = f"do_{tone or 'label'}_{number}_"
        digit = _digit(number)
        if digit:
            mapping[digit] = key
        column.button(
            f"`{digit}` {parts.inert(name)}" if digit else parts.inert(name), key=key + mine, on_click=_decide,
            width="stretch",
            args=(item.sample_id, "relabel", name, seen, hidden),
            help=parts.inert(name) if len(name) > 12 else None,  # a narrow button cuts it
        )  # fmt: skip
    proposal = None if hidden else item.offer
    action, label = (proposal.action, proposal.label) if proposal else ("", None)
    columns = st.columns([2.3, 1.2, 1.3, 1.3, 1.1, 1.1, 0.6, 0.6, 0.6])
    columns[0].button(
        f"`Enter` {_offered(proposal, hidden=hidden)}", key=f"do_offer_{mine}", type="primary",
        disabled=proposal is None, on_click=_decide, width="stretch",
        args=(item.sample_id, action, label, seen, hidden),
    )  # fmt: skip
    mapping["enter"] = "do_offer_"
    for column, (letter, action) in zip(columns[1:5], _LETTERS, strict=True):
        mark = "stands" if stands is not None and stands.action == action else "act"
        column.button(
            f"`{letter}` {action.capitalize()}", key=f"do_{mark}_{action}_{mine}", on_click=_decide,
            args=(item.sample_id, action, None, seen, hidden), width="stretch",
        )  # fmt: skip
        mapping[letter.lower()] = f"do_{mark}_{action}_"
    others: tuple[tuple[str, str, str, Callable[..., None], tuple[Any, ...]], ...] = (
        ("u", "`U` Undo", "undo", _undo, ()),
        ("arrowleft", "←", "back", _step, (at.selection, item.sample_id, -1)),
        ("arrowright", "→", "forth", _step, (at.selection, item.sample_id, 1)),
        ("?", "`?`", "map", _ask_for_map, ()),
    )
    for column, (letter, text, action, call, arguments) in zip(columns[5:], others, strict=True):
        column.button(text, key=f"do_{action}_{item.sample_id}", on_click=call, args=arguments, width="stretch")
        mapping[letter] = f"do_{action}_"
    parts.keys(mapping, face=item.sample_id, rests={"enter": _BLIND_ENTER if hidden else _NO_OFFER})


def _digit(number: int) -> str:
    """The key of the class at this place, from 1; only ten of them have one."""
    return str(number % 10) if number <= 10 else ""


def _places(count: int) -> list[Any]:
    """A column for each of `count` buttons, in rows that leave room for their names."""
    rows = max(1, -(-count // 11))
    width = -(-count // rows)
    return [column for _ in range(rows) for column in st.columns(width)][:count]


def _offered(proposal: Offer | None, *, hidden: bool) -> str:
    """What Enter records, and why."""
    if proposal is None:
        return "Off: blind mode" if hidden else "No proposal"
    if proposal.action == "relabel":
        return f"Accept {parts.inert(proposal.label or '')}"
    why = "" if proposal.action == proposal.verdict else f" ({proposal.verdict})"
    return f"{proposal.action.capitalize()}{why}"


def _decide(sample_id: str, action: str, label: str | None, seen: int, hidden: bool) -> None:
    """Record and go on. Runs before the page is drawn again; a press that belongs to an earlier page is not taken.

    `seen`: the decision that stood when the button was drawn; `hidden`: the page was blind.
    """
    at = sitting.open_sitting()
    if st.session_state.get("timed") != sample_id or sample_id != at.current or hidden != at.filters.blind:
        _, before = st.session_state.get("status", ("", ""))
        sitting.say(f"{before} (a second press came for a page that was no longer there: not taken)".strip(), kind="")
        return
    item = at.desk.items[sample_id]
    try:
        said = review.decide(
            at.desk, sample_id, action, label=label, seconds=sitting.seconds_on(sample_id),
            model_hidden=hidden, note=st.session_state.get(f"note_{sample_id}", "").strip(), seen=seen,
            by_choice=at.filters.narrowed,
        )  # fmt: skip
    except NewerDecisionError as error:
        st.session_state["asked"] = (sample_id, action, label, error.newer[sample_id])
        sitting.go(sample_id)  # it is decided, so the page would go on to the next one
        return
    except FercleanError as error:
        st.session_state["retry"] = (sample_id, action, label, seen, hidden)
        sitting.say(f"Not recorded: {error}", kind="trouble")
        return
    for name in ("retry", "asked"):
        st.session_state.pop(name, None)
    outcome = f"{item.given_label} → {said.label}" if said.action == "relabel" else _VERBS[said.action]
    sitting.say(f"{item.source_key}: {outcome}")
    sitting.go(next_open(at.desk, at.selection, after=sample_id))


def _again() -> None:
    _decide(*st.session_state.pop("retry"))


def _undo() -> None:
    at = sitting.open_sitting()
    if not (undone := sitting.take_back(at)):
        return
    names = [at.desk.items[sample_id].source_key for sample_id in undone if sample_id in at.desk.items]
    sitting.say(f"Undone: {names[0] if len(names) == 1 else f'{len(undone):,} decisions'}")
    sitting.go(undone[-1])


def _step(selection: list[str], sample_id: str, by: int) -> None:
    sitting.go(selection[(selection.index(sample_id) + by) % len(selection)])


def _ask_for_map() -> None:
    st.session_state["show_map"] = True


@st.dialog("Keys")
def _key_map() -> None:
    rows = "".join(
        f'<tr><td style="padding:5px 18px 5px 0;white-space:nowrap"><kbd>{key}</kbd></td><td>{text}</td></tr>'
        for key, text in _MAP
    )
    st.html(f'<div class="fc"><table>{rows}</table><p class="quiet">Keys rest while you type in a field.</p></div>')
