"""How fast are pictures taken in? `ferclean ingest` beside a plain script that reads, hashes, decodes, scales and
stores the same pictures, in one run.

    python -m pipelines.ingest_speed --rows 100000 --json FILE

The pictures are 100 px JPEGs of seven classes in a folder (train/<class>/). The script does what must be done and
looks at nothing else: SHA-256 of the bytes, the upright RGB picture, its grey levels' spread, 48 px grey, one table in
DuckDB and one array file; in as many threads. Each runs in a process of its own, `--rounds` times in turn, on files
that were read once before. Pictures a second and peak memory; `share` is ferclean's rate over the script's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ferclean.progress import Progress, silent
from pipelines.heading import heading, write_figures
from pipelines.scale import CLASSES, LAUNCHER, PEAK

SIDE = 100
PLAIN = """
import hashlib, io, os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import duckdb
import numpy as np
import pyarrow as pa
from PIL import Image, ImageOps

root, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir()

def one(path):
    data = path.read_bytes()
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    grey = image.convert("L")
    spread = float(np.asarray(grey, dtype=np.float32).std() / 255)
    small = np.asarray(grey.resize((48, 48), Image.Resampling.BILINEAR))
    label, split = path.parent.name, path.parent.parent.name
    return path.name, split, label, hashlib.sha256(data).hexdigest(), image.width, image.height, spread, small

with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
    found = list(pool.map(one, sorted(root.rglob("*.jpg"))))
np.save(out / "pixels.npy", np.stack([row[-1] for row in found]))
names = ("name", "split", "label", "sha256", "width", "height", "spread")
faces = pa.table({name: [row[at] for row in found] for at, name in enumerate(names)})
duckdb.connect(str(out / "faces.duckdb")).execute("CREATE TABLE face AS SELECT * FROM faces")
"""
"""The plain script: folder of pictures, folder of results."""


def make_pictures(folder: Path, rows: int, *, seed: int = 0, progress: Progress = silent) -> None:
    """Write `rows` pictures below `folder`/train/<class>/: a class's pattern under noise."""
    rng = np.random.default_rng(seed)
    pattern = rng.integers(60, 190, (len(CLASSES), SIDE // 10, SIDE // 10, 3)).repeat(10, 1).repeat(10, 2)
    for name in CLASSES:
        (folder / "train" / name).mkdir(parents=True)
    for row in range(rows):
        of = row % len(CLASSES)
        noisy = np.clip(pattern[of] + rng.normal(0, 20, (SIDE, SIDE, 1)), 0, 255).astype(np.uint8)
        coded = BytesIO()
        Image.fromarray(noisy).save(coded, "JPEG", quality=90)
        (folder / "train" / CLASSES[of] / f"face_{row:07d}.jpg").write_bytes(coded.getvalue())
        if row % 5000 == 0:
            progress("drawing", row, rows)


def timed(words: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of a command. Raises RuntimeError, with what it said, where it fails."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", LAUNCHER, *words], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:4])} failed: {done.stderr[-2000:]}")
    return seconds, int(done.stderr.rsplit(PEAK, 1)[1].split()[0]) / 1024


def run(folder: Path, *, rows: int, rounds: int, progress: Progress = silent) -> dict[str, Any]:
    """Both in turn, `rounds` times each, below `folder`."""
    pictures, load = folder / "set", os.getloadavg()
    make_pictures(pictures, rows, progress=progress)
    for path in sorted(pictures.rglob("*.jpg")):
        path.read_bytes()
    found: dict[str, list[tuple[float, float]]] = {"script": [], "ferclean": []}
    for number in range(rounds):
        progress("taking in", number, rounds)
        out, ws = folder / f"plain{number}", folder / f"W{number}"
        found["script"].append(timed([sys.executable, "-c", PLAIN, str(pictures), str(out)]))
        verb = ["-w", str(ws), "--quiet", "ingest", "image_folder", str(pictures)]
        found["ferclean"].append(timed([sys.executable, "-c", "from ferclean.cli import main; main()", *verb]))
        shutil.rmtree(out)
        shutil.rmtree(ws)
    seconds = {name: [one for one, _ in measured] for name, measured in found.items()}
    return heading("ingest_speed") | {
        "pictures": rows, "side": SIDE, "cores": os.cpu_count(), "load": load, "load_after": os.getloadavg(),
        "seconds": seconds, "peak_mb": {name: max(peak for _, peak in measured) for name, measured in found.items()},
        "share": [a / b for a, b in zip(seconds["script"], seconds["ferclean"], strict=True)],
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    lines = [
        f"{result['pictures']:,} pictures of {result['side']} px, {result['version']}, {result['date']}, "
        f"{result['cores']} cores, load {result['load'][0]:.1f} to {result['load_after'][0]:.1f}", "",
        "| | seconds | pictures a second | peak |", "|---|---|---|---|",
    ]  # fmt: skip
    for name, seconds in result["seconds"].items():
        rate = result["pictures"] / np.mean(seconds)
        told = ", ".join(f"{one:.0f}" for one in seconds)
        lines.append(f"| {name} | {told} | {rate:,.0f} | {result['peak_mb'][name]:,.0f} MB |")
    return "\n".join([*lines, "", f"share of the script's rate: {', '.join(f'{one:.2f}' for one in result['share'])}"])


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="pictures that are taken in")
    parser.add_argument("--rounds", type=int, default=3, help="times that each takes them in")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        result = run(Path(name), rows=options.rows, rounds=options.rounds)
    print(table(result))
    if options.json:
        write_figures(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
