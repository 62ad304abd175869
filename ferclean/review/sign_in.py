"""Who may sign in to the review screen: `[auth]` of .streamlit/secrets.toml, as Streamlit's users write it, checked.

What is secret in it is in no message, and nothing of it is written down; Streamlit does the signing in.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ferclean.errors import FercleanError, UsageError, among

FILE = Path(".streamlit", "secrets.toml")
"""Where Streamlit looks beside the folder that it is started in; the one in a person's home is not read."""
_NEEDED = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
_MORE = ("client_kwargs", "allow", "trust_email")
_CALLBACK = "/oauth2callback"
_SHORTEST = 32  # characters of a cookie secret: 128 bits where it is hexadecimal
_PORTS = {"http": 80, "https": 443}
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
"""The addresses that nobody else reaches."""
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,189}")


@dataclass(frozen=True)
class SignIn:
    """What `[auth]` says, checked."""

    file: Path
    settings: Mapping[str, Any] = field(repr=False)
    """As Streamlit takes them; secret."""
    origin: str
    """The one address that browsers may ask: scheme, host, and a port that is not the scheme's own."""
    provider: str
    """The host of whoever signs people in."""
    allow: tuple[str, ...]
    """E-mail addresses, or domains with an @ before them; none: whomever the provider lets in."""
    trust_email: bool = False
    """The provider never says whether it has verified an address, and whoever serves the screen knows that it does."""

    @property
    def host(self) -> str:
        """As browsers name it in Host."""
        return urlsplit(self.origin).netloc

    @property
    def public(self) -> bool:
        """Others than this machine's own users are meant to reach it."""
        return not _is_loopback(urlsplit(self.origin).hostname)

    def person(self, claims: Mapping[str, Any]) -> str:
        """The e-mail address of whoever the provider's ID token is about, in small letters: the reviewer's name.

        People choose their own display names, and two may have one; an address is one person's. Raises FercleanError
        where there is none, the provider does not say that it has verified it (unless `trust_email`, and it says
        nothing), or `allow` does not name it.
        """
        told = claims.get("email")
        # other letters may become another person's when they are made small (a Kelvin sign a k), or look like them
        email = told.lower() if isinstance(told, str) and told.isascii() else ""
        if not _EMAIL.fullmatch(email) or not email.isprintable():
            raise FercleanError(
                f"{self.provider} tells no e-mail address of you in plain letters, and answers are recorded under it"
            )
        verified = claims.get("email_verified")
        if verified is None and not self.trust_email:
            raise FercleanError(
                f"{self.provider} does not say whether {email} is yours; whoever serves this screen and knows that it "
                "verifies addresses writes trust_email = true into [auth]"
            )
        if verified is not None and str(verified).lower() != "true":
            raise FercleanError(f"{self.provider} has not verified that {email} is yours; verify it there first")
        if self.allow and not {email, email[email.index("@") :]} & {*self.allow}:
            raise FercleanError(f"{email} is not on the list of this screen; ask whoever serves it")
        return email


def find_sign_in(folder: Path, *, port: int) -> SignIn | None:
    """What FILE in `folder` says; None where there is no such file, or no `[auth]` in it."""
    file = folder / FILE
    return read_sign_in(file, port=port) if file.exists() and "auth" in _sections(file) else None


