"""The data set of a workspace and its samples, exactly as the source gave them.

It never changes a given label and never lets a row vanish: what cannot be used is kept with the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from ferclean.errors import UsageError, among
from ferclean.store import renewal
from ferclean.store.arrivals import check_rows, first_keys
from ferclean.store.exchange import frame, insert, rows, to_json
from ferclean.store.votes import put_votes
from ferclean.store.workspace import Workspace

Location = Literal["source", "workspace"]

SAMPLES = f"""(
    SELECT * REPLACE (nullif(concat_ws('; ', quarantine_reason, withdrawn), '') AS quarantine_reason),
    NOT {renewal.GONE} AS in_source FROM sample
)"""  # noqa: S608 - own text
"""The samples as they stand: what was wrong at ingest and what a later look at the source said are one reason."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The one data set that a workspace is about."""

    name: str
    """The card's name."""
    classes: tuple[str, ...]
    """Canonical class names in the card's order: the column order of every `pred_probs`."""
    root: str
    """Absolute path of the folder that the samples' files lie in."""
    card: dict[str, Any]
    """The card as it was read at ingest."""
    licence: str
    redistributable: bool
    """True when the licence allows pixels to be passed on."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One row of the source."""

    sample_id: str
    """From `make_sample_id`."""
    source_key: str
    """The row's or file's name in the source; unique in the data set."""
    split: str
    """Published split: train, validation or test."""
    given_label: str | None
    """Canonical class name; None when the source's label is unknown (the quarantine reason says why)."""
    location: Location = "source"
    """Whether `relative_path` lies below the data set's root or below the workspace's images folder."""
    relative_path: str | None = None
    content_hash: str | None = None
    """SHA-256 hex of the file's bytes, or of shape and pixels; None when nothing could be read."""
    width: int | None = None
    height: int | None = None
    contrast: float | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    votes: dict[str, int] | None = None
    """Canonical class name, 'unknown' or 'not_a_face' -> annotators."""
    annotations: dict[str, str] | None = None
    """Named annotator -> what he chose, in the words of `votes`; a sample has one of the two at most."""
    quarantine_reason: str | None = None
    """Why the row takes no part in scoring; None when it takes part."""


@dataclass(frozen=True, kw_only=True)
class PutSummary:
    """What `put_samples` did with the rows that it was given, each of which is one of the first three or vanished."""

    added: int
    unchanged: int
    returned: int = 0
    """Samples that had been withdrawn and are there again, byte for byte."""
    changed: int = 0
    """Samples whose row now holds other bytes: withdrawn, beside the new sample."""
    vanished: int = 0
    """Samples that were withdrawn because the source holds their row, or its picture, no longer."""
    elsewhere: int = 0
    """Samples that came from other files of the data set: left as they are."""
    left_out: int = 0
    """Rows of the source of which there is no sample."""
    votes_added: int = 0
    """Known rows that had no votes and now have some."""


def make_sample_id(dataset: str, source_key: str, content_hash: str | None) -> str:
    """20 hex digits, the same on every machine; exact duplicates differ in their key and so in their id."""
    return hashlib.sha256(f"{dataset}\0{source_key}\0{content_hash or ''}".encode()).hexdigest()[:20]


def put_dataset(ws: Workspace, dataset: Dataset) -> None:
    """Say which data set this workspace is about. The same one again is fine, also from a folder that has moved.

    Raises UsageError for another data set or another order of classes.
    """
    with ws.session("ingest") as con:
        _write_dataset(con, ws, dataset)


