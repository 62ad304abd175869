"""A reviewer who says what the votes say: what decisions on a random sample teach, measured on the rest.

Part of `fer2013_ferplus.py`; nothing is written to the workspace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ferclean.evidence import calibration, measures, queueing
from ferclean.evidence import labels as label_names
from ferclean.evidence.verdicts import Verdicts, judge
from ferclean.steps.gathering import Gathered

COUNTS = (0, 100, 300)
TOP = 500


def simulated_decisions(
    found: Gathered,
    classes: Sequence[str],
    truth: pd.DataFrame,
    baselines: Mapping[str, np.ndarray],
    *,
    draws: int = 20,
) -> dict[str, Any]:
    """What 0, 100 and 300 decisions on a random sample teach, on the undecided rest of the odd duplicate groups.

    The reviewer keeps or relabels where a label has half of all ten votes, excludes where most saw no face, and says
    ambiguous otherwise. Once of a random sample, and once of the beginning of the queue. Means over `draws` with
    standard deviations. `baselines`: what others say without decisions, (N,) each, low = likely mislabelled, with
    `cleanlab_normalized_margin` among them. Rankings are measured on odd groups, probabilities and the top 500 on all
    rows.
    """
    keys = found.everything.set_index("sample_id").loc[found.ids, "source_key"].to_numpy()
    rows = truth.set_index("source_key").loc[keys]
    given = np.array(classes, dtype=object)[found.given]
    majority = rows["majority"].to_numpy(object)
    clear = rows["clear"].to_numpy(bool)
    wrong = clear & (majority != given)
    ambiguous = rows["ambiguous"].to_numpy(bool)
    odd = rows["dup_group"].to_numpy() % 2 == 1
    settled = np.where(rows["half"], np.where(majority == given, "keep", "relabel"), "ambiguous")
    said = np.where(rows["no_face"], "exclude", settled)
    said_label = np.where(said == "relabel", label_names.encode(list(majority), classes), -1)
    shares = rows[[f"share_{name}" for name in classes]].to_numpy(float)
    margin = np.argsort(baselines["cleanlab_normalized_margin"], kind="stable")[:TOP]
    result: dict[str, Any] = {
        "draws": draws,
        "base_rate_brier": round(float(wrong.mean() * (1 - wrong.mean())), 4),
        "margin_top_500": _top(margin, ambiguous, wrong),
        "soft_label_brier": {"raw_probabilities": soft_brier(found.pred_probs, shares)},
    }
    first = judge(
        found.given, found.pred_probs, found.signals, around=found.around, unusable=found.unusable,
        duplicates=found.groups,
    )  # fmt: skip
    for way, count in [("random", count) for count in COUNTS] + [("queue", count) for count in COUNTS[1:]]:
        figures = []
        for draw in range(draws if count else 1):
            decided = np.full(len(said), "", dtype="<U9")
            chosen, weight = _chosen(first, len(said), min(count, len(said)), way=way, seed=draw)
            decided[chosen] = said[chosen]
            judged = judge(
                found.given, found.pred_probs, found.signals, around=found.around, unusable=found.unusable,
                duplicates=found.groups, decided=decided if count else None, decided_label=said_label,
                decided_weight=weight,
            )  # fmt: skip
            undecided = decided == ""
            one = {
                "auroc_p_ambiguous": _auroc(1 - judged.p_ambiguous[odd], ambiguous[odd]),
                "calibration_error_p_ambiguous": calibration.expected_calibration_error(judged.p_ambiguous, ambiguous),
                "calibration_error": calibration.expected_calibration_error(judged.p_mislabelled, wrong),
                "brier": calibration.brier(judged.p_mislabelled, wrong),
                "soft_label_brier": soft_brier(judged.soft_label, shares),
                "stated_gain": judged.taught["mislabelled"].gain if count else 0.0,
            }
            if undecided.any():  # a set of a few hundred may be decided altogether
                top = _top(_flagged(judged, undecided), ambiguous, wrong)
                one |= {f"{name}_in_top_500": value for name, value in top.items()}
            rest = clear & odd & undecided
            for name, which in (("", rest), ("_without_neutral", rest & ~(wrong & (majority == "neutral")))):
                if wrong[which].any():
                    best = max(measures.auprc(score[which], wrong[which]) for score in baselines.values())
                    own = measures.auprc(judged.label_quality[which], wrong[which])
                    before = measures.auprc(first.label_quality[which], wrong[which])
                    one |= {
                        f"auprc{name}": own,
                        f"auprc_before{name}": before,
                        f"best_baseline{name}": best,
                        f"ratio{name}": own / best,
                    }
            figures.append(one)
        table = pd.DataFrame(figures)
        result[str(count) if way == "random" else f"{count} of the queue"] = {
            name: {"mean": round(float(table[name].mean()), 4), "sd": round(float(table[name].std(ddof=0)), 4)}
            for name in table
            if table[name].notna().all()  # undefined where no face, or every one, is ambiguous
        }
    return result


def soft_brier(soft: np.ndarray, shares: np.ndarray) -> float:
    """Mean squared distance (summed over classes) of soft labels from the votes' shares, (N, K); NaN rows left out."""
    voted = np.isfinite(shares).all(1)
    return round(float(((soft[voted] - shares[voted]) ** 2).sum(1).mean()), 4)


def _chosen(first: Verdicts, rows: int, count: int, *, way: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The decided rows, and every row's weight: drawn at random, or the queue's first ones as triage mixes them."""
    if way == "random":
        return np.random.default_rng(seed).choice(rows, count, replace=False), np.ones(rows)
    rank, drawn, _ = queueing.mixed_order(np.argsort(first.rank), seed=seed)
    chosen = np.argsort(rank)[:count]
    picked = int((~drawn[chosen]).sum())
    # as triage weighs them: the drawn ones stand for all that nobody chose
    weight = np.where(drawn, (rows - picked) / max(count - picked, 1), 1.0)
    return chosen, weight


def _flagged(judged: Verdicts, undecided: np.ndarray) -> np.ndarray:
    """The first undecided rows of the queue."""
    order = np.argsort(judged.rank)
    return order[undecided[order]][:TOP]


def _top(rows: np.ndarray, ambiguous: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    return {"ambiguous": round(float(ambiguous[rows].mean()), 4), "clear_errors": round(float(wrong[rows].mean()), 4)}


def _auroc(quality: np.ndarray, event: np.ndarray) -> float:
    """NaN where every face, or none, is one."""
    return measures.auroc(quality, event) if 0 < event.sum() < len(event) else float("nan")
