"""The door of both screens: only this machine's own pages may ask a local server, and no other site may frame one.

An ASGI wrapper around a whole application, so that no route is left out. It only refuses; what is answered stays.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, ClassVar

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# Both screens bring all they need. What a page asks elsewhere stays unasked: a font, a counter, or a picture in
# somebody's file name.
_POLICY = (
    "default-src 'self' data: blob:; connect-src 'self' {sockets} data: blob:; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' data: blob:; "
    "style-src 'self' 'unsafe-inline'; base-uri 'self'; form-action 'self'; object-src 'none'; frame-ancestors 'none'"
)


def own_hosts(address: str, port: int) -> tuple[str, ...]:
    """The Host headers under which a server on this machine's `address` and `port` may be asked.

    >>> own_hosts("127.0.0.1", 8501)
    ('127.0.0.1:8501', 'localhost:8501', '[::1]:8501')
    """
    names = dict.fromkeys((address, "127.0.0.1", "localhost", "[::1]"))
    hosts = tuple(f"{name}:{port}" for name in names)
    return (*hosts, *names) if port == 80 else hosts  # browsers leave out HTTP's own port


class Guard:
    """Refuses (403) what a web page from elsewhere could ask of a server on this machine, on every route.

    - A Host that is not one of `hosts`: another name that was made to point to this machine.
    - An Origin that is not one of them: another site's request or websocket. Programs that send none are no browsers'.
    - A part of another site's page (an image, a script, a frame), which browsers name in Sec-Fetch-Site. A person who
      follows a link to the screen is let in.

    `refusal` may refuse more: it is given the request and returns an HTTP status, or None. Answers carry headers that
    keep other sites from framing or reading them, and the page from asking other sites. Where browsers ask by `https`,
    through a proxy, cookies go by it alone.

    Other users of the same machine can still reach a loopback port; what stops them is sign-in, on the review screen.
    """

    stands: ClassVar[bool] = False
    """Whether this process serves behind a guard; the review screen shows nothing without one."""

    def __init__(
        self,
        app: App,
        *,
        hosts: Iterable[str],
        scheme: str = "http",
        refusal: Callable[[Message], int | None] = lambda scope: None,
    ) -> None:
        self.app = app
        self.hosts = tuple(hosts)
        self.scheme = scheme
        self.origins = frozenset(f"{scheme}://{host}" for host in self.hosts)
        self.refusal = refusal
        Guard.stands = True
        # a policy has no words for an IPv6 address: there 'self' alone must do
        wire = {"http": "ws", "https": "wss"}[scheme]
        policy = _POLICY.format(sockets=" ".join(f"{wire}://{host}" for host in self.hosts if "[" not in host))
        self.headers = {
            b"content-security-policy": policy.encode(),
            b"x-frame-options": b"DENY",
            b"x-content-type-options": b"nosniff",
            b"referrer-policy": b"no-referrer",
            b"cross-origin-resource-policy": b"same-origin",
            b"cross-origin-opener-policy": b"same-origin",
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [
                    (name, value + b"; Secure" if self.scheme == "https" and name.lower() == b"set-cookie" else value)
                    for name, value in message.get("headers", ())
                    if name.lower() not in self.headers
                ]
                message = {**message, "headers": [*kept, *self.headers.items()]}
            await send(message)

        status = 403 if self._is_foreign(scope) else self.refusal(scope)
        if status is None:
            await self.app(scope, receive, send_with_headers)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            body = f"refused by ferclean; open {self.scheme}://{self.hosts[0]} itself\n".encode()
            headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
            await send_with_headers({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    def _is_foreign(self, scope: Message) -> bool:
        # HTTP/2 carries the name in :authority, which the server hands on as host
        named = _values(scope, b"host")
        if len(named) != 1 or named[0] not in self.hosts:
            return True
        if any(origin not in self.origins for origin in _values(scope, b"origin")):
            return True
        from_elsewhere = any(site in ("cross-site", "same-site") for site in _values(scope, b"sec-fetch-site"))
        return from_elsewhere and _values(scope, b"sec-fetch-dest") != ["document"]


def _values(scope: Message, name: bytes) -> list[str]:
    return [value.decode("latin-1").lower() for key, value in scope["headers"] if key == name]
