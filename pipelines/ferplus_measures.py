"""What the FERPlus votes say about FER2013's labels, and figures measured with them.

Part of `fer2013_ferplus.py`: nothing here feeds back into scoring or triage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import UsageError
from ferclean.evidence import measures
from ferclean.evidence.compat.baselines import baseline_scores
from ferclean.evidence.verdict.verdicts import judge
from ferclean.parts.copies import faces_seen
from ferclean.parts.gathering import gather
from ferclean.steps.triage import TriageSummary
from ferclean.store import scores
from ferclean.store.runs import Run
from ferclean.store.workspace import Workspace

SHARED = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
MIN_VOTES, MIN_SHARE = 5, 0.6


def read_truth(path: Path) -> pd.DataFrame:
    """Per source_key: majority (canonical name, missing without a unique one), clear, ambiguous, dup_group.

    Shares are over the seven shared classes; clear = at least five such votes and a unique majority of at least 60 %;
    ambiguous = no label, contempt included, has half of all ten votes; share_<class> of the seven, NaN without votes;
    non_face = at least three people say that this is no face.
    """
    votes = pd.read_parquet(path)
    counts = votes[[f"v_{name}" for name in SHARED]].to_numpy(float)
    every = votes[[name for name in votes.columns if name.startswith("v_")]].to_numpy(float)
    total = counts.sum(1)
    top = counts.max(1)
    unique = (counts == top[:, None]).sum(1) == 1
    share = np.divide(top, total, out=np.zeros_like(top), where=total > 0)
    shares = np.divide(counts, total[:, None], out=np.full_like(counts, np.nan), where=total[:, None] > 0)
    named = every[:, [not name.endswith(("unknown", "NF")) for name in votes.columns if name.startswith("v_")]]
    return pd.DataFrame(
        {
            "source_key": votes["index"].astype(str),
            "majority": np.where(unique & (total > 0), np.array(SHARED, dtype=object)[counts.argmax(1)], None),
            "clear": unique & (total >= MIN_VOTES) & (share >= MIN_SHARE),
            "very_clear": unique & (total >= MIN_VOTES) & (share >= 0.8),
            "ambiguous": named.max(1) < 0.5 * every.sum(1),
            "half": unique & (top >= 0.5 * every.sum(1)),
            "no_face": (every.sum(1) - named.sum(1)) > 0.5 * every.sum(1),
            "non_face": votes["v_NF"] >= 3,
            "dup_group": votes["dup_group"],
            **{f"share_{name}": shares[:, k] for k, name in enumerate(SHARED)},
        }
    )


def non_faces(ws: Workspace, judged: pd.DataFrame) -> dict[str, Any]:
    """How well images that show no face are told from faces, on all, even and odd groups: AUROC of the verdict's
    p_unusable and of the detector alone; None where there are none."""
    truth = judged["non_face"].to_numpy(bool)
    even = judged["dup_group"].to_numpy() % 2 == 0
    faces = {
        "p_unusable": 1 - judged["p_unusable"].to_numpy(float),
        "detector_alone": faces_seen(ws, list(judged["sample_id"])),
    }
    return {
        name: {"n": int(rows.sum()), "non_faces": int(truth[rows].sum())}
        | {
            f"auroc_{key}": round(measures.auroc(value[rows], truth[rows]), 4) if truth[rows].any() else None
            for key, value in faces.items()
        }
        for name, rows in (("all", np.ones(len(truth), dtype=bool)), ("even_groups", even), ("odd_groups", ~even))
    }


def members(
    ws: Workspace,
    judged: pd.DataFrame,
    run_ids: list[str],
    *,
    own_methods: Sequence[str] = (),
    beside: Workspace | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Each recognizer by itself beside all together: ferclean's verdict and the plain margin, on odd groups.

    "own" are the profile's `own_methods`, where there are others too; "beside" is the whole ensemble of another
    workspace with the same faces. The verdict ranks by label quality: 1 - p_mislabelled where a face is usable.
    `seconds` of training add up what the runs say. `minus` of all together: how much more AUPRC than each of these, and
    than the plain recognizer's self-confidence; None without errors to find.
    """
    clear = judged["clear"].to_numpy(bool) & (judged["dup_group"].to_numpy() % 2 == 1)
    wrong = (judged["majority"] != judged["given_label"]).to_numpy(bool)[clear]
    groups = judged["dup_group"].to_numpy()[clear]
    ids = list(judged["sample_id"])
    parts = [_judged(ws, ids, [run_id]) for run_id in run_ids]
    sets = {f"{part.runs[0].method}, seed {part.runs[0].seed}": part for part in parts}
    several = len(run_ids) > 1 or beside is not None
    if several:
        together = _judged(ws, ids, run_ids)
        own = [run.run_id for run in together.runs if run.method in own_methods]
        if 0 < len(own) < len(run_ids):
            sets["own"] = _judged(ws, ids, own)
        if beside is not None:
            sets["beside"] = _judged(beside, ids, None)
            if (theirs := _settings(sets["beside"].runs)) != (ours := _settings(together.runs)):
                raise UsageError(f"{beside.root} was scored with {theirs}, {ws.root} with {ours}")
        sets["all together"] = together
    found: dict[str, Any] = {
        name: {
            "recognizers": [f"{run.method}, seed {run.seed}" for run in part.runs],
            "seconds": round(sum(float(run.metrics.get("seconds", 0)) for run in part.runs), 1),
            "versions": sorted({run.code_version for run in part.runs}),
            "ferclean": ranking_figures(part.verdict[clear], wrong),
            "margin": ranking_figures(part.margin[clear], wrong),
        }
        for name, part in sets.items()
    }
    if several:
        others = {name: part.verdict for name, part in sets.items() if name != "all together"}
        others |= {
            f"self-confidence of {name}": part.self_confidence
            for name, part in sets.items()
            if [run.method for run in part.runs] == ["cross_entropy"] and name != "all together"
        }
        found["all together"]["minus"] = {
            name: auprc_gain(quality[clear], sets["all together"].verdict[clear], wrong, groups, seed=seed)
            for name, quality in others.items()
        }
    return found


