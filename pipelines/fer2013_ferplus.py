"""Real noise, real truth: score FER2013's original labels and compare with FERPlus's ten votes per face.

The set is ingested without votes; only this script's measuring half and its oracle arm read them.

    python pipelines/fer2013_ferplus.py --data DIR --workspace W [--profile quick] [--limit N] --json FILE

Several recognizers beside another ensemble, say all of them beside three seeds of the profile's own:

    python pipelines/fer2013_ferplus.py --data DIR --workspace SEEDS --score-seeds 3 --no-retrain --json FILE
    python pipelines/fer2013_ferplus.py --data DIR --workspace W --methods all --beside SEEDS --json FILE
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence import labels as label_names
from ferclean.evidence.comparison import paired_difference
from ferclean.evidence.compat.baselines import baseline_scores
from ferclean.parts.gathering import gather
from ferclean.parts.training_rows import copies_of
from ferclean.progress import Progress, silent
from ferclean.recognition import images as image_room
from ferclean.recognition.arms import Arm, compare_arms
from ferclean.recognition.methods.catalogue import METHODS
from ferclean.recognition.profiles import get_profile
from ferclean.sources import cards
from ferclean.steps.ingest import ingest
from ferclean.steps.release import THRESHOLD, release
from ferclean.steps.retrain import JOBS
from ferclean.steps.score import score
from ferclean.steps.triage import triage
from ferclean.store import releases, samples, table
from ferclean.store.workspace import Workspace
from pipelines.ferplus_detection import detection, peers
from pipelines.ferplus_measures import mean_probabilities, members, non_faces, read_truth, self_estimate
from pipelines.heading import heading, write_figures
from pipelines.simulated_reviewer import simulated_decisions

RELEASE = "auto"
PLAIN = "cross_entropy"


def run(
    data: Path,
    root: Path,
    *,
    profile: str = "quick",
    methods: list[str] | None = None,
    limit: int | None = None,
    score_seeds: int | None = None,
    beside: Path | None = None,
    seeds: int = 3,
    seed: int = 0,
    device: str = "auto",
    retrain_arms: bool = True,
    retrain_method: str | None = None,
    threshold: float = THRESHOLD,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Ingest, score and triage without votes, then measure with them. Returns the whole JSON object.

    `beside` is the workspace of another run of this pipeline, on the same faces, that the ensemble is compared with.

    Raises UsageError when `beside` has other faces or labels.
    """
    ws = Workspace.create(root)
    other = None if beside is None else Workspace.open(beside)
    clock = time.perf_counter()
    # the development subset keeps its test images under PublicTest
    card = dataclasses.replace(
        cards.load_card("fer2013"), layout="table", splits={"Training": "train", "PublicTest": "test"}
    )
    ingest(
        ws, card, data / "images.parquet", image_column="png", label_column="orig_label", split_column="usage",
        key_column="index", limit=limit, seed=seed, progress=progress,
    )  # fmt: skip
    seconds = {"ingest": time.perf_counter() - clock}
    if other is not None and samples.fingerprint(other) != samples.fingerprint(ws):
        raise UsageError(f"{other.root} does not hold the same faces and labels as {ws.root}: take the same --limit")
    clock = time.perf_counter()
    scored = score(ws, profile=profile, methods=methods, seed=seed, seeds=score_seeds, device=device, progress=progress)
    seconds["score"] = time.perf_counter() - clock
    clock = time.perf_counter()
    # the ranked queue is measured, without the random faces that come before it
    summary = triage(ws, teaching_round=0, progress=progress)
    seconds["triage"] = time.perf_counter() - clock
    run_ids = [row["run_id"] for row in scored.runs]
    result: dict[str, Any] = heading("fer2013_ferplus") | {
        "device": describe_device(device),
        "profile": profile,
        "methods": sorted({row["method"] for row in scored.runs}),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "score_runs_reused": scored.reused,
        "peak_rss_mb": round(peak_rss_mb(), 1),
    }

    # --- from here on the votes are read: nothing below feeds back into scoring or triage
    truth = read_truth(data / "votes.parquet")
    judged = table.sample_table(ws)
    judged = judged[judged["label_quality"].notna()].merge(truth, on="source_key", how="left")
    classes = samples.get_dataset(ws).classes
    # what a user without ferclean would read; where it was not trained, the members' mean stands in and is named so
    plain_ids = [row["run_id"] for row in scored.runs if row["method"] == PLAIN] or run_ids
    result["baselines_read"] = PLAIN if plain_ids != run_ids or result["methods"] == [PLAIN] else "mean of all methods"
    result["detection"] = detection(ws, judged, classes, data, run_ids, plain_ids)
    result["non_faces"] = non_faces(ws, judged)
    result["self_estimate"] = self_estimate(summary, judged)
    result["members"] = members(ws, judged, run_ids, own_methods=get_profile(profile).methods, beside=other, seed=seed)
    found = gather(ws)
    others = baseline_scores(found.given, mean_probabilities(ws, plain_ids, found.ids))
    others |= peers(ws, plain_ids, found.ids, found.given)
    result["decisions"] = simulated_decisions(found, classes, truth, others)
    if len(found.judge_probs):
        result["decisions_with_judges"] = simulated_decisions(found, classes, truth, others, judges=found.judge_probs)
    if retrain_arms:
        clock = time.perf_counter()
        release(ws, RELEASE, policy="auto", threshold=threshold)
        result["retraining"] = retraining(
            ws, truth, profile, method=retrain_method, seeds=seeds, seed=seed, device=device, progress=progress
        )
        result["retraining"]["auto_threshold"] = threshold
        result["seconds"]["retraining"] = round(time.perf_counter() - clock, 1)
    return result