def _write_dataset(con: Any, ws: Workspace, dataset: Dataset) -> None:
    known = rows(con, "SELECT name, classes FROM dataset")
    if known:
        name, classes = known[0]
        if name != dataset.name or tuple(classes) != dataset.classes:
            raise UsageError(
                f"the workspace {ws.root} holds {name} ({', '.join(classes)}), not {dataset.name} "
                f"({', '.join(dataset.classes)}): ingest it into one of its own, `ferclean -w NEW ingest ...`"
            )
        con.execute("DELETE FROM dataset")
    insert(
        con,
        "dataset",
        {
            "name": [dataset.name],
            "classes": pa.array([list(dataset.classes)], type=pa.list_(pa.string())),
            "root": [str(Path(dataset.root).expanduser().absolute())],
            "card": [to_json(dataset.card)],
            "licence": [dataset.licence],
            "redistributable": [bool(dataset.redistributable)],
        },
    )


def get_dataset(ws: Workspace) -> Dataset:
    """The workspace's data set. Raises UsageError when nothing was ingested yet."""
    with ws.reading("reading the data set") as con:
        return read_dataset(con, ws)


def find_dataset(ws: Workspace) -> Dataset | None:
    """The workspace's data set; None before the first ingest."""
    with ws.reading("reading the data set") as con:
        return read_dataset(con, ws) if rows(con, "SELECT 1 FROM dataset") else None


def read_dataset(con: Any, ws: Workspace) -> Dataset:
    """`get_dataset` inside a session that is open already."""
    known = rows(con, "SELECT name, classes, root, card, licence, redistributable FROM dataset")
    if not known:
        raise UsageError(f"the workspace {ws.root} is empty; fill it with `ferclean -w {ws.root} ingest ...`")
    name, classes, root, card, licence, redistributable = known[0]
    return Dataset(
        name=name, classes=tuple(classes), root=root, card=json.loads(card), licence=licence,
        redistributable=redistributable,
    )  # fmt: skip


class _NotForGood(Exception):
    """Ends the transaction of a dry run."""


def put_samples(
    ws: Workspace,
    samples: Iterable[Sample],
    *,
    dataset: Dataset | None = None,
    present: Collection[str] | None = None,
    source: str | None = None,
    dry_run: bool = False,
) -> PutSummary:
    """Store the rows of one ingest in their order, all or nothing; rows that are known already are left alone.

    Give all rows of an ingest in one call. A known key with other bytes is a new sample beside the old one, which is
    withdrawn (`quarantine_reason` says why) and keeps its decisions; one that is there again, byte for byte, returns.
    `present` names every key that the source holds, those left out by a limit too (but not a file that no row names):
    samples of other keys vanished. None says nothing about that. `source` is the file that the rows come from
    (`renewal.source_name`): samples of files with other names are left alone. Votes are added to known rows that had
    none. `dataset` is put with the rows; `dry_run` tells what would happen and keeps nothing.

    Raises BadDataError, naming the first keys, when a source key comes twice, when a known row now has another given
    label or split (both are immutable), or when other votes than the stored ones come.
    """
    incoming = list(samples)
    done: PutSummary
    try:
        with ws.session("ingest") as con:
            if dataset is not None:
                _write_dataset(con, ws, dataset)
            about = read_dataset(con, ws)
            check_rows(incoming, about)
            with renewal.arriving(con, incoming, present):
                done = _put(con, ws, incoming, about, present=present, source=source)
            if dry_run:
                raise _NotForGood
    except _NotForGood:
        pass
    return done


def _put(
    con: Any,
    ws: Workspace,
    incoming: Sequence[Sample],
    dataset: Dataset,
    *,
    present: Collection[str] | None,
    source: str | None,
) -> PutSummary:
    renewal.refuse_other_labels(con, ws, whole=present is not None, source=source)
    vanished = renewal.withdraw_unreadable(con)
    known, arriving = renewal.known_ids(con), renewal.arriving_ids(con)
    fresh = [sample for sample in incoming if sample.sample_id in arriving and sample.sample_id not in known]
    again = [sample for sample in incoming if sample.sample_id in known]
    offset = rows(con, "SELECT coalesce(max(position) + 1, 0) FROM sample")[0][0]
    insert(con, "sample", _columns(fresh, dataset.name, offset))
    returned, changed = renewal.bring_back(con), renewal.withdraw_superseded(con)
    renewal.follow(con, source)
    left_out = elsewhere = 0
    if present is not None:
        vanished += renewal.withdraw_vanished(con, source)
        left_out, elsewhere = renewal.count_left_out(con), renewal.count_elsewhere(con)
        con.execute("UPDATE dataset SET card = ?", [to_json({**dataset.card, "left_out": left_out})])
    votes_added = put_votes(con, fresh, again)
    return PutSummary(
        added=len(fresh), unchanged=len(again) - returned, returned=returned, changed=changed, vanished=vanished,
        elsewhere=elsewhere, left_out=left_out, votes_added=votes_added,
    )  # fmt: skip


