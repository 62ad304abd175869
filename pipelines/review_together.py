"""Three reviewers and FiftyOne on one workspace at once: is every decision there, once, and the way to a release open?

    python -m pipelines.review_together --json FILE
    python -m pipelines.review_together --workspace W --each 100

It works on a copy of a workspace, or on synthetic faces (`pipelines/scale.py`). `ferclean team` shares the queue among
three with an overlap; each is a process that asks the review screen's own routes for faces and answers them, as the
deck does, one request in three sent twice, as after an acknowledgement that got lost. The fourth mirrors the workspace
into FiftyOne (a real mongod) and decides there. All begin at the same moment. Then the database is read:

- lost: answers that were acknowledged and are not in the log; astray: rows that nobody sent; twice: rows of one person
  about one face beyond the first.
- conflicts: faces about which what was sent differs, which must be those that the store lists.
- settled: an adjudicator in a real Chromium opens the page Conflicts and presses 1: the list must be one shorter, the
  log one adjudication longer.
- released: `ferclean release` with the latest word where people still disagree; the settled face must carry that label.

The exit code is 1 where anything of it does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from ferclean import cli
from ferclean.progress import Progress, silent
from ferclean.store.decisions import decision_history
from ferclean.store.exchange import optional
from ferclean.store.history import conflicts
from ferclean.store.releases import get_release_items
from ferclean.store.samples import get_dataset, get_samples
from ferclean.store.workspace import Workspace
from pipelines.heading import heading, write_figures
from pipelines.review_screen import FLAGS, answer, find_chromium, serving
from pipelines.review_speed import prepare

REVIEWERS = ("ann", "bob", "cem")
FIFTYONE, ADJUDICATOR = "dan", "eve"
AGAIN = 1 / 3
"""Share of the requests that are sent twice."""
Said = tuple[str, str, str, str | None]
"""Person, face, action, label: an answer, as the log keeps it."""


def answer_as(root: str, url: str, name: str, count: int, seed: int) -> dict[str, Any]:
    """Answer `count` faces of one reviewer over the screen's routes: what was acknowledged, and what was refused."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    classes = get_dataset(Workspace.open(root)).classes
    address = urlencode({"reviewer": name, "workspace": str(Path(root).resolve())})
    said: list[Said] = []
    refused: list[str] = []
    sent = again = 0
    while sent < count:
        cards = _ask(f"{url}/ferclean/deck?{address}&count={min(20, count - sent)}")["faces"]
        if not cards:
            break
        answers = [_answer(card, classes, chance, f"{name}-{sent + place}") for place, card in enumerate(cards)]
        times = 1 + (chance.random() < AGAIN)
        for _ in range(times):
            taken = _ask(f"{url}/ferclean/answers?{address}", answers)["taken"]
        sent, again = sent + len(answers), again + (times - 1) * len(answers)
        for one, card, told in zip(answers, cards, taken, strict=True):
            if told["refused"] or told["newer"]:
                refused.append(told["refused"] or "newer")
            else:
                kept = one["action"] == "relabel" and one["label"] == card["given"]
                said.append((name, one["sample_id"], "keep" if kept else one["action"], None if kept else one["label"]))
    return {"said": said, "refused": refused, "sent": sent, "again": again}


def _answer(card: dict[str, Any], classes: Sequence[str], chance: random.Random, answer_id: str) -> dict[str, Any]:
    """Mostly what is offered, else any class, sometimes ambiguous: people differ."""
    action, label = ("relabel", card["suggested"] or card["given"])
    if chance.random() < 0.3:
        label = chance.choice(list(classes))
    if chance.random() < 0.1 or label is None:
        action, label = "ambiguous", None
    return {
        "answer_id": answer_id, "action": action, "label": label, "sample_id": card["id"], "seen": card["seen"],
        "model_hidden": card["hidden"], "by_choice": card["by_choice"], "run_id": card["run_id"], "note": "",
        "seconds": 1.0,
    }  # fmt: skip


def _ask(url: str, body: Any = None) -> Any:
    """What a route answers; asked again while the workspace is busy, as the deck does."""
    data = None if body is None else json.dumps(body).encode()
    while True:
        request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - an address of ours
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise RuntimeError(f"{url}: {error.code} {error.read().decode()}") from error
            time.sleep(0.2)


