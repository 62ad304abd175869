"""Decisions to a frozen, named curated split.

It never changes a given label, never touches the test split by itself, and never alters a release that exists.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ferclean.derived import reading
from ferclean.errors import FercleanError, UsageError, among, few
from ferclean.evidence.constants import STANDARD
from ferclean.exports.content import ORIGINAL, write_csv
from ferclean.files import check_absent, whole_file, whole_folder
from ferclean.parts.changelog import changelog, items_of, step_between, version_after
from ferclean.parts.curating import (
    UNUSABLE_ABOVE,
    Rules,
    changes,
    curated,
    keys_of,
    original_items,
    told_about,
)
from ferclean.printable import printable
from ferclean.progress import Progress, silent
from ferclean.store import runs
from ferclean.store.decisions import current_decisions
from ferclean.store.guidelines import guidelines
from ferclean.store.releases import NewerReleaseError, Release, content_digest, list_releases, put_release
from ferclean.store.samples import fingerprint, get_dataset
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

LABELS, FACTS = "labels.parquet", "release.json"
"""The files in a release's folder: its items, and everything else that is recorded of it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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

    Raises UsageError for a bad name, policy or threshold, for a `threshold` or `unmended` under `decisions`, where they
    mean nothing, and for a taken name with other content, in the store or in the folder; FercleanError when reviewers
    disagree and `on_conflict` is "refuse", and where `auto` or a `budget` has no verdicts to go by.
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
        _check_name(name)
    _check_options(policy, threshold, ambiguous, unmended, on_conflict, budget)
    if ids_to is not None and not budget:
        raise UsageError("--ids-to takes the faces that --budget N names: say how many")
    if ids_to is not None:
        check_absent(Path(ids_to), "--ids-to")
    while True:
        try:
            return _release(
                ws, name, policy=policy, threshold=threshold, ambiguous=ambiguous, unmended=unmended,
                on_conflict=on_conflict, budget=budget, ids_to=ids_to, dry_run=dry_run, progress=progress,
            )  # fmt: skip
        except NewerReleaseError:
            continue  # somebody was quicker: the version and what changed follow from their release


