"""The map page: every face as a point beside those that it is like, or how the map is made where there is none.

It draws; the points come from the component's own routes (`chart`).
"""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from apps.review import parts, style
from apps.review.sitting import Sitting
from ferclean.errors import FercleanError
from ferclean.extras import require
from ferclean.parts.face_map import COMMAND, LEAST
from ferclean.review.chart import asked_area
from ferclean.review.narrowing import chart_of
from ferclean.steps.map import map_faces


def draw(at: Sitting) -> None:
    """Draw the map, or say how it comes to be."""
    if chart_of(at.desk) is None:
        _missing(at)
        return
    looks = {"reviewer": at.desk.reviewer} | ({"blind": "1"} if at.filters.blind else {})
    asked = st.query_params.get("area", "")
    area, aside = asked_area(at.desk, asked)
    parts.chart(
        address=urlencode(looks | {"workspace": str(at.desk.ws.root)}),
        kept=urlencode(looks),
        planned=at.desk.share is not None,
        blind=at.filters.blind,
        area=asked if area else "",
        aside=aside,
    )
    parts.keys({}, face="")


def _missing(at: Sitting) -> None:
    trouble = st.session_state.pop("map_trouble", "")
    try:
        require("map", "The map")
        words = (
            f"{COMMAND} makes it, and from {LEAST} faces on ferclean score does: seconds, a minute for 100,000 faces."
        )
        able = bool(at.desk.items)
    except FercleanError as error:
        words, able = f"{error}; then {COMMAND}", False
    style.notice("No map yet", trouble or words)
    _, middle, _ = st.columns([2, 1, 2])
    if able:
        middle.button("Make the map", key="make_map", type="primary", width="stretch", on_click=_make, args=(at,))
    parts.keys({}, face="")


def _make(at: Sitting) -> None:
    try:
        map_faces(at.desk.ws)
    except FercleanError as error:
        st.session_state["map_trouble"] = f"Not made: {error}"
