"""Read the class probabilities of any model from Parquet, CSV or .npz, with ids, folds and an embedding where given.

Class names are mandatory: it never guesses an order. It never loads a pickle and never judges a number.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferclean import hashes
from ferclean.errors import BadDataError, UsageError, among, few
from ferclean.evidence import labels as label_names
from ferclean.sources.tabular import PARQUET, columns_of, parquet_file, text_of

ID_COLUMNS = ("sample_id", "source_key")
_NOT_A_NUMBER = {"", "nan", "na", "none", "null"}


@dataclass(frozen=True, kw_only=True)
class PredictionFile:
    """What a file says, row by row in its own order.

    `ids` (N,) as text, found in column `id_column`; `pred_probs` (N, K) float64 in the order of the data set's
    classes, unchecked; `fold` (N,) int64 from 0 or None; `embedding` (N, D) float32 or None; `sha256` of the file.
    """

    ids: list[str]
    id_column: str
    pred_probs: np.ndarray
    classes: tuple[str, ...]
    """The file's own words for its columns, in its own order."""
    fold: np.ndarray | None
    embedding: np.ndarray | None
    sha256: str


def read_predictions(
    path: Path, known_classes: Sequence[str], *, id_column: str | None = None, classes: Sequence[str] | None = None
) -> PredictionFile:
    """The probabilities in `path`, their columns brought by name into the order of `known_classes`.

    Either one column per class, named by it (canonical names or aliases; columns named by numbers from 0 take their
    names from `classes`), or one list column (or .npz array) `pred_probs` whose order `classes`, the Parquet
    metadata `classes` or the .npz array `classes` says. `fold` and `embedding` are optional; other columns are left
    alone. `id_column` defaults to `sample_id`, else `source_key`.

    Raises BadDataError when the file is none of these, says no class names, or its classes are not those of the set;
    UsageError for an `id_column` that it does not have.
    """
    if not path.is_file():
        raise BadDataError(f"{path} is not a file; give a .parquet, .csv or .npz file of probabilities")
    columns, declared = _columns(path)
    name = _id_column(columns, id_column, path)
    ids = [text_of(value) or "" for value in columns[name]]
    for column, values in columns.items():
        if (column in ("pred_probs", "fold", "embedding") or _is_class(column, known_classes)) and len(values) != len(
            ids
        ):
            raise BadDataError(f"{path}: {column} has {len(values):,} entries for {len(ids):,} of {name}")
    if classes and declared and _indices(classes, known_classes) != _indices(declared, known_classes):
        raise BadDataError(f"{path} says its classes are {', '.join(declared)}, --classes says {', '.join(classes)}")
    order = list(classes or declared or ())
    if "pred_probs" in columns:
        if not order:
            raise BadDataError(
                f"{path} has pred_probs without class names: say their order with --classes a,b,c, in the Parquet "
                "metadata `classes`, or in an .npz array `classes`"
            )
        probs = _matrix(columns["pred_probs"], ids, "pred_probs")
        if probs.shape[1] != len(order):
            raise BadDataError(f"{path}: pred_probs has {probs.shape[1]} columns for the classes {', '.join(order)}")
    else:
        named = _class_columns(list(columns), order, known_classes, path)
        order = list(named)
        probs = np.stack([_numbers(columns[column], ids, column) for column in named.values()], axis=1)
    return PredictionFile(
        ids=ids,
        id_column=name,
        pred_probs=probs[:, _places(order, known_classes, path)],
        classes=tuple(order),
        fold=_fold(columns["fold"], ids) if "fold" in columns else None,
        embedding=_matrix(columns["embedding"], ids, "embedding").astype(np.float32)
        if "embedding" in columns
        else None,
        sha256=hashes.of_file(path),
    )


# ---- files


