"""The grid in a real Chromium: choosing, deciding, filters in the address, and a page that holds only what is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ferclean.store.decisions import current_decisions, decision_history
from ferclean.store.workspace import Workspace
from tests.browser import browser_page, review_server
from tests.workspaces import make_workspace

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><b>face</b> **b** :smile:.png"


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Workspace]]:
    ws = make_workspace(tmp_path_factory.mktemp("grid"), n=140, names=(HOSTILE,))
    with review_server(ws.root) as url, browser_page() as page:
        told: list[str] = []
        page.on("pageerror", lambda error: told.append(str(error)))
        page.goto(f"{url}/?page=grid&verdict=mislabelled,ambiguous,clean")
        page.wait_for_selector(".fc-grid-tile img[src]", timeout=30_000)
        yield page, ws
        assert told == []


def text(page: Any, name: str) -> str:
    return str(page.locator(name).first.inner_text())


def said(page: Any, words: str) -> None:
    page.wait_for_function(
        "words => document.querySelector('.fc-grid .fc-status').textContent.includes(words)", arg=words
    )


def counted(page: Any, faces: int) -> None:
    page.wait_for_function("n => document.querySelector('.fc-grid-total')?.textContent === n", arg=f"{faces} faces")


def settled(page: Any) -> None:
    """The list that an undo asked for has come: places mean the faces that are seen."""
    page.wait_for_function("!document.querySelector('.fc-grid-tiles').hasAttribute('aria-busy')")


def test_a_sitting_in_the_grid_ends_up_in_the_store(screen: tuple[Any, Workspace]) -> None:
    page, ws = screen
    counted(page, 140)
    assert page.title() == "ferclean review"
    assert page.locator(".fc-grid-tile").first.get_attribute("aria-label").startswith(HOSTILE)
    assert page.locator(".fc-grid-tile b b, .fc-grid-tile img[onerror]").count() == 0

    page.locator("#fc-tile-1").click()
    page.locator("#fc-tile-4").click(modifiers=["Shift"])
    page.locator("#fc-tile-2").click()
    assert text(page, ".fc-grid-chosen") == "3 chosen"
    page.keyboard.press("x")
    said(page, "3 faces: 3 excluded. One undo takes all of them back.")
    counted(page, 137)

    page.locator("#fc-tile-0").hover()
    page.wait_for_timeout(400)  # faces that have only just come are not decided about
    page.keyboard.press("2")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("s")
    page.wait_for_function("document.querySelector('.fc-grid .fc-deck-unsaved').textContent === 'all saved'")
    assert page.locator("#fc-tile-0 .done").inner_text() == "→ fear"
    assert decision_history(ws)["action"].tolist() == ["exclude"] * 3 + ["relabel", "skip"]

    page.keyboard.press("Control+a")
    page.keyboard.press("Enter")
    said(page, "135 faces:")
    said(page, "2 decided or skipped already: are so many meant?")
    page.get_by_role("button", name="No", exact=True).click()
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    said(page, "Undone: 1 decision")
    settled(page)
    page.keyboard.press("u")
    page.keyboard.press("u")
    page.wait_for_function("document.querySelector('.fc-grid .fc-deck-unsaved').textContent === 'all saved'")
    counted(page, 140)
    assert current_decisions(ws).empty


def test_a_key_is_taken_for_what_is_on_the_screen_alone(screen: tuple[Any, Workspace]) -> None:
    page, ws = screen
    before = len(decision_history(ws))
    page.locator("#fc-tile-3").hover()
    page.wait_for_timeout(400)
    page.mouse.wheel(0, 1200)
    page.wait_for_selector("#fc-tile-3", state="detached")
    under = page.locator(".fc-grid-tile.cursor")
    assert under.count() == 1, "the face that came under the pointer"
    place = int(under.get_attribute("data-place"))
    face = page.evaluate("place => window.__fercleanGrid.tiles.get(place).id", place)
    page.keyboard.press("a")
    page.wait_for_function("document.querySelector('.fc-grid .fc-deck-unsaved').textContent === 'all saved'")
    assert decision_history(ws)["sample_id"].tolist()[before:] == [face]
    page.keyboard.press("u")
    said(page, "Undone: 1 decision")
    settled(page)
    counted(page, 140)
    page.keyboard.press("Home")


def test_dragging_chooses_what_it_touches(screen: tuple[Any, Workspace]) -> None:
    page, _ = screen
    settled(page)
    first, last = (page.locator(f"#fc-tile-{place}").bounding_box() for place in (0, 1))
    page.mouse.move(first["x"] + 20, first["y"] + 20)
    page.mouse.down()
    page.mouse.move(last["x"] + 30, last["y"] + 60, steps=4)
    page.mouse.up()
    assert text(page, ".fc-grid-chosen") == "2 chosen"
    page.keyboard.press("Escape")
    assert text(page, ".fc-grid-chosen") == ""


def test_a_filter_narrows_at_once_and_holds_in_the_address_and_on_the_review_page(
    screen: tuple[Any, Workspace],
) -> None:
    page, _ = screen
    page.locator("button.value", has_text="ambiguous").first.click()
    page.locator("button.value", has_text="clean").first.click()
    counted(page, 47)
    page.get_by_label("File name contains").fill("face_001")
    counted(page, 7)
    page.wait_for_url("**name=face_001**")
    assert "name=face_001" in page.url
    page.reload()
    counted(page, 7)
    page.locator("#fc-tile-0").dblclick()
    page.wait_for_selector(".fc-deck-acts button", timeout=15_000)
    page.wait_for_function("/1 . 7/.test(document.querySelector('.fc-caption')?.textContent)")
    page.get_by_role("radio", name="Grid").click()
    counted(page, 7)


def test_the_address_is_that_of_the_latest_choice_whatever_the_page_around_heard_before(
    screen: tuple[Any, Workspace],
) -> None:
    page, _ = screen
    page.evaluate(
        """() => {
          window.__written = [];
          for (const name of ["pushState", "replaceState"]) {
            const write = history[name].bind(history);
            history[name] = (state, title, to) => { window.__written.push(String(to)); write(state, title, to); };
          }
          const grid = window.__fercleanGrid;
          grid.sent += 1;
          grid.went({ n: grid.sent - 1, address: { name: "an_older_name" } });
        }"""
    )
    page.wait_for_function("window.__written.some((one) => one.includes('an_older_name'))")
    page.wait_for_url("**name=face_001**")
    page.evaluate("window.__fercleanGrid.tell({})")
    page.wait_for_function("window.__written.at(-1).includes('name=face_001')")
    assert "name=face_001" in page.url
    assert "an_older_name" not in page.url


def test_the_page_holds_what_is_on_the_screen_however_long_the_list(screen: tuple[Any, Workspace]) -> None:
    page, _ = screen
    page.get_by_label("File name contains").fill("")
    page.locator("button.value", has_text="ambiguous").first.click()
    page.locator("button.value", has_text="clean").first.click()
    counted(page, 140)
    page.keyboard.press("End")
    page.wait_for_selector("#fc-tile-139 img[src]")
    assert page.locator("#fc-tile-0").count() == 0
    assert page.locator(".fc-grid-tile").count() < 80
