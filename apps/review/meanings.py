"""What the team wrote about its expressions, as HTML for the page and for the panel beside a face: shown, never obeyed.

In double-blind mode it shows no face: one that is still to be asked about would say its label by being an example.
"""

from __future__ import annotations

from collections.abc import Mapping

from apps.review.parts import escape
from apps.review.sitting import Sitting
from ferclean.review import beside as faces_beside
from ferclean.store.guidelines import Guideline

_NOTHING = "Nothing is written yet. Say what each expression means here, and which faces are hard."


def page(at: Sitting, held: Mapping[str | None, Guideline]) -> str:
    """All that holds, one card a class, and the classes about which nothing is written."""
    missing = [name for name in at.desk.classes if name not in held]
    told = f'<p class="quiet">Nothing yet about: {escape(", ".join(missing))}</p>' if held and missing else ""
    return f'<div class="fc fc-meanings">{cards(at, held)}{told}</div>'


def cards(at: Sitting, held: Mapping[str | None, Guideline]) -> str:
    """One card per class that something is written about."""
    if not held:
        return f'<p class="quiet">{escape(_NOTHING)}</p>'
    side = faces_beside.BESIDE_SIDE
    shown = [] if at.filters.double else [(face.sample_id, side) for one in held.values() for face in one.examples]
    pictures = faces_beside.pictures(at.album, shown)
    return "".join(_card(one, pictures) for one in held.values())


def _card(one: Guideline, pictures: Mapping[tuple[str, int], faces_beside.Picture]) -> str:
    faces = "".join(
        _face(face.source_key, face.words, pictures[face.sample_id, faces_beside.BESIDE_SIDE])
        for face in one.examples
        if (face.sample_id, faces_beside.BESIDE_SIDE) in pictures
    )
    title = escape(one.label or "All expressions")
    return (
        f'<section><h4>{title}</h4><div class="text">{escape_lines(one.text)}</div>'
        f"{f'<div class=faces>{faces}</div>' if faces else ''}"
        f'<p class="quiet">version {one.version}, {escape(one.author)}, {one.written_at:%d %b %Y}</p></section>'
    )


def _face(name: str, words: str, picture: faces_beside.Picture) -> str:
    title = escape(f"{name}: {words}")
    image = f'<img src="{escape(picture.uri)}" alt="{title}" title="{title}">' if picture.uri else ""
    return f"<figure>{image}<figcaption>{escape(words)}</figcaption></figure>"


def escape_lines(text: str) -> str:
    """Text whose line breaks count, each line escaped."""
    return "<br>".join(escape(line) for line in text.splitlines())
