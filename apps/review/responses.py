"""How a route answers: what was asked for as JSON or as bytes, or in words why not; nothing is kept by the browser.

It decides nothing; a busy workspace is told as such, so that the browser asks again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from ferclean.errors import FercleanError, WorkspaceBusyError
from ferclean.printable import printable

_HEADERS = {"cache-control": "no-store"}


async def answered(ask: Callable[[], dict[str, Any] | bytes]) -> Response:
    """What `ask` returns (200), busy (503), or refused (409)."""
    try:
        said = await run_in_threadpool(ask)
        if isinstance(said, bytes):
            return Response(said, media_type="application/octet-stream", headers=_HEADERS)
        found, status = said, 200
    except WorkspaceBusyError as error:
        found, status = _in_words(error), 503
    except FercleanError as error:
        found, status = _in_words(error), 409
    return JSONResponse(found, status_code=status, headers=_HEADERS)


def _in_words(error: FercleanError) -> dict[str, str]:
    """An error as the browser is told it."""
    return {"error": printable(str(error))}
