"""How fast is the review screen, and does it lose anything? A real Chromium, and keys pressed as a person presses them.

    python -m pipelines.review_speed --json FILE
    python -m pipelines.review_speed --workspace W --faces 100

It works on synthetic faces of seven classes with two scored runs (`pipelines/scale.py`), or on a copy of a workspace,
judged anew without a teaching round, which would stop the keys half way. Each part has a reviewer, a server and a
browser of its own, so that it begins at the head of the queue. Keys go round K, A and the digits, so that an answer
which went to another face shows. The parts:

- next: `--faces` keys, each `--look` seconds after the face has come. Milliseconds from the time at which the browser
  had the key to the end of the first painted frame that holds another face with its picture loaded (`seen`), and to
  that in which the page has named the face on its body, too: all is drawn and keys count again (`ready`; the same where
  the page names it nowhere else). Keys without another face in ten seconds have no milliseconds.
- burst: `--burst` keys, one each `--every` ms, whatever the screen does. None is pressed while it shows no face.
- cut: the same; after a third of them every connection between browser and server is closed, and new ones for ten
  seconds. (Chromium's own "offline" holds what an open websocket sends and delivers it later: it cuts nothing.)
- killed: the same; after a third of them the server gets SIGKILL, and another one starts on its port at once.

Then nothing is done until no decision has come for `--quiet` seconds, and the database is read. Of the keys that were
pressed while a face was on the screen, those without a decision about that face with that key's answer are *lost*, also
where the screen said that it had not taken one. Decisions without such a key are *astray*: about a face that was not on
the screen at its key, or with another answer. *Doubled* are decisions about a face that has one. *In order*: faces were
decided in the order in which they were first shown. Server work is the CPU time of the server's process from the first
key until all is quiet, over decisions. The exit code is 1 where anything is lost, astray, doubled or out of order.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean import cli
from ferclean.progress import Progress, silent
from ferclean.store.decisions import decision_history, newest_decision
from ferclean.store.samples import get_dataset, get_samples
from ferclean.store.workspace import Workspace
from pipelines import scale
from pipelines.heading import heading, write_figures
from pipelines.review_screen import Relay, Screen, Seen, screen, serving

PARTS = ("next", "burst", "cut", "killed")
CUT = 10.0
"""Seconds without a connection."""
Answer = tuple[str, str, str | None]
"""Face, action and label of a decision."""


def prepare(root: Path, *, rows: int, workspace: Path | None = None, progress: Progress = silent) -> None:
    """Make the workspace that is reviewed at `root`: of `rows` synthetic faces, or a copy of `workspace`."""
    if workspace is not None:
        shutil.copytree(workspace, root)
        lines = {}
    else:
        lines = scale.verbs(scale.make_files(root.parent, rows, progress=progress))
    for name, words in (lines | {"triage": ["triage", "--teaching-round", "0"]}).items():
        progress(name, 0, 1)
        if cli.run(["-w", str(root), "--quiet", *map(str, words)]) != 0:
            raise RuntimeError(f"{name} failed, see above")


def meanings(ws: Workspace) -> Callable[[str, str], Answer]:
    """(key, face) -> what the key says about it: K keeps, A is ambiguous, a digit names the class at its place."""
    classes = get_dataset(ws).classes
    samples = get_samples(ws)
    given = dict(zip(samples["sample_id"], samples["given_label"], strict=True))

    def means(key: str, face: str) -> Answer:
        if not key.isdigit():
            return face, {"k": "keep", "a": "ambiguous"}[key], None
        label = classes[int(key) - 1]
        return (face, "keep", None) if label == given[face] else (face, "relabel", label)

    return means


def account(seen: Sequence[Seen], decided: Sequence[Answer], means: Callable[[str, str], Answer]) -> dict[str, Any]:
    """What became of the keys: `seen` is what happened in the browser, `decided` what is stored, both in order."""
    keys = [told for told in seen if told.kind == "key"]
    meant = Counter(means(told.key, told.face) for told in keys if told.face is not None)
    missing = meant - Counter(decided)
    place = {face: number for number, face in enumerate(dict.fromkeys(told.face for told in seen))}
    faces = list(dict.fromkeys(face for face, _, _ in decided))
    places = [place.get(face, -1) for face in faces]
    gaps = [later.at - earlier.at for earlier, later in pairwise(keys)]
    return {
        "keys": len(keys),
        "without_a_face": len(keys) - meant.total(),
        "decisions": len(decided),
        "lost": missing.total(),
        "astray": len(decided) - (meant - missing).total(),
        "doubled": len(decided) - len(faces),
        "in_order": places == sorted(places),
        "ms_between_keys": _spread(gaps),
    }


def answers(log: pd.DataFrame) -> list[Answer]:
    """Rows of the log as answers, in their order."""
    columns = zip(log["sample_id"], log["action"], log["label"], strict=True)
    return [(face, action, label if isinstance(label, str) else None) for face, action, label in columns]


def waits(seen: Sequence[Seen], kind: str) -> list[float]:
    """Milliseconds from each key with a face to another face `seen` or `ready`, where one came before the next key."""
    found: list[float] = []
    key: Seen | None = None
    for told in seen:
        if told.kind == "key":
            key = told if told.face is not None else None
        elif key is not None and told.kind == kind and told.face not in (None, key.face):
            found.append(told.at - key.at)
            key = None
    return found


def run(
    root: Path,
    *,
    faces: int = 300,
    burst: int = 100,
    every: float = 0.1,
    look: float = 0.3,
    quiet: float = 20.0,
    parts: Sequence[str] = PARTS,
    browser: str | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """The figures of each part on the workspace at `root`, which takes the decisions."""
    ws = Workspace.open(root)
    means = meanings(ws)
    keys = ["k", "a", *(str(number) for number, _ in enumerate(get_dataset(ws).classes[:9], start=1))]
    result = heading("review_speed") | {
        "faces": len(get_samples(ws)), "every": every, "look": look, "quiet": quiet, "cores": os.cpu_count(),
        "load": list(os.getloadavg()),
    }  # fmt: skip
    for number, part in enumerate(parts):
        progress(part, number, len(parts))
        with serving(root, reviewer=part) as server:
            relay = Relay(server.port) if part == "cut" else None
            with screen(server, browser=browser, relay=relay) as here:
                before, third = server.cpu_seconds(), burst / 3 * every
                if part == "next":
                    here.go_through(_round(keys, faces), look=look)
                elif relay is not None:
                    here.burst(_round(keys, burst), every=every,
                               events=[(third, relay.cut), (third + CUT, relay.mend)])  # fmt: skip
                else:
                    events = [(third, server.kill_and_start)] if part == "killed" else []
                    here.burst(_round(keys, burst), every=every, events=events)
                until_quiet(here, ws, quiet)
                used = server.cpu_seconds() - before
            if relay is not None:
                relay.close()
        log = decision_history(ws)
        told = account(here.seen, answers(log[log["reviewer"] == part]), means)
        if part != "killed" and told["decisions"]:  # there the process is another one
            told["server_ms_per_decision"] = 1000 * used / told["decisions"]
        if part == "next":  # in a burst the key before a face need not be the one that brought it
            told |= {f"ms_to_{kind}": _spread(waits(here.seen, kind)) for kind in ("seen", "ready")}
        result[part] = told
    return result | {"load_after": list(os.getloadavg())}


def until_quiet(here: Screen, ws: Workspace, seconds: float) -> None:
    """Press nothing until no decision has come for so long."""
    last, calm = newest_decision(ws), 0.0
    while calm < seconds:
        here.wait(1)
        newest = newest_decision(ws)
        calm = calm + 1 if newest == last else 0.0
        last = newest


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    shown = [part for part in PARTS if part in result]
    lines = [
        f"{result['faces']:,} faces, {result['version']}, {result['date']}, {result['cores']} cores, load "
        f"{result['load'][0]:.1f} to {result['load_after'][0]:.1f}", "",
    ]  # fmt: skip
    if "next" in result:
        lines += ["| ms from a key to | n | median | p95 | max |", "|---|---|---|---|---|"]
        for kind, words in (("seen", "the next face on the screen"), ("ready", "all of it drawn, keys count again")):
            found = result["next"][f"ms_to_{kind}"]
            figures = " | ".join(_ms(found[name]) for name in ("median", "p95", "max"))
            lines.append(f"| {words} | {found['n']} | {figures} |")
        lines.append("")
    lines += [
        "| part | keys | ms apart: median, max | decisions | lost | astray | doubled | in order | server ms each |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for part in shown:
        told = result[part]
        gaps = told["ms_between_keys"]
        cells = [
            part, told["keys"], f"{_ms(gaps['median'])}, {_ms(gaps['max'])}",
            *(told[name] for name in ("decisions", "lost", "astray", "doubled")),
            "yes" if told["in_order"] else "no", _ms(told.get("server_ms_per_decision")),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def flawless(result: dict[str, Any]) -> bool:
    """Whether nothing is lost, astray, doubled or out of order in any part."""
    told = [result[part] for part in PARTS if part in result]
    return all(one["in_order"] and not any(one[name] for name in ("lost", "astray", "doubled")) for one in told)


def _round(keys: Sequence[str], count: int) -> list[str]:
    return list(islice(cycle(keys), count))


def _spread(values: Sequence[float]) -> dict[str, float | int | None]:
    """n, median, 95th percentile and the largest; None where there is no value."""
    if not values:
        return {"n": 0, "median": None, "p95": None, "max": None}
    median, p95 = np.quantile(values, [0.5, 0.95])
    return {"n": len(values), "median": float(median), "p95": float(p95), "max": float(max(values))}


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 when anything is lost, astray, doubled or out of order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=12_000, help="synthetic faces in the workspace")
    parser.add_argument("--workspace", type=Path, help="a scored workspace to copy instead; it is left as it is")
    parser.add_argument("--faces", type=int, default=300, help="keys of the first part, one after another")
    parser.add_argument("--burst", type=int, default=100, help="keys of each other part")
    parser.add_argument("--every", type=float, default=100, help="ms between these")
    parser.add_argument("--look", type=float, default=0.3, help="seconds that a face of the first part is looked at")
    parser.add_argument("--quiet", type=float, default=20, help="seconds without a decision after which all is over")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--browser", help="path of a Chromium; default what is on PATH, or Playwright's own")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)

    def said(description: str, done: int, total: int) -> None:
        print(f"{description} ({done:,} of {total:,})", flush=True)

    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "W"
        prepare(root, rows=options.rows, workspace=options.workspace, progress=said)
        result = run(
            root, faces=options.faces, burst=options.burst, every=options.every / 1000, look=options.look,
            quiet=options.quiet, parts=options.parts, browser=options.browser, progress=said,
        )  # fmt: skip
    print(table(result))
    if options.json is not None:
        write_figures(options.json, result)
    return int(not flawless(result))


if __name__ == "__main__":
    raise SystemExit(main())
