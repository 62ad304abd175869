"""Does ferclean know how good it is? Stated recall, precision and probabilities against the truth of drawn faces.

Labels go wrong as annotators go wrong (each label is the vote of one of ten), which the planting inside ferclean does
not know. The truth is read to measure and for nothing else.

    python pipelines/self_estimate.py --workspace DIR [--seeds 20] [--faces 1500] --json FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean.evidence import measures
from ferclean.evidence.verdict import calibration
from ferclean.progress import Progress, silent
from ferclean.sources.drawn_faces import drawing as drawn_faces
from ferclean.steps.ingest import ingest
from ferclean.steps.score import score
from ferclean.steps.triage import TriageSummary, triage
from ferclean.store import table
from ferclean.store.workspace import Workspace
from pipelines.heading import heading, write_figures

MECHANISM = "annotators"


def run(
    root: Path,
    *,
    seeds: int = 20,
    first_seed: int = 0,
    faces: int = 1500,
    profile: str = "demo",
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """One drawn set and workspace per seed under `root`; what is done there is not done again."""
    found = []
    for seed in range(first_seed, first_seed + seeds):
        progress("drawn sets", seed - first_seed, seeds)
        ws = Workspace.create(root / f"{MECHANISM}-{seed}")
        drawn = ws.root / "drawn"
        if not (drawn / "drawn_faces.json").exists():
            drawn_faces.draw_set(drawn, train=faces, test=100, seed=seed, mechanism=MECHANISM)
        ingest(ws, "drawn_faces", drawn)
        score(ws, profile=profile, seed=seed, device=device)
        summary = triage(ws, teaching_round=0)  # the queue alone is stated and measured
        # --- from here on the truth is read
        found.append({"seed": seed} | measure(ws, summary, drawn_faces.read_truth(drawn)))
    progress("drawn sets", seeds, seeds)
    return heading("self_estimate") | {
        "mechanism": MECHANISM,
        "profile": profile,
        "faces": faces,
        "seeds": seeds,
        "depths": [_over_seeds(found, at) for at in range(len(found[0]["depths"]))],
        "mean": {
            name: round(float(np.mean([row[name] for row in found])), 4)
            for name, value in found[0].items()
            if isinstance(value, float)
        },
        "per_seed": found,
    }


def measure(ws: Workspace, summary: TriageSummary, truth: pd.DataFrame) -> dict[str, Any]:
    """Stated against true figures of one set. Wrong = the label differs from the likeliest one of a face on which
    people agree, planted copies under another label included.
    """
    judged = table.sample_table(ws)
    judged = judged[judged["p_mislabelled"].notna() & judged["quarantine_reason"].isna()]
    # the triage table names the verdict's kind, the truth its own
    merged = judged.merge(truth[["source_key", "kind", "true_label"]], on="source_key", suffixes=("", "_true"))
    kind = merged["kind"]
    differs = merged["true_label"].notna() & (merged["given_label"] != merged["true_label"])
    wrong = ((kind == "mislabelled") | ((kind == "duplicate") & differs)).to_numpy(bool)
    ambiguous = (kind == "ambiguous").to_numpy(bool)
    p = merged["p_mislabelled"].to_numpy(float)
    in_queue = wrong[np.argsort(merged["rank"].to_numpy())]
    depths = []
    for row in summary.expected:
        depth = int(row["depth"])
        hits = int(in_queue[:depth].sum())
        depths.append(
            {
                "depth": depth,
                "recall": hits / wrong.sum(),
                "stated_recall": [row["recall"], row["recall_low"], row["recall_high"]],
                "precision": hits / depth,
                "stated_precision": [row["precision"], row["precision_low"], row["precision_high"]],
            }
        )
    return {
        "samples": len(merged),
        "wrong": int(wrong.sum()),
        "flagged": summary.verdicts.get("mislabelled", 0),
        "error_rate": float(wrong.mean()),
        # what the estimated rate speaks of: ambiguous faces whose label is not the likeliest one count too
        "error_rate_with_ambiguous": float(differs.mean()),
        "estimated_error_rate": [summary.estimated_error_rate, *summary.error_rate_interval],
        "expected_share_of_mislabelled": float(p.mean()),
        "calibration_error": calibration.expected_calibration_error(p, wrong),
        "brier": calibration.brier(p, wrong),
        "brier_of_base_rate": float(wrong.mean() * (1 - wrong.mean())),
        "auprc": measures.auprc(1 - p, wrong),
        "auroc_p_ambiguous": measures.auroc(1 - merged["p_ambiguous"].to_numpy(float), ambiguous),
        "depths": depths,
    }


def _over_seeds(found: list[dict[str, Any]], at: int) -> dict[str, Any]:
    """Coverage of the stated intervals over all seeds at one depth, the same share of each set."""
    rows = [seed["depths"][at] for seed in found]
    row: dict[str, Any] = {"depth": round(float(np.mean([one["depth"] for one in rows])), 1)}
    for name in ("recall", "precision"):
        stated = np.array([one[f"stated_{name}"] for one in rows])
        true = np.array([one[name] for one in rows])
        row |= {
            name: round(float(true.mean()), 4),
            f"stated_{name}": round(float(stated[:, 0].mean()), 4),
            f"{name}_covered": int(((stated[:, 1] <= true) & (true <= stated[:, 2])).sum()),
            f"{name}_widest": round(float((stated[:, 2] - stated[:, 1]).max()), 4),
        }
    return row


def in_words(row: dict[str, Any], seeds: int) -> str:
    """What was stated about one depth of the queue, beside what was true."""
    return (
        f"first {row['depth']:7,.0f}: recall {row['recall']:.2f}, stated {row['stated_recall']:.2f}, covered in "
        f"{row['recall_covered']} of {seeds}, at most {row['recall_widest']:.2f} wide; precision "
        f"{row['precision']:.2f}, stated {row['stated_precision']:.2f}, covered in {row['precision_covered']}"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="What ferclean says about itself, measured on drawn faces.")
    parser.add_argument("--workspace", type=Path, required=True, help="folder for one workspace per seed")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--faces", type=int, default=1500)
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    options = parser.parse_args()
    result = run(
        options.workspace, seeds=options.seeds, first_seed=options.first_seed, faces=options.faces,
        profile=options.profile, device=options.device,
    )  # fmt: skip
    write_figures(options.json, result)
    for row in result["depths"]:
        print(in_words(row, result["seeds"]))
    print({name: value for name, value in result["mean"].items()})


if __name__ == "__main__":
    main()
