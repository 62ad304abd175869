"""What the deck asks this server, beside Streamlit's own routes and behind the same guard.

Answers are recorded before they are acknowledged; a busy workspace is told as such, and the browser sends them again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from apps.review import deck
from ferclean.errors import FercleanError, WorkspaceBusyError

_MOST = 200  # answers of one request; a browser that has more sends the rest with the next


async def _deal(request: Request) -> Response:
    asked = dict(request.query_params)
    after, count = asked.pop("after", None), asked.pop("count", str(deck.AHEAD))
    examples = asked.pop("examples", "") == "1"
    most = min(int(count), 2 * deck.AHEAD) if count.isdecimal() else deck.AHEAD
    return await _answered(lambda: deck.deal(asked, after=after, count=most, examples=examples))


async def _step(request: Request) -> Response:
    asked = dict(request.query_params)
    sample_id, by = asked.pop("from", ""), -1 if asked.pop("by", "") == "-1" else 1
    return await _answered(lambda: deck.step(asked, sample_id=sample_id, by=by))


async def _answer(request: Request) -> Response:
    if request.headers.get("content-type") != "application/json":
        return JSONResponse({"error": "answers come as JSON"}, status_code=415)
    try:
        sent = await request.json()
    except ValueError:
        return JSONResponse({"error": "this is no JSON"}, status_code=400)
    if not isinstance(sent, list) or not all(isinstance(one, dict) for one in sent):
        return JSONResponse({"error": "answers come as a list of objects"}, status_code=400)
    return await _answered(lambda: deck.answer(dict(request.query_params), sent[:_MOST]))


async def _answered(ask: Callable[[], dict[str, Any]]) -> Response:
    try:
        found, status = await run_in_threadpool(ask), 200
    except WorkspaceBusyError as error:
        found, status = deck.in_words(error), 503
    except FercleanError as error:
        found, status = deck.in_words(error), 409
    return JSONResponse(found, status_code=status, headers={"cache-control": "no-store"})


ROUTES = (
    Route("/ferclean/deck", _deal, methods=["GET"]),
    Route("/ferclean/step", _step, methods=["GET"]),
    Route("/ferclean/answers", _answer, methods=["POST"]),
)
