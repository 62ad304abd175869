"""The review screen in a real Chromium: what the keys record, when they rest, and that one screen holds all.

It never waits for a fixed time where it can wait for the page.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferclean.cli import run
from ferclean.review.serve import launch_command, launch_environment
from ferclean.steps.team import team
from ferclean.store.decisions import current_decisions, decision_history
from ferclean.store.releases import get_release_items
from ferclean.store.samples import get_dataset, get_samples
from ferclean.store.verdicts import get_verdicts, put_verdicts
from ferclean.store.workspace import Workspace
from tests.browser import Screen, answer, answering, browser_page, free_port, review_server
from tests.workspaces import copied, make_workspace

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><b>face</b>.png"


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    folder = tmp_path_factory.mktemp("browser")
    ws = make_workspace(folder, n=40, names=("face_a", HOSTILE))
    (folder / "source" / "0002.png").unlink()
    table = get_verdicts(ws)
    blank = table["rank"] == 21  # a suggestion is no reason to relabel what is no face
    told = {
        "kind": table["kind"].mask(blank, "unusable"),
        "suggested_label": table["suggested_label"].mask(blank, "anger"),
    }
    put_verdicts(ws, table["run_id"][0], table.assign(**told))
    with review_server(ws.root) as url, browser_page() as page:
        told: list[str] = []
        page.on("pageerror", lambda error: told.append(str(error)))
        here = Screen(page, ws)
        here.open(f"{url}/?verdict=mislabelled,ambiguous")
        yield here
        assert told == []


def test_a_sitting_by_keys_ends_up_in_the_store(screen: Screen) -> None:
    page, ids = screen.page, get_samples(screen.ws)["sample_id"].tolist()
    assert screen.face == ids[0]
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight") <= 900
    stage = page.locator(".stage").bounding_box()

    screen.press("Enter")
    assert page.locator(".fc-caption").get_by_text(HOSTILE).count() == 1  # the name of the second face, as plain text
    assert page.title() == "ferclean review"
    screen.press("k")
    assert "cannot be read" in page.locator(".stage p").inner_text()  # the third face's file is gone
    assert "Ambiguous" in screen.offered()
    for key in ("Enter", "x", "3", "s", "a", "a", "A", "a"):
        screen.press(key)
    assert page.locator(".stage").bounding_box() == stage, "the face must not move from one to the next"

    screen.press("u")
    assert screen.face == ids[9]
    screen.saved()
    history = decision_history(screen.ws)
    assert history["action"].tolist() == [
        "relabel", "keep", "ambiguous", "exclude", "relabel", "skip", *["ambiguous"] * 4, "undo",
    ]  # fmt: skip
    assert history["sample_id"].tolist() == [*ids[:10], ids[9]]
    assert history["label"].tolist()[:5:4] == ["fear", "disgust"]
    assert set(history["reviewer"]) == {"ada"}
    assert len(current_decisions(screen.ws)) == 8


def test_shift_a_asks_what_an_ambiguous_face_shows_and_goes_on_when_it_is_said(screen: Screen) -> None:
    page, face, before = screen.page, screen.face, len(screen.actions())
    page.keyboard.press("Shift+A")
    page.get_by_text("Which expression do you see most?").wait_for()
    for key, told in (("k", "choose two expressions"), ("Enter", "choose two expressions")):
        page.keyboard.press(key)
        assert told in screen.untaken()
    for key in ("4", "1", "ArrowRight", "4", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.locator(".mixed").inner_text() == "happiness 60 %, surprise 40 %"
    assert screen.face == face
    screen.press("1")  # the second one once more
    page.keyboard.press("Shift+A")
    page.keyboard.press("u")
    page.locator(".mixing").wait_for(state="hidden")
    page.keyboard.press("Shift+A")
    screen.press("Escape")
    assert len(screen.actions()) == before + 2
    shares = decision_history(screen.ws)["shares"].tolist()[-2:]
    classes = get_dataset(screen.ws).classes
    assert shares == [[{"happiness": 0.6, "surprise": 0.4}.get(name, 0.0) for name in classes], None]
    screen.press("u")
    screen.press("u")
    assert screen.face == face
    screen.saved()
    assert len(current_decisions(screen.ws)) == 8


def test_keys_rest_while_a_person_types(screen: Screen) -> None:
    before, face = screen.actions(), screen.face
    note = screen.page.get_by_placeholder("Note (optional)")
    note.click()
    screen.page.keyboard.type("kax 1u?")
    screen.page.keyboard.press("Enter")
    screen.page.wait_for_function("document.activeElement === document.body")
    assert screen.face == face
    assert screen.actions() == before
    screen.press("k")
    screen.saved()
    assert decision_history(screen.ws)["note"].tolist()[-1] == "kax 1u?"


def test_a_key_held_down_or_pressed_twice_decides_one_face(screen: Screen) -> None:
    before, face = len(screen.actions()), screen.face
    screen.page.evaluate(
        """() => { for (const repeat of [false, true, true, false])
             document.dispatchEvent(new KeyboardEvent("keydown", {key: "a", bubbles: true, repeat})); }"""
    )
    assert screen.untaken() == "A was not taken: the next face is not on the screen yet"
    screen.page.wait_for_function("face => document.body.dataset.fercleanFace !== face", arg=face)
    assert len(screen.actions()) == before + 1


def test_enter_on_a_button_reached_with_tab_presses_that_button(screen: Screen) -> None:
    screen.page.get_by_role("button", name="X Exclude").focus()
    screen.page.keyboard.press("Tab")
    assert "Skip" in screen.page.evaluate("document.activeElement.innerText")
    screen.press("Enter")
    assert screen.actions()[-1] == "skip"


def test_the_question_mark_shows_the_map_and_keys_rest_meanwhile(screen: Screen) -> None:
    before = screen.actions()
    screen.page.locator("body").press("?")
    screen.page.get_by_text("ambiguous: people would not agree").wait_for()
    screen.page.keyboard.press("k")
    screen.page.keyboard.press("Escape")
    screen.page.get_by_text("ambiguous: people would not agree").wait_for(state="hidden")
    assert screen.actions() == before


def test_guidelines_stand_beside_the_face_while_keys_go_on_and_a_history_is_a_window(screen: Screen) -> None:
    page, before = screen.page, len(screen.actions())
    page.keyboard.press("g")
    page.locator(".fc-deck-guide").get_by_text("Nothing is written yet").wait_for()
    screen.press("k")
    assert len(screen.actions()) == before + 1
    page.keyboard.press("g")
    page.locator(".fc-deck-guide").wait_for(state="hidden")
    screen.press("u")
    page.keyboard.press("h")
    page.locator(".fc-deck-history tr.undone").get_by_text("taken back by ada").wait_for()
    page.keyboard.press("k")
    assert "close the open window first" in screen.untaken()
    page.keyboard.press("h")
    page.locator(".fc-deck-history").wait_for(state="hidden")
    assert len(screen.actions()) == before + 2


def test_the_face_can_be_zoomed_and_shown_pixel_by_pixel(screen: Screen) -> None:
    stage = screen.page.locator(".stage")
    stage.hover()
    screen.page.mouse.wheel(0, -600)
    screen.page.wait_for_function("() => true")
    assert "zoomed" in (stage.get_attribute("class") or "")
    stage.dblclick()
    assert "zoomed" not in (stage.get_attribute("class") or "")
    screen.page.get_by_role("button", name="show pixels").click()
    assert "crisp" in (stage.get_attribute("class") or "")
    screen.press("k")
    assert "crisp" in (stage.get_attribute("class") or "")


def test_a_reload_comes_back_to_the_same_face(screen: Screen) -> None:
    face = screen.face
    assert face in screen.page.url
    screen.open(screen.page.url)
    assert screen.face == face


def test_blind_mode_is_kept_in_the_address_and_hides_the_bars(screen: Screen) -> None:
    assert screen.page.locator(".fc-bars").count() == 1
    screen.page.get_by_role("combobox").click()
    screen.page.get_by_role("option", name="Blind", exact=True).click()
    screen.page.locator(".fc-blind").wait_for()
    assert screen.page.locator(".fc-bars").count() == 0
    assert "blind=1" in screen.page.url
    screen.page.get_by_role("button", name="Off: blind mode").wait_for()
    screen.shows("blind=1")
    before = screen.actions()
    for key, why in (
        ("z", "Z was not taken: it has no meaning here"),
        ("Enter", "in blind mode there is no suggestion"),
    ):
        screen.page.keyboard.press(key)
        assert why in screen.untaken()
    assert screen.actions() == before
    screen.page.get_by_role("combobox").click()
    screen.page.get_by_role("option", name="Double-blind").click()
    screen.page.get_by_role("button", name="Off: double-blind").wait_for()
    screen.shows("blind=2")
    assert "blind=2" in screen.page.url
    screen.page.keyboard.press("k")
    assert "K was not taken: double-blind" in screen.untaken()
    assert screen.page.get_by_role("button", name="K Keep").is_disabled()


def test_enter_follows_the_verdict_and_two_tabs_and_two_people_are_settled_into_a_release(screen: Screen) -> None:
    ids = get_samples(screen.ws)["sample_id"].tolist()
    place = screen.page.url.split("/?")[0] + "/?verdict=unusable,clean"
    screen.open(place)
    for sample_id, says in ((ids[20], "Exclude (unusable)"), (ids[21], "Keep (clean)")):
        assert (screen.face, says in screen.offered()) == (sample_id, True)
        screen.press("Enter")
    assert screen.actions()[-2:] == ["exclude", "keep"]

    other = Screen(screen.page.context.browser.new_page(), screen.ws)
    other.open(place)
    assert (screen.face, other.face) == (ids[22], ids[22])
    screen.press("k")
    other.page.keyboard.press("x")
    other.page.get_by_text("keep stands, your answer in another tab").wait_for()
    assert other.page.locator(".fc-deck-asked").inner_text().startswith("Not recorded for face_0022")
    assert screen.actions()[-2:] == ["keep", "keep"]
    other.page.get_by_role("button", name="Replace by exclude").click()
    other.saved()
    assert screen.actions()[-2:] == ["keep", "exclude"]

    other.open(f"{place}&reviewer=bob&sample={ids[20]}")
    other.press("k")
    other.saved()
    other.page.close()
    where = ["-w", str(screen.ws.root)]
    assert run([*where, "release", "v1"]) == 1
    assert run([*where, "decide", "--adjudicate", ids[20], "exclude", "--reviewer", "eve"]) == 0
    assert run([*where, "release", "v1"]) == 0
    left_out = get_release_items(screen.ws, "v1").set_index("sample_id")["included"]
    assert not left_out[ids[20]]
    assert decision_history(screen.ws)["reviewer"].tolist()[-2:] == ["bob", "eve"]


def test_no_key_is_lost_or_doubled_when_the_server_is_killed_between_them(screen: Screen, tmp_path: Path) -> None:
    ws, port = make_workspace(tmp_path, n=60), free_port()
    here = Screen(screen.page.context.browser.new_page(), ws)
    with serving(ws, port) as (server, url):
        here.open(f"{url}/?verdict=clean")
        here.page.wait_for_function("window.__fercleanDeck.line.length > 12")
        faces = press_quickly(here, "kaxka")
        server.kill()
    here.page.wait_for_selector('[data-testid="stDialog"]', state="attached")  # Streamlit has given up for now
    faces += press_quickly(here, "axkax")
    assert "not saved yet" in here.page.locator(".fc-deck-unsaved").inner_text()
    here.page.get_by_text("answers wait in this browser").wait_for()
    with serving(ws, port):
        here.saved()
        history = decision_history(ws)
        assert history["sample_id"].tolist() == faces
        assert "".join(one[0] for one in history["action"]).replace("e", "x") == "kaxkaaxkax"
        here.open(url)
        here.saved()
        assert len(decision_history(ws)) == 10, "nothing is sent again"
        theirs = {"answer_id": "0", "action": "undo", "address": "reviewer=bob&workspace=/elsewhere"}
        here.page.evaluate("answer => window.__fercleanDeck.outbox.put(answer)", theirs)
        here.press("k")
        here.page.get_by_text("all saved · 1 of others").wait_for()
        assert decision_history(ws)["action"].tolist()[10:] == ["keep"]
    here.page.close()


@contextlib.contextmanager
def serving(ws: Workspace, port: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The screen's server, which may be killed, and its address."""
    server = subprocess.Popen(
        launch_command(ws.root, port=port), env=launch_environment(reviewer="ada"), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with answering(server, port) as url:
        yield server, url


def test_answers_are_taken_as_json_from_this_screen_alone(screen: Screen) -> None:
    def post(body: bytes, **headers: str) -> tuple[int, str]:
        place = screen.page.url.split("/?")[0] + "/ferclean/answers?reviewer=eve"
        request = urllib.request.Request(place, data=body, headers={"content-type": "application/json"} | headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    before = screen.actions()
    face = get_samples(screen.ws)["sample_id"][30]
    answer = json.dumps([{"answer_id": "1", "action": "keep", "sample_id": face}]).encode()
    assert post(answer, origin="http://elsewhere.example")[0] == 403
    assert post(answer, **{"content-type": "text/plain"})[0] == 415
    assert post(b"{")[0] == 400
    assert post(b"{}")[0] == 400
    assert "this is no answer" in post(b'[{"action": "keep"}]')[1]
    assert screen.actions() == before
    status, told = post(answer)
    assert (status, json.loads(told)["taken"][0]["refused"]) == (200, "")
    assert decision_history(screen.ws)["reviewer"].tolist()[-1] == "eve"


def press_quickly(screen: Screen, keys: str) -> list[str]:
    """Press keys 60 ms apart; the faces that were on the screen."""
    seen = []
    for key in keys:
        seen.append(screen.face)
        screen.page.keyboard.press(key)
        screen.page.wait_for_timeout(60)
    return seen


def test_nothing_is_fetched_from_another_machine(screen: Screen, tmp_path: Path) -> None:
    asked: list[str] = []
    screen.page.on("request", lambda request: asked.append(request.url))
    screen.open(screen.page.url)
    assert asked
    assert [url for url in asked if not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))] == []


def test_ending_the_command_ends_the_server(screen: Screen) -> None:
    port = free_port()
    command = ["-w", str(screen.ws.root), "review", "--port", str(port), "--no-open"]
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from ferclean.cli import main; sys.exit(main())", *command],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert answer(f"http://127.0.0.1:{port}/_stcore/health") == "ok"
    process.terminate()
    assert process.wait(timeout=20) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_browser_remembers_under_which_name_a_person_of_the_team_reviews(
    screen: Screen, reviewable: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = copied(reviewable, tmp_path)
    team(ws, reviewers=["ann", "bo"])
    monkeypatch.delenv("FERCLEAN_REVIEWER", raising=False)
    with review_server(ws.root, reviewer="") as url, contextlib.closing(screen.page.context.browser.new_page()) as page:
        page.goto(url)
        page.get_by_role("button", name="bo", exact=True).click()
        page.get_by_text("reviewed by bo · own part").wait_for()
        page.goto(url)
        page.get_by_text("reviewed by bo · own part").wait_for()
        assert "reviewer=bo" in page.url