class FiftyOneReviewer:
    """A person in FiftyOne: mirrors the workspace once, then records bulks of ten by the operators' own function."""

    def __init__(self, root: str) -> None:
        from apps.fiftyone_view.database import connect
        from apps.fiftyone_view.mirror import update_dataset

        self.ws = Workspace.open(root)
        connect(self.ws)
        began = time.monotonic()
        self.dataset = update_dataset(self.ws).dataset
        self.mirrored = time.monotonic() - began

    def decide(self, count: int) -> dict[str, Any]:
        """Decide about `count` faces, from the end of the queue: what was recorded, and how many were left out."""
        from apps.fiftyone_view.decide import record

        view = self.dataset.exists("rank").sort_by("rank", reverse=True)
        ids, keys = view.values(["id", "ferclean_id"])
        said: list[Said] = []
        left = 0
        for start in range(0, len(ids), 10):
            here = slice(start, min(start + 10, start + count - len(said)))
            action = ("keep", "ambiguous", "offer")[start // 10 % 3]
            told = record(self.ws, self.dataset, ids[here], action=action, reviewer=FIFTYONE)
            log = decision_history(self.ws)
            mine = log[(log["reviewer"] == FIFTYONE) & log["sample_id"].isin(keys[here])]
            said += [(FIFTYONE, *one) for one in _rows(mine)]
            left += told.random_checks + told.without_offer + told.newer
            if len(mine) != told.recorded:
                raise RuntimeError(f"FiftyOne says that it recorded {told.recorded}, the log holds {len(mine)}")
            if len(said) >= count:
                break
        return {"said": said, "left_out": left, "seconds_to_mirror": self.mirrored}


def _rows(log: pd.DataFrame) -> list[tuple[str, str, str | None]]:
    columns = zip(log["sample_id"], log["action"], log["label"], strict=True)
    return [(face, action, label if isinstance(label, str) else None) for face, action, label in columns]


def account(
    said: Sequence[Said], log: pd.DataFrame, given: dict[str, str | None], listed: Sequence[str]
) -> dict[str, Any]:
    """What became of what people said: `log` is the log's rows, `listed` the faces that the store calls disputed."""
    stored = Counter((who, *row) for who, row in zip(log["reviewer"], _rows(log), strict=True))
    meant = Counter(said)
    words: dict[str, set[str | None]] = {}
    for _, face, action, label in said:
        words.setdefault(face, set()).add(action if label is None else label)
        if action == "keep":
            words[face] = (words[face] - {"keep"}) | {given[face]}
    disputed = {face for face, spoken in words.items() if len(spoken) > 1}
    by = Counter(face for _, face, _, _ in said)
    return {
        "decisions": len(log),
        "lost": (meant - stored).total(),
        "astray": (stored - meant).total(),
        "twice": int(log.duplicated(["reviewer", "sample_id"]).sum()),
        "faces": len(by),
        "faces_of_two": sum(count > 1 for count in by.values()),
        "conflicts": len(listed),
        "conflicts_right": disputed == set(listed),
    }


def settle_in_browser(url: str, *, browser: str | None = None) -> tuple[int, int]:
    """Press 1 on the page Conflicts: how many faces it said are open before, and after."""
    from playwright.sync_api import sync_playwright

    found = find_chromium(browser)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=[*FLAGS])
        try:
            page = started.new_page(viewport={"width": 1440, "height": 900})
            page.goto(f"{url}/?{urlencode({'page': 'conflicts', 'reviewer': ADJUDICATOR})}")
            top = page.locator(".fc-conflict-top b")
            top.wait_for(timeout=120_000)
            page.wait_for_selector("body[data-ferclean-face]", state="attached", timeout=60_000)
            before = int(top.inner_text().split()[-1].replace(",", ""))
            page.keyboard.press("1")
            page.get_by_text("Settled for everybody").wait_for(timeout=60_000)
            after = int(top.inner_text().split()[-1].replace(",", "")) if top.count() else 0
            return before, after
        finally:
            started.close()


