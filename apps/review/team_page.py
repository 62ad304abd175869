"""The team page: how far people agree, in pairs, per class and all together, and what they disagree about, with faces.

It draws figures that `ferclean.review.agreement` made; in blind mode it shows no face and nobody's answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from apps.review import links, parts, style
from apps.review.kept import kept
from apps.review.parts import escape
from apps.review.sitting import Sitting
from ferclean.evidence.people.pairs import FEWEST
from ferclean.review import beside as faces_beside
from ferclean.review.agreement import AnswerLine, Dispute, Figure, PairLine, Team, team
from ferclean.review.sharing import owed

_MEASURE = (
    "1 is full agreement, 0 is what chance alone would bring. Each figure stands with the faces that it rests on and "
    "its 95 % interval. What counts is each person's own last answer about a face; a skip is none, and what an "
    "adjudicator settled stays a disagreement."
)


def draw(at: Sitting) -> None:
    """Draw the figures, counted anew once anybody has written into the workspace."""
    seen = kept(at.desk.ws, team)
    if len(seen.people) < 2 or not seen.overall.n:
        style.notice(
            "No face has two people's answers yet",
            "Agreement is measured where two people or more answered about the same face. Answer under your own name "
            "(Filters, Reviewer), and let somebody else answer some of the same faces.",
        )
        parts.keys({}, face="")
        return
    st.html(_people(seen))
    st.html(f'<div class="fc fc-agree">{_overall(seen)}</div><p class="fc quiet fc-wide">{_MEASURE}</p>')
    st.html(f'<div class="fc fc-two">{_pairs(seen)}{_answers(seen.answers)}</div>')
    if at.filters.blind:
        st.html('<p class="fc quiet">Blind mode: faces and other people\'s answers are hidden.</p>')
    else:
        st.html(_disputes(at, [_heard(at, one) for one in seen.disputes]))
    parts.keys({}, face="")


def _people(seen: Team) -> str:
    cells = "".join(f"<div><b>{count:,}</b><span>{escape(name)}</span></div>" for name, count in seen.people.items())
    return f'<div class="fc fc-figures fc-people num">{cells}</div>'


def _overall(seen: Team) -> str:
    told = (
        (seen.overall, "all answers", "Krippendorff's alpha over everybody"),
        (seen.blind, "blind answers", "where nothing of the model was shown: the agreement to trust"),
        (seen.shown, "answers beside a suggestion", "whoever sees the same suggestion agrees more easily"),
    )
    return "".join(
        f'<div class="box"><small>{title}</small><strong>{_value(figure)}</strong>{_span(figure)}'
        f'<p>{escape(words)}</p><p class="num">{_rests(figure)}</p></div>'
        for figure, title, words in told
    )


def _value(figure: Figure) -> str:
    if figure.too_few:
        return '<em class="few">too few</em>'
    return '<em class="few">all one answer</em>' if figure.value is None else f"{figure.value:.2f}"


def _rests(figure: Figure) -> str:
    if figure.too_few:
        return f"{figure.n:,} of the {FEWEST} faces that a figure needs"
    return f"{figure.n:,} faces" + ("" if figure.low is None else f", {figure.low:.2f} to {figure.high:.2f}")


def _span(figure: Figure) -> str:
    """The interval as a bar from 0 to 1, with a dot for the value."""
    if figure.value is None or figure.low is None or figure.high is None:
        return ""
    low, high, value = (max(0.0, min(1.0, one)) for one in (figure.low, figure.high, figure.value))
    return (
        f'<span class="fc-span" aria-hidden="true"><i style="left:{low:.1%};width:{high - low:.1%}"></i>'
        f'<b style="left:{value:.1%}"></b></span>'
    )


def _pairs(seen: Team) -> str:
    head = "<tr><th>people</th><th>faces</th><th>same</th><th></th><th>kappa</th><th>95 %</th><th>blind</th></tr>"
    rows = "".join(map(_pair, seen.pairs))
    more = f'<p class="fc quiet">{seen.more_pairs:,} more pairs with fewer faces</p>' if seen.more_pairs else ""
    return (
        '<div class="fc"><h3 class="fc-title">Two people at a time (Cohen\'s kappa)</h3>'
        f'<table class="fc-table fc-pairs num">{head}{rows}</table>{more}</div>'
    )


def _pair(line: PairLine) -> str:
    names = f"{escape(line.one)} <i>and</i> {escape(line.other)}"
    return (
        f'<tr><th class="who" title="{escape(line.one)}, {escape(line.other)}">{names}</th><td>{line.kappa.n:,}</td>'
        f'<td>{line.same:.0%}</td><td class="span">{_span(line.kappa)}</td>{_cells(line.kappa)}'
        f'<td title="{escape(_rests(line.blind))}">{_value(line.blind)}</td></tr>'
    )


def _answers(lines: tuple[AnswerLine, ...]) -> str:
    head = "<tr><th>answer</th><th>faces</th><th></th><th>others agree</th><th>95 %</th><th>else most often</th></tr>"
    rows = "".join(
        f'<tr><th class="who" title="{escape(line.answer)}">{escape(line.answer)}</th><td>{line.agreement.n:,}</td>'
        f'<td class="span">{_span(line.agreement)}</td>{_cells(line.agreement, share=True)}'
        f"<td>{escape(line.instead or '–')}</td></tr>"
        for line in lines
    )
    return (
        '<div class="fc"><h3 class="fc-title">Where one person said this, how many of the others did too</h3>'
        f'<table class="fc-table fc-pairs num">{head}{rows}</table></div>'
    )


def _cells(figure: Figure, *, share: bool = False) -> str:
    if figure.value is None or figure.low is None:
        return f"<td>{_value(figure)}</td><td></td>"
    form = ".0%" if share else ".2f"
    return f"<td><b>{figure.value:{form}}</b></td><td>{figure.low:{form}} to {figure.high:{form}}</td>"


def _heard(at: Sitting, dispute: Dispute) -> Dispute:
    """Without the faces that the reviewer is still to answer as one of two: nothing is heard of those before."""
    return replace(dispute, examples=tuple(one for one in dispute.examples if not owed(at.desk, one.sample_id)))


def _disputes(at: Sitting, disputes: Sequence[Dispute]) -> str:
    if not disputes:
        return '<p class="fc quiet">Nobody disagrees about any face.</p>'
    shown = [(example.sample_id, faces_beside.BESIDE_SIDE) for one in disputes for example in one.examples]
    pictures = faces_beside.pictures(at.album, shown)
    blocks = []
    for dispute in disputes:
        faces = "".join(
            links.face(pictures[example.sample_id, faces_beside.BESIDE_SIDE], example.sample_id, example.source_key,
                       [f"{answer} · {who}" for who, answer in example.said])
            for example in dispute.examples
        )  # fmt: skip
        count = f"{dispute.faces:,} face{'s' * (dispute.faces > 1)}"
        title = f"<b>{escape(dispute.one)}</b> or <b>{escape(dispute.other)}</b>? <span>{count}</span>"
        blocks.append(f'<section><h4 class="num">{title}</h4><div class="faces">{faces}</div></section>')
    return (
        '<div class="fc"><h3 class="fc-title">What people disagree about</h3>'
        f'<div class="fc-disputes">{"".join(blocks)}</div></div>'
    )
