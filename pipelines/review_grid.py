"""How long does the grid take to show its first faces, another order or filter?

A real Chromium before the real server, on synthetic faces or on a copy of a scored workspace. Times are from the
choice to the first picture of the new list.

    python -m pipelines.review_grid [--rows 100000 | --workspace W] [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.store.table import ranked
from ferclean.store.workspace import Workspace
from pipelines.heading import heading, write_figures
from pipelines.review_screen import FLAGS, answer, find_chromium, serving
from pipelines.review_speed import prepare

ORDERS = ("sure", "unsure", "pair", "alike", "worth")
SHOWN = "document.querySelector('.fc-grid-tile img[src]') && document.querySelector('.fc-grid-tile').dataset.face"


@contextmanager
def chromium(browser: str | None) -> Iterator[Any]:
    """A page of a browser whose processes can be asked for their memory."""
    from playwright.sync_api import sync_playwright

    found = find_chromium(browser)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        try:
            yield started.new_page(viewport={"width": 1440, "height": 900})
        finally:
            started.close()


def changed(page: Any, act: Callable[[], Any]) -> float:
    """Milliseconds from an act in the grid to the first picture of the list that it makes."""
    before = page.evaluate("window.__fercleanGrid.list")
    start = time.perf_counter()
    act()
    page.wait_for_function(f"old => window.__fercleanGrid.list !== old && {SHOWN}", arg=before, polling=5)
    taken = (time.perf_counter() - start) * 1000
    page.wait_for_timeout(1200)  # the counts and the page around follow
    return taken


def run(root: Path, *, rounds: int, browser: str | None = None) -> dict[str, Any]:
    """All measurements, of the workspace at `root`."""
    load = os.getloadavg()
    orders: list[float] = []
    filters: list[float] = []
    with serving(root, reviewer="measured") as server, chromium(browser) as page:
        answer(f"{server.url}/_stcore/health")
        first = []
        for _ in range(3):  # the first one opens the workspace
            start = time.perf_counter()
            page.goto(f"{server.url}/?page=grid")
            page.wait_for_function(SHOWN, polling=5, timeout=120_000)
            first.append(time.perf_counter() - start)
            page.wait_for_timeout(3000)
        page.locator(".fc-grid-sort").select_option("alike")  # neighbours are read once
        page.wait_for_timeout(5000)
        for _ in range(rounds):
            orders += [changed(page, partial(page.locator(".fc-grid-sort").select_option, name)) for name in ORDERS]
        verdicts = page.locator("details", has=page.get_by_text("Verdict", exact=True)).locator("button.value")
        for _ in range(rounds):
            for place in range(min(2, verdicts.count())):
                filters += [changed(page, verdicts.nth(place).click) for _ in range(2)]
    return heading("review_grid") | {
        "faces": len(ranked(Workspace.open(root)).ids), "cores": os.cpu_count(), "load": load,
        "load_after": os.getloadavg(), "seconds_to_first_screen": first, "ms_to_another_order": _spread(orders),
        "ms_to_another_filter": _spread(filters),
    }  # fmt: skip


def _spread(values: Sequence[float]) -> dict[str, float | int]:
    median, p95 = np.quantile(values, [0.5, 0.95])
    return {"n": len(values), "median": float(median), "p95": float(p95), "max": float(max(values))}


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    first = ", ".join(f"{seconds:.1f}" for seconds in result["seconds_to_first_screen"])
    lines = [
        f"{result['faces']:,} faces, {result['version']}, {result['date']}, {result['cores']} cores, load "
        f"{result['load'][0]:.1f} to {result['load_after'][0]:.1f}", "",
        f"first screen, three times: {first} s", "",
        "| ms to the first picture of | n | median | p95 | max |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name in ("order", "filter"):
        found = result[f"ms_to_another_{name}"]
        cells = " | ".join(f"{found[one]:,.0f}" for one in ("median", "p95", "max"))
        lines.append(f"| another {name} | {found['n']} | {cells} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="synthetic faces in the workspace")
    parser.add_argument("--workspace", type=Path, help="a scored workspace to copy instead; it is left as it is")
    parser.add_argument("--rounds", type=int, default=5, help="times that every order and filter is chosen")
    parser.add_argument("--browser", help="path of a Chromium; default what is on PATH, or Playwright's own")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "W"
        prepare(root, rows=options.rows, workspace=options.workspace)
        result = run(root, rounds=options.rounds, browser=options.browser)
    print(table(result))
    if options.json is not None:
        write_figures(options.json, result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
