"""Facts about the map: which faces an area holds, what a browser is told of the points, and what blind mode hides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.review import chart
from apps.review.addresses import filters_of
from ferclean.errors import UsageError
from ferclean.review.area import SIDE, inside
from ferclean.review.chart import asked_area
from ferclean.review.desk import Desk, Filters, facets, open_desk, select
from ferclean.review.narrowing import chart_of, counts
from ferclean.steps.review import decide
from ferclean.store import maps
from ferclean.store.decisions import current_decisions
from ferclean.store.runs import latest_run
from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace
from tests.browser import browser_page, review_server
from tests.workspaces import copied, make_workspace

HOSTILE = "<img src=x onerror=\"document.title='owned'\"> **b** .png"


def mapped(ws: Workspace) -> Workspace:
    """With a map: faces by their order on a slanted line, 28 steps of 1/27."""
    run = latest_run(ws, "score")
    assert run is not None
    ids = get_samples(ws)["sample_id"].tolist()
    step = np.arange(len(ids)) / (len(ids) - 1)
    # in another order than that of the queue
    maps.write_map(ws, run.run_id, ids[::-1], np.stack([step, step], axis=1)[::-1], embedding="none")
    return ws


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return mapped(make_workspace(tmp_path_factory.mktemp("map"), names=(HOSTILE,)))


@pytest.fixture
def desk(original: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    ws = copied(original, tmp_path)
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(ws.root))
    monkeypatch.setenv("FERCLEAN_REVIEWER", "ada")
    return open_desk(ws, reviewer="ada")


def square(desk: Desk, low: float, high: float) -> str:
    """An area as an address names it: a square from (low, low) to (high, high)."""
    here = chart_of(desk)
    assert here is not None
    a, b = round(low * SIDE), round(high * SIDE)
    return f"{here.name};{a},{a};{b},{a};{b},{b};{a},{b}"


def asked(desk: Desk, **address: str) -> Filters:
    return filters_of(address, desk, facets(desk))


def keys(desk: Desk, filters: Filters) -> set[str]:
    return {desk.items[sample_id].source_key for sample_id in select(desk, filters)}


def read(data: bytes) -> tuple[dict[str, Any], np.ndarray, list[np.ndarray]]:
    length = int.from_bytes(data[:4], "little")
    head, rest = json.loads(data[4 : 4 + length]), data[4 + length :]
    count = head["count"]
    assert len(rest) == count * (4 + len(head["colourings"]))
    at = np.frombuffer(rest[: 4 * count], "<u2").reshape(2, count).T
    codes = np.frombuffer(rest[4 * count :], np.uint8).reshape(-1, count)
    return head, at, list(codes)


def test_an_area_holds_exactly_the_faces_in_it_whatever_their_verdict(desk: Desk) -> None:
    text = square(desk, 0.35, 0.65)
    filters = asked(desk, area=text)
    every = {f"face_{i:04d}" for i in range(28) if 0.35 <= i / 27 <= 0.65}
    assert keys(desk, filters) == every
    assert filters.narrowed
    assert counts(desk, filters).total == len(every)
    clean = asked(desk, area=text, verdict="clean")
    assert keys(desk, clean) == {f"face_{i:04d}" for i in range(14, 28)} & every
    assert keys(desk, asked(desk, area=text, blind="1")) == every


def test_a_polygon_may_be_hollow_and_goes_by_the_even_odd_rule() -> None:
    rng = np.random.default_rng(0)
    at = rng.integers(0, 100, (500, 2))
    outer, inner = [(-1, -1), (101, -1), (101, 101), (-1, 101)], [(20, 20), (70, 20), (70, 70), (20, 70)]
    ring = inside([*outer, outer[0], inner[0], *inner[1:], inner[0]], at)
    x, y = at.T
    hole = (x > 20) & (x < 70) & (y > 20) & (y < 70)
    edge = np.isin(x, (20, 70)) | np.isin(y, (20, 70))
    assert (ring == ~hole)[~edge].all()


@pytest.mark.parametrize(
    ("area", "word"),
    [("1,2;3,4", "no list of corners"), ("{map};1,2;3,4", "no list of corners"), ("{map};1,2;3,x;5,6", "no list"),
     ("00000000;1,2;3,4;5,6", "another map"), ("<b>;1,2;3,4;5,6", "no list of corners")],
)  # fmt: skip
def test_an_area_that_is_none_is_passed_over_with_a_word(desk: Desk, area: str, word: str) -> None:
    here = chart_of(desk)
    assert here is not None
    text = area.format(map=here.name)
    assert word in asked_area(desk, text)[1]
    assert asked(desk, area=text).area is None
    assert keys(desk, asked(desk, area=text)) == keys(desk, asked(desk))


def test_a_browser_is_told_all_points_in_a_few_bytes_each_in_an_order_that_tells_no_rank(desk: Desk) -> None:
    first = desk.items.ranked.ids[0]
    decide(desk, first, "relabel", label="fear")
    head, at, codes = read(chart.points({"reviewer": "ada"}))
    assert [one["key"] for one in head["colourings"]] == ["given", "verdict", "doubt", "decided", "people"]
    assert (at[:, 0] == np.rint(np.arange(27, -1, -1) / 27 * SIDE)).all()
    for one, code in zip(head["colourings"], codes, strict=True):
        assert [count for _, count, _ in one["codes"]] == np.bincount(code, minlength=len(one["codes"])).tolist()
    (decided,) = np.flatnonzero(codes[3])
    assert head["colourings"][3]["codes"][codes[3][decided]][0] == "relabel"
    assert head["colourings"][4]["codes"][1][:2] == ["ada", 1]
    said = chart.face({"reviewer": "ada"}, name=head["map"], point=int(decided), near=True)
    assert (said["name"], said["given"], said["suggested"], said["stands"]) == (HOSTILE, "surprise", "fear", "fear")
    assert said["alike"][0]["why"] == "near copy"
    assert said["alike"][0]["at"] == decided - 1
    with pytest.raises(UsageError, match="not there any longer"):
        chart.face({"reviewer": "ada"}, name="00000000", point=0, near=False)
    with pytest.raises(UsageError, match="not there any longer"):
        chart.face({"reviewer": "ada"}, name=head["map"], point=28, near=False)


def test_blind_mode_tells_neither_labels_nor_verdicts_nor_who_is_like_whom_nor_what_others_said(desk: Desk) -> None:
    told = chart.points({"reviewer": "ada", "blind": "1"})
    head, _, _ = read(told)
    assert [one["key"] for one in head["colourings"]] == ["decided"]
    said = chart.face({"reviewer": "ada", "blind": "1"}, name=head["map"], point=27, near=True)
    assert (said["given"], said["suggested"], said["verdict"], said["alike"]) == (None, None, None, [])
    both = json.dumps(said).lower() + told.decode("latin-1")
    assert not [word for word in ("surprise", "fear", "mislabelled", "clean", "rank") if word in both]
    for ask in (chart.points, lambda address: chart.face(address, name=head["map"], point=27, near=True)):
        with pytest.raises(UsageError, match="closed in double-blind mode"):
            ask({"reviewer": "ada", "blind": "2"})


def test_a_person_draws_an_area_and_exactly_its_faces_come_in_review_and_in_the_grid(original: Workspace) -> None:
    with review_server(original.root) as url, browser_page() as page:
        broken: list[str] = []
        page.on("pageerror", lambda error: broken.append(str(error)))
        assert page.request.get(f"{url}/ferclean/map", headers={"host": "evil.example"}).status == 403
        page.route("**/ferclean/map?*", lambda route: route.abort(), times=1)  # what got lost is asked for again
        page.goto(f"{url}/?page=map")
        page.wait_for_selector(".fc-map[data-ready]", timeout=30_000)
        plate = page.locator(".fc-map-plate").bounding_box()

        def go(point: int, dx: float = 0, dy: float = 0) -> None:
            x, y = page.evaluate(
                "at => { const m = window.__fercleanMap; return m.place(at).map((v) => v / m.ratio) }", point
            )
            page.mouse.move(plate["x"] + x + dx, plate["y"] + y + dy)

        go(27)
        assert HOSTILE in page.locator(".fc-map-hover:not([hidden])").inner_text()
        page.mouse.down()
        page.mouse.up()
        page.locator(".fc-map-face .alike button").first.click()
        page.wait_for_function("document.querySelector('.fc-map-face .name').textContent === 'face_0001'")
        page.keyboard.down("Shift")
        go(9, -7, -7)
        page.mouse.down()
        for point, dx, dy in ((9, 9, -7), (4, 7, -7), (4, 7, 7), (4, -7, 7), (9, -7, 7)):
            go(point, dx, dy)
        page.mouse.up()
        page.keyboard.up("Shift")
        words = page.locator(".fc-map-area b")
        assert words.inner_text() == "6 faces"
        page.reload()
        page.wait_for_selector(".fc-map[data-ready]", timeout=30_000)
        assert words.inner_text() == "6 faces"
        page.get_by_text("Review these").click()
        page.wait_for_selector("body[data-ferclean-face]", state="attached", timeout=30_000)
        assert "1 / 6" in page.locator(".fc-caption").inner_text()
        face = page.evaluate("document.body.dataset.fercleanFace")
        # a small face beside it is looked at by a click, decides nothing, and leads back
        page.get_by_role("button", name="Understood").click()  # the word for whoever is new lies over them
        page.locator(".fc-deck-beside button").first.click()
        page.wait_for_function("face => document.body.dataset.fercleanFace !== face", arg=face)
        assert "picked from elsewhere" in page.locator(".fc-caption").inner_text()
        assert "pick=1" in page.url
        page.keyboard.press("ArrowRight")
        page.wait_for_function("face => document.body.dataset.fercleanFace === face", arg=face)
        assert "pick=1" not in page.url
        assert len(current_decisions(original)) == 0
        page.goto(page.url.replace("page=review", "page=grid"))
        page.wait_for_function("document.querySelectorAll('.fc-grid-tile').length === 6", timeout=30_000)
        assert page.title() == "ferclean review"
        assert broken == []
