"""Read Label Studio's exports of a choice per picture: JSON, JSON-MIN and CSV; several annotators are votes.

It never fetches a picture, never takes a model's prediction for a person's answer, and never counts a person twice.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ferclean.errors import BadDataError, UsageError, among, few
from ferclean.evidence.labels import EXPRESSIONS, find_class
from ferclean.sources.cards import Card
from ferclean.sources.file_names import IMAGE_SUFFIXES
from ferclean.sources.glimpse import Glimpse, Guess
from ferclean.sources.label_studio_tasks import Answer, Task, is_export, tasks_of
from ferclean.sources.references import Pictures, sound
from ferclean.sources.rows import NOT_EXPRESSIONS, SourceRow
from ferclean.sources.tabular import IMAGE_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS, text_of
from ferclean.sources.undivided import refuse_split, split_of_all

_LOOK = 1000
"""Tasks in which the names of the choice and of the picture are looked for."""
_CHOICES = ("choice", "choices", *LABEL_COLUMNS)
_FOLDERS = ("media", "media/upload", "upload", "data", "images")
_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of a file that is sent to it."""


def read(
    path: Path,
    card: Card,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    split: str | None = None,
    images: str | Path | None = None,
) -> Iterator[SourceRow]:
    """One row per task in the export's order; `source_key` is the picture's path as Label Studio has it.

    `label_column` is the name of the choice in the labelling interface (`from_name`), `image_column` the task's field
    of the picture; without them the usual names, else the only ones. Pictures lie below `images` (default: the
    export's folder) under the whole path or an end of it; an uploaded `1a2b3c4d-a.jpg` may be there as `a.jpg`.

    The given label is the answer that is marked as ground truth, else the one that most annotators gave. Of several
    annotators all answers are kept (`annotations`), the last of each. Skipped, empty and several answers, and a tie,
    are reasons. A field of the data called split, or the like, is the split.

    Holds the rows; a JSON file is read a task at a time. Raises BadDataError for a file of another form, UsageError
    where nobody could say which choice or picture is meant.
    """
    if not path.is_file():
        raise BadDataError(f"{path} is not a file; give Label Studio's export (JSON, JSON-MIN or CSV) itself")
    head = list(islice(tasks_of(path), _LOOK))
    choice, picture = _choice_of(path, head, label_column), _picture_of(path, head, image_column)
    parts = next((name for task in head for name in task.data if name.lower() in SPLIT_COLUMNS and name != choice), "")
    if parts:
        refuse_split(path, split, f"in the field {parts}")
    everywhere = "" if parts else split_of_all(path, card, split)
    pictures = Pictures(path.parent if images is None else Path(images), _FOLDERS)
    rows: list[SourceRow] = []
    names: dict[str, set[str]] = {}
    for task in tasks_of(path):
        reference = text_of(task.data.get(picture)) or ""
        key, place, lost = _found(reference, pictures)
        if "relative_path" in place:
            names.setdefault(str(place["relative_path"]), set()).add(key)
        label, code, doubt, extra = _judged(task.answers, choice, card)
        said = text_of(task.data.get(parts)) if parts else everywhere
        where = (card.split_of(said) if said else None) if parts else everywhere
        doubt = doubt or (None if where else f"split: {'missing' if not said else f'unknown ({said!r})'}")
        rows.append(
            SourceRow(
                source_key=sound(key) or f"task {task.number}",
                split=where or "train",
                given_label=label,
                given_code=code,
                problem=lost or doubt,
                **place,
                **extra,
            )
        )
    for row in rows:
        same = names.get(row.relative_path or "", set())
        problem = f"file: several names of the export lead to it ({few(sorted(same), 3)})" if len(same) > 1 else None
        yield row if problem is None else SourceRow(**{**row.__dict__, "relative_path": None, "problem": problem})


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """JSON files of tasks with annotations, and flat ones with Label Studio's own columns; the choices must be
    expressions and the first pictures there."""
    files = [file for file in glimpse.documents(".json") if is_export(glimpse.elements(file))]
    files += [file for file, header in glimpse.tables() if {"annotation_id", "annotator", "lead_time"} <= set(header)]
    for file in files:
        path = glimpse.path(file)
        try:
            head = list(islice(tasks_of(path), 200))
            picture = _picture_of(path, head, None)
        except (BadDataError, UsageError) as error:
            yield f"{file} has Label Studio's form, but {error}"
            continue
        seen: dict[str, list[str]] = {}
        for name, word in ((name, word) for task in head for name, word in _words(task)):
            if word not in seen.setdefault(name, []):
                seen[name].append(word)
        fits = {
            name: words
            for name, words in seen.items()
            if sum(find_class(word, EXPRESSIONS) is not None for word in words) >= max(2, len(words) / 2)
        }
        if not fits:
            shown = few([word for words in seen.values() for word in words], 7)
            yield f"{file} is Label Studio's, but its choices ({shown}) are no expressions' names"
            continue
        choice = next((name for name in _CHOICES if name in fits), next(iter(fits)))
        pictures = Pictures(path.parent, _FOLDERS)
        there = [key for task in head if not (found := _found(text_of(task.data.get(picture)) or "", pictures))[2]
                 and (key := found[0])]  # fmt: skip
        if 2 * len(there) < len(head):
            yield f"{file} is Label Studio's, with expressions, but its pictures are not beside it: give --images"
            continue
        yield Guess(
            card="label_studio",
            path=path,
            options={} if len(seen) == 1 else {"label_column": choice},
            confidence="certain",
            evidence=(
                f"{file} holds Label Studio's tasks, with the choices {few(fits[choice], 8)} in {choice}",
                f"its first picture is {there[0]}",
            ),
        )


