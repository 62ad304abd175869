"""The overview page: how far the review is, what was found per class, and which label would become which.

It draws counts that `ferclean.review.overview` made.
"""

from __future__ import annotations

import streamlit as st

from apps.review import parts, rounds
from apps.review.sitting import Sitting
from ferclean.parts.teaching import progress, told
from ferclean.review.overview import Overview, overview


def draw(at: Sitting) -> None:
    """Draw the counts; they are read anew each time the page is opened."""
    if rounds.draw(at):
        return
    seen = overview(at.desk.ws)
    st.html(_figures(seen))
    st.html(f'<div class="fc quiet">{parts.escape(seen.examined)}</div>')
    _taught(at)
    if at.filters.blind:
        st.html('<p class="fc quiet">Blind mode: what the model found is hidden.</p>')
        st.html(_classes(seen, hidden=True))
        parts.keys({}, face="")
        return
    left, right = st.columns([1, 1.08], gap="large")
    left.html(_classes(seen, hidden=False))
    left.html(_verdicts(seen))
    right.html(_flows(seen, list(at.desk.classes)))
    if expected := _expected(seen):
        right.html(expected)
    parts.keys({}, face="")


def _taught(at: Sitting) -> None:
    """Where teaching stands, and the button that learns from newer decisions."""
    if not at.desk.items:
        return
    newer = progress(at.desk.ws).newer
    line, button = st.columns([4, 1], vertical_alignment="center")
    line.html(f'<div class="fc">{"<br>".join(map(parts.escape, told(at.desk.ws)))}</div>')
    if newer:
        with button:
            rounds.learn_button()


def _figures(seen: Overview) -> str:
    decided = sum(seen.actions.values())
    figures = [(f"{seen.samples:,}", "samples"), (f"{seen.quarantined:,}", "set aside as unusable files")]
    figures += [(f"{decided:,}", "decided by people")]
    figures += [(f"{count:,}", action) for action, count in seen.actions.items()]
    if seen.conflicts:
        figures.append((f"{seen.conflicts:,}", "people disagree about: see More, Conflicts"))
    cells = "".join(f"<div><b>{value}</b><span>{parts.escape(name)}</span></div>" for value, name in figures)
    people = ", ".join(f"{parts.escape(name)} ({count:,})" for name, count in seen.reviewers.items())
    return f'<div class="fc fc-figures num">{cells}</div><div class="fc quiet">{"By " + people if people else ""}</div>'


def _classes(seen: Overview, *, hidden: bool) -> str:
    most = max((line.samples for line in seen.classes), default=1) or 1
    rows = []
    for line in seen.classes:
        found = "" if hidden else f"<td>{line.flagged:,}</td>"
        moved = f"−{line.leaving:,} +{line.arriving:,}" if line.leaving or line.arriving else ""
        rows.append(
            f"<tr><th>{parts.escape(line.label)}</th>"
            f'<td class="wide"><i style="width:{line.samples / most:.1%}"></i></td>'
            f"<td>{line.samples:,}</td>{found}<td>{line.decided:,}</td><td>{moved}</td></tr>"
        )
    found = "" if hidden else "<th>mislabelled?</th>"
    head = f"<tr><th>given label</th><td></td><th>samples</th>{found}<th>decided</th><th>relabelled</th></tr>"
    body = head + "".join(rows)
    return f'<div class="fc"><h3 class="fc-title">Classes</h3><table class="fc-table num">{body}</table></div>'


def _verdicts(seen: Overview) -> str:
    rows = "".join(
        f'<tr><th>{parts.escape(kind)}</th><td class="wide"><span class="track">'
        f'<i class="good" style="width:{done / count:.1%}"></i></span></td>'
        f"<td>{done:,} of {count:,} decided</td></tr>"
        for kind, (count, done) in seen.verdicts.items()
    )
    body = rows or "<tr><td>Nothing triaged yet: run ferclean score and ferclean triage.</td></tr>"
    return f'<div class="fc"><h3 class="fc-title">Verdicts</h3><table class="fc-table num">{body}</table></div>'


def _expected(seen: Overview) -> str:
    """Empty before triage, and for verdicts of a version that stated nothing."""
    if not seen.expected or seen.error_rate is None:
        return ""
    rows = "".join(
        f"<tr><th>first {row['depth']:,.0f}</th><td>{row['found']:,.0f}</td><td>{row['precision']:.0%}</td>"
        f"<td>{row['recall']:.0%}</td><td>{row['recall_low']:.0%} to {row['recall_high']:.0%}</td></tr>"
        for row in seen.expected
    )
    head = "<tr><th>of the undecided queue</th><th>mislabelled</th><th>precision</th><th>recall</th><th>95 %</th></tr>"
    rate, low, high = seen.error_rate
    return (
        '<div class="fc"><h3 class="fc-title">What the queue is expected to hold</h3>'
        f'<table class="fc-table num">{head}{rows}</table>'
        f'<div class="quiet">About {rate:.0%} of the given labels are estimated to be wrong ({low:.0%} to {high:.0%}), '
        "faces on which nobody would agree included. ferclean audit measures it.</div></div>"
    )


def _flows(seen: Overview, classes: list[str]) -> str:
    most = max((count for row in seen.flows.values() for count in row.values()), default=0) or 1
    head = "".join(f"<th>{parts.escape(name)}</th>" for name in classes)
    rows = []
    for given in classes:
        cells = []
        for other in classes:
            count = seen.flows[given][other]
            ink = f' style="--share:{count / most:.2f}"' if count else ""
            same = ' class="same"' if given == other else ' class="some"' if count else ""
            cells.append(f"<td{same}{ink}>{count or ''}</td>")
        rows.append(f"<tr><th>{parts.escape(given)}</th>{''.join(cells)}</tr>")
    return (
        '<div class="fc"><h3 class="fc-title">Given label (row) → suggested label (column), mislabelled samples</h3>'
        f'<table class="fc-flows num"><tr><td class="same"></td>{head}</tr>{"".join(rows)}</table></div>'
    )
