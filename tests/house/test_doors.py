"""The doors of the review screen, tried on the real server: foreign names, foreign pages, frames, planted settings."""

from __future__ import annotations

import base64
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from apps.guard import own_hosts
from ferclean.bundled_files import bundled_path
from ferclean.printable import printable
from ferclean.review.serve import launch_command, launch_environment
from tests.browser import answer, answering, browser_page, free_port
from tests.workspaces import make_workspace

ROUTES = (
    "/", "/?sample=x", "/index.html", "/static/js/index.js", "/_stcore/health", "/healthz", "/_stcore/host-config",
    "/_stcore/metrics", "/media/x.png", "/component/x/index.html", "/_stcore/bidi-components/x/y.js", "/nowhere",
)  # fmt: skip
PLANTED = """
[server]
address = "0.0.0.0"
port = 1
enableCORS = false
enableXsrfProtection = false
corsAllowedOrigins = ["http://evil.example"]
enableStaticServing = true
baseUrlPath = "elsewhere"
trustedUserHeaders = "{\\"X-User\\": \\"user\\"}"
[client]
allowedOrigins = ["http://evil.example"]
showErrorDetails = "full"
[browser]
gatherUsageStats = true
[global]
developmentMode = true
[theme]
base = "http://evil.example/theme.toml"
"""


# everything that Streamlit's Markdown knows, and what it replaces once the escapes are gone
NAMES = (
    "surprise", "**joy** *a* ~~b~~ `c` # d",
    ":red[fear] :blue-background[x] :small[y]", ":material/home: :smile: :streamlit:",
    "$a^2$ $$b$$", "https://evil.example www.evil.example", "[a](https://evil.example) ![b](/x.png) a@evil.example",
    "<b>x</b> &amp; -> <- -- >= 1. | \\_x_", "\u202ereversed\u200b",
)  # fmt: skip


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with browser_page() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A review server started in a folder, and for a user, with planted settings; and where it stands."""
    folder = tmp_path_factory.mktemp("doors")
    ws = make_workspace(folder, n=18, classes=NAMES)
    home, here = folder / "home", folder / "here"
    for place in (home, here):
        (place / ".streamlit").mkdir(parents=True)
        (place / ".streamlit" / "config.toml").write_text(PLANTED)
        (place / ".streamlit" / "secrets.toml").write_text('[auth]\ncookie_secret = "known"\n')
    (here / "streamlit.py").write_text("raise SystemExit('planted code ran')\n")
    planted = {
        "STREAMLIT_SERVER_ENABLE_CORS": "false", "STREAMLIT_SERVER_ADDRESS": "0.0.0.0",
        "STREAMLIT_SERVER_COOKIE_SECRET": "known", "HOME": str(home), "USERPROFILE": str(home),
    }  # fmt: skip
    port, log = free_port(), folder / "log"
    with log.open("wb") as told:
        process = subprocess.Popen(
            launch_command(ws.root, port=port), cwd=here, stdout=told, stderr=told,
            env=launch_environment(reviewer="ada") | planted,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        assert answer(f"{url}/_stcore/health") == "ok"
        yield SimpleNamespace(port=port, url=url, log=log, home=home, here=here)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=20)
    assert code == 0, "Ctrl-C is an ordinary end"
    assert "Traceback" not in log.read_text()


def ask(server: SimpleNamespace, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, str]:
    """(status, headers, body) of one request, with exactly these headers beside Host."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": f"127.0.0.1:{server.port}", **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


def websocket(server: SimpleNamespace, **headers: str) -> int:
    """The status that a websocket's opening is answered with; 101 opens it."""
    lines = {
        "Host": f"127.0.0.1:{server.port}", "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "streamlit",
    } | headers  # fmt: skip
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
        asked = [f"{name}: {value}" for name, value in lines.items()]
        wire.sendall("\r\n".join(["GET /_stcore/stream HTTP/1.1", *asked, "", ""]).encode())
        return int(wire.recv(64).split()[1])