def run(
    root: Path, *, each: int = 500, overlap: float = 0.3, browser: str | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """Let all four decide about `each` faces of the workspace at `root`, which takes the decisions."""
    ws = Workspace.open(root)
    _verb(root, "team", "--reviewers", ",".join(REVIEWERS), "--overlap", str(overlap), "--by", ADJUDICATOR)
    before = len(decision_history(ws))
    samples = get_samples(ws, include_quarantined=True)  # FiftyOne shows these too
    given = {face: optional(label) for face, label in zip(samples["sample_id"], samples["given_label"], strict=True)}
    result = heading("review_together") | {
        "samples": len(samples), "each": each, "overlap": overlap, "cores": os.cpu_count(),
        "load": list(os.getloadavg()),
    }  # fmt: skip
    with serving(root, reviewer=ADJUDICATOR) as server, ExitStack() as ends:
        answer(f"{server.url}/_stcore/health")
        people = [_start(ends, root, {"as": FIFTYONE, "count": each})]
        for seed, name in enumerate(REVIEWERS):
            people.append(_start(ends, root, {"as": name, "count": each, "url": server.url, "seed": seed}))
        for place, one in enumerate(people):
            progress("everybody takes a seat", place, len(people))
            if one.stdout is None or one.stdout.readline().strip() != "ready":
                raise RuntimeError("a reviewer's process ended before it began, see above")
        began = time.monotonic()
        for one in people:
            _write(one, "begin\n")
        told = [json.loads(one.stdout.readline() or "null") for one in people if one.stdout is not None]
        seconds = time.monotonic() - began
        if None in told:
            raise RuntimeError("a reviewer's process failed, see above")
        said = [(who, face, action, label) for one in told for who, face, action, label in one["said"]]
        log = decision_history(ws).iloc[before:]
        result |= account(said, log, given, conflicts(ws)) | {
            "seconds": seconds, "refused": sum(len(one.get("refused", ())) for one in told),
            "sent_twice": sum(one.get("again", 0) for one in told), "fiftyone_left_out": told[0]["left_out"],
            "seconds_to_mirror": told[0]["seconds_to_mirror"],
        }  # fmt: skip
        progress("an adjudicator in the browser", 0, 1)
        result["open_before"], result["open_after"] = settle_in_browser(server.url, browser=browser)
    last = decision_history(ws).iloc[-1]
    label = given[last["sample_id"]] if last["action"] == "keep" else last["label"]
    result["settled"] = (last["source"], last["reviewer"]) == ("adjudication", ADJUDICATOR)
    _verb(root, "release", "together", "--on-conflict", "latest")
    items = get_release_items(ws, "together").set_index("sample_id")
    result["released"] = bool(items.loc[last["sample_id"], "label"] == label)
    return result


def flawless(result: dict[str, Any]) -> bool:
    """Whether all is there, nothing twice, the conflicts are listed, one is settled, and a release is made."""
    counted = not any(result[name] for name in ("lost", "astray", "twice"))
    one_less = result["open_before"] - result["open_after"] == 1 and result["open_before"] == result["conflicts"]
    return counted and one_less and all(result[name] for name in ("conflicts_right", "settled", "released"))


def _start(ends: ExitStack, root: Path, told: dict[str, Any]) -> subprocess.Popen[str]:
    """A process of one person, which says `ready`, waits for a line, and then tells what it did."""
    from ferclean.steps.browse import environment

    child = subprocess.Popen(
        [sys.executable, "-m", "pipelines.review_together", "--person", json.dumps(told | {"root": str(root)})],
        env=environment(root) if told["as"] == FIFTYONE else None, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    ends.callback(_end, child)
    return child


def _end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.terminate()
    child.communicate()


def _write(child: subprocess.Popen[str], line: str) -> None:
    if child.stdin is not None:
        child.stdin.write(line)
        child.stdin.flush()


def person(told: dict[str, Any]) -> None:
    """What such a process does; stdout is its line to the one who started it."""
    line, sys.stdout = sys.stdout, sys.stderr  # whatever libraries print goes elsewhere
    there = FiftyOneReviewer(told["root"]) if told["as"] == FIFTYONE else None
    print("ready", file=line, flush=True)
    sys.stdin.readline()
    did = (
        answer_as(told["root"], told["url"], told["as"], told["count"], told["seed"])
        if there is None
        else there.decide(told["count"])
    )
    print(json.dumps(did), file=line, flush=True)


def _verb(root: Path, *words: str) -> None:
    if cli.run(["-w", str(root), "--quiet", *words]) != 0:
        raise RuntimeError(f"{words[0]} failed, see above")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 where anything is lost, astray, twice, or the way ends before a release."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=12_000, help="synthetic faces in the workspace")
    parser.add_argument("--workspace", type=Path, help="a scored workspace to copy instead; it is left as it is")
    parser.add_argument("--each", type=int, default=500, help="decisions of each of the four")
    parser.add_argument("--overlap", type=float, default=0.3, help="share of the faces that two reviewers answer")
    parser.add_argument("--browser", help="path of a Chromium; default what is on PATH, or Playwright's own")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--person", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.person:
        person(json.loads(options.person))
        return 0

    def said(description: str, done: int, total: int) -> None:
        print(f"{description} ({done:,} of {total:,})", flush=True)

    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "W"
        prepare(root, rows=options.rows, workspace=options.workspace, progress=said)
        result = run(root, each=options.each, overlap=options.overlap, browser=options.browser, progress=said)
    print(json.dumps(result, indent=1))
    if options.json is not None:
        write_figures(options.json, result)
    return int(not flawless(result))


if __name__ == "__main__":
    raise SystemExit(main())
