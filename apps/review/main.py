"""The review screen's page, of the workspace that FERCLEAN_WORKSPACE names; `serve.py` serves it behind the guard.

It opens the workspace, turns every expected error into a sentence, and leaves the drawing to the pages.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st
from streamlit import config

# started by its path, from a checkout or from inside an installed wheel
_ROOM = str(Path(__file__).resolve().parents[2])
if _ROOM not in sys.path:
    sys.path.insert(0, _ROOM)

from apps.guard import Guard  # noqa: E402
from apps.review import (  # noqa: E402
    audit_page,
    conflicts_page,
    face_page,
    grid_page,
    guidelines_page,
    map_page,
    names,
    overview_page,
    releases_page,
    report_page,
    sitting,
    style,
    team_page,
)
from ferclean.errors import FercleanError, WorkspaceBusyError  # noqa: E402

PAGES = {"review": face_page.draw, "grid": grid_page.draw, "map": map_page.draw}
"""The pages that a person goes back and forth between, in the top line."""
MORE = {
    "overview": overview_page.draw,
    "audit": audit_page.draw,
    "releases": releases_page.draw,
    "report": report_page.draw,
    "team": team_page.draw,
    "conflicts": conflicts_page.draw,
    "guidelines": guidelines_page.draw,
}
"""The pages that are looked at now and then, behind a menu."""


def main() -> None:
    """Draw one run of the page."""
    st.set_page_config(page_title="ferclean review", page_icon="🔍", layout="wide", initial_sidebar_state="collapsed")
    style.apply()
    try:
        if st.runtime.exists() and not Guard.stands and not config.get_option("global.appTest"):
            raise FercleanError("other sites could look in here; start this page with: ferclean -w WORKSPACE review")
        if names.asked():
            return
        at = sitting.open_sitting()
        page = sitting.header(at, list(PAGES), list(MORE))
        if at.filters.double and page != "review":
            style.notice("Double-blind", "This page shows given labels. Choose another mode above to see it.")
        else:
            (PAGES | MORE)[page](at)
    except WorkspaceBusyError as error:
        _say("The workspace is busy", str(error))
    except FercleanError as error:
        _say("This cannot be shown", str(error))


def _say(title: str, message: str) -> None:
    style.notice(title, message)
    st.button("Try again", key="retry", type="primary", on_click=sitting.forget)


main()
