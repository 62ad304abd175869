"""Items become a release: its name, version, changelog and counts, in the store and as files under `releases/`.

It never decides what becomes of a sample, and never alters a release that exists.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ferclean.derived import reading
from ferclean.errors import UsageError
from ferclean.exports.content import ORIGINAL
from ferclean.files import whole_folder
from ferclean.parts.changelog import changelog, items_of, step_between, version_after
from ferclean.parts.curating import keys_of
from ferclean.progress import Progress
from ferclean.store.releases import Release, content_digest, put_release
from ferclean.store.samples import fingerprint
from ferclean.store.workspace import Workspace

LABELS, FACTS = "labels.parquet", "release.json"
"""The files in a release's folder: its items, and everything else that is recorded of it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SAID = ("content", "policy", "threshold", "ambiguous", "unmended")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be recorded of a release beside its items."""

    policy: str
    threshold: float | None
    config: dict[str, Any]
    """With `content`, the items' digest; `freeze` adds version and changelog."""
    counts: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A release that stands, or would."""

    release: Release
    folder: Path
    unchanged_since: str | None
    """When the same content was released under this name before; None for a new release."""


def check_name(name: str) -> None:
    """Raise UsageError for what cannot name a release."""
    if not _NAME.fullmatch(name) or name == ORIGINAL:
        raise UsageError(
            f"{name!r} cannot name a release: up to 64 letters, digits, '.', '_' or '-', starting with a letter or "
            f"digit, and not {ORIGINAL!r} (the set as it was given)"
        )


def freeze(
    ws: Workspace, name: str | None, plan: Plan, items: pd.DataFrame, table: pd.DataFrame, *, known: Sequence[Release],
    beside: tuple[str, ...] = (), dry_run: bool = False, progress: Progress,
) -> Frozen:  # fmt: skip
    """Put a release of `items` (as `curating.curated`) under a name; without one under its version, and none is made
    where it would say what the newest of `known` says, in what is named `beside` of their configs, too.

    `known` are the releases as they were before all that this one rests on was read, `table` is the `sample_table`.
    Raises NewerReleaseError, with nothing written, where there are others by now: begin again; UsageError for a name
    that holds another content, in the store or in the folder. With `dry_run` nothing is written.
    """
    config, newest = dict(plan.config), known[-1] if known else None
    if name is None and newest is not None and not _differs(newest.config, config, beside=beside):
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
        policy=plan.policy,
        threshold=plan.threshold,
        created_at=datetime.now(UTC).isoformat(timespec="microseconds"),  # `revert` tells what was said since
        fingerprint=fingerprint(ws),
        config=config,
        counts=plan.counts,
    )
    folder = ws.releases / made.name
    written = _lies_there(folder, config)
    if not dry_run:
        if existing is None:
            put_release(ws, made, items, seen=[one.name for one in known])
        progress("writing the release's files", 2, 3)
        if not written:
            _write_folder(folder, made, items, table)
        progress("released", 3, 3)
    return Frozen(release=made, folder=folder, unchanged_since=None if existing is None else str(existing.created_at))


def counts_of(items: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Any]:
    """What a release holds: `before` and `after` (split -> class -> samples), included, left_out, relabelled, and
    `reasons` (why -> samples)."""
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
    return any(said.get(key) != config.get(key) for key in (*_SAID, *beside))


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
