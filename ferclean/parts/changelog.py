"""What a release changed since the one before it: its version by Croissant's rule, and in counts per flow, by whom.

It reads items as `curating` makes them and `store.releases` keeps them; it writes nothing and decides nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from ferclean.exports.content import ORIGINAL
from ferclean.parts.curating import changes, original_items
from ferclean.store.releases import Release, get_release, get_release_items
from ferclean.store.workspace import Workspace

FIRST = "1.0.0"
MODEL = "automatic"
"""Who changed what no person decided, in words; for `decider` it is nobody, since a person may have that name."""
LEFT_OUT = "left out"

Step = Literal["major", "minor", "patch"]
_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})")
_DECIDED = re.compile(r"decision: \w+ by (.*)", re.DOTALL)


def items_of(ws: Workspace, name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A release's items, or those of "original", the set of `table` as it was given.

    Raises UsageError, naming the known ones, for an unknown release.
    """
    if name == ORIGINAL:
        return original_items(table)
    get_release(ws, name)
    return get_release_items(ws, name)


def items_of_both(ws: Workspace, before: str, after: str, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`items_of` two that are looked at beside one another: "original" as it was when the other one was made."""
    names = (before, after)
    beside = next((items_of(ws, name, table) for name in names if name != ORIGINAL), None)
    old, new = (original_items(table, beside) if name == ORIGINAL else items_of(ws, name, table) for name in names)
    return old, new


def decider(reason: str | None) -> str | None:
    """Whose decision a reason tells of; None for none, as of what is automatic.

    >>> decider("decision: relabel by ann"), decider("automatic: suggested label (p 0.912)"), decider(None)
    ('ann', None, None)
    """
    found = _DECIDED.fullmatch(reason or "")
    return found[1] if found else None


def step_between(before: pd.DataFrame, after: pd.DataFrame) -> tuple[Step, list[str]]:
    """Which part of the version a change raises, and why, in words with counts; [] where the data is the same.

    Croissant 1.0, "Version": PATCH where the data is the same; MINOR where what was there is the same and can still be
    had as it was, beside new fields or new records of another split; MAJOR where records were edited, removed, moved
    to another split, or added where they cannot be told from the old ones. So a changed label is MAJOR.
    """
    was, now = (frame[frame["included"].astype(bool)].set_index("sample_id") for frame in (before, after))
    both = was.index.intersection(now.index, sort=False)
    old, new = was.loc[both], now.loc[both]
    came = now.loc[now.index.difference(both, sort=False), "split"]
    into_old = int(came.isin(set(was["split"])).sum())
    edited, added = _targets_changed(old["soft_label"], new["soft_label"])
    major = [
        (len(was) - len(both), "removed"),
        (int((old["label"] != new["label"]).sum()), "with another label"),
        (int((old["split"] != new["split"]).sum()), "in another split"),
        (int(((old["weight"] - new["weight"]).abs() > 1e-6).sum()), "with another weight"),
        (edited, "with another soft label"),
        (into_old, "added to a split that had faces"),
    ]
    minor = [(len(came) - into_old, "added as a new split"), (added, "with a soft label that had none")]
    for step, found in (("major", major), ("minor", minor)):
        why = [f"{count:,} face{'' if count == 1 else 's'} {what}" for count, what in found if count]
        if why:
            return step, why  # type: ignore[return-value]
    return "patch", []


def _targets_changed(old: pd.Series, new: pd.Series) -> tuple[int, int]:
    """How many soft labels are others than before or gone, and how many came where there was none."""
    had, has = old.notna().to_numpy(), new.notna().to_numpy()
    edited, stay = int((had & ~has).sum()), had & has
    if stay.any():
        moved = np.abs(np.stack(list(old[stay])) - np.stack(list(new[stay]))).max(1)
        edited += int((moved > 1e-6).sum())
    return edited, int((has & ~had).sum())


def version_after(before: Release | None, step: Step, *, name: str | None = None) -> str:
    """The version that follows the release `before`; FIRST where there is none.

    A `name` that reads as a higher version is it, since a team may count on; a lower one would say less than happened.

    >>> version_after(None, "major"), version_after(None, "major", name="v2.0.0")
    ('1.0.0', '2.0.0')
    """
    if before is None:
        needed = _parts(FIRST)
    else:
        # a release of an earlier ferclean has no version: its name may be one, or else it counts as a first one
        major, minor, patch = _parts(before.config.get("version", before.name)) or (1, 0, 0)
        needed = {
            "major": (major + 1, 0, 0), "minor": (major, minor + 1, 0), "patch": (major, minor, patch + 1),
        }[step]  # fmt: skip
    return ".".join(map(str, max(part for part in (needed, _parts(name)) if part)))


def _parts(version: str | None) -> tuple[int, int, int] | None:
    found = _VERSION.fullmatch(version or "")
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def changelog(
    since: str,
    before: pd.DataFrame,
    after: pd.DataFrame,
    keys: Mapping[str, str],
    *,
    step: Step | None,
    why: Iterable[str],
) -> dict[str, Any]:
    """What is stored with a release: `since` (a release's name or "original"), `step` (None: the first release) and
    `why` as `step_between`, the counts `relabelled`, `added` and `removed`, and `flows`, most first: from, to (None:
    left out), count, by (who -> count)."""
    found = changes(before, after, keys)
    by: dict[tuple[str | None, str | None], Counter[str]] = defaultdict(Counter)
    for one in found:
        by[one["from"], one["to"]][who(one["reason"])] += 1
    kinds = Counter(one["change"] for one in found)
    flows = [
        {"from": start, "to": end, "count": people.total(), "by": dict(people.most_common())}
        for (start, end), people in sorted(by.items(), key=lambda item: -item[1].total())
    ]
    counts = {kind: kinds[kind] for kind in ("relabelled", "added", "removed")}
    return {"since": since, "step": step, "why": list(why), **counts, "flows": flows}


def who(reason: str | None) -> str:
    """By whom a change came about, for people: a reviewer, MODEL, or why there is none."""
    person = decider(reason)
    if person is not None:
        return person
    if reason is None:
        return "nobody any longer"  # taken back: what stood before stands again
    return MODEL if reason.startswith("automatic: ") else reason.split(":")[0]


def in_words(told: Mapping[str, Any]) -> list[str]:
    """The flows of a stored changelog as lines: `happiness -> neutral: 12 (ann 10, automatic 2)`."""
    return [
        f"{one['from'] or LEFT_OUT} -> {one['to'] or LEFT_OUT}: {one['count']:,} "
        f"({', '.join(f'{person} {count:,}' for person, count in one['by'].items())})"
        for one in told["flows"]
    ]
