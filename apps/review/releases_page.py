"""The releases page: which releases there are, and what one changed against another or the set as it was given.

It draws what `ferclean diff` says, one page of faces at a time; a release is frozen, and what is taken back of it here
(`taking_back`) is decisions for the next one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import streamlit as st

from apps.review import links, parts, style, taking_back
from apps.review.parts import escape
from apps.review.sitting import Sitting
from ferclean.exports.content import ORIGINAL
from ferclean.printable import printable
from ferclean.review import beside as faces_beside
from ferclean.steps.diff import ReleaseDiff, diff
from ferclean.store.releases import Release, list_releases

_PAGE = 24
_OUT = "left out"
_FLOWS = 12  # of a changelog that are listed; the release holds all
_LATEST = 12  # releases that the list shows; the choice holds all
_NOTE = (
    "A release is frozen: nothing changes it. What you take back of it below is decided again, for the next release; "
    "the old answers stay in each face's history."
)


def draw(at: Sitting) -> None:
    """Draw the releases, and what the chosen one changed."""
    made = list_releases(at.desk.ws)
    if at.filters.blind:
        style.notice("Hidden in blind mode", "Here labels before and after stand side by side. Switch Blind off.")
    elif not made:
        style.notice(
            "No release yet",
            "A release freezes the labels as they stand now, under a name, to train on: ferclean release NAME.",
        )
    else:
        st.html(_list(made))
        _compare(at, made)
    parts.keys({}, face="")


def _list(made: list[Release]) -> str:
    titles = ("release", "version", "policy", "made (UTC)", "faces", "relabelled", "left out")
    head = f"<tr>{''.join(f'<th>{title}</th>' for title in titles)}</tr>"
    rows = "".join(
        f'<tr><th class="who" title="{escape(one.name)}">{escape(one.name)}</th>'
        f"<td>{escape(one.config.get('version', '–'))}</td><td>{escape(one.policy)}</td>"
        f"<td>{escape(one.created_at[:16].replace('T', ' '))}</td>{_counts(one.counts)}</tr>"
        for one in reversed(made[-_LATEST:])
    )
    older = len(made) - _LATEST
    more = f'<p class="fc quiet fc-wide">{older:,} older ones: choose them below</p>' if older > 0 else ""
    return (
        f'<div class="fc"><h3 class="fc-title">Releases</h3><table class="fc-table fc-pairs num">{head}{rows}</table>'
        f'</div>{more}<p class="fc quiet fc-wide">{escape(_NOTE)}</p>'
    )


def _counts(counts: Mapping[str, Any]) -> str:
    told = (counts.get(name) for name in ("included", "relabelled", "left_out"))
    return "".join(f"<td>{'–' if count is None else f'{count:,}'}</td>" for count in told)


def _compare(at: Sitting, made: list[Release]) -> None:
    names = [release.name for release in made]
    left, right, third = st.columns([1, 1, 1.6])
    after = right.selectbox("To", names[::-1], key="release_after", format_func=printable)
    earlier = [ORIGINAL, *(name for name in names[::-1] if name != after)]
    before = left.selectbox("From", earlier, key="release_before", format_func=_named)
    found = _diff(at, before, after)
    flows = Counter((_end(one["from"]), _end(one["to"])) for one in found.changes)
    flow = third.selectbox(
        "Changes", [None, *(flow for flow, _ in flows.most_common())], key="release_flow",
        format_func=lambda flow: f"all {len(found.changes):,}" if flow is None else _flow(flow, flows[flow]),
    )  # fmt: skip
    if not found.changes:
        st.html(f'<p class="fc quiet">No label differs, and nobody came or went. {_moved(found)}</p>')
        return
    chosen = [one for one in found.changes if flow is None or (_end(one["from"]), _end(one["to"])) == flow]
    named = "all of it" if flow is None else parts.inert(f"{flow[0]} → {flow[1]}")
    matrix, faces = st.columns([1, 1.4], gap="large")
    matrix.html(_matrix(flows, [*at.desk.classes, _OUT]))
    matrix.html(f'<p class="fc quiet">{_moved(found)}</p>')
    if changelog := _changelog(next(one for one in made if one.name == after)):
        matrix.html(changelog)
    with faces:
        taking_back.draw(at, chosen, before=before, after=after, named=named)
        _faces(at, chosen, about=(before, after, flow))


def _diff(at: Sitting, before: str, after: str) -> ReleaseDiff:
    """What `diff` says, which reads both releases: once for this choice while the desk is the same."""
    kept = st.session_state.get("release_diff")
    if kept is None or kept[0] is not at.desk or kept[1] != (before, after):
        kept = st.session_state["release_diff"] = (at.desk, (before, after), diff(at.desk.ws, before, after))
    found: ReleaseDiff = kept[2]
    return found


def _named(name: str) -> str:
    return "as given" if name == ORIGINAL else printable(name)


def _end(label: str | None) -> str:
    return _OUT if label is None else label


def _flow(flow: tuple[str, str], count: int) -> str:
    return printable(f"{flow[0]} → {flow[1]}: {count:,}")


def _changelog(made: Release) -> str:
    """What the release says of itself since the one before: flows, and by whom; empty for one of an older version."""
    told = made.config.get("changelog")
    if not told:
        return ""
    rows = "".join(
        f"<tr><th>{escape(_end(one['from']))} → {escape(_end(one['to']))}</th><td>{one['count']:,}</td>"
        f'<td class="said">{escape(", ".join(f"{who} {count:,}" for who, count in one["by"].items()))}</td></tr>'
        for one in told["flows"][:_FLOWS]
    )
    rest = sum(one["count"] for one in told["flows"][_FLOWS:])
    rows += f'<tr><th>others</th><td>{rest:,}</td><td class="said"></td></tr>' if rest else ""
    why = "; ".join(told["why"]) or "no face differs"
    return (
        f'<div class="fc"><h3 class="fc-title">Changelog of {escape(made.config["version"])}, since '
        f'{escape(_named(told["since"]))}</h3><p class="fc quiet">{escape(why)}</p>'
        f'<table class="fc-table fc-audit num">{rows}</table></div>'
    )


def _moved(found: ReleaseDiff) -> str:
    told = [f"{one['count']:,} faces from {one['from']} to {one['to']}" for one in found.moves()]
    told += [f"{found.soft_labels:,} soft labels moved"] if found.soft_labels else []
    told += [f"{found.weights:,} weights moved"] if found.weights else []
    return escape("; ".join(told))


def _matrix(flows: Mapping[tuple[str, str], int], ends: list[str]) -> str:
    most = max(flows.values(), default=0) or 1
    head = "".join(f'<th title="{escape(name)}">{escape(name)}</th>' for name in ends)
    rows = []
    for one in ends:
        cells = []
        for other in ends:
            count = flows.get((one, other), 0)
            ink = f' style="--share:{count / most:.2f}"' if count else ""
            same = ' class="same"' if one == other else ' class="some"' if count else ""
            cells.append(f"<td{same}{ink}>{f'{count:,}' if count else ''}</td>")
        rows.append(f'<tr><th title="{escape(one)}">{escape(one)}</th>{"".join(cells)}</tr>')
    return (
        '<div class="fc"><h3 class="fc-title">Label before (row) → after (column), changed faces</h3>'
        f'<table class="fc-flows num"><tr><td class="same"></td>{head}</tr>{"".join(rows)}</table></div>'
    )


def _faces(at: Sitting, chosen: list[dict[str, Any]], *, about: object) -> None:
    """One page of the changed faces; only its pictures are read."""
    last = (len(chosen) - 1) // _PAGE
    if st.session_state.get("release_about") != about:
        st.session_state["release_about"], st.session_state["release_page"] = about, 0
    page = min(st.session_state["release_page"], last)
    shown = chosen[page * _PAGE : (page + 1) * _PAGE]
    taking_back.picks(shown, first=page * _PAGE + 1)
    pictures = faces_beside.pictures(at.album, [(one["sample_id"], faces_beside.BESIDE_SIDE) for one in shown])
    figures = "".join(
        _face(at, one, pictures[one["sample_id"], faces_beside.BESIDE_SIDE], number)
        for number, one in enumerate(shown, start=page * _PAGE + 1)
    )
    place = f"{page * _PAGE + 1:,} to {page * _PAGE + len(shown):,} of {len(chosen):,}"
    st.html(
        f'<div class="fc"><h3 class="fc-title num">Changed faces: {place}</h3>'
        f'<div class="fc-disputes fc-changed"><div class="faces">{figures}</div></div></div>'
    )
    with st.container(horizontal=True, gap="small"):
        st.button("← Earlier", key="release_back", disabled=not page, on_click=_turn, args=(page - 1,))
        st.button("Further →", key="release_on", disabled=page == last, on_click=_turn, args=(page + 1,))


def _turn(page: int) -> None:
    st.session_state["release_page"] = page


def _face(at: Sitting, one: Mapping[str, Any], picture: faces_beside.Picture, number: int) -> str:
    lines = [
        f"{_end(one['from'])} → {_end(one['to'])}",
        one["reason"] or "no reason told",
        one["source_key"],
    ]
    title = escape(" · ".join(lines))
    image = f'<img src="{escape(picture.uri)}" alt="{title}">' if picture.uri else '<div class="gone">no picture</div>'
    body = f'<b class="nr">{number:,}</b>{image}' + "".join(f"<span>{escape(line)}</span>" for line in lines)
    if one["sample_id"] not in at.desk.items:  # set aside or never judged: there is nothing to answer
        return f'<div title="{title}">{body}</div>'
    return f'<a href="{links.to("review", one["sample_id"])}&amp;pick=1" target="_self" title="{title}">{body}</a>'
