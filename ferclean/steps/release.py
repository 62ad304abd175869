"""Decisions to a frozen, named curated split, and the difference between two of them.

It never changes a given label, never touches the test split by itself, and never alters a release that exists.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ferclean.errors import FercleanError, UsageError, among, few
from ferclean.files import whole_folder
from ferclean.printable import printable
from ferclean.progress import Progress, silent
from ferclean.sources.rows import reason_kind
from ferclean.store.decisions import current_decisions
from ferclean.store.releases import Release, get_release, get_release_items, list_releases, put_release
from ferclean.store.samples import fingerprint, get_dataset
from ferclean.store.table import sample_table
from ferclean.store.workspace import Workspace

Policy = Literal["decisions", "auto"]
ORIGINAL = "original"
"""Pseudo release for `diff` and `export`: every readable sample under its given label. Nobody may take the name."""

THRESHOLD = 0.5
"""Least `p_mislabelled` (0 to 1, high = likely wrong) of an automatic correction: more likely wrong than not."""

UNUSABLE_ABOVE = 0.5
"""Policy `auto` leaves an image out when `p_unusable` (0 to 1, high = no readable face) is above this."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ITEM_COLUMNS = ["sample_id", "split", "given_label", "label", "included", "reason", "soft_label"]


@dataclass(frozen=True, kw_only=True)
class ReleaseSummary:
    """What a release holds, in counts and as a list of changes."""

    name: str
    """The release's frozen name."""
    policy: str
    """`decisions` or `auto`."""
    threshold: float | None
    """Least `p_mislabelled` of an automatic correction; None under `decisions`."""
    path: str
    """The folder with labels.parquet and release.json."""
    fingerprint: str
    """Digest of the ids and given labels that it was made from."""
    counts: dict[str, Any]
    """`before` and `after`: split -> class -> samples; `reasons`: why rows changed or were left out -> samples."""
    changes: list[dict[str, Any]] = field(repr=False)
    """One dict per changed row; keys as in `ReleaseDiff.changes`."""
    unchanged_since: str | None = None
    """When the same content was released under this name before; None for a new release."""
    dry_run: bool = False
    """True when nothing was written."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        changed = {name: self.counts[name] for name in ("relabelled", "left_out")}
        return asdict(self) | changed


@dataclass(frozen=True, kw_only=True)
class ReleaseDiff:
    """The label changes that lead from one release to another."""

    before: str
    after: str
    changes: list[dict[str, Any]] = field(repr=False)
    """One dict per row: sample_id, source_key, split, change (added, removed, relabelled), from, to, reason."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `added`, `removed` and `relabelled` are counts."""
        kinds = Counter(change["change"] for change in self.changes)
        return {
            "before": self.before,
            "after": self.after,
            **{kind: kinds[kind] for kind in ("added", "removed", "relabelled")},
            "changes": self.changes,
        }

    def as_lines(self) -> list[str]:
        """One line per changed row, as a pull request shows it: `~ train_00012  anger -> fear  (reason)`."""
        lines = []
        for change in self.changes:
            sign = {"added": "+", "removed": "-", "relabelled": "~"}[change["change"]]
            labels = " -> ".join(change[side] or "left out" for side in ("from", "to"))
            shown = printable(change["source_key"])
            lines.append(f"{sign} {change['split']}  {shown}  {labels}  ({change['reason'] or 'as given'})")
        return lines


