"""Decisions that people make in FiftyOne, by tag, by edit or by operator, appended to the workspace's store.

The store is the truth; the dataset only mirrors it. A tag is acted on once: then it becomes `decided:...`. An edit that
is not taken is put back, and the sample's field `refused` says why.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fiftyone as fo

from apps.fiftyone_view.asked import RELABEL, Asked, parse_tag, plain, requests, tags_off
from apps.fiftyone_view.mirror import lock_of, mirror_decisions
from apps.fiftyone_view.workspace_dataset import dataset_name
from ferclean.review.desk import default_reviewer
from ferclean.steps.review import OFFER, told_left_out
from ferclean.store.decisions import Decision, append_decisions, current_decisions, decided_about, undo
from ferclean.store.samples import get_dataset
from ferclean.store.standing import random_checks, words
from ferclean.store.workspace import Workspace

SOURCE = "fiftyone"
SKIP = "skip"
_ALONE = "the face was drawn for the random check; decide it alone, on the review screen or with an operator"
_NEWER = "it was decided elsewhere since; look again, and repeat it to replace that"
# dataset field -> name in the decision's record of what the person could see
_SHOWN = {
    "suggested_label.label": "suggested_label",
    "predictions.label": "predicted_label",
    "predictions.confidence": "confidence",
    "label_quality": "label_quality",
    "verdict": "verdict",
}


@dataclass(frozen=True, kw_only=True)
class TagSync:
    """What came of tags and edits: decisions recorded now, and what could not become one, with the reason."""

    recorded: int
    problems: tuple[str, ...] = ()
    """Of what stays where it is and is found again at the next look: tags, and edits beside tags that contradict."""
    put_back: tuple[str, ...] = ()
    """Of edits, and of tags that came after a newer decision: they are gone, so this is told once."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What came of a decision about selected samples, and what it left out."""

    recorded: int
    random_checks: int = 0
    without_offer: int = 0
    newer: int = 0

    def __str__(self) -> str:
        """In one line, for the person who decided."""
        left = told_left_out(random_checks=self.random_checks, without_offer=self.without_offer, newer=self.newer)
        return f"{self.recorded:,} decision(s) recorded{left}"


def sync_decisions(ws: Workspace, *, reviewer: str | None = None) -> TagSync:
    """Turn tags and edits that people made into decisions with source 'fiftyone'; safe to call again and again.

    A recorded tag, on the sample or on one of its labels, is replaced by `decided:ACTION`. Tags that contradict each
    other or name an unknown class stay and are reported; edits that cannot be taken are put back and reported, and so
    is what somebody decided elsewhere since. The
    database must be connected; without a dataset there is nothing to do.
    """
    if not fo.dataset_exists(dataset_name(ws)):
        return TagSync(recorded=0)
    with lock_of(ws):
        dataset = fo.load_dataset(dataset_name(ws))
        return _take(ws, dataset, dataset, reviewer)


def record(
    ws: Workspace,
    dataset: fo.Dataset,
    ids: list[str],
    *,
    action: str,
    label: str | None = None,
    reviewer: str | None = None,
) -> Recorded:
    """Append one decision for each of these FiftyOne sample ids and mirror it.

    `action` is one of the store's, or OFFER: of each sample what its verdict proposes. Of several samples those of the
    random check are left out, and so is what was decided since the dataset was last brought up to date. What the
    samples' own tags and edits ask for is recorded first.
    """
    classes = get_dataset(ws).classes
    with lock_of(ws):
        _take(ws, dataset, dataset.select(ids), reviewer)
        keys, proposals = dataset.select(ids, ordered=True).values(["ferclean_id", "proposal"])
        drawn = random_checks(ws) if len(ids) > 1 else set()
        wanted: dict[str, tuple[str, str | None]] = {}
        without = 0
        for sample, key, proposal in zip(ids, keys, proposals, strict=True):
            if key in drawn:
                continue
            said = (action, label) if action != OFFER else parse_tag(proposal or "", classes)
            if said is None:
                without += 1
            else:
                wanted[sample] = said
        bulk = uuid.uuid4().hex if len(ids) > 1 else None
        made, newer = _append(ws, dataset, wanted, reviewer=reviewer, bulk=dict.fromkeys(wanted, bulk))
        mirror_decisions(ws, dataset, keys)
    return Recorded(
        recorded=made, random_checks=sum(key in drawn for key in keys), without_offer=without, newer=len(newer)
    )


def take_back(ws: Workspace, dataset: fo.Dataset, *, reviewer: str | None = None) -> list[str]:
    """Undo the reviewer's last act, wherever it was made; the source keys that it was about, [] when there is none."""
    with lock_of(ws):
        about = decided_about(ws, undo(ws, reviewer=_name(reviewer)))
        mirror_decisions(ws, dataset, about)
    return dataset.match(fo.ViewField("ferclean_id").is_in(about)).values("source_key")