def _settings(runs: list[Run]) -> dict[str, Any]:
    """What must be alike for two ensembles to be compared."""
    return {
        name: runs[0].config.get(name) for name in ("name", "epochs", "folds", "fold_seed", "input_size", "backbone")
    }


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """What some runs say, one entry per asked id; low = likely mislabelled."""

    runs: list[Run]
    verdict: np.ndarray
    margin: np.ndarray
    self_confidence: np.ndarray


def _judged(ws: Workspace, ids: list[str], run_ids: list[str] | None) -> _Judged:
    own = gather(ws, run_ids=run_ids)
    row = {sample_id: i for i, sample_id in enumerate(own.ids)}
    order = [row[sample_id] for sample_id in ids]
    verdict = judge(replace(own.faces(), recognizer_probs=None, judge_probs=None))
    plain = baseline_scores(own.given, own.pred_probs)
    return _Judged(
        runs=own.members,
        verdict=verdict.label_quality[order],
        margin=plain["cleanlab_normalized_margin"][order],
        self_confidence=plain["cleanlab_self_confidence"][order],
    )


def auprc_gain(
    a: np.ndarray, b: np.ndarray, wrong: np.ndarray, groups: np.ndarray, *, seed: int = 0, resamples: int = 1000
) -> dict[str, float] | None:
    """AUPRC of `b` minus that of `a`, (N,) label qualities of the same samples: mean and its 95 % interval low, high.

    None when no sample is `wrong`. A paired bootstrap over `groups` (N,) of copies: it covers the choice of faces and
    not that of seeds.

    >>> quality, wrong = np.array([0.1, 0.4, 0.8, 0.9]), np.array([True, True, False, False])
    >>> auprc_gain(quality, quality, wrong, np.arange(4), resamples=10)
    {'mean': 0.0, 'low': 0.0, 'high': 0.0}
    """
    if not wrong.any():
        return None
    rng = np.random.default_rng(seed)
    _, group = np.unique(groups, return_inverse=True)
    count = int(group.max()) + 1
    draws = []
    for _ in range(resamples):
        times = rng.multinomial(count, np.full(count, 1 / count))[group]
        rows = np.repeat(np.arange(len(group)), times)
        if wrong[rows].any():
            draws.append(measures.auprc(b[rows], wrong[rows]) - measures.auprc(a[rows], wrong[rows]))
    low, high = np.quantile(draws, [0.025, 0.975])
    mean = measures.auprc(b, wrong) - measures.auprc(a, wrong)
    return {name: round(float(value), 4) for name, value in (("mean", mean), ("low", low), ("high", high))}


