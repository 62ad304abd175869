"""What each arm of a retraining trains on: which rows, and their labels or soft targets.

It trains nothing, and never reads a vote but for the oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence.labels import encode
from ferclean.evidence.scorecard import majorities
from ferclean.recognition.arms import Arm, ArmOfSeed
from ferclean.store import releases, runs, standing, votes
from ferclean.store import table as sample_table
from ferclean.store.workspace import Workspace

GIVEN = "given"
ARMS: dict[str, str] = {
    GIVEN: "the given labels",
    "cleaned": "the release's labels, each counting as much as its weight",
    "soft": "the release's soft labels, which hold the doubt themselves; one class where a person decided",
    "self_distillation": "the recognizers' own out-of-fold probabilities: what smoothing alone is worth",
    "random_relabel": "as many labels changed as in the release, at random",
    "random_removal": "as many images left out as the release changed or left out, at random",
    "decisions": "people's decisions alone",
    "oracle": "the votes' majority; where none, the given label",
}
"""Name -> what it trains on."""
ENOUGH_DECISIONS = 100
"""Decisions from which on soft labels teach better than hard ones (FER2013: 74 % against 64 % on given labels; with
none, and no judge, 60 to 63 %)."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """Everything that arms are made of, one entry per row of a release; `table` has given_label, label, included,
    reason, soft_label and perhaps weight. `usable` (N,) bool: training rows that are no copy of a test image.

    `pred_probs` (N, K) out-of-fold, NaN rows where nothing was predicted, and `votes` (N, K) counts; None where there
    are none.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]
    usable: np.ndarray
    pred_probs: np.ndarray | None = None
    votes: np.ndarray | None = None

    @property
    def given(self) -> np.ndarray:
        """(N,) int64, -1 where there is no label."""
        return encode(list(self.table["given_label"]), self.classes)

    @property
    def label(self) -> np.ndarray:
        """(N,) int64 labels of the release, -1 where it leaves a row out."""
        included = self.table["included"].to_numpy(bool)
        return np.where(included, encode(list(self.table["label"]), self.classes), -1)

    @property
    def weight(self) -> np.ndarray:
        """(N,) in [0, 1]: what the release's label counts for, below 1 where it is in doubt."""
        if "weight" not in self.table:
            return np.ones(len(self.table))
        return self.table["weight"].astype(float).fillna(1.0).to_numpy()

    @property
    def decided(self) -> np.ndarray:
        """(N,) bool: a person decided about the row."""
        return said_by_people(self.table)


def said_by_people(table: pd.DataFrame) -> np.ndarray:
    """(N,) bool: rows of a release that are what a person decided, as their reasons say."""
    return np.array([isinstance(reason, str) and reason.startswith("decision:") for reason in table["reason"]])


def check_arms(names: list[str] | None, *, default: str) -> list[str]:
    """The arms to train, each once, the given labels first. Raises UsageError that lists the known ones."""
    wanted = [GIVEN, *(names if names is not None else [default])]
    for name in wanted:
        if name not in ARMS:
            raise UsageError(f"unknown arm {name!r}; {among(name, ARMS)}")
    return list(dict.fromkeys(wanted))


def make_arm(name: str, material: Material) -> ArmOfSeed:
    """The arm of this name. Raises UsageError where the set does not have what it is made of."""
    return _MAKERS[name](material)


def default_arm(ws: Workspace, table: pd.DataFrame, release: str | None) -> tuple[str, str]:
    """The arm that the release's labels are trained as where nobody says, and why."""
    if release is None:
        return "cleaned", "hard labels: an exported folder does not say how many decisions stand behind it"
    if not any(value is not None for value in table["soft_label"]):
        return "cleaned", "hard labels: the release has no soft ones"
    unseen = table["sample_id"].isin(standing.only_reverted(ws))  # of a revert or `doctor --fix`: nobody looked
    decided = int((said_by_people(table) & (table["split"] == "train") & ~unseen).sum())
    triaged = releases.get_release(ws, release.removeprefix("release ")).config.get("triage_run")
    run = runs.get_run(ws, triaged) if triaged else None
    judges = list(run.metrics.get("judges", [])) if run is not None else []
    stands_on = [f"{decided:,} decisions", *(f"the judge {name}" for name in judges)]
    if decided >= ENOUGH_DECISIONS or judges:
        return "soft", f"soft labels: the release stands on {' and '.join(stands_on)}"
    return "cleaned", (
        f"hard labels: the release stands on {stands_on[0]} and no judge; soft ones pay from {ENOUGH_DECISIONS} "
        "decisions or with an accepted judge"
    )


