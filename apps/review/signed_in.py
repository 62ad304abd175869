"""Who asks, where people sign in: of a request by its cookie, of a run of the page by Streamlit's session.

The cookie is Streamlit's, read by the code of Streamlit that reads it for its pages; what no one needs to see before
signing in is not answered. Where nobody signs in, this lets everything through.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.web.server.server_util import AUTH_COOKIE_NAME
from streamlit.web.server.starlette.starlette_websocket import (
    _get_signed_cookie_with_chunks,
    _parse_decoded_user_cookie,
)

from apps.guard import App, Message, Receive, Send
from ferclean.errors import FercleanError
from ferclean.printable import printable
from ferclean.review.sign_in import SignIn

# what a browser needs to sign in: Streamlit's empty page, its sign-in, and nothing of ours
_OPEN = frozenset({
    "/", "/index.html", "/favicon.png", "/manifest.json", "/_stcore/health", "/_stcore/host-config", "/auth/login",
    "/auth/logout", "/oauth2callback",
})  # fmt: skip
_OPEN_BELOW = "/static/"

_required: SignIn | None = None
_asks: ContextVar[str | None] = ContextVar("asks", default=None)


class NotSignedInError(FercleanError):
    """Nobody is signed in."""


def require(sign_in: SignIn) -> None:
    """From now on, in this process, nothing is shown to whoever is not signed in."""
    global _required
    _required = sign_in


def required() -> bool:
    """People sign in here."""
    return _required is not None


def name() -> str | None:
    """The reviewer who asks, in a request or in a run of the page; None where nobody signs in here.

    Raises NotSignedInError, and FercleanError for a person who may not review here.
    """
    if _required is None:
        return None
    if get_script_run_ctx(suppress_warning=True) is not None:
        return _person(_required, st.user.to_dict())
    if (asks := _asks.get()) is None:
        raise NotSignedInError("you are signed out; load this page again and sign in")
    return asks


def _person(sign_in: SignIn, claims: Mapping[str, Any]) -> str:
    if claims.get("is_logged_in") is not True:
        raise NotSignedInError("you are signed out; load this page again and sign in")
    return sign_in.person(claims)


class Entrance:
    """An ASGI wrapper: whatever is not needed to sign in is answered to people who are, and 401 or 403 to others.

    Streamlit's websocket is let through: it reads the cookie itself, and `name` goes by what it read.
    """

    def __init__(self, app: App, sign_in: SignIn) -> None:
        self.app, self.sign_in = app, sign_in

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OPEN or scope["path"].startswith(_OPEN_BELOW):
            await self.app(scope, receive, send)
            return
        try:
            asks = _person(self.sign_in, self._claims(Request(scope)))
        except FercleanError as error:
            status = 401 if isinstance(error, NotSignedInError) else 403
            refused = JSONResponse({"error": printable(str(error))}, status, headers={"cache-control": "no-store"})
            await refused(scope, receive, send)
            return
        before = _asks.set(asks)
        try:
            await self.app(scope, receive, send)
        finally:
            _asks.reset(before)

    def _claims(self, request: Request) -> dict[str, Any]:
        """What a cookie says that this server has signed, for this origin, in the last 31 days; else nothing."""
        cookie = _get_signed_cookie_with_chunks(request.cookies, AUTH_COOKIE_NAME)
        try:
            return dict(_parse_decoded_user_cookie(cookie, self.sign_in.origin)) if cookie else {}
        except (AttributeError, TypeError, ValueError):  # signed here, and no claims
            return {}