@pytest.mark.parametrize("path", ROUTES)
def test_no_route_answers_a_foreign_name_or_a_foreign_page(server: SimpleNamespace, path: str) -> None:
    port = server.port
    assert ask(server, path)[0] != 403
    for host in own_hosts("127.0.0.1", port):
        assert ask(server, path, Host=host)[0] != 403, host
    for host in (
        f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", f"127.0.0.1.evil.example:{port}", "",
        f"0.0.0.0:{port}", f"user@127.0.0.1:{port}", f"localhost.:{port}",
    ):  # fmt: skip
        status, _, body = ask(server, path, Host=host)
        assert status in (400, 403), host
        assert "ferclean" in body or status == 400
    for origin in ("http://evil.example", f"http://evil.example:{port}", "null", f"https://127.0.0.1:{port}",
                   f"http://127.0.0.1:{port + 1}", ""):  # fmt: skip
        assert ask(server, path, Origin=origin)[0] == 403, origin
    assert ask(server, path, Origin=f"http://localhost:{port}")[0] != 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_uploads_and_other_methods_have_the_same_door(server: SimpleNamespace, method: str) -> None:
    path = "/_stcore/upload_file/session/file"
    if method in ("PUT", "DELETE"):  # Streamlit itself wants its token here
        assert "ferclean" not in ask(server, path, method)[2]
        assert "ferclean" in ask(server, path, method, Host=f"evil.example:{server.port}")[2]
    else:
        assert ask(server, path, method)[0] != 403
    assert ask(server, path, method, Host=f"evil.example:{server.port}")[0] == 403
    assert ask(server, path, method, Origin="http://evil.example")[0] == 403


def test_a_websocket_opens_only_for_the_screens_own_page(server: SimpleNamespace) -> None:
    own = f"127.0.0.1:{server.port}"
    assert websocket(server, Origin=f"http://{own}") == 101
    assert websocket(server, Origin="http://evil.example") == 403
    assert websocket(server, Host=f"evil.example:{server.port}", Origin=f"http://evil.example:{server.port}") == 403
    assert websocket(server, Host=f"evil.example:{server.port}") == 403


def test_parts_of_another_sites_page_are_refused_and_a_followed_link_is_not(server: SimpleNamespace) -> None:
    for site in ("cross-site", "same-site"):
        for part in ("iframe", "frame", "image", "script", "empty", "object", "embed"):
            assert ask(server, "/", Sec_Fetch_Site=site, Sec_Fetch_Dest=part)[0] == 403, part
        assert ask(server, "/", Sec_Fetch_Site=site)[0] == 403
        assert ask(server, "/", Sec_Fetch_Site=site, Sec_Fetch_Dest="document")[0] == 200
    assert ask(server, "/_stcore/health", Sec_Fetch_Site="same-origin", Sec_Fetch_Dest="empty")[0] == 200


@pytest.mark.parametrize("path", ROUTES)
def test_every_answer_forbids_frames_and_foreign_reads(server: SimpleNamespace, path: str) -> None:
    for headers in ({}, {"Host": "evil.example"}):
        told = ask(server, path, **headers)[1]
        assert told.get_all("X-Frame-Options") == ["DENY"]
        assert "frame-ancestors 'none'" in told["Content-Security-Policy"]
        assert told.get_all("X-Content-Type-Options") == ["nosniff"]
        assert told["Cross-Origin-Resource-Policy"] == "same-origin"
        assert told["Access-Control-Allow-Origin"] is None


def test_the_screens_own_page_is_shown_behind_the_guard(server: SimpleNamespace) -> None:
    assert re.search("fc-deck-body", first_page(server.port))


def test_planted_files_and_variables_change_nothing_and_are_named(server: SimpleNamespace) -> None:
    """That the server stands on its port and address at all says that theirs were not taken."""
    told = server.log.read_text()
    assert "planted code ran" not in told
    for name in ("STREAMLIT_SERVER_ENABLE_CORS", "STREAMLIT_SERVER_ADDRESS", "STREAMLIT_SERVER_COOKIE_SECRET"):
        assert name in told
    for folder in (server.home, server.here):
        assert str(folder / ".streamlit" / "config.toml") in told
        assert str(folder / ".streamlit" / "secrets.toml") in told
    assert "evil.example" not in ask(server, "/_stcore/host-config")[2]
    assert ask(server, "/_stcore/health", Origin="http://evil.example")[0] == 403
    assert "_streamlit_xsrf" in ask(server, "/_stcore/health")[1]["Set-Cookie"]
    assert ask(server, "/elsewhere/_stcore/health")[2] != "ok"


