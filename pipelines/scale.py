"""What does each step cost at 3,000, 12,000, 300,000 rows? Synthetic faces with two scored runs, one row per step.

Every verb runs as a user calls it, in a process of its own; what a screen and a single decision cost is measured in a
process that has served one before. Several source trees are measured one after another on the same files.

    python -m pipelines.scale --rows 3000,12000 --tree . --tree ../before --json FILE
    python -m pipelines.scale --rows 1000000 --arrays-only --json FILE
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ferclean.progress import Progress, silent
from pipelines.heading import write_figures

CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
SIDE, DIMENSIONS, FOLDS = 48, 128, 4
WRONG, COPIES = 0.15, 0.01
"""Shares of wrong labels, and of images that are near copies (mirrored or a little noisy) of the one before."""
DECISIONS = 20
ASKED, NEAREST = 2000, 50
"""Rows whose neighbours are compared with those of a plain search among all, and how many each has."""
PEAK = "peak memory in KB: "
LAUNCHER = f"""
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:])
_, state, used = os.wait4(child.pid, 0)
print({PEAK!r}, used.ru_maxrss, sep="", file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(state))
"""
"""Runs a command. What a process took before it became another program counts as the other's peak, and what starts the
verbs has just drawn the faces: so something small lies between."""
SEARCHES = """
import json, sys, time
import numpy as np
try:
    from ferclean.evidence import splits
    from ferclean.evidence.signals import nearest
    from ferclean.parts.pixels import blocks_of
except ImportError:  # a tree before there were such rooms
    print("null")
    sys.exit()
if sys.argv[1] == "neighbours":
    with np.load(sys.argv[2]) as made:
        embedding, fold = made["embedding"], made["fold"]
    started = time.perf_counter()
    found = nearest.find(embedding, k=int(sys.argv[4]), fold=fold)
    told = {"seconds": time.perf_counter() - started}
    vectors = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    asked = np.random.default_rng(0).choice(len(vectors), min(int(sys.argv[3]), len(vectors)), replace=False)
    shares = []
    for row in asked:
        cosine = np.where(fold == fold[row], vectors @ vectors[row], -np.inf)
        cosine[row] = -np.inf
        places = min(int(sys.argv[4]), int(np.isfinite(cosine).sum()))
        if places:
            # as near as the last of the true ones is as good, up to the digits that the search tells apart
            there = found.at[row][found.at[row] >= 0]
            shares.append((cosine[there] >= np.partition(cosine, -places)[-places] - 1e-5).sum() / places)
    told["recall"] = float(np.mean(shares))
else:
    from pathlib import Path
    from ferclean.recognition import images
    from ferclean.store.workspace import Workspace
    from ferclean.store.samples import get_samples
    ws = Workspace.open(Path(sys.argv[2]))
    small = np.concatenate([images.thumbnails(p) for p in blocks_of(ws, get_samples(ws), size=48, channels=1)])
    started = time.perf_counter()
    pairs, _ = splits.near_duplicate_pairs(small)
    mirrored, _ = splits.near_duplicate_pairs(small, mirrored=images.mirrored(small))
    told = {"seconds": time.perf_counter() - started, "pairs": len(pairs) + len(mirrored)}
print(json.dumps(told))
"""
"""The two searches by themselves: the neighbours of one run with their recall, and copies among the first look. null
where a tree has no such room."""
INSIDE = """
import importlib, json, sys, time, tracemalloc
from pathlib import Path
from ferclean.steps.decide import decide
from ferclean.store.workspace import Workspace
try:
    desk = importlib.import_module("ferclean.review.desk")
except ModuleNotFoundError:
    desk = importlib.import_module("ferclean.steps.desk")  # where trees before the second storey keep it
ws, count = Workspace.open(Path(sys.argv[1])), int(sys.argv[2])
times = []
for number in range(count + 1):
    started = time.perf_counter()
    decide(ws, f"face-{number:07d}", "keep", reviewer="scale")
    times.append(time.perf_counter() - started)
