"""Two small browser parts: the keys, which press the visible buttons, and the face, which can be zoomed.

Nothing from the data becomes HTML or code here: pictures and names are set as properties of elements.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


_keys = st.components.v2.component("ferclean_review_keys", js=_file("keys.js"))
_face = st.components.v2.component(
    "ferclean_review_face",
    html=_file("face.html"),
    css=_file("face.css"),
    js=_file("face.js"),
)


def keys(mapping: dict[str, str], *, face: str) -> None:
    """Let each key press the button whose widget key begins with the given text, unless a person is typing.

    `face` names what is decided about; it is written on the page's body when the keys are ready.
    """
    _keys(key="keys", data={"keys": mapping, "face": face})


def face(sample_id: str, name: str, picture: str | None, trouble: str | None) -> None:
    """The face, large and zoomable, at the same height every time; `trouble` says why there is no picture."""
    _face(
        key="face",
        data={"face": sample_id, "name": name, "picture": picture, "trouble": trouble},
        height="content",
    )
