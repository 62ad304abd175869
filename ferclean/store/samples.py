"""The data set of a workspace and its samples, exactly as the source gave them.

It never changes a given label and never lets a row vanish: what cannot be used is kept with the reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from ferclean.errors import FercleanError, UsageError, among
from ferclean.store.arrivals import check_rows, first_keys, refuse_changes
from ferclean.store.exchange import frame, insert, rows, to_json
from ferclean.store.votes import put_votes
from ferclean.store.workspace import Workspace

Location = Literal["source", "workspace"]


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
    phash: str | None = None
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
    """What `put_samples` did with the rows that it was given."""

    added: int
    unchanged: int
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


def put_samples(ws: Workspace, samples: Iterable[Sample]) -> PutSummary:
    """Store the rows of one ingest in their order, all or nothing; rows that are known already are left alone.

    Give all rows of an ingest in one call. Votes are added to known rows that had none.

    Raises BadDataError, naming the first keys, when a source key comes twice, when a known key now has another
    picture or another given label (both are immutable), or when other votes than the stored ones come.
    """
    incoming = list(samples)
    with ws.session("ingest") as con:
        dataset = read_dataset(con, ws)
        check_rows(incoming, dataset)
        known = {
            key: (sample_id, label)
            for key, sample_id, label in rows(con, "SELECT source_key, sample_id, given_label FROM sample")
        }
        fresh = [sample for sample in incoming if sample.source_key not in known]
        again = [sample for sample in incoming if sample.source_key in known]
        refuse_changes(again, known)
        offset = rows(con, "SELECT coalesce(max(position) + 1, 0) FROM sample")[0][0]
        insert(con, "sample", _columns(fresh, dataset.name, offset))
        votes_added = put_votes(con, fresh, again)
    return PutSummary(added=len(fresh), unchanged=len(again), votes_added=votes_added)


def _columns(samples: Sequence[Sample], dataset: str, offset: int) -> dict[str, Any]:
    def column(name: str, kind: pa.DataType) -> pa.Array:
        return pa.array([getattr(sample, name) for sample in samples], type=kind)

    texts = ("sample_id", "source_key", "split", "given_label", "location", "relative_path", "content_hash", "phash")
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
    height, phash, contrast, quarantine_reason, attributes (dict), position.
    """
    with ws.reading("reading samples") as con:
        table = frame(
            con,
            "SELECT sample_id, dataset, source_key, split, given_label, location, relative_path, content_hash, width, "
            "height, phash, contrast, quarantine_reason, attributes, position FROM sample "
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


def absolute_paths(
    ws: Workspace, root: str, locations: Iterable[str], relative_paths: Iterable[str | None]
) -> list[str | None]:
    """Where each sample's file lies; None for a sample without a file."""
    bases = {"source": Path(root), "workspace": ws.root / "images"}
    return [
        None if path is None else str(bases[location] / path)
        for location, path in zip(locations, relative_paths, strict=True)
    ]


def image_bytes(ws: Workspace, sample_id: str) -> bytes:
    """The encoded bytes of a sample's picture.

    Raises UsageError for an unknown sample; FercleanError when it has no file, when the file is gone, or when it
    lies (through `..` or a link) outside the data set's folder or the workspace's images.
    """
    found = _places(ws, [sample_id])
    if sample_id not in found:
        raise UsageError(f"unknown sample {sample_id!r}")
    return _contained_bytes(ws, sample_id, found[sample_id])


def images_bytes(ws: Workspace, sample_ids: Sequence[str]) -> dict[str, bytes | FercleanError]:
    """`image_bytes` of several samples in one action; in place of a picture that cannot be had stands its error."""
    found = _places(ws, sample_ids)
    pictures: dict[str, bytes | FercleanError] = {}
    for sample_id in dict.fromkeys(sample_ids):
        try:
            if sample_id not in found:
                raise UsageError(f"unknown sample {sample_id!r}")
            pictures[sample_id] = _contained_bytes(ws, sample_id, found[sample_id])
        except FercleanError as error:
            pictures[sample_id] = error
    return pictures


def _places(ws: Workspace, sample_ids: Sequence[str]) -> dict[str, tuple[str, str | None, str | None, str]]:
    """Location, relative path, quarantine reason and the data set's root of each known sample."""
    with ws.reading("reading an image") as con:
        found = rows(
            con,
            "SELECT s.sample_id, s.location, s.relative_path, s.quarantine_reason, d.root "
            "FROM sample s, dataset d WHERE list_contains(?, s.sample_id)",
            [list(sample_ids)],
        )
    return {row[0]: row[1:] for row in found}


def _contained_bytes(ws: Workspace, sample_id: str, place: tuple[str, str | None, str | None, str]) -> bytes:
    location, relative_path, reason, root = place
    if relative_path is None:
        raise FercleanError(f"sample {sample_id} has no picture{f' ({reason})' if reason else ''}")
    base = (Path(root) if location == "source" else ws.root / "images").resolve()
    try:
        path = (base / relative_path).resolve(strict=True)
        if not path.is_relative_to(base):
            raise FercleanError(f"the picture of sample {sample_id} lies outside {base}; it is not read")
        return path.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a name with a NUL
        reason = getattr(error, "strerror", None) or str(error)
        raise FercleanError(
            f"the picture of sample {sample_id} cannot be read below {base}: {reason}; "
            "put the data set back, or ingest it again from where it lies now"
        ) from error


def find_samples(ws: Workspace, samples_or_keys: Sequence[str]) -> list[str]:
    """The sample id of each sample id or source key, in the given order.

    Raises UsageError, naming the first ones, when something is neither.
    """
    with ws.reading("finding samples") as con:
        wanted = list(dict.fromkeys(str(key) for key in samples_or_keys))
        ids = {row[0] for row in rows(con, "SELECT sample_id FROM sample WHERE list_contains(?, sample_id)", [wanted])}
        keys: dict[str, list[str]] = {}
        for key, sample_id in rows(
            con, "SELECT source_key, sample_id FROM sample WHERE list_contains(?, source_key)", [wanted]
        ):
            keys.setdefault(key, []).append(sample_id)
    unknown = [key for key in wanted if key not in ids and key not in keys]
    if unknown:
        raise UsageError(
            f"{len(unknown)} of {len(wanted)} are neither a sample id nor a source key, first {first_keys(unknown)}; "
            "`ferclean export --form table` lists both"
        )
    clash = [key for key in wanted if len({*keys.get(key, ()), *({key} & ids)}) > 1]
    if clash:
        raise UsageError(f"several samples answer to {first_keys(clash)}; use the sample id")
    return [key if key in ids else keys[key][0] for key in map(str, samples_or_keys)]


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
            "SELECT sample_id, split, coalesce(given_label, '') FROM sample WHERE quarantine_reason IS NULL "
            "AND ($splits IS NULL OR list_contains($splits::VARCHAR[], split)) ORDER BY sample_id",
            {"splits": None if splits is None else list(splits)},
        )
    return hashlib.sha256("\n".join("\0".join(row) for row in found).encode()).hexdigest()[:16]