desk.open_desk(ws, reviewer="warm")
started = time.perf_counter()
desk.open_desk(ws, reviewer="scale")
seconds = time.perf_counter() - started
tracemalloc.start()  # only now: it makes everything slow
tab = desk.open_desk(ws, reviewer="scale")
held, _ = tracemalloc.get_traced_memory()
print(json.dumps({"decision": sorted(times[1:])[count // 2], "desk": seconds, "tab_mb": held / 2**20}))
"""
"""The first decision and the first desk pay for the imports, and are not counted. `tab_mb`: what one more desk holds,
in MB."""


def make_files(folder: Path, rows: int, *, seed: int = 0, progress: Progress = silent) -> list[Path]:
    """`faces.parquet` (key, png, label, split) and two files of out-of-fold probabilities with embeddings.

    A face is its class's pattern under noise; a recognizer is right in about two thirds of the faces. In parts, so that
    no more than a part lies in memory as pictures.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    true = rng.integers(0, len(CLASSES), rows)
    given = np.where(rng.random(rows) < WRONG, rng.integers(0, len(CLASSES), rows), true)
    key = [f"face-{row:07d}" for row in range(rows)]
    pattern = rng.integers(60, 190, (len(CLASSES), SIDE // 4, SIDE // 4)).repeat(4, 1).repeat(4, 2)
    faces, writer = folder / "faces.parquet", None
    last = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for start in range(0, rows, 20_000):
        stop = min(start + 20_000, rows)
        coded = []
        for row in range(start, stop):
            if rng.random() < COPIES:
                last = last[:, ::-1] if row % 2 else (last // 2 * 2)
            else:
                coarse = rng.integers(-50, 51, (SIDE // 4, SIDE // 4)).repeat(4, 0).repeat(4, 1)
                last = (pattern[true[row]] + coarse).clip(0, 255).astype(np.uint8)
            buffer = BytesIO()
            Image.fromarray(np.ascontiguousarray(last)).save(buffer, "PNG")
            coded.append(buffer.getvalue())
        part = pa.table(
            {
                "key": key[start:stop], "png": coded, "label": [CLASSES[k] for k in given[start:stop]],
                "split": ["train"] * (stop - start),
            }
        )  # fmt: skip
        writer = writer or pq.ParquetWriter(faces, part.schema)
        writer.write_table(part)
        progress("drawing", stop, rows)
    if writer is not None:
        writer.close()
    made = [faces]
    for name in ("one", "two"):
        centre = rng.normal(size=(len(CLASSES), DIMENSIONS)).astype(np.float32)
        embedding = centre[true] + 1.5 * rng.normal(size=(rows, DIMENSIONS)).astype(np.float32)
        logits = 1.5 * rng.normal(size=(rows, len(CLASSES)))
        logits[np.arange(rows), true] += 2
        probs = np.exp(logits)
        made.append(folder / f"{name}.npz")
        np.savez(
            made[-1], source_key=np.array(key), pred_probs=probs / probs.sum(1, keepdims=True),
            classes=np.array(CLASSES), fold=rng.integers(0, FOLDS, rows), embedding=embedding,
        )  # fmt: skip
    return made


def verbs(files: Sequence[Path]) -> dict[str, list[str | Path]]:
    """The command lines, without `ferclean -w W`, that make a workspace of `make_files`' `files`, scored twice."""
    faces, one, two = files
    return {
        "ingest": [
            "ingest", "table", faces, "--classes", ",".join(CLASSES), "--image-column", "png",
            "--label-column", "label", "--split-column", "split", "--key-column", "key",
        ],
        "import one run": ["score", "--from-file", one, "--name", "one"],
        "import another": ["score", "--from-file", two, "--name", "two"],
    }  # fmt: skip


def measure(
    tree: Path, files: Sequence[Path], root: Path, *, arrays_only: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """The version of the source tree `tree`, and seconds and peak memory (MB) of each step on a workspace `root`.

    With `arrays_only` the set is ingested, two runs are taken as arrays, judged, and decided about; nothing else.
    """
    one = files[1]
    environment = os.environ | {"PYTHONPATH": str(tree.resolve())}
    told: dict[str, Any] = {}

    def run(name: str, *words: str | Path, code: str = "from ferclean.cli import main; main()") -> str:
        progress(name, len(told), 9 if arrays_only else 15)
        started = time.perf_counter()
        child = subprocess.run(
            [sys.executable, "-c", LAUNCHER, sys.executable, "-c", code, *map(str, words)],
            env=environment, cwd=tree, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said, _, used = child.stderr.rpartition(PEAK)
        # doctor ends with 3 where it has findings
        if child.returncode not in (0, 3):
            raise RuntimeError(f"{name} of {tree} failed: {said[-2000:]}")
        told[name] = {"seconds": time.perf_counter() - started, "peak_mb": int(used) / 1024}
        return child.stdout

    at = ("-w", root, "--quiet")
    version = "from ferclean.store.version import code_version; print(code_version())"
    told["version"] = run("start", code=version).strip()
    made = verbs(files)
    run("ingest", *at, *made.pop("ingest"))
    if not arrays_only:
        run("doctor", *at, "doctor")
        for name, about in (("near copies alone", root.resolve()), ("neighbours of a run alone", one.resolve())):
            what = name.removesuffix(" alone").removesuffix(" of a run")
            found = json.loads(run(name, what, about, str(ASKED), str(NEAREST), code=SEARCHES).splitlines()[-1])
            told[name] = None if found is None else told[name] | found  # its seconds, without the start of the process
    for name, words in made.items():
        run(name, *at, *words)
    run("triage", *at, "triage")
    run("status", *at, "status")
    inside = json.loads(run("decision and desk", root.resolve(), str(DECISIONS), code=INSIDE).splitlines()[-1])
    told |= {
        "one decision": {"seconds": inside["decision"]},
        "desk, warm": {"seconds": inside["desk"], "tab_mb": inside["tab_mb"]},
    }
    if arrays_only:
        return told
    run("release", *at, "release", "v1", "--policy", "auto")
    run("export table", *at, "export", "--form", "table", "--release", "v1", "--out", root / "out.parquet")
    run("report", *at, "report")
    return told


def table(result: dict[str, Any]) -> str:
    """The result in Markdown: seconds, peak memory in MB, and what else was measured."""
    columns = [(rows, found) for rows, trees in result["measured"].items() for found in trees]
    lines = ["| step | " + " | ".join(f"{int(rows):,} rows, {found['version']}" for rows, found in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    lines += [
        f"| {step} | " + " | ".join(_cell(found[step]) for _, found in columns) + " |"
        for step in columns[0][1] if step != "version"
    ]  # fmt: skip
    return "\n".join(lines)


def _cell(found: dict[str, float] | None) -> str:
    if found is None:
        return "–"
    told = {"peak_mb": "{:,.0f} MB", "tab_mb": "{:,.0f} MB a tab", "recall": "recall {:.4f}", "pairs": "{:,} pairs"}
    more = [form.format(found[name]) for name, form in told.items() if name in found]
    return ", ".join([f"{found['seconds']:.2f} s", *more])


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="3000,12000", help="numbers of rows, separated by commas")
    parser.add_argument("--tree", type=Path, action="append", help="source trees to measure; default the one here")
    parser.add_argument("--folder", type=Path, help="where files and workspaces lie; default a temporary folder")
    parser.add_argument("--arrays-only", action="store_true", help="ingest, take arrays, judge and decide; no more")
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    options = parser.parse_args(argv)
    trees = options.tree or [Path(__file__).parent.parent]
    measured: dict[str, list[dict[str, Any]]] = {}

    def said(description: str, done: int, total: int) -> None:
        print(f"{description} ({done:,} of {total:,})", flush=True)

    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for rows in options.rows.split(","):
            folder = Path(name) / rows
            folder.mkdir()
            files = make_files(folder, int(rows), progress=said)
            measured[rows] = [
                measure(tree, files, folder / f"W{number}", arrays_only=options.arrays_only, progress=said)
                for number, tree in enumerate(trees)
            ]
        # before the folder goes: a million images take minutes to remove
        result = {
            "schema": 1, "pipeline": "scale", "date": datetime.now(UTC).strftime("%Y-%m-%d"), "cores": os.cpu_count(),
            "arrays_only": options.arrays_only, "measured": measured,
        }  # fmt: skip
        write_figures(options.json, result)
    print(table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
