"""Decisions that people make in FiftyOne, by tag or by operator, appended to the workspace's store.

The store is the truth; the dataset only mirrors it. A tag is acted on once: then it becomes `decided:...`.
"""

from __future__ import annotations

import getpass
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import fiftyone as fo
from filelock import FileLock

from apps.fiftyone_view.workspace_dataset import dataset_name, mirror_decisions
from ferclean.errors import UsageError, among
from ferclean.evidence.labels import find_class
from ferclean.review.offers import offer
from ferclean.steps.review import OFFER, told_left_out
from ferclean.store.decisions import Decision, append_decisions, current_decisions
from ferclean.store.samples import get_dataset
from ferclean.store.standing import random_checks, words
from ferclean.store.workspace import Workspace

SOURCE = "fiftyone"
PLAIN_ACTIONS = ("keep", "ambiguous", "exclude")
RELABEL = "relabel"
_ALONE = "the face was drawn for the random check; decide it alone, on the review screen or with the operator"
_NEWER = "it was decided elsewhere since; look again, and remove the tag or record it again to replace that"
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
    """What came of the tags: decisions recorded now, and tags that could not become one, with the reason."""

    recorded: int
    problems: tuple[str, ...] = ()


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


def default_reviewer() -> str:
    """The login name, which is who decides unless told otherwise."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in some containers
        return f"uid-{os.getuid()}"


def parse_tag(tag: str, classes: tuple[str, ...]) -> tuple[str, str | None] | None:
    """(action, label) that a tag asks for, or None when the tag is no request.

    `keep`, `ambiguous`, `exclude`, and `relabel:NAME` with any known name or alias of a class of the data set;
    capitals and blanks do not matter. Raises UsageError for a relabel tag without a usable name.
    """
    action, colon, name = (part.strip() for part in tag.partition(":"))
    action = action.lower()
    if not colon and action in PLAIN_ACTIONS:
        return action, None
    if action != RELABEL:
        return None
    label = find_class(name, classes)
    if label is None:
        raise UsageError(f"{name} is not a class of this data set; {among(name, classes)}")
    return RELABEL, label


def sync_decisions(ws: Workspace, *, reviewer: str | None = None) -> TagSync:
    """Turn tags that people put on samples into decisions with source 'fiftyone'; safe to call again and again.

    A recorded tag is replaced by `decided:ACTION`. Tags that contradict each other or name an unknown class stay
    and are reported. The database must be connected; without a dataset there is nothing to do.
    """
    if not fo.dataset_exists(dataset_name(ws)):
        return TagSync(recorded=0)
    with FileLock(Path(ws.root) / "fiftyone" / "tags.lock", timeout=60):
        dataset = fo.load_dataset(dataset_name(ws))
        requests, problems = _requests(dataset, get_dataset(ws).classes)
        recorded = 0
        drawn = random_checks(ws)
        for (action, label), (tags, tagged) in requests.items():
            keys, names = dataset.select(tagged, ordered=True).values(["ferclean_id", "source_key"])
            alone = {sample for sample, key in zip(tagged, keys, strict=True) if key in drawn}
            ids = [sample for sample in tagged if sample not in alone]
            made, newer = _append(ws, dataset, ids, action=action, label=label, reviewer=reviewer) if ids else (0, [])
            recorded += made
            dataset.select([sample for sample in ids if sample not in newer]).untag_samples(sorted(tags))
            mirror_decisions(ws, dataset, keys)
            problems += [
                f"{name}: tag not taken: {_ALONE if sample in alone else _NEWER}"
                for sample, name in zip(tagged, names, strict=True)
                if sample in alone or sample in newer
            ]
    return TagSync(recorded=recorded, problems=tuple(problems))


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
    random check are left out, and so is what was decided since the dataset was last brought up to date.
    """
    keys, verdicts, given, suggested = dataset.select(ids, ordered=True).values(
        ["ferclean_id", "verdict", "ground_truth.label", "suggested_label.label"]
    )
    drawn = random_checks(ws) if len(ids) > 1 else set()
    wanted: dict[tuple[str, str | None], list[str]] = {}
    without = 0
    for sample, key, verdict, *labels in zip(ids, keys, verdicts, given, suggested, strict=True):
        if key in drawn:
            continue
        if action != OFFER:
            wanted.setdefault((action, label), []).append(sample)
        elif verdict and (found := offer(verdict=verdict, given_label=labels[0], suggested_label=labels[1])):
            wanted.setdefault((found.action, found.label), []).append(sample)
        else:
            without += 1
    bulk = uuid.uuid4().hex if len(ids) > 1 else None
    recorded, newer = 0, 0
    with FileLock(Path(ws.root) / "fiftyone" / "tags.lock", timeout=60):
        for (said, name), group in wanted.items():
            made, late = _append(ws, dataset, group, action=said, label=name, reviewer=reviewer, bulk=bulk)
            recorded, newer = recorded + made, newer + len(late)
        mirror_decisions(ws, dataset, keys)
    return Recorded(
        recorded=recorded, random_checks=sum(key in drawn for key in keys), without_offer=without, newer=newer
    )


