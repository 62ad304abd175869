"""A reviewer who says what the votes say: what decisions teach about the labels, measured on the faces not decided.

Part of `fer2013_ferplus.py`; nothing is written to the workspace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ferclean.evidence import labels as label_names
from ferclean.evidence import measures
from ferclean.evidence.constants import STANDARD
from ferclean.evidence.people.people import check_decisions, design_weights
from ferclean.evidence.verdict import calibration, queueing
from ferclean.evidence.verdict.label_accuracy import label_accuracy
from ferclean.evidence.verdict.lessons import takes_suggestion
from ferclean.evidence.verdict.verdicts import Verdicts, judge
from ferclean.parts.curating import UNUSABLE_ABOVE
from ferclean.parts.gathering import Gathered
from ferclean.steps.release import THRESHOLD

COUNTS = (0, 100, 300)
TOP = 500


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """The scored faces beside what the votes say, one entry per face.

    `said` (N,) str and `said_label` (N,) int: keep or relabel where a label has half of all ten votes, exclude where
    most saw no face, else ambiguous. `majority` (N,) int, -1 without one; `clear`, `wrong` (a clear majority is for
    another label than the given one), `ambiguous`, `odd` (duplicate group) (N,) bool; `shares` (N, K) of the votes.
    """

    given: np.ndarray
    said: np.ndarray
    said_label: np.ndarray
    majority: np.ndarray
    clear: np.ndarray
    wrong: np.ndarray
    ambiguous: np.ndarray
    odd: np.ndarray
    shares: np.ndarray


def reviewed(found: Gathered, classes: Sequence[str], truth: pd.DataFrame) -> Reviewed:
    """The votes' table `truth` (see `ferplus_measures.read_truth`) in the order of the scored faces."""
    keys = found.everything.set_index("sample_id").loc[found.ids, "source_key"].to_numpy()
    rows = truth.set_index("source_key").loc[keys]
    majority = label_names.encode(list(rows["majority"]), classes)
    clear = rows["clear"].to_numpy(bool)
    settled = np.where(rows["half"], np.where(majority == found.given, "keep", "relabel"), "ambiguous")
    said = np.where(rows["no_face"], "exclude", settled)
    return Reviewed(
        given=found.given,
        said=said,
        said_label=np.where(said == "relabel", majority, -1),
        majority=majority,
        clear=clear,
        wrong=clear & (majority != found.given),
        ambiguous=rows["ambiguous"].to_numpy(bool),
        odd=rows["dup_group"].to_numpy() % 2 == 1,
        shares=rows[[f"share_{name}" for name in classes]].to_numpy(float),
    )


def judged_after(
    found: Gathered, people: Reviewed, decided: np.ndarray, weight: np.ndarray, *, judges: np.ndarray | None = None
) -> Verdicts:
    """Verdicts when the rows of the mask `decided` (N,) have been reviewed; `weight` (N,) as triage makes it."""
    said = None
    if decided.any():
        said = check_decisions(
            found.given, np.where(decided, people.said, ""), people.said_label, weight,
            num_classes=found.pred_probs.shape[1],
        )  # fmt: skip
    return judge(replace(found.faces(), judge_probs=judges), people=said)


