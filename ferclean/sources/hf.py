"""Way in for local Hugging Face folders with an image and a label column, such as an exported release.

It never uses a network, never runs code from the folder, and never reads a file outside of it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from ferclean import hashes
from ferclean.errors import BadDataError, among
from ferclean.evidence.labels import EXPRESSIONS, ClassName, find_class
from ferclean.sources.cards import Card, load_card
from ferclean.sources.glimpse import Glimpse, Guess
from ferclean.sources.hf_folder import configurations, opened_folder
from ferclean.sources.own_fields import declared_label, own_attributes
from ferclean.sources.pictures import picture_of
from ferclean.sources.rows import SourceRow, split_word
from ferclean.sources.tabular import LABEL_COLUMNS, PARQUET, parquet_file
from ferclean.sources.undivided import refuse_split, split_of_all

if TYPE_CHECKING:
    import pandas as pd


def read(
    path: str | Path, card: Card, *, image_column: str = "image", label_column: str = "label", split: str | None = None,
    configuration: str | None = None,
) -> Iterator[SourceRow]:  # fmt: skip
    """Rows of all splits of a folder, or of one Parquet file; `source_key` is the column of that name, else
    `<split>/<row number>`.

    Images are encoded, paths below the folder, or rows of numbers. `split` says the split of a folder with only one,
    which its loader calls train for want of a name. `configuration` chooses among several that a folder declares.

    `given_label` of a row is the label column (for an exported release: the released label); a column named
    given_label (the label before curation) becomes the attribute `given_label`, by canonical name.

    Raises UsageError for a path that is no folder and a configuration that it lacks, BadDataError for a folder that
    `datasets` cannot open, that leads out of itself or that lacks the two columns.
    """
    root = Path(path)
    with tempfile.TemporaryDirectory(prefix="ferclean-hf-", ignore_cleanup_errors=True) as cache:
        place, opened = opened_folder(root, Path(cache), configuration)
        if len(opened) > 1 or not {"", "train"} & set(opened):
            refuse_split(root, split, ", ".join(opened))
        for name, part in opened.items():
            for needed in (image_column, label_column):
                if needed not in part.column_names:
                    raise BadDataError(
                        f"{root}: split {name} has no column {needed!r}; {among(needed, part.column_names)}"
                    )
            into = split_of_all(root, card, split) if split or not name else card.split_of(name)
            part = _undecoded(part, image_column)
            yield from _rows((root, place), name or "train", into, part, card, image_column, label_column)


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """Folders that `datasets` opens: saved to disk, Parquet shards, or pictures with a metadata file.

    Its classes must be expressions, by the names that it declares or by the labels of its first rows: numbers alone
    say nothing.
    """
    done: list[PurePosixPath] = []
    for folder in glimpse.folders:
        if any(folder.is_relative_to(other) for other in done):
            continue
        for form, label, names in _forms(glimpse, folder):
            done.append(folder)
            known = [name for name in names if find_class(name, EXPRESSIONS)]
            shown = ", ".join(names[:8])
            if len(known) < 2 or 2 * len(known) < len(names):
                yield f"{folder} is a Hugging Face folder ({form}), but its labels ({shown}) are no expressions' names"
                break
            yield Guess(
                card="hf",
                path=glimpse.path(folder),
                options={} if label == "label" else {"label_column": label},
                confidence="certain",
                evidence=(f"{form}, as `datasets` writes it", f"its classes are {shown}"),
            )
            break


def _forms(glimpse: Glimpse, folder: PurePosixPath) -> Iterator[tuple[str, str, list[str]]]:
    """(form, label column, names of the classes) of what a folder holds for `datasets`."""
    files = glimpse.files(folder)
    inner = [folder, *(folder / name for name in glimpse.subfolders(folder))]
    if {"dataset_dict.json", "state.json"} & set(files):
        told = next((text for part in inner if (text := glimpse.text(part / "dataset_info.json"))), "{}")
        try:
            names = json.loads(told)["features"]["label"]["names"]
        except (ValueError, KeyError, TypeError):
            names = []
        yield "a folder that was saved to disk", "label", list(map(str, names))
    for part in inner:
        tables = [name for name in glimpse.files(part) if name.lower().endswith(PARQUET)]
        named = [name for name in tables if split_word(PurePosixPath(name).stem)]
        divided = named if len(named) > 1 else []
        for name in tables:
            if re.search(r"-\d{5}-of-\d{5}.*\.parquet$", name) or (
                name in divided and _has_images(glimpse, part / name)
            ):
                label, names = _parquet_classes(glimpse, part / name)
                yield f"Parquet shards such as {part / name}", label, names
                return
    for part in inner:
        for name in ("metadata.csv", "metadata.jsonl"):
            if name in glimpse.files(part):
                rows = _metadata(glimpse, part / name)
                label = next((column for column in LABEL_COLUMNS if rows and column in rows[0]), "")
                if label and "file_name" in rows[0]:
                    names = sorted({str(row.get(label)) for row in rows})
                    yield f"pictures with {part / name}", label, names
                    return


def _has_images(glimpse: Glimpse, file: PurePosixPath) -> bool:
    try:
        return "image" in parquet_file(glimpse.path(file)).schema_arrow.names
    except BadDataError:
        return False  # something else under this name


def _parquet_classes(glimpse: Glimpse, file: PurePosixPath) -> tuple[str, list[str]]:
    schema = parquet_file(glimpse.path(file)).schema_arrow
    label = next((column for column in LABEL_COLUMNS if column in schema.names), "")
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return label, list(map(str, features[label]["names"]))
    except (KeyError, TypeError, ValueError):
        return label, sorted({str(row[label]) for row in glimpse.rows(file, [label])}) if label else []


def _metadata(glimpse: Glimpse, file: PurePosixPath) -> list[dict[str, Any]]:
    if file.suffix == ".csv":
        return glimpse.rows(file, ["file_name", *LABEL_COLUMNS])
    rows = []
    for line in glimpse.text(file).splitlines()[:200]:
        try:
            row = json.loads(line)
        except ValueError:
            return []
        rows += [row] if isinstance(row, dict) else []
    return rows


def notes(path: Path, card: Card, options: Mapping[str, Any]) -> list[str]:
    """Which of several configurations is read."""
    names, usual = configurations(path)
    if len(names) < 2:
        return []
    chosen = options.get("configuration") or usual
    return [f"it has the configurations {', '.join(names)}: {chosen} is read; --configuration reads another"]


def class_names(
    path: str | Path, *, label_column: str = "label", configuration: str | None = None
) -> tuple[str, ...] | None:
    """The class names in the order of the folder's own ClassLabel; None when its labels are not one."""
    with tempfile.TemporaryDirectory(prefix="ferclean-hf-", ignore_cleanup_errors=True) as cache:
        for split in opened_folder(Path(path), Path(cache), configuration)[1].values():
            names = getattr(split.features.get(label_column), "names", None)
            return None if names is None else tuple(names)
    return None


