"""Frozen, named curated splits.

A release never changes: putting it again is fine only when its content is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from ferclean.errors import BadDataError, FercleanError, UsageError, among
from ferclean.store.exchange import frame, insert, numbers, optional, rows, text, to_json
from ferclean.store.samples import read_dataset
from ferclean.store.scores import check_samples
from ferclean.store.workspace import Workspace

ITEM_COLUMNS = ("sample_id", "split", "given_label", "label", "included", "reason", "soft_label", "weight")
QUARANTINED = "quarantined: "
"""How the reason of an item begins that could not be used when the release was made."""
_COLUMNS = "name, policy, threshold, created_at, fingerprint, config, counts"


@dataclass(frozen=True, kw_only=True)
class Release:
    """What a release is; its samples are in `get_release_items`."""

    name: str
    policy: str
    """`decisions`: people's decisions alone; `auto`: with automatic corrections above `threshold`."""
    threshold: float | None
    """Least P(suggested label) of an automatic correction (least p_mislabelled in earlier versions); None: none."""
    created_at: str
    """ISO 8601, UTC."""
    fingerprint: str
    """Digest of the ids and given labels that it was made from."""
    config: dict[str, Any]
    counts: dict[str, Any]


class NewerReleaseError(FercleanError):
    """Somebody released since the releases were read that a version and a changelog follow from."""


def put_release(ws: Workspace, release: Release, items: pd.DataFrame, *, seen: Collection[str] | None = None) -> None:
    """Freeze a release. The same name with the same content and facts (but for the time) is a no-op.

    `items` columns: sample_id, split, given_label, label (class name or None), included (bool), reason (or None),
    soft_label (list of K floats or None); optionally weight (in [0, 1], None = 1). Raises UsageError when the name is
    taken by another content; NewerReleaseError, with the names of the releases that it follows from as `seen`, where
    there are others by now; BadDataError for unknown samples or labels, or for an included sample without a label.
    """
    with ws.session(f"releasing {release.name}") as con:
        columns = _item_columns(release.name, items)
        digest = content_digest(items)
        taken = rows(con, f"SELECT {_COLUMNS}, content_digest FROM release WHERE name = ?", [release.name])  # noqa: S608
        if taken:
            known = _release(taken[0])
            if taken[0][-1] == digest and _facts(known) == _facts(release):
                return
        if seen is not None and (newer := {row[0] for row in rows(con, "SELECT name FROM release")} - set(seen)):
            raise NewerReleaseError(f"{', '.join(sorted(newer))} was released meanwhile; release again")
        if taken:
            raise UsageError(
                f"the release {release.name!r} of {known.created_at} is frozen and has another content; choose another "
                "name"
            )
        check_samples(con, columns["sample_id"].to_pylist(), f"release {release.name}")
        classes = set(read_dataset(con, ws).classes)
        for sample_id, label, included in zip(
            items["sample_id"], columns["label"].to_pylist(), items["included"], strict=True
        ):
            if (included and label is None) or (label is not None and label not in classes):
                raise BadDataError(f"release {release.name}: sample {sample_id} has the label {label!r}")
        insert(
            con,
            "release",
            {
                **{name: [getattr(release, name)] for name in ("name", "policy", "created_at", "fingerprint")},
                "threshold": pa.array([release.threshold], type=pa.float64()),
                "config": [to_json(release.config)],
                "counts": [to_json(release.counts)],
                "content_digest": [digest],
            },
        )
        insert(con, "release_item", columns)


def get_release(ws: Workspace, name: str) -> Release:
    """A release by its name. Raises UsageError, listing the known ones, when there is none."""
    with ws.reading("reading releases") as con:
        found = rows(con, f"SELECT {_COLUMNS} FROM release WHERE name = ?", [name])  # noqa: S608 - own names only
        if not found:
            known = [row[0] for row in rows(con, "SELECT name FROM release ORDER BY created_at, name")]
            raise UsageError(
                f"unknown release {name!r}; {among(name, known)}" if known
                else f"there is no release {name!r} yet; make it with `ferclean -w {ws.root} release {name}`"
            )  # fmt: skip
    return _release(found[0])


