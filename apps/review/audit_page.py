"""The audit page: how many labels are still wrong, as a random sample of answers says, and whether to go on looking.

It draws what `ferclean audit` says, and draws a sample where there is none; it shows no face and no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from apps.review import parts, sitting, style
from apps.review.parts import escape
from apps.review.sitting import Sitting
from ferclean.errors import FercleanError
from ferclean.steps.audit import FEWEST, AuditSummary, audit
from ferclean.store.audits import audited
from ferclean.store.decisions import newest_decision

_WHY = (
    "An audit asks about faces that were drawn at random among the undecided ones, blind: what the model thinks is "
    "hidden. Its answers tell how many wrong labels are left in the whole set, and whether going on is worth it. "
    "ferclean audit does the same."
)
_TITLES = {"answer": "More answers first", "go_on": "Go on", "stop_clean": "Stop: clean", "stop_slow": "Stop: slow"}
_N = 200
_MOST = 5_000


def draw(at: Sitting) -> None:
    """Draw what the audit says; it is counted again whenever anybody has decided anything."""
    if not audited(at.desk.ws):
        _none(at)
        return
    found = _said(at)
    st.html(f'<div class="fc fc-agree">{_rate(found)}{_count(found)}{_advice(found)}</div>')
    _buttons(at, found)
    st.html(f'<div class="fc fc-two">{_answers(found)}{_strata(found)}</div>')
    st.html(_classes(found))
    if found.notes:
        st.html(f'<p class="fc quiet fc-wide">{escape("; ".join(found.notes))}</p>')
    parts.keys({}, face="")


def _said(at: Sitting) -> AuditSummary:
    """What `audit` says, which reads the whole set: once for all runs of this page between two decisions."""
    now = (str(at.desk.ws.root), newest_decision(at.desk.ws), tuple(audited(at.desk.ws)))
    kept = st.session_state.get("audit_said")
    if kept is None or kept[0] != now:
        kept = st.session_state["audit_said"] = (now, audit(at.desk.ws))
    found: AuditSummary = kept[1]
    return found


def _none(at: Sitting) -> None:
    style.notice("No audit yet", st.session_state.pop("audit_trouble", "") or _WHY)
    if at.desk.items:
        with parts.middle():
            st.number_input("Faces to draw", min_value=1, max_value=_MOST, value=_N, step=50, key="audit_n")
            st.button("Draw them", key="audit_draw", type="primary", width="stretch", on_click=_draw, args=(at,))
    parts.keys({}, face="")


def _draw(at: Sitting) -> None:
    try:
        audit(at.desk.ws, n=int(st.session_state["audit_n"]))  # where somebody was quicker, that draw holds
    except FercleanError as error:
        st.session_state["audit_trouble"] = f"Not drawn: {error}"
        return
    sitting.forget()


def _open() -> None:
    sitting.forget()  # a draw from the command line is news to the desk
    st.query_params.from_dict({**_kept(), "page": "review", "queue": "audit"})


def _kept() -> dict[str, str]:
    return {name: st.query_params[name] for name in ("reviewer", "workspace") if name in st.query_params}


def _buttons(at: Sitting, found: AuditSummary) -> None:
    left = found.drawn - found.answered - found.further - found.unanswered
    words = f"Answer the {left:,} that are left" if left else "Look at the sample"
    with st.container(horizontal=True, gap="small"):
        st.button(words, key="audit_open", type="primary" if left else "secondary", on_click=_open)


def _rate(found: AuditSummary) -> str:
    errors = found.errors
    rate, low, high = errors["rate"], errors["rate_low"], errors["rate_high"]
    if rate is None or low is None or high is None:
        return _box("wrong labels among the undecided", '<em class="few">not known yet</em>', "no answer counts yet")
    bar = _span(rate, low, high, max(high, 0.01))
    return _box(
        "wrong labels among the undecided", f"{rate:.1%}", f"95 % interval {low:.1%} to {high:.1%}", between=bar
    )


def _count(found: AuditSummary) -> str:
    errors = found.errors
    count, low, high, share = errors["count"], errors["low"], errors["high"], errors["whole_rate"]
    title = f"of {errors['rows']:,} undecided faces"
    if count is None or low is None or high is None or share is None:
        return _box(title, '<em class="few">not known yet</em>', f"the whole set has {found.whole:,} faces")
    words = f"{low:,.0f} to {high:,.0f}; {share:.1%} of all {found.whole:,} faces, where decided ones count as right"
    return _box(title, f"about {count:,.0f} wrong", words)


def _advice(found: AuditSummary) -> str:
    return _box("advice", f'<span class="advice">{_TITLES[found.advice]}</span>', found.advice_text)


def _box(title: str, value: str, words: str, *, between: str = "") -> str:
    """`value` and `between` are HTML; the others are escaped."""
    return (
        f'<div class="box num"><small>{escape(title)}</small><strong>{value}</strong>{between}<p>{escape(words)}</p>'
        "</div>"
    )


def _answers(found: AuditSummary) -> str:
    rows = (
        ("drawn", found.drawn, f"of {found.population:,} undecided faces"),
        ("answered", found.answered, "count: the sample's beginning, answered in its order"),
        ("right", found.right, "the given label holds"),
        ("wrong", found.wrong, "another label was chosen"),
        ("ambiguous", found.ambiguous, "not counted as wrong: people would not agree on another"),
        ("unusable", found.unusable, "excluded; not counted as wrong"),
        ("skipped", found.unanswered, "or decided by a revert alone: taken to be like the others of their stratum"),
        ("answered out of order", found.further, "count once those before them are answered"),
    )
    body = "".join(
        f'<tr><th>{name}</th><td>{count:,}</td><td class="said">{escape(words)}</td></tr>'
        for name, count, words in rows
        if count or name in ("drawn", "answered", "wrong")
    )
    return f'<div class="fc"><h3 class="fc-title">Answers</h3><table class="fc-table fc-audit num">{body}</table></div>'


def _strata(found: AuditSummary) -> str:
    last = len(found.strata) - 1
    ends = {0: "least likely wrong", last: "likeliest wrong"} if last else {}
    head = "<tr><th>stratum</th><th>faces</th><th>drawn</th><th>answered</th><th>wrong</th></tr>"
    body = "".join(
        f"<tr><th>{place + 1}{f' · {ends[place]}' if place in ends else ''}</th><td>{one['rows']:,}</td>"
        f"<td>{one['drawn']:,}</td><td>{one['answered']:,}</td><td>{one['wrong']:,}</td></tr>"
        for place, one in enumerate(found.strata)
    )
    return (
        '<div class="fc"><h3 class="fc-title">By stratum: faces of a like chance, by the model, of a wrong label</h3>'
        f'<table class="fc-table num">{head}{body}</table></div>'
    )


def _classes(found: AuditSummary) -> str:
    head = (
        "<tr><th>given label</th><th>undecided</th><th>answered</th><th>wrong</th>"
        '<th class="wide"></th><th>wrong labels left (95 % interval)</th></tr>'
    )
    widest = max((one["rate_high"] or 0.0 for one in found.classes), default=0.0) or 1.0
    body = "".join(
        f"<tr><th>{escape(one['label'])}</th><td>{one['rows']:,}</td><td>{one['answered']:,}</td>"
        f"<td>{one['wrong']:,}</td>{_share(one, widest)}</tr>"
        for one in found.classes
    )
    words = (
        f"Each label from its own faces alone, weighted as they were drawn; below {FEWEST} answers none is told. "
        "Each interval holds by itself: among several, one may miss."
    )
    title = '<h3 class="fc-title">By given label</h3>'
    return (
        f'<div class="fc">{title}<table class="fc-table num">{head}{body}</table></div>'
        f'<p class="fc quiet fc-wide">{escape(words)}</p>'
    )


def _share(one: Mapping[str, Any], widest: float) -> str:
    rate, low, high = one["rate"], one["rate_low"], one["rate_high"]
    if rate is None:
        why = "all decided" if not one["rows"] else f"too few: {one['answered']} of {FEWEST} answers"
        return f'<td class="wide"></td><td><em class="few">{why}</em></td>'
    return (
        f'<td class="wide">{_span(rate, low, high, widest)}</td><td>{rate:.1%} ({low:.1%} to {high:.1%}), '
        f"about {one['count']:,.0f}</td>"
    )


def _span(rate: float, low: float, high: float, widest: float) -> str:
    return (
        f'<span class="fc-span" aria-hidden="true"><i style="left:{low / widest:.1%};'
        f'width:{(high - low) / widest:.1%}"></i><b style="left:{rate / widest:.1%}"></b></span>'
    )