def release(
    ws: Workspace,
    name: str,
    *,
    policy: Policy = "decisions",
    threshold: float | None = None,
    ambiguous: Literal["keep", "exclude"] = "keep",
    on_conflict: Literal["refuse", "latest"] = "refuse",
    dry_run: bool = False,
    progress: Progress = silent,
) -> ReleaseSummary:
    """Freeze the curated split under a name, in the store and under `releases/<name>/`.

    People's decisions: keep keeps the given label, relabel replaces it, exclude leaves the image out, ambiguous
    keeps the given label (or leaves the image out with `ambiguous="exclude"`), skip decides nothing. Policy `auto`
    also corrects undecided samples outside the test split: verdict `mislabelled` with `p_mislabelled` (0 to 1, high
    = likely wrong) at or above `threshold` takes the suggested label, and unusable images are left out. People win
    over automatic corrections. Quarantined images are left out with their reason. The same name with the same
    content is a no-op.

    Raises UsageError for a bad name, policy or threshold and for a taken name with other content; FercleanError
    when reviewers disagree and `on_conflict` is "refuse".
    """
    threshold = THRESHOLD if threshold is None else threshold
    _check_options(name, policy, threshold, ambiguous, on_conflict)
    progress("reading decisions", 0, 3)
    dataset, table = get_dataset(ws), sample_table(ws)
    decisions = _decisions(ws, table, on_conflict)
    items = _items(table, decisions, policy=policy, threshold=threshold, ambiguous=ambiguous)
    progress("freezing the split", 1, 3)

    config: dict[str, Any] = {
        "policy": policy,
        "threshold": threshold if policy == "auto" else None,
        "ambiguous": ambiguous,
        "on_conflict": on_conflict,
        "unusable_above": UNUSABLE_ABOVE if policy == "auto" else None,
        "triage_run": _triage_run(table) if policy == "auto" else None,
        "dataset": dataset.name,
        "reviewers": sorted(set(decisions["reviewer"].dropna())),
        "content": _content_digest(items),
    }
    counts = _counts(items, dataset.classes)
    made = Release(
        name=name,
        policy=policy,
        threshold=config["threshold"],
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        fingerprint=fingerprint(ws),
        config=config,
        counts=counts,
    )
    existing = next((known for known in list_releases(ws) if known.name == name), None)
    if existing is not None:
        recorded = ("content", "policy", "threshold", "ambiguous")
        if any(existing.config.get(key) != config[key] for key in recorded):
            raise UsageError(
                f"release {name!r} is frozen since {existing.created_at} and its content or policy differs from "
                f"what would be released now; choose another name, and see `ferclean diff {name} NEW_NAME`"
            )
        made = existing
    folder = ws.releases / name
    if not dry_run:
        if existing is None:
            put_release(ws, made, items)
        progress("writing the release's files", 2, 3)
        _write_folder(folder, made, items, table)
        progress("released", 3, 3)
    return ReleaseSummary(
        name=name,
        policy=made.policy,
        threshold=made.threshold,
        path=str(folder),
        fingerprint=made.fingerprint,
        counts=counts,  # in the order of the classes, which the store does not keep
        changes=_changes(_original_items(table), items, _keys(table)),
        unchanged_since=None if existing is None else str(existing.created_at),
        dry_run=dry_run,
    )


def diff(ws: Workspace, before: str, after: str) -> ReleaseDiff:
    """The rows whose label or presence differs between two releases; "original" is the set as it was given.

    Raises UsageError for an unknown release.
    """
    with ws.reading("diff"):
        table = sample_table(ws)

        def items(name: str) -> pd.DataFrame:
            if name == ORIGINAL:
                return _original_items(table)
            get_release(ws, name)  # names the known ones when there is no such release
            return get_release_items(ws, name)

        return ReleaseDiff(before=before, after=after, changes=_changes(items(before), items(after), _keys(table)))


def _check_options(name: str, policy: str, threshold: float, ambiguous: str, on_conflict: str) -> None:
    if not _NAME.fullmatch(name) or name == ORIGINAL:
        raise UsageError(
            f"{name!r} cannot name a release: up to 64 letters, digits, '.', '_' or '-', starting with a letter or "
            f"digit, and not {ORIGINAL!r} (the set as it was given)"
        )
    for option, value, known in (
        ("policy", policy, ("decisions", "auto")),
        ("ambiguous", ambiguous, ("keep", "exclude")),
        ("on_conflict", on_conflict, ("refuse", "latest")),
    ):
        if value not in known:
            raise UsageError(f"unknown {option} {value!r}; {among(value, known)}")
    if not 0 < threshold <= 1:
        raise UsageError(f"threshold is a probability above 0 and at most 1, not {threshold}")


def _decisions(ws: Workspace, table: pd.DataFrame, on_conflict: str) -> pd.DataFrame:
    """Current decisions indexed by sample_id; refuses open conflicts unless the latest is to win."""
    decisions = current_decisions(ws).set_index("sample_id")
    open_conflicts = decisions.index[decisions["conflict"].astype(bool)]
    if len(open_conflicts) and on_conflict == "refuse":
        keys = _keys(table)
        named = few((printable(keys[sample]) for sample in open_conflicts), 20)
        raise FercleanError(
            f"reviewers disagree on {len(open_conflicts)} samples: {named}; "
            "list and settle them with `ferclean decide --adjudicate`, or let the latest decision win with "
            "--on-conflict latest"
        )
    return decisions


