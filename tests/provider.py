"""A small OpenID Connect provider on this machine: it says who comes by whatever the test has put into `claims`.

It speaks what a sign-in needs (discovery, keys, authorization with PKCE, a token that is signed), and nothing more.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "ferclean-tests", "a word between the screen and the provider"


class Provider(ThreadingHTTPServer):
    """`claims` are those of whoever signs in next; `asked` counts sign-ins."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.claims: dict[str, Any] = {}
        self.asked = 0
        self.codes: dict[str, dict[str, str]] = {}


class _Answers(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        place, asked = urlsplit(self.path).path, _flat(urlsplit(self.path).query)
        issuer = self.server.issuer
        if place == "/.well-known/openid-configuration":
            self._json({
                "issuer": issuer, "authorization_endpoint": f"{issuer}/authorize", "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/keys", "response_types_supported": ["code"],
                "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
            })  # fmt: skip
        elif place == "/keys":
            self._json({"keys": [self.server.key.as_dict(private=False)]})
        elif place == "/authorize":
            assert (asked["client_id"], asked["response_type"]) == (CLIENT, "code")
            code = secrets.token_urlsafe()
            self.server.codes[code] = asked
            self.server.asked += 1
            self.send_response(302)
            self.send_header(
                "Location", f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"
            )
            self.end_headers()
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        sent = _flat(self.rfile.read(int(self.headers["Content-Length"])).decode())
        basic = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        begun = self.server.codes.pop(sent["code"])
        proof = base64.urlsafe_b64encode(hashlib.sha256(sent["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if basic != f"{CLIENT}:{SECRET}" or proof != begun["code_challenge"]:
            self.send_error(401)
            return
        now = int(time.time())
        claims = {
            "iss": self.server.issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 60, "nonce": begun["nonce"],
        } | self.server.claims  # fmt: skip
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.server.key)
        self._json({"access_token": "unused", "token_type": "Bearer", "expires_in": 60, "id_token": token})

    def _json(self, told: dict[str, Any]) -> None:
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _flat(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


@contextlib.contextmanager
def provider() -> Iterator[Provider]:
    """A provider that answers for as long as the block lasts."""
    with Provider() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
