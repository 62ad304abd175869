"""Data cards: what a data set claims to be (layout, classes in order, codes, splits, counts, licence).

It never opens the data set: ingest and doctor compare the two.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import basename, splitext
from pathlib import Path
from typing import Any, NewType

import yaml

from ferclean.bundled_files import known_cards
from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence.labels import EXPRESSIONS, ClassName, find_class, vocabulary
from ferclean.sources.rows import SPLITS, split_word
from ferclean.sources.tabular import code_of, text_of, unescape_cell

SourceCode = NewType("SourceCode", str)
"""What a source writes for a class where it does not write the class's name: usually a number."""

_NUMBER = re.compile(r"[+-]?\d+([.,]\d*)?")
_KEYS = {
    "layout", "classes", "codes", "splits", "expected", "redistributable", "attributes", "annotators", "homepage",
    "version", "naming", "size", "split_totals", "class_totals", "no_labels", "citation",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Card:
    """One data card, read from `data_cards/<name>.md` or a file of the same form.

    `classes` are names in the order of every probability vector (see `labels.vocabulary`); empty means "as found in
    the data". `codes` maps what stands in the source for a class to its name; `counted_codes` says that no card
    declared them: they are the positions of names that `--classes` gave, and there are none where names are numbers
    themselves. `splits` maps a source split to `train`, `validation` or `test`. `expected` counts samples per canonical
    split and class, None when the card gives none; `split_totals` and `class_totals` count them per split and per class
    over all splits, where no more than that is published. `attributes` maps an attribute's codes to words. `annotators`
    is how many people voted per image (None: unknown).

    `size` is (width, height) of every picture in the set's usual form, None where they differ. `naming` is a regular
    expression that the names of its files follow from beginning to end, without their ending; what its named groups
    match is told by a name: `label` (a code), `person` and the like. `no_labels` maps codes that stand for no class of
    the set (nobody in sight) to words. `citation` is the publication.
    """

    name: str
    layout: str
    classes: tuple[ClassName, ...] = ()
    codes: dict[SourceCode, ClassName] = field(default_factory=dict)
    counted_codes: bool = False
    splits: dict[str, str] = field(default_factory=dict)
    expected: dict[str, dict[str, int]] | None = None
    licence: str = "unknown"
    redistributable: bool = False
    title: str = ""
    homepage: str = ""
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    annotators: int | None = None
    version: str = ""
    naming: str = ""
    size: tuple[int, int] | None = None
    split_totals: dict[str, int] = field(default_factory=dict)
    class_totals: dict[str, int] = field(default_factory=dict)
    no_labels: dict[SourceCode, str] = field(default_factory=dict)
    citation: str = ""
    text: str = field(default="", repr=False)

    def named(self, word: str) -> ClassName | None:
        """The class that a word names; None for any other word. A number is a name only where a class is called so."""
        return find_class(word, self.classes or EXPRESSIONS)

    def coded(self, code: str) -> ClassName | None:
        """The class behind a code, for sources that write codes only; names that are numbers are their own codes."""
        return self.codes.get(SourceCode(code.strip())) if self.codes else self.named(code)

    def label_of(self, cell: object) -> ClassName | None:
        """The class behind a cell that may hold a name or a code: names first, so that no code shadows a name.

        3.0, as spreadsheets and Parquet write whole numbers, is the name or the code 3 where nothing is called 3.0.
        None when the card knows no such name or code.
        """
        text, code = text_of(cell), code_of(cell)
        if text is None:
            return None
        # a class may be called nan, which elsewhere says that there is no label
        spelled = (str(cell), text, unescape_cell(text), code or text)
        return next(filter(None, map(self.named, spelled)), None) or self.codes.get(SourceCode(code or text))

    def class_label(self, names: Sequence[str], where: object) -> list[ClassName]:
        """The class at each position of a declared list of names, such as that of a Hugging Face ClassLabel.

        All are read as names, else all as codes that the card declares; else, where `--classes`, no card, gave as many
        names, these are other words for the same positions. Raises UsageError, naming what does not fit, otherwise.
        """
        by_name = [self.named(name) for name in names]
        coded = by_name if self.counted_codes else [self.codes.get(SourceCode(name.strip())) for name in names]
        for found in (by_name, coded):
            sure = [name for name in found if name is not None]
            if len(sure) == len(names) == len(set(sure)):
                return sure
        if self.counted_codes and not any(by_name) and len(names) == len(self.classes):
            return list(self.classes)
        strange = [name for name, found in zip(names, by_name, strict=True) if found is None]
        asked, mend = (
            ("those asked for", "leave --classes out, or give a name for each in the declared order")
            if self.counted_codes
            else (f"those of card {self.name!r}", "say with --classes what they are, a name for each in that order")
        )
        raise UsageError(
            f"{where} declares the classes {', '.join(names)}, which are not {asked} ({self.known_labels()}): "
            f"{', '.join(strange) or 'two are one class'}; {mend}"
        )

    def known_labels(self) -> str:
        """The accepted codes and names, for messages."""
        names = ", ".join(self.classes or EXPRESSIONS)
        return f"{names}; codes {', '.join(f'{c}={n}' for c, n in self.codes.items())}" if self.codes else names

    def split_of(self, name: str) -> str | None:
        """The canonical split behind a source's name for it, in any case; None when unknown."""
        name = name.strip()
        found = self.splits.get(name) or split_word(name)
        return found or next((split for word, split in self.splits.items() if word.lower() == name.lower()), None)

    def with_classes(self, classes: Sequence[str], *, declared: bool = False) -> Card:
        """This card with another vocabulary in this order, any names allowed (`declared`: see `labels.vocabulary`).

        A source may then also write positions, counted from 0, as codes, unless a name is a number: then numbers are
        names. Raises UsageError for names that `labels.vocabulary` refuses. Expected counts no longer apply.
        """
        names = vocabulary(classes, declared=declared)
        numbers = any(_NUMBER.fullmatch(name) for name in names)
        codes = {} if numbers else {SourceCode(str(place)): name for place, name in enumerate(names)}
        return replace(
            self, classes=names, codes=codes, counted_codes=True, expected=None, split_totals={}, class_totals={}
        )

    def told_by(self, name: str) -> dict[str, str] | None:
        """What a file's name tells (`label`, `person`, ...); None for one that is not named as this set's files are.

        A copy whose names are all in capitals or in small letters tells the same.

        >>> card = Card(name="x", layout="image_folder", naming=r"(?P<person>S[0-9]+)_[0-9]+")
        >>> card.told_by("S010_17.png"), card.told_by("s010_17.png")
        ({'person': 'S010'}, {'person': 'S010'})
        """
        if not self.naming:
            return None
        stem = splitext(basename(name))[0]  # a path of its own takes twenty times as long
        found = (
            re.fullmatch(self.naming, stem)
            or re.fullmatch(self.naming, stem.upper())
            or re.fullmatch(self.naming, stem.lower())
            or re.fullmatch(self.naming, stem, re.IGNORECASE)
        )
        return None if found is None else {key: value for key, value in found.groupdict().items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """Everything but the text, for the workspace and for JSON."""
        return {
            "name": self.name, "layout": self.layout, "classes": list(self.classes), "codes": dict(self.codes),
            "splits": dict(self.splits), "expected": self.expected, "licence": self.licence,
            "redistributable": self.redistributable, "title": self.title, "homepage": self.homepage,
            "attributes": self.attributes, "annotators": self.annotators, "version": self.version,
            "naming": self.naming, "size": list(self.size) if self.size else None, "split_totals": self.split_totals,
            "class_totals": self.class_totals, "no_labels": dict(self.no_labels), "citation": self.citation,
        }  # fmt: skip


def layouts() -> list[str]:
    """The layouts that have a way in: each is a card and a module of this room under one name."""
    return [name for name in known_cards() if importlib.util.find_spec(f"ferclean.sources.{name}")]


def load_card(name_or_path: str | Path) -> Card:
    """A known card by name, or one from a `.md` file.

    Raises UsageError for an unknown name (lists the known ones) and BadDataError for a card that is not well-formed.
    """
    text = str(name_or_path)
    known = known_cards()
    if text in known:
        return parse_card(known[text].read_text(encoding="utf-8"), name=text)
    path = Path(name_or_path)
    if path.suffix == ".md" and path.is_file():
        return parse_card(path.read_text(encoding="utf-8"), name=path.stem)
    raise UsageError(f"no data card {text!r}; {among(text, known)}, or give the path of a card file (.md)")


class _Words(yaml.BaseLoader):
    """A card's names as they are written: yes, null, 010 and 1.10 are words. A key that comes twice is refused."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node. Raises ConstructorError (a YAMLError) for a key that comes twice."""
        for key, _ in node.value:
            if sum(key.value == other.value for other, _ in node.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} comes twice", key.start_mark)
        return super().construct_mapping(node, deep=deep)


def parse_card(text: str, *, name: str) -> Card:
    """A card from its text: YAML front matter between two `---` lines with a `ferclean:` block, then prose."""
    where = f"data card {name!r}"
    head, closed, body = text.removeprefix("---\n").partition("\n---")
    if not text.startswith("---\n") or not closed:
        raise BadDataError(f"{where} has no front matter; it starts with a line --- and ends it with another")
    try:
        front, words = yaml.safe_load(head), yaml.load(head, _Words)  # noqa: S506 - it makes text only
    except yaml.YAMLError as error:
        raise BadDataError(f"{where}: the front matter is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(front, dict) or not isinstance(front.get("ferclean"), dict):
        raise BadDataError(f"{where} has no `ferclean:` block in its front matter")
    block = front["ferclean"]
    if unknown := sorted(set(map(str, block)) - _KEYS):
        raise BadDataError(f"{where}: unknown entries {', '.join(unknown)}; {among(unknown, sorted(_KEYS))}")
    if block.get("layout") not in layouts():
        raise BadDataError(f"{where}: no layout {block.get('layout')!r}; {among(str(block.get('layout')), layouts())}")
    if not isinstance(block.get("redistributable", False), bool):
        raise BadDataError(f"{where}: redistributable is true or false (may the pixels be passed on?)")
    spelled = words["ferclean"]
    classes = _classes(spelled.get("classes") or (), where)
    codes = {
        SourceCode(code_of(code) or code): _one_of(label, classes, f"{where}: code {code}")
        for code, label in _mapping(spelled, "codes", where).items()
    }
    splits = dict(_mapping(spelled, "splits", where))
    if wrong := sorted(set(splits.values()) - set(SPLITS)):
        raise BadDataError(f"{where}: splits lead to {', '.join(wrong)}; use train, validation and test")
    annotators = block.get("annotators")
    return Card(
        name=name,
        layout=block["layout"],
        classes=classes,
        codes=codes,
        splits=splits,
        expected=_expected(spelled, classes, where),
        licence=str(front.get("license_name") or front.get("license") or "unknown"),
        redistributable=bool(block.get("redistributable", False)),
        title=str(front.get("pretty_name") or name),
        homepage=str(block.get("homepage") or front.get("homepage") or ""),
        attributes={
            str(key): {str(code): str(word) for code, word in values.items()}
            for key, values in _mapping(spelled, "attributes", where).items()
            if isinstance(values, dict)
        },
        annotators=int(annotators) if annotators is not None else None,
        version=str(block.get("version", "")),
        naming=_pattern(spelled, where),
        size=_size(spelled, where),
        split_totals=_totals(spelled, "split_totals", SPLITS, where),
        class_totals={
            _one_of(label, classes, f"{where}: class_totals"): count
            for label, count in _totals(spelled, "class_totals", None, where).items()
        },
        no_labels={
            SourceCode(code_of(code) or code): str(word) for code, word in _mapping(spelled, "no_labels", where).items()
        },
        citation=str(block.get("citation") or ""),
        text=body.lstrip("-\n"),
    )


def _mapping(block: Mapping[str, Any], key: str, where: str) -> dict[Any, Any]:
    value = block.get(key) or {}
    if not isinstance(value, dict):
        raise BadDataError(f"{where}: {key} is a mapping, not {type(value).__name__}")
    return value


def _classes(names: object, where: str) -> tuple[ClassName, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise BadDataError(f"{where}: classes is a list of names in the order of the probabilities")
    try:
        return vocabulary(str(name) for name in names)
    except UsageError as error:
        raise BadDataError(f"{where}: {error}") from None


def _one_of(label: object, classes: tuple[ClassName, ...], where: str) -> ClassName:
    name = find_class(str(label), classes)
    if name is None:
        raise BadDataError(f"{where} stands for {str(label)!r}, which is not among its classes: {', '.join(classes)}")
    return name


def _expected(block: Mapping[str, Any], classes: tuple[ClassName, ...], where: str) -> dict[str, dict[str, int]] | None:
    table = _mapping(block, "expected", where)
    if not table:
        return None
    expected: dict[str, dict[str, int]] = {}
    for split, counts in table.items():
        if split not in SPLITS or not isinstance(counts, dict):
            raise BadDataError(f"{where}: expected holds class counts per train, validation and test, not {split!r}")
        expected[split] = {_one_of(label, classes, f"{where}: expected"): int(n) for label, n in counts.items()}
    return expected


def _totals(block: Mapping[str, Any], key: str, known: Sequence[str] | None, where: str) -> dict[str, int]:
    table = _mapping(block, key, where)
    if strange := [name for name in table if known is not None and name not in known]:
        raise BadDataError(f"{where}: {key} counts {', '.join(known or ())}, not {strange[0]!r}")
    if wrong := [f"{name}: {count}" for name, count in table.items() if not str(count).isdecimal()]:
        raise BadDataError(f"{where}: {key} holds whole numbers, not {wrong[0]}")
    return {str(name): int(count) for name, count in table.items()}


def _size(block: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    sides = block.get("size") or ()
    if not sides:
        return None
    if isinstance(sides, str) or len(sides) != 2 or not all(str(side).isdecimal() for side in sides):
        raise BadDataError(f"{where}: size is [width, height] in pixels, not {sides}")
    return int(sides[0]), int(sides[1])


def _pattern(block: Mapping[str, Any], where: str) -> str:
    naming = block.get("naming") or ""
    try:
        re.compile(naming)
    except (re.error, TypeError) as error:
        raise BadDataError(f"{where}: naming is a regular expression ({error})") from None
    return str(naming)