def simulated_decisions(
    found: Gathered,
    classes: Sequence[str],
    truth: pd.DataFrame,
    baselines: Mapping[str, np.ndarray],
    *,
    judges: np.ndarray | None = None,
    draws: int = 20,
) -> dict[str, Any]:
    """What 0, 100 and 300 decisions on a random sample teach, and 300 in the default order: a teaching round, then the
    queue. Means over `draws` with standard deviations.

    `baselines`: what others say without decisions, (N,) each, low = likely mislabelled. Rankings, changes and label
    accuracy are measured on undecided rows of odd duplicate groups; the queue and calibration on all undecided rows;
    `stated_accuracy_holds` (mean: the coverage) on all that a release of policy `auto` holds.
    `judges` (J, N, K): nets from elsewhere.
    """
    people = reviewed(found, classes, truth)
    nobody = np.zeros(len(found.ids), dtype=bool)
    first = judged_after(found, people, nobody, np.ones(len(nobody)), judges=judges)
    result: dict[str, Any] = {"draws": draws, "threshold": THRESHOLD, "judges": 0 if judges is None else len(judges)}

    def told(judged: Verdicts, decided: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
        rest = people.clear & people.odd & ~decided
        one = figures(judged, people, ~decided)
        if people.wrong[rest].any():
            best = max(measures.auprc(score[rest], people.wrong[rest]) for score in baselines.values())
            one |= {
                "best_baseline": best,
                "auprc_before": measures.auprc(first.label_quality[rest], people.wrong[rest]),
            }
        return one | {
            "stated_gain": judged.taught.gain if judged.taught else 0.0,
            "accuracy_with_decisions": accuracy_with_decisions(judged, people, decided),
            **stated_accuracy(judged, people, decided, drawn),
        }

    def random(count: int) -> Callable[[int], tuple[Verdicts, np.ndarray, np.ndarray]]:
        def once(draw: int) -> tuple[Verdicts, np.ndarray, np.ndarray]:
            decided = nobody.copy()
            decided[np.random.default_rng(draw).choice(len(nobody), min(count, len(nobody)), replace=False)] = True
            return judged_after(found, people, decided, np.ones(len(nobody)), judges=judges), decided, decided

        return once

    def flow(draw: int) -> tuple[Verdicts, np.ndarray, np.ndarray]:
        return default_flow(found, people, first, COUNTS[-1], judges=judges, seed=draw)

    ways = {str(count): random(count) for count in COUNTS} | {f"{COUNTS[-1]} in the default order": flow}
    for name, way in ways.items():
        rows = [told(*way(draw)) for draw in range(draws if name != "0" else 1)]
        table = pd.DataFrame(rows)
        result[name] = {
            column: {"mean": round(float(table[column].mean()), 4), "sd": round(float(table[column].std(ddof=0)), 4)}
            for column in table
            if table[column].notna().all()  # undefined where no face, or every one, is ambiguous
        }
    return result


def figures(judged: Verdicts, people: Reviewed, undecided: np.ndarray) -> dict[str, float]:
    """How good verdicts are on the `undecided` (N,) rows."""
    rest = people.clear & people.odd & undecided
    majority, given = people.majority, people.given
    label = automatic_labels(judged, given)
    changed = label != given
    mended = rest & changed & people.wrong
    order = np.argsort(judged.rank)
    top = order[undecided[order]][:TOP]
    named = undecided & people.clear
    error = calibration.expected_calibration_error
    return {
        "auprc": measures.auprc(judged.label_quality[rest], people.wrong[rest]) if people.wrong[rest].any() else np.nan,
        "label_accuracy_before": float((given == majority)[rest].mean()) if rest.any() else np.nan,
        "label_accuracy": float((label == majority)[rest].mean()) if rest.any() else np.nan,
        "right_among_wrong_changed": float((label == majority)[mended].mean()) if mended.any() else np.nan,
        "changed": float((rest & changed).sum()),
        "ambiguous_in_top_500": float(people.ambiguous[top].mean()) if len(top) else np.nan,
        "clear_errors_in_top_500": float(people.wrong[top].mean()) if len(top) else np.nan,
        "calibration_error_p_mislabelled": error(judged.p_mislabelled[undecided], people.wrong[undecided])
        if undecided.any() else np.nan,
        "calibration_error_p_suggested": error(
            judged.p_suggested[named], (judged.suggested_label == majority)[named]
        ) if named.any() else np.nan,
        "auroc_p_ambiguous": _auroc(1 - judged.p_ambiguous[people.odd], people.ambiguous[people.odd]),
        "soft_label_brier": soft_brier(judged.soft_label, people.shares),
    }  # fmt: skip


def automatic_labels(judged: Verdicts, given: np.ndarray) -> np.ndarray:
    """The labels (N,) that policy `auto` gives undecided faces with `given` labels (N,)."""
    own = judged.true_label[np.arange(len(given)), given]
    return np.where(takes_suggestion(judged.p_suggested, own), judged.suggested_label, given)


def accuracy_with_decisions(judged: Verdicts, people: Reviewed, decided: np.ndarray) -> float:
    """Share of the clear rows of odd groups whose label is right after `auto`, what people decided applied."""
    said = np.where(people.said == "relabel", people.said_label, people.given)
    label = np.where(decided, said, automatic_labels(judged, people.given))
    return float((label == people.majority)[people.clear & people.odd].mean())


def stated_accuracy(judged: Verdicts, people: Reviewed, decided: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """The label accuracy that a release of policy `auto` states, as `curating.told_about` does, and whether its
    interval holds the share of right labels among the faces on which half of the people agree: 1 or 0.

    `drawn` (N,) bool: decided rows that a random draw chose.
    """
    agreed = np.isin(people.said, ["keep", "relabel"])
    label = np.where(
        decided & agreed, np.where(people.said == "relabel", people.said_label, people.given),
        automatic_labels(judged, people.given),
    )  # fmt: skip
    p_right = np.where(decided, agreed, judged.true_label[np.arange(len(label)), label].clip(0.0, 1.0))
    labelled = np.where(decided, agreed, (1 - judged.p_ambiguous - judged.p_unusable).clip(0.0, 1.0))
    held = np.where(decided, people.said != "exclude", judged.p_unusable <= UNUSABLE_ABOVE)
    stated = label_accuracy(
        p_right[held], labelled[held], decided[held], rate=judged.error_rate,
        learned=float((drawn & agreed).sum()) if decided.sum() >= STANDARD.fewest_decisions else 0.0,
    )  # fmt: skip
    true = float((label == people.majority)[held & agreed].mean()) if (held & agreed).any() else np.nan
    if stated is None:
        return {}
    return {
        "stated_accuracy": stated.estimate,
        "stated_accuracy_error": stated.estimate - true,
        "stated_accuracy_width": stated.high - stated.low,
        "stated_accuracy_holds": float(stated.low <= true <= stated.high),
    }


def default_flow(
    found: Gathered, people: Reviewed, first: Verdicts, count: int, *, judges: np.ndarray | None, seed: int
) -> tuple[Verdicts, np.ndarray, np.ndarray]:
    """Verdicts, decided rows and those of them that were drawn at random, after the first `count` faces as ferclean
    shows them: a teaching round of random faces, then the queue, judged again after every hundred.
    """
    total = len(found.ids)
    decided, drawn = np.zeros(total, dtype=bool), np.zeros(total, dtype=bool)
    judged = first
    while (left := min(count, total) - int(decided.sum())) > 0:
        share = 1.0 if not decided.any() else queueing.RANDOM_SHARE
        rank, lot, _ = queueing.mixed_order(np.argsort(judged.rank), seed=seed, share=share, eligible=~decided)
        order = np.argsort(rank)
        now = order[~decided[order]][: min(left, queueing.TEACHING_ROUND)]
        decided[now] = True
        drawn[now] = lot[now]
        weight = np.ones(total)
        chance = np.where(drawn[decided], share, np.nan)
        weight[decided] = design_weights(chance, np.full(len(chance), "queue"), total=total)
        judged = judged_after(found, people, decided, weight, judges=judges)
    return judged, decided, drawn


def soft_brier(soft: np.ndarray, shares: np.ndarray) -> float:
    """Mean squared distance (summed over classes) of soft labels from the votes' shares, (N, K); NaN rows left out."""
    voted = np.isfinite(shares).all(1)
    return round(float(((soft[voted] - shares[voted]) ** 2).sum(1).mean()), 4)


def _auroc(quality: np.ndarray, event: np.ndarray) -> float:
    """NaN where every face, or none, is one."""
    return measures.auroc(quality, event) if 0 < event.sum() < len(event) else float("nan")