def out_of_fold(ws: Workspace, table: pd.DataFrame, classes: Sequence[str]) -> np.ndarray | None:
    """(N, K) mean out-of-fold probabilities of the newest triage's recognizers, NaN where there are none; or None."""
    probs = sample_table.sample_table(ws, lists=("pred_probs",)).set_index("sample_id")["pred_probs"]
    known = probs.reindex(list(table["sample_id"]))
    if known.isna().all():
        return None
    nothing = np.full(len(classes), np.nan)
    return np.stack([nothing if value is None or np.isscalar(value) else np.asarray(value) for value in known])


def vote_counts(ws: Workspace, table: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """(N, K) votes that the set was ingested with; zeros where nobody voted."""
    return votes.get_vote_counts(ws, list(table["sample_id"]), classes)[0]


def _hard(mask: np.ndarray, labels: np.ndarray) -> Arm:
    rows = np.flatnonzero(mask & (labels >= 0))
    return Arm(rows, labels[rows])


def _given(m: Material) -> Arm:
    return _hard(m.usable, m.given)


def _cleaned(m: Material) -> Arm:
    hard = _hard(m.usable, m.label)
    weights = m.weight[hard.rows]
    if len(weights) and not weights.any():
        raise BadDataError(
            "every training row of the release weighs 0, so that nothing is left to learn; make one with "
            "`ferclean release NAME --unmended keep`, or train on --arms soft"
        )
    return hard if (weights == 1).all() else replace(hard, weights=weights)


def _soft(m: Material) -> Arm:
    """A person's word is one class; but for 'ambiguous', which is none. Rows without a soft label have their label.

    Weights are not read: a soft label spreads over the classes what is in doubt, and would say it twice."""
    rows = np.flatnonzero(m.usable & (m.label >= 0))
    soft = m.table["soft_label"].to_numpy() if "soft_label" in m.table else np.full(len(m.table), None)
    if not any(_is_list(soft[row]) for row in rows):
        raise UsageError(
            "the release has no soft labels: make one with `ferclean release NAME --policy auto`, "
            "or give --arms cleaned"
        )
    reason = m.table["reason"].fillna("").astype(str).to_numpy() if "reason" in m.table else np.full(len(soft), "")
    targets = np.eye(len(m.classes))[m.label[rows]]
    for place, row in enumerate(rows):
        one_class = reason[row].startswith(("decision: keep", "decision: relabel"))
        if _is_list(soft[row]) and not one_class:
            values = np.asarray(soft[row], dtype=float)
            targets[place] = values / values.sum()
    return Arm(rows, targets)


def _self_distillation(m: Material) -> Arm:
    if m.pred_probs is None:
        raise UsageError("nothing was scored here: self_distillation needs the probabilities of `ferclean score`")
    base = _given(m)
    targets = np.eye(len(m.classes))[base.labels]
    own = m.pred_probs[base.rows]
    known = np.isfinite(own).all(1)
    targets[known] = own[known] / own[known].sum(1, keepdims=True)
    return Arm(base.rows, targets)


def _random_relabel(m: Material) -> Callable[[int], Arm]:
    base = _given(m)
    count = int((m.label[base.rows] != base.labels)[m.label[base.rows] >= 0].sum())

    def of_seed(seed: int) -> Arm:
        rng = np.random.default_rng([seed, 1])
        labels = base.labels.copy()
        chosen = rng.choice(len(labels), count, replace=False)
        labels[chosen] = (labels[chosen] + rng.integers(1, len(m.classes), count)) % len(m.classes)
        return Arm(base.rows, labels)

    return of_seed


def _random_removal(m: Material) -> Callable[[int], Arm]:
    base = _given(m)
    count = int((m.label[base.rows] != base.labels).sum())

    def of_seed(seed: int) -> Arm:
        kept = np.sort(np.random.default_rng([seed, 2]).permutation(len(base.rows))[count:])
        return Arm(base.rows[kept], base.labels[kept])

    return of_seed


def _decisions(m: Material) -> Arm:
    if not m.decided.any():
        raise UsageError("nobody's decisions are in this release: the arm `decisions` would be the given labels")
    return _hard(m.usable, np.where(m.decided, m.label, m.given))


def _oracle(m: Material) -> Arm:
    if m.votes is None or not m.votes.any():
        raise UsageError("the set has no votes: the arm `oracle` needs them (`ferclean ingest --votes FILE`)")
    majority = majorities(m.votes)
    return _hard(m.usable, np.where(majority >= 0, majority, m.given))


def _is_list(value: Any) -> bool:
    return value is not None and not np.isscalar(value)


_MAKERS: dict[str, Callable[[Material], ArmOfSeed]] = {
    GIVEN: _given,
    "cleaned": _cleaned,
    "soft": _soft,
    "self_distillation": _self_distillation,
    "random_relabel": _random_relabel,
    "random_removal": _random_removal,
    "decisions": _decisions,
    "oracle": _oracle,
}
