"""Read RAF-DB: a list of labels, aligned images, attributes and, when asked, votes; also in its flat copies.

It never guesses a label from anything but the list, and never opens an image.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ferclean.bundled_files import known_cards
from ferclean.errors import BadDataError, FercleanError, OtherSetError, UsageError
from ferclean.evidence.labels import EXPRESSIONS
from ferclean.sources.ballots import by_label, refuse_strangers, vote_number, whole_votes
from ferclean.sources.cards import Card, load_card
from ferclean.sources.codes import numeric_codes, outside, refuse_shifted
from ferclean.sources.file_names import IMAGE_SUFFIXES, is_clutter
from ferclean.sources.glimpse import Glimpse, Guess
from ferclean.sources.mapping import restored
from ferclean.sources.rafdb_places import ALIGNED, LABELS, Places, columns_of, find, rows_of, seen
from ferclean.sources.rows import (
    SourceRow,
    contained_file,
    kept_path,
    leads_out,
    leftover,
    refuse_lists_outside,
    storable,
)
from ferclean.sources.tabular import code_of
from ferclean.sources.undivided import known_split, refuse_split

ATTRIBUTES = "Annotation/manual/{key}_manu_attri.txt"
_COMPOUND = {8, 9, 10, 11}
"""Codes of the compound set's last classes; the basic set ends with 7."""
_LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")


def read(path: Path, card: Card, *, votes: str | Path | None = None, split: str | None = None) -> Iterator[SourceRow]:
    """One row per line of the label list in its order, then one per image that no line names.

    `path` is the folder that holds `EmoLabel` and `Image`, or the one above it (`basic`); or, of a flat copy, one with
    the list or `train_labels.csv` and `test_labels.csv`, and the pictures in `aligned`, `images`, `train` and `test`,
    or beside it. A line is a file name, with or without `_aligned`, and a code. `votes` is a distribution file: per
    line an image name and one number per class in the order of the codes, counts or shares (shares become counts out
    of the card's `annotators`). `split` is that of names that do not start with one.

    Raises BadDataError when the list or every image is missing, for a line with a third field or a code that the card
    does not have, for the compound set under the card of the basic one, and for votes that do not fit or that are on
    other names.
    """
    inner = "compound" if card.name == "rafdb_compound" else "basic"
    places = find(path, inner)
    yield from restored(_rows(path, places, card, votes, split), places.base, "key")


def _rows(path: Path, places: Places, card: Card, votes: str | Path | None, split: str | None) -> Iterator[SourceRow]:
    base, tail = places.base, places.tail
    prefix = base.relative_to(path).as_posix()
    prefix = "" if prefix == "." else prefix + "/"
    images = _images(places)
    refuse_lists_outside(path, places.lists)
    listed = [line for file in places.lists for line in _label_list(file, card)]
    told_in = " and ".join(file.name for file in places.lists)
    named = {key for _, key, _ in listed}
    ballots = _votes(Path(votes), card) if votes is not None else {}
    if votes is not None:
        refuse_strangers(Path(votes), ballots, named | set(images), "give the names of the label list, and no others")

    everywhere = known_split(split, card) if split is not None else None
    told = [key for key in named if _split_of(key, card)]
    if everywhere and told:
        refuse_split(base, split, f"{min(told)!r} starts with it")
    for number, key, code in listed:
        found = images.get(key)
        problem = None if code else f"label: missing (line {number} of the list)"
        place = _split_of(key, card) or everywhere
        if place is None:
            problem = problem or f"split: unknown ({key!r} starts with none of {', '.join(card.splits)}; give --split)"
        # a missing image keeps the name it should have, so that the report of it says what to look for
        at = prefix + (found or os.path.join(places.folder_of(place), f"{key}{tail}.jpg"))
        lost = None if found else contained_file(path, at)[1]
        yield SourceRow(
            source_key=key,
            split=place or "train",
            given_label=card.coded(code) if code else None,
            given_code=code,
            relative_path=kept_path(path, at, lost),
            problem=problem or lost,
            attributes=_attributes(base, key, card),
            votes=ballots.get(key),
        )
    for key, found in images.items():
        if key in named:
            continue
        if is_clutter(os.path.basename(found)):
            yield SourceRow(source_key=storable(key), ignored=True)
            continue
        into = _split_of(key, card) or everywhere or "train"
        stray = leftover(f"{prefix}{found}", f"label: no line in {told_in}", into, key=key)
        yield replace(stray, attributes=_attributes(base, key, card), votes=ballots.get(key))


