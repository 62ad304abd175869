"""Signing in, with a provider, a review server and a browser that are real; and who is let in by what a cookie says."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from apps.review.routes import ROUTES
from ferclean.errors import FercleanError, UsageError
from ferclean.review.serve import launch_command, launch_environment, serve
from ferclean.review.sign_in import FILE, find_sign_in, read_sign_in
from ferclean.store.decisions import decision_history
from ferclean.store.workspace import Workspace
from tests.browser import answering, browser_page, free_port
from tests.provider import CLIENT, SECRET, provider
from tests.workspaces import copied

COOKIE = "_streamlit_user"
KEY = "0123456789abcdef" * 2
STREAMLITS = ("/media/x.png", "/_stcore/upload_file/a/b", "/_stcore/bidi-components/x/y.js", "/_stcore/metrics",
              "/component/x/index.html", "/nowhere")  # fmt: skip
WHOLE = {
    "redirect_uri": "http://localhost:{port}/oauth2callback", "cookie_secret": KEY, "client_id": "c",
    "client_secret": "hush hush", "server_metadata_url": "https://id.example.org/.well-known/openid-configuration",
}  # fmt: skip
PUBLIC = {"redirect_uri": "https://review.example.org/oauth2callback"}


def written(folder: Path, **auth: Any) -> Path:
    """A secrets.toml in `folder` with these settings; those that are None are left out."""
    (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in auth.items() if value is not None]
    (folder / FILE).write_text("\n".join(['FERCLEAN_WORKSPACE = "elsewhere"', "[auth]", *lines]))
    return folder / FILE


@pytest.fixture(scope="module")
def screen(reviewable: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A review screen where ann@lab.example and her domain's people sign in; its provider, and where it stands."""
    folder, port = tmp_path_factory.mktemp("signed"), free_port()
    ws = copied(reviewable, folder)
    with provider() as who:
        file = written(
            folder, redirect_uri="http://127.0.0.1:{port}/oauth2callback", cookie_secret=KEY, client_id=CLIENT,
            client_secret=SECRET, server_metadata_url=f"{who.issuer}/.well-known/openid-configuration",
            allow=["@lab.example", "bo@else.example"],
        )  # fmt: skip
        log = folder / "log"
        with log.open("wb") as told:
            command = launch_command(ws.root, port=port, sign_in=read_sign_in(file, port=port))
            process = subprocess.Popen(command, env=launch_environment(), stdout=told, stderr=told)
        with answering(process, port) as url:
            yield SimpleNamespace(url=url, port=port, who=who, ws=ws, log=log)
    for secret in (KEY, SECRET):
        assert secret not in log.read_text()
        assert not [one for one in ws.root.rglob("*") if one.is_file() and secret.encode() in one.read_bytes()]


