"""Every page of the review screen in a real Chromium: what axe finds, what names can do, and whether all of it fits.

One server and one browser; a page is opened once, and a new page in `main.py` is tested by being named there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from ferclean.steps.release import release
from ferclean.store.decisions import Decision, append_decisions
from ferclean.store.samples import get_samples
from tests.browser import browser_page, page_names, review_server
from tests.workspaces import make_workspace

HTML = "<img src=x onerror=\"window.owned='file'\"><b class=hostile>bold</b><script>window.owned=1</script>"
MARKDOWN = "**bold** _it_ `code` $x^2$ [link](https://a.b) :material/home: :red[red] ![i](https://a.b/i.png)"
OTHERS = ("😀🏳️‍🌈👩‍👩‍👧 \u202egnp.txt\u202c", "وجه مبتسم", "a\u0301\u0300" * 20, "long " * 40)
CLASSES = (
    "<i class=hostile>joy</i>",
    "**fear** :smile:",
    "وجه",
    "surprise & \"quotes' or more",
    "anger",
    "sadness",
    "happiness",
)
PEOPLE = ("<u class=hostile>eve</u>", "*bob* :fire: [x](https://a.b)")
SIZES = ((800, 700), (1200, 800), (1920, 1080), (2560, 1440))

# Streamlit's own widgets, where no style or option of ours reaches: rule -> the parts of a page that it says it of.
STREAMLITS_OWN: dict[str, tuple[str, ...]] = {}

INERT = """() => ({
  owned: window.owned || null,
  made: document.querySelectorAll('.hostile, [src=x], a[href*="a.b"], img[src*="a.b"]').length,
  maths: document.querySelectorAll('.katex').length,
  marked: [...document.querySelectorAll('strong, em, code')].map((one) => one.textContent)
    .filter((text) => ['bold', 'it', 'code', 'fear', 'bob'].includes(text)),
})"""
LOWEST = """() => Math.max(
  ...[...document.querySelectorAll('.fc-deck-acts button')].map((one) => one.getBoundingClientRect().bottom))"""
DEALT = """(many) => {
  const deck = window.__fercleanDeck;
  deck.data.classes = Array.from({ length: many }, (_, at) => deck.data.classes[at] || [`class ${at}`, `class ${at}`]);
  deck.buttons();
}"""
CUT = """() => [...document.querySelectorAll('button')].filter((one) => {
  const box = one.getBoundingClientRect(), hidden = getComputedStyle(one).visibility === 'hidden';
  return box.width && !hidden && !one.closest('[class*="st-key-keys"]') && (box.left < 0 || box.right > innerWidth + 1);
}).map((one) => one.innerText || one.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """A page of a browser, and the address of a screen of a workspace in which every name is hostile."""
    ws = make_workspace(tmp_path_factory.mktemp("hostile"), n=24, classes=CLASSES, names=(HTML, MARKDOWN, *OTHERS))
    ids = get_samples(ws)["sample_id"].tolist()
    for place, who in enumerate(PEOPLE):
        append_decisions(
            ws,
            [
                Decision(sample_id=ids[0], action="relabel", label=CLASSES[1 + place], reviewer=who, note=HTML),
                Decision(sample_id=ids[1], action="keep", reviewer=who, note=MARKDOWN),
                Decision(sample_id=ids[12], action=("ambiguous", "exclude")[place], reviewer=who, note="😀" * 200),
            ],
        )  # fmt: skip
    release(ws, "made", on_conflict="latest")
    with review_server(ws.root, reviewer=PEOPLE[0]) as url, browser_page() as page:
        yield page, url


@pytest.fixture(scope="module", params=page_names())
def opened(screen: tuple[Any, str], request: pytest.FixtureRequest) -> tuple[Any, str]:
    """The browser's page, at one page of the screen, and that page's name."""
    page, url = screen
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{url}/?page={request.param}")
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=30_000)
    page.wait_for_selector("[data-ferclean-face]", state="attached", timeout=30_000)
    page.wait_for_function("document.body.dataset.fercleanFace !== undefined")
    return page, str(request.param)


def serious(page: Any) -> list[str]:
    """What axe finds on the page that is serious or critical, each in a line."""
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{one['id']}: {node['target']} {node['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
        if not any(own in str(node["target"]) for own in STREAMLITS_OWN.get(one["id"], ()))
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(opened: tuple[Any, str], scheme: str) -> None:
    page, name = opened
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(
        "dark => (getComputedStyle(document.querySelector('.stApp')).colorScheme === 'dark') === dark",
        arg=scheme == "dark",
    )
    assert serious(page) == [], name


def test_names_and_notes_of_any_kind_are_text(opened: tuple[Any, str]) -> None:
    page, name = opened
    assert page.evaluate(INERT) == {"owned": None, "made": 0, "maths": 0, "marked": []}, name
    assert page.title() == "ferclean review"


def test_no_button_is_cut_off_on_any_screen(opened: tuple[Any, str]) -> None:
    page, name = opened
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate(CUT) == [], (name, width)
        sideways = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth - innerWidth")
        assert sideways <= 1, (name, width)
    if name == "review":  # there every key is in sight, too
        for classes in (len(CLASSES), 40):
            page.evaluate(DEALT, classes)
            for width, height in SIZES:
                page.set_viewport_size({"width": width, "height": height})
                assert page.evaluate(LOWEST) <= height, (classes, width)


def test_a_newcomer_is_told_once_what_the_keys_mean_and_a_listener_what_is_on_the_screen(
    screen: tuple[Any, str],
) -> None:
    page, url = screen
    face, heard = "document.body.dataset.fercleanFace", "document.querySelector('.fc-deck-heard').textContent"
    page.goto(f"{url}/?reviewer=new")
    page.get_by_text("people would not agree (ambiguous)").wait_for()
    page.wait_for_function(face)
    page.keyboard.press("Escape")
    page.locator(".fc-deck-welcome").wait_for(state="hidden")
    page.reload()
    page.wait_for_function(face)
    assert page.locator(".fc-deck-welcome").is_hidden()
    first, told = page.evaluate(face), page.evaluate(heard)
    assert told.startswith("Face ")
    assert ", given " in told
    note = page.get_by_placeholder("Note (optional)")
    note.fill("squints")
    note.press("Enter")
    page.wait_for_function("document.activeElement === document.body")
    page.keyboard.press("x")
    page.wait_for_function(f"{face} !== '{first}'")
    assert page.evaluate(heard) != told
    page.keyboard.press("u")
    page.wait_for_function(f"{face} === '{first}'")
    assert (page.evaluate(heard), note.input_value()) == (told, "squints"), "the note is taken back with its answer"
    meant = page.get_by_role("button", name="A Ambiguous").get_attribute("aria-description")
    assert "people would not agree" in str(meant)
