"""Turn stored signals into verdicts and a ranked queue; cheap, so thresholds can change without scoring again.

It trains nothing and reads no image, no vote and no test label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import FercleanError
from ferclean.evidence import calibration, neighbours, queueing
from ferclean.evidence import labels as label_names
from ferclean.evidence import signals as signal_room
from ferclean.evidence import splits as split_room
from ferclean.evidence import verdicts as judging
from ferclean.progress import Progress, silent
from ferclean.recognition import images as image_room
from ferclean.store import decisions, embeddings, runs, samples, scores, verdicts
from ferclean.store.runs import Run
from ferclean.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class TriageSummary:
    """How many samples got which verdict, the estimated share of wrong labels, and the most frequent corrections."""

    run_id: str
    score_runs: list[str]
    samples: int
    verdicts: dict[str, int]
    estimated_error_rate: float
    flows: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def triage(
    ws: Workspace,
    *,
    mislabelled_at: float | None = None,
    ambiguous_at: float | None = None,
    random_share: float = queueing.RANDOM_SHARE,
    progress: Progress = silent,
) -> TriageSummary:
    """Judge every scored sample from the newest runs of each method and seed.

    The members' out-of-fold probabilities are averaged (an ensemble's mean beats its mean member); signals that
    cannot be averaged as probabilities are averaged as ranks. Images that could not be read are judged unusable;
    rows whose label could not be read stay without a verdict. `mislabelled_at` and `ambiguous_at` are the
    probabilities from which a sample is flagged. `random_share` of the samples that nobody has decided about are
    drawn at random, whatever their score, and mixed into the queue; 0 ranks by score alone.

    Raises FercleanError when nothing has been scored since the labels were ingested.
    """
    members = current_score_runs(ws)
    dataset = samples.get_dataset(ws)
    progress("judging", 0, 3)
    predictions = [scores.get_predictions(ws, run.run_id) for run in members]
    ids = predictions[0].sample_ids
    everything = samples.get_samples(ws, include_quarantined=True)
    frame = everything.set_index("sample_id").loc[list(ids)]
    given = label_names.encode(list(frame["given_label"]), dataset.classes)
    member_probs = np.stack([_aligned(p.sample_ids, p.pred_probs, ids) for p in predictions])
    pred_probs = member_probs.mean(0)
    pred_probs = pred_probs / pred_probs.sum(1, keepdims=True)
    groups = _groups(list(ids), frame, verdicts.get_pairs(ws))
    # two models need not share their folds
    folds = [_aligned(p.sample_ids, p.fold, ids).astype(np.int64) for p in predictions]
    signals, knn_shares = _signals(ws, members, ids, given, pred_probs, member_probs, folds, groups)

    progress("judging", 1, 3)
    thresholds = judging.Thresholds(
        **{
            name: value
            for name, value in {"mislabelled": mislabelled_at, "ambiguous": ambiguous_at}.items()
            if value is not None
        }
    )
    score_runs = [run.run_id for run in members]
    config = {
        "score_runs": score_runs, "weights": dict(judging.FUSION_WEIGHTS), "thresholds": asdict(thresholds),
        "random_share": random_share,
    }  # fmt: skip
    fingerprint = samples.fingerprint(ws, splits=members[0].config["splits"])
    epochs = members[0].config.get("epochs")  # a file of probabilities tells none
    judged = judging.judge(
        given,
        pred_probs,
        signals,
        knn_shares=knn_shares,
        unusable=np.array([image_room.is_blank(value) for value in frame["contrast"]], dtype=bool),
        thresholds=thresholds,
        class_names=dataset.classes,
        epochs=None if epochs is None else int(epochs),
    )
    table = _frame(ids, judged, dataset.classes)
    undecided = ~table["sample_id"].isin(decisions.current_decisions(ws)["sample_id"])
    table["rank"], table["drawn_at_random"], table["inclusion_probability"] = queueing.mixed_order(
        np.argsort(table["rank"].to_numpy()), share=random_share, eligible=undecided.to_numpy()
    )
    _mark_copies(table, everything, verdicts.get_pairs(ws), set(members[0].config["splits"]))
    table = pd.concat([table, _unreadable(everything, start=len(table), width=len(dataset.classes))], ignore_index=True)

    progress("judging", 2, 3)
    run_id = runs.start_run(ws, kind="triage", method="rank_fusion", config=config, seed=0, fingerprint=fingerprint)
    verdicts.put_verdicts(ws, run_id, table)
    counts = table["kind"].value_counts()
    summary = TriageSummary(
        run_id=run_id,
        score_runs=score_runs,
        samples=len(table),
        verdicts={str(kind): int(count) for kind, count in counts.items()},
        estimated_error_rate=float(calibration.estimated_error_rate(given, pred_probs)),
        flows=_flows(table, frame["given_label"]),
    )
    runs.finish_run(ws, run_id, summary.as_dict())
    progress("judging", 3, 3)
    return summary


def current_score_runs(ws: Workspace) -> list[Run]:
    """The newest finished run per method and seed, of the newest profile and splits, for the labels as they are now."""
    done = [run for run in runs.list_runs(ws) if run.kind == "score" and run.state == "done"]
    fresh = [run for run in done if run.fingerprint == samples.fingerprint(ws, splits=run.config["splits"])]
    if not fresh:
        raise FercleanError(
            "nothing to judge: no finished scoring for these labels"
            + (" (samples were added since); " if done else "; ")
            + "run `ferclean score` first"
        )
    newest = max(fresh, key=lambda run: run.finished_at or run.started_at)
    # other settings are another experiment: only methods and seeds of one kind make an ensemble
    own = {"methods", "method_options", "file"}
    same = [
        run
        for run in fresh
        if all(run.config.get(key) == newest.config.get(key) for key in (run.config.keys() | newest.config) - own)
    ]
    chosen: dict[tuple[str, int], Run] = {}
    for run in sorted(same, key=lambda run: run.finished_at or run.started_at):
        chosen[run.method, run.seed] = run
    return [chosen[key] for key in sorted(chosen)]


def _aligned(own: Sequence[str], values: np.ndarray, ids: Sequence[str]) -> np.ndarray:
    if list(own) == list(ids):
        return values.astype(np.float64)
    row = {sample_id: i for i, sample_id in enumerate(own)}
    return values[[row[sample_id] for sample_id in ids]].astype(np.float64)


def _signals(
    ws: Workspace,
    members: Sequence[Run],
    ids: Sequence[str],
    given: np.ndarray,
    pred_probs: np.ndarray,
    member_probs: np.ndarray,
    folds: Sequence[np.ndarray],
    groups: np.ndarray,
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Signals of the ensemble, and the mean class shares (N, K) among each sample's neighbours.

    The shares are None where no member has embeddings.
    """
    stored = [scores.get_signals(ws, run.run_id).loc[list(ids)] for run in members]
    signals: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(name for frame in stored for name in frame.columns):
        columns = [frame[name].to_numpy(float) for frame in stored if name in frame]
        signals[name] = columns[0] if len(columns) == 1 else np.mean([_ranks(column) for column in columns], axis=0)
    signals |= signal_room.compute_signals(
        {"labels": given, "pred_probs": pred_probs, "member_probs": member_probs if len(members) > 1 else None}
    )
    seeing = [(run, fold) for run, fold in zip(members, folds, strict=True) if _has_embeddings(run)]
    shares = np.zeros_like(pred_probs) if seeing else None
    for run, fold in seeing:
        own, embedding = embeddings.read_embeddings(ws, run.run_id)
        found = neighbours.neighbourhood(
            given, _aligned(own, embedding, ids), num_classes=pred_probs.shape[1], fold=fold, groups=groups
        )
        shares += np.nan_to_num(found.shares) / len(seeing)
    return signals, shares


