"""How well each ranking finds the errors that FERPlus's votes show: ferclean's and those of its peers.

Part of `fer2013_ferplus.py`: nothing here feeds back into scoring or triage.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean.evidence import labels as label_names
from ferclean.evidence import measures
from ferclean.evidence.compat.baselines import baseline_scores
from ferclean.evidence.signals.label_signals import confident_joint_membership
from ferclean.recognition import images as image_room
from ferclean.store import embeddings, runs, scores
from ferclean.store.workspace import Workspace
from pipelines.ferplus_measures import auprc_gain, hog_floor, mean_probabilities, ranking_figures
from pipelines.peer_scores import Space, flagged, peer_scores


def detection(
    ws: Workspace,
    judged: pd.DataFrame,
    classes: tuple[str, ...],
    data: Path,
    run_ids: list[str],
    plain_ids: list[str],
) -> dict[str, Any]:
    """How well each ranking finds the labels that a clear majority contradicts, on all, even and odd groups.

    Baselines read the plain recognizer's probabilities, embedding and training dynamics, and again
    (`*_on_all_methods`) those that ferclean reads. `flags`: what is called wrong, where a method says so.
    """
    given = label_names.encode(list(judged["given_label"]), classes)
    ids = list(judged["sample_id"])
    probs = mean_probabilities(ws, run_ids, ids)
    own = {
        "ferclean": judged["label_quality"].to_numpy(float),
        "ferclean_p_mislabelled": 1 - judged["p_mislabelled"].to_numpy(float),
    }
    rankings = dict(own)
    flags: dict[str, np.ndarray] = {}
    for suffix, members_read in (("", plain_ids), ("_on_all_methods", run_ids)):
        if suffix and plain_ids == run_ids:
            continue
        read = mean_probabilities(ws, members_read, ids)
        found_by = peers(ws, members_read, ids, given)
        rankings |= {f"{name}{suffix}": score for name, score in (baseline_scores(given, read) | found_by).items()}
        flags |= {f"{name}{suffix}": flagged(found_by[name]) for name in ("simifeat_vote", "simifeat_rank")}
        flags[f"cleanlab_filter{suffix}"] = confident_joint_membership(labels=given, pred_probs=read) == 0
    pixels = image_room.load_pixels(list(judged["path"]), size=48, channels=1)[:, 0]
    groups = judged["dup_group"].to_numpy()
    rankings["hog_logistic_regression"] = hog_floor(pixels, given, groups)

    clear = judged["clear"].to_numpy(bool)
    wrong = clear & (judged["majority"] != judged["given_label"]).to_numpy(bool)
    to_neutral = wrong & (judged["majority"] == "neutral").to_numpy(bool)
    subsets = {
        "all": clear,
        "even_groups": clear & (groups % 2 == 0),
        "odd_groups": clear & (groups % 2 == 1),
        "all_without_errors_to_neutral": clear & ~to_neutral,
    }
    found: dict[str, Any] = {}
    for name, rows in subsets.items():
        found[name] = {
            "n": int(rows.sum()),
            "errors": int(wrong[rows].sum()),
            "error_rate": round(float(wrong[rows].mean()), 4),
            "rankings": {key: ranking_figures(quality[rows], wrong[rows]) for key, quality in rankings.items()},
            "flags": {key: flag_figures(flag[rows], wrong[rows]) for key, flag in flags.items()},
        }
    for suffix in ("", "_on_all_methods"):
        odd = subsets["odd_groups"]
        theirs = {key: quality for key, quality in rankings.items() if key.endswith("_on_all_methods") == bool(suffix)}
        found["odd_groups"][f"minus_best_peer{suffix}"] = minus_best(
            own["ferclean"][odd],
            {key: quality[odd] for key, quality in theirs.items() if key not in own},
            wrong[odd],
            groups[odd],
        )
    ambiguous = judged["ambiguous"].to_numpy(bool)
    found["ambiguity"] = {
        "n": len(judged),
        "ambiguous": int(ambiguous.sum()),
        # undefined when every face, or none, is ambiguous
        "auroc_p_ambiguous": (
            round(measures.auroc(1 - judged["p_ambiguous"].to_numpy(float), ambiguous), 4)
            if 0 < ambiguous.sum() < len(judged)
            else None
        ),
        "share_in_top_500": {
            key: round(float(ambiguous[np.argsort(quality, kind="stable")[:500]].mean()), 4)
            for key, quality in rankings.items()
        },
    }
    found["accuracy_of_out_of_fold_predictions"] = {
        "on_given_labels": round(float((probs.argmax(1) == given).mean()), 4),
        "on_clear_majorities": round(
            float((np.array(classes, dtype=object)[probs.argmax(1)] == judged["majority"].to_numpy())[clear].mean()),
            4,
        ),
    }
    return found


def minus_best(
    own: np.ndarray, peers: Mapping[str, np.ndarray], wrong: np.ndarray, groups: np.ndarray
) -> dict[str, Any] | None:
    """How much more AUPRC `own` has than the best of `peers`: its name, mean and 95 % interval as in `auprc_gain`.

    None without a peer or without errors. The best is chosen by the same faces, which favours the peers.
    """
    if not peers or not wrong.any():
        return None
    best = max(sorted(peers), key=lambda name: measures.auprc(peers[name], wrong))
    return {"peer": best} | (auprc_gain(peers[best], own, wrong, groups) or {})


def peers(ws: Workspace, run_ids: list[str], ids: list[str], given: np.ndarray) -> dict[str, np.ndarray]:
    """`peer_scores` of the embeddings, probabilities and training dynamics that some runs stored, in `ids`' order."""
    spaces, dynamics = [], []
    for run_id in run_ids:
        own, embedding = embeddings.read_embeddings(ws, run_id)
        row = {sample_id: i for i, sample_id in enumerate(own)}
        order = [row[sample_id] for sample_id in ids]
        stored = scores.get_predictions(ws, run_id)
        at = {sample_id: i for i, sample_id in enumerate(stored.sample_ids)}
        fold = stored.fold[[at[sample_id] for sample_id in ids]]
        run = runs.get_run(ws, run_id)
        shared = run is not None and run.metrics.get("shared_space")
        spaces.append(Space(embedding=embedding[order], fold=np.zeros_like(fold) if shared else fold))
        signals = scores.get_signals(ws, run_id).loc[ids]
        dynamics.append({name: signals[name].to_numpy(float) for name in ("aum", "mean_confidence")})
    return peer_scores(given, mean_probabilities(ws, run_ids, ids), spaces, dynamics)


def flag_figures(flag: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """What share is flagged (N,), precision, recall and F1 of it; 0 where nothing is flagged or wrong."""
    hits = float((flag & wrong).sum())
    flags, errors = float(flag.sum()), float(wrong.sum())
    return {
        "flagged": round(float(flag.mean()), 4),
        "precision": round(hits / max(flags, 1.0), 4),
        "recall": round(hits / max(errors, 1.0), 4),
        "f1": round(2 * hits / max(flags + errors, 1.0), 4),
    }