def _items(
    table: pd.DataFrame, decisions: pd.DataFrame, *, policy: str, threshold: float, ambiguous: str
) -> pd.DataFrame:
    """One row per sample: what becomes of it, and why."""
    by_sample = decisions.to_dict("index")
    rows = []
    for sample in table.to_dict("records"):
        given = _text(sample["given_label"])
        decision = by_sample.get(sample["sample_id"])
        automatic = policy == "auto" and sample["split"] != "test"
        label, included, reason = given, True, None
        quarantine = _text(sample["quarantine_reason"])
        relabelled = decision is not None and decision["action"] == "relabel"
        # an image that cannot be trusted stays out whatever was decided about its label; a label that could not be
        # read is mended by a person's
        if quarantine and not (relabelled and _only_the_label(quarantine)):
            included, reason = False, f"quarantined: {sample['quarantine_reason']}"
        elif decision is not None and decision["action"] != "skip":
            label, included, reason = _by_person(given, decision, ambiguous)
        elif automatic and _number(sample["p_unusable"]) > UNUSABLE_ABOVE:
            included, reason = False, f"automatic: unusable (p {_number(sample['p_unusable']):.3f})"
        elif (
            automatic
            and sample["verdict"] == "mislabelled"
            and _number(sample["p_mislabelled"]) >= threshold
            and _text(sample["suggested_label"]) not in (None, given)
        ):
            label = _text(sample["suggested_label"])
            reason = f"automatic: mislabelled (p {_number(sample['p_mislabelled']):.3f})"
        if included and label is None:
            included, reason = False, "no label"
        # people's decisions alone means: nothing of the model's, not even its soft labels
        soft = sample["soft_label"] if policy == "auto" and included else None
        rows.append((sample["sample_id"], sample["split"], given, label, included, reason, soft))
    return pd.DataFrame(rows, columns=_ITEM_COLUMNS)


def _only_the_label(quarantine: str) -> bool:
    return all(part.startswith("label:") for part in reason_kind(quarantine).split("; "))


def _by_person(given: str | None, decision: Mapping[Any, Any], ambiguous: str) -> tuple[str | None, bool, str | None]:
    action, reviewer = decision["action"], decision["reviewer"]
    said = f"decision: {action} by {reviewer}"
    if action == "relabel":
        return decision["label"], True, said
    if action == "exclude" or (action == "ambiguous" and ambiguous == "exclude"):
        return given, False, said
    return given, True, said


def _original_items(table: pd.DataFrame) -> pd.DataFrame:
    items = table[["sample_id", "split", "given_label"]].copy()
    items["label"] = items["given_label"]
    items["included"] = table["quarantine_reason"].isna() & table["given_label"].notna()
    items["reason"] = None
    return items


def _changes(before: pd.DataFrame, after: pd.DataFrame, keys: Mapping[str, str]) -> list[dict[str, Any]]:
    old = before[before["included"].astype(bool)].set_index("sample_id")["label"].to_dict()
    new = after[after["included"].astype(bool)].set_index("sample_id")["label"].to_dict()
    facts = {
        row["sample_id"]: row for frame in (before, after) for row in frame.to_dict("records")
    }  # the later release has the last word on split and reason
    rows = []
    for sample, fact in facts.items():
        was, now = old.get(sample), new.get(sample)
        if was == now:
            continue
        rows.append(
            {
                "sample_id": sample,
                "source_key": keys.get(sample, sample),
                "split": fact["split"],
                "change": "added" if was is None else "removed" if now is None else "relabelled",
                "from": was,
                "to": now,
                "reason": _text(fact["reason"]),
            }
        )
    return rows


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


def _content_digest(items: pd.DataFrame) -> str:
    """Digest of what a release says about each sample, whatever the order of rows."""
    digest = sha256()
    for row in items.sort_values("sample_id").to_dict("records"):
        said = [row["sample_id"], row["split"], _text(row["label"]), bool(row["included"])]
        digest.update(json.dumps(said, ensure_ascii=True).encode() + b"\n")
    return digest.hexdigest()


def _write_folder(folder: Path, made: Release, items: pd.DataFrame, table: pd.DataFrame) -> None:
    """Both files appear together or not at all; an existing folder is left as it is."""
    if folder.exists():
        return
    with whole_folder(folder) as draft:
        labels = items.merge(table[["sample_id", "source_key"]], on="sample_id", how="left")
        labels.drop(columns="soft_label").to_parquet(draft / "labels.parquet", index=False)
        facts = {"schema": 1, **asdict(made)}
        text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)
        (draft / "release.json").write_text(text + "\n", encoding="utf-8")


def _triage_run(table: pd.DataFrame) -> str | None:
    runs = table["run_id"].dropna().unique()
    return str(runs[0]) if len(runs) else None


def _keys(table: pd.DataFrame) -> dict[str, str]:
    return dict(zip(table["sample_id"], table["source_key"], strict=True))


def _text(value: object) -> str | None:
    """None for the several ways in which a table says "nothing here"."""
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float:
    """A missing probability never passes a threshold."""
    return float(value) if value is not None and not pd.isna(value) else float("-inf")
