"""Turn stored signals into verdicts and a ranked queue; cheap, so thresholds can change without scoring again.

It trains nothing and reads no image and no test label, and votes only in a set that was ingested with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import FercleanError
from ferclean.evidence import labels as label_names
from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.people.people import check_decisions, design_weights
from ferclean.evidence.verdict import calibration, queueing, reasons
from ferclean.evidence.verdict import verdicts as judging
from ferclean.evidence.verdict.expectation import expected_at
from ferclean.evidence.verdict.lessons import lesson
from ferclean.parts import calibrated
from ferclean.parts.ensemble import choose_members
from ferclean.parts.gathering import gather
from ferclean.progress import Progress, silent
from ferclean.store import decisions, runs, samples, standing, verdicts, votes
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

DEPTHS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of the queue at which its expected precision and recall are told."""


@dataclass(frozen=True, kw_only=True)
class TriageSummary(Summary):
    """How many samples got which verdict, the estimated share of wrong labels, and the most frequent corrections."""

    run_id: str
    score_runs: list[str]
    samples: int
    verdicts: dict[str, int]
    estimated_error_rate: float
    """From labels and probabilities alone, as is its interval; decisions do not enter."""
    error_rate_interval: tuple[float, float]
    decisions: int
    """People's decisions that the verdicts learn from: those that name a label, or say that there is no clear one.
    Excluded faces teach no label."""
    taught: float
    """Share of the automatic log loss of the true label that the decisions removed, on decisions left out; 0 = nothing
    yet."""
    flows: list[dict[str, Any]]
    """Given label, suggested label, and how many samples are flagged so; the most frequent first."""
    noise: list[dict[str, Any]]
    """How labels go wrong in this set: true class, given class, share of the true class, and two estimates of it."""
    expected: list[dict[str, float]]
    """After looking at the first `depth` undecided samples of the queue behind the teaching round: mislabelled ones
    found, precision, and recall among all of these, with 95 % intervals."""
    teaching: dict[str, Any]
    """The teaching round: size (random faces, 0 = none), decided (of those that a draw brought in), voted (the set came
    with votes and needs none)."""
    lesson: dict[str, float | int | None]
    """How right the labels are expected to be, given and now, errors left, and looks to the next point
    (`ferclean.evidence.verdict.lessons`)."""
    notes: list[str] = field(default_factory=list)
    """What had no say in the verdicts, and why."""
    judges: list[str] = field(default_factory=list)
    """Outside judges that were heard beside the recognizers: out-of-sample, not out-of-fold."""


