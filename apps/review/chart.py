"""What the map asks this server: all points at once, and a face with those that are most like it.

It draws nothing; where faces lie and what they are coloured by is worked out in `ferclean.review.chart`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from apps.review.addresses import is_double
from apps.review.deck import at_desk
from apps.review.responses import answered
from apps.review.sitting import Sitting
from ferclean.errors import UsageError
from ferclean.printable import printable
from ferclean.review import beside as faces_beside
from ferclean.review import chart
from ferclean.review.offers import Item

_NEAR = 8  # faces beside the one that was clicked
_SIDE = 240  # pixels of that one
_KEPT = ("reviewer", "blind")
"""Of the map's address what goes along to a face: who looks, and how."""


def points(address: Mapping[str, str]) -> bytes:
    """All points, as `ferclean.review.chart.points` packs them; in blind mode nothing that the model thinks."""
    _refuse_double(address)
    return at_desk(address, lambda at: chart.points(at.desk, blind=at.filters.blind))


def face(address: Mapping[str, str], *, name: str, point: int, near: bool) -> dict[str, Any]:
    """The face of a point of the map `name`; with `near` larger, and with those that are most like it."""

    _refuse_double(address)

    def ask(at: Sitting) -> dict[str, Any]:
        sample_id = chart.face_at(at.desk, name, point)
        item, hidden = at.desk.items[sample_id], at.filters.blind
        # which faces are alike, and what they are called, says what the model thinks
        alike = faces_beside.beside(at.album, sample_id, count=_NEAR) if near and not hidden else []
        side = _SIDE if near else faces_beside.BESIDE_SIDE
        wanted = [(sample_id, side), *((one.sample_id, faces_beside.BESIDE_SIDE) for one in alike)]
        pictures = faces_beside.pictures(at.album, wanted)
        stands = at.desk.standing.get(sample_id)
        return {
            "at": point, "name": printable(item.source_key), "picture": pictures[sample_id, side].uri,
            "trouble": printable(pictures[sample_id, side].trouble or ""),
            "given": None if hidden else printable(item.given_label or "no label"),
            "suggested": None if hidden or item.suggested_label is None else printable(item.suggested_label),
            "verdict": None if hidden else _verdict(item),
            "stands": None if stands is None else printable(stands.label or stands.action),
            "review": _review(address, sample_id),
            "alike": [
                {
                    "at": chart.point_of(at.desk, one.sample_id), "name": printable(one.source_key),
                    "label": printable(one.label), "why": one.why, "review": _review(address, one.sample_id),
                    "picture": pictures[one.sample_id, faces_beside.BESIDE_SIDE].uri,
                }
                for one in alike
            ],
        }  # fmt: skip

    return at_desk(address, ask)


def _refuse_double(address: Mapping[str, str]) -> None:
    if is_double(address):  # who lies beside whom tells what each is called
        raise UsageError("the map is closed in double-blind mode")


def _verdict(item: Item) -> str:
    return item.verdict if item.p_verdict is None else f"{item.verdict} {item.p_verdict:.0%}"


def _review(address: Mapping[str, str], sample_id: str) -> str:
    """Where this face is decided about. A person has picked it: it stands for no random sample."""
    kept = {name: address[name] for name in _KEPT if address.get(name)}
    return "?" + urlencode({**kept, "page": "review", "sample": sample_id, "pick": "1"})


async def _points(request: Request) -> Response:
    return await answered(lambda: points(dict(request.query_params)))


async def _face(request: Request) -> Response:
    asked = dict(request.query_params)
    name, at, near = asked.pop("map", ""), asked.pop("at", ""), asked.pop("near", "") == "1"
    point = int(at) if at.isdecimal() and len(at) < 10 else -1
    return await answered(lambda: face(asked, name=name, point=point, near=near))


ROUTES = (
    Route("/ferclean/map", _points, methods=["GET"]),
    Route("/ferclean/map/face", _face, methods=["GET"]),
)