def _has_embeddings(run: Run) -> bool:
    # our own recognizers always make them; a file of probabilities says whether it had any
    return bool(run.config.get("file", {"embedding": True})["embedding"])


def _groups(ids: list[str], frame: pd.DataFrame, pairs: pd.DataFrame) -> np.ndarray:
    """Which scored samples are copies of one another: (N,) group numbers."""
    row = {sample_id: i for i, sample_id in enumerate(ids)}
    inside = [
        (row[a], row[b]) for a, b in pairs[["sample_a", "sample_b"]].itertuples(index=False) if a in row and b in row
    ]
    index = np.array(inside, dtype=np.int64).reshape(-1, 2)
    return split_room.group_ids(len(ids), index, list(frame["content_hash"]))


def _ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return rankdata(values) / len(values)


def _frame(ids: Sequence[str], judged: judging.Verdicts, classes: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample_id": list(ids),
            "kind": judged.kind,
            "label_quality": judged.label_quality,
            "p_mislabelled": judged.p_mislabelled,
            "p_ambiguous": judged.p_ambiguous,
            "p_unusable": judged.p_unusable,
            "p_clean": judged.p_clean,
            "suggested_label": label_names.decode(judged.suggested_label, classes),
            "rank": judged.rank,
            "reasons": judged.reasons,
            "soft_label": list(judged.soft_label),
        }
    )


