"""Read ExpW: a list of faces in pictures (label.lst), each with its box, which ingest cuts out.

It never opens a picture and never guesses a box.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ferclean.errors import BadDataError
from ferclean.sources.cards import Card
from ferclean.sources.codes import read_code
from ferclean.sources.file_names import IMAGE_SUFFIXES, is_clutter
from ferclean.sources.glimpse import Glimpse, Guess
from ferclean.sources.rows import SourceRow, contained_file, kept_path, leftover, refuse_lists_outside
from ferclean.sources.undivided import split_of_all

LIST = "label.lst"
_LISTS = (LIST, f"label/{LIST}", f"data/label/{LIST}")
_FOLDERS = ("origin", "image/origin", "data/image/origin", "images", "image", ".")
_LOOKED = 200
"""Lines whose pictures are looked for, to recognise a copy."""
FIELDS = ("name", "face", "top", "left", "right", "bottom", "confidence", "label")


def read(path: Path, card: Card, *, split: str | None = None) -> Iterator[SourceRow]:
    """One row per line of the list in its order, then one per picture that no line names.

    `path` is the folder that holds `label.lst` (or `label/label.lst`) and the pictures, in `origin` or `image/origin`.
    A line is: picture, number of the face in it, top, left, right and bottom of its box in pixels, the detector's
    confidence, code. `source_key` is `picture:number`. The set has no splits: all is training data, or `split`.

    Raises BadDataError when there is no list, and, naming it, for a line of another form.
    """
    file = next((path / name for name in _LISTS if (path / name).is_file()), None)
    if file is None:
        wrong = f"is not in ExpW's layout: {LIST} is missing" if path.is_dir() else "is no folder"
        raise BadDataError(f"{path} {wrong}; give the folder that holds {LIST}, and the pictures in origin")
    refuse_lists_outside(path, [file])
    everywhere = split_of_all(path, card, split)
    inner = _pictures_of(path)
    there = {name for name in os.listdir(path / inner) if name.lower().endswith(IMAGE_SUFFIXES)}
    named: set[str] = set()
    for number, cells, box in _lines(file):
        name = cells["name"]
        named.add(name)
        label, code, problem = read_code(cells["label"], card)
        lost = None if name in there else contained_file(path, str(inner / name))[1]
        yield SourceRow(
            source_key=f"{name}:{cells['face']}" if name else f"line {number}",
            split=everywhere,
            given_label=label,
            given_code=code,
            relative_path=kept_path(path, str(inner / name), lost),
            problem=lost or problem,
            attributes={"confidence": float(cells["confidence"]), "box": list(box)},
            box=box,
            box_unit="pixels",
        )
    for name in sorted(there - named):
        if not is_clutter(name):
            yield leftover(str(inner / name), f"label: no line in {LIST}", everywhere, key=name)


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """A label.lst of lines with eight fields, and the pictures that it names."""
    for folder in glimpse.folders:
        text = glimpse.text(folder / LIST) if LIST in glimpse.files(folder) else ""
        lines = [line.split() for line in text.splitlines() if line.strip()]
        if not lines:
            continue
        for top in (folder, folder.parent, folder.parent.parent):
            root = glimpse.path(top)
            names = [str(_pictures_of(root) / line[0]) for line in lines[:_LOOKED]]
            listed = any(root / name == glimpse.path(folder) / LIST for name in _LISTS)
            # a copy may lack some pictures, also the first
            first = next((name for name in names if not contained_file(root, name)[1]), None) if listed else None
            if first and all(len(line) == len(FIELDS) for line in lines):
                words = f"{folder / LIST} has lines of eight fields, as {' '.join(lines[0])!r}"
                there = f"the picture {top / first} of it is there"
                yield Guess(card="expw", path=root, confidence="certain", evidence=(words, there))
                break
        else:
            yield (
                f"{folder / LIST} is not ExpW's (eight fields a line), or its pictures ({lines[0][0]}) are not "
                "beside it in origin or image/origin"
            )


def _pictures_of(root: Path) -> PurePosixPath:
    return PurePosixPath(next((name for name in _FOLDERS if (root / name).is_dir()), "."))


def _lines(file: Path) -> Iterator[tuple[int, dict[str, str], tuple[float, float, float, float]]]:
    """(line number, fields by name, left, top, right, bottom)."""
    with file.open(encoding="utf-8-sig", errors="strict") as handle:
        try:
            for number, line in enumerate(handle, start=1):
                if not line.strip():
                    continue
                cells = dict(zip(FIELDS, line.split(), strict=False))
                try:
                    box = tuple(float(cells[side]) for side in ("left", "top", "right", "bottom"))
                    float(cells["confidence"])
                    if len(line.split()) != len(FIELDS) or not all(abs(value) < 1e6 for value in box):
                        raise ValueError
                except (KeyError, ValueError):
                    raise BadDataError(
                        f"{file}, line {number}: not {', '.join(FIELDS)} between spaces: {line.strip()!r}"
                    ) from None
                yield number, cells, (box[0], box[1], box[2], box[3])
        except UnicodeDecodeError as error:
            raise BadDataError(f"{file} is not UTF-8 text (byte {error.start})") from None