def _columns(samples: Sequence[Sample], dataset: str, offset: int) -> dict[str, Any]:
    def column(name: str, kind: pa.DataType) -> pa.Array:
        return pa.array([getattr(sample, name) for sample in samples], type=kind)

    texts = ("sample_id", "source_key", "split", "given_label", "location", "relative_path", "content_hash")
    return {
        **{name: column(name, pa.string()) for name in texts},
        "dataset": pa.array([dataset] * len(samples), type=pa.string()),
        "width": column("width", pa.int32()),
        "height": column("height", pa.int32()),
        "contrast": column("contrast", pa.float64()),
        "attributes": pa.array([to_json(sample.attributes) for sample in samples], type=pa.string()),
        "quarantine_reason": column("quarantine_reason", pa.string()),
        "position": pa.array(range(offset, offset + len(samples)), type=pa.int64()),
    }


def get_samples(
    ws: Workspace, *, splits: Sequence[str] | None = None, include_quarantined: bool = False
) -> pd.DataFrame:
    """The samples in their order of arrival.

    Columns: sample_id, dataset, source_key, split, given_label, path (absolute, or None), content_hash, width,
    height, contrast, quarantine_reason, attributes (dict), position, in_source (bool: the source still holds
    this row with these bytes, as far as the last ingest looked), source (name of the file that the row came from).
    """
    with ws.reading("reading samples") as con:
        table = frame(
            con,
            "SELECT sample_id, dataset, source_key, split, given_label, location, relative_path, content_hash, width, "  # noqa: S608 - own text
            f"height, contrast, quarantine_reason, attributes, position, in_source, source FROM {SAMPLES} "
            "WHERE ($splits IS NULL OR list_contains($splits::VARCHAR[], split)) "
            "AND ($quarantined OR quarantine_reason IS NULL) ORDER BY position",
            {"splits": None if splits is None else list(splits), "quarantined": include_quarantined},
        )
        root = read_dataset(con, ws).root if len(table) else ""
    paths = absolute_paths(ws, root, table["location"], table["relative_path"])
    table = table.drop(columns=["location", "relative_path"])
    table.insert(5, "path", pd.Series(paths, dtype="object"))
    table["attributes"] = pd.Series([json.loads(value) for value in table["attributes"]], dtype="object")
    return table


def picture_facts(ws: Workspace) -> pd.DataFrame:
    """Columns: sample_id, content_hash, width, height (Int32, pixels); quarantined samples too, missing where there is
    no file."""
    with ws.reading("reading samples") as con:
        found = frame(con, "SELECT sample_id, content_hash, width, height FROM sample")
    return found.astype({"width": "Int32", "height": "Int32"})


def absolute_paths(
    ws: Workspace, root: str, locations: Iterable[str], relative_paths: Iterable[str | None]
) -> list[str | None]:
    """Where each sample's file lies; None for a sample without a file."""
    bases = {"source": str(Path(root)), "workspace": str(ws.root / "images")}
    return [
        None if path is None else _joined(bases[location], path)
        for location, path in zip(locations, relative_paths, strict=True)
    ]


