"""What becomes of each sample in a release, and how many of its labels are right: by people, by verdicts, as told.

It reads tables that others read from the store, writes nothing, and never changes a given label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import FercleanError
from ferclean.evidence import labels as label_names
from ferclean.evidence.constants import STANDARD
from ferclean.evidence.people.people import design_weights, effective_number
from ferclean.evidence.verdict import label_accuracy as accuracy
from ferclean.evidence.verdict.calibration import ErrorRate
from ferclean.evidence.verdict.lessons import takes_suggestion
from ferclean.missing import is_missing
from ferclean.sources.rows import reason_kind
from ferclean.store import runs, standing
from ferclean.store.assignments import LEFT_OUT
from ferclean.store.releases import QUARANTINED, was_usable
from ferclean.store.workspace import Workspace

UNUSABLE_ABOVE = 0.5
"""Policy `auto` leaves an image out when `p_unusable` (0 to 1, high = no readable face) is above this."""
DOUBTED = ("mislabelled", "ambiguous")
"""Verdicts that call a label into question: where it is not mended, it is not trusted as the others are."""

_READ = (
    "sample_id", "split", "given_label", "quarantine_reason", "p_unusable", "p_true", "suggested_label", "p_suggested",
    "verdict", "soft_label",
)  # fmt: skip
ITEM_COLUMNS = ["sample_id", "split", "given_label", "label", "included", "reason", "soft_label", "weight"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a release is made: see `ferclean.steps.release.release`."""

    policy: str
    threshold: float
    unmended: str
    ambiguous: str
    classes: tuple[str, ...]