def recognise(glimpse: Glimpse) -> Iterator[Guess | str]:
    """A list of labels or RAF-DB's tables beside pictures, told apart by the codes in it: basic, compound or drawn."""
    for folder in glimpse.folders:
        lists, pictures = seen(
            lambda name: name.rpartition("/")[2] in glimpse.files((folder / name).parent),  # noqa: B023
            lambda inner: glimpse.pictures(folder / inner, deep=False),  # noqa: B023
        )
        lines = [line for name in lists for line in _glimpsed(glimpse, folder / name)]
        if not lines or folder.name == "EmoLabel":
            continue
        shown = " and ".join(str(folder / name) for name in lists)
        if "drawn_faces.json" in glimpse.files(folder):
            why = f"{folder / 'drawn_faces.json'} lies beside the labels"
            yield Guess(card="drawn_faces", path=glimpse.path(folder), confidence="certain", evidence=(why,))
            continue
        codes = sorted({line[1] for line in lines if len(line) == 2}, key=lambda code: (len(code), code))
        compound = "compound" in folder.name.lower() or bool(set(codes) & set(map(str, _COMPOUND)))
        card = load_card("rafdb_compound" if compound else "rafdb")
        basic = load_card("rafdb")
        named = LABELS in lists or all(basic.told_by(line[0]) for line in lines)
        if LABELS not in lists:  # beside a flat copy's list may lie any picture
            pictures = [
                inner for inner in pictures if any(map(basic.told_by, glimpse.pictures(folder / inner, deep=False)))
            ]
        if any(len(line) != 2 for line in lines) or not set(codes) <= set(card.codes) or not (pictures and named):
            yield (
                f"{shown} is not RAF-DB's (lines train_00001.jpg CODE with the codes {', '.join(card.codes)}) or lies "
                "beside no Image/aligned, no Image/original and no pictures"
            )
            continue
        said = (
            f"{shown} has lines as {' '.join(lines[0])!r} with the codes {', '.join(codes)}",
            f"pictures lie in {', '.join(inner or str(folder) for inner in pictures)}",
        )
        yield Guess(card=card.name, path=glimpse.path(folder), confidence="certain", evidence=said)


def _glimpsed(glimpse: Glimpse, file: PurePosixPath) -> list[list[str]]:
    """Name and code of the first lines of a list or table; a line of another form as it is."""
    if file.suffix != ".csv":
        return [line.split() for line in glimpse.text(file).splitlines() if line.strip()]
    try:
        image, label = (name.strip().lower() for name in columns_of(glimpse.path(file)))
    except FercleanError:
        return []  # some other table under this name
    return [[str(row[image]), code_of(row[label]) or ""] for row in glimpse.rows(file, [image, label])]


def _label_list(path: Path, card: Card) -> list[tuple[int, str, str | None]]:
    """(line number, key, code) per line; the code is None where the line has none."""
    listed: list[tuple[int, str, str | None]] = []
    if path.suffix == ".csv":
        listed = [(number, _key(name), code) for number, name, code in rows_of(path)]
    for number, line in enumerate(_lines(path) if path.suffix != ".csv" else (), start=1):
        name, *fields = line.split() or [""]
        if len(fields) > 1:
            raise BadDataError(
                f"{path}, line {number}: {len(fields) + 1} fields instead of a file name and a code: {line.strip()!r}"
            )
        if name:
            listed.append((number, _key(name), code_of(fields[0]) if fields else None))
    codes = [(number, code) for number, _, code in listed if code is not None]
    strange = outside([code for _, code in codes], card)
    if strange:
        refuse_shifted([code for _, code in codes], card)
    if set(card.classes) <= set(EXPRESSIONS):
        _refuse_compound(path, [code for _, code in codes], card)
    elif _is_basic(path, {code for _, code in codes}, card):
        raise BadDataError(f"{path} has the codes 1 to 7, as RAF-DB's basic set: ingest it with card rafdb")
    for number, code in (codes[place] for place in strange[:1]):
        raise BadDataError(
            f"{path}, line {number}: unknown code {code!r} ({len(strange):,} of {len(codes):,} lines); known: "
            f"{card.known_labels()}. Mend the list, or give a card (.md) with these codes"
        )
    return listed


def _is_basic(path: Path, codes: set[str], card: Card) -> bool:
    named = path.parent.parent.name.lower() == "compound"
    return card.name == "rafdb_compound" and not named and codes == set(map(str, range(1, 8)))


