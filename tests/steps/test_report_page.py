"""The report as a page that is looked at: the gain first, dark, on a phone, on paper; in a real Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferclean.parts.report_plots import accuracy_points
from ferclean.steps.report import report
from ferclean.store.runs import finish_run, start_run
from ferclean.store.samples import fingerprint
from ferclean.store.workspace import Workspace
from tests.browser import browser_page

MEASURED = {
    "source": "release v1", "gain": "measurable gain", "method": "cross_entropy", "profile": "quick", "seeds": [0, 1],
    "test_images": 60, "test_split": "test", "changed_labels": 9, "left_out_copies_of_test": 1, "warning": "as given",
    "accuracy": {"raw": [0.5, 0.52], "cleaned": [0.6, 0.61], "random": [0.5, 0.5]},
    "difference": {"mean": 0.095, "low": 0.02, "high": 0.17},
}  # fmt: skip


@pytest.fixture(scope="module")
def page_file(judged_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(judged_folder, folder / "W")
    ws = Workspace.open(folder / "W")
    for when, change in (("first", {"gain": "no measurable gain"}), ("second", {})):
        run = start_run(ws, kind="retrain", method=when, config={}, seed=0, fingerprint=fingerprint(ws))
        finish_run(ws, run, MEASURED | change)
    return Path(report(ws, out=folder / "page.html", faces=12).path)


@pytest.fixture(scope="module")
def shown(page_file: Path) -> Iterator[Any]:
    with browser_page(width=360, height=740, dark=True) as page:
        page.goto(page_file.as_uri())
        yield page


def test_the_newest_gain_stands_above_everything_else(page_file: Path) -> None:
    text = page_file.read_text("utf-8")
    assert text.index("+9.5 points: measurable gain") < text.index('class="tile"')
    assert "+9.5 points: no measurable" not in text


def test_before_and_after_run_from_raw_to_cleaned() -> None:
    stored = MEASURED | {"accuracy": dict(sorted(MEASURED["accuracy"].items()))}  # type: ignore[attr-defined]
    assert re.findall(r">(raw|random|cleaned)</text>", accuracy_points(stored)) == ["raw", "random", "cleaned"]


def test_nothing_reaches_beyond_a_phones_width(shown: Any) -> None:
    assert shown.evaluate("document.documentElement.scrollWidth") <= 360
    assert shown.locator(".face").first.bounding_box()["width"] > 130


def test_the_page_and_its_plots_are_dark_where_the_system_is_and_light_on_paper(shown: Any) -> None:
    def colours() -> list[int]:
        found = shown.evaluate(
            """() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,
                      getComputedStyle(document.querySelector("svg text")).fill]"""
        )
        return [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in found]

    ground, ink, plot = colours()
    assert ground < 150 < 500 < ink == plot
    shown.emulate_media(media="print")
    ground, ink, plot = colours()
    assert ground == 765
    assert ink == plot < 200
    breaks = shown.evaluate(
        """() => [...document.querySelectorAll(".face, .tile, figure, tr")].map(e => getComputedStyle(e).breakInside)"""
    )
    assert set(breaks) == {"avoid"}
    shown.emulate_media(media="screen")
