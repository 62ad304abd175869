"""Read folders of images: split/class/file or class/file, the class being the folder's name.

It never follows a link to a folder, never leaves the root and never guesses a class from a file's name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ferclean.errors import BadDataError, among, nearest
from ferclean.sources.cards import Card, SourceCode
from ferclean.sources.rows import SourceRow, contained_file, printable
from ferclean.sources.tabular import header_of, records_of, unescape_cell

CLASS_LIST = "classes.csv"
"""What an export writes beside its folders: which class each of them holds (columns folder, class)."""

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ""}
"""Endings that are tried; a file with another one is reported. What the bytes are is decided by decoding."""


def read(path: Path, card: Card) -> Iterator[SourceRow]:
    """One row per file in sorted order; `source_key` is the path below the root, with forward slashes.

    Class folders are named by a canonical name, any usual spelling of it, or a code of the card; split folders by
    train, validation, test, their usual spellings or the card's. Raises BadDataError for another folder name.
    """
    if not path.is_dir():
        raise BadDataError(f"{path} is not a folder")
    card = _with_folder_names(path, card)
    tops = [name for name in _names(path) if _is_folder(path / name)]
    splits = {name: split for name in tops if (split := card.split_of(name)) and _holds_classes(path / name, card)}
    for name in sorted(_names(path)):
        top = PurePosixPath(name)
        if name in splits:
            for inner in sorted(_names(path / name)):
                yield from _class_folder(path, top / inner, card, splits[name])
        elif splits and name in tops and not name.startswith("."):
            known = ["train", "validation", "test", *card.splits]
            raise BadDataError(
                f"{path}: folder {name!r} stands beside the splits {', '.join(splits)} but is none; "
                f"{among(name, known)}"
            )
        else:
            yield from _class_folder(path, top, card, "train")


def class_names(path: Path) -> tuple[str, ...] | None:
    """The classes in order where the folder is an export of ours, which lists them; None for any other folder."""
    listed = _listed(path)
    return tuple(name for _, name in listed) if listed else None


def _holds_classes(folder: Path, card: Card) -> bool:
    """False for a folder that is itself a class, though it is called like a split (a class named test)."""
    return card.label_of(folder.name) is None or any(
        card.label_of(name) is not None for name in _names(folder) if _is_folder(folder / name)
    )


def _with_folder_names(path: Path, card: Card) -> Card:
    """The card that also knows the folders of our own export, whose names a file system may have bent."""
    listed = _listed(path)
    codes = {SourceCode(folder): named for folder, name in listed if (named := card.named(name))}
    return replace(card, codes={**card.codes, **codes}) if listed else card


def _listed(path: Path) -> list[tuple[str, str]]:
    """(folder, class) of an export's class list, in the order of the classes; empty where there is none."""
    file = path / CLASS_LIST
    if not file.is_file() or file.is_symlink() or header_of(file) != ["folder", "class"]:
        return []
    return [
        (unescape_cell(cells["folder"]), unescape_cell(cells["class"]))
        for _, cells in records_of(file, ["folder", "class"])
    ]


def _class_folder(root: Path, relative: PurePosixPath, card: Card, split: str) -> Iterator[SourceRow]:
    """The files below a class folder, or one row for whatever lies where a class folder should be."""
    if not _is_folder(root / relative):
        yield from _file(root, relative, None, split, "label: lies outside of a class folder")
        return
    if relative.name.startswith("."):
        yield SourceRow(source_key=printable(str(relative)), split=split, ignored=True)
        return
    label = card.label_of(relative.name)
    if label is None:
        raise BadDataError(
            f"{root}: folder {str(relative)!r} names no known class; {nearest(relative.name, card.classes)}"
            f"known: {card.known_labels()}. Give --classes "
            "with the names in order to use a vocabulary of your own"
        )
    yield from _below(root, relative, label, split, relative.name)


def _below(root: Path, folder: PurePosixPath, label: str, split: str, code: str) -> Iterator[SourceRow]:
    for name in sorted(_names(root / folder)):
        inner = folder / name
        if _is_folder(root / inner) and not name.startswith("."):
            yield from _below(root, inner, label, split, code)
        else:
            yield from _file(root, inner, label, split, None, code)


def _file(
    root: Path, relative: PurePosixPath, label: str | None, split: str, problem: str | None, code: str | None = None
) -> Iterator[SourceRow]:
    key = printable(str(relative))
    path = root / relative
    if relative.name.startswith(".") or str(relative) == CLASS_LIST:
        yield SourceRow(source_key=key, split=split, ignored=True)
        return
    if key != str(relative):
        problem = "file: the name is not UTF-8"
    elif path.is_symlink() and path.is_dir():
        problem = "file: link to a folder is not followed"
    elif relative.suffix.lower() not in IMAGE_SUFFIXES:
        problem = f"file: not an image by its name ({relative.suffix})"
    else:
        problem = contained_file(root, str(relative))[1] or problem
    yield SourceRow(
        source_key=key,
        split=split,
        given_label=label,
        given_code=code,
        # a refused file keeps no path: nothing later may open it
        relative_path=None if problem and problem.startswith("file:") else str(relative),
        problem=problem,
    )


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        raise BadDataError(f"{folder} cannot be read: {error.strerror}") from None


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