def read_release(path: str | Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """An exported release as a table for training, and its classes in order.

    Columns: sample_id, source_key, split, given_label (before curation; None where the folder has no such column),
    label, included (always True: left-out rows are not in the folder), soft_label (K floats or None),
    weight (what the label counts for, 1 where the folder does not say), image (encoded bytes or an absolute path),
    content_hash.

    Raises BadDataError for a folder without a ClassLabel, for rows that cannot be used, for soft labels that are no
    shares of the classes, and for weights outside [0, 1].
    """
    import pandas as pd

    names = class_names(path)
    if names is None:
        raise BadDataError(
            f"{path}: the label column is not a ClassLabel, so the order of the classes is unknown; "
            "`ferclean export --form hf` writes one"
        )
    card = load_card("hf").with_classes(names, declared=True)
    rows = []
    for row in read(path, card):
        if row.problem:
            raise BadDataError(f"{path}: {row.split} row {row.source_key!r} cannot be used: {row.problem}")
        _check_target(f"{path}: {row.split} row {row.source_key!r}", row.attributes, len(card.classes))
        image: bytes | str = str(Path(path) / row.relative_path) if row.relative_path else row.data or b""
        rows.append(
            {
                "sample_id": row.attributes.get("sample_id", row.source_key),
                "source_key": row.source_key,
                "split": row.split,
                "given_label": row.attributes.get("given_label"),
                "label": row.given_label,
                "included": True,
                "soft_label": row.attributes.get("soft_label"),
                "weight": row.attributes.get("weight", 1.0),
                "image": image,
                "content_hash": hashes.of_bytes(image) if isinstance(image, bytes) else hashes.of_file(Path(image)),
            }
        )
    return pd.DataFrame(rows), card.classes


def _check_target(row: str, attributes: Mapping[str, object], classes: int) -> None:
    soft, weight = attributes.get("soft_label"), attributes.get("weight", 1.0)
    if soft is not None:
        try:
            shares = np.asarray(soft, dtype=np.float64)
        except (TypeError, ValueError):
            shares = np.array([])
        whole = shares.shape == (classes,) and bool((shares >= 0).all()) and abs(float(shares.sum()) - 1) < 1e-3
        if not whole:
            raise BadDataError(
                f"{row}: its soft label is not {classes} shares that sum to 1, one per class; export the release again"
            )
    if not isinstance(weight, float) or not 0 <= weight <= 1:
        raise BadDataError(
            f"{row}: its weight is {weight!r}, not a number from 0 to 1; mend it, or leave the column weight out"
        )


def _undecoded(split: Any, column: str) -> Any:
    """Image cells as {bytes, path}: decoding untrusted images is ingest's work."""
    from datasets import Image

    return split.cast_column(column, Image(decode=False)) if isinstance(split.features[column], Image) else split


def _rows(
    roots: tuple[Path, Path],
    name: str,
    canonical_split: str | None,
    split: Any,
    card: Card,
    image_column: str,
    label_column: str,
) -> Iterator[SourceRow]:
    """Rows of a split; `roots` are the folder and the one that the loader was given for it."""
    root, place = roots
    real = os.path.realpath(root)
    labels, before = (_declared(split, column, card, root) for column in (label_column, "given_label"))
    for number, cells in enumerate(split):
        given, code, problem = declared_label(cells[label_column], labels, card)
        key = cells.get("source_key")
        cell = cells[image_column]
        if isinstance(cell, Mapping) and str(cell.get("path")).startswith(f"{place}/"):
            cell = {**cell, "path": str(cell["path"]).removeprefix(f"{place}/")}
        image, image_problem = picture_of(cell, root, real=real)
        if canonical_split is None:
            problem = f"split: {name!r} is unknown; known are train, validation and test"
        yield SourceRow(
            source_key=key if isinstance(key, str) and key else f"{name}/{number}",
            split=canonical_split or "train",
            given_label=given,
            given_code=code,
            problem=image_problem or problem,
            attributes=own_attributes(cells, card, before),
            **image,
        )


def _declared(split: Any, column: str, card: Card, root: Path) -> list[ClassName] | None:
    """The class at each position of a column's ClassLabel; None for a column of another type."""
    names = getattr(split.features.get(column), "names", None)
    return None if names is None else card.class_label(names, f"{root}: column {column!r}")