# ---- columns


def _words(task: Task) -> Iterator[tuple[str, str]]:
    for answer in task.answers:
        for name, words in answer.choices.items():
            if not any(_is_picture(word) for word in words):
                yield from ((name, word) for word in words)


def _choice_of(path: Path, head: list[Task], wanted: str | None) -> str:
    names = list(dict.fromkeys(name for task in head for name, _ in _words(task)))
    if wanted is not None and wanted not in names:
        raise UsageError(f"{path}: no answer is called {wanted!r} (label_column); {among(wanted, names)}")
    named = [name for name in names if name.lower() in _CHOICES]
    found = [wanted] if wanted is not None else named if len(named) == 1 else names
    if len(found) > 1:
        raise UsageError(f"{path} has the answers {few(names, 10)}; say with --label-column which is the label")
    return found[0] if found else ""


def _picture_of(path: Path, head: list[Task], wanted: str | None) -> str:
    names = list(dict.fromkeys(name for task in head for name in task.data))
    if wanted is not None and wanted not in names:
        raise UsageError(f"{path}: no task has the field {wanted!r} (image_column); {among(wanted, names)}")
    holding = [name for name in names if any(_is_picture(text_of(task.data.get(name)) or "") for task in head[:50])]
    usual = [name for name in IMAGE_COLUMNS if name in holding]
    found = [wanted] if wanted is not None else usual[:1] or holding
    if len(found) != 1:
        raise UsageError(
            f"{path} has the fields {few(names, 10)}; say with --image-column which of them is the picture"
        )
    return found[0]


def _is_picture(text: str) -> bool:
    return text.startswith("data:image/") or _path_of(text).lower().endswith(IMAGE_SUFFIXES)


def _path_of(reference: str) -> str:
    """The path in a reference: of a local file what stands behind ?d=, of an address its path."""
    try:
        address = urlsplit(reference)
    except ValueError:
        return reference
    if address.path.endswith("local-files/") or address.path.endswith("local-files"):
        return (parse_qs(address.query).get("d") or [""])[0]
    if len(address.scheme) > 1 or reference.startswith("/data/upload/"):
        return unquote(address.path).lstrip("/").removeprefix("data/")
    return reference


def _found(reference: str, pictures: Pictures) -> tuple[str, dict[str, Any], str | None]:
    """(key, where the picture is as fields of a SourceRow, problem)."""
    if reference.startswith("data:"):
        kind, _, body = reference.partition(",")
        try:
            return "", {"data": base64.b64decode(body, validate=True) if kind.endswith(";base64") else b""}, None
        except (ValueError, binascii.Error):
            return "", {}, "image: its data: address is not base64"
    path = _path_of(reference)
    if not path:
        return "", {}, "image: missing"
    found, problem = pictures.below(path)
    name = path.rpartition("/")[2]
    if problem == "file: missing" and _PREFIX.match(name):
        uploaded = pictures.named(name, _PREFIX.sub("", name, count=1))
        found, problem = uploaded if uploaded[1] is None else (found, problem)
    if problem == "file: missing" and "://" in reference:
        problem = f"file: missing (nothing is fetched: {sound(reference)[:120]})"
    return path, {} if found is None else {"relative_path": found}, problem


# ---- answers


def _judged(
    answers: list[Answer], choice: str, card: Card
) -> tuple[str | None, str | None, str | None, dict[str, Any]]:
    """(class, what was answered, why there is none, further fields of the row)."""
    if not answers:
        return None, None, "label: missing", {}
    if not (given := [answer for answer in answers if not answer.skipped]):
        return None, None, "label: skipped by every annotator", {}
    last = {answer.who: answer for answer in sorted(given, key=lambda answer: answer.when)}
    words = {who: list(dict.fromkeys(answer.choices.get(choice, ()))) for who, answer in last.items()}
    known = {who: label for who, said in words.items() if len(said) == 1 and (label := _known(said[0], card))}
    odd = {who: said for who, said in words.items() if who not in known}
    extra: dict[str, Any] = {"annotations": known} if len(words) > 1 and known else {}
    if len(words) > 1 and odd:
        extra["attributes"] = {"other_answers": {who: sound(", ".join(said)) for who, said in odd.items()}}
    truth = [answer.choices.get(choice, []) for answer in given if answer.truth]
    if truth or len(words) == 1:
        return *_single((truth or list(words.values()))[-1], card), extra
    counts = Counter(known.values()).most_common()
    if not counts:
        told = few([sound(", ".join(said)) or "empty" for said in odd.values()])
        return None, None, f"label: no answer is a class ({told})", extra
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        return None, None, "label: no class has the most votes", extra
    label, problem = _class(counts[0][0], card)
    return label, None, problem, extra


def _known(word: str, card: Card) -> str | None:
    """What a vote may be for: a class, another expression, or none."""
    return card.label_of(word) or NOT_EXPRESSIONS.get(word.strip().lower()) or find_class(word, EXPRESSIONS)


def _single(said: list[str], card: Card) -> tuple[str | None, str | None, str | None]:
    if not said:
        return None, None, "label: missing"
    if len(said) > 1:
        return None, None, f"label: several ({', '.join(map(sound, said))})"
    known = _known(said[0], card)
    if known is None:
        return None, sound(said[0]), f"label: unknown ({sound(said[0])!r}; known: {card.known_labels()})"
    label, problem = _class(known, card)
    return label, sound(said[0]), problem


def _class(known: str, card: Card) -> tuple[str | None, str | None]:
    label = card.named(known)
    return label, None if label else f"label: none of the classes, but {known!r}"
