"""What does each step cost at 3,000, 12,000, 300,000 rows? Synthetic faces with two scored runs, one row per step.

Every verb runs as a user calls it, in a process of its own; what a screen and a single decision cost is measured in a
process that has served one before. Several source trees are measured one after another on the same files.

    python -m pipelines.scale --rows 3000,12000 --tree . --tree ../before --json FILE
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

CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
SIDE, DIMENSIONS, FOLDS = 48, 128, 4
WRONG, COPIES = 0.15, 0.01
"""Shares of wrong labels, and of images that are near copies (mirrored or a little noisy) of the one before."""
DECISIONS = 20
INSIDE = """
import importlib, json, resource, sys, time
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
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
held = desk.open_desk(ws, reviewer="scale")
seconds = time.perf_counter() - started
print(json.dumps({"decision": sorted(times[1:])[count // 2], "desk": seconds}))
"""
"""The first decision and the first desk pay for the imports, and are not counted."""


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


def measure(tree: Path, files: Sequence[Path], root: Path, *, progress: Progress = silent) -> dict[str, Any]:
    """The version of the source tree `tree`, and seconds and peak memory (MB) of each step on a workspace `root`."""
    faces, one, two = files
    environment = os.environ | {"PYTHONPATH": str(tree.resolve())}
    told: dict[str, Any] = {}

    def run(name: str, *words: str | Path, code: str = "from ferclean.cli import main; main()") -> str:
        progress(name, len(told), 12)
        started = time.perf_counter()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            child = subprocess.Popen(
                [sys.executable, "-c", code, *map(str, words)], env=environment, stdout=out, stderr=errors, cwd=tree
            )
            _, state, used = os.wait4(child.pid, 0)
            told[name] = {"seconds": time.perf_counter() - started, "peak_mb": used.ru_maxrss / 1024}
            out.seek(0), errors.seek(0)
            child.returncode = os.waitstatus_to_exitcode(state)
            # doctor ends with 3 where it has findings
            if child.returncode not in (0, 3):
                raise RuntimeError(f"{name} of {tree} failed: {errors.read().decode()[-2000:]}")
            return out.read().decode()

    at = ("-w", root, "--quiet")
    version = "from ferclean.store.version import code_version; print(code_version())"
    told["version"] = run("start", code=version).strip()
    run(
        "ingest", *at, "ingest", "table", faces, "--classes", ",".join(CLASSES), "--image-column", "png",
        "--label-column", "label", "--split-column", "split", "--key-column", "key",
    )  # fmt: skip
    run("doctor", *at, "doctor")
    run("import one run", *at, "score", "--from-file", one, "--name", "one")
    run("import another", *at, "score", "--from-file", two, "--name", "two")
    run("triage", *at, "triage")
    run("status", *at, "status")
    inside = json.loads(run("decision and desk", root.resolve(), str(DECISIONS), code=INSIDE).splitlines()[-1])
    told |= {"one decision": {"seconds": inside["decision"]}, "desk, warm": {"seconds": inside["desk"]}}
    run("release", *at, "release", "v1", "--policy", "auto")
    run("export table", *at, "export", "--form", "table", "--release", "v1", "--out", root / "out.parquet")
    run("report", *at, "report")
    return told


def table(result: dict[str, Any]) -> str:
    """The result in Markdown: seconds, and peak memory in MB."""
    columns = [(rows, found) for rows, trees in result["measured"].items() for found in trees]
    lines = ["| step | " + " | ".join(f"{int(rows):,} rows, {found['version']}" for rows, found in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    lines += [
        f"| {step} | " + " | ".join(_cell(found[step]) for _, found in columns) + " |"
        for step in columns[0][1] if step != "version"
    ]  # fmt: skip
    return "\n".join(lines)


def _cell(found: dict[str, float]) -> str:
    peak = f", {found['peak_mb']:,.0f} MB" if "peak_mb" in found else ""
    return f"{found['seconds']:.2f} s{peak}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="3000,12000", help="numbers of rows, separated by commas")
    parser.add_argument("--tree", type=Path, action="append", help="source trees to measure; default the one here")
    parser.add_argument("--folder", type=Path, help="where files and workspaces lie; default a temporary folder")
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
                measure(tree, files, folder / f"W{number}", progress=said) for number, tree in enumerate(trees)
            ]
    result = {
        "schema": 1, "pipeline": "scale", "date": datetime.now(UTC).strftime("%Y-%m-%d"), "cores": os.cpu_count(),
        "measured": measured,
    }  # fmt: skip
    options.json.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", "utf-8")
    print(table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
