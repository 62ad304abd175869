"""What people ask for in the dataset without an operator: by tags on a sample or on its labels, and by edits of labels.

It only reads; `decide.py` records what is asked, or refuses it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import fiftyone as fo

from apps.fiftyone_view.mirror import edited
from apps.fiftyone_view.workspace_dataset import LABELS
from ferclean.errors import UsageError, among
from ferclean.evidence.labels import find_class

PLAIN_ACTIONS = ("keep", "ambiguous", "exclude")
RELABEL = "relabel"
_TAGGED = ("tags", *(f"{name}.tags" for name in LABELS))
_GIVEN = "ground_truth is the given label and never changes; edit corrected_label instead"
_CLEARED = "an empty corrected_label says nothing; take a decision back with undo, or tag exclude or ambiguous"


@dataclass(kw_only=True)
class Asked:
    """What one person wants of one sample."""

    name: str
    """Its source key, by which it is told of."""
    ferclean_id: str
    wants: set[tuple[str, str | None]] = field(default_factory=set)
    """(action, label) of each tag and edit; more than one contradict each other."""
    tags: set[str] = field(default_factory=set)
    edited: bool = False
    wrong: str = ""
    """Why it cannot be a request."""


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
    return RELABEL, _class(name, classes)


def requests(samples: Any, classes: tuple[str, ...]) -> dict[str, Asked]:
    """What is asked of these samples (a dataset or a view), by FiftyOne sample id.

    Reads the tags of all of them in the database, five times: .1 s for 12,000.
    """
    asked: dict[str, Asked] = {}
    _from_tags(samples, classes, asked)
    _from_edits(samples, classes, asked)
    return asked


def _class(name: str, classes: tuple[str, ...]) -> str:
    label = find_class(name, classes)
    if label is None:
        raise UsageError(f"{name} is not a class of this data set; {among(name, classes)}")
    return label


def _from_tags(samples: Any, classes: tuple[str, ...], asked: dict[str, Asked]) -> None:
    meaning: dict[str, tuple[str, str | None] | UsageError] = {}
    for tag in {tag for path in _TAGGED for tag in samples.distinct(path)}:
        try:
            if request := parse_tag(tag, classes):
                meaning[tag] = request
        except UsageError as error:
            meaning[tag] = error
    if not meaning:
        return
    has_one = [{path: {"$in": list(meaning)}} for path in _TAGGED]
    view = samples.mongo([{"$match": {"$or": has_one}}])
    for sample, key, name, *tags in zip(*view.values(["id", "ferclean_id", "source_key", *_TAGGED]), strict=True):
        one = asked.setdefault(sample, Asked(name=name, ferclean_id=key))
        for tag in sorted({tag for some in tags for tag in some or () if tag in meaning}):
            one.tags.add(tag)
            said = meaning[tag]
            if isinstance(said, UsageError):
                one.wrong = f"tag {tag!r}: {said}"
            else:
                one.wants.add(said)


def _from_edits(samples: Any, classes: tuple[str, ...], asked: dict[str, Asked]) -> None:
    columns = ("id", "ferclean_id", "source_key", "ground_truth.label", "given_label", "corrected_label.label",
               "decided_label")  # fmt: skip
    for sample, key, name, truth, given, corrected, decided in edited(samples, *columns):
        one = asked.setdefault(sample, Asked(name=name, ferclean_id=key))
        one.edited = True
        if truth != given:
            one.wrong = f"{_GIVEN} (it was made {truth!r})"
        elif not corrected:
            one.wrong = _CLEARED
        elif corrected != decided:
            try:
                one.wants.add((RELABEL, _class(corrected, classes)))
            except UsageError as error:
                one.wrong = f"corrected_label {corrected!r}: {error}"


def plain(action: str, label: str | None, given: str | None) -> tuple[str, str | None]:
    """The action and label as the store keeps them: to relabel a face with the label that it has is to keep it."""
    return ("keep", None) if action == RELABEL and label == given else (action, label)


def tags_off(dataset: fo.Dataset, done: dict[str, Asked]) -> None:
    """Take the tags of these requests from their samples and labels; other tags stay."""
    tags = sorted({tag for one in done.values() for tag in one.tags})
    tagged = [sample for sample, one in done.items() if one.tags]
    if not tagged:
        return
    view = dataset.select(tagged)
    view.untag_samples(tags)
    for name in LABELS:
        if set(view.distinct(f"{name}.tags")) & set(tags):
            view.untag_labels(tags, label_fields=[name])