def _release(
    ws: Workspace, name: str | None, *, policy: Policy, threshold: float, ambiguous: Literal["keep", "exclude"],
    unmended: Unmended, on_conflict: str, budget: int, ids_to: str | Path | None, dry_run: bool, progress: Progress,
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
    decisions = _decisions(ws, table, on_conflict)
    rules = Rules(policy=policy, threshold=threshold, unmended=unmended, ambiguous=ambiguous, classes=dataset.classes)
    items = curated(table, decisions, rules)
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
    }
    if told_by_people := guidelines(ws):  # what labels mean belongs to what is released, and is not its content
        config["guidelines"] = [one.as_dict() for one in told_by_people.values()]
    counts = _counts(items, dataset.classes) | told.as_counts()
    newest = known[-1] if known else None
    if name is None and newest is not None and not _differs(newest.config, config, beside=("guidelines",)):
        name = newest.name
    existing = next((one for one in known if one.name == name), None)
    if existing is not None and _differs(existing.config, config):
        raise UsageError(
            f"release {name!r} is frozen since {existing.created_at} and its content or policy differs from "
            f"what would be released now; choose another name, and see `ferclean diff {name} NEW_NAME`"
        )
    if existing is None:
        since = ORIGINAL if newest is None else newest.name
        before = items_of(ws, since, table)
        step, why = step_between(before, items)
        config["version"] = version_after(newest, step, name=name)
        config["changelog"] = changelog(since, before, items, keys_of(table), step=step if newest else None, why=why)
    made = existing or Release(
        name=name or config["version"],
        policy=policy,
        threshold=config["threshold"],
        created_at=datetime.now(UTC).isoformat(timespec="microseconds"),  # `revert` tells what was said since
        fingerprint=fingerprint(ws),
        config=config,
        counts=counts,
    )
    folder = ws.releases / made.name
    written = _lies_there(folder, config)
    if not dry_run and existing is None:
        put_release(ws, made, items, seen=[one.name for one in known])
    if ids_to is not None:
        _write_look_first(Path(ids_to), told.look_first)
    if not dry_run:
        progress("writing the release's files", 2, 3)
        if not written:
            _write_folder(folder, made, items, table)
        progress("released", 3, 3)
    return ReleaseSummary(
        name=made.name,
        version=made.config.get("version"),
        changelog=made.config.get("changelog"),
        policy=made.policy,
        threshold=made.threshold,
        path=str(folder),
        fingerprint=made.fingerprint,
        counts=counts,  # in the order of the classes, which the store does not keep
        changes=changes(original_items(table), items, keys_of(table)),
        look_first=told.look_first,
        after_looking=told.after_looking,
        unchanged_since=None if existing is None else str(existing.created_at),
        dry_run=dry_run,
    )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name == ORIGINAL:
        raise UsageError(
            f"{name!r} cannot name a release: up to 64 letters, digits, '.', '_' or '-', starting with a letter or "
            f"digit, and not {ORIGINAL!r} (the set as it was given)"
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


def _counts(items: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Any]:
    included = items[items["included"]]
    reasons = items["reason"].dropna().str.replace(r" \(p .*\)$", "", regex=True)
    return {
        "before": _per_class(items, "given_label", classes),
        "after": _per_class(included, "label", classes),
        "included": len(included),
        "left_out": len(items) - len(included),
        "relabelled": int((included["label"] != included["given_label"]).sum()),
        "reasons": {str(reason): int(n) for reason, n in reasons.value_counts().sort_index().items()},
    }


def _per_class(items: pd.DataFrame, column: str, classes: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Split -> every class in the card's order -> samples."""
    found = Counter(zip(items["split"], items[column], strict=True))
    splits = dict.fromkeys(items["split"])
    return {split: {name: found[split, name] for name in classes} for split in splits}


def _differs(said: dict[str, Any], config: dict[str, Any], *, beside: tuple[str, ...] = ()) -> bool:
    """Whether a release's recorded config is another one's in what it says of the samples, or in how it came to it, or
    in what is named `beside`."""
    keys = ("content", "policy", "threshold", "ambiguous", "unmended", *beside)
    return any(said.get(key) != config.get(key) for key in keys)


def _lies_there(folder: Path, config: dict[str, Any]) -> bool:
    """Whether the files of a release with this config lie at `folder` already; an empty folder holds none.

    Raises UsageError where others lie there, such as those of a release that a restored backup does not know; and what
    `reading` raises where they cannot be read. None of them is touched.
    """
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return False
    way_on = "nothing was changed: choose another name, or move that folder away"
    labels, facts = folder / LABELS, folder / FACTS
    with reading(labels, way_on):
        content = content_digest(pd.read_parquet(labels))
    with reading(facts, way_on):
        said = json.loads(facts.read_text("utf-8"))["config"]
        differs = _differs(said | {"content": content}, config)
    if differs:
        raise UsageError(
            f"{folder} holds the files of another release of this name, as from before a backup was restored; {way_on}"
        )
    return True


def _write_folder(folder: Path, made: Release, items: pd.DataFrame, table: pd.DataFrame) -> None:
    """Both files appear together or not at all."""
    with whole_folder(folder) as draft:
        labels = items.merge(table[["sample_id", "source_key"]], on="sample_id", how="left")
        labels.to_parquet(draft / LABELS, index=False)
        facts = {"schema": 1, **asdict(made)}
        body = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)
        (draft / FACTS).write_text(body + "\n", encoding="utf-8")


def _write_look_first(path: Path, rows: list[dict[str, Any]]) -> None:
    columns = ("sample_id", "source_key", "split", "given_label", "label", "gain")
    with whole_file(path, elsewhere="name another file with --ids-to") as draft:
        write_csv(draft, columns, ([row[name] for name in columns] for row in rows))


def _triage_run(table: pd.DataFrame) -> str | None:
    runs = table["run_id"].dropna().unique()
    return str(runs[0]) if len(runs) else None