def _mark_copies(table: pd.DataFrame, everything: pd.DataFrame, pairs: pd.DataFrame, scored: set[str]) -> None:
    """Call otherwise clean copies what they are: `leak` of an image outside the scored splits, or later `duplicate`."""
    split = everything.set_index("sample_id")["split"]
    position = everything.set_index("sample_id")["position"]
    key = everything.set_index("sample_id")["source_key"]
    row = {sample_id: i for i, sample_id in enumerate(table["sample_id"])}
    kinds, reasons = table["kind"].to_list(), table["reasons"].to_list()
    for a, b in pairs[["sample_a", "sample_b"]].itertuples(index=False):
        for own, other in ((a, b), (b, a)):
            if own not in row:
                continue
            leak = split[other] not in scored
            if not leak and position[own] < position[other]:
                continue
            text = f"a copy of {key[other]} in {split[other]}" if leak else f"a copy of {key[other]}"
            reasons[row[own]] = [*reasons[row[own]], text]
            if kinds[row[own]] == "clean" or (leak and kinds[row[own]] == "duplicate"):
                kinds[row[own]] = "leak" if leak else "duplicate"
    table["kind"], table["reasons"] = kinds, reasons


def _unreadable(everything: pd.DataFrame, *, start: int, width: int) -> pd.DataFrame:
    """Verdict rows for images that could not be read, after everything that can be looked at."""
    reason = everything["quarantine_reason"].fillna("").astype(str)
    broken = everything[reason.str.startswith(("image:", "file:"))]
    n = len(broken)
    return pd.DataFrame(
        {
            "sample_id": broken["sample_id"].to_list(),
            "kind": ["unusable"] * n,
            "label_quality": np.zeros(n),
            "p_mislabelled": np.zeros(n),
            "p_ambiguous": np.zeros(n),
            "p_unusable": np.ones(n),
            "p_clean": np.zeros(n),
            "suggested_label": [None] * n,
            "rank": np.arange(start + 1, start + n + 1),
            "reasons": [[text] for text in broken["quarantine_reason"]],
            "soft_label": [None] * n,
            "drawn_at_random": np.zeros(n, dtype=bool),
            "inclusion_probability": np.full(n, np.nan),
        }
    )


def _flows(table: pd.DataFrame, given: pd.Series, *, most: int = 5) -> list[dict[str, Any]]:
    flagged = table[table["kind"] == "mislabelled"]
    if flagged.empty:
        return []
    pairs = pd.DataFrame(
        {"given": given.loc[flagged["sample_id"]].to_numpy(), "suggested": flagged["suggested_label"].to_numpy()}
    )
    counts = pairs.value_counts().head(most).reset_index(name="samples")
    return [{str(key): value for key, value in row.items()} for row in counts.to_dict("records")]