def ask(screen: Any, method: str, path: str, cookie: str | None = None, body: str = "[]") -> tuple[int, str]:
    """The status and body of one request with this cookie, and no other."""
    connection = http.client.HTTPConnection("127.0.0.1", screen.port, timeout=20)
    headers = {"Content-Type": "application/json"} | ({"Cookie": f"{COOKIE}={cookie}"} if cookie else {})
    try:
        connection.request(method, path, body=body if method == "POST" else None, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


def cookie(screen: Any, key: str = KEY, called: str = COOKIE, **claims: Any) -> str:
    """A cookie as Streamlit makes one of the claims of an ID token."""
    told = {"origin": screen.url, "is_logged_in": True, "email": "ann@lab.example", "email_verified": True, **claims}
    return create_signed_value(key, called, json.dumps(told)).decode()


@pytest.mark.parametrize("route", [*ROUTES, *STREAMLITS], ids=lambda one: getattr(one, "path", one))
def test_no_route_answers_who_is_not_signed_in(screen: Any, route: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path, methods = (route, {"GET"}) if isinstance(route, str) else (route.path, route.methods)
    good = cookie(screen)
    with monkeypatch.context() as patch:
        now = time.time()
        patch.setattr(time, "time", lambda: now - 32 * 86400)
        old = cookie(screen)
    for method in methods:
        for bad in (
            None, "forged", good[:-2] + "xx", f"x{good}", old, cookie(screen, key="another server's key"),
            cookie(screen, called="another"), cookie(screen, origin="http://127.0.0.1:1"),
            cookie(screen, is_logged_in=False), cookie(screen, is_logged_in="yes"),
        ):  # fmt: skip
            status, told = ask(screen, method, f"{path}?reviewer=ann@lab.example", bad)
            assert (status, method == "HEAD" or "signed out" in told) == (401, True), bad
        assert ask(screen, method, path, good)[0] not in (401, 403)
        assert ask(screen, method, path, cookie(screen, email="eve@evil.example"))[0] == 403


def test_what_is_signed_and_is_no_claims_signs_nobody_in(screen: Any) -> None:
    for told in ("[]", '"ann@lab.example"', "7"):
        signed = create_signed_value(KEY, COOKIE, told).decode()
        assert ask(screen, "GET", "/ferclean/deck", signed)[0] == 401, told


def test_only_verified_addresses_that_are_allowed_are_let_in(screen: Any) -> None:
    def status(**claims: Any) -> int:
        return ask(screen, "GET", "/ferclean/deck", cookie(screen, **claims))[0]

    assert status(email="BO@else.example", email_verified=True) == status(email="cy@lab.example") == 200
    for claims in (
        {"email": "al@else.example"}, {"email": None, "name": "ann@lab.example"}, {"email": ["ann@lab.example"]},
        {"email_verified": False}, {"email_verified": "false"}, {"email_verified": None},
        {"email": "eve@evil.example@lab.example"}, {"email": "eve@evil.lab.example"}, {"email": "a\u202eb@lab.example"},
    ):  # fmt: skip
        assert status(**claims) == 403, claims


def test_an_answer_in_anothers_name_is_refused(screen: Any) -> None:
    before = len(decision_history(screen.ws))
    for path in ("/ferclean/deck", "/ferclean/grid", "/ferclean/map"):
        status, told = ask(screen, "GET", f"{path}?reviewer=bo@else.example", cookie(screen))
        assert (status, "signed in as ann@lab.example" in told) == (409, True)
    said = json.dumps([{"answer_id": "1", "action": "keep", "sample_id": "x"}])
    assert ask(screen, "POST", "/ferclean/answers?reviewer=bo@else.example", cookie(screen), said)[0] == 409
    assert len(decision_history(screen.ws)) == before


def test_a_person_signs_in_decides_under_their_address_and_signs_out(screen: Any) -> None:
    screen.who.claims = {"email": "Ann@lab.example", "email_verified": True, "name": "bo@else.example"}
    with browser_page() as page:
        page.goto(f"{screen.url}/?page=grid&reviewer=bo@else.example")
        page.get_by_role("button", name="Sign in").wait_for(timeout=30_000)
        assert page.get_by_role("button").count() == 1
        assert not page.locator("img, .fc-grid-tile, .fc-brand").count()
        assert page.evaluate("fetch('/ferclean/deck').then((answer) => answer.status)") == 401
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector("body[data-ferclean-face]", state="attached", timeout=30_000)
        page.goto(f"{screen.url}/?reviewer=bo@else.example")
        page.get_by_text("you are signed in as ann").wait_for(timeout=30_000)
        page.wait_for_function("document.body.dataset.fercleanFace")
        assert "bo@else.example" not in page.url
        assert "reviewed by ann@lab.example" in page.locator(".fc-brand").inner_text()
        page.keyboard.press("k")
        page.get_by_text("all saved").or_(page.get_by_text("kept")).first.wait_for()
        page.wait_for_function("() => !Object.keys(localStorage).some((one) => one.startsWith('ferclean-answer'))")
        row = decision_history(screen.ws).iloc[-1]
        assert (row["action"], row["reviewer"]) == ("keep", "ann@lab.example")
        page.get_by_role("button", name="More").click()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Sign in").wait_for(timeout=30_000)
        assert page.evaluate("fetch('/ferclean/deck').then((answer) => answer.status)") == 401
        screen.who.claims = {"email": "eve@evil.example", "email_verified": True}
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("eve@evil.example is not on the list").wait_for(timeout=30_000)
        assert [one.inner_text() for one in page.get_by_role("button").all()] == ["Sign out"]
        assert page.evaluate("fetch('/ferclean/deck').then((answer) => answer.status)") == 403


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (dict.fromkeys(WHOLE), "lacks redirect_uri, cookie_secret, client_id, client_secret, server_metadata_url"),
        ({"client_secret": None, "client_id": " "}, "lacks client_id, client_secret"),
        ({"cookie_secret": "short"}, "secrets.token_hex"),
        ({"allowed": ["@x.org"]}, "did you mean 'allow'"),
        ({"allow": []}, "needs a list as allow"),
        ({"allow": "@x.org"}, "needs a list as allow"),
        ({"allow": ["x.org"]}, "needs a list as allow"),
        ({"trust_email": "yes"}, "neither true nor false"),
        ({"redirect_uri": "http://review.example.org/oauth2callback"}, "begin with https://"),
        ({"redirect_uri": "https://Review.example.org:443/oauth2callback"}, "'https://review.example.org/oauth2"),
        ({"redirect_uri": "https://review.example.org/x/oauth2callback"}, "letter by letter"),
        ({"redirect_uri": "https://review.example.org@evil.example/oauth2callback"}, "letter by letter"),
        ({"redirect_uri": "https://*/oauth2callback"}, "whole URL"),
        ({"redirect_uri": "http://localhost:8600/oauth2callback"}, "this is port 8501"),
        ({"server_metadata_url": "http://id.example.org/x"}, "begin with https://"),
        ({"server_metadata_url": "id.example.org"}, "whole URL"),
    ],
)  # fmt: skip
def test_half_a_configuration_is_one_line_that_says_what_to_write(
    wrong: dict[str, Any], told: str, tmp_path: Path
) -> None:
    file = written(tmp_path, **WHOLE | wrong)
    with pytest.raises(UsageError) as caught:
        find_sign_in(tmp_path, port=8501)
    line = str(caught.value)
    assert told in line
    assert str(file) in line
    assert "\n" not in line
    assert "hush" not in line
    assert KEY not in line