def triage(
    ws: Workspace,
    *,
    mislabelled_at: float | None = None,
    ambiguous_at: float | None = None,
    random_share: float = queueing.RANDOM_SHARE,
    teaching_round: int = queueing.TEACHING_ROUND,
    outside: bool = True,
    members: Sequence[str] | None = None,
    progress: Progress = silent,
) -> TriageSummary:
    """Judge every scored sample from the ensemble that was chosen last: what the last `score` (or `probe`, or
    `import_scores`) scored, or the recognizers that `members` names, which are chosen by that.

    The members' out-of-fold probabilities are averaged (an ensemble's mean beats its mean member); signals that
    cannot be averaged as probabilities are averaged as ranks. Images that could not be read are judged unusable;
    rows whose label could not be read stay without a verdict. `mislabelled_at` and `ambiguous_at` are the
    probabilities from which a sample is flagged. The queue begins with random samples until people have decided about
    `teaching_round` of them (`queueing.teaching_round`; 0 = none); of the others that nobody has decided about,
    `random_share` are drawn at random, whatever their score, and mixed into the queue; 0 ranks by score alone. In sets
    ingested with votes, verdicts and soft labels rest on them, the model's word counting as a few votes more, and there
    is no teaching round.
    Accepted outside judges are heard beside them about the classes that they know; without `outside` they are not.

    Raises FercleanError when nothing has been scored since the labels were ingested.
    """
    progress("judging", 0, 3)
    if members is not None:
        choose_members(ws, members)
    found = gather(ws, outside=outside)
    ids, everything, given = found.ids, found.everything, found.given
    dataset = samples.get_dataset(ws)

    progress("judging", 1, 3)
    thresholds = judging.Thresholds(
        **{
            name: value
            for name, value in {"mislabelled": mislabelled_at, "ambiguous": ambiguous_at}.items()
            if value is not None
        }
    )
    score_runs = [run.run_id for run in found.members]
    counts_of, _ = votes.get_vote_counts(ws, ids, dataset.classes)  # zeros unless the set was ingested with votes
    decided = _decided(ws, ids, dataset.classes)
    constants = STANDARD
    config = {
        "score_runs": score_runs, "thresholds": asdict(thresholds), "random_share": random_share,
        "teaching_round": teaching_round, "outside": outside, "constants": asdict(constants),
        # the newest decision that was read: with more of them the same triage is another one
        "decisions": decided.newest, "votes": int(counts_of.sum()),
        "judges": [run.run_id for run in found.judges],
    }  # fmt: skip
    epochs = found.members[0].config.get("epochs")  # a file of probabilities tells none
    judged = judging.judge(
        replace(
            found.faces(), votes=counts_of, class_names=dataset.classes, epochs=None if epochs is None else int(epochs)
        ),
        people=check_decisions(given, decided.action, decided.label, decided.weight, num_classes=len(dataset.classes))
        if (decided.action != "").any() else None,
        thresholds=thresholds,
        constants=constants,
    )  # fmt: skip
    reasons.add_judges(judged.reasons, given, found.judge_probs, judges=found.judge_names, names=dataset.classes)
    table = _frame(ids, judged, dataset.classes)
    undecided = ~np.isin(table["sample_id"].to_numpy(), decided.ids)
    voted = int(counts_of.any(axis=1).sum())
    size = queueing.teaching_round(len(ids), asked=teaching_round, voted=voted)
    first = max(0, size - decided.drawn)
    table["rank"], table["drawn_at_random"], table["inclusion_probability"] = queueing.mixed_order(
        np.argsort(table["rank"].to_numpy()), share=random_share, eligible=undecided, first=first
    )
    coming = np.argsort(table["rank"].to_numpy())
    coming = coming[undecided[coming]]
    _mark_copies(table, everything, verdicts.get_pairs(ws), set(found.members[0].config["splits"]))
    table = pd.concat([table, _unreadable(everything, start=len(table), width=len(dataset.classes))], ignore_index=True)

    progress("judging", 2, 3)
    with runs.running(
        ws,
        kind="triage",
        method="transitions",
        config=config,
        seed=0,
        fingerprint=found.members[0].fingerprint,  # of the labels that were judged, whatever came in since
    ) as run_id:
        verdicts.put_verdicts(ws, run_id, table)
        counts = table["kind"].value_counts()
        summary = TriageSummary(
            run_id=run_id,
            score_runs=score_runs,
            samples=len(table),
            verdicts={str(kind): int(count) for kind, count in counts.items()},
            estimated_error_rate=judged.error_rate.estimate,
            error_rate_interval=(judged.error_rate.low, judged.error_rate.high),
            decisions=judged.taught.decisions if judged.taught else 0,
            taught=round(judged.taught.gain, 4) if judged.taught else 0.0,
            noise=_noise(given, found.pred_probs, judged.true_label, dataset.classes),
            expected=_expected(judged, coming[first:], constants),
            teaching={"size": size, "decided": decided.drawn, "voted": 2 * voted > len(ids)},
            lesson=_lesson(given, judged, decided, coming),
            flows=_flows(table, everything.set_index("sample_id")["given_label"]),
            notes=[*found.notes, *decided.notes, *_without_a_say(found.members, found.unheard)],
            judges=list(found.judge_names),
        )
        # with what the screens show probabilities at, so that nobody fits it again on all of them
        shown_at = calibrated.temperature(found.pred_probs, given)
        runs.finish_run(ws, run_id, summary.as_dict() | {"temperature": shown_at})
    progress("judging", 3, 3)
    return summary