def get_release_items(ws: Workspace, name: str) -> pd.DataFrame:
    """Every sample of a release, left-out ones too, in order of arrival; columns as `put_release` takes them, `weight`
    1 where none was stored."""
    get_release(ws, name)
    with ws.reading("reading a release") as con:
        return frame(
            con,
            f"SELECT {', '.join('i.' + column for column in ITEM_COLUMNS[:-1])}, coalesce(i.weight, 1.0) AS weight "  # noqa: S608
            "FROM release_item i "
            "JOIN sample s USING (sample_id) WHERE i.name = ? ORDER BY s.position",
            [name],
        )


def was_usable(items: pd.DataFrame) -> pd.Series:
    """Which of a release's items could be used when it was made, (N,) bool: those with a given label that were not
    quarantined then, whatever has become of their pictures since. Columns given_label and reason."""
    quarantined = items["reason"].fillna("").astype(str).str.startswith(QUARANTINED)
    return items["given_label"].notna() & ~quarantined


def list_releases(ws: Workspace) -> list[Release]:
    """All releases, oldest first."""
    with ws.reading("reading releases") as con:
        found = rows(con, f"SELECT {_COLUMNS} FROM release ORDER BY created_at, rowid")  # noqa: S608 - own names only
    return [_release(row) for row in found]


def _item_columns(name: str, items: pd.DataFrame) -> dict[str, pa.Array]:
    missing = [column for column in ITEM_COLUMNS[:-1] if column not in items]
    if missing:
        raise BadDataError(f"release {name}: items lack the columns {', '.join(missing)}")
    soft = [optional(value) for value in items["soft_label"]]
    weight = items["weight"] if "weight" in items else [None] * len(items)
    if any(value is not None and not 0 <= value <= 1 for value in map(optional, weight)):
        raise BadDataError(f"release {name}: a weight outside [0, 1]")
    return {
        "name": text([name] * len(items)),
        **{column: text(list(items[column])) for column in ("sample_id", "split", "given_label", "label", "reason")},
        "included": pa.array([bool(value) for value in items["included"]], type=pa.bool_()),
        "soft_label": pa.array(
            [None if value is None else [float(p) for p in value] for value in soft], type=pa.list_(pa.float64())
        ),
        "weight": numbers(weight, pa.float64()),
    }


def content_digest(items: pd.DataFrame) -> str:
    """SHA-256 of what a release says about each sample (split, label, included, soft label and weight), whatever the
    order of the rows. Columns as `put_release` takes them."""
    digest = hashlib.sha256()
    ordered = items.sort_values("sample_id")
    columns = [ordered[name] for name in ("sample_id", "split", "label", "included", "soft_label")]
    weights = ordered["weight"] if "weight" in ordered else [None] * len(ordered)
    # one row at a time: 300,000 as mappings would be half a gigabyte
    for sample_id, split, label, included, soft, weight in zip(*columns, weights, strict=True):
        said = [sample_id, split, optional(label), bool(included)]
        soft, weight = optional(soft), optional(weight)
        weight = 1.0 if weight is None else round(float(weight), 6)
        if soft is not None or weight != 1:  # so that releases of labels alone keep the digest that they always had
            said += [None if soft is None else [round(float(p), 6) for p in soft], weight]
        digest.update(json.dumps(said, ensure_ascii=True).encode() + b"\n")
    return digest.hexdigest()


def _facts(release: Release) -> str:
    """Everything but the time, as it is stored."""
    return to_json([release.policy, release.threshold, release.fingerprint, release.config, release.counts])


def _release(row: tuple[Any, ...]) -> Release:
    return Release(
        name=row[0], policy=row[1], threshold=row[2], created_at=row[3], fingerprint=row[4],
        config=json.loads(row[5]), counts=json.loads(row[6]),
    )  # fmt: skip
