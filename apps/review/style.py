"""How the review screen looks: its colours, its fixed heights, and small pieces of HTML with every value escaped.

Colours are from Okabe and Ito's colour-blind-safe palette, and never the only sign: given is a square, suggested a dot.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from apps.review.parts import escape
from ferclean.review.beside import Beside
from ferclean.review.offers import Offer

GIVEN_MARK, SUGGESTED_MARK = "■", "●"

_FILES = ("style.css", "together.css", "sizes.css")
_CSS = "\n".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in _FILES)


@dataclass(frozen=True)
class Strip:
    """Small faces under a title."""

    title: str
    mark: str
    """'given', 'suggested' or ''."""
    faces: Sequence[Beside]
    tall: bool = False
    """Two rows high instead of one."""


def apply() -> None:
    """Put the style sheet on the page."""
    st.html(f"<style>{_CSS}</style>")


def notice(title: str, message: str) -> None:
    """A calm message in place of a page."""
    st.html(f'<div class="fc fc-notice"><h2>{escape(title)}</h2><p>{escape(message)}</p></div>')


def labels(given: str | None, suggested: str | None, *, hidden: bool) -> str:
    """The given label and the suggested one, in words."""
    left = f'<div class="box given"><small>{GIVEN_MARK} given label</small>{_name(given or "unknown")}</div>'
    if hidden:
        right = '<div class="box none"><small>suggested label</small><strong>hidden</strong></div>'
    elif suggested is None:
        right = '<div class="box none"><small>suggested label</small><strong>none</strong></div>'
    else:
        right = f'<div class="box suggested"><small>{SUGGESTED_MARK} suggested label</small>{_name(suggested)}</div>'
    return f'<div class="fc fc-labels">{left}<div class="arrow">→</div>{right}</div>'


def _name(label: str) -> str:
    """A class in large letters; one of several words takes two lines of smaller ones rather than lose its end."""
    size = f' class="long" title="{escape(label)}"' if len(label) > 10 else ""
    return f"<strong{size}>{escape(label)}</strong>"


def bars(
    classes: Sequence[str],
    probabilities: Sequence[float] | None,
    given: str | None,
    suggested: str | None,
    votes: Sequence[str] = (),
) -> str:
    """One bar per class in the card's order; the given and the suggested class carry their mark.

    Of several recognizers, `votes` are their first choices: each is a small circle beside the class's bar.
    """
    rows = []
    values: Sequence[float | None] = probabilities or [None] * len(classes)
    for name, value in zip(classes, values, strict=True):
        kind = "given" if name == given else "suggested" if name == suggested else ""
        mark = {"given": f"{GIVEN_MARK} given", "suggested": f"{SUGGESTED_MARK} suggested"}.get(kind, "")
        share = 0.0 if value is None else max(0.0, min(1.0, value))
        rows.append(
            f'<span class="name {"strong" if kind else ""}" title="{escape(name)}">{escape(name)}</span>'
            f'<span class="track"><div class="fill {kind}" style="width:{share:.1%}"></div></span>'
            f'<span class="value">{"–" if value is None else f"{share:.0%}"}</span>'
            f"{_votes(list(votes).count(name), len(votes))}"
            f'<span class="mark {kind}-ink">{mark}</span>'
        )
    # the same width for every face, however they vote
    return f'<div class="fc fc-bars" style="--recognizers:{len(votes) if len(votes) > 1 else 0}">{"".join(rows)}</div>'


def _votes(count: int, of: int) -> str:
    """One circle per recognizer whose first choice it is; nothing where only one recognizer judged."""
    if of < 2 or not count:
        return '<span class="votes"></span>'
    told = f"first choice of {count} of {of} recognizers"
    return f'<span class="votes" role="img" aria-label="{told}" title="{told}">{"○" * count}</span>'


def why(title: str, reasons: Sequence[str], *, aside: str = "") -> str:
    """The verdict and its reasons in words, and a quiet line below them."""
    listed = "".join(f"<li>{escape(reason)}</li>" for reason in reasons) or "<li>no particular reason</li>"
    below = f'<p class="quiet">{escape(aside)}</p>' if aside else ""
    reached = 'tabindex="0" role="region" aria-label="Reasons"'  # where it is scrolled, by keys too
    return f'<div class="fc fc-why" {reached}><h4>{escape(title)}</h4><ul>{listed}</ul>{below}</div>'


def strip(row: Strip, pictures: dict[str, str | None], *, tone: dict[str, str], leads: Collection[str] = ()) -> str:
    """A strip of small faces; `tone` is the class of ink in which a label is written. Those of `leads` are buttons."""
    shown = []
    for face in row.faces:
        source = pictures.get(face.sample_id)
        name = escape(f"{face.source_key} · {face.label}{' · ' + face.why if face.why else ''}")
        image = (
            f'<img src="{escape(source)}" alt="{name}" title="{name}">'
            if source
            else '<div class="gone">no picture</div>'
        )
        if face.sample_id in leads:
            look = f'type="button" data-face="{escape(face.sample_id)}" aria-label="look at {name}"'
            image = f"<button {look}>{image}</button>"
        shown.append(
            f'<figure>{image}<figcaption class="{tone.get(face.label, "")}">{escape(face.label)}</figcaption></figure>'
        )
    body = "".join(shown) or '<div class="empty">no faces of this kind yet</div>'
    sign = {"given": f"{GIVEN_MARK} ", "suggested": f"{SUGGESTED_MARK} "}.get(row.mark, "")
    head = f'<h4 class="{f"{row.mark}-ink" if row.mark else ""}">{sign}{escape(row.title)}</h4>'
    return f'<div class="fc fc-strip{" tall" if row.tall else ""}">{head}<div class="faces">{body}</div></div>'


def brief(proposal: Offer | None) -> str:
    """What the default decision does, in one word."""
    return "no proposal" if proposal is None else {"relabel": "accept"}.get(proposal.action, proposal.action)