def triage_again(ws: Workspace, *, progress: Progress = silent) -> TriageSummary:
    """`triage` with the options of the latest one: what was decided since is learned from.

    Raises FercleanError when there was none.
    """
    with ws.reading("reading runs") as con:
        ended = runs.finished(con, "triage")  # also one whose verdicts were deleted: they are made anew here
    last = runs.get_run(ws, ended[0]) if ended else None
    if last is None:
        raise FercleanError("nothing was judged; run `ferclean score` and `ferclean triage` first")
    thresholds = last.config.get("thresholds", {})
    return triage(
        ws, mislabelled_at=thresholds.get("mislabelled"), ambiguous_at=thresholds.get("ambiguous"),
        random_share=last.config.get("random_share", queueing.RANDOM_SHARE),
        teaching_round=last.config.get("teaching_round", queueing.TEACHING_ROUND),
        outside=last.config.get("outside", True), progress=progress,
    )  # fmt: skip


def _without_a_say(members: Sequence[runs.Run], unheard: Sequence[str]) -> list[str]:
    if not unheard:
        return []
    together = ",".join(sorted({run.method for run in members} | set(unheard)))
    return [
        f"scored too, without a say: {', '.join(unheard)}; `ferclean triage --members {together}` reads all of them"
    ]


@dataclass(frozen=True, kw_only=True)
class _Decided:
    """What people said about the scored samples. `action` (N,) str, empty = undecided; `label` (N,) int, the class that
    a relabel chose, else -1; `weight` (N,), 1 = itself alone; `ids`: everyone decided; `drawn`: how many of them a draw
    brought in; `newest`: the last decision's number, 0 = none.
    """

    action: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    ids: np.ndarray
    drawn: int
    newest: int

    @property
    def notes(self) -> list[str]:
        """What is to be known about what they teach."""
        said = int((self.action != "").sum())
        if self.drawn or said < STANDARD.fewest_decisions:
            return []
        return [
            f"none of the {said:,} decided faces was drawn at random: what they teach about the others is a guess; "
            "answer the teaching round, or `ferclean audit`"
        ]


def _decided(ws: Workspace, ids: Sequence[str], classes: Sequence[str]) -> _Decided:
    """Current decisions of those who looked, newest per sample. Those drawn at random stand for all that nobody chose,
    each for one over its chance; the others for themselves, since a queue's top says nothing about the rest.
    """
    by_id = decisions.current_decisions(ws).set_index("sample_id")
    everyone = by_id.index.to_numpy()
    # a revert, or doctor, settles a face without a look at it: what was seen before teaches, and nothing else of it
    seen = standing.before_reverts(ws)
    answers = pd.DataFrame(list(seen.values()), index=list(seen), columns=["action", "label"], dtype="object")
    by_id = by_id.drop(index=[*seen, *standing.only_reverted(ws)], errors="ignore")[["action", "label"]]
    by_id = pd.concat([by_id, answers]) if seen else by_id
    drawn = standing.random_decisions(ws)
    action = by_id["action"].reindex(list(ids)).fillna("").to_numpy().astype(str)
    said = np.flatnonzero(action != "")
    decided = [ids[int(row)] for row in said]
    chance = np.array([drawn[i].chance if i in drawn else np.nan for i in decided], dtype=np.float64)
    draw = np.array([drawn[i].draw if i in drawn else "" for i in decided], dtype=str)
    weight = np.ones(len(ids))
    weight[said] = design_weights(chance, draw, total=len(ids))
    newest = 0 if not len(everyone) else decisions.newest_decision(ws)
    label = label_names.encode(list(by_id["label"].reindex(list(ids))), classes)
    return _Decided(
        action=action, label=label, weight=weight, ids=everyone, newest=newest,
        drawn=int((~np.isnan(chance)).sum()),
    )  # fmt: skip


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
            "p_suggested": judged.p_suggested,
            "p_true": list(judged.true_label),
        }
    )