def _columns(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The columns by name, and the class order that the file itself declares ([] for none)."""
    suffix = path.suffix.lower()
    if suffix in PARQUET:
        return _parquet(path)
    if suffix == ".npz":
        return _npz(path)
    if suffix == ".csv":
        return dict(columns_of(path)), []
    raise BadDataError(f"{path}: probabilities come as .parquet, .csv or .npz, not as {suffix or 'a nameless format'}")


def _parquet(path: Path) -> tuple[dict[str, Any], list[str]]:
    metadata = parquet_file(path).schema_arrow.metadata or {}
    return dict(columns_of(path)), _name_list(metadata.get(b"classes", b"").decode("utf-8", "replace").strip())


def _npz(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: np.atleast_1d(arrays[name]) for name in arrays.files}
            # names that were made from bytes are text all the same
            found |= {name: np.char.decode(array, "utf-8") for name, array in found.items() if array.dtype.kind == "S"}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BadDataError(f"{path} is no .npz of plain arrays ({error}); save ids and names as text") from None
    return found, [str(name) for name in found.pop("classes", ())]


def _name_list(text: str) -> list[str]:
    """Names from a JSON list or from a,b,c."""
    try:
        listed = json.loads(text) if text.startswith("[") else text.split(",")
    except ValueError:
        raise BadDataError(f"the metadata `classes` is neither a JSON list nor a,b,c: {text[:80]}") from None
    return [str(name).strip() for name in listed if str(name).strip()]


# ---- classes


def _class_columns(
    columns: list[str], order: Sequence[str], known_classes: Sequence[str], path: Path
) -> dict[str, str]:
    """Class name -> column that holds it, in the order of the columns."""
    numbered = [str(k) for k in range(len(order))]
    if order and set(numbered) <= set(columns) and max(_indices(numbered, known_classes)) < 0:  # a name is no position
        return dict(zip(order, numbered, strict=True))
    named = {column: column for column in columns if _is_class(column, known_classes)}
    if not named:
        raise BadDataError(
            f"{path} names no class: give one column per class ({', '.join(known_classes)}), or a list column "
            f"pred_probs with --classes in its order. It has {', '.join(columns)}"
        )
    if order and _indices(list(named), known_classes) != _indices(order, known_classes):
        raise BadDataError(
            f"{path} has the class columns {', '.join(named)}, --classes says {', '.join(order)}; columns are read by "
            "their names, leave --classes out"
        )
    return named


def _is_class(column: str, known_classes: Sequence[str]) -> bool:
    if _indices([column], known_classes) != [-1]:
        return True
    try:
        # an expression that this set does not have must be noticed, not passed over
        return bool(label_names.canonical_name(column))
    except UsageError:
        return False


def _places(order: Sequence[str], known_classes: Sequence[str], path: Path) -> list[int]:
    """For each class of the set the file's column. Raises BadDataError unless they are the same classes."""
    index = _indices(order, known_classes)
    missing = [known for place, known in enumerate(known_classes) if place not in index]
    extra = [name for name, place in zip(order, index, strict=True) if place < 0]
    twice = sorted({name for name, place in zip(order, index, strict=True) if place >= 0 and index.count(place) > 1})
    for problem, names in (("lacks", missing), ("has, unlike this set,", extra), ("has twice", twice)):
        if names:
            raise BadDataError(
                f"{path} {problem} the class(es) {', '.join(names)}; this set has {', '.join(known_classes)}"
            )
    return [index.index(place) for place in range(len(known_classes))]


def _indices(names: Sequence[str], known_classes: Sequence[str]) -> list[int]:
    found: list[int] = label_names.encode(names, known_classes).tolist()
    return found


# ---- columns


def _id_column(columns: Mapping[str, Any], wanted: str | None, path: Path) -> str:
    if wanted is not None:
        if wanted not in columns:
            raise UsageError(f"{path} has no column {wanted!r} (--id-column); {among(wanted, columns)}")
        return wanted
    for name in ID_COLUMNS:
        if name in columns:
            return name
    raise BadDataError(
        f"{path} has neither {' nor '.join(ID_COLUMNS)}: say with --id-column which one joins its rows to the samples "
        f"(sample ids or source keys). It has {', '.join(columns)}"
    )


def _numbers(values: Sequence[Any], ids: Sequence[str], column: str) -> np.ndarray:
    """One column as float64; an empty cell is NaN."""
    out = np.empty(len(ids))
    for row, value in enumerate(values):
        try:
            out[row] = np.nan if value is None or str(value).strip().lower() in _NOT_A_NUMBER else float(value)
        except (TypeError, ValueError):
            raise BadDataError(f"{column} is no number for {ids[row]}: {str(value)[:40]!r}") from None
    return out


def _matrix(values: Any, ids: Sequence[str], column: str) -> np.ndarray:
    """A column of lists, of JSON text (CSV) or a 2-D array as (N, K) float64."""
    if isinstance(values, np.ndarray):
        if values.ndim != 2 or values.dtype.kind not in "fiu":
            raise BadDataError(f"{column} must be numbers of shape (N, K), got {values.shape} of {values.dtype}")
        return values.astype(np.float64)
    lists: list[list[Any]] = []
    for row, value in enumerate(values):
        try:
            cells = json.loads(value) if isinstance(value, str) else list(value)
        except (TypeError, ValueError):
            raise BadDataError(f"{column} is no list of numbers for {ids[row]}: {str(value)[:40]!r}") from None
        lists.append(cells if isinstance(cells, list) else [cells])
    width = len(lists[0]) if lists else 0
    odd = [ids[row] for row, cells in enumerate(lists) if len(cells) != width]
    if odd:
        raise BadDataError(f"{column} has not {width} numbers, as in the first row, for {few(odd)}")
    flat = [cell for cells in lists for cell in cells]
    owners = [ids[row] for row, cells in enumerate(lists) for _ in cells]
    return _numbers(flat, owners, column).reshape(len(lists), width)


def _fold(values: Any, ids: Sequence[str]) -> np.ndarray:
    numbers = _numbers(values, ids, "fold")
    bad = ~np.isfinite(numbers) | (numbers < 0) | (numbers != np.floor(numbers))
    if bad.any():
        raise BadDataError(
            f"fold must be a whole number from 0, the part held out when the sample was predicted; it is not for "
            f"{few([ids[row] for row in np.flatnonzero(bad).tolist()])}"
        )
    return numbers.astype(np.int64)
