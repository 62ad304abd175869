"""Turn stored signals into verdicts and a ranked queue; cheap, so thresholds can change without scoring again.

It trains nothing and reads no image and no test label, and votes only in a set that was ingested with them.
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
from ferclean.evidence.votes import vote_distribution
from ferclean.progress import Progress, silent
from ferclean.recognition import images as image_room
from ferclean.store import decisions, embeddings, runs, samples, scores, verdicts, votes
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
    """From labels and probabilities alone, as is its interval; decisions do not enter."""
    error_rate_interval: tuple[float, float]
    decisions: int
    """People's decisions that the verdicts learned from."""
    taught: dict[str, float]
    """Share of the automatic verdict's log loss that the decisions removed, on decisions left out; 0 = nothing yet."""
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
    drawn at random, whatever their score, and mixed into the queue; 0 ranks by score alone. In sets ingested with
    votes the soft labels hold them, the model's word counting as a few votes more; nothing else reads them.

    Raises FercleanError when nothing has been scored since the labels were ingested.
    """
    progress("judging", 0, 3)
    found = gather(ws)
    members, ids, everything, given = found.members, found.ids, found.everything, found.given
    dataset = samples.get_dataset(ws)

    progress("judging", 1, 3)
    thresholds = judging.Thresholds(
        **{
            name: value
            for name, value in {"mislabelled": mislabelled_at, "ambiguous": ambiguous_at}.items()
            if value is not None
        }
    )
    score_runs = [run.run_id for run in members]
    counts_of, _ = votes.get_vote_counts(ws, ids, dataset.classes)  # zeros unless the set was ingested with votes
    decided = _decided(ws, ids)
    config = {
        "score_runs": score_runs, "thresholds": asdict(thresholds), "random_share": random_share,
        # the newest decision that was read: with more of them the same triage is another one
        "decisions": decided.newest, "votes": int(counts_of.sum()),
    }  # fmt: skip
    fingerprint = samples.fingerprint(ws, splits=members[0].config["splits"])
    epochs = members[0].config.get("epochs")  # a file of probabilities tells none
    judged = judging.judge(
        given,
        found.pred_probs,
        found.signals,
        knn_shares=found.knn_shares,
        unusable=found.blank,
        duplicates=found.groups,
        decided=decided.action if decided.newest else None,
        decided_weight=decided.weight,
        thresholds=thresholds,
        class_names=dataset.classes,
        epochs=None if epochs is None else int(epochs),
    )
    table = _frame(ids, judged, dataset.classes)
    if counts_of.any():
        table["soft_label"] = list(vote_distribution(counts_of, prior=judged.soft_label, ids=ids)[0])
    undecided = ~np.isin(table["sample_id"].to_numpy(), decided.ids)
    table["rank"], table["drawn_at_random"], table["inclusion_probability"] = queueing.mixed_order(
        np.argsort(table["rank"].to_numpy()), share=random_share, eligible=undecided
    )
    _mark_copies(table, everything, verdicts.get_pairs(ws), set(members[0].config["splits"]))
    table = pd.concat([table, _unreadable(everything, start=len(table), width=len(dataset.classes))], ignore_index=True)

    progress("judging", 2, 3)
    run_id = runs.start_run(ws, kind="triage", method="transitions", config=config, seed=0, fingerprint=fingerprint)
    verdicts.put_verdicts(ws, run_id, table)
    counts = table["kind"].value_counts()
    rate = calibration.error_rate_interval(given, found.pred_probs)
    summary = TriageSummary(
        run_id=run_id,
        score_runs=score_runs,
        samples=len(table),
        verdicts={str(kind): int(count) for kind, count in counts.items()},
        estimated_error_rate=rate.estimate,
        error_rate_interval=(rate.low, rate.high),
        decisions=decided.learned_from,
        taught={name: round(learned.gain, 4) for name, learned in judged.taught.items()},
        flows=_flows(table, everything.set_index("sample_id")["given_label"]),
    )
    runs.finish_run(ws, run_id, summary.as_dict())
    progress("judging", 3, 3)
    return summary


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Everything that a verdict rests on, one entry per scored sample in the order of `ids`.

    `given` (N,) int64; `pred_probs` (N, K), the members' mean; `signals` (N,) each; `knn_shares` (N, K) or None;
    `groups` (N,), copies share a number; `blank` (N,) bool. `everything`: all samples, quarantined ones too.
    """

    members: list[Run]
    ids: list[str]
    everything: pd.DataFrame
    given: np.ndarray
    pred_probs: np.ndarray
    signals: dict[str, np.ndarray]
    knn_shares: np.ndarray | None
    groups: np.ndarray
    blank: np.ndarray


def gather(ws: Workspace) -> Gathered:
    """Read the newest scores of each method and seed, and what follows from them. Raises as `triage` does."""
    members = current_score_runs(ws)
    dataset = samples.get_dataset(ws)
    predictions = [scores.get_predictions(ws, run.run_id) for run in members]
    ids = list(predictions[0].sample_ids)
    everything = samples.get_samples(ws, include_quarantined=True)
    frame = everything.set_index("sample_id").loc[ids]
    given = label_names.encode(list(frame["given_label"]), dataset.classes)
    member_probs = np.stack([_aligned(p.sample_ids, p.pred_probs, ids) for p in predictions])
    pred_probs = member_probs.mean(0)
    pred_probs = pred_probs / pred_probs.sum(1, keepdims=True)
    groups = _groups(ids, frame, verdicts.get_pairs(ws))
    # two models need not share their folds
    folds = [_aligned(p.sample_ids, p.fold, ids).astype(np.int64) for p in predictions]
    signals, knn_shares = _signals(ws, members, ids, given, pred_probs, member_probs, folds, groups)
    return Gathered(
        members=members,
        ids=ids,
        everything=everything,
        given=given,
        pred_probs=pred_probs,
        signals=signals,
        knn_shares=knn_shares,
        groups=groups,
        blank=np.array([image_room.is_blank(value) for value in frame["contrast"]], dtype=bool),
    )


@dataclass(frozen=True, kw_only=True)
class _Decided:
    """What people said about the scored samples. `action` (N,) str, empty = undecided; `weight` (N,), 1 = itself alone;
    `ids`: everyone decided; `newest`: the last decision's number, 0 = none.
    """

    action: np.ndarray
    weight: np.ndarray
    ids: np.ndarray
    newest: int

    @property
    def learned_from(self) -> int:
        return int((self.action != "").sum())


def _decided(ws: Workspace, ids: Sequence[str]) -> _Decided:
    """Current decisions, newest per sample. Those drawn at random stand for all that nobody chose; the others for
    themselves, since a queue's top says nothing about the rest.
    """
    by_id = decisions.current_decisions(ws).set_index("sample_id")
    history = decisions.decision_history(ws)
    chance = history[history["inclusion_probability"].notna()].groupby("sample_id")["inclusion_probability"].last()
    action = by_id["action"].reindex(list(ids)).fillna("").to_numpy().astype(str)
    drawn = chance.reindex(list(ids)).notna().to_numpy() & (action != "")
    chosen = int((action != "").sum()) - int(drawn.sum())
    weight = np.where(drawn, (len(ids) - chosen) / max(int(drawn.sum()), 1), 1.0)
    newest = 0 if by_id.empty else int(history["decision_id"].max())
    return _Decided(action=action, weight=weight, ids=by_id.index.to_numpy(), newest=newest)


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
            given, _aligned(own, embedding, ids), num_classes=pred_probs.shape[1], k=signal_room.WIDE, fold=fold,
            groups=groups,
        )  # fmt: skip
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