def _refuse_compound(path: Path, codes: list[str], card: Card) -> None:
    """The compound set lies beside the basic one, in the same layout, and its codes mean other things."""
    seen = numeric_codes(codes, card)
    if path.parent.parent.name.lower() != "compound" and not (len(seen & _COMPOUND) > 2 and max(seen) == 11):
        return
    others = [load_card(name) for name in known_cards() if name != card.name]
    fitting = [
        other.name for other in others if other.layout == card.layout and all(map(other.coded, codes))
    ]  # fmt: skip
    way = f"ingest it with card {fitting[0]}" if fitting else "write a card (.md) with its 11 codes, and give its path"
    raise OtherSetError(
        f"{path} is RAF-DB's compound set (codes {min(seen, default=0)} to {max(seen, default=0)}), not the basic set "
        f"that card {card.name!r} describes; {way}"
    )


def _split_of(key: str, card: Card) -> str | None:
    head, underscore, _ = key.partition("_")
    return card.split_of(head) if underscore else None


def _key(name: str) -> str:
    return os.path.splitext(name)[0].removesuffix(ALIGNED)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadDataError(f"{path} is not UTF-8 text (byte {error.start})") from None


def _images(places: Places) -> dict[str, str]:
    """Key to path below the copy's folder, for every file of its pictures' folders; the key of what is no image is its
    whole name. Folders are no files, and beside the list only pictures are the set's (and clutter, to be counted).

    Of several files for one key the one named as this folder names its pictures has it, the others keep theirs.
    """
    found: dict[str, str] = {}
    for folder in places.folders:
        if not (places.base / folder).is_dir():
            continue
        own = [file.name for file in places.lists if file.parent == places.base / folder]
        with os.scandir(places.base / folder) as entries:
            names = [entry.name for entry in entries if entry.name not in own and not _is_folder(entry)]
        for name in sorted(names, key=lambda name: (not os.path.splitext(name)[0].endswith(places.tail), name)):
            image = name.lower().endswith(IMAGE_SUFFIXES)
            if not (folder or image or is_clutter(name)):
                continue
            key = name if is_clutter(name) or not image else _key(name)
            place = os.path.join(folder, name)
            # beside the list a place is a name, which may be the key of another file ("a.jpg" that of a.jpg.png)
            found[next(free for free in (key, name, place, f"./{place}") if free not in found)] = place
    return {key: found[key] for key in sorted(found, key=lambda key: found[key])}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Without a look at the disk but for links; one that leads to itself, which `is_dir` does not bear, is none."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _attributes(base: Path, key: str, card: Card) -> dict[str, object]:
    """Five landmark points, gender, race and age; a file that does not follow the form is said to be so."""
    path = base / ATTRIBUTES.format(key=key)
    if leads_out(base / "Annotation", str(path)) or not path.is_file() or path.is_symlink():
        return {}
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        points = {name: [float(x), float(y)] for name, (x, y) in zip(_LANDMARKS, lines[:5], strict=True)}
        if not all(math.isfinite(value) for point in points.values() for value in point):
            raise ValueError("a landmark is not a number")
        codes = [code_of(line[0]) or line[0] for line in lines[5:8]]
        traits = {
            name: card.attributes.get(name, {}).get(code, code)
            for name, code in zip(("gender", "race", "age"), codes, strict=True)
        }
    except (ValueError, IndexError, UnicodeDecodeError):
        return {"attributes_problem": f"{path.name} does not hold five points and three codes"}
    return {**traits, "landmarks": points}


def _votes(path: Path, card: Card) -> dict[str, dict[str, int]]:
    order = list(dict.fromkeys(card.codes.values())) or list(card.classes)
    rows: dict[str, list[float]] = {}
    if not path.is_file():
        raise UsageError(f"{path}: no such file of votes")
    for number, line in enumerate(_lines(path), start=1):
        name, *fields = line.split() or [""]
        if not name:
            continue
        values = [vote_number(text) for text in fields]
        numbers = [value for value in values if value is not None]
        if len(values) != len(order) or len(numbers) != len(order):
            raise BadDataError(
                f"{path}, line {number}: expected a name and {len(order)} numbers for {', '.join(order)}"
            )
        if _key(name) in rows:
            raise BadDataError(f"{path}, line {number}: {name} has votes already")
        rows[_key(name)] = numbers
    counts = whole_votes(path, rows, card.annotators)
    return {key: by_label(order, values) for key, values in counts.items()}