def curated(table: pd.DataFrame, decisions: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """One row per sample of `table` (as `sample_table` gives it): what becomes of it, and why; columns ITEM_COLUMNS.

    `decisions` as from `current_decisions`, indexed by sample_id. Raises FercleanError when policy `auto` is to rest on
    verdicts that do not hold P(true label).
    """
    judged = table["run_id"].notna() & (table["p_unusable"] != 1)
    if rules.policy == "auto" and judged.any() and not table["p_true"].notna().any():
        raise FercleanError(
            "the verdicts do not say how likely each label is the true one, as those of earlier versions; "
            "run `ferclean triage` again, then release"
        )
    by_sample = decisions.to_dict("index")
    rows = [_item(sample, by_sample.get(sample["sample_id"]), rules) for sample in _rows(table, _READ)]
    return pd.DataFrame(rows, columns=ITEM_COLUMNS)


def _rows(table: pd.DataFrame, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Row by row as a mapping, of these columns alone: all of 300,000 rows at once would be a gigabyte."""
    for row in zip(*(table[name] for name in columns), strict=True):
        yield dict(zip(columns, row, strict=True))


def _item(sample: Mapping[Any, Any], decision: Mapping[Any, Any] | None, rules: Rules) -> tuple[Any, ...]:
    given = text(sample["given_label"])
    auto = rules.policy == "auto"
    automatic = auto and sample["split"] != "test"
    label, included, reason, weight = given, True, None, 1.0
    # people's decisions alone means: nothing of the model's, not even its soft labels; what is tested on has a label,
    # a person's or the given one, and no target to train on
    soft = sample["soft_label"] if automatic else None
    quarantine = text(sample["quarantine_reason"])
    relabelled = decision is not None and decision["action"] == "relabel"
    # an image that cannot be trusted stays out whatever was decided about its label; a label that could not be
    # read is mended by a person's
    if quarantine and not (relabelled and only_the_label(quarantine)):
        included, reason = False, f"{QUARANTINED}{sample['quarantine_reason']}"
    elif decision is not None:
        label, included, reason = by_person(given, decision, rules.ambiguous)
        if automatic and label is not None and decision["action"] in ("keep", "relabel"):
            soft = [float(name == label) for name in rules.classes]
        elif decision["shares"] is not None and sample["split"] != "test":
            soft = decision["shares"]  # what a person sees goes before what the model thinks
    elif automatic and _number(sample["p_unusable"]) > UNUSABLE_ABOVE:
        included, reason = False, f"automatic: unusable (p {_number(sample['p_unusable']):.3f})"
    elif automatic and sample["p_true"] is not None:
        own = _chance(sample["p_true"], given, rules.classes)
        suggested, likely = text(sample["suggested_label"]), _number(sample["p_suggested"])
        if suggested not in (None, given) and takes_suggestion(likely, own, change_at=rules.threshold):
            label, reason = suggested, f"automatic: suggested label (p {likely:.3f})"
        elif sample["verdict"] in DOUBTED and rules.unmended != "keep":
            reason = f"automatic: given label in doubt (p {own:.3f})"
            included, weight = rules.unmended != "drop", own if rules.unmended == "soft" else 1.0
    elif automatic and text(sample["verdict"]) is None:
        reason = "not judged: no scores, so the given label stays"
    if included and label is None:
        included, reason = False, "no label"
    return sample["sample_id"], sample["split"], given, label, included, reason, soft if included else None, weight


def leave_out(items: pd.DataFrame, why: pd.Series, splits: str) -> None:
    """Take out, in place, what the `splits` hold not: `why`, in the same order, null where a sample stays."""
    quarantined = items["reason"].fillna("").astype(str).str.startswith(QUARANTINED)
    out = why.notna().to_numpy() & ~quarantined.to_numpy(bool)
    items.loc[out, "reason"] = f"{LEFT_OUT}{splits}: " + why.to_numpy(object)[out]
    items.loc[out, ["included", "soft_label", "weight"]] = [False, None, 1.0]


def original_items(table: pd.DataFrame, beside: pd.DataFrame | None = None) -> pd.DataFrame:
    """`curated` where nothing was: every readable sample under its given label.

    With the items of a release `beside` which it is looked at: as it was when that was made, so that a picture that was
    lost since is nothing that the release had added.
    """
    items = table[["sample_id", "split", "given_label"]].copy()
    items["label"] = items["given_label"]
    quarantine = table["quarantine_reason"]
    reason = (QUARANTINED + quarantine.astype("object")).where(quarantine.notna(), None)
    if beside is not None:
        labelled = beside[beside["given_label"].notna()]  # else its reason is what became of it in the release
        then = dict(zip(labelled["sample_id"], labelled["reason"].where(~was_usable(labelled), None), strict=True))
        reason = pd.Series(
            [then.get(sample, now) for sample, now in zip(items["sample_id"], reason, strict=True)], items.index, object
        )
    items["reason"] = reason.where(reason.notna() | items["given_label"].notna(), "no label")
    items["included"] = was_usable(items)
    items["soft_label"] = None
    items["weight"] = 1.0
    return items[ITEM_COLUMNS]


def changes(before: pd.DataFrame, after: pd.DataFrame, keys: Mapping[str, str]) -> list[dict[str, Any]]:
    """Whose label or presence differs: one dict per row with sample_id, source_key, split, change (added, removed,
    relabelled), from, to, reason. Both as `curated` gives them, `keys` sample_id -> source key."""
    was, now = (
        dict(zip(frame["sample_id"][kept], frame["label"][kept], strict=True))
        for frame, kept in ((before, before["included"].astype(bool)), (after, after["included"].astype(bool)))
    )
    everyone = dict.fromkeys([*before["sample_id"], *after["sample_id"]])
    differ = [sample for sample in everyone if was.get(sample) != now.get(sample)]
    both = pd.concat([frame[["sample_id", "split", "reason"]] for frame in (before, after)])
    # the later release has the last word on split and reason
    facts = both[both["sample_id"].isin(differ)].drop_duplicates("sample_id", keep="last").set_index("sample_id")
    rows = []
    for sample, split, reason in facts.loc[differ].itertuples(name=None):
        old, new = was.get(sample), now.get(sample)
        rows.append(
            {
                "sample_id": sample,
                "source_key": keys.get(sample, sample),
                "split": split,
                "change": "added" if old is None else "removed" if new is None else "relabelled",
                "from": old,
                "to": new,
                "reason": text(reason),
            }
        )
    return rows


def moved(before: pd.DataFrame, after: pd.DataFrame, keys: Mapping[str, str]) -> list[dict[str, Any]]:
    """Who is in both, and in another split: one dict per row with sample_id, source_key, from, to. As `changes`."""
    was, now = (frame.loc[frame["included"].astype(bool), ["sample_id", "split"]] for frame in (before, after))
    both = was.merge(now, on="sample_id", suffixes=("_was", ""))
    both = both[both["split_was"] != both["split"]]
    return [
        {"sample_id": sample, "source_key": keys.get(sample, sample), "from": old, "to": new}
        for sample, old, new in both.itertuples(index=False, name=None)
    ]


def keys_of(table: pd.DataFrame) -> dict[str, str]:
    """Sample_id -> source key."""
    return dict(zip(table["sample_id"], table["source_key"], strict=True))


def by_person(given: str | None, decision: Mapping[Any, Any], ambiguous: str) -> tuple[str | None, bool, str | None]:
    """What a decision makes of a sample whose quarantine does not bar it: label, whether it is in, and the reason."""
    action, reviewer = decision["action"], decision["reviewer"]
    said = f"decision: {action} by {reviewer}"
    if action == "relabel":
        return decision["label"], True, said
    if action == "exclude" or (action == "ambiguous" and ambiguous == "exclude"):
        return given, False, said
    return given, True, said


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a release says about its own labels; None where nothing was judged.

    `before`, `after`: `label_accuracy` of the given labels and of the release's, outside the test split; `changes`: of
    the automatic ones, see `by_certainty`; `look_first`: per sample that a person should still look at, its id, source
    key, split, given label, label in the release, and `gain`, by which a look is expected to raise the number of right
    labels; `after_looking`: what `after` is expected to become.
    """

    before: accuracy.Accuracy | None = None
    after: accuracy.Accuracy | None = None
    changes: list[dict[str, float | int]]
    look_first: list[dict[str, Any]]
    after_looking: float | None = None

    def as_counts(self) -> dict[str, Any]:
        """What is stored with the release."""
        both = {"before": self.before, "after": self.after}
        told = {name: None if one is None else one.as_dict() for name, one in both.items()}
        return {"label_accuracy": None if self.after is None else told, "automatic_changes": self.changes}


def told_about(
    ws: Workspace, table: pd.DataFrame, decisions: pd.DataFrame, items: pd.DataFrame, classes: tuple[str, ...],
    *, budget: int = 0,
) -> Told:  # fmt: skip
    """How many labels are right before and after, of how many changes how sure, and where `budget` looks pay most.

    `table` and `items` in the same order. The test split, quarantined rows, and rows that neither people nor a triage
    judged are left out.
    """
    action = decisions["action"].astype("object").reindex(table["sample_id"]).fillna("").to_numpy(str)
    settled = np.isin(action, ["keep", "relabel"])
    known = settled | np.isin(action, ["ambiguous", "exclude"])
    judged = table["p_true"].notna().to_numpy()
    sound = table["quarantine_reason"].isna().to_numpy() | (settled & items["included"].to_numpy(bool))
    rows = np.flatnonzero((table["split"] != "test").to_numpy() & (known | judged) & sound)
    if not judged[rows].any():
        return Told(changes=[], look_first=[])
    given = label_names.encode(list(table["given_label"].iloc[rows]), classes)
    label = label_names.encode(list(items["label"].iloc[rows]), classes)
    right = label_names.encode(list(decisions["label"].reindex(table["sample_id"].iloc[rows])), classes)
    right = np.where(action[rows] == "relabel", right, given)
    settled, known, judged = settled[rows], known[rows], judged[rows]
    included = items["included"].to_numpy(bool)[rows]
    p_true = np.zeros((len(rows), len(classes)))
    p_true[judged] = np.stack(list(table["p_true"].iloc[rows[judged]]))

    def chance(named: np.ndarray) -> np.ndarray:
        """P(the named label is the true one): (n,); what people decided is certain."""
        said = np.where(settled, named == right, p_true[np.arange(len(rows)), named])
        return np.asarray(np.where(named < 0, 0.0, said)).clip(0.0, 1.0)

    torn = table[["p_ambiguous", "p_unusable"]].iloc[rows].fillna(0.0).to_numpy(float).sum(1)
    labelled = np.where(known, settled, (1 - torn).clip(0.0, 1.0))
    rate, learned = _error_rate(ws), learned_at_random(ws, table.iloc[rows], settled)
    after = accuracy.label_accuracy(
        chance(label)[included], labelled[included], known[included], rate=rate, learned=learned
    )
    changed = included & ~known & (label != given)
    first = accuracy.worth_a_look(chance(label)[included & ~known], labelled[included & ~known], budget)
    chosen = np.flatnonzero(included & ~known)[first]
    gain = labelled[chosen] * (1 - chance(label)[chosen])
    shown = table[["sample_id", "source_key", "split", "given_label"]].iloc[rows[chosen]]
    return Told(
        before=accuracy.label_accuracy(chance(given), labelled, known, rate=rate, learned=learned),
        after=after,
        changes=accuracy.by_certainty(chance(label)[changed], chance(given)[changed], labelled[changed]),
        look_first=[
            {**row, "label": classes[label[i]], "gain": round(float(worth), 4)}
            for row, i, worth in zip(shown.to_dict("records"), chosen, gain, strict=True)
        ],
        after_looking=None if after is None else round(min(after.estimate + float(gain.sum()) / after.faces, 1.0), 4),
    )


def learned_at_random(ws: Workspace, table: pd.DataFrame, settled: np.ndarray) -> float:
    """How many decided faces, in equal ones, the latest triage learned from that a random draw had chosen.

    `settled` (N,) bool: rows of `table` whose label people keep or change. It learns nothing from fewer
    than `fewest_decisions`.
    """
    run = runs.latest_run(ws, "triage")
    if run is None or run.metrics.get("decisions", 0) < STANDARD.fewest_decisions or not settled.any():
        return 0.0
    known = standing.random_decisions(ws, until=run.config["decisions"])
    drawn = [known[sample_id] for sample_id in table["sample_id"].to_numpy()[settled] if sample_id in known]
    chance = np.array([one.chance for one in drawn], dtype=np.float64)
    draw: np.ndarray = np.array([one.draw for one in drawn], dtype=str)
    return effective_number(design_weights(chance, draw, total=len(table)))


def _error_rate(ws: Workspace) -> ErrorRate | None:
    run = runs.latest_run(ws, "triage")
    interval: Sequence[float] | None = None if run is None else run.metrics.get("error_rate_interval")
    if run is None or interval is None:
        return None
    return ErrorRate(estimate=run.metrics["estimated_error_rate"], low=interval[0], high=interval[1])


def only_the_label(quarantine: str) -> bool:
    """Whether a sample is quarantined for nothing but its label, which a person's mends."""
    return all(part.startswith("label:") for part in reason_kind(quarantine).split("; "))


def _chance(p_true: Sequence[float], label: str | None, classes: tuple[str, ...]) -> float:
    return 0.0 if label is None else float(p_true[classes.index(label)])


def text(value: object) -> str | None:
    """None for the several ways in which a table says "nothing here"."""
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float:
    """A missing probability never passes a threshold."""
    return float("-inf") if is_missing(value) else float(value)