def test_a_provider_that_never_says_whether_an_address_is_verified_is_believed_where_that_is_said(
    tmp_path: Path,
) -> None:
    sign_in = read_sign_in(written(tmp_path, **WHOLE | {"trust_email": True}), port=8501)
    assert sign_in.person({"email": "ann@lab.example"}) == "ann@lab.example"
    with pytest.raises(FercleanError, match="has not verified"):
        sign_in.person({"email": "ann@lab.example", "email_verified": False})
    with pytest.raises(FercleanError, match="trust_email"):
        read_sign_in(written(tmp_path, **WHOLE), port=8501).person({"email": "ann@lab.example"})


def test_where_no_one_is_said_to_sign_in_nobody_does(tmp_path: Path) -> None:
    assert find_sign_in(tmp_path, port=8501) is None
    written(tmp_path).write_text("[database]\npassword = 'hush'")
    assert find_sign_in(tmp_path, port=8501) is None
    (tmp_path / FILE).write_text("[auth\nclient_secret = 'hush'")
    with pytest.raises(UsageError, match="TOML") as caught:
        find_sign_in(tmp_path, port=8501)
    assert "hush" not in str(caught.value)


def test_others_reach_the_screen_only_with_the_flag_and_sign_in(tmp_path: Path) -> None:
    own = read_sign_in(written(tmp_path / "own", **WHOLE), port=8501)
    public = read_sign_in(written(tmp_path / "public", **WHOLE | PUBLIC), port=8501)
    for address, sign_in, shared, lacks in (
        ("0.0.0.0", None, False, r"lacks --shared .* and sign-in"),
        ("0.0.0.0", None, True, r"lacks sign-in"),
        ("127.0.0.1", None, True, r"lacks sign-in"),
        ("0.0.0.0", public, False, r"lacks --shared"),
        ("127.0.0.1", public, False, r"review.example.org.* lacks --shared"),
        ("0.0.0.0", own, True, r"lacks a redirect_uri that others can reach"),
        ("192.168.1.5", own, False, r"lacks --shared .* and a redirect_uri"),
    ):
        with pytest.raises(UsageError, match=lacks) as caught:
            launch_command(tmp_path, address=address, sign_in=sign_in, shared=shared)
        assert "ssh -N -L" in str(caught.value)
    words = launch_command(tmp_path, address="0.0.0.0", sign_in=public, shared=True)
    assert words[2:4] == ["--address", "0.0.0.0"]
    assert {"--sign-in", str(public.file), "--shared"} < {*words}
    assert "--sign-in" in launch_command(tmp_path, sign_in=own)
    assert KEY not in " ".join(words) + repr(public)


def test_the_server_itself_refuses_what_its_starter_would(tmp_path: Path, reviewable: Workspace) -> None:
    file = written(tmp_path, **WHOLE | PUBLIC)
    command = launch_command(reviewable.root, address="0.0.0.0", sign_in=read_sign_in(file, port=8501), shared=True)
    command.remove("--shared")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "lacks --shared" in done.stderr


def test_a_screen_for_others_answers_under_its_own_address_alone_and_its_cookies_go_by_tls(
    tmp_path: Path, reviewable: Workspace
) -> None:
    port = free_port()
    sign_in = read_sign_in(written(tmp_path, **WHOLE | PUBLIC), port=port)
    command = launch_command(reviewable.root, port=port, sign_in=sign_in, shared=True)
    process = subprocess.Popen(command, env=launch_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def status(**headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", "/_stcore/health", headers=headers)
            response = connection.getresponse()
            response.read()
            return response.status, response.headers.get("Set-Cookie", "")
        finally:
            connection.close()

    with answering(process, port, host="review.example.org"):
        code, set_cookie = status(Host="review.example.org", Origin="https://review.example.org")
        assert (code, set_cookie.endswith("; Secure")) == (200, True)
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"review.example.org:{port}", "evil.example"):
            assert status(Host=host)[0] == 403, host
        for origin in ("http://review.example.org", "https://evil.example", f"http://127.0.0.1:{port}"):
            assert status(Host="review.example.org", Origin=origin)[0] == 403, origin


def test_where_people_sign_in_nobody_is_named_by_the_command(
    tmp_path: Path, reviewable: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, **WHOLE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="leave out --reviewer"):
        serve(reviewable, reviewer="eve", open_browser=False)
    monkeypatch.setitem(__import__("sys").modules, "authlib", None)
    with pytest.raises(FercleanError, match=r"signing in needs authlib.*ferclean\[signin\]"):
        serve(reviewable, open_browser=False)
