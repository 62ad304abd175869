"""The RAF-DB form: the folder layout, file names and codes of the original, with the release's labels.

It never re-encodes an image, and never reorders the list file.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from ferclean.errors import BadDataError, UsageError
from ferclean.exports.card import write_card
from ferclean.exports.cells import true_suffix
from ferclean.exports.content import Content, needs_release, records, write_csv
from ferclean.exports.soft_targets import write_soft_labels
from ferclean.progress import Progress
from ferclean.sources.cards import load_card
from ferclean.sources.rows import contained_file
from ferclean.sources.tabular import code_of

SINGLE_FILE = False
HOLDS_PIXELS = True

LIST_FILE = "EmoLabel/list_patition_label.txt"
_KEY = re.compile(r"(train|test)_\d{1,9}(#\d+)?")  # "#2": a second line of the list for the same image
_ANNOTATIONS = ("Annotation/manual", "Annotation/auto")
_DISTRIBUTIONS = ("EmoLabel/distribution_basic.txt", "distribution_basic.txt")


def check(content: Content, out: Path) -> list[str]:
    """Raises BadDataError for classes without a RAF-DB code, UsageError for a split that RAF-DB does not have."""
    needs_release(content, "rafdb")
    codes = _codes(content)
    present = sorted(set(content.rows["release_label"]))
    unknown = [name for name in present if name not in codes]
    if unknown:
        raise BadDataError(
            f"the RAF-DB layout has no code for {', '.join(unknown)} (it has {', '.join(codes)}); "
            "export another form, or exclude those samples"
        )
    splits = sorted(set(content.rows["split"]) - {"train", "test"})
    if splits:
        raise UsageError(f"the RAF-DB layout has train and test only, not {', '.join(splits)}; export another form")
    if _is_native(content):
        return []
    return [
        "the samples do not come from the RAF-DB layout: they get made-up keys, listed in mapping.csv; image bytes "
        "stay as they are under the .jpg names that the layout fixes, so a PNG stays a PNG (readers go by content)"
    ]


def write(content: Content, target: Path, *, progress: Progress) -> None:
    """Write Image/aligned, the list file in the source's order, annotations when there are any, soft_labels.csv (files
    to training targets) and README.md."""
    codes = _codes(content)
    native = _is_native(content)
    aligned = target / "Image" / "aligned"
    aligned.mkdir(parents=True)
    (target / LIST_FILE).parent.mkdir()
    lines, mapping, keys, targets = [], [], [], []
    numbers = {"train": 0, "test": 0}
    rows = content.rows
    for done, row in enumerate(records(rows)):
        progress("writing images", done, len(rows))
        split = row["split"]
        numbers[split] += 1
        key = row["source_key"].partition("#")[0] if native else f"{split}_{numbers[split]:05d}"
        data = content.image(row)
        (aligned / f"{key}_aligned.jpg").write_bytes(data)
        lines.append(f"{key}.jpg {codes[row['release_label']]}\n")
        keys.append(key)
        targets.append((f"Image/aligned/{key}_aligned.jpg", row))
        mapping.append(
            [
                key,
                *(row[name] for name in ("sample_id", "source_key", "split", "release_label", "given_label")),
                (true_suffix(data) or "unknown").lstrip("."),
            ]
        )
    progress("writing images", len(rows), len(rows))
    text = "".join(lines).encode("ascii")
    if native:
        wanted = {row["source_key"]: codes[row["release_label"]] for row in records(rows)}
        text = _as_listed(Path(content.dataset.root), wanted) or text
    (target / LIST_FILE).write_bytes(text)
    if native:
        _copy_annotations(Path(content.dataset.root), target, set(keys))
    else:
        columns = ["key", "sample_id", "source_key", "split", "label", "given_label", "format"]
        write_csv(target / "mapping.csv", columns, mapping)
    write_soft_labels(target, targets, content.dataset.classes)
    write_card(content, target / "README.md", form="rafdb")


def _codes(content: Content) -> dict[str, str]:
    """Class -> code in the list file; numbers win over names where a card knows a class by both."""
    if not _has_layout(content.dataset.card):
        return {name: code for code, name in load_card("rafdb").codes.items()}
    declared: Mapping[str, str] = content.dataset.card["codes"]
    if not declared:  # the names are numbers, and so their own codes (`Card.coded`)
        return {name: name for name in content.dataset.classes}
    codes: dict[str, str] = {}
    for code, name in declared.items():
        if name not in codes or (code.isdigit() and not codes[name].isdigit()):
            codes[name] = code
    return codes


def _has_layout(card: Mapping[str, Any]) -> bool:
    return card["layout"] in ("rafdb", "drawn_faces")


def _is_native(content: Content) -> bool:
    """True when the source already has this layout, and so every key is a safe file name of it."""
    keys = content.rows["source_key"]
    return _has_layout(content.dataset.card) and all(_KEY.fullmatch(key) for key in keys) and keys.is_unique


def _as_listed(root: Path, wanted: Mapping[str, str]) -> bytes | None:
    """The source's list, byte for byte but for the codes of `wanted` (source key -> code) and without other lines; None
    where it is there no longer or lists others."""
    base = root / "basic" if (root / "basic" / LIST_FILE).is_file() else root
    file = contained_file(base, LIST_FILE)[0]
    if file is None:
        return None
    kept, times = [], Counter[str]()
    for line in file.read_bytes().splitlines(keepends=True):
        name, *fields = line.decode("utf-8-sig", "replace").split() or [""]
        key = PurePath(name).stem.removesuffix("_aligned")
        times[key] += 1
        code = wanted.get(key if times[key] == 1 else f"{key}#{times[key]}")
        if code is not None and fields:
            before, _, after = line.rpartition(fields[0].encode())
            kept.append(line if code_of(fields[0]) == code else before + code.encode() + after)
    return b"".join(kept) if len(kept) == len(wanted) else None


def _copy_annotations(root: Path, target: Path, keys: set[str]) -> None:
    """Attribute, landmark and vote files of the released images, as they are; links out of the source are skipped."""
    if (root / "basic" / "EmoLabel").is_dir():
        root = root / "basic"  # the official download has this folder; ingest accepts its parent too
    real_root = root.resolve()
    for folder in _ANNOTATIONS:
        for file in sorted((root / folder).glob("*.txt")):
            key = "_".join(file.name.split("_")[:2])
            if key in keys and file.resolve().is_relative_to(real_root):
                (target / folder).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target / folder / file.name)
    for name in _DISTRIBUTIONS:
        file = root / name
        if file.is_file() and file.resolve().is_relative_to(real_root):
            kept = [
                line
                for line in file.read_text(encoding="utf-8").splitlines(keepends=True)
                if line.split() and line.split()[0].split(".")[0].removesuffix("_aligned") in keys
            ]
            (target / name).write_text("".join(kept), encoding="utf-8")
