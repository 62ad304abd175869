"""What the pages share: names made inert for Streamlit and for HTML, the keys, and the face, which can be zoomed.

Nothing from the data becomes Markdown, HTML or code: names are escaped, or set as properties of elements.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import streamlit as st

from ferclean.printable import printable


@contextmanager
def middle() -> Iterator[None]:
    """Buttons in the middle of the page, wide enough for their words on any screen."""
    with st.container(horizontal_alignment="center"), st.container(width=280):
        yield


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _files(*names: str) -> str:
    return "\n".join(map(_file, names))


def inert(text: str) -> str:
    """Text that somebody chose, for Streamlit's labels, captions and tooltips, which are Markdown: shown, not obeyed.

    Streamlit replaces emoji, icons, arrows and web addresses once more after the Markdown, where escapes are gone; a
    word joiner, which has no width, keeps those apart.
    """
    escaped = re.sub(r"[!-/:-@\[-`{-~]", lambda found: "\\" + found[0] + _apart(found[0]), printable(text))
    return re.sub(r"(?i)(www)(?=\\\.)", "\\1\u2060", escaped)


def _apart(sign: str) -> str:
    return "\u2060" if sign in ":@<>=-~" else ""


# an attribute that holds one of these is taken off the page by Streamlit's own cleaner, and with it an image's name
_PURGED = re.compile(r"(?i)<(?=/(?:style|script|title|xmp|textarea|noscript|iframe|noembed|noframes))|(?:--!?|])(?=>)")


def escape(text: str) -> str:
    """Text that somebody chose, for HTML, between tags or in quotes; with a word joiner, which has no width, in what
    Streamlit would take away."""
    return html.escape(_PURGED.sub("\\g<0>\u2060", printable(text)))


_keys = st.components.v2.component("ferclean_review_keys", js=_files("typing.js", "keys.js"))
_name = st.components.v2.component("ferclean_review_name", js=_file("names.js"))
_deck = st.components.v2.component(
    "ferclean_review_deck",
    html=_file("deck.html"),
    css=_file("deck.css"),
    js=_files(
        "typing.js", "zoom.js", "asking.js", "screen.js", "outbox.js", "mixing.js", "welcome.js", "asides.js", "deck.js"
    ),
    isolate_styles=False,  # what is drawn about a face has the pages' styles
)

_grid = st.components.v2.component(
    "ferclean_review_grid",
    html=_file("grid.html"),
    css=_file("grid.css") + _file("deck.css"),
    js=_files("typing.js", "asking.js", "screen.js", "outbox.js", "ranges.js", "facets.js", "grid.js"),
    isolate_styles=False,
)


_map = st.components.v2.component(
    "ferclean_review_map",
    html=_file("map.html"),
    css=_file("map.css"),
    js=_files("asking.js", "screen.js", "map.js"),
    isolate_styles=False,
)


def remembered(*, chosen: str | None, asks: bool, on_known: Callable[[str], None]) -> None:
    """Let the browser keep the `chosen` name of the person, and, where the page `asks`, say which one it keeps."""

    def known() -> None:
        on_known(str(st.session_state["name"]["known"]))

    with st.container(key="remembered"):
        _name(key="name", data={"chosen": chosen, "asks": asks}, on_known_change=known)


def keys(mapping: dict[str, str], *, face: str, rests: dict[str, str] | None = None) -> None:
    """Let each key press the button whose widget key begins with the given text, unless a person is typing.

    `face` names what is decided about; it is written on the page's body when the keys are ready. A key that is not
    taken says so; `rests` says why, for keys whose button is off. Drawn last, it says that the page is done.
    """
    # another number each time, so that the browser hears of every run of the page
    st.session_state["turn"] = turn = st.session_state.get("turn", 0) + 1
    _keys(key="keys", data={"keys": mapping, "face": face, "rests": rests or {}, "turn": turn})


def deck(**data: Any) -> None:
    """The deck of faces, which asks this server for what it shows and sends it the answers by itself (`deck.py`).

    `store` names the workspace whose answers a browser keeps; `address` is what the faces are asked for with. The page
    is drawn again when the deck has come to an end.
    """
    turn = st.session_state.get("deck_turn", 0)
    _deck(key="deck", data={**data, "turn": turn}, height="content", on_ended_change=_ended)


def _ended() -> None:
    st.session_state["deck_turn"] = st.session_state.get("deck_turn", 0) + 1
    st.query_params.pop("sample", None)  # of a face that the deck has left behind


def asked() -> dict[str, str]:
    """What the address asks for but the page and the face, picked or not: what lists and decks are asked for with."""
    return {name: value for name, value in st.query_params.items() if name not in ("sample", "pick", "page")}


def grid(**data: Any) -> None:
    """The grid of faces, which asks this server for what it shows and records by itself (`grid.py`).

    The page is drawn again when its filters were changed or something was decided there, or when it leads elsewhere.
    """
    turn = st.session_state.get("deck_turn", 0)
    heard = st.session_state.get("grid_heard", 0)
    _grid(key="grid", data={**data, "turn": turn, "heard": heard}, height="content", on_went_change=_went)


def _went() -> None:
    said = json.loads(st.session_state["grid"]["went"])
    st.session_state["grid_heard"] = said["n"]
    for name, value in [*said["address"].items(), ("page", said.get("page") or "grid"), ("sample", said.get("sample"))]:
        if value:
            st.query_params[name] = str(value)
        else:
            st.query_params.pop(name, None)


def chart(**data: Any) -> None:
    """The map of the faces, which asks this server for its points and faces by itself (`chart.py`)."""
    _map(key="map", data=data, height="content")


_sheet = st.components.v2.component("ferclean_review_sheet", js=_file("sheet.js"))


def sheet(html: str, *, title: str) -> None:
    """A whole HTML page inside this one: it may run nothing, and reach neither this page nor any address."""
    _sheet(key="sheet", data={"html": html, "title": title}, height="content")
