"""What differs between two releases, like a pull request: labels, who is in, splits, soft labels and weights.

It changes nothing in the workspace, and a page of it shows at most as many pictures as it is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean import __version__, extras
from ferclean.evidence import labels as label_names
from ferclean.exports.content import ORIGINAL
from ferclean.files import PAGE, check_absent, whole_file
from ferclean.parts.changelog import LEFT_OUT, items_of_both
from ferclean.parts.curating import changes, keys_of, moved, text
from ferclean.parts.report_plots import face_or_trouble
from ferclean.printable import printable
from ferclean.store.pictures import images_bytes
from ferclean.store.releases import list_releases
from ferclean.store.samples import get_dataset
from ferclean.store.standing import said_about
from ferclean.store.table import sample_rows, sample_table
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

SOFT_MOVED = 0.1
"""Total variation distance (0 to 1: the share that lies on other classes than before) or change of a weight from which
a face counts as moved: a tenth of what it is trained towards lies elsewhere."""
LARGEST = 10
"""How many of them are named."""
FACES = 200
"""Changed faces on a page, unless it is asked for fewer or more."""
_MATRIX = 24  # classes that a matrix has room for; of more, only those that changed are in it, then a list
_FLOWS = 100  # flows that such a list names
_BATCH = 32  # encoded pictures in memory at once


@dataclass(frozen=True, kw_only=True)
class ReleaseDiff(Summary):
    """The label changes that lead from one release to another."""

    before: str
    after: str
    changes: list[dict[str, Any]] = field(repr=False)
    """One dict per row: sample_id, source_key, split, change (added, removed, relabelled), from, to, reason."""
    moved: list[dict[str, Any]] = field(repr=False)
    """Faces in both whose split is another one, as between a release by `--splits` and one without: one dict per row
    with sample_id, source_key, from, to. One whose label differs too is also among the `changes`."""
    soft_labels: int
    """Faces in both whose training target moved by more than SOFT_MOVED, by a soft label in at least one of them."""
    largest_soft: list[dict[str, Any]] = field(repr=False)
    """The LARGEST of them, the farthest first: sample_id, source_key, split, moved (total variation distance, 0 to 1),
    from, to (the likeliest class), from_p, to_p (its share)."""
    weights: int
    """Faces in both whose weight moved by more than SOFT_MOVED."""

    @property
    def newest(self) -> str | None:
        """The last of the two that is a release; None where both are the set as it was given."""
        return next((name for name in (self.after, self.before) if name != ORIGINAL), None)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `added`, `removed`, `relabelled`, `soft_labels` and `weights` are counts, `moves`
        those of `moved`, most first: from, to, count."""
        kinds = Counter(change["change"] for change in self.changes)
        counts = {kind: kinds[kind] for kind in ("added", "removed", "relabelled")}
        return super().as_dict() | counts | {"moves": self.moves()}

    def moves(self) -> list[dict[str, Any]]:
        """How many faces moved from which split to which, most first: from, to, count."""
        flows = Counter((one["from"], one["to"]) for one in self.moved)
        return [{"from": old, "to": new, "count": count} for (old, new), count in flows.most_common()]


def diff(ws: Workspace, before: str, after: str) -> ReleaseDiff:
    """The rows whose label, presence, split, soft label or weight differs; "original" is the set as it was given.

    Raises UsageError for an unknown release.
    """
    with ws.reading("diff"):
        table = sample_table(ws, lists=(), lost_ok=True)
        (old, new), keys = items_of_both(ws, before, after, table), keys_of(table)
        count, largest, weights = _soft_changes(old, new, keys, get_dataset(ws).classes)
    return ReleaseDiff(
        before=before, after=after, changes=changes(old, new, keys), moved=moved(old, new, keys), soft_labels=count,
        largest_soft=largest, weights=weights,
    )  # fmt: skip


def write_page(ws: Workspace, found: ReleaseDiff, out: Path, *, faces: int = FACES, overwrite: bool = False) -> None:
    """Write what `diff` found as one self-contained HTML page: a matrix of flows, and changed faces with their reasons.

    At most `faces` of them with pictures, of every flow about as many, the others are counted; 0: the list without a
    pixel, for sets whose licence forbids passing them on. Costs the files of these pictures, and reads no other.
    Raises UsageError where something stands at `out` and `overwrite` is not set, FercleanError where the extra `report`
    is missing.
    """
    check_absent(out, "--html", overwrite=overwrite, begins=PAGE)
    html = _page(ws, found, faces)
    with whole_file(out, elsewhere="choose another place with --html") as draft:
        draft.write_text(html, "utf-8")


