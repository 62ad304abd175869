"""The whole journey on drawn faces with known truth: draw, ingest, score, triage, release, retrain, report.

Run it as `ferclean demo` or `python pipelines/demo.py --workspace DIR`. It reads the truth only to measure.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from ferclean import extras
from ferclean.errors import UsageError
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.sources.drawn_faces import drawing as drawn_faces
from ferclean.steps.ingest import ingest
from ferclean.steps.release import release
from ferclean.steps.report import report
from ferclean.steps.retrain import retrain
from ferclean.steps.score import score
from ferclean.steps.triage import triage
from ferclean.store import table, verdicts
from ferclean.store.releases import get_release_items
from ferclean.store.workspace import Workspace

PROFILE = "demo"
RELEASE = "auto"
SEEDS = 4
NO_EXPRESSION = ("ambiguous", "blank", "broken")
RETRAIN_EPOCHS = 8


def run(
    root: Path,
    *,
    faces: int = 1000,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> dict[str, Any]:
    """Go the whole way in workspace `root`; steps that are done for the same inputs are not done again.

    Returns samples, seconds, peak_rss_mb, found (per kind: planted, flagged, precision, recall), retrain, release,
    report and workspace.
    """
    extras.require("report", "the demo's report")  # told now, not after all else is done
    started = time.perf_counter()
    ws = Workspace.create(root)
    drawn = ws.root / "drawn_faces"
    settings: dict[str, Any] = {"train": faces, "test": faces // 2, "seed": seed}
    plan = drawn / "demo.json"
    if plan.exists() and json.loads(plan.read_text("utf-8")) != settings:
        raise UsageError(f"{ws.root} holds a demo with other settings; choose another folder with --workspace")
    if not plan.exists():
        drawn_faces.draw_set(drawn, **settings, progress=progress)
        plan.write_text(json.dumps(settings), "utf-8")
    ingest(ws, "drawn_faces", drawn, progress=progress)
    score(ws, profile=PROFILE, seed=seed, device=device, force=force, progress=progress, tell=tell)
    triage(ws, progress=progress)
    released = release(ws, RELEASE, policy="auto")
    gain = retrain(
        ws,
        release=RELEASE,
        profile=PROFILE,
        seeds=SEEDS,
        seed=seed,
        device=device,
        force=force,
        epochs=RETRAIN_EPOCHS,
        progress=progress,
        tell=tell,
    )
    truth = pd.read_parquet(drawn / "truth.parquet")
    found, mended = measure(ws, truth), what_became(ws, truth)
    page = report(ws, truth=[{"kind": kind, **row} for kind, row in found.items()], progress=progress)
    return {
        "samples": len(table.sample_table(ws)),
        "seconds": round(time.perf_counter() - started, 1),
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "found": found,
        "labels": mended,
        "in_short": in_short(mended, gain.difference),
        "retrain": gain.difference | {"accuracy": gain.accuracy},
        "release": released.path,
        "report": page.path,
        "workspace": str(ws.root),
    }


def measure(ws: Workspace, truth: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Compare verdicts with what was planted: per kind planted, flagged, hits, precision, recall (None = undefined).

    Only the scored split counts for mislabelled and ambiguous; files and copies count wherever they were planted.
    """
    whole = table.sample_table(ws).merge(truth[["source_key", "kind"]], on="source_key", how="left")
    scored = whole[whole["split"] == "train"]
    unreadable = whole["quarantine_reason"].notna()
    pairs = verdicts.get_pairs(ws)
    copies = set(pairs["sample_a"]) | set(pairs["sample_b"])
    originals = set(truth.loc[truth["kind"] == "duplicate", "duplicate_of"].dropna())
    is_copy = whole["sample_id"].isin(copies)
    copy_planted = (whole["kind"] == "duplicate") | whole["source_key"].isin(originals)
    blank_flag = (whole["verdict"] == "unusable") & ~unreadable
    return {
        "mislabelled": _row(scored["kind"] == "mislabelled", scored["verdict"] == "mislabelled"),
        "ambiguous": _row(scored["kind"] == "ambiguous", scored["verdict"] == "ambiguous"),
        "duplicate": _row(copy_planted, is_copy),
        "broken": _row(whole["kind"] == "broken", unreadable),
        "blank": _row(whole["kind"] == "blank", blank_flag),
    }


def what_became(ws: Workspace, truth: pd.DataFrame) -> dict[str, int]:
    """Of the training labels of faces that show one expression: how many there are, how many were `wrong`, how many of
    those the release `mended`, and how many right ones it `spoiled`."""
    items = get_release_items(ws, RELEASE).merge(table.sample_table(ws)[["sample_id", "source_key"]], on="sample_id")
    items = items.merge(truth[["source_key", "kind", "true_label"]], on="source_key")
    shown = items[(items["split"] == "train") & items["true_label"].notna() & ~items["kind"].isin(NO_EXPRESSION)]
    was, now = shown["given_label"] == shown["true_label"], shown["label"] == shown["true_label"]
    return {
        "faces": len(shown), "wrong": int((~was).sum()), "mended": int((~was & now).sum()),
        "spoiled": int((was & ~now).sum()),
    }  # fmt: skip


def in_short(labels: dict[str, int], difference: dict[str, Any]) -> str:
    """The demo in one sentence for someone who sees it for the first time."""
    told = f"{100 * difference['mean']:+.1f} points on faces that it never saw"
    return (
        f"Of {labels['faces']:,} labels {labels['wrong']} were wrong; with nobody's help {labels['mended']} of them "
        f"are now right and {labels['spoiled']} right ones became wrong; a recognizer trained on the new labels scores "
        f"{told}: {difference['verdict']}."
    )


def _row(planted: pd.Series, flagged: pd.Series) -> dict[str, Any]:
    hits = int((planted & flagged).sum())
    return {
        "planted": int(planted.sum()),
        "flagged": int(flagged.sum()),
        "hits": hits,
        "precision": round(hits / int(flagged.sum()), 4) if flagged.any() else None,
        "recall": round(hits / int(planted.sum()), 4) if planted.any() else None,
    }


def peak_rss_mb() -> float:
    """The most memory this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="The whole journey on drawn faces with planted errors.")
    parser.add_argument("--workspace", type=Path, default=Path("ferclean-demo"))
    parser.add_argument("--faces", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    result = run(options.workspace, faces=options.faces, seed=options.seed, device=options.device)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
