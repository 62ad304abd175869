"""What deck and grid ask this server, beside Streamlit's own routes and behind the same guard.

Answers are recorded before they are acknowledged; a busy workspace is told as such, and the browser sends them again.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from apps.review import asides, chart, deck, grid
from apps.review.responses import answered

_MOST = 200  # answers of one request; a browser that has more sends the rest with the next


async def _deal(request: Request) -> Response:
    asked = dict(request.query_params)
    after, count = asked.pop("after", None), asked.pop("count", str(deck.AHEAD))
    examples = asked.pop("examples", "") == "1"
    most = min(int(count), 2 * deck.AHEAD) if count.isdecimal() and len(count) < 10 else deck.AHEAD
    return await answered(lambda: deck.deal(asked, after=after, count=most, examples=examples))


async def _step(request: Request) -> Response:
    asked = dict(request.query_params)
    sample_id, by = asked.pop("from", ""), -1 if asked.pop("by", "") == "-1" else 1
    return await answered(lambda: deck.step(asked, sample_id=sample_id, by=by))


async def _part(request: Request) -> Response:
    asked = dict(request.query_params)
    of, sort, start, count = (asked.pop(name, "") for name in ("list", "sort", "start", "count"))
    first, most = (
        int(number) if number.isdecimal() and len(number) < 10 else usual
        for number, usual in ((start, 0), (count, grid.PAGE))
    )
    return await answered(lambda: grid.part(asked, of=of or None, sort=sort, start=first, count=most))


async def _counts(request: Request) -> Response:
    return await answered(lambda: grid.counted(dict(request.query_params)))


async def _bulk(request: Request) -> Response:
    sent = await _sent(request)
    if not isinstance(sent, dict):
        return sent if isinstance(sent, Response) else JSONResponse({"error": "a bulk is an object"}, status_code=400)
    return await answered(lambda: grid.bulk(dict(request.query_params), sent))


async def _answer(request: Request) -> Response:
    sent = await _sent(request)
    if isinstance(sent, Response):
        return sent
    if not isinstance(sent, list) or not all(isinstance(one, dict) for one in sent):
        return JSONResponse({"error": "answers come as a list of objects"}, status_code=400)
    return await answered(lambda: deck.answer(dict(request.query_params), sent[:_MOST]))


async def _sent(request: Request) -> Any:
    """What was sent as JSON, or the refusal of what is none: another site's form cannot send that."""
    if request.headers.get("content-type") != "application/json":
        return JSONResponse({"error": "answers come as JSON"}, status_code=415)
    try:
        return await request.json()
    except (ValueError, RecursionError):
        return JSONResponse({"error": "this is no JSON"}, status_code=400)


ROUTES = (
    Route("/ferclean/deck", _deal, methods=["GET"]),
    Route("/ferclean/step", _step, methods=["GET"]),
    Route("/ferclean/answers", _answer, methods=["POST"]),
    Route("/ferclean/grid", _part, methods=["GET"]),
    Route("/ferclean/counts", _counts, methods=["GET"]),
    Route("/ferclean/bulk", _bulk, methods=["POST"]),
    *asides.ROUTES,
    *chart.ROUTES,
)