def self_estimate(summary: TriageSummary, judged: pd.DataFrame) -> dict[str, Any]:
    """What triage expects of its queue beside what the votes say; wrong = a clear majority for another label."""
    wrong = (judged["clear"] & (judged["majority"] != judged["given_label"])).to_numpy(bool)
    in_queue = wrong[np.argsort(judged["rank"].to_numpy())]
    depths = []
    for row in summary.expected:
        hits = int(in_queue[: int(row["depth"])].sum())
        depths.append(row | {"true_precision": hits / row["depth"], "true_recall": hits / max(int(wrong.sum()), 1)})
    return {
        "estimated_error_rate": [summary.estimated_error_rate, *summary.error_rate_interval],
        "given_differs_from_majority": round(
            float((judged["majority"].notna() & (judged["majority"] != judged["given_label"])).mean()), 4
        ),
        "clear_errors": round(float(wrong.mean()), 4),
        "depths": [{name: round(float(value), 4) for name, value in row.items()} for row in depths],
    }


def ranking_figures(label_quality: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """AUROC, AUPRC, and precision in the first 100 and the first 10 % of the ranking."""
    return {
        "auroc": round(measures.auroc(label_quality, wrong), 4),
        "auprc": round(measures.auprc(label_quality, wrong), 4),
        "precision_at_100": round(measures.precision_at(label_quality, wrong, k=min(100, len(wrong))), 4),
        "precision_at_10_percent": round(measures.precision_at(label_quality, wrong, k=max(1, len(wrong) // 10)), 4),
    }


def mean_probabilities(ws: Workspace, run_ids: list[str], ids: list[str]) -> np.ndarray:
    """The same out-of-fold probabilities that ferclean read, (N, K), in the order of `ids`."""
    total: np.ndarray | float = 0.0
    for run_id in run_ids:
        stored = scores.get_predictions(ws, run_id)
        row = {sample_id: i for i, sample_id in enumerate(stored.sample_ids)}
        total = total + stored.pred_probs[[row[sample_id] for sample_id in ids]].astype(np.float64)
    return np.asarray(total) / len(run_ids)


def hog_floor(pixels: np.ndarray, given: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The outside floor: HOG, PCA and logistic regression, five folds grouped by duplicates, self-confidence (N,)."""
    from skimage.feature import hog
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = np.stack([hog(face, orientations=8, pixels_per_cell=(6, 6), cells_per_block=(2, 2)) for face in pixels])
    quality = np.zeros(len(given))
    for train, held_out in GroupKFold(5).split(features, given, groups):
        components = min(200, len(train) - 1)
        model = make_pipeline(
            PCA(components, random_state=0), StandardScaler(), LogisticRegression(C=0.02, max_iter=500)
        )
        model.fit(features[train], given[train])
        position = {int(label): i for i, label in enumerate(model.classes_)}
        probs = model.predict_proba(features[held_out])
        quality[held_out] = [
            row[position[int(label)]] if int(label) in position else 0.0
            for row, label in zip(probs, given[held_out], strict=True)
        ]
    return quality
