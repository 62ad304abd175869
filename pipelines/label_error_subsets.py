"""Small sets and labels that fit no class: rankings and error-rate intervals on subsets of the public arrays.

Reads arrays only. Every file and model whole, in subsets, and in subsets with one class taken out of the vocabulary
(rows given it left out, its column dropped, rows renormalised; its images that stay fit no class and are wrong). The
truth serves the measuring half and nothing else.

    python pipelines/label_error_subsets.py --data DIR [--subsets 20] [--rows 2800] --json FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.evidence import measures
from ferclean.evidence.signals.label_signals import logit_margin, probability_margin, self_confidence
from ferclean.evidence.verdict.belief import Faces
from ferclean.evidence.verdict.verdicts import judge
from pipelines.heading import heading, write_figures

AGGREGATE, WORST = "cifar-10n-aggregate.npz", "cifar-10n-worst.npz"
PREFIX = "pred_probs_"
KINDS = ("whole", "subset", "class taken out")
NO_CLASS = -1


def run(data: Path, *, subsets: int = 20, rows: int = 2800) -> dict[str, Any]:
    """Both files, every model, every kind. Returns the whole JSON object."""
    with np.load(data / WORST, allow_pickle=False) as arrays:
        true_of = dict(zip(arrays["image_path"].tolist(), arrays["true_label"].tolist(), strict=True))
    found = []
    for file in (AGGREGATE, WORST):
        with np.load(data / file, allow_pickle=False) as arrays:
            given = arrays["given_label"].astype(np.int64)
            true = np.array([true_of[path] for path in arrays["image_path"].tolist()])
            models = {name.removeprefix(PREFIX): arrays[name] for name in arrays.files if name.startswith(PREFIX)}
        for model, pred_probs in models.items():
            for kind in KINDS:
                sets = [
                    figures(*chosen(given, pred_probs, true, kind=kind, rows=rows, seed=seed))
                    for seed in range(1 if kind == "whole" else subsets)
                ]
                found.append({"file": file, "model": model, "kind": kind, **summary(sets)})
    return heading("label_error_subsets") | {
        "subsets": subsets,
        "rows": rows,
        "found": found,
    }


def chosen(
    given: np.ndarray, pred_probs: np.ndarray, true: np.ndarray, *, kind: str, rows: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities and wrong labels (N,) bool of one set of a `kind`; class `seed` modulo K is taken out."""
    probs = np.asarray(pred_probs, dtype=np.float64)
    keep = np.arange(len(given))
    if kind == KINDS[2]:
        out = seed % probs.shape[1]
        keep, probs = np.flatnonzero(given != out), np.delete(probs, out, axis=1)
        given, true = given - (given > out), np.where(true == out, NO_CLASS, true - (true > out))
    if kind != KINDS[0]:
        keep = np.random.default_rng(seed).choice(keep, min(rows, len(keep)), replace=False)
    probs = probs[keep]
    return given[keep], probs / probs.sum(1, keepdims=True), given[keep] != true[keep]


def figures(given: np.ndarray, pred_probs: np.ndarray, error: np.ndarray) -> dict[str, Any]:
    """AUPRC of the verdict and of three plain scores, and the interval of the error rate beside the true one."""
    judged = judge(Faces(labels=given, pred_probs=pred_probs))
    plain = [
        score(labels=given, pred_probs=pred_probs) for score in (self_confidence, probability_margin, logit_margin)
    ]
    rate = judged.error_rate
    return {
        "error_rate": float(error.mean()),
        "estimate": rate.estimate,
        "covered": bool(rate.low <= error.mean() <= rate.high),
        "width": rate.high - rate.low,
        "auprc": measures.auprc(judged.label_quality, error),
        "plain": [measures.auprc(score, error) for score in plain],
    }


def summary(sets: list[dict[str, Any]]) -> dict[str, Any]:
    """Over the sets of one kind: mean AUPRC, that of the plain score with the best mean, coverage, median width."""
    return {
        "sets": len(sets),
        "error_rate": round(float(np.mean([one["error_rate"] for one in sets])), 4),
        "estimate": round(float(np.mean([one["estimate"] for one in sets])), 4),
        "auprc": round(float(np.mean([one["auprc"] for one in sets])), 5),
        "auprc_best_plain": round(float(np.mean([one["plain"] for one in sets], axis=0).max()), 5),
        "covered": sum(one["covered"] for one in sets),
        "median_width": round(float(np.median([one["width"] for one in sets])), 4),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Rankings and error-rate intervals on subsets of CIFAR-10N's arrays.")
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {AGGREGATE} and {WORST}")
    parser.add_argument("--subsets", type=int, default=20)
    parser.add_argument("--rows", type=int, default=2800, help="rows of a subset")
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    options = parser.parse_args()
    result = run(options.data, subsets=options.subsets, rows=options.rows)
    write_figures(options.json, result)
    for row in result["found"]:
        print(
            f"{Path(row['file']).stem[10:]:9} {row['kind']:15} {row['model'][:14]:14} AUPRC {row['auprc']:.4f} "
            f"({row['auprc'] - row['auprc_best_plain']:+.4f} to the best plain score)  {100 * row['error_rate']:.1f} % "
            f"wrong, covered in {row['covered']} of {row['sets']}, {row['median_width']:.3f} wide"
        )


if __name__ == "__main__":
    main()