def _joined(base: str, path: str) -> str:
    """`str(Path(base) / path)`, which takes ten times as long where there is nothing to tidy up."""
    text = os.path.join(base, path)
    return str(Path(text)) if "//" in text or "/." in text or text.endswith("/") else text


def find_samples(ws: Workspace, samples_or_keys: Sequence[str]) -> list[str]:
    """The sample id of each sample id or source key, in the given order. A key means the sample that holds it now.

    Raises UsageError, naming the first ones, when something is neither.
    """
    with ws.reading("finding samples") as con:
        return find_in(con, samples_or_keys)


def find_in(con: Any, samples_or_keys: Sequence[str]) -> list[str]:
    """`find_samples` in a session that is open already."""
    return [sample_id for sample_id, _ in find_given_in(con, samples_or_keys)]


def find_given_in(con: Any, samples_or_keys: Sequence[str]) -> list[tuple[str, str | None]]:
    """`find_in` and each one's given label, which costs no further look at all samples."""
    wanted = list(dict.fromkeys(str(key) for key in samples_or_keys))
    sql = "SELECT sample_id, given_label FROM sample WHERE list_contains(?, sample_id)"
    ids: dict[str, str | None] = dict(rows(con, sql, [wanted]))
    given, keys = dict(ids), dict[str, list[str]]()
    for key, sample_id, label in rows(
        con,
        f"SELECT source_key, sample_id, given_label FROM {SAMPLES} WHERE list_contains(?, source_key) "  # noqa: S608 - own text
        "QUALIFY in_source OR NOT bool_or(in_source) OVER (PARTITION BY source_key)",
        [wanted],
    ):
        keys.setdefault(key, []).append(sample_id)
        given[sample_id] = label
    unknown = [key for key in wanted if key not in ids and key not in keys]
    if unknown:
        raise UsageError(
            f"{len(unknown)} of {len(wanted)} are neither a sample id nor a source key, first {first_keys(unknown)}; "
            "`ferclean export --form table` lists both"
        )
    clash = [key for key in wanted if len({*keys.get(key, ()), *({key} & ids.keys())}) > 1]
    if clash:
        raise UsageError(f"several samples answer to {first_keys(clash)}; use the sample id")
    found = [key if key in ids else keys[key][0] for key in map(str, samples_or_keys)]
    return [(sample_id, given[sample_id]) for sample_id in found]


def find_sample(ws: Workspace, sample_or_key: str) -> str:
    """The sample id of a sample id or source key. Raises UsageError when none or several answer to it."""
    return find_samples(ws, [sample_or_key])[0]


def get_labelled(ws: Workspace, *, splits: Sequence[str] | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Labelled, readable samples as from `get_samples`, and the splits they are of: what scoring is about.

    `splits` defaults to train, or to everything where there is no train. Raises UsageError for a split that is
    not here.
    """
    everything = get_samples(ws)
    present = list(dict.fromkeys(everything["split"]))
    chosen = list(splits) if splits is not None else ["train"] if "train" in present else present
    if unknown := sorted(set(chosen) - set(present)):
        raise UsageError(f"no split named {', '.join(unknown)} here; {among(unknown, present)}")
    labelled = everything["split"].isin(chosen) & everything["given_label"].notna()
    return everything[labelled].reset_index(drop=True), chosen


def fingerprint(ws: Workspace, *, splits: Sequence[str] | None = None) -> str:
    """Digest (16 hex digits) of ids, splits and given labels of the samples that take part, in any order of arrival."""
    with ws.reading("reading samples") as con:
        found = rows(
            con,
            f"SELECT sample_id, split, coalesce(given_label, '') FROM {SAMPLES} WHERE quarantine_reason IS NULL "  # noqa: S608
            "AND ($splits IS NULL OR list_contains($splits::VARCHAR[], split)) ORDER BY sample_id",
            {"splits": None if splits is None else list(splits)},
        )
    return hashlib.sha256("\n".join("\0".join(row) for row in found).encode()).hexdigest()[:16]