def read_sign_in(file: Path, *, port: int) -> SignIn:
    """What `[auth]` of a secrets.toml says for a server on `port`.

    Raises UsageError, with what to write, for half a configuration, names that mean nothing, and addresses that a
    sign-in would not be safe with.
    """
    found = _sections(file).get("auth", {})
    if not isinstance(found, dict):
        raise _off(file, "is no table")
    if tables := [name for name, value in found.items() if isinstance(value, dict) and name not in _MORE]:
        raise _off(file, f"names a provider of its own, {tables[0]}; write its settings into [auth] itself")
    if unknown := [name for name in found if name not in (*_NEEDED, *_MORE)]:
        raise _off(file, f"has {unknown[0]}, which means nothing here; {among(unknown[0], (*_NEEDED, *_MORE))}")
    if lacking := [name for name in _NEEDED if not isinstance(found.get(name), str) or not found[name].strip()]:
        raise _off(file, f"lacks {', '.join(lacking)}; without sign-in leave [auth] out")
    if len(found["cookie_secret"]) < _SHORTEST:
        how = 'python -c "import secrets; print(secrets.token_hex())"'
        raise _off(file, f"has a cookie_secret of less than {_SHORTEST} characters; make one: {how}")
    if not isinstance(found.get("client_kwargs", {}), dict):
        raise _off(file, 'has client_kwargs that are no table, such as { "prompt" = "login" }')
    if not isinstance(found.get("trust_email", False), bool):
        raise _off(file, "has a trust_email that is neither true nor false")
    settings = {name: value for name, value in found.items() if name not in ("allow", "trust_email")}
    settings["redirect_uri"] = found["redirect_uri"].replace("{port}", str(port))
    made = SignIn(
        file=file.resolve(),
        settings=settings,
        origin=_origin(file, settings["redirect_uri"]),
        provider=_provider(file, found["server_metadata_url"]),
        allow=_allowed(file, found["allow"]) if "allow" in found else (),
        trust_email=found.get("trust_email", False),
    )
    if not made.public and (urlsplit(made.origin).port or _PORTS[urlsplit(made.origin).scheme]) != port:
        raise _off(file, f"sends people back to {made.origin}, and this is port {port}: write {{port}} for the number")
    return made


def check_reach(address: str, sign_in: SignIn | None, *, shared: bool) -> None:
    """Raise UsageError where others would reach the screen, unless `shared` says that they are meant to and sign in."""
    foreign = address not in _LOOPBACK
    if not (foreign or shared or (sign_in is not None and sign_in.public)):
        return
    lacks = [] if shared else ["--shared (others are meant to reach it)"]
    if sign_in is None:
        lacks.append(f"sign-in (all of [auth] in {FILE} of this folder)")
    elif not sign_in.public:
        lacks.append(f"a redirect_uri that others can reach ({sign_in.origin} in {sign_in.file} is this machine alone)")
    if lacks:
        where = address if foreign or sign_in is None else sign_in.origin
        raise UsageError(
            f"refusing to serve on {where}: the review screen has no password, and whoever reaches it sees faces and "
            f"writes decisions. It lacks {' and '.join(lacks)}"
        )


def _sections(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from error
    except tomllib.TOMLDecodeError:  # its words may hold a part of the file
        raise UsageError(f"{file} cannot be read as TOML; mend it, or move it away to review without sign-in") from None


def _origin(file: Path, redirect_uri: str) -> str:
    scheme, _, port, name = _parts(file, "redirect_uri", redirect_uri)
    origin = f"{scheme}://{name}" + (f":{port}" if port not in (None, _PORTS[scheme]) else "")
    if redirect_uri != origin + _CALLBACK:  # the provider, Streamlit and browsers compare letter by letter
        raise _off(file, f"needs redirect_uri = {origin + _CALLBACK!r}, letter by letter")
    return origin


def _provider(file: Path, url: str) -> str:
    return str(_parts(file, "server_metadata_url", url)[1])


def _parts(file: Path, name: str, url: str) -> tuple[str, str, int | None, str]:
    """Scheme, host name, port, and the host as a URL holds it."""
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port
    except ValueError as error:
        raise _off(file, f"has no URL as {name}: {error}") from error
    if not host or split.scheme not in _PORTS or not re.fullmatch(r"[a-z0-9.:-]+", host):
        raise _off(file, f"needs a whole URL as {name}, beginning with https://")
    if split.scheme == "http" and not _is_loopback(host):
        raise _off(file, f"needs {name} to begin with https://, or whoever is on the way takes a sign-in over")
    return split.scheme, host, port, f"[{host}]" if ":" in host else host


def _allowed(file: Path, asked: Any) -> tuple[str, ...]:
    found = [str(one).strip().lower() for one in asked] if isinstance(asked, list) else []
    if not found or not all(_EMAIL.fullmatch(one if one[:1] != "@" else f"x{one}") for one in found):
        raise _off(file, 'needs a list as allow, such as ["@example.org", "ann@example.com"]; everyone: leave it out')
    return tuple(found)


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _off(file: Path, what: str) -> UsageError:
    return UsageError(f"[auth] in {file} {what}")
