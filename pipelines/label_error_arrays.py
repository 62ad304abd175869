"""Human label errors and public out-of-fold probabilities: rankings, calibration and the estimated error rate.

Reads arrays only (no images, no training). The true errors serve the measuring half and nothing else.

    python pipelines/label_error_arrays.py --data DIR --json FILE
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.evidence import measures
from ferclean.evidence.compat.baselines import baseline_scores
from ferclean.evidence.signals.label_signals import logit_margin
from ferclean.evidence.verdict import calibration
from ferclean.evidence.verdict.belief import Faces
from ferclean.evidence.verdict.verdicts import judge
from pipelines.heading import heading

CIFAR = "cifar-10n-aggregate.npz"
PREFIX = "pred_probs_"


def run(data: Path) -> dict[str, Any]:
    """Every model of the file by itself and their mean. Returns the whole JSON object."""
    with np.load(data / CIFAR, allow_pickle=False) as arrays:
        given = arrays["given_label"].astype(np.int64)
        error = arrays["label_error"].astype(bool)
        models = {name.removeprefix(PREFIX): arrays[name] for name in arrays.files if name.startswith(PREFIX)}
    models["mean_of_all"] = np.mean([_normalised(probs) for probs in models.values()], axis=0)
    return heading("label_error_arrays") | {
        "file": CIFAR,
        "n": len(given),
        "true_error_rate": round(float(error.mean()), 4),
        "models": {name: figures(given, _normalised(probs), error) for name, probs in models.items()},
    }


def figures(given: np.ndarray, pred_probs: np.ndarray, error: np.ndarray) -> dict[str, Any]:
    """AUROC and AUPRC beside the published scores, calibration of p_mislabelled, and the estimated error rate."""
    judged = judge(Faces(labels=given, pred_probs=pred_probs))
    published = baseline_scores(given, pred_probs) | {"logit_margin": logit_margin(labels=given, pred_probs=pred_probs)}
    rate = calibration.error_rate_interval(given, pred_probs)
    own = measures.auprc(judged.label_quality, error)
    others = {name: measures.auprc(score, error) for name, score in published.items()}
    return {
        "auprc": round(own, 5),
        "auroc": round(measures.auroc(judged.label_quality, error), 5),
        "auprc_published": {name: round(value, 5) for name, value in others.items()},
        "at_least_best_published": bool(own >= max(others.values())),
        "calibration_error": round(calibration.expected_calibration_error(judged.p_mislabelled, error), 4),
        "brier": round(calibration.brier(judged.p_mislabelled, error), 4),
        "brier_of_base_rate": round(float(error.mean() * (1 - error.mean())), 4),
        "estimated_error_rate": {
            "estimate": round(rate.estimate, 4),
            "low": round(rate.low, 4),
            "high": round(rate.high, 4),
            "contains_truth": bool(rate.low <= error.mean() <= rate.high),
        },
    }


def _normalised(pred_probs: np.ndarray) -> np.ndarray:
    """Stored as float32: rows sum to 1 only up to its rounding."""
    probs = np.asarray(pred_probs, dtype=np.float64)
    return np.asarray(probs / probs.sum(1, keepdims=True))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Human label errors in CIFAR-10N, from public out-of-fold arrays.")
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {CIFAR}")
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    options = parser.parse_args()
    result = run(options.data)
    options.json.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", "utf-8")
    for name, found in result["models"].items():
        rate = found["estimated_error_rate"]
        print(
            f"{name:30s} AUPRC {found['auprc']:.4f} (best published {max(found['auprc_published'].values()):.4f})  "
            f"calibration {found['calibration_error']:.3f}  "
            f"errors {100 * rate['low']:.1f} to {100 * rate['high']:.1f} %"
        )


if __name__ == "__main__":
    main()
