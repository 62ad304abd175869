"""How fast and how frugal is `ferclean.find_label_issues` beside cleanlab's, on the same arrays, with the same flags?

Each run is a process of its own that loads the arrays and then measures; nothing here touches a workspace.

    python pipelines/issues_speed.py --rows 10000000 --classes 7 --json FILE
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

SIDES = ("ferclean", "cleanlab")
WRONG = 0.15
"""Share of planted errors."""


def make(folder: Path, rows: int, classes: int, dtype: str, seed: int) -> None:
    """Write labels.npy (N,) int64 with planted errors and pred_probs.npy (N, K) of a recognizer of middling skill."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, rows)
    labels = np.where(rng.random(rows) < WRONG, (true + rng.integers(1, classes, rows)) % classes, true)
    probs = np.lib.format.open_memmap(folder / "pred_probs.npy", mode="w+", dtype=dtype, shape=(rows, classes))
    for start in range(0, rows, 100_000):
        part = slice(start, min(start + 100_000, rows))
        logits = 1.5 * rng.normal(size=(part.stop - start, classes))
        logits[np.arange(len(logits)), true[part]] += 3.0
        powers = np.exp(logits)
        probs[part] = powers / powers.sum(1, keepdims=True)
    probs.flush()
    np.save(folder / "labels.npy", labels)


def peak_mib(*, reset: bool = False) -> float:
    """The highest resident memory of this process in MiB, since its start or the last reset (Linux).

    Not `ru_maxrss`: that begins with the peak of the process that started this one. What cleanlab's worker processes
    hold besides is in neither figure.
    """
    if reset:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def measure(side: str, folder: Path, n_jobs: int | None) -> dict[str, Any]:
    """Seconds, the peak of resident memory above the loaded arrays in MiB, and a digest of the flags, of one call."""
    if side == "cleanlab":
        from cleanlab.filter import find_label_issues as find
    else:
        from ferclean.evidence.compat.issues import find_label_issues as find
    labels, probs = np.load(folder / "labels.npy"), np.load(folder / "pred_probs.npy")
    small = slice(0, 1000)
    find(labels[small], probs[small], n_jobs=1)  # late imports are not what is measured
    before = peak_mib(reset=True)
    start = time.perf_counter()
    flags = find(labels, probs, n_jobs=n_jobs)
    seconds = time.perf_counter() - start
    peak = peak_mib() - before
    digest = hashlib.sha256(np.packbits(flags).tobytes()).hexdigest()
    return {"seconds": seconds, "peak_mib": peak, "flags": int(flags.sum()), "digest": digest}


def compare(rows: int, classes: int, dtype: str, *, repeats: int, seed: int, n_jobs: int | None) -> dict[str, Any]:
    """Alternate both sides on one drawn set; ratios are ferclean's median over cleanlab's, low = better."""
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), rows, classes, dtype, seed)
        for _ in range(repeats):
            for side in SIDES:
                command = [sys.executable, __file__, "--side", side, "--folder", folder]
                command += [] if n_jobs is None else ["--n-jobs", str(n_jobs)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                runs[side].append(json.loads(done.stdout))
    middle = {
        side: {key: statistics.median(run[key] for run in runs[side]) for key in ("seconds", "peak_mib")}
        for side in SIDES
    }
    return {
        "dtype": dtype,
        "array_mib": rows * classes * np.dtype(dtype).itemsize / 2**20,
        "median": middle,
        "seconds_ratio": middle["ferclean"]["seconds"] / middle["cleanlab"]["seconds"],
        "peak_ratio": middle["ferclean"]["peak_mib"] / middle["cleanlab"]["peak_mib"],
        "same_flags": len({run["digest"] for side in SIDES for run in runs[side]}) == 1,
        "runs": runs,
    }


def main() -> None:
    """Read the arguments, compare, print JSON and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=7)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--n-jobs", type=int, help="cleanlab's processes; its own default when left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.side:
        print(json.dumps(measure(told.side, told.folder, told.n_jobs)))
        return
    sets = [
        compare(told.rows, told.classes, dtype, repeats=told.repeats, seed=told.seed, n_jobs=told.n_jobs)
        for dtype in told.dtypes
    ]
    result = {
        "schema": 1,
        "rows": told.rows,
        "classes": told.classes,
        "n_jobs": told.n_jobs,
        "versions": {name: version(name) for name in ("ferclean", "cleanlab", "numpy")}
        | {"machine": platform.machine()},
        "sets": sets,
    }
    text = json.dumps(result, indent=2)
    if told.json:
        told.json.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
