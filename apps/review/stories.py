"""What was said about a face, as HTML: everybody's answers side by side, the whole history, and the evidence.

Everything that a person chose is escaped; it holds no data of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from apps.review import style
from apps.review.parts import escape
from ferclean.review.beside import Picture
from ferclean.review.offers import Item
from ferclean.store.history import Entry, History

_DID = {"keep": "keep", "ambiguous": "ambiguous", "exclude": "exclude", "skip": "skipped", "undo": "took back"}
_WHERE = {
    "cli": "command line",
    "file": "a file",
    "fiftyone": "FiftyOne",
    "api": "",
    "review": "",
    "repeat": "asked again, to measure",
    "honeypot": "asked to measure",
}


def said(action: str, label: str | None) -> str:
    """An answer in a word: the class, or what else was said."""
    return label if action == "relabel" and label else _DID.get(action, action)


def picture(shown: Picture, story: History) -> str:
    """The face itself, with its name."""
    name = escape(story.source_key)
    image = (
        f'<img src="{escape(shown.uri)}" alt="{name}">'
        if shown.uri
        else f'<div class="gone">{escape(shown.trouble or "no picture")}</div>'
    )
    return (
        f'<div class="fc fc-look">{image}<div class="fc-caption"><span class="name" title="{name}">{name}</span>'
        f"<span>{escape(story.split)}</span></div></div>"
    )


def answers(story: History, classes: Sequence[str]) -> str:
    """What stands of each person, side by side, and the adjudication where there is one."""
    cells = "".join(_answer(entry, story.given_label, classes) for entry in story.entries if entry.stands)
    return f'<div class="fc fc-answers">{cells or "<p>Nothing stands about this face.</p>"}</div>'


def _answer(entry: Entry, given: str | None, classes: Sequence[str]) -> str:
    settles = entry.source == "adjudication"
    tone = "given-ink" if entry.action == "keep" else ""
    word = f"keep {given or 'unknown'}" if entry.action == "keep" else said(entry.action, entry.label)
    about = [f"{entry.decided_at:%d %b %H:%M} UTC"]
    about += [f"{entry.seconds:.0f} s"] if entry.seconds is not None else []
    about += [_saw(entry)]
    return (
        f'<div class="{"settled" if settles else ""}"><small title="{escape(entry.reviewer)}">'
        f"{'settled by ' if settles else ''}{escape(entry.reviewer)}</small>"
        f'<strong class="{tone}">{escape(word)}</strong>{_shares(entry, classes)}{_note(entry)}'
        f'<p class="num">{escape(" · ".join(about))}</p></div>'
    )


def _saw(entry: Entry) -> str:
    if entry.suggested:
        return f"saw the suggestion {entry.suggested}"
    if not entry.blind:
        return "saw the model's verdict"
    return "blind" if entry.source == "review" else _WHERE.get(entry.source, entry.source) or "seen: not known"


def _note(entry: Entry) -> str:
    return f"<blockquote>{escape(entry.note)}</blockquote>" if entry.note else ""


def _shares(entry: Entry, classes: Sequence[str]) -> str:
    if entry.shares is None:
        return ""
    told = [f"{share:.0%} {name}" for name, share in zip(classes, entry.shares, strict=False) if share > 0]
    return f"<p>{escape(', '.join(told))}</p>"


def evidence(classes: Sequence[str], item: Item | None) -> str:
    """The bars and reasons, as on the face page; a word where the face was not judged."""
    if item is None:
        return '<div class="fc fc-blind">This face is not in the queue: nothing judged it, or it was judged anew.</div>'
    bars = style.bars(classes, item.pred_probs, item.given_label, item.suggested_label, item.method_votes)
    sure = "" if item.p_verdict is None else f" ({item.p_verdict:.0%})"
    return bars + style.why(f"The verdict: {item.verdict}{sure}", item.reasons)


def log(story: History, classes: Sequence[str], *, hidden: bool = False) -> str:
    """All that was ever said, the latest first: what was undone is struck out, what stands is marked.

    `hidden`: nothing that the model thought is told.
    """
    rows = "".join(_row(entry, story, classes, hidden=hidden) for entry in reversed(story.entries))
    if not rows:
        return '<p class="quiet">Nobody has said anything about this face yet.</p>'
    return f'<table class="fc-log num">{rows}</table>'


def _row(entry: Entry, story: History, classes: Sequence[str], *, hidden: bool) -> str:
    undone = entry.undone_by is not None
    told = said(entry.action, entry.label)
    if entry.undoes is not None:
        taken = next((one for one in story.entries if one.decision_id == entry.undoes), None)
        told = f"took back {said(taken.action, taken.label)} of {taken.reviewer}" if taken else told
    more = [f"taken back by {entry.undone_by}"] if undone else []
    more += ["stands"] if entry.stands else []
    more += ["settles it for everybody"] if entry.source == "adjudication" else []
    more += [where] if (where := _WHERE.get(entry.source, "")) else []
    more += [f"one of {entry.bulk:,} at once"] if entry.bulk > 1 else []
    more += [f"{entry.seconds:.0f} s"] if entry.seconds is not None else []
    if entry.verdict is not None and not hidden:
        suggested = f", suggests {entry.suggested}" if entry.suggested else ""
        more += [f"the model then: {entry.verdict}{suggested}"]
    tone, when = "undone" if undone else "stands" if entry.stands else "", f"{entry.decided_at:%d %b %Y %H:%M}"
    return (
        f'<tr class="{tone}"><td>{when}</td>'
        f"<td>{escape(entry.reviewer)}</td><td><b>{escape(told)}</b>{_shares(entry, classes)}{_note(entry)}"
        f"<small>{escape(' · '.join(more))}</small></td></tr>"
    )
