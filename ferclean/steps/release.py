"""Decisions to a frozen, named curated split.

It never changes a given label, never touches the test split by itself, and never alters a release that exists.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ferclean.errors import FercleanError, UsageError, among, few
from ferclean.evidence.constants import STANDARD
from ferclean.exports.content import write_csv
from ferclean.files import check_absent, whole_file
from ferclean.parts.curating import (
    UNUSABLE_ABOVE,
    Rules,
    changes,
    curated,
    keys_of,
    leave_out,
    original_items,
    told_about,
)
from ferclean.parts.freezing import Plan, check_name, counts_of, freeze
from ferclean.printable import printable
from ferclean.progress import Progress, silent
from ferclean.store import assignments, runs
from ferclean.store.decisions import current_decisions
from ferclean.store.guidelines import guidelines
from ferclean.store.releases import NewerReleaseError, content_digest, list_releases
from ferclean.store.samples import get_dataset
from ferclean.store.table import sample_table
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

Policy = Literal["decisions", "auto"]
Unmended = Literal["soft", "keep", "drop"]
UNMENDED: Unmended = "soft"
"""What policy `auto` does by default with labels that are doubted and not mended. No face is lost (rare classes are
doubted most), and the label column is as with `keep`; `retrain` on hard labels counts each by its weight."""
THRESHOLD = STANDARD.change_at
"""Least `p_suggested` (0 to 1, high = likely the true label) of an automatic correction: more likely right than not.
The probabilities are calibrated, so a change of 0.5 to 0.6 still mends more labels than it spoils: on FER2013's
development rows, after 300 decisions, 0.5 brings 79.5 % of the clear labels right and 0.6 only 77.6 %, and of the wrong
labels that are changed 87 % become right."""


@dataclass(frozen=True, kw_only=True)
class ReleaseSummary(Summary):
    """What a release holds, in counts and as a list of changes."""

    name: str
    """The release's frozen name."""
    version: str | None
    """By Croissant's rule, see `changelog.step_between`; None of one that an earlier ferclean made."""
    changelog: dict[str, Any] | None
    """What changed since the release before, as `parts.changelog.changelog`; None as `version`."""
    policy: str
    """`decisions` or `auto`."""
    threshold: float | None
    """Least P(suggested label) of an automatic correction; None under `decisions`."""
    path: str
    """The folder with labels.parquet and release.json."""
    fingerprint: str
    """Digest of the ids and given labels that it was made from."""
    counts: dict[str, Any]
    """`before` and `after`: split -> class -> samples; `reasons`: why rows changed or were left out -> samples;
    `label_accuracy` and `automatic_changes`: `curating.Told.as_counts`."""
    changes: list[dict[str, Any]] = field(repr=False)
    """One dict per changed row; keys as in `curating.changes`."""
    look_first: list[dict[str, Any]] = field(default_factory=list, repr=False)
    """The faces that a person should still look at, the most worthwhile first, as many as the budget allows."""
    after_looking: float | None = None
    """The label accuracy that is expected once they have been decided; None without verdicts."""
    splits: dict[str, Any] | None = None
    """The name and the facts of the splits that it was divided by; None: as published."""
    unchanged_since: str | None = None
    """When the same content was released under this name before; None for a new release."""
    dry_run: bool = False
    """True when nothing was written."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        changed = {name: self.counts[name] for name in ("relabelled", "left_out")}
        return super().as_dict() | changed


def release(
    ws: Workspace,
    name: str | None = None,
    *,
    policy: Policy = "decisions",
    threshold: float | None = None,
    ambiguous: Literal["keep", "exclude"] = "keep",
    unmended: Unmended | None = None,
    on_conflict: Literal["refuse", "latest"] = "refuse",
    splits: str | None = None,
    budget: int = 0,
    ids_to: str | Path | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> ReleaseSummary:
    """Freeze the curated split under a name, in the store and under `releases/<name>/`; without one under its version.

    The version, and what changed since the newest release before it, are stored with it. Without a name nothing is made
    where nothing changed since.

    People's decisions: keep keeps the given label, relabel replaces it, exclude leaves the image out, ambiguous
    keeps the given label (or leaves the image out with `ambiguous="exclude"`), skip decides nothing. Policy `auto`
    also corrects undecided samples outside the test split: where the suggested label has a probability of at least
    `threshold`, and a higher one than the given label, it takes its place; unusable images are left out. What the
    verdicts doubt and nothing mends keeps its label: with `unmended` "soft" (the default) it weighs as much as P(given
    label), with "keep" 1, with "drop" it is left out. People win over automatic corrections. Quarantined images are
    left out with their reason. The same name with the same content is a no-op.

    Under `auto` each item outside the test split has a soft label, the verdict's or, where people keep or change the
    label, all of it on theirs; under `decisions` there is nothing of the model's: the label alone is the target. Where
    people said which expressions an ambiguous face shows, the mean of their shares is its soft label. Under both the
    summary says how many labels are right before and after, as the verdicts expect it, and at which `budget` faces a
    person should still look, which `ids_to` takes as a CSV file, also in a dry run.

    With `splits`, the name of what `ferclean split` kept, each sample is in its split there, and exports and `retrain`
    follow; what these leave out is left out.

    Raises UsageError for a bad name, policy or threshold, for a `threshold` or `unmended` under `decisions`, where they
    mean nothing, for unknown splits or such as do not know all samples, and for a taken name with other content, in
    the store or in the folder; FercleanError when reviewers disagree and `on_conflict` is "refuse", and where `auto` or
    a `budget` has no verdicts to go by.
    """
    if policy == "decisions":
        for option, given in (("--threshold", threshold), ("--unmended", unmended)):
            if given is not None:
                raise UsageError(
                    f"{option} counts under policy auto alone, and this is policy decisions: leave it out, or give "
                    "--policy auto"
                )
    threshold = THRESHOLD if threshold is None else threshold
    unmended = UNMENDED if unmended is None else unmended
    if name is not None:
        check_name(name)
    _check_options(policy, threshold, ambiguous, unmended, on_conflict, budget)
    if ids_to is not None and not budget:
        raise UsageError("--ids-to takes the faces that --budget N names: say how many")
    if ids_to is not None:
        check_absent(Path(ids_to), "--ids-to")
    while True:
        try:
            return _release(
                ws, name, policy=policy, threshold=threshold, ambiguous=ambiguous, unmended=unmended,
                on_conflict=on_conflict, splits=splits, budget=budget, ids_to=ids_to, dry_run=dry_run,
                progress=progress,
            )  # fmt: skip
        except NewerReleaseError:
            continue  # somebody was quicker: the version and what changed follow from their release


def _release(
    ws: Workspace, name: str | None, *, policy: Policy, threshold: float, ambiguous: Literal["keep", "exclude"],
    unmended: Unmended, on_conflict: str, splits: str | None, budget: int, ids_to: str | Path | None, dry_run: bool,
    progress: Progress,
) -> ReleaseSummary:  # fmt: skip
    """`release` by options that were checked. Raises NewerReleaseError, with nothing written, where it must begin
    again."""
    progress("reading decisions", 0, 3)
    known = list_releases(ws)  # before all that a later one may rest on
    by_verdicts = policy == "auto" or bool(budget)
    # verdicts that were deleted bar nobody from what people said
    dataset, table = get_dataset(ws), sample_table(ws, lists=("soft_label", "p_true"), lost_ok=not by_verdicts)
    if by_verdicts and table["run_id"].isna().all():
        raise FercleanError(
            f"{'policy auto' if policy == 'auto' else '--budget'} goes by verdicts, and nothing was judged; run "
            f"`ferclean {'triage' if runs.latest_run(ws, 'score') else 'score'}` first, or release people's decisions "
            f"alone{' with --policy decisions' if policy == 'auto' else ', without --budget'}"
        )
    published, divided = table, dict[str, Any]()
    if splits is not None:
        new, facts = assignments.assigned(ws, splits, list(table["sample_id"]))
        table = table.assign(split=new["split"].to_numpy())
        told_of = ("digest", "shares", "by", "balance", "seed", "kept_test", "new_test")
        divided = {"splits": {"name": splits} | {name: facts.get(name) for name in told_of}}
    decisions = _decisions(ws, table, on_conflict)
    rules = Rules(policy=policy, threshold=threshold, unmended=unmended, ambiguous=ambiguous, classes=dataset.classes)
    items = curated(table, decisions, rules)
    if splits is not None:
        leave_out(items, new["left_out"], splits)
    told = told_about(ws, table, decisions, items, dataset.classes, budget=budget)
    progress("freezing the split", 1, 3)

    config: dict[str, Any] = {
        "policy": policy,
        "threshold": threshold if policy == "auto" else None,
        "ambiguous": ambiguous,
        "unmended": unmended if policy == "auto" else None,
        "on_conflict": on_conflict,
        "unusable_above": UNUSABLE_ABOVE if policy == "auto" else None,
        "triage_run": _triage_run(table) if policy == "auto" else None,
        "dataset": dataset.name,
        "reviewers": sorted(set(decisions["reviewer"].dropna())),
        "content": content_digest(items),
    } | divided
    if told_by_people := guidelines(ws):  # what labels mean belongs to what is released, and is not its content
        config["guidelines"] = [one.as_dict() for one in told_by_people.values()]
    counts = counts_of(items, dataset.classes) | told.as_counts()
    plan = Plan(policy=policy, threshold=config["threshold"], config=config, counts=counts)
    made = freeze(
        ws, name, plan, items, published, known=known, beside=("guidelines",), dry_run=dry_run, progress=progress
    )
    if ids_to is not None:
        _write_look_first(Path(ids_to), told.look_first)
    return ReleaseSummary(
        name=made.release.name,
        version=made.release.config.get("version"),
        changelog=made.release.config.get("changelog"),
        policy=made.release.policy,
        threshold=made.release.threshold,
        path=str(made.folder),
        fingerprint=made.release.fingerprint,
        counts=counts,  # in the order of the classes, which the store does not keep
        changes=changes(original_items(published), items, keys_of(table)),
        look_first=told.look_first,
        after_looking=told.after_looking,
        splits=made.release.config.get("splits"),
        unchanged_since=made.unchanged_since,
        dry_run=dry_run,
    )


def _check_options(policy: str, threshold: float, ambiguous: str, unmended: str, on_conflict: str, budget: int) -> None:
    for option, value, known in (
        ("policy", policy, ("decisions", "auto")),
        ("ambiguous", ambiguous, ("keep", "exclude")),
        ("unmended", unmended, ("soft", "keep", "drop")),
        ("on_conflict", on_conflict, ("refuse", "latest")),
    ):
        if value not in known:
            raise UsageError(f"unknown {option} {value!r}; {among(value, known)}")
    if not 0 < threshold <= 1:
        raise UsageError(f"threshold is a probability above 0 and at most 1, not {threshold}")
    if budget < 0:
        raise UsageError(f"a budget is 0 faces or more, not {budget}")


def _decisions(ws: Workspace, table: pd.DataFrame, on_conflict: str) -> pd.DataFrame:
    """Current decisions indexed by sample_id; refuses open conflicts unless the latest is to win."""
    decisions = current_decisions(ws).set_index("sample_id")
    open_conflicts = decisions.index[decisions["conflict"].astype(bool)]
    if len(open_conflicts) and on_conflict == "refuse":
        keys = keys_of(table)
        named = few((printable(keys[sample]) for sample in open_conflicts), 20)
        raise FercleanError(
            f"reviewers disagree on {len(open_conflicts)} samples: {named}; "
            "list and settle them with `ferclean decide --adjudicate`, or let the latest decision win with "
            "--on-conflict latest"
        )
    return decisions


def _write_look_first(path: Path, rows: list[dict[str, Any]]) -> None:
    columns = ("sample_id", "source_key", "split", "given_label", "label", "gain")
    with whole_file(path, elsewhere="name another file with --ids-to") as draft:
        write_csv(draft, columns, ([row[name] for name in columns] for row in rows))


def _triage_run(table: pd.DataFrame) -> str | None:
    runs = table["run_id"].dropna().unique()
    return str(runs[0]) if len(runs) else None