def retraining(
    ws: Workspace,
    truth: pd.DataFrame,
    profile: str,
    *,
    method: str | None,
    seeds: int,
    seed: int,
    device: str,
    progress: Progress,
) -> dict[str, Any]:
    """Accuracy on the test images against the votes, trained on given labels, the auto release, and the oracle."""
    chosen = get_profile(profile, methods=[method] if method else None, seeds=1)
    classes = samples.get_dataset(ws).classes
    frame = samples.get_samples(ws).merge(truth, on="source_key", how="left")
    items = releases.get_release_items(ws, RELEASE).set_index("sample_id").loc[list(frame["sample_id"])]
    pixels = image_room.load_pixels(list(frame["path"]), size=chosen.input_size, channels=chosen.channels)
    is_test = (frame["split"] == "test").to_numpy()
    groups = frame["dup_group"].to_numpy()
    copies = ~is_test & (np.isin(groups, groups[is_test]) | copies_of(pixels, list(frame["content_hash"]), is_test))
    test_rows = np.flatnonzero(is_test & frame["clear"].to_numpy(bool))
    if not len(test_rows):
        raise BadDataError("no test image has a clear majority; take a larger --limit")
    given = label_names.encode(list(frame["given_label"]), classes)
    majority = label_names.encode(list(frame["majority"]), classes)
    usable = ~is_test & ~copies & (given >= 0)
    kept = usable & items["included"].to_numpy(bool)
    oracle = np.where(majority >= 0, majority, given)
    cleaned = label_names.encode(list(items["label"]), classes)
    arms = {
        "given": Arm(np.flatnonzero(usable), given[usable]),
        "auto": Arm(np.flatnonzero(kept), cleaned[kept]),
        "oracle": Arm(np.flatnonzero(usable), oracle[usable]),
    }
    hits = compare_arms(
        arms, pixels, test_rows, majority[test_rows],
        classes=classes, profile=chosen, seeds=range(seed, seed + seeds), device=device, jobs=ws.runs / JOBS,
        progress=progress,
    ).hits  # fmt: skip
    return {
        "measured_against": "clear majorities of the votes on the test images",
        "method": chosen.methods[0],
        "seeds": seeds,
        "test_images": len(test_rows),
        "left_out_copies_of_test": int(copies.sum()),
        "train_images": {name: len(arm.rows) for name, arm in arms.items()},
        "labels_changed": {
            "auto": int((kept & (cleaned != given)).sum()),
            "oracle": int((usable & (oracle != given)).sum()),
        },
        "accuracy": {
            name: {
                "per_seed": [round(float(v), 4) for v in hit.mean(1)],
                "mean": round(float(hit.mean()), 4),
                "sd": round(float(hit.mean(1).std(ddof=1)), 4) if seeds > 1 else None,
            }
            for name, hit in hits.items()
        },
        "auto_minus_given": paired_difference(hits["given"], hits["auto"]).as_dict(),
        "oracle_minus_given": paired_difference(hits["given"], hits["oracle"]).as_dict(),
        "note": "the test rows' given labels carry the same noise, so the votes are the measure here",
    }


def describe_device(device: str) -> str:
    """The device's name, as it goes into a results table."""
    from ferclean.recognition.devices import describe

    return f"{describe(device)} ({platform.machine()})"


def peak_rss_mb() -> float:
    """The most memory this process has held, in MB."""
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Label errors in FER2013, measured with FERPlus's votes.")
    parser.add_argument("--data", type=Path, required=True, help="folder with images.parquet and votes.parquet")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--methods", help="recognizers, comma-separated, or all")
    parser.add_argument("--limit", type=int, help="take at most this many images")
    parser.add_argument("--score-seeds", type=int, help="seeds of each recognizer; default the profile's")
    parser.add_argument("--beside", type=Path, help="a workspace of this pipeline to compare the ensemble with")
    parser.add_argument("--seeds", type=int, default=3, help="paired seeds of the retraining arms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--retrain-method", help="recognizer of the retraining arms; default the profile's first")
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD, help="P(suggested label) from which auto corrects"
    )
    parser.add_argument("--no-retrain", action="store_true", help="measure detection only")
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    options = parser.parse_args()
    methods = list(METHODS) if options.methods == "all" else options.methods.split(",") if options.methods else None
    result = run(
        options.data, options.workspace, profile=options.profile, methods=methods, limit=options.limit,
        score_seeds=options.score_seeds, beside=options.beside, seeds=options.seeds, seed=options.seed,
        device=options.device, retrain_arms=not options.no_retrain, retrain_method=options.retrain_method,
        threshold=options.threshold,
    )  # fmt: skip
    write_figures(options.json, result)
    figures = result["detection"]["all"]["rankings"]
    for name, row in sorted(figures.items(), key=lambda item: -item[1]["auroc"]):
        print(
            f"{name:32} AUROC {row['auroc']:.3f}  AUPRC {row['auprc']:.3f}  P@10% {row['precision_at_10_percent']:.3f}"
        )


if __name__ == "__main__":
    main()
