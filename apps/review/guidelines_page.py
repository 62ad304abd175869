"""The guidelines page: what the team means by each expression, with borderline faces, to be read and to be written.

It draws and passes on what is written; texts are shown as they are, and never obeyed.
"""

from __future__ import annotations

import streamlit as st

from apps.review import meanings, parts, sitting
from apps.review.parts import escape, inert
from apps.review.sitting import Sitting
from ferclean.errors import FercleanError, UsageError
from ferclean.printable import printable
from ferclean.store.guidelines import MOST_TEXT, Guideline, guidelines, write_guideline

_FACES = "Borderline faces, one a line: the face's name, a bar |, and what it shows"


def draw(at: Sitting) -> None:
    """Draw what holds about every class, and the form for one of them."""
    held = guidelines(at.desk.ws)
    read, write = st.columns([1.7, 1], gap="large")
    with write:
        _form(at, held)
    read.html(meanings.page(at, held))
    parts.keys({}, face="")


def _form(at: Sitting, held: dict[str | None, Guideline]) -> None:
    names = ["", *at.desk.classes]
    label = st.selectbox(
        "Write about", names, key="guideline_label", format_func=lambda name: printable(name) or "All expressions"
    )
    now = held.get(label or None)
    version = 0 if now is None else now.version
    # another version is another field: what somebody else wrote is shown, and nobody writes over it unseen
    place = f"{names.index(label)}_{version}"
    st.text_area(
        "What it means", value="" if now is None else now.text, key=f"guideline_text_{place}", height=180,
        max_chars=MOST_TEXT, placeholder="What is seen in the eyes, brows and mouth; where it ends; its look-alikes",
    )  # fmt: skip
    faces = [] if now is None else [f"{one.source_key} | {one.words}" for one in now.examples]
    st.text_area(_FACES, value="\n".join(faces), key=f"guideline_faces_{place}", height=110)
    st.button(
        f"Write it as {inert(at.desk.reviewer)}", key="guideline_write", type="primary", on_click=_write,
        args=(label or None, place, version), width="stretch",
    )  # fmt: skip
    kind, text = st.session_state.get(
        "status", ("", "Every version is kept; the last one holds, here and in releases.")
    )
    st.html(f'<div class="fc fc-status wraps {kind}" role="status">{escape(text)}</div>')


def _write(label: str | None, place: str, version: int) -> None:
    at = sitting.open_sitting()
    written = str(st.session_state[f"guideline_text_{place}"])
    try:
        faces = _faces(str(st.session_state[f"guideline_faces_{place}"]))
        write_guideline(at.desk.ws, label, written, examples=faces, author=at.desk.reviewer, seen=version)
    except FercleanError as error:
        sitting.say(f"Not written: {error}", kind="trouble")
        return
    sitting.say(f"Written about {label or 'all expressions'}")


def _faces(lines: str) -> list[tuple[str, str]]:
    """(face, sentence) of each line. Raises UsageError for a line without a bar."""
    found = []
    for line in filter(str.strip, lines.splitlines()):
        name, bar, words = line.partition("|")
        if not bar:
            raise UsageError(f"{line.strip()!r} names a face without saying what it shows: NAME | a sentence")
        found.append((name.strip(), words.strip()))
    return found