def _take(ws: Workspace, dataset: fo.Dataset, samples: Any, reviewer: str | None) -> TagSync:
    """Record or refuse what is asked of these samples of the dataset; the lock is the caller's."""
    asked = requests(samples, get_dataset(ws).classes)
    drawn = random_checks(ws) if asked else set()
    refused, unclear, wanted = {}, {}, {}
    for sample, one in asked.items():
        if one.wrong:
            refused[sample] = one.wrong
        elif len(one.wants) > 1:
            edit = " and the edited corrected_label" if one.edited else ""
            unclear[sample] = f"tags {', '.join(map(repr, sorted(one.tags)))}{edit} contradict each other; remove one"
        elif one.ferclean_id in drawn:
            refused[sample] = f"not taken: {_ALONE}"
        else:
            (wanted[sample],) = one.wants
    made, newer = _append(ws, dataset, wanted, reviewer=reviewer, bulk=_together(asked, wanted))
    refused |= {sample: f"not taken: {_NEWER}" for sample in newer}
    # a tag that came too late goes, too: it would be taken at the next look, when the newer decision is seen here
    tags_off(dataset, {sample: asked[sample] for sample in wanted})
    put_back = {sample for sample in refused if asked[sample].edited}
    mirror_decisions(ws, dataset, [asked[sample].ferclean_id for sample in put_back.union(wanted)])
    refused |= unclear
    _say(dataset, refused)
    told = {sample: f"{asked[sample].name}: {why}" for sample, why in refused.items()}
    return TagSync(
        recorded=made,
        problems=tuple(text for sample, text in told.items() if sample not in put_back | newer),
        put_back=tuple(text for sample, text in told.items() if sample in put_back | newer),
    )


def _together(asked: Mapping[str, Asked], wanted: Mapping[str, tuple[str, str | None]]) -> dict[str, str | None]:
    """The bulk of each sample: what was tagged alike was tagged together, an edit is made by itself."""
    bulks: dict[Any, list[str]] = {}
    for sample, said in wanted.items():
        bulks.setdefault(said if asked[sample].tags else sample, []).append(sample)
    return {
        sample: name
        for some in bulks.values()
        for name in [uuid.uuid4().hex if len(some) > 1 else None]
        for sample in some
    }


def _say(dataset: fo.Dataset, refused: Mapping[str, str]) -> None:
    """Write why beside the sample, where that is not written yet: every writing draws the App anew."""
    if not refused:
        return
    said = dict(zip(*dataset.select(list(refused)).values(["id", "refused"]), strict=True))
    fresh = {sample: why for sample, why in refused.items() if said.get(sample) != why}
    if fresh:
        dataset.set_values("refused", fresh, key_field="id")


def _append(
    ws: Workspace,
    dataset: fo.Dataset,
    wanted: Mapping[str, tuple[str, str | None]],
    *,
    reviewer: str | None,
    bulk: Mapping[str, str | None],
) -> tuple[int, set[str]]:
    """How many were appended, and the FiftyOne ids of those that the store knows a newer decision about."""
    if not wanted:
        return 0, set()
    reviewer, ids = _name(reviewer), list(wanted)
    # a bulk looks at its own faces alone, in one reading
    columns = dataset.select(ids, ordered=True).values(
        ["ferclean_id", "given_label", "decision", "decided_label", *_SHOWN]
    )
    with ws.reading("reading decisions"):
        own = words(ws, reviewer, columns[0])
        current = {
            row["sample_id"]: (row["action"], row["label"] if row["action"] == RELABEL else None)
            for row in current_decisions(ws, columns[0]).to_dict("records")
        }
    decisions, newer = [], set()
    for sample, key, given, decided, corrected, *shown in zip(ids, *columns, strict=True):
        action, label = plain(*wanted[sample], given)
        if (word := own.get(key)) and (word.reviewer, word.action, word.label) == (reviewer, action, label):
            continue  # recorded before, by a run that was ended before it could replace the tag
        if action != SKIP and current.get(key) not in (None, (decided, corrected if decided == RELABEL else None)):
            newer.add(sample)
            continue
        decisions.append(
            Decision(
                sample_id=key,
                action=action,
                label=label,
                reviewer=reviewer,
                shown=dict(zip(_SHOWN.values(), shown, strict=True)),
                source=SOURCE,
                bulk_id=bulk[sample],
            )
        )
    if decisions:
        append_decisions(ws, decisions)
    return len(decisions), newer


def _name(reviewer: str | None) -> str:
    return (reviewer or "").strip() or default_reviewer()