def _requests(
    dataset: fo.Dataset, classes: tuple[str, ...]
) -> tuple[dict[tuple[str, str | None], tuple[set[str], list[str]]], list[str]]:
    """Requests by (action, label) -> (tags that said so, FiftyOne sample ids), and what cannot be a request."""
    meaning: dict[str, tuple[str, str | None] | UsageError] = {}
    for tag in dataset.distinct("tags"):
        try:
            if request := parse_tag(tag, classes):
                meaning[tag] = request
        except UsageError as error:
            meaning[tag] = error
    requests: dict[tuple[str, str | None], tuple[set[str], list[str]]] = {}
    problems: list[str] = []
    if not meaning:
        return requests, problems
    view = dataset.match_tags(list(meaning))
    for key, sample, tags in zip(*view.values(["source_key", "id", "tags"]), strict=True):
        asked = {tag: meaning[tag] for tag in tags if tag in meaning}
        wrong = [f"{key}: tag {tag!r}: {error}" for tag, error in asked.items() if isinstance(error, UsageError)]
        wanted = {request for request in asked.values() if isinstance(request, tuple)}
        if wrong:
            problems += wrong
        elif len(wanted) > 1:
            problems.append(f"{key}: tags {', '.join(map(repr, sorted(asked)))} contradict each other; remove one")
        else:
            told, ids = requests.setdefault(wanted.pop(), (set(), []))
            told.update(asked)
            ids.append(sample)
    return requests, problems


def _append(
    ws: Workspace,
    dataset: fo.Dataset,
    ids: list[str],
    *,
    action: str,
    label: str | None,
    reviewer: str | None,
    bulk: str | None = None,
) -> tuple[int, list[str]]:
    """How many were appended, and the FiftyOne ids of those that the store knows a newer decision about."""
    reviewer = (reviewer or "").strip() or default_reviewer()
    # a bulk looks at its own faces alone, in one reading
    columns = dataset.select(ids, ordered=True).values(["ferclean_id", "decision", "corrected_label.label", *_SHOWN])
    with ws.reading("reading decisions"):
        own = words(ws, reviewer, columns[0])
        current = {
            row["sample_id"]: (row["action"], row["label"] if row["action"] == RELABEL else None)
            for row in current_decisions(ws, columns[0]).to_dict("records")
        }
    # what was decided together can be undone together
    bulk = bulk or (uuid.uuid4().hex if len(ids) > 1 else None)
    decisions, newer = [], []
    for sample, key, decided, corrected, *shown in zip(ids, *columns, strict=True):
        if (word := own.get(key)) and (word.reviewer, word.action, word.label) == (reviewer, action, label):
            continue  # recorded before, by a run that was ended before it could replace the tag
        if current.get(key) not in (None, (decided, corrected if decided == RELABEL else None)):
            newer.append(sample)
            continue
        decisions.append(
            Decision(
                sample_id=key,
                action=action,
                label=label,
                reviewer=reviewer,
                shown=dict(zip(_SHOWN.values(), shown, strict=True)),
                source=SOURCE,
                bulk_id=bulk,
            )
        )
    if decisions:
        append_decisions(ws, decisions)
    return len(decisions), newer
