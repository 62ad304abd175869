"""What the deck shows beside a face when it is asked: the face's history, and the team's guidelines.

Of a face that a reviewer has not answered yet it tells nobody else's words; in blind mode nothing of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from apps.review import deck, meanings, stories
from apps.review.parts import escape
from apps.review.responses import answered
from apps.review.sitting import Sitting
from ferclean.printable import printable
from ferclean.review.sharing import others_about
from ferclean.store.guidelines import guidelines
from ferclean.store.history import history

_DOUBLE = "Double-blind: what was said about a face, and its name, could tell what it is labelled."
_MIXED = "The team's plan mixes in faces to measure who reviews, so what was said about a face is not shown beside it."
_FIRST = "What others said about this face is shown once you have answered it."


def history_of(address: Mapping[str, str], *, sample_id: str) -> dict[str, Any]:
    """What may be told of a face's history: its title, and the rows as HTML."""

    def ask(at: Sitting) -> dict[str, Any]:
        if at.filters.double:
            return {"title": "History", "html": f'<p class="quiet">{escape(_DOUBLE)}</p>'}
        if at.desk.checks is not None:  # a face that comes a second time would be known by it
            return {"title": "History", "html": f'<p class="quiet">{escape(_MIXED)}</p>'}
        story, me = history(at.desk.ws, sample_id), at.desk.reviewer
        told = others_about(at.desk, [sample_id], blind=at.filters.blind)[sample_id].told
        if not told:
            story = replace(story, entries=tuple(entry for entry in story.entries if entry.reviewer == me))
        first = "" if told else f'<p class="quiet">{escape(_FIRST)}</p>'
        return {
            "title": printable(story.source_key),
            "html": first + stories.log(story, at.desk.classes, hidden=at.filters.blind),
        }

    return deck.at_desk(address, ask)


def guidelines_of(address: Mapping[str, str]) -> dict[str, Any]:
    """What the team wrote about its expressions, as HTML."""
    return deck.at_desk(address, lambda at: {"html": meanings.cards(at, guidelines(at.desk.ws))})


async def _history(request: Request) -> Response:
    asked = dict(request.query_params)
    sample_id = asked.pop("sample", "")
    return await answered(lambda: history_of(asked, sample_id=sample_id))


async def _guidelines(request: Request) -> Response:
    return await answered(lambda: guidelines_of(dict(request.query_params)))


ROUTES = (
    Route("/ferclean/history", _history, methods=["GET"]),
    Route("/ferclean/guidelines", _guidelines, methods=["GET"]),
)