def _page(ws: Workspace, found: ReleaseDiff, faces: int) -> str:
    extras.require("report", "the page of a difference")
    import jinja2

    dataset, flows = get_dataset(ws), Counter(map(_flow, found.changes))
    shown = _of_every_flow(found.changes, faces or FACES)
    cards = _cards(ws, [*shown, *found.largest_soft], after=found.after, pictures=faces > 0)
    of_flow: dict[tuple[str | None, str | None], list[dict[str, Any]]] = {}
    for one in shown:
        of_flow.setdefault(_flow(one), []).append(cards[one["sample_id"]] | one)
    sections = [
        {"flow": flow, "count": count, "cards": of_flow[flow]} for flow, count in flows.most_common() if flow in of_flow
    ]
    # autoescape and printable: names of files, classes and people, and their notes, come from strangers
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )  # fmt: skip
    template = resources.files("ferclean.steps").joinpath("diff.html.j2").read_text("utf-8")
    return environment.from_string(template).render(
        dataset=dataset, found=found, made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), version=__version__,
        releases=[one for name in (found.before, found.after) for one in list_releases(ws) if one.name == name],
        counts=found.as_dict(), matrix=matrix_of(flows, dataset.classes), flows=flows,
        most=max(flows.values(), default=0),
        listed=flows.most_common(_FLOWS), sections=sections, places={one["flow"]: n for n, one in enumerate(sections)},
        rest=len(found.changes) - len(shown), soft=[cards[one["sample_id"]] | one for one in found.largest_soft],
        out=LEFT_OUT, pictures=faces > 0, named=found.moved[:LARGEST],
    )  # fmt: skip


def _flow(one: Mapping[str, Any]) -> tuple[str | None, str | None]:
    return one["from"], one["to"]


def _of_every_flow(changed: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The first of each flow, then the second of each, and so on; the order within a flow stays."""
    seen = Counter[tuple[str | None, str | None]]()
    places = []
    for one in changed:
        places.append(seen[_flow(one)])
        seen[_flow(one)] += 1
    return [changed[row] for row in np.argsort(places, kind="stable")[:most]]


def matrix_of(flows: Mapping[tuple[str | None, str | None], int], classes: tuple[str, ...]) -> list[str | None]:
    """Rows and columns of the matrix of these flows, None for left out; [] where there are none or too many to draw."""
    ends = {end for flow in flows for end in flow}
    named = [name for name in classes if len(classes) <= _MATRIX or name in ends]
    return [*named, None] if flows and len(named) <= _MATRIX else []


def _cards(
    ws: Workspace, rows: Sequence[Mapping[str, Any]], *, after: str, pictures: bool
) -> dict[str, dict[str, Any]]:
    """Sample id -> its picture or what is the trouble with it, its given label, and what people say of it."""
    ids = list(dict.fromkeys(one["sample_id"] for one in rows))
    given = dict(sample_rows(ws, ids, lost_ok=True)[["sample_id", "given_label"]].itertuples(index=False, name=None))
    said: dict[str, list[dict[Any, Any]]] = {}
    for one in said_about(ws, ids).to_dict("records"):
        said.setdefault(one["sample_id"], []).append(one)
    made = next((datetime.fromisoformat(one.created_at) for one in list_releases(ws) if one.name == after), None)
    cards = {}
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        files = images_bytes(ws, batch) if pictures else {}
        for sample_id in batch:
            face, trouble = face_or_trouble(files[sample_id]) if pictures else (None, "")
            cards[sample_id] = {
                "face": face, "trouble": trouble, "given": text(given.get(sample_id)),
                "said": [_said(one, made) for one in said.get(sample_id, [])],
            }  # fmt: skip
    return cards


def _said(one: Mapping[Any, Any], made: datetime | None) -> str:
    """What somebody decided, and whether that is newer than the release that was made then."""
    when = one["decided_at"].replace(tzinfo=UTC)
    what = f"{one['action']} {text(one['label']) or ''}".strip()
    note = f": {one['note']}" if text(one["note"]) else ""
    return f"{'since then ' if made and when > made else ''}{what} by {one['reviewer']}, {when:%Y-%m-%d}{note}"


def _soft_changes(
    before: pd.DataFrame, after: pd.DataFrame, keys: Mapping[str, str], classes: tuple[str, ...]
) -> tuple[int, list[dict[str, Any]], int]:
    """What `ReleaseDiff` says of soft labels and weights. Without a soft label all of it lies on the label."""
    columns = ["sample_id", "split", "label", "soft_label", "weight"]
    old, new = (frame.loc[frame["included"].astype(bool), columns] for frame in (before, after))
    both = old.merge(new.drop(columns="split"), on="sample_id", suffixes=("_old", "_new"))
    weights = int(((both["weight_old"] - both["weight_new"]).abs() > SOFT_MOVED).sum())
    both = both[both["soft_label_old"].notna() | both["soft_label_new"].notna()]
    if both.empty:
        return 0, [], weights
    was, now = (_targets(both[f"soft_label_{side}"], both[f"label_{side}"], classes) for side in ("old", "new"))
    moved = np.abs(was - now).sum(1) / 2
    largest = np.argsort(-moved, kind="stable")[:LARGEST]
    rows = [
        {
            "sample_id": both["sample_id"].iloc[i], "source_key": keys.get(both["sample_id"].iloc[i]),
            "split": both["split"].iloc[i], "moved": round(float(moved[i]), 4),
            "from": classes[was[i].argmax()], "from_p": round(float(was[i].max()), 4),
            "to": classes[now[i].argmax()], "to_p": round(float(now[i].max()), 4),
        }
        for i in largest if moved[i] > SOFT_MOVED
    ]  # fmt: skip
    return int((moved > SOFT_MOVED).sum()), rows, weights


def _targets(soft: pd.Series, label: pd.Series, classes: tuple[str, ...]) -> np.ndarray:
    """(N, K): what each row is trained towards."""
    found = np.eye(len(classes))[label_names.encode(list(label), classes)]
    has = soft.notna().to_numpy()
    if has.any():
        found[has] = np.stack(list(soft[has]))
    return found
