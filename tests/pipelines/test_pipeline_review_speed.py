"""The measurement of the review screen counts right what became of the keys, and cuts, kills and presses for real."""

from __future__ import annotations

import socket
import socketserver
import threading
from pathlib import Path

import pytest

from ferclean.store.workspace import Workspace
from pipelines import review_speed
from pipelines.review_screen import Relay, Seen
from tests.prepare import find_browser
from tests.workspaces import copied


def means(key: str, face: str) -> review_speed.Answer:
    return (face, "keep", None) if key == "k" else (face, "relabel", f"class {key}")


def at_the_keys(*pressed: tuple[str, str | None]) -> list[Seen]:
    """A face comes into view whenever it is another one, and 10 ms later a key is pressed; frames last 20 ms."""
    seen: list[Seen] = []
    shown: str | None = ""
    for number, (key, face) in enumerate(pressed):
        if face != shown:
            seen += [Seen("seen", 20.0 * number, face), Seen("ready", 20.0 * number + 5, face)]
            shown = face
        seen.append(Seen("key", 20.0 * number + 10, face, key))
    return seen


def test_each_key_with_its_decision_is_flawless_and_none_is_expected_without_a_face() -> None:
    seen = at_the_keys(("k", "a"), ("1", "b"), ("2", None), ("2", "c"))
    told = review_speed.account(seen, [means("k", "a"), means("1", "b"), means("2", "c")], means)
    assert review_speed.flawless({"burst": told})
    assert (told["keys"], told["without_a_face"], told["decisions"]) == (4, 1, 3)
    assert told["ms_between_keys"] == {"n": 3, "median": 20, "p95": 20, "max": 20}


@pytest.mark.parametrize(
    ("stored", "what"),
    [
        ([("k", "a"), ("2", "c")], {"lost": 1}),
        ([("k", "a"), ("1", "b"), ("2", "c"), ("2", "c")], {"astray": 1, "doubled": 1}),
        ([("k", "a"), ("2", "c"), ("1", "b")], {"in_order": False}),
        ([("k", "a"), ("1", "c"), ("2", "d")], {"lost": 2, "astray": 2, "in_order": False}),
        ([], {"lost": 3}),
    ],
)
def test_what_is_lost_astray_doubled_or_out_of_order_is_counted(
    stored: list[tuple[str, str]], what: dict[str, object]
) -> None:
    seen = at_the_keys(("k", "a"), ("1", "b"), ("2", "c"))
    told = review_speed.account(seen, [means(*one) for one in stored], means)
    names = ("lost", "astray", "doubled", "in_order")
    assert {name: told[name] for name in names} == {"lost": 0, "astray": 0, "doubled": 0, "in_order": True} | what
    assert not review_speed.flawless({"burst": told})


def test_a_key_waits_for_another_face_and_a_key_that_brought_none_has_no_milliseconds() -> None:
    seen = at_the_keys(("k", "a"), ("k", "a"), ("1", "b"), ("k", None), ("2", "c"))
    assert review_speed.waits(seen, "seen") == [10]
    assert review_speed.waits(seen, "ready") == [15]
    result = {"faces": 4, "version": "here", "date": "today", "cores": 2, "load": [1.0], "load_after": [2.0]}
    told = review_speed.account(seen, [], means) | {
        f"ms_to_{kind}": {"n": 1, "median": 10, "p95": 10, "max": 10} for kind in ("seen", "ready")
    }
    assert "| the next face on the screen | 1 | 10 | 10 | 10 |" in review_speed.table(result | {"next": told})


def test_a_cut_line_carries_nothing_until_it_is_mended() -> None:
    class Echo(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while data := self.request.recv(100):
                self.request.sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        relay = Relay(server.server_address[1])

        def said_on(line: socket.socket) -> bytes:
            line.settimeout(20)
            try:
                line.sendall(b"face")
                return line.recv(100)
            except ConnectionError:
                return b""

        with socket.create_connection(("127.0.0.1", relay.port)) as line:
            assert said_on(line) == b"face"
            relay.cut()
            assert said_on(line) == b""
        with socket.create_connection(("127.0.0.1", relay.port)) as line:
            assert said_on(line) == b""
        relay.mend()
        with socket.create_connection(("127.0.0.1", relay.port)) as line:
            assert said_on(line) == b"face"
        relay.close()
        server.shutdown()


def test_keys_are_pressed_in_a_browser_also_while_its_server_is_killed(reviewable: Workspace, tmp_path: Path) -> None:
    if (browser := find_browser()) is None:
        pytest.skip("no Chromium or Chrome found; python tests/prepare.py brings one")
    root = copied(reviewable, tmp_path).root
    found = review_speed.run(root, burst=3, every=0.5, quiet=1, parts=("killed",), browser=browser)
    told = found["killed"]
    assert told["keys"] == told["decisions"] + told["lost"] == 3
    assert (told["without_a_face"], told["astray"], told["doubled"], told["in_order"]) == (0, 0, 0, True)
    assert "| killed | 3 |" in review_speed.table(found)
