"""Read folders of images: split/class/file, class/split/file or class/file, the class being the folder's name.

It never follows a link to a folder, never leaves the root, and takes a class from a file's name only where the card
says how the set names its files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ferclean.errors import BadDataError, nearest
from ferclean.sources.cards import Card, SourceCode
from ferclean.sources.class_folders import class_of, is_unlabelled, names_tell, recognise
from ferclean.sources.file_names import IMAGE_SUFFIXES, OWN_FILES, is_clutter
from ferclean.sources.mapping import restored
from ferclean.sources.rows import SourceRow, contained_file, storable
from ferclean.sources.tabular import header_of, records_of, unescape_cell
from ferclean.sources.undivided import refuse_split, said_by_name, split_of_all

__all__ = ["CLASS_LIST", "class_names", "notes", "read", "recognise"]

CLASS_LIST = "classes.csv"
"""What an export writes beside its folders: which class each of them holds (columns folder, class)."""


def read(path: Path, card: Card, *, split: str | None = None) -> Iterator[SourceRow]:
    """One row per file in sorted order; `source_key` is the path below the root, with forward slashes. In an export of
    ours both are those of the set that it came from (`mapping.restored`).

    Class folders are named by a canonical name, any usual spelling of it, perhaps behind a number (0_angry), or a code
    of the card; split folders, above or below all of these, by train, validation, test, their usual spellings or the
    card's; without them all is in `split` (default: training data). Files in a folder that names no class are
    quarantined where other folders do; what operating systems leave behind, and the files of our own export beside its
    folders, are ignored. A folder of a split that holds nothing but another folder for it (Train/Train_Aligned_Faces)
    is passed through.

    What the card's `naming` tells of a file (a person) becomes its attributes. Where it tells the class, of the folders
    only those of splits count, at any depth, and a file of another name is quarantined.

    Raises BadDataError when no folder names a class, and for a class folder beside split folders, or around some
    where other class folders hold none.
    """
    if not path.is_dir():
        raise BadDataError(f"{path} is not a folder")
    yield from restored(_files(path, card, split), path, "file")


def _files(path: Path, card: Card, split: str | None) -> Iterator[SourceRow]:
    card = _with_folder_names(path, card)
    if by_name := names_tell(card):
        card = replace(card, splits={})
    splits, classes, below = (_split_folders(path, card), [], []) if by_name else _plan(path, card)
    if splits or below:
        refuse_split(path, split, f"by its folders {', '.join(splits or below)}")
    everywhere = "train" if splits or below else split_of_all(path, card, split)
    if by_name:
        yield from _below(path, PurePosixPath(), card, None, everywhere, None, None)
        return
    if classes and not any(class_of(card, folder.name) for folder in classes):
        raise BadDataError(
            f"{path}: folder {str(classes[0])!r} names no known class, nor does any other; "
            f"{nearest(classes[0].name, card.classes)}known: {card.known_labels()}. Give --classes with the names in "
            "order to use a vocabulary of your own"
        )
    for name in sorted(_names(path)):
        top = PurePosixPath(name)
        if name in splits:
            folder, beside = _passed(path, top, card)
            for inner in beside:
                yield from _class_folder(path, inner, card, splits[name])
            for inner in map(PurePosixPath, sorted(_names(path / folder))):
                yield from _class_folder(path, folder / inner, card, splits[name])
        else:
            yield from _class_folder(path, top, card, everywhere, divided=bool(below))


def notes(path: Path, card: Card, options: Mapping[str, Any]) -> list[str]:
    """Folders that name no class, and the split of a set without split folders."""
    card = _with_folder_names(path, card)
    splits, classes, below = (_split_folders(path, card), [], []) if names_tell(card) else _plan(path, card)
    strange = [str(folder) for folder in classes if not class_of(card, folder.name) and not is_unlabelled(folder.name)]
    said = [f"files in folders that name no class are quarantined: {', '.join(strange)}"] if strange else []
    if not splits and not below and options.get("split") is None and not said_by_name(path, card):
        said.append("there are no folders of splits: all files are training data; --split says otherwise")
    return said


def _plan(path: Path, card: Card) -> tuple[dict[str, str], list[PurePosixPath], list[str]]:
    """(folders of splits and what they are, folders where classes are expected, names of splits below classes)."""
    tops = _folders(path)
    splits = {name: split for name in tops if (split := card.split_of(name)) and _holds_classes(path / name, card)}
    others = [PurePosixPath(name) for name in tops if name not in splits]
    beside = [str(folder) for folder in others if class_of(card, folder.name)]
    if splits and beside:
        raise BadDataError(
            f"{path}: the class folder {beside[0]!r} stands beside the splits {', '.join(splits)}; move it into one"
        )
    parts = {name: _passed(path, PurePosixPath(name), card)[0] for name in splits}
    classes = [part / inner for part in parts.values() for inner in _folders(path / part)]
    inside = {
        f"{part}/{inner}": splits[name]
        for name, part in parts.items()
        for inner in _folders(path / part)
        if class_of(card, inner)
    }
    held = {**dict.fromkeys(beside, ""), **inside}  # a split is no news in a class of the same split
    below = [(place, inner) for place in held for inner in _folders(path / place)]
    around = [
        (place, inner)
        for place, inner in below
        if card.split_of(inner) not in (None, held[place]) and class_of(card, inner) is None
    ]
    if not around:
        return splits, [*classes, *others], []
    divided = {place for place, _ in around}
    strange = ["/".join(one) for one in below if one not in around]
    strange += [place for place in held if place not in divided and not all(map(is_clutter, _names(path / place)))]
    if inside or strange:
        first = "/".join(around[0])
        other = "" if inside else repr(strange[0])
        raise BadDataError(
            f"{path}: the split {first!r} lies in a class folder, and "
            f"{f'{other} does not follow that' if other else 'that in another split'}; put the folders of splits on "
            "top, split/class/file, or below all classes"
        )
    return splits, [*classes, *others], list(dict.fromkeys(inner for _, inner in around))


def _passed(root: Path, folder: PurePosixPath, card: Card) -> tuple[PurePosixPath, list[PurePosixPath]]:
    """(the folder of a split's classes, what lies beside the folders on the way to it)."""
    beside: list[PurePosixPath] = []
    split = card.split_of(folder.name)
    while len(inner := _folders(root / folder)) == 1 and _is_split(card, inner[0], split):
        beside += [folder / name for name in sorted(_names(root / folder)) if name != inner[0]]
        folder /= inner[0]
    return folder, beside


def _is_split(card: Card, name: str, split: str | None) -> bool:
    """Whether a folder stands for `split`, and for no class that is called so."""
    return card.split_of(name) == split and class_of(card, name) is None


def _split_folders(path: Path, card: Card) -> dict[str, str]:
    """Folders of splits at any depth, by their paths below the root, for sets whose files' names say the class."""
    return {
        os.path.relpath(os.path.join(folder, name), path): split
        for folder, below, _ in os.walk(path)
        for name in sorted(below)
        if (split := card.split_of(name)) and class_of(card, name) is None
    }


def class_names(path: Path) -> tuple[str, ...] | None:
    """The classes in order where the folder is an export of ours, which lists them; None for any other folder."""
    listed = _listed(path)
    return tuple(name for _, name in listed) if listed else None


def _holds_classes(folder: Path, card: Card) -> bool:
    """False for a folder that is itself a class, though it is called like a split (a class named test)."""
    return class_of(card, folder.name) is None or any(class_of(card, name) is not None for name in _folders(folder))


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


def _class_folder(
    root: Path, relative: PurePosixPath, card: Card, split: str, *, divided: bool = False
) -> Iterator[SourceRow]:
    """The files below a class folder, or one row for whatever lies where a class folder should be; `divided` says that
    the folders in it are splits."""
    if is_clutter(relative.name) or str(relative) in OWN_FILES:
        yield SourceRow(source_key=storable(str(relative)), split=split, ignored=True)
    elif not _is_folder(root / relative):
        yield _file(root, relative, card, None, split, "label: lies outside of a class folder")
    else:
        label = class_of(card, relative.name)
        strange = "label: missing" if is_unlabelled(relative.name) else f"label: unknown folder ({relative.name!r})"
        problem = None if label else strange
        if not divided:
            yield from _below(root, relative, card, label, split, problem, relative.name)
            return
        for name, kind in _entries(root / relative):
            inner, part, code = relative / name, card.split_of(name), relative.name
            folder = kind == "folder" and not is_clutter(name)
            lost = problem or (None if folder and part else "split: lies outside of the folders of splits")
            if folder:
                yield from _below(root, inner, card, label, part or split, lost, code)
            else:
                yield _file(root, inner, card, label, split, lost, code, plain=kind == "file")


def _below(
    root: Path, folder: PurePosixPath, card: Card, label: str | None, split: str, problem: str | None, code: str | None
) -> Iterator[SourceRow]:
    for name, kind in _entries(root / folder):
        inner = folder / name
        if kind == "folder" and not is_clutter(name):
            if names_tell(card):
                part = None if class_of(card, name) else card.split_of(name)
                yield from _below(root, inner, card, label, part or split, problem, code)
                continue
            # a number may as well be a person's
            other = None if label is None or name.isdecimal() else card.named(name)
            if other not in (None, label):
                nested = f"label: a class folder in another one ({name!r} in {label!r})"
                yield from _below(root, inner, card, None, split, nested, code)
                continue
            yield from _below(root, inner, card, label, split, problem, code)
        else:
            yield _file(root, inner, card, label, split, problem, code, plain=kind == "file")


def _file(
    root: Path,
    relative: PurePosixPath,
    card: Card,
    label: str | None,
    split: str,
    problem: str | None,
    code: str | None = None,
    *,
    plain: bool = False,
) -> SourceRow:
    """The row of what lies there; `plain` says that it is known for a file, in folders that were reached by no link."""
    key = storable(str(relative))
    if is_clutter(relative.name) or (names_tell(card) and str(relative) in OWN_FILES):
        return SourceRow(source_key=key, split=split, ignored=True)
    told = card.told_by(relative.name) or {}
    if names_tell(card):
        code = told.get("label")
        label = card.label_of(code) if code is not None else None
        if label is None:
            problem = f"label: not named as the files of {card.title} are" if code is None else "label: unknown code"
    if key != str(relative):
        problem = "file: the name is not UTF-8"
    elif not plain and os.path.islink(root / relative) and os.path.isdir(root / relative):
        problem = "file: link to a folder is not followed"
    elif relative.suffix and relative.suffix.lower() not in IMAGE_SUFFIXES:
        problem = f"file: not an image by its name ({relative.suffix})"
    elif not plain:
        problem = contained_file(root, str(relative))[1] or problem
    return SourceRow(
        source_key=key,
        split=split,
        given_label=label,
        given_code=code,
        # a refused file keeps no path: nothing later may open it
        relative_path=None if problem and problem.startswith("file:") else str(relative),
        problem=problem,
        attributes={name: value for name, value in told.items() if name not in ("label", "split")},
    )


def _folders(folder: Path) -> list[str]:
    """The names of folders that may hold data, in order."""
    return [name for name, kind in _entries(folder) if kind == "folder" and not is_clutter(name)]


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        raise BadDataError(f"{folder} cannot be read: {error.strerror}") from None


def _entries(folder: Path) -> list[tuple[str, str]]:
    """(name, "folder", "file" or "other") of all that lies there, in order; a link is neither folder nor file."""
    try:
        with os.scandir(folder) as there:
            return sorted((one.name, _kind(one)) for one in there)
    except OSError as error:
        raise BadDataError(f"{folder} cannot be read: {error.strerror}") from None


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
