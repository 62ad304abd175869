"""The report page: what each round of decisions taught, and the report as `ferclean report` writes it.

It draws; the figures are those that the verdicts stated when they were made, and the report's own.
"""

from __future__ import annotations

import streamlit as st

from apps.review import parts, style
from apps.review.parts import escape
from apps.review.sitting import Sitting
from ferclean.errors import FercleanError, WorkspaceBusyError
from ferclean.parts.teaching import Round, rounds
from ferclean.steps.report import page
from ferclean.store.decisions import newest_decision

_LATEST = 8


def draw(at: Sitting) -> None:
    """Draw both; the report is made again whenever somebody has decided since, or the workspace was read again."""
    if at.filters.blind:
        style.notice("Hidden in blind mode", "The report shows what the model found. Switch Blind off to see it.")
    else:
        st.html(_rounds(rounds(at.desk.ws)))
        _report(at)
    parts.keys({}, face="")


def _report(at: Sitting) -> None:
    now = newest_decision(at.desk.ws)
    kept = st.session_state.get("report_made")
    if kept is None or kept[0] is not at.desk or kept[1] != now:
        try:
            kept = st.session_state["report_made"] = (at.desk, now, page(at.desk.ws).html)
        except WorkspaceBusyError:
            raise
        except FercleanError as error:  # an extra may be missing; the rounds are shown all the same
            style.notice("The report cannot be made", str(error))
            return
    parts.sheet(kept[2], title="Report")


def _rounds(done: list[Round]) -> str:
    if not done:
        return '<p class="fc quiet fc-wide">Nothing was judged yet: ferclean triage.</p>'
    head = (
        "<tr><th>verdicts made (UTC)</th><th>decisions learned from</th><th>random faces</th><th>right as given</th>"
        "<th>right now</th><th>errors left</th></tr>"
    )
    rows = "".join(
        f"<tr><th>{escape(one.when)}</th><td>{one.decisions:,}</td><td>{one.random_faces:,}</td>"
        f"<td>{_share(one.accuracy_given)}</td><td>{_share(one.accuracy_now)}</td>"
        f"<td>{'–' if one.errors_left is None else f'{one.errors_left:,.0f}'}</td></tr>"
        for one in done[-_LATEST:]
    )
    return (
        '<div class="fc"><h3 class="fc-title">What each round of decisions taught</h3>'
        f'<table class="fc-table num">{head}{rows}</table></div>'
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
