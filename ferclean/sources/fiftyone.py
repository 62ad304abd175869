"""Read FiftyOne's exports: samples.json with a field of labels, or labels.json beside the pictures in data.

It starts no database, never imports FiftyOne, and takes no prediction for a label that nobody named.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from ferclean.errors import BadDataError, UsageError, among, few
from ferclean.evidence.labels import EXPRESSIONS, ClassName, find_class
from ferclean.sources.cards import Card
from ferclean.sources.file_names import IMAGE_SUFFIXES, is_clutter
from ferclean.sources.glimpse import TOP, Glimpse, Guess
from ferclean.sources.json_files import elements_of, value_of
from ferclean.sources.marks import Mark, box_of, rows_of
from ferclean.sources.own_fields import own_attributes
from ferclean.sources.references import Pictures, sound
from ferclean.sources.rows import SourceRow, leftover, refuse_lists_outside, split_word
from ferclean.sources.tabular import LABEL_COLUMNS, SPLIT_COLUMNS, code_of
from ferclean.sources.undivided import refuse_split, split_of_all

SAMPLES, LABELS, ABOUT = "samples.json", "labels.json", "metadata.json"
_KINDS = {"Classification": "label", "Classifications": "classifications", "Detections": "detections"}
_USUAL = ("ground_truth", *LABEL_COLUMNS)
_LOOK = 1000
"""Samples in which the fields of labels and splits are looked for."""


def read(
    path: Path,
    card: Card,
    *,
    label_column: str | None = None,
    split: str | None = None,
    images: str | Path | None = None,
) -> Iterator[SourceRow]:
    """One row per sample in the file's order, or per box of a field of detections; `source_key` is the sample's
    `source_key` where it has one, else the picture's path.

    `path` is a FiftyOneDataset (`samples.json`), a FiftyOneImageClassificationDataset or ImageDetectionDataset
    (`labels.json`, pictures in `data`), or that file. `label_column` is the field of labels; without it `ground_truth`,
    another usual name, or the only one. Splits are tags, or a field called split. Pictures lie below `images` (default:
    the folder); paths of another machine are found by their end. Of `labels.json`, pictures that it does not name are
    rows, too.

    Raises BadDataError for another form, UsageError where nobody could say which field is meant.
    """
    file = _file(path)
    root = Path(images) if images is not None else file.parent
    if value_of(file, "labels") is not None and file.name != SAMPLES:
        yield from _of_labels(file, card, root, split_of_all(path, card, split))
        return
    head = list(islice(_samples(file), _LOOK))
    name = _field(file, head, label_column)
    divided = any(_splits(sample, card) for sample in head)
    if divided:
        refuse_split(path, split, "by tags or a field of the samples")
    everywhere = None if divided else split_of_all(path, card, split)
    pictures = Pictures(root, ("data",))
    for number, sample in enumerate(_samples(file)):
        reference = sample.get("filepath")
        place = _place(pictures, reference)
        told = [everywhere] if everywhere else sorted(_splits(sample, card))
        key = sample.get("source_key")
        key = key if isinstance(key, str) and key else place[0] or str(reference or f"sample {number}").lstrip("/")
        yield from rows_of(
            sound(key),
            (_mark(one, None, card) for one in _labels_in(sample.get(name))),
            split=told[0] if len(told) == 1 else "train",
            place=place,
            doubt=None if len(told) == 1 else f"split: {'several' if told else 'missing'}",
            attributes=own_attributes({**sample, **_before(sample)}, card),
            unit="shares",
            whole=(0, 0, 1, 1),
        )


def class_names(path: Path, *, label_column: str | None = None) -> tuple[str, ...] | None:
    """The classes in the order in which the export lists them; None where it lists none."""
    file = _file(path)
    if file.name != SAMPLES:
        names = value_of(file, "classes")
    else:
        about = file.parent / ABOUT
        names = value_of(about, "default_classes") if about.is_file() else None
        listed = value_of(about, "classes") if about.is_file() else None
        if isinstance(listed, dict) and listed:
            names = listed.get(_field(file, list(islice(_samples(file), _LOOK)), label_column)) or names
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """samples.json of samples with file paths, or labels.json of labels for the pictures in data: expressions."""
    for folder in glimpse.folders:
        for name in (SAMPLES, LABELS):
            found = glimpse.elements(folder / name) if name in glimpse.files(folder) else []
            path = glimpse.path(folder)
            samples = [one for key, one in found if key == "samples" and isinstance(one, dict) and "filepath" in one]
            pairs = [one for key, one in found if key == "labels" and isinstance(one, tuple)]
            if samples:
                try:
                    field = _field(path / name, samples, None)
                except UsageError as error:
                    yield f"{folder / name} is FiftyOne's, but {error}"
                    continue
                words = [str(one.get("label")) for sample in samples for one in _labels_in(sample.get(field))]
                pictures = Pictures(path, ("data",))
                lost = [sample for sample in samples if _place(pictures, sample["filepath"])[1]]
            elif pairs and (path / "data").is_dir():
                classes = class_names(path / name) or ()
                marks = [one.get("label") for _, value in pairs for one in _labels_in(value)]
                words = [classes[m] if isinstance(m, int) and 0 <= m < len(classes) else str(m) for m in marks]
                stems = {PurePosixPath(one).stem for one in glimpse.pictures(folder / "data")}
                lost = [] if {PurePosixPath(key).name for key, _ in pairs} & stems else [dict(pairs)]
            else:
                continue
            names = list(dict.fromkeys(words))
            if sum(find_class(word, EXPRESSIONS) is not None for word in names) < max(2, len(names) / 2):
                yield f"{folder / name} is FiftyOne's, but its labels ({few(names, 7) or 'none'}) are no expressions"
            elif 2 * len(lost) > len(samples):
                yield f"{folder / name} is FiftyOne's, with expressions, but its pictures are not there: give --images"
            else:
                form = f"{folder / name if folder != TOP else name} is FiftyOne's, with the labels {few(names, 8)}"
                yield Guess(card="fiftyone", path=path, confidence="certain", evidence=(form,))


# ---- samples.json


def _file(path: Path) -> Path:
    found = path if path.is_file() else next((path / n for n in (SAMPLES, LABELS) if (path / n).is_file()), None)
    if found is None:
        raise BadDataError(f"{path} holds neither {SAMPLES} nor {LABELS}; give the folder that FiftyOne exported")
    refuse_lists_outside(found.parent, [] if found == path else [found])
    return found


def _samples(file: Path) -> Iterator[dict[str, Any]]:
    for number, (key, sample) in enumerate(elements_of(file)):
        if key == "samples" and isinstance(sample, dict):
            yield sample
        elif key in ("samples", None):
            raise BadDataError(f"{file} is not FiftyOne's: sample {number} is {str(sample)[:60]!r}")


def _field(file: Path, head: Sequence[Mapping[str, Any]], wanted: str | None) -> str:
    kinds = {
        name: value["_cls"]
        for sample in reversed(head)
        for name, value in sample.items()
        if isinstance(value, dict) and value.get("_cls") in _KINDS
    }
    if wanted is not None and wanted not in kinds:
        raise UsageError(f"{file} has no field of labels {wanted!r} (label_column); {among(wanted, sorted(kinds))}")
    usual = [name for name in _USUAL if name in kinds]
    classified = sorted(name for name, kind in kinds.items() if kind != "Detections")
    found = [wanted] if wanted is not None else usual[:1] or classified or sorted(kinds)
    if len(found) != 1:
        raise UsageError(f"{file} has the fields of labels {few(found) or 'none'}; say with --label-column which it is")
    return found[0]


def _place(pictures: Pictures, reference: Any) -> tuple[str | None, str | None]:
    if not isinstance(reference, str) or not reference:
        return None, "file: missing"
    far = reference.startswith(("/", "\\\\")) or reference[1:3] in (":\\", ":/")
    return pictures.below(reference) if far else pictures.named(reference)


def _splits(sample: Mapping[str, Any], card: Card) -> set[str]:
    """By a field called split, else by the tags."""
    said = [sample[name] for name in SPLIT_COLUMNS if isinstance(sample.get(name), str)]
    tags = sample.get("tags")
    words = said or [
        tag for tag in (tags if isinstance(tags, list) else ()) if isinstance(tag, str) and split_word(tag)
    ]
    return {found for word in words if (found := card.split_of(word))}


def _before(sample: Mapping[str, Any]) -> dict[str, Any]:
    """The label before curation, which our export writes as a Classification."""
    given = sample.get("given_label")
    return {"given_label": given.get("label")} if isinstance(given, dict) else {}


# ---- labels.json


def _of_labels(file: Path, card: Card, root: Path, split: str) -> Iterator[SourceRow]:
    classes = class_names(file)
    positions = card.class_label(classes, f"{file}: classes") if classes else None
    base = root / "data" if (root / "data").is_dir() else root
    there: dict[str, list[str]] = {}
    for folder, below, names in os.walk(base):
        below[:] = sorted(name for name in below if not is_clutter(name))
        for name in sorted(names):
            if name.lower().endswith(IMAGE_SUFFIXES) and not is_clutter(name):
                inside = (Path(folder) / name).relative_to(root).as_posix()
                stem = os.path.splitext((Path(folder) / name).relative_to(base).as_posix())[0]
                there.setdefault(stem, []).append(inside)
    pictures = Pictures(root, ("data",))
    for key, entry in elements_of(file):
        if key != "labels":
            continue
        if not isinstance(entry, tuple):
            raise BadDataError(f"{file}: labels is no mapping of pictures to labels, as FiftyOne has it")
        stem, value = entry
        found = there.pop(stem, None) or there.pop(os.path.splitext(stem)[0], [])
        place = pictures.named(found[0] if found else stem)
        if len(found) > 1:
            place = None, f"file: several pictures are called so ({few(found, 3)})"
        yield from rows_of(
            sound(stem),
            (_mark(one, positions, card) for one in _labels_in(value)),
            split=split,
            place=place,
            attributes={},
            unit="shares",
            whole=(0, 0, 1, 1),
        )
    for inside in (name for names in there.values() for name in names):
        yield leftover(inside, f"label: no entry in {file.name}", split)


# ---- labels


def _labels_in(value: Any) -> list[dict[str, Any]]:
    """{label, and perhaps confidence and bounding_box} of each label in whatever form it is written; one of null has
    the label None, a list of none is empty."""
    if isinstance(value, dict):
        inner = value.get(_KINDS.get(str(value.get("_cls")), ""))
        return [one for part in inner for one in _labels_in(part)] if isinstance(inner, list) else [value]
    if isinstance(value, list):
        return [one for part in value for one in _labels_in(part)]
    return [] if value is None else [{"label": value}]


def _mark(told: Mapping[str, Any], positions: Sequence[ClassName] | None, card: Card) -> Mark:
    word, confidence = told.get("label"), told.get("confidence")
    box, wrong = box_of(told.get("bounding_box"))
    if positions is not None and isinstance(word, int) and not isinstance(word, bool):
        label = positions[word] if 0 <= word < len(positions) else None
        problem = None if label else f"label: {word} is outside of the {len(positions)} classes"
        code: str | None = label
    else:
        label, code = card.label_of(word), code_of(word)
        problem = f"label: unknown ({sound(code)!r}; known: {card.known_labels()})" if code else "label: missing"
    sure = float(confidence) if isinstance(confidence, int | float) else math.nan
    return Mark(
        label=label,
        code=code and sound(code),
        problem=wrong or (None if label else problem),
        box=box,
        attributes={"confidence": sure} if math.isfinite(sure) else {},
    )