def test_names_are_shown_by_every_button_and_pill_and_obeyed_by_none(server: SimpleNamespace, page: Any) -> None:
    """The button says the name letter by letter, and holds no link, picture, formula, icon, colour or emphasis."""
    page.goto(server.url)
    page.wait_for_selector("body[data-ferclean-face]", state="attached", timeout=30_000)
    page.get_by_role("button", name="Filters").click()
    page.locator('[data-testid="stButtonGroup"] button').first.wait_for()
    made = "a, img, em, strong, del, sup, li, h1, .katex, [data-testid=stIconMaterial], span[style*=color]"
    read = r"""([holder, made]) => [...document.querySelectorAll(holder)].map(button => [
        button.innerText.replaceAll("\u2060", ""),
        [...button.querySelectorAll(made)].map(made => made.outerHTML).join(),
        button.querySelectorAll("code").length])"""
    keys = page.evaluate(read, [".fc-deck-classes button", made])
    pills = page.evaluate(read, ['[class*="st-key-filter_"] button', made])
    for name in map(printable, NAMES):
        assert [said for said, *_ in keys if said.split(maxsplit=1)[-1] == name], (name, keys)
        assert [said for said, *_ in pills if said.rpartition(" ")[0] == name], (name, pills)
    assert [drawn for _, drawn, _ in keys + pills if drawn] == []
    assert {codes for *_, codes in pills} == {0}


def test_another_sites_page_can_neither_frame_nor_read_the_screen(server: SimpleNamespace, page: Any) -> None:
    """In a real browser, from a page on another port of this machine, which even counts as the same site."""
    page_of_another = (
        f"<iframe src='{server.url}/' onload='document.title = \"framed\"'></iframe>"
        f"<img src='{server.url}/favicon.png' onload='document.body.dataset.image = 1'>"
    )
    page.goto("about:blank")  # the page before may still be asking
    arrived: list[str] = []
    failed: list[str] = []
    page.on("response", lambda response: arrived.append(response.url))
    page.on("requestfailed", lambda request: failed.append(request.url))
    elsewhere = f"http://localhost:{free_port()}/"
    page.route(elsewhere, lambda route: route.fulfill(body=page_of_another, content_type="text/html"))
    page.goto(elsewhere, wait_until="load")
    assert arrived == [elsewhere]
    assert sorted(failed) == [f"{server.url}/", f"{server.url}/favicon.png"]
    assert "image" not in page.evaluate("Object.keys(document.body.dataset)")
    read = "url => fetch(url).then(answer => answer.text(), () => 'unread')"
    assert page.evaluate(read, f"{server.url}/_stcore/host-config") == "unread"
    opened = """url => new Promise(done => { const wire = new WebSocket(url);
        wire.onopen = () => done("open"); wire.onerror = () => done("refused"); })"""
    assert page.evaluate(opened, f"ws://127.0.0.1:{server.port}/_stcore/stream") == "refused"
    page.goto(server.url)
    page.wait_for_selector("body[data-ferclean-face]", state="attached", timeout=30_000)


def test_the_page_shows_nothing_when_it_is_served_without_the_guard(tmp_path: Path) -> None:
    ws, port = make_workspace(tmp_path, n=4), free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(bundled_path("apps/review/main.py"))]
    options = ["--server.headless=true", f"--server.port={port}", "--server.address=127.0.0.1"]
    process = subprocess.Popen(
        [*command, *options, "--browser.gatherUsageStats=false"],
        env=launch_environment() | {"FERCLEAN_WORKSPACE": str(ws.root)}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with answering(process, port):
        shown = first_page(port)
    assert "start this page with" in shown
    assert not re.search("face_0|data:image/png|fc-deck-body", shown)


def first_page(port: int) -> str:
    """All that a program sees which opens the websocket and asks for the page, as one text."""
    own = f"127.0.0.1:{port}"
    with connect(f"ws://{own}/_stcore/stream", origin=f"http://{own}", subprotocols=["streamlit"]) as wire:
        wire.send(BackMsg(rerun_script=ClientState()).SerializeToString())
        told = []
        while True:
            message = ForwardMsg.FromString(wire.recv(timeout=30))
            told.append(str(message))
            if message.WhichOneof("type") == "script_finished":
                return "\n".join(told)
