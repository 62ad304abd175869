"""Read a file of votes on the rows of a table: who said what, or how many chose each class.

It never guesses what a column means and never leaves a vote out: a file with a wrong line is refused as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from pathlib import Path

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.labels import canonical_name
from ferclean.sources.cards import Card
from ferclean.sources.rows import NOT_EXPRESSIONS
from ferclean.sources.tabular import (
    IMAGE_COLUMNS,
    KEY_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    code_of,
    find_column,
    header_of,
    records_of,
    text_of,
)

ANNOTATOR_COLUMNS = ("annotator", "annotator_id", "rater", "worker", "user")
_NAMES = ("key", *KEY_COLUMNS, *IMAGE_COLUMNS)
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class VoteFile:
    """Votes by source key; `counts` in a file of counts, `annotations` (annotator -> label) in one of single votes."""

    path: Path
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    annotations: dict[str, dict[str, str]] = field(default_factory=dict)

    def refuse_strangers(self, keys: Set[str]) -> None:
        """Raise BadDataError, counting and naming them, for votes on keys that are not among `keys`."""
        voted = self.counts or self.annotations
        strangers = [key for key in voted if key not in keys]
        if strangers:
            raise BadDataError(
                f"{self.path}: {len(strangers):,} of {len(voted):,} keys are no source_key of the table, first "
                f"{_few(strangers)}; take them out, or name the table's column of these keys with key_column"
            )


def read_vote_file(path: Path, card: Card, *, key_column: str | None = None) -> VoteFile:
    """The votes of a CSV or Parquet file in one of two forms, told apart by a column `annotator`.

    Long: one row per vote with a key, an annotator and a label. Wide: one row per key with a column of whole counts
    per class, `unknown` and `not_a_face` (or `NF`); columns of splits are passed over. Keys stand in `key_column`,
    else in a column key, source_key, path, image and the like. Labels are what the card knows (names, other words for
    them, codes in a long file), also expressions that are none of the set's classes.

    Raises UsageError for a missing file or column; BadDataError, counting and naming what is wrong, for unknown labels
    and columns, empty cells, counts that are negative or not whole, keys or annotators that come twice.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file of votes")
    header = header_of(path)
    known = {name.strip().lower(): name for name in header}
    key = key_column if key_column in header else find_column(header, None, _NAMES, "key_column", path)
    annotator = next((known[name] for name in ANNOTATOR_COLUMNS if name in known), None)
    if annotator is None:
        return _wide(path, card, header, key)
    return _long(path, card, key, annotator, find_column(header, None, LABEL_COLUMNS, "label", path))


def _long(path: Path, card: Card, key: str, annotator: str, label: str) -> VoteFile:
    annotations: dict[str, dict[str, str]] = {}
    empty: list[int] = []
    twice: list[str] = []
    unknown: Counter[str] = Counter()
    for number, cells in records_of(path, [key, annotator, label]):
        face, who, code = text_of(cells[key]), text_of(cells[annotator]), code_of(cells[label])
        if face is None or who is None or code is None:
            empty.append(number)
            continue
        name = _label(code, card)
        if name is None:
            unknown[code] += 1
        elif who in annotations.setdefault(face, {}):
            twice.append(f"{who} on {face}")
        else:
            annotations[face][who] = name
    _refuse(path, empty, lambda: f"{len(empty):,} rows lack a key, an annotator or a label, first {_few(empty)}")
    _refuse(
        path,
        unknown,
        lambda: (
            f"{unknown.total():,} votes for unknown labels, "
            f"{_few([f'{label!r} ({count:,})' for label, count in unknown.most_common()])}; "
            f"known: {card.known_labels()}, unknown, not_a_face"
        ),
    )
    _refuse(path, twice, lambda: f"{len(twice):,} annotators labelled a key twice, first {_few(twice)}")
    _refuse(path, not annotations, lambda: "holds no votes")
    return VoteFile(path=path, annotations=annotations)


def _wide(path: Path, card: Card, header: Iterable[str], key: str) -> VoteFile:
    columns = {name: _label(name, card) for name in header if name != key and name.strip().lower() not in SPLIT_COLUMNS}
    strange = [name for name, label in columns.items() if label is None]
    _refuse(
        path,
        strange,
        lambda: (
            f"{len(strange)} columns are no class, {_few(strange)}; known: {card.known_labels()}, unknown, not_a_face. "
            "A file of single votes has the columns key, annotator and label"
        ),
    )
    _refuse(path, not columns, lambda: "has no column of votes beside the keys")
    counts: dict[str, dict[str, int]] = {}
    empty: list[int] = []
    twice: list[str] = []
    bad: list[str] = []
    for number, cells in records_of(path, [key, *columns]):
        name = text_of(cells[key])
        if name is None:
            empty.append(number)
            continue
        if name in counts:
            twice.append(name)
        counts[name] = {}
        for column, label in columns.items():
            text = code_of(cells[column]) or "0"
            if not (text.isascii() and text.isdecimal()):
                bad.append(f"{text!r} ({column} of {name})")
            elif int(text) and label is not None:
                counts[name][label] = counts[name].get(label, 0) + int(text)
    _refuse(path, empty, lambda: f"{len(empty):,} rows lack a key, first {_few(empty)}")
    _refuse(path, bad, lambda: f"{len(bad):,} counts are negative or not whole, first {_few(bad)}")
    _refuse(path, twice, lambda: f"{len(twice):,} keys come twice, first {_few(twice)}")
    _refuse(path, not counts, lambda: "holds no votes")
    return VoteFile(path=path, counts=counts)


def _label(name: str, card: Card) -> str | None:
    """The label behind a word of the file; an expression outside the set's classes is one too."""
    found = card.label_of(name) or NOT_EXPRESSIONS.get(name.strip().lower())
    if found is None:
        try:
            found = canonical_name(name)
        except UsageError:
            return None
    return found


def _refuse(path: Path, wrong: object, message: Callable[[], str]) -> None:
    if wrong:
        raise BadDataError(f"{path}: {message()}")


def _few(values: Iterable[object]) -> str:
    shown = [str(value) for value in values]
    return ", ".join(shown[:_SHOWN]) + (" ..." if len(shown) > _SHOWN else "")