def _mark_copies(table: pd.DataFrame, everything: pd.DataFrame, pairs: pd.DataFrame, scored: set[str]) -> None:
    """Call otherwise clean copies what they are: `leak` of an image outside the scored splits, or later `duplicate`."""
    split = everything.set_index("sample_id")["split"]
    position = everything.set_index("sample_id")["position"]
    key = everything.set_index("sample_id")["source_key"]
    row = {sample_id: i for i, sample_id in enumerate(table["sample_id"])}
    kinds, told = table["kind"].to_list(), table["reasons"]
    for a, b in pairs[["sample_a", "sample_b"]].itertuples(index=False):
        for own, other in ((a, b), (b, a)):
            if own not in row:
                continue
            leak = split[other] not in scored
            if not leak and position[own] < position[other]:
                continue
            told[row[own]].append(("leak", key[other], split[other]) if leak else ("copy", key[other]))
            if kinds[row[own]] == "clean" or (leak and kinds[row[own]] == "duplicate"):
                kinds[row[own]] = "leak" if leak else "duplicate"
    table["kind"] = kinds


def _unreadable(everything: pd.DataFrame, *, start: int, width: int) -> pd.DataFrame:
    """Verdict rows for images that cannot be read, after everything that can be looked at. What the source holds no
    longer is nobody's to judge."""
    everything = everything[everything["in_source"]]
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
            "p_suggested": np.full(n, np.nan),
            "p_true": [None] * n,
            "drawn_at_random": np.zeros(n, dtype=bool),
            "inclusion_probability": np.full(n, np.nan),
        }
    )


def _expected(judged: judging.Verdicts, coming: np.ndarray, by: Constants) -> list[dict[str, float]]:
    """What the queue holds at DEPTHS; `coming` (M,): its rows in their order, after the teaching round."""
    if not len(coming):
        return []
    depths = sorted({max(1, round(share * len(coming))) for share in DEPTHS})
    found = expected_at(judged.p_mislabelled[coming], np.arange(len(coming)), depths, rate=judged.error_rate, by=by)
    return [{name: round(value, 4) for name, value in row.as_dict().items()} for row in found]


def _lesson(
    given: np.ndarray, judged: judging.Verdicts, decided: _Decided, coming: np.ndarray
) -> dict[str, float | int | None]:
    people = check_decisions(given, decided.action, decided.label, None, num_classes=judged.true_label.shape[1])
    own = judged.true_label[np.arange(len(given)), given]
    found = lesson(
        given, own, judged.p_suggested, judged.p_ambiguous + judged.p_unusable, judged.p_mislabelled, people, coming
    )
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found.as_dict().items()}


def _noise(
    given: np.ndarray, pred_probs: np.ndarray, true_label: np.ndarray, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """The dominant flows: according to the verdicts, and with the confident joint as the other estimate."""
    joint = true_label.T @ np.eye(len(classes))[given]  # (true, given)
    size = joint.sum(1)
    share = np.divide(joint, size[:, None], out=np.zeros_like(joint), where=size[:, None] > 0)
    flows = calibration.noise_flows(share, calibration.noise_transitions(given, pred_probs), size)
    return [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(flow).items()}
        | {"true": classes[flow.true], "given": classes[flow.given]}
        for flow in flows
    ]


def _flows(table: pd.DataFrame, given: pd.Series, *, most: int = 5) -> list[dict[str, Any]]:
    flagged = table[table["kind"] == "mislabelled"]
    if flagged.empty:
        return []
    pairs = pd.DataFrame(
        {"given": given.loc[flagged["sample_id"]].to_numpy(), "suggested": flagged["suggested_label"].to_numpy()}
    )
    counts = pairs.value_counts().head(most).reset_index(name="samples")
    return [{str(key): value for key, value in row.items()} for row in counts.to_dict("records")]
